"""Version 2: the currency of the prices."""

from pyiceberg.types import StringType

from schemas.evolution.column_operations import AddColumn, DescribeColumn
from schemas.evolution.migration import Migration

MIGRATION = Migration(
    why="Tenants sell in more than one currency, and a sum over two currencies is meaningless.",
    operations=(
        AddColumn(25, "currency", StringType(), doc="ISO 4217 code of both prices; null: not told", after=9),
        DescribeColumn(8, "Exact; in the currency of the column currency, where it is told"),
        DescribeColumn(9, "Exact; in the currency of the column currency, where it is told"),
    ),
)
