"""Version 1: the table of sales."""

from schemas.evolution.migration import Migration
from schemas.evolution.table_operations import CreateTable
from schemas.sales_history import FIRST_SCHEMA, PARTITION_SPEC

MIGRATION = Migration(
    why="One row per sale, partitioned by tenant and month of the sale, because queries filter by these.",
    operations=(CreateTable(FIRST_SCHEMA, PARTITION_SPEC),),
)
