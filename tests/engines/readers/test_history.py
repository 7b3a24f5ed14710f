"""The table's history in Spark and Trino: metadata tables, and reads between two snapshots."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.engines.readers.comparison import assert_rows
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import Row, comparable
from tests.engines.readers.spark_engine import Spark
from tests.engines.readers.trino_engine import Trino
from tests.engines.readers.written_table import COMMITS_AFTER_RENAME, SALES_PER_COMMIT, WrittenTable, expected_rows

pytestmark = [pytest.mark.engine, ONE_PROCESS, pytest.mark.timeout(600)]

COLUMNS = ("tenant_id", "sale_id", "sold_price", "currency", "embedding_vector")
"""Columns that have the same name in all snapshots that are read."""
BOUNDED = ("sale_id", "listed_price", "sold_price", "discount_percent", "sold_date", "days_to_sell", "state")
"""Columns whose bounds are exact: their texts have at most 16 characters, and longer ones are cut."""


@pytest.fixture
def written(s3_tables_written: WrittenTable) -> WrittenTable:
    """One type of catalog is enough: engines read the history from files."""
    return s3_tables_written


@pytest.fixture(params=["before_merge", "head"])
def until(request: pytest.FixtureRequest, written: WrittenTable) -> int:
    """The snapshot up to which to read: one just before a merge of manifests, or the newest."""
    return written.before_merge if request.param == "before_merge" else written.snapshot_ids[-1]


def metadata(spark: Spark, trino: Trino, written: WrittenTable, name: str, query: str) -> list[Row]:
    """Return the rows of a query in which ``{rows}`` stands for a metadata table. Both engines must find the same."""
    in_spark = spark.sql(query.replace("{rows}", f"{spark.name_of(written.table)}.{name}"))
    assert in_spark == trino.sql(query.replace("{rows}", trino.name_of(written.table, name)))
    return in_spark


def test_snapshots(spark: Spark, trino: Trino, written: WrittenTable) -> None:
    query = "SELECT snapshot_id, operation, summary['total-records'] FROM {rows} ORDER BY committed_at"
    found = metadata(spark, trino, written, "snapshots", query)
    appends = [(snapshot_id, "append", str(len(sales))) for snapshot_id, sales in written.sales_at.items()]
    assert [row for row in found if row[1] == "append"] == appends
    assert [row[1:] for row in found if row[1] != "append"] == [
        ("replace", str(len(written.sales_at[written.before_merge])))
    ]


def test_each_snapshot_has_its_predecessor_as_parent(spark: Spark, trino: Trino, written: WrittenTable) -> None:
    query = "SELECT snapshot_id, parent_id FROM {rows} ORDER BY committed_at"
    found = metadata(spark, trino, written, "snapshots", query)
    assert [parent for _, parent in found] == [None, *[snapshot_id for snapshot_id, _ in found[:-1]]]


def test_a_merge_keeps_the_snapshot_of_each_entry(spark: Spark, trino: Trino, written: WrittenTable) -> None:
    query = """
        SELECT snapshot_id, data_file.record_count FROM {rows} ORDER BY snapshot_id, data_file.file_path"""
    found: Counter[int] = Counter()
    for snapshot_id, records in metadata(spark, trino, written, "entries", query):
        found[snapshot_id] += records
    assert found == dict.fromkeys(written.snapshot_ids, SALES_PER_COMMIT)


def test_manifests(spark: Spark, trino: Trino, written: WrittenTable) -> None:
    query = "SELECT existing_data_files_count > 0, count(*) FROM {rows} GROUP BY 1 ORDER BY 1"
    assert metadata(spark, trino, written, "manifests", query) == [(False, COMMITS_AFTER_RENAME), (True, 1)]


def test_partitions(spark: Spark, trino: Trino, written: WrittenTable) -> None:
    query = """
        SELECT partition.tenant_id, partition.year, partition.month, record_count
        FROM {rows} ORDER BY partition.tenant_id, partition.year, partition.month"""
    counts: dict[tuple[str, int, int], int] = {}
    for sold in written.sales:
        key = (sold.tenant_id, sold.year, sold.month)
        counts[key] = counts.get(key, 0) + 1
    found = metadata(spark, trino, written, "partitions", query)
    assert found == [(*key, counts[key]) for key in sorted(counts)]


@pytest.mark.parametrize("column", BOUNDED)
def test_the_bounds_of_each_file_are_those_of_its_rows(column: str, spark: Spark, written: WrittenTable) -> None:
    """A reader skips a file by its bounds, so that a wrong bound would hide rows."""
    stated = """
        SELECT file_path, readable_metrics.{column}.value_count, readable_metrics.{column}.null_value_count,
        readable_metrics.{column}.lower_bound, readable_metrics.{column}.upper_bound FROM {sales}.files ORDER BY 1"""
    actual = """
        SELECT _file, count(*), count_if({column} IS NULL), min({column}), max({column})
        FROM {sales} GROUP BY 1 ORDER BY 1"""
    of_rows, of_files = (
        spark.sql(query.replace("{column}", column).replace("{sales}", spark.name_of(written.table)))
        for query in (actual, stated)
    )
    assert_rows(("file", "values", "nulls", "lower", "upper"), of_rows, of_files)


def test_spark_reads_what_was_appended_between_two_snapshots(until: int, spark: Spark, written: WrittenTable) -> None:
    query = "SELECT {columns} FROM {sales} ORDER BY tenant_id, sale_id".replace("{columns}", ", ".join(COLUMNS))
    found = spark.rows_between(written.table, query, written.before_currency, until)
    assert_rows(COLUMNS, appended(written, until), found)


def test_trino_reads_what_changed_between_two_snapshots(until: int, trino: Trino, written: WrittenTable) -> None:
    catalog, namespace, _ = trino.name_of(written.table).split(".")
    query = "SELECT {columns} FROM TABLE({changes}) WHERE _change_type = 'insert' ORDER BY tenant_id, sale_id"
    arguments = f"'{namespace}', 'sales_history', {written.before_currency}, {until}"
    changes = f"{catalog}.system.table_changes({arguments})"
    found = trino.sql(query.replace("{columns}", ", ".join(COLUMNS)).replace("{changes}", changes))
    assert_rows(COLUMNS, appended(written, until), comparable(found))


def appended(written: WrittenTable, until: int) -> list[Row]:
    """Return the rows that were appended after the snapshot before the column currency."""
    before = written.sales_at[written.before_currency]
    return expected_rows(written.sales_at[until][len(before) :], COLUMNS)
