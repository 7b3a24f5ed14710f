"""Every reader finds in a table what the function wrote, in each type of catalog."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.engines.fixtures import IcebergRestServer
from tests.engines.readers.comparison import assert_agree, assert_rows, columns_of, rows_of
from tests.engines.readers.fixtures import ONE_PROCESS, READERS
from tests.engines.readers.reader import Reader
from tests.engines.readers.written_table import COLUMNS, WrittenTable, expected_rows, write_table
from tests.tables import rest_config, s3_tables_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]


@pytest.fixture(scope="module")
def s3_tables_written(emulator_endpoint: str) -> WrittenTable:
    return write_table(s3_tables_config(emulator_endpoint, "readers"))


@pytest.fixture(scope="module")
def rest_written(iceberg_rest_server: IcebergRestServer) -> WrittenTable:
    return write_table(rest_config(iceberg_rest_server))


@pytest.fixture(scope="module", params=["s3_tables_written", "rest_written"], ids=["s3-tables", "rest"])
def written(request: pytest.FixtureRequest) -> WrittenTable:
    found: WrittenTable = request.getfixturevalue(request.param)
    return found


def test_every_value_of_every_row(reader: Reader, written: WrittenTable) -> None:
    found = rows_of(reader, written.table, list(COLUMNS))
    assert_rows(list(COLUMNS), expected_rows(written.sales, list(COLUMNS)), found)


def test_counts_and_sums(reader: Reader, written: WrittenTable) -> None:
    statement = """
        SELECT tenant_id, year, month, count(*), sum(sold_price), count(currency), count(embedding_vector)
        FROM {sales} GROUP BY tenant_id, year, month ORDER BY tenant_id, year, month"""
    groups: dict[tuple[str, int, int], list[Decimal | int]] = {}
    for sold in written.sales:
        totals = groups.setdefault((sold.tenant_id, sold.year, sold.month), [0, Decimal(0), 0, 0])
        totals[0] += 1
        totals[1] += sold.sold_price
        totals[2] += sold.currency is not None
        totals[3] += sold.embedding is not None
    assert reader.rows(written.table, statement) == [(*key, *groups[key]) for key in sorted(groups)]


def test_a_filter_on_the_partition(reader: Reader, written: WrittenTable) -> None:
    statement = """
        SELECT sale_id FROM {sales} WHERE tenant_id = 'tenant-1' AND year = 2026 AND month = 1 ORDER BY sale_id"""
    expected = [
        (sold.sale_id,) for sold in written.sales if (sold.tenant_id, sold.year, sold.month) == ("tenant-1", 2026, 1)
    ]
    assert reader.rows(written.table, statement) == expected


def test_time_travel_to_before_the_merge(reader: Reader, written: WrittenTable) -> None:
    snapshot_id = written.before_merge
    assert_rows(
        ["sale_id", "sold_price", "currency"],
        expected_rows(written.sales_at[snapshot_id], ["sale_id", "sold_price", "currency"]),
        rows_of(reader, written.table, ["sale_id", "sold_price", "currency"], snapshot_id),
    )


def test_time_travel_to_before_a_column_was_added(reader: Reader, written: WrittenTable) -> None:
    snapshot_id = written.before_currency
    columns = ["sale_id", "sold_price", "embedding_vector"]
    assert_rows(
        columns,
        expected_rows(written.sales_at[snapshot_id], columns),
        rows_of(reader, written.table, columns, snapshot_id),
    )


def test_readers_agree_on_every_column_of_an_earlier_snapshot(
    written: WrittenTable, request: pytest.FixtureRequest
) -> None:
    readers = {name: request.getfixturevalue(name) for name in READERS}
    snapshot_id = written.before_currency
    assert "currency" not in columns_of(written.table, snapshot_id)
    rows = assert_agree(readers, written.table, snapshot_id=snapshot_id)
    assert len(rows) == len(written.sales_at[snapshot_id])
