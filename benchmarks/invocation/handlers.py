"""The whole handler on a batch of 500 sales and on one direct event, with 5 ms added to each request."""

from __future__ import annotations

from typing import Final

from benchmarks.invocation.plain_handler import PlainHandler, PlainSettings
from benchmarks.measuring import Bench, Cost, cost_of, paired_ratio
from benchmarks.report import Row
from catalog_config import s3_tables
from testbed.function import Handle, function_handler
from testbed.latency_proxy import RecordedRequest
from testbed.proxied_emulator import ProxiedEmulator, counted
from testbed.sales import DIMENSION, batch, envelopes

DELAY_MILLISECONDS: Final = 5
SALES: Final = 500
WARM_UP_SALES: Final = 20
DIRECT_EVENTS: Final = 30
WARM_UP_EVENTS: Final = 3

MAX_DYNAMODB_REQUESTS: Final = 70
MIN_TIMES_LESS_CPU: Final = 6.0
MIN_TIMES_LESS_WALL: Final = 4.0
MAX_DIRECT_MILLISECONDS: Final = 65.0


def whole_batch(bench: Bench) -> list[Row]:
    """Handle batches with both handlers in turn."""
    emulator, handlers = bench.emulator, _handlers(bench.emulator)
    for handle in handlers.values():
        handle(batch(WARM_UP_SALES))
    costs: dict[str, list[Cost]] = {name: [] for name in handlers}
    requests: dict[str, list[RecordedRequest]] = {}
    repetitions = bench.repetitions(8)
    for number in range(repetitions):
        for name, handle in handlers.items():
            bench.step(f"{SALES} sales, {name}: {number + 1} of {repetitions}")
            event = batch(SALES)
            emulator.delay(DELAY_MILLISECONDS)
            costs[name].append(cost_of(lambda handle=handle, event=event: handle(event)))  # type: ignore[misc]
            requests[name] = emulator.requests()
    emulator.delay(0)
    for name, recorded in requests.items():
        bench.note(f"requests of a batch of {SALES}, {name}", all=dict(counted(recorded)))
    return [
        _cost_row(
            "CPU", [cost.cpu for cost in costs["ours"]], [cost.cpu for cost in costs["plain"]], MIN_TIMES_LESS_CPU
        ),
        _cost_row(
            "wall time",
            [cost.wall for cost in costs["ours"]],
            [cost.wall for cost in costs["plain"]],
            MIN_TIMES_LESS_WALL,
        ),
        _dynamodb_row(*(sum(1 for request in requests[name] if request.service == "dynamodb") for name in handlers)),
    ]


def _cost_row(what: str, ours: list[float], plain: list[float], times_less: float) -> Row:
    ratio = paired_ratio(plain, ours)
    name = f"batch of {SALES} sales of {DIMENSION} dimensions, {DELAY_MILLISECONDS} ms added: {what}"
    return Row(name, "ms", ours, plain, ratio, f">= {times_less:.0f} x less", ratio >= times_less)


def _dynamodb_row(ours: int, plain: int) -> Row:
    return Row(
        f"batch of {SALES} sales: requests to DynamoDB",
        "requests",
        [ours],
        [plain],
        plain / ours,
        f"<= {MAX_DYNAMODB_REQUESTS}",
        ours <= MAX_DYNAMODB_REQUESTS,
    )


def direct_event(bench: Bench) -> list[Row]:
    """Handle single events with both handlers in turn."""
    emulator, handlers = bench.emulator, _handlers(bench.emulator)
    milliseconds: dict[str, list[float]] = {name: [] for name in handlers}
    emulator.delay(DELAY_MILLISECONDS)
    for number, event in enumerate(envelopes(WARM_UP_EVENTS + bench.repetitions(DIRECT_EVENTS))):
        bench.step(f"event {number + 1}")
        for name, handle in handlers.items():
            cost = cost_of(lambda handle=handle, event=event: handle(event))  # type: ignore[misc]
            if number >= WARM_UP_EVENTS:
                milliseconds[name].append(cost.wall)
    emulator.delay(DELAY_MILLISECONDS)
    handlers["ours"](next(envelopes(1)))
    bench.note("requests of one direct event, ours", all=dict(counted(emulator.requests())))
    emulator.delay(0)
    ours, plain = milliseconds["ours"], milliseconds["plain"]
    return [
        Row(
            f"one direct event of {DIMENSION} dimensions, {DELAY_MILLISECONDS} ms added: inside the handler",
            "ms",
            ours,
            plain,
            paired_ratio(plain, ours),
            f"<= {MAX_DIRECT_MILLISECONDS:.0f} ms",
            sorted(ours)[len(ours) // 2] <= MAX_DIRECT_MILLISECONDS,
        )
    ]


def _handlers(emulator: ProxiedEmulator) -> dict[str, Handle]:
    settings = emulator.create_stores().settings(emulator.proxy)
    plain = PlainSettings(
        region=settings.region,
        endpoint=emulator.proxy,
        catalog=s3_tables.properties(settings.catalog),
        identifier=settings.table_identifier,
        guard_table=settings.guard_table,
        projection_table=settings.projection_table,
    )
    ours = emulator.create_stores().settings(emulator.proxy)
    return {"ours": function_handler(ours), "plain": PlainHandler(plain).handle}
