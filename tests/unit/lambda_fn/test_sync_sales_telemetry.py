"""What SyncSales logs and measures."""

from __future__ import annotations

from lambda_fn.ports import MAX_IDS_PER_LINE, Landed, Metric
from tests.unit.lambda_fn.sync_sales_ports import ATTEMPT, Ports, taken_over


def test_what_is_logged_and_measured() -> None:
    ports = Ports(append_result=Landed(ATTEMPT, conflicts=3))
    ports.clock.advance(1000)
    ports.sync("b", "a")
    assert ports.lines == [
        (
            "[CarouselSync] S3 Tables write successful",
            {"attempt_id": ATTEMPT, "snapshot_id": ATTEMPT, "count": 2, "conflicts": 3, "milliseconds": 750},
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
