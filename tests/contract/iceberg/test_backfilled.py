"""A backfill lands old sales without claims: an attempt that has looked one up must not commit over its rows."""

from __future__ import annotations

from datetime import date

import pytest

from catalog_config.table_properties import BACKFILL
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import Claimed, GiveUp, Landed, NotKnownToHaveLanded, Resolution
from lambda_fn.runtime.retry import Deadline, SystemClock
from tests.builders import sale
from tests.catalogs import faulty, first_do
from tests.contract.iceberg.group_writers import Attempt, GroupWriters
from tests.tables import TableUnderTest

OLD = sale(sale_id="old", sold_date=date(2019, 5, 17))
OTHER = sale(sale_id="other", sold_date=date(2019, 5, 18))


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 120)


def backfill(table: TableUnderTest, *, marked: bool = True) -> None:
    """Append the old sale as a backfill does: without a claim, and with its property."""
    loaded = table.load()
    properties = {BACKFILL: "true"} if marked else {}
    loaded.append(arrow_table([OLD], loaded.schema()), snapshot_properties=properties)


def lose_the_race(table: TableUnderTest, *, marked: bool) -> object:
    """Look the old sale up, and commit it after a backfill has landed it."""
    attempt = table.writer(faulty(first_do(lambda: backfill(table, marked=marked)))).begin(7, soon())
    assert attempt.resolve([], [OLD], soon()) == Resolution()
    return attempt.append([OLD], (), soon())


def test_an_attempt_gives_up_if_a_backfill_has_added_rows_since_its_look_up(table: TableUnderTest) -> None:
    result = lose_the_race(table, marked=True)
    assert isinstance(result, NotKnownToHaveLanded)
    assert result.cause is GiveUp.BACKFILLED
    assert table.sale_ids() == ["old"]
    again = table.writer().begin(8, soon())
    assert again.resolve([Claimed(OLD, base=-1, earlier_attempts=(7,))], [OLD], soon()) == Resolution({OLD.key: None})


def test_without_its_property_a_backfill_would_double_the_sale(table: TableUnderTest) -> None:
    assert lose_the_race(table, marked=False) == Landed(7, conflicts=1)
    assert table.sale_ids() == ["old", "old"]


def test_an_attempt_without_a_look_up_commits_over_a_backfill(table: TableUnderTest) -> None:
    attempt = table.writer(faulty(first_do(lambda: backfill(table)))).begin(7, soon())
    assert attempt.append([OTHER], (), soon()) == Landed(7, conflicts=1)
    assert table.sale_ids() == ["old", "other"]


def test_a_backfill_before_the_look_up_is_no_reason(table: TableUnderTest) -> None:
    backfill(table)
    attempt = table.writer().begin(7, soon())
    assert attempt.resolve([], [OLD, OTHER], soon()) == Resolution({OLD.key: None})
    assert attempt.append([OTHER], (), soon()) == Landed(7)


@pytest.mark.parametrize("looked_up", [True, False])
def test_a_leader_lands_a_member_over_a_backfill_unless_it_has_looked_sales_up(
    table: TableUnderTest, looked_up: bool
) -> None:
    leader, member = Attempt(500), Attempt(501, looked_up=looked_up)
    results = GroupWriters(table).land(leader, member, wrap=faulty(first_do(lambda: backfill(table))))
    assert results[500] == Landed(500, conflicts=1, group_size=1 if looked_up else 2)
    if looked_up:
        assert isinstance(result := results[501], NotKnownToHaveLanded)
        assert result.cause is GiveUp.BACKFILLED
    else:
        assert results[501] == Landed(500, group_size=0)
    assert table.sale_ids() == (["0500-0", "old"] if looked_up else ["0500-0", "0501-0", "old"])
