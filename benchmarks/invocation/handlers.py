"""The whole handler on a batch of 500 sales and on one direct event, with 5 ms added to each request."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import Final

from benchmarks.invocation.plain_handler import PlainHandler
from benchmarks.measuring import Bench, Cost, cost_of, paired_ratio, timed
from benchmarks.report import Row
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
    requests: dict[str, list[RecordedRequest]] = {}

    def handled_by(name: str) -> Cost:
        event = batch(SALES)
        emulator.delay(DELAY_MILLISECONDS)
        cost = cost_of(handlers[name], event)
        requests[name] = emulator.requests()
        return cost

    costs = bench.alternate({name: partial(handled_by, name) for name in handlers}, bench.repetitions(8), warm_up=0)
    emulator.delay(0)
    for name, recorded in requests.items():
        bench.note(f"requests of a batch of {SALES}, {name}", all=dict(counted(recorded)))
    ours, plain = (sum(1 for request in requests[name] if request.service == "dynamodb") for name in handlers)
    name, target = f"batch of {SALES} sales: requests to DynamoDB", f"<= {MAX_DYNAMODB_REQUESTS}"
    return [
        _cost_row("CPU", {name: [cost.cpu for cost in costs[name]] for name in costs}, MIN_TIMES_LESS_CPU),
        _cost_row("wall time", {name: [cost.wall for cost in costs[name]] for name in costs}, MIN_TIMES_LESS_WALL),
        Row(name, "requests", [ours], [plain], plain / ours, target, ours <= MAX_DYNAMODB_REQUESTS),
    ]


def _cost_row(what: str, costs: dict[str, list[float]], times_less: float) -> Row:
    ours, plain = costs.values()
    ratio = paired_ratio(plain, ours)
    name = f"batch of {SALES} sales of {DIMENSION} dimensions, {DELAY_MILLISECONDS} ms added: {what}"
    return Row(name, "ms", ours, plain, ratio, f">= {times_less:.0f} x less", ratio >= times_less)


def direct_event(bench: Bench) -> list[Row]:
    """Handle single events with both handlers in turn."""
    emulator, handlers = bench.emulator, _handlers(bench.emulator)
    measured = {name: timed(lambda: next(envelopes(1)), handle) for name, handle in handlers.items()}
    emulator.delay(DELAY_MILLISECONDS)
    milliseconds = bench.alternate(measured, bench.repetitions(DIRECT_EVENTS), WARM_UP_EVENTS)
    emulator.delay(DELAY_MILLISECONDS)
    handlers["ours"](next(envelopes(1)))
    bench.note("requests of one direct event, ours", all=dict(counted(emulator.requests())))
    emulator.delay(0)
    ours, plain = milliseconds.values()
    name = f"one direct event of {DIMENSION} dimensions, {DELAY_MILLISECONDS} ms added: inside the handler"
    target, met = f"<= {MAX_DIRECT_MILLISECONDS:.0f} ms", median(ours) <= MAX_DIRECT_MILLISECONDS
    return [Row(name, "ms", ours, plain, paired_ratio(plain, ours), target, met)]


def _handlers(emulator: ProxiedEmulator) -> dict[str, Handle]:
    ours, plain = emulator.create_stores(), emulator.create_stores()
    return {
        "ours": function_handler(ours.settings(emulator.proxy)),
        "plain": PlainHandler(plain.environment(emulator.proxy)).handle,
    }
