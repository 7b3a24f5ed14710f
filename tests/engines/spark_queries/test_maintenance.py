"""queries/spark/maintenance.py on Apache's REST reference server, whose table the function writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq
import pytest
from pyiceberg.manifest import DataFile

from lambda_fn.ports import Claimed, GiveUp, Landed, NotKnownToHaveLanded, Resolution
from lambda_fn.runtime.retry import Deadline, SystemClock
from tests.builders import sale
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import StatementFailed
from tests.engines.readers.spark_engine import Spark
from tests.engines.spark_queries.jobs import JOBS
from tests.tables import TableUnderTest, provisioned, s3_tables_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]

JOB: Final = JOBS / "maintenance.py"
LATER: Final = Path(__file__).with_name("at_a_later_time.py")
COMMITS: Final = 12
HOUR: Final = 3600


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 300)


def land(table: TableUnderTest, attempt_id: int, *sale_ids: str, day: int = 14) -> None:
    sales = [sale(sale_id=sale_id, sold_date=date(2026, 3, day)) for sale_id in sale_ids]
    assert isinstance(table.writer().begin(attempt_id, soon()).append(sales, (), soon()), Landed)


def land_many(table: TableUnderTest) -> list[str]:
    """Append one sale per commit, the latest day first, and return the ids of the sales."""
    for number in range(COMMITS):
        land(table, 1000 + number, f"sale-{number:02}", day=COMMITS - number)
    return [f"sale-{number:02}" for number in range(COMMITS)]


def maintain(spark: Spark, table: TableUnderTest, *arguments: str, later_seconds: int = 0) -> str:
    words = [str(JOB), "--table", spark.name_of(table), "--prefix-listing", *arguments]
    return spark.job(LATER, str(later_seconds), *words)


def data_files(table: TableUnderTest) -> Sequence[DataFile]:
    return [task.file for task in table.load().scan().plan_files()]


def snapshot_ids(table: TableUnderTest) -> list[int]:
    return [snapshot.snapshot_id for snapshot in table.load().metadata.snapshots]


def test_small_files_become_one_in_the_sort_order_of_the_table(spark: Spark, rest_table: TableUnderTest) -> None:
    sale_ids = land_many(rest_table)
    assert len(data_files(rest_table)) == COMMITS
    printed = maintain(spark, rest_table, "--steps", "compact", "manifests")
    assert f"compact: rewritten_data_files_count {COMMITS}, added_data_files_count 1" in printed
    assert rest_table.sale_ids() == sale_ids
    loaded = rest_table.load()
    (file,) = data_files(rest_table)
    assert file.sort_order_id == loaded.sort_order().order_id
    with loaded.io.new_input(file.file_path).open() as stream:
        days = pq.read_table(stream, columns=["sold_date"])["sold_date"].to_pylist()
    assert days == sorted(days)
    land(rest_table, 5000, "afterwards")
    assert rest_table.sale_ids() == sorted([*sale_ids, "afterwards"])


def test_compaction_removes_deleted_rows_from_the_files(spark: Spark, rest_table: TableUnderTest) -> None:
    land(rest_table, 1, "kept", "deleted")
    name = spark.name_of(rest_table)
    spark.sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('write.delete.mode' = 'merge-on-read')")
    spark.sql(f"DELETE FROM {name} WHERE sale_id = 'deleted'")  # noqa: S608
    (task,) = rest_table.load().scan().plan_files()
    assert len(task.delete_files) == 1
    maintain(spark, rest_table, "--steps", "compact", "deletes")
    (task,) = rest_table.load().scan().plan_files()
    assert (task.file.record_count, len(task.delete_files)) == (1, 0)
    ((deletes,),) = spark.sql(f"SELECT count(*) FROM {name}.delete_files")  # noqa: S608
    assert deletes == 0


def test_old_snapshots_are_removed_and_young_ones_stay(spark: Spark, rest_table: TableUnderTest) -> None:
    land_many(rest_table)
    maintain(spark, rest_table, "--steps", "snapshots", later_seconds=5 * HOUR)
    assert len(snapshot_ids(rest_table)) == COMMITS
    maintain(spark, rest_table, "--steps", "snapshots", later_seconds=7 * HOUR)
    assert snapshot_ids(rest_table) == [1000 + number for number in range(2, COMMITS)], "the last ten stay"


def test_a_writer_whose_pin_was_removed_gives_up_and_the_next_one_scans(
    spark: Spark, rest_table: TableUnderTest
) -> None:
    land(rest_table, 999, "before")
    stalled = rest_table.writer().begin(500, soon())
    land_many(rest_table)
    maintain(spark, rest_table, "--steps", "snapshots", later_seconds=7 * HOUR)
    assert stalled.pin == 999
    assert stalled.pin not in snapshot_ids(rest_table)
    result = stalled.append([sale(sale_id="stalled")], (), soon())
    assert isinstance(result, NotKnownToHaveLanded)
    assert result.cause is GiveUp.HISTORY_EXPIRED
    claims = [Claimed(sale(sale_id=name), base=999, earlier_attempts=(500,)) for name in ("before", "stalled")]
    resolution = rest_table.writer().begin(501, soon()).resolve(claims, [], soon())
    assert resolution == Resolution({claims[0].sale.key: None})


def test_files_of_an_attempt_that_waits_for_its_commit_stay(spark: Spark, rest_table: TableUnderTest) -> None:
    land(rest_table, 1, "a")
    attempt = rest_table.writer().begin(2, soon())
    waiting = [sale(sale_id="b")]
    attempt.prepare(waiting, soon())
    printed = maintain(spark, rest_table, "--steps", "orphans")
    assert printed == "orphans: files 0\n"
    assert attempt.append(waiting, (), soon()) == Landed(2)
    assert rest_table.sale_ids() == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--snapshot-hours", "0.2"],
            r"is 0.2; it has to be at least 0.25.*delivered again and again",
        ),
        (["--orphan-hours", "23"], r"is 23; it has to be at least 24.*its sales are lost"),
        (["--table", "sales_history"], r"has to be CATALOG.NAMESPACE.TABLE"),
    ],
)
def test_unsafe_values_are_refused(
    spark: Spark, rest_table: TableUnderTest, arguments: list[str], message: str
) -> None:
    land(rest_table, 1, "a")
    before = rest_table.load().metadata_location
    with pytest.raises(StatementFailed, match=rf"(?s)Refused, nothing was changed: .*{message}"):
        maintain(spark, rest_table, *arguments)
    assert rest_table.load().metadata_location == before


def test_a_table_in_s3_tables_is_refused(spark: Spark, emulator_endpoint: str) -> None:
    table = provisioned(s3_tables_config(emulator_endpoint, "maintained-by-itself"))
    with pytest.raises(StatementFailed, match=r"The table is in S3 Tables, .* carousel-sync evolve apply"):
        maintain(spark, table)
