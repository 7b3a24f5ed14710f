"""Writers that land the very sales of a MERGE while it runs, at the moment between its scan and its commit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from carousel_sync.backfill.spark.merge import Month, statement
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from testbed.stores import Stores
from tests.builders import sale
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.reader import StatementFailed
from tests.engines.readers.spark_engine import Spark
from tests.engines.spark_jobs.contents import Contents, old, write_lines, young
from tests.engines.spark_jobs.job import Job
from tests.faults.harness.fault_proxy import PASS, Fault, FaultProxy, Policy, Request, Service
from tests.tables import TableUnderTest

pytestmark = [pytest.mark.engine, ONE_PROCESS]

MARCH = [sale(sale_id=f"sale-{number}") for number in range(3)]
MONTHS = [Month(2026, 3)]
COMMIT = "POST sales_history"
NEVER_APPLIES = "WHEN MATCHED AND false THEN UPDATE SET sale_id = t.sale_id "


def at_the_first_commit(action: Callable[[], object]) -> Policy:
    """Return the policy that runs ``action`` when the first commit has arrived, before it takes effect."""
    seen: list[Request] = []

    def policy(_number: int, request: Request) -> Fault:
        if (request.service, request.action) != (Service.CATALOG, COMMIT):
            return PASS
        seen.append(request)
        return Fault("meanwhile", before=lambda: (action(), None)[1]) if len(seen) == 1 else PASS

    return policy


def land(table: TableUnderTest, *sales: Sale) -> None:
    """Append sales as the function does."""
    deadline = Deadline.after(SystemClock(), 120)
    assert isinstance(table.writer().begin(7, deadline).append(sales, (), deadline), Landed)


@pytest.fixture
def merge(spark: Spark, stores: Stores, proxy: FaultProxy, tmp_path: Path) -> Callable[[str], None]:
    """Return the function that merges the sales of March. It leaves its argument out of the statement."""
    table = Contents(stores).table
    watched = TableUnderTest(replace(stores.catalog, endpoint_url=proxy.url), stores.namespace)
    source = tmp_path / "march.parquet"
    pq.write_table(arrow_table(MARCH, table.load().schema()), source)
    columns = [column.name for column in table.load().schema().fields]
    text = statement(spark.name_of(watched), f"parquet.`{source}`", columns, MONTHS)

    def run(left_out: str) -> None:
        spark.sql(text.replace(left_out, "") if left_out else text)

    return run


def test_a_row_that_lands_between_scan_and_commit_makes_the_merge_fail(
    merge: Callable[[str], None], stores: Stores, proxy: FaultProxy
) -> None:
    table = Contents(stores).table
    proxy.begin(at_the_first_commit(lambda: land(table, MARCH[1])))
    with pytest.raises(StatementFailed, match="conflicting files"):
        merge("")
    assert table.sale_ids() == ["sale-1"]
    merge("")
    assert table.sale_ids() == ["sale-0", "sale-1", "sale-2"]


def test_so_it_does_in_a_table_that_has_rows(merge: Callable[[str], None], stores: Stores, proxy: FaultProxy) -> None:
    table = Contents(stores).table
    land(table, MARCH[0])
    deadline = Deadline.after(SystemClock(), 120)
    proxy.begin(at_the_first_commit(lambda: table.writer().begin(8, deadline).append([MARCH[1]], (), deadline)))
    with pytest.raises(StatementFailed, match="conflicting files"):
        merge("")
    merge("")
    assert table.sale_ids() == ["sale-0", "sale-1", "sale-2"]


def test_a_merge_without_a_clause_for_matched_rows_would_double_the_sale(
    merge: Callable[[str], None], stores: Stores, proxy: FaultProxy
) -> None:
    table = Contents(stores).table
    proxy.begin(at_the_first_commit(lambda: land(table, MARCH[1])))
    merge(NEVER_APPLIES)
    assert table.sale_ids() == ["sale-0", "sale-1", "sale-1", "sale-2"]


def test_a_row_in_another_month_is_no_conflict(merge: Callable[[str], None], stores: Stores, proxy: FaultProxy) -> None:
    table = Contents(stores).table
    april = sale(sale_id="april", sold_date=date(2026, 4, 1))
    proxy.begin(at_the_first_commit(lambda: land(table, april)))
    merge("")
    assert table.sale_ids() == ["april", "sale-0", "sale-1", "sale-2"]


def test_the_function_lands_an_old_sale_during_the_merge_and_waits_for_a_young_one(
    watched_job: Job, proxy: FaultProxy, tmp_path: Path
) -> None:
    contents = Contents(watched_job.stores)
    function = contents.function()
    given_back: list[str] = []
    same = [old("old-both"), young("young-both")]

    def deliver() -> None:
        given_back.extend(contents.deliver(function, [*same, young("young-event"), old("old-event")]))

    proxy.begin(at_the_first_commit(deliver))
    path = write_lines(tmp_path / "history.jsonl", [*same, old("old-file"), young("young-file")])
    report = watched_job.run(path, "--sales-per-chunk", 100)

    assert given_back == ["young-both"]
    assert (report["landed"], report["duplicates"]) == (3, 1)
    assert contents.deliver(function, [*same, young("young-event")]) == []
    names = ["old-both", "old-event", "old-file", "young-both", "young-event", "young-file"]
    assert contents.table.sale_ids() == names
    assert contents.verified().consistent
