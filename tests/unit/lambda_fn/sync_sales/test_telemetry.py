"""What SyncSales logs and measures."""

from __future__ import annotations

import pytest

from lambda_fn.ports import MAX_IDS_PER_LINE, Landed, Metric
from tests.unit.lambda_fn.sync_sales.ports import ATTEMPT, LANDED, Ports, taken_over


def test_what_is_logged_and_measured() -> None:
    ports = Ports(append_result=Landed(ATTEMPT, conflicts=3))
    ports.clock.advance(1000)
    ports.sync("b", "a")
    assert ports.lines == [
        (
            "[CarouselSync] S3 Tables write successful",
            {
                "attempt_id": ATTEMPT,
                "snapshot_id": ATTEMPT,
                "count": 2,
                "conflicts": 3,
                "group_size": 1,
                "milliseconds": 750,
            },
        ),
        ("[CarouselSync] DynamoDB write successful", {"count": 2}),
        ("[IdempotencyManager] Event marked as processed", {"attempt_id": ATTEMPT, "sale_ids": ["a", "b"]}),
    ]
    assert ports.measured == {
        Metric.WAITING_FOR_COLUMN: 0,
        Metric.TAKEOVERS: 0,
        Metric.COMMIT_CONFLICTS: 3,
        Metric.FAILED_COMMITS: 0,
        Metric.COMMIT_MILLISECONDS: 750,
        Metric.GROUP_SIZE: 1,
    }


def test_takeovers_are_logged_and_measured() -> None:
    ports = Ports(claims={"a": taken_over(2, 3), "b": taken_over(4)})
    ports.sync("a", "b", "c")
    assert ports.lines_of("[CarouselSync] Sales taken over") == [{"attempt_id": ATTEMPT, "takeovers": 2}]
    assert ports.measured[Metric.TAKEOVERS] == 2


def test_no_line_about_completed_sales_has_more_ids_than_a_line_may_hold() -> None:
    ports = Ports()
    ports.sync(*(f"{number:04}" for number in range(MAX_IDS_PER_LINE + 1)))
    lines = [line["sale_ids"] for line in ports.lines_of("[IdempotencyManager] Event marked as processed")]
    assert [len(line) for line in lines] == [MAX_IDS_PER_LINE, 1]
    assert lines[1] == [f"{MAX_IDS_PER_LINE:04}"]


@pytest.mark.parametrize(("snapshot", "size", "measured"), [(ATTEMPT, 4, 4), (ATTEMPT + 1, 0, None)])
def test_the_leader_measures_the_size_of_a_group(snapshot: int, size: int, measured: int | None) -> None:
    ports = Ports(append_result=Landed(snapshot, group_size=size))
    assert ports.sync("a") == {"a": LANDED["a"]}, "landed by this invocation, whoever has committed the snapshot"
    _, logged = ports.lines[0]
    assert (logged["attempt_id"], logged["snapshot_id"], logged["group_size"]) == (ATTEMPT, snapshot, size)
    assert ports.measured.get(Metric.GROUP_SIZE) == measured
