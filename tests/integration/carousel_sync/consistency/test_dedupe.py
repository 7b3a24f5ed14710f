"""Keeping one row of a sale that the table has twice, behind each type of catalog."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from carousel_sync.aws.target import Target
from carousel_sync.consistency import dedupe
from carousel_sync.consistency.dedupe import RowsDiffer, keep_one_row, rows_of
from lambda_fn.errors import StoreUnavailable
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from tests import catalogs
from tests.builders import embedding, sale
from tests.tables import TableUnderTest

ONE = sale(sale_id="one", embedding=embedding(16))
TWO = sale(sale_id="two")


class Deployed:
    """The part of a target that the command uses: the table and its catalog."""

    def __init__(self, table: TableUnderTest, *faults: catalogs.Fault) -> None:
        self._table = table
        self._wrap = catalogs.faulty(*faults)

    def load_table(self) -> Any:
        loaded = self._table.load()
        loaded.catalog = self._wrap(loaded.catalog)
        return loaded


def target_of(table: TableUnderTest, *faults: catalogs.Fault) -> Target:
    return cast("Target", Deployed(table, *faults))


def append(table: TableUnderTest, sales: Sequence[Sale]) -> None:
    loaded = table.load()
    loaded.append(arrow_table(sales, loaded.schema()))


def contents(table: TableUnderTest) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.load().scan().to_arrow().sort_by("sale_id").to_pylist()
    return rows


def test_one_row_is_kept_and_other_sales_stay(table: TableUnderTest) -> None:
    append(table, [ONE, TWO])
    before = contents(table)
    append(table, [ONE])
    append(table, [ONE])
    assert rows_of(table.load(), ONE.key).count == 3
    keep_one_row(target_of(table), ONE.key)
    assert contents(table) == before


def test_two_rows_in_one_file(sqlite_table: TableUnderTest) -> None:
    append(sqlite_table, [ONE, TWO, ONE])
    keep_one_row(target_of(sqlite_table), ONE.key)
    assert sqlite_table.sale_ids() == ["one", "two"]


def test_nothing_is_committed_when_there_is_one_row_or_none(sqlite_table: TableUnderTest) -> None:
    append(sqlite_table, [ONE])
    head = sqlite_table.load().metadata_location
    keep_one_row(target_of(sqlite_table), ONE.key)
    keep_one_row(target_of(sqlite_table), TWO.key)
    assert rows_of(sqlite_table.load(), TWO.key).count == 0
    assert sqlite_table.load().metadata_location == head


def test_the_row_that_was_ingested_first_is_kept(sqlite_table: TableUnderTest) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    append(sqlite_table, [ONE])
    append(sqlite_table, [replace(ONE, recorded_at=first)])
    found = rows_of(sqlite_table.load(), ONE.key)
    assert found.have_same_facts
    assert found.differing == ["ingestion_timestamp"]
    keep_one_row(target_of(sqlite_table), ONE.key)
    assert [row["ingestion_timestamp"] for row in contents(sqlite_table)] == [first]


def test_rows_with_different_facts_need_a_choice(sqlite_table: TableUnderTest) -> None:
    append(sqlite_table, [ONE])
    append(sqlite_table, [replace(ONE, sold_price=Decimal("1.0000"))])
    with pytest.raises(RowsDiffer, match="sold_price"):
        keep_one_row(target_of(sqlite_table), ONE.key)
    with pytest.raises(RowsDiffer):
        keep_one_row(target_of(sqlite_table), ONE.key, number=3)
    with pytest.raises(RowsDiffer):
        keep_one_row(target_of(sqlite_table), ONE.key, number=1, shown=3)
    assert len(contents(sqlite_table)) == 2
    listed = rows_of(sqlite_table.load(), ONE.key).as_json()
    chosen = next(row["number"] for row in listed if row["sold_price"] == 1)
    keep_one_row(target_of(sqlite_table), ONE.key, number=chosen, shown=2)
    assert [row["sold_price"] for row in contents(sqlite_table)] == [1]


def test_another_writer_commits_in_between(table: TableUnderTest) -> None:
    append(table, [ONE, TWO])
    append(table, [ONE])
    between = catalogs.first_do(lambda: append(table, [sale(sale_id="three")]))
    keep_one_row(target_of(table, between), ONE.key)
    assert table.sale_ids() == ["one", "three", "two"]


def test_the_answer_to_the_commit_is_lost(sqlite_table: TableUnderTest) -> None:
    append(sqlite_table, [ONE, TWO])
    append(sqlite_table, [ONE])
    keep_one_row(target_of(sqlite_table, catalogs.answer_lost), ONE.key)
    assert sqlite_table.sale_ids() == ["one", "two"]


def test_the_commit_arrives_late(table: TableUnderTest) -> None:
    append(table, [ONE, TWO])
    append(table, [ONE])
    held = catalogs.Held()
    keep_one_row(target_of(table, held), ONE.key)
    with pytest.raises(Exception, match=r"(?i)branch|ref|requirement|conflict|commit"):
        held.deliver()
    assert table.sale_ids() == ["one", "two"]


def test_the_catalog_never_answers(sqlite_table: TableUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    append(sqlite_table, [ONE])
    append(sqlite_table, [ONE])
    monkeypatch.setattr(dedupe, "TRY_SECONDS", 0.3)
    with pytest.raises(StoreUnavailable, match="Run the command again"):
        keep_one_row(target_of(sqlite_table, *[catalogs.never_sent] * 50), ONE.key)
    assert sqlite_table.sale_ids() == ["one", "one"]


def test_an_earlier_attempt_can_still_be_judged(sqlite_table: TableUnderTest) -> None:
    """The rows that an attempt landed are rewritten, but its snapshot stays in the history."""
    deadline = Deadline.after(SystemClock(), 60)
    writer = sqlite_table.writer()
    attempt = writer.begin(7, deadline)
    attempt.append([ONE], (), deadline)
    append(sqlite_table, [ONE])
    keep_one_row(target_of(sqlite_table), ONE.key)
    snapshots = {snapshot.snapshot_id for snapshot in sqlite_table.load().snapshots()}
    assert 7 in snapshots
    later = sqlite_table.writer(seed=2)
    later.begin(8, deadline).append([TWO], (), deadline)
    assert sqlite_table.sale_ids() == ["one", "two"]
