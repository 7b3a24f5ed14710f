"""Runs handlers in parallel, each in its own process, and gives each batch to whichever handler is idle."""

from __future__ import annotations

import heapq
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Final, cast

from carousel_sync.bench.payloads import Payload, delivered_again
from carousel_sync.bench.worker import INVOCATION_SECONDS, Invocation, serve
from lambda_fn.errors import StoreUnavailable
from lambda_fn.runtime.retry import Clock, SystemClock

MAX_DELIVERIES: Final = 10
_START_SECONDS: Final = 60.0
# A handler answers before its invocation's time is over. After this time it is considered hung.
_HUNG_SECONDS: Final = INVOCATION_SECONDS + 30.0

if TYPE_CHECKING:
    Worker = Connection[object, object]
else:
    Worker = Connection  # not subscriptable at run time


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


def run(
    payloads: Sequence[Payload],
    concurrency: int,
    environment: Mapping[str, str],
    on_answer: Callable[[Tally], None] = lambda _: None,
) -> Tally:
    """Deliver all batches. What is given back is delivered again after the time that the function asks for.

    ``on_answer`` is called after each answer. Raises StoreUnavailable when a handler does not start or does not
    answer. All processes are then ended; the claims that they hold stay open until their leases expire.
    """
    with _workers(concurrency, environment) as workers:
        return deliver(workers, payloads, on_answer, SystemClock())


def deliver(
    workers: Sequence[Worker], payloads: Sequence[Payload], on_answer: Callable[[Tally], None], clock: Clock
) -> Tally:
    """Deliver all batches to the handlers at the other ends of the connections; see :func:`run`."""
    return _Dispatcher(workers, payloads, on_answer, clock).run()


class _Dispatcher:
    def __init__(
        self,
        workers: Sequence[Worker],
        payloads: Sequence[Payload],
        on_answer: Callable[[Tally], None],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._idle = deque(workers)
        self._busy: dict[Worker, Payload] = {}
        self._ready = deque(payloads)
        # Due time, tie-breaker, batch.
        self._delayed: list[tuple[float, int, Payload]] = []
        self._on_answer = on_answer
        self._tally = Tally()

    def run(self) -> Tally:
        started = self._clock.monotonic()
        while self._ready or self._busy or self._delayed:
            self._hand_out()
            for worker in self._wait_for_answers():
                self._record(worker, cast("Invocation", _received(worker, "while it worked on a batch")))
                self._tally.seconds = self._clock.monotonic() - started
                self._on_answer(self._tally)
        return self._tally

    def _hand_out(self) -> None:
        while self._delayed and self._seconds_until_next() <= 0:
            self._ready.append(heapq.heappop(self._delayed)[2])
        while self._idle and self._ready:
            worker, payload = self._idle.popleft(), self._ready.popleft()
            _send(worker, str(payload.path))
            self._busy[worker] = payload

    def _wait_for_answers(self) -> list[Worker]:
        if not self._busy:
            self._clock.sleep(max(0.0, self._seconds_until_next()))
            return []
        due_in = self._seconds_until_next() if self._delayed and self._idle else _HUNG_SECONDS
        answered = wait(list(self._busy), timeout=max(0.0, min(_HUNG_SECONDS, due_in)))
        if not answered and due_in >= _HUNG_SECONDS:
            raise StoreUnavailable(
                f"A handler has not answered for {_HUNG_SECONDS:.0f} s. All handlers were stopped; the claims that "
                "they hold stay open until their leases expire. See the end of the emulator's log."
            )
        return cast("list[Worker]", answered)

    def _seconds_until_next(self) -> float:
        return self._delayed[0][0] - self._clock.monotonic()

    def _record(self, worker: Worker, invocation: Invocation) -> None:
        payload = self._busy.pop(worker)
        self._idle.append(worker)
        tally = self._tally
        tally.invocations.append(invocation)
        tally.delivered += payload.messages
        given_back = payload.messages if invocation.error else len(invocation.given_back)
        tally.given_back += given_back
        tally.settled += payload.messages - given_back
        if given_back and payload.deliveries == MAX_DELIVERIES:
            tally.abandoned += given_back
        elif given_back:
            messages = None if invocation.error else set(invocation.given_back)
            again, seconds = delivered_again(payload, messages)
            heapq.heappush(self._delayed, (self._clock.monotonic() + seconds, len(tally.invocations), again))


@contextmanager
def _workers(number: int, environment: Mapping[str, str]) -> Iterator[list[Worker]]:
    """Start the processes, wait until each is ready for a batch, and end them in any case."""
    context = multiprocessing.get_context("spawn")
    workers: list[Worker] = []
    processes = []
    try:
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, dict(environment)), daemon=True)
            process.start()
            theirs.close()
            workers.append(ours)
            processes.append(process)
        for worker in workers:
            if not worker.poll(_START_SECONDS):
                raise StoreUnavailable(f"A handler's process did not start within {_START_SECONDS:.0f} s.")
            _received(worker, "while it started")
        yield workers
        for worker in workers:
            worker.send(None)
        for process in processes:
            process.join(_START_SECONDS)
    finally:
        for process in processes:
            process.kill()
            process.join()
        for worker in workers:
            worker.close()


def _send(worker: Worker, path: str) -> None:
    try:
        worker.send(path)
    except OSError as error:
        raise _ended("before it received a batch") from error


def _received(worker: Worker, when: str) -> object:
    try:
        return worker.recv()
    except (EOFError, OSError) as error:
        raise _ended(when) from error


def _ended(when: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"A handler's process ended {when}; its output is above. All handlers were stopped; the claims that they hold "
        "stay open until their leases expire."
    )
