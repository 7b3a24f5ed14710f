"""Version 1: the table of sales."""

from schemas.migration import Migration
from schemas.sales_history import FIRST_SCHEMA, PARTITION_SPEC
from schemas.table_operations import CreateTable

MIGRATION = Migration(
    why="One row a sale, partitioned by tenant and month of the sale: that is how sales are asked for.",
    operations=(CreateTable(FIRST_SCHEMA, PARTITION_SPEC),),
)
