"""Delivers batches or events to handlers in parallel, each in its own process, and redelivers what they give back."""

from __future__ import annotations

import heapq
import multiprocessing
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from carousel_sync.bench.payloads import Payload, delivered_again
from carousel_sync.bench.worker import INVOCATION_SECONDS, Invocation, become_handler, invoke
from lambda_fn.errors import StoreUnavailable
from lambda_fn.runtime.retry import Clock, SystemClock

_START_SECONDS: Final = 60.0
# A handler answers before its invocation's time is over. After this time it is considered hung.
_HUNG_SECONDS: Final = INVOCATION_SECONDS + 30.0
_CONSEQUENCE: Final = (
    "All handlers were stopped; the claims that they hold stay open until their leases expire. See the end of the "
    "emulator's log."
)

Submit = Callable[[str], "Future[Invocation]"]
"""Invokes an idle handler with a payload file, as soon as there is one."""


@dataclass
class Tally:
    """The deliveries so far.

    ``given_back`` counts a message each time it is given back; ``abandoned`` counts messages that are not delivered
    any more. ``seconds`` runs from the first delivery to the latest answer.
    """

    invocations: list[Invocation] = field(default_factory=list)
    delivered: int = 0
    settled: int = 0
    given_back: int = 0
    abandoned: int = 0
    seconds: float = 0.0


OnAnswer = Callable[[Tally], None]


def run(
    payloads: Sequence[Payload], concurrency: int, environment: Mapping[str, str], on_answer: OnAnswer = lambda _: None
) -> Tally:
    """Deliver all batches. What is given back is delivered again after the time that the function asks for.

    There are ``concurrency`` handlers, but no more than batches.

    ``on_answer`` is called after each answer. Raises StoreUnavailable when a handler does not start or does not
    answer. All processes are then ended; the claims that they hold stay open until their leases expire.
    """
    with _handlers(min(concurrency, len(payloads)), environment) as executor:
        return deliver(lambda path: executor.submit(invoke, path), payloads, on_answer, SystemClock())


def deliver(submit: Submit, payloads: Sequence[Payload], on_answer: OnAnswer, clock: Clock) -> Tally:
    """Deliver all batches to the handlers behind ``submit``; see :func:`run`."""
    tally = Tally()
    started = clock.monotonic()
    busy = {submit(str(payload.path)): payload for payload in payloads}
    delayed: list[tuple[float, int, Payload]] = []  # Due time, tie-breaker, batch.
    while busy or delayed:
        while delayed and delayed[0][0] <= clock.monotonic():
            payload = heapq.heappop(delayed)[2]
            busy[submit(str(payload.path))] = payload
        pause = delayed[0][0] - clock.monotonic() if delayed else _HUNG_SECONDS
        if not busy:
            clock.sleep(pause)
            continue
        answered, _ = wait(busy, min(pause, _HUNG_SECONDS), FIRST_COMPLETED)
        if not answered and pause >= _HUNG_SECONDS:
            raise StoreUnavailable(f"A handler has not answered for {_HUNG_SECONDS:.0f} s. {_CONSEQUENCE}")
        for future in answered:
            payload, invocation = busy.pop(future), _result(future)
            tally.seconds = clock.monotonic() - started
            _record(tally, payload, invocation)
            if (invocation.error or invocation.given_back) and not payload.is_last_delivery:
                again, seconds = delivered_again(payload, None if invocation.error else set(invocation.given_back))
                heapq.heappush(delayed, (clock.monotonic() + seconds, len(tally.invocations), again))
            on_answer(tally)
    return tally


def _record(tally: Tally, payload: Payload, invocation: Invocation) -> None:
    given_back = payload.messages if invocation.error else len(invocation.given_back)
    tally.invocations.append(invocation)
    tally.delivered += payload.messages
    tally.given_back += given_back
    tally.settled += payload.messages - given_back
    tally.abandoned += given_back if payload.is_last_delivery else 0


def _result(future: Future[Invocation]) -> Invocation:
    try:
        return future.result()
    except BrokenExecutor as error:
        ended = "A handler's process ended while it worked on a batch; its output is above."
        raise StoreUnavailable(f"{ended} {_CONSEQUENCE}") from error


@contextmanager
def _handlers(number: int, environment: Mapping[str, str]) -> Iterator[ProcessPoolExecutor]:
    """Start the processes, wait until each is ready for a batch, and end them in any case."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(number + 1)
    executor = ProcessPoolExecutor(number, context, become_handler, (dict(environment), ready))
    try:
        for _ in range(number):
            executor.submit(int)  # The executor starts a process for each task that finds none idle.
        try:
            ready.wait(_START_SECONDS)
        except threading.BrokenBarrierError as error:
            late = f"A handler's process ended while it started, or did not start within {_START_SECONDS:.0f} s"
            raise StoreUnavailable(f"{late}; its output is above. All handlers were stopped.") from error
        yield executor
    except BaseException:
        for process in multiprocessing.active_children():
            process.kill()
        raise
    finally:
        executor.shutdown(cancel_futures=True)
