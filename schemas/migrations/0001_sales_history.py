"""Version 1: the table of sales."""

from schemas.evolution.migration import Migration
from schemas.evolution.table_operations import CreateTable
from schemas.sales_history import FIRST_SCHEMA, PARTITION_SPEC

MIGRATION = Migration(
    why="One row a sale, partitioned by tenant and month of the sale: that is how sales are asked for.",
    operations=(CreateTable(FIRST_SCHEMA, PARTITION_SPEC),),
)
