"""The figures of a run are derived from its invocations and its outcome."""

from __future__ import annotations

from dataclasses import replace

import pytest

from carousel_sync.bench.figures import Outcome, latencies, percentile
from carousel_sync.local_stack.stack import DeliveryMode
from tests.unit.carousel_sync.bench.runs import CONSISTENT, TWO_SALES, figures


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 11)]
    assert [percentile(values, percent) for percent in (50, 90, 99, 100)] == [5, 9, 10, 10]
    assert percentile([7.0], 50) == 7
    assert latencies([1.0, 2.0, 3.0]) == {"p50": 2.0, "p90": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}


def test_figures_cover_all_handlers() -> None:
    found = figures(0.4, 0.2, 0.3)
    assert found.seconds == [0.2, 0.3, 0.4]
    assert found.events_per_second == 2.5
    assert found.conflicts == 3
    assert found.requests == {"s3 PUT": 9}
    # The first invocation of a process creates the clients, so it does not count.
    assert found.cpu_milliseconds_per_batch == pytest.approx(125)
    assert found.sales_per_commit == 1
    assert found.as_json()["batch_milliseconds"] == {"p50": 300, "p90": 400, "p95": 400, "p99": 400, "max": 400}


def test_a_direct_run_shows_events_and_the_sizes_of_groups() -> None:
    sizes = {1: 6, 2: 1, 3: 2, 4: 1, 7: 4, 16: 12}
    outcome = Outcome(TWO_SALES, CONSISTENT, commits=26, data_files=3, snapshot_bytes=630.0, group_sizes=sizes)
    found = figures(0.4, 0.2, outcome=outcome, mode=DeliveryMode.DIRECT)
    facts = found.facts()
    assert facts["Events"].startswith("10 one by one")
    assert facts["Event, p95"] == "400 ms"
    assert {name: text.split()[0] for name, text in facts.items() if "invocation" in name} == {
        "  of 1 invocation": "6",
        "  of 2 invocations": "1",
        "  of 3 to 4 invocations": "3",
        "  of 5 to 8 invocations": "4",
        "  of 9 to 16 invocations": "12",
    }
    assert "A million sales" not in facts
    assert found.as_json()["group_sizes"]["16"] == 12
    assert found.as_json()["usd_per_million_sales"] is None


@pytest.mark.parametrize(
    ("outcome", "exactly_once"),
    [
        (Outcome(TWO_SALES, CONSISTENT, 1, 1, 0.0), True),
        (Outcome(TWO_SALES | {"t#3"}, CONSISTENT, 1, 1, 0.0), False),
        (Outcome(TWO_SALES, replace(CONSISTENT, rows=3), 1, 1, 0.0), False),
        (Outcome(TWO_SALES, replace(CONSISTENT, items=1), 1, 1, 0.0), False),
        (Outcome(TWO_SALES, replace(CONSISTENT, doubled_rows=["t/s"]), 1, 1, 0.0), False),
        (Outcome(TWO_SALES, replace(CONSISTENT, open_claims=["t/s"]), 1, 1, 0.0), False),
    ],
)
def test_exactly_once_requires_one_row_and_one_item_for_each_sale(outcome: Outcome, exactly_once: bool) -> None:
    assert outcome.exactly_once is exactly_once
    assert figures(0.1, outcome=outcome).as_json()["exactly_once"] is exactly_once
