"""Every reader finds in a group's snapshot the rows of all its members, as if one writer had written them."""

from __future__ import annotations

import pytest

from lambda_fn.ports import Landed
from tests.builders import sale
from tests.contract.iceberg.group_writers import Attempt, GroupWriters
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import Reader
from tests.engines.readers.spark_engine import Spark
from tests.engines.readers.trino_engine import Trino
from tests.tables import TableUnderTest, provisioned, s3_tables_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]

BEFORE = 300
LEADER = Attempt(500, fenced=(40,))
MEMBERS = Attempt(501, fenced=(41,), sales_count=3), Attempt(502), Attempt(503, sales_count=2)
AFTER = 700
GROUP_SALES = sorted(sale_id for attempt in (LEADER, *MEMBERS) for sale_id in attempt.sale_ids)


# Of the session: pytest sorts the tests of all modules by reader, and would make a module's fixture again and again.
@pytest.fixture(scope="session")
def grouped(emulator_endpoint: str) -> TableUnderTest:
    """A table with a single append, a group of four, and another single append."""
    writers = GroupWriters(provisioned(s3_tables_config(emulator_endpoint, "groups")))
    for attempt_id in (BEFORE, AFTER):
        if attempt_id == AFTER:
            results = writers.land(LEADER, *MEMBERS)
            assert results[LEADER.attempt_id] == Landed(LEADER.attempt_id, group_size=1 + len(MEMBERS))
        sold = sale(sale_id=f"single-{attempt_id}")
        attempt = writers.writer().begin(attempt_id, writers.soon())
        assert attempt.append([sold], (), writers.soon()) == Landed(attempt_id)
    return writers.table


def sale_ids(reader: Reader, table: TableUnderTest, snapshot_id: int | None = None) -> list[str]:
    found = reader.rows(table, "SELECT sale_id FROM {sales} ORDER BY sale_id", snapshot_id=snapshot_id)
    return [sale_id for (sale_id,) in found]


def test_all_rows_are_read(reader: Reader, grouped: TableUnderTest) -> None:
    assert sale_ids(reader, grouped) == sorted([*GROUP_SALES, f"single-{BEFORE}", f"single-{AFTER}"])


def test_the_group_appears_at_once(reader: Reader, grouped: TableUnderTest) -> None:
    assert sale_ids(reader, grouped, BEFORE) == [f"single-{BEFORE}"]
    assert sale_ids(reader, grouped, LEADER.attempt_id) == sorted([*GROUP_SALES, f"single-{BEFORE}"])


def test_a_filter_finds_the_rows_of_one_member(reader: Reader, grouped: TableUnderTest) -> None:
    member = MEMBERS[0]
    assert member.tenant_id == "t501"
    statement = "SELECT sale_id FROM {sales} WHERE tenant_id = 't501' ORDER BY sale_id"
    assert [sale_id for (sale_id,) in reader.rows(grouped, statement)] == member.sale_ids


def test_spark_reads_what_the_group_added(spark: Spark, grouped: TableUnderTest) -> None:
    statement = "SELECT sale_id FROM {sales} ORDER BY sale_id"
    assert [sale_id for (sale_id,) in spark.rows_between(grouped, statement, BEFORE, LEADER.attempt_id)] == GROUP_SALES
    later = spark.rows_between(grouped, statement, LEADER.attempt_id, AFTER)
    assert [sale_id for (sale_id,) in later] == [f"single-{AFTER}"]


def test_spark_attributes_every_file_to_the_leaders_snapshot(spark: Spark, grouped: TableUnderTest) -> None:
    entries = spark.sql(
        f"SELECT snapshot_id, sequence_number, count(*) FROM {spark.name_of(grouped)}.entries GROUP BY 1, 2 ORDER BY 2"  # noqa: S608
    )
    assert [tuple(entry) for entry in entries] == [(BEFORE, 1, 1), (LEADER.attempt_id, 2, 4), (AFTER, 3, 1)]


def test_trino_shows_the_members_in_the_summary(trino: Trino, grouped: TableUnderTest) -> None:
    statement = (
        f"SELECT summary['carousel.landed-attempts'] FROM {trino.name_of(grouped, 'snapshots')} "  # noqa: S608
        f"WHERE snapshot_id = {LEADER.attempt_id}"
    )
    assert [tuple(row) for row in trino.sql(statement)] == [("501,502,503",)]
