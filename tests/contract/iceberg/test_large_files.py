"""Looking a sale up in a large data file reads its footer, and the ids of the row groups that can have its row."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lambda_fn.aws.s3_file_io import TAIL_BYTES
from tests.contract.iceberg.large_file import LargeFile, of, write
from tests.tables import TableUnderTest

MEGABYTES = 24
ROW_GROUPS = 3
# pyarrow joins column chunks that are at most this far apart into one range.
HOLE_BYTES = 8192


@pytest.fixture
def large(tmp_path: Path, sqlite_table: TableUnderTest) -> tuple[LargeFile, list[str]]:
    """A file and its sale ids, which ascend through the row groups."""
    path = tmp_path / "large.parquet"
    ids = write(path, sqlite_table.load(), MEGABYTES, MEGABYTES // ROW_GROUPS)
    assert path.stat().st_size > 20_000_000
    return LargeFile(path), ids


def ids_bytes(path: Path, row_group: int) -> int:
    group = pq.read_metadata(path).row_group(row_group)
    chunks = (group.column(number) for number in range(group.num_columns))
    return sum(chunk.total_compressed_size for chunk in chunks if chunk.path_in_schema == "sale_id")


def test_a_file_whose_statistics_exclude_the_sale_costs_one_read(
    large: tuple[LargeFile, list[str]], sqlite_table: TableUnderTest
) -> None:
    file, _ = large
    assert file.looked_up(sqlite_table.load(), "A", "Z") == set()
    assert file.read == [TAIL_BYTES]


def test_of_a_file_that_has_the_sale_only_the_ids_of_its_row_group_are_read(
    large: tuple[LargeFile, list[str]], sqlite_table: TableUnderTest
) -> None:
    file, ids = large
    middle = ids[len(ids) // 2]
    assert file.looked_up(sqlite_table.load(), middle, "absent") == {of(middle).key}
    tail, *ranges = file.read
    assert tail == TAIL_BYTES
    expected = ids_bytes(file.path, ROW_GROUPS // 2)
    assert expected <= sum(ranges) <= expected + 2 * HOLE_BYTES


def test_sales_in_every_row_group_cost_the_ids_of_the_file(
    large: tuple[LargeFile, list[str]], sqlite_table: TableUnderTest
) -> None:
    file, ids = large
    wanted = ids[0], ids[len(ids) // 2], ids[-1]
    assert file.looked_up(sqlite_table.load(), *wanted) == {of(sale_id).key for sale_id in wanted}
    assert sum(file.read) < TAIL_BYTES + sum(ids_bytes(file.path, group) for group in range(ROW_GROUPS)) + 100_000
