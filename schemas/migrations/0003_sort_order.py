"""Version 3: the sort order of rows within a file."""

from schemas.evolution.migration import Migration
from schemas.evolution.table_operations import SetSortOrder

MIGRATION = Migration(
    why=(
        "Most queries read the last days of one tenant. A file holds a month; if it is sorted by date, a reader skips "
        "the row groups of the other days. S3 Tables sorts when it compacts a table that has a sort order. Existing "
        "files stay as they are until then."
    ),
    operations=(SetSortOrder(((11, "asc"), (1, "asc"))),),
)
