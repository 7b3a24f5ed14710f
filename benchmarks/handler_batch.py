"""The whole handler on a batch of 500 sales, and on one direct event, with 5 ms added to each request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from benchmarks.events import DIMENSION, batch, envelopes
from benchmarks.latency_proxy import Passed
from benchmarks.measuring import Bench, Cost, cost_of
from benchmarks.plain import PlainHandler, PlainSettings
from benchmarks.report import Row, paired_ratio
from benchmarks.stand import Context, Stand, Stores, counted, quiet, wired
from catalog_config import s3_tables
from lambda_fn.settings import Settings

DELAY_MILLISECONDS: Final = 5
SALES: Final = 500
WARM_UP_SALES: Final = 20
DIRECT_EVENTS: Final = 30

DYNAMODB_REQUESTS: Final = 70
TIMES_LESS_CPU: Final = 6.0
TIMES_LESS_WALL: Final = 4.0
DIRECT_MILLISECONDS: Final = 60.0

Handle = Callable[[dict[str, Any]], object]


def whole_batch(bench: Bench) -> list[Row]:
    """Handle batches with both handlers in turn."""
    stand = bench.stand
    handlers = {"ours": our_handler(stand, stand.stores()), "plain": plain_handler(stand, stand.stores())}
    for handle in handlers.values():
        handle(batch(WARM_UP_SALES))
    costs: dict[str, list[Cost]] = {name: [] for name in handlers}
    passed: dict[str, list[Passed]] = {}
    repetitions = bench.repetitions(8)
    for number in range(repetitions):
        for name, handle in handlers.items():
            bench.step(f"{SALES} sales, {name}: {number + 1} of {repetitions}")
            event = batch(SALES)
            stand.delay(DELAY_MILLISECONDS)
            costs[name].append(cost_of(lambda handle=handle, event=event: handle(event)))  # type: ignore[misc]
            passed[name] = stand.passed()
    stand.delay(0)
    for name, requests in passed.items():
        bench.note(f"requests of a batch of {SALES}, {name}", all=dict(counted(requests)))
    return [*_costs(costs["ours"], costs["plain"]), _dynamodb_requests(passed["ours"], passed["plain"])]


def _costs(ours: Sequence[Cost], plain: Sequence[Cost]) -> list[Row]:
    less_cpu = paired_ratio([cost.cpu for cost in plain], [cost.cpu for cost in ours])
    less_wall = paired_ratio([cost.wall for cost in plain], [cost.wall for cost in ours])
    name = f"batch of {SALES} sales of {DIMENSION} dimensions, {DELAY_MILLISECONDS} ms added"
    return [
        Row(
            f"{name}: CPU",
            "ms",
            [cost.cpu * 1000 for cost in ours],
            f">= {TIMES_LESS_CPU:.0f} x less",
            met=less_cpu >= TIMES_LESS_CPU,
            anchor=[cost.cpu * 1000 for cost in plain],
            ratio=less_cpu,
        ),
        Row(
            f"{name}: wall time",
            "ms",
            [cost.wall * 1000 for cost in ours],
            f">= {TIMES_LESS_WALL:.0f} x less",
            met=less_wall >= TIMES_LESS_WALL,
            anchor=[cost.wall * 1000 for cost in plain],
            ratio=less_wall,
        ),
    ]


def _dynamodb_requests(ours: Sequence[Passed], plain: Sequence[Passed]) -> Row:
    our_count, plain_count = (sum(1 for one in passed if one.service == "dynamodb") for passed in (ours, plain))
    return Row(
        f"batch of {SALES} sales: requests to DynamoDB",
        "requests",
        [our_count],
        f"<= {DYNAMODB_REQUESTS}",
        met=our_count <= DYNAMODB_REQUESTS,
        anchor=[plain_count],
        ratio=plain_count / our_count,
    )


def direct_event(bench: Bench) -> list[Row]:
    """Handle single events with both handlers in turn."""
    stand = bench.stand
    handlers = {"ours": our_handler(stand, stand.stores()), "plain": plain_handler(stand, stand.stores())}
    milliseconds: dict[str, list[float]] = {name: [] for name in handlers}
    stand.delay(DELAY_MILLISECONDS)
    warm_up = 3
    for number, event in enumerate(envelopes(warm_up + bench.repetitions(DIRECT_EVENTS))):
        bench.step(f"event {number + 1}")
        for name, handle in handlers.items():
            cost = cost_of(lambda handle=handle, event=event: handle(event))  # type: ignore[misc]
            if number >= warm_up:
                milliseconds[name].append(cost.wall * 1000)
    stand.delay(DELAY_MILLISECONDS)
    handlers["ours"](next(envelopes(1)))
    bench.note("requests of one direct event, ours", all=dict(counted(stand.passed())))
    stand.delay(0)
    ours, plain = milliseconds["ours"], milliseconds["plain"]
    middle = sorted(ours)[len(ours) // 2]
    return [
        Row(
            f"one direct event of {DIMENSION} dimensions, {DELAY_MILLISECONDS} ms added: inside the handler",
            "ms",
            ours,
            f"<= {DIRECT_MILLISECONDS:.0f} ms",
            met=middle <= DIRECT_MILLISECONDS,
            anchor=plain,
            ratio=paired_ratio(plain, ours),
        )
    ]


def our_handler(stand: Stand, stores: Stores, endpoint: str | None = None) -> Handle:
    """Return the function's handler on these stores."""
    application = wired(stand.settings(stores, endpoint))

    def handle(event: dict[str, Any]) -> object:
        with quiet():
            answer = application.handle(event, Context())
        assert not answer.get("batchItemFailures"), answer
        return answer

    return handle


def plain_handler(stand: Stand, stores: Stores) -> Handle:
    """Return the anchor's handler on these stores."""
    return PlainHandler(plain_settings(stand.settings(stores))).handle


def plain_settings(settings: Settings) -> PlainSettings:
    """Return the anchor's settings for the same stores."""
    assert settings.endpoint_url is not None
    return PlainSettings(
        region=settings.region,
        endpoint=settings.endpoint_url,
        catalog=s3_tables.properties(settings.catalog),
        identifier=settings.table_identifier,
        guard_table=settings.guard_table,
        projection_table=settings.projection_table,
    )
