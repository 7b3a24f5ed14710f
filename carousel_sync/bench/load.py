"""Handlers in parallel, each in a process of its own, and batches handed to whichever is free."""

from __future__ import annotations

import heapq
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Final, cast

from carousel_sync.bench.payloads import Payload, delivered_again
from carousel_sync.bench.worker import INVOCATION_SECONDS, Invocation, serve
from lambda_fn.errors import StoreUnavailable
from lambda_fn.runtime.retry import Clock, SystemClock

MOST_DELIVERIES: Final = 10
_START_SECONDS: Final = 60.0
# A handler answers before its invocation's time is over; this is one that will not.
_HUNG_SECONDS: Final = INVOCATION_SECONDS + 30.0


@dataclass
class Course:
    """What has happened so far. ``given_back`` counts messages, each time; ``abandoned`` those that nobody tries again.

    ``seconds`` goes from the first hand-over to the last answer.
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
    looked: Callable[[Course], None] = lambda _: None,
) -> Course:
    """Deliver all batches, and what is given back again after the time that the function asks the queue for.

    ``looked`` is called after each answer. Raises StoreUnavailable when a handler does not start or does not answer;
    its process is ended, and the claims that it holds stay open until their leases lapse.
    """
    with _workers(concurrency, environment) as workers:
        return deliver(workers, payloads, looked, SystemClock())


def deliver(
    workers: Sequence[Connection[object, object]],
    payloads: Sequence[Payload],
    looked: Callable[[Course], None],
    clock: Clock,
) -> Course:
    """Deliver all batches to the handlers at the other ends of the connections; see :func:`run`."""
    return _Dispatch(workers, payloads, looked, clock).run()


class _Dispatch:
    def __init__(
        self,
        workers: Sequence[Connection[object, object]],
        payloads: Sequence[Payload],
        looked: Callable[[Course], None],
        clock: Clock,
    ) -> None:
        self._clock = clock
        self._idle = deque(workers)
        self._busy: dict[Connection[object, object], Payload] = {}
        self._waiting = deque(payloads)
        self._later: list[tuple[float, int, Payload]] = []
        self._looked = looked
        self._course = Course()

    def run(self) -> Course:
        began = self._clock.monotonic()
        while self._waiting or self._busy or self._later:
            self._hand_over()
            for connection in self._answered():
                self._take(connection, cast("Invocation", _received(connection, "while it worked on a batch")))
                self._course.seconds = self._clock.monotonic() - began
                self._looked(self._course)
        return self._course

    def _hand_over(self) -> None:
        while self._later and self._later[0][0] <= self._clock.monotonic():
            self._waiting.append(heapq.heappop(self._later)[2])
        while self._idle and self._waiting:
            connection, payload = self._idle.popleft(), self._waiting.popleft()
            _send(connection, str(payload.path))
            self._busy[connection] = payload

    def _answered(self) -> list[Connection[object, object]]:
        if not self._busy:
            # Everything that is left comes back at a known time.
            self._clock.sleep(max(0.0, self._later[0][0] - self._clock.monotonic()))
            return []
        due_in = self._later[0][0] - self._clock.monotonic() if self._later and self._idle else _HUNG_SECONDS
        answered = wait(list(self._busy), timeout=max(0.0, min(_HUNG_SECONDS, due_in)))
        if not answered and due_in >= _HUNG_SECONDS:
            raise StoreUnavailable(
                f"A handler has not answered for {_HUNG_SECONDS:.0f} s. All of them were stopped; the claims that they "
                "held stay open until their leases lapse. Look at the end of the emulator's log."
            )
        return cast("list[Connection[object, object]]", answered)

    def _take(self, connection: Connection[object, object], invocation: Invocation) -> None:
        payload = self._busy.pop(connection)
        self._idle.append(connection)
        course = self._course
        course.invocations.append(invocation)
        course.delivered += payload.messages
        given_back = payload.messages if invocation.error else len(invocation.given_back)
        course.given_back += given_back
        course.settled += payload.messages - given_back
        if not given_back:
            return
        if payload.deliveries == MOST_DELIVERIES:
            course.abandoned += given_back
            return
        messages = None if invocation.error else set(invocation.given_back)
        again, seconds = delivered_again(payload, messages)
        heapq.heappush(self._later, (self._clock.monotonic() + seconds, len(course.invocations), again))


@contextmanager
def _workers(number: int, environment: Mapping[str, str]) -> Iterator[list[Connection[object, object]]]:
    """Start the processes, wait until each can take a batch, and end them whatever happens."""
    context = multiprocessing.get_context("spawn")
    connections: list[Connection[object, object]] = []
    processes = []
    try:
        for _ in range(number):
            ours, theirs = context.Pipe()
            process = context.Process(target=serve, args=(theirs, dict(environment)), daemon=True)
            process.start()
            theirs.close()
            connections.append(ours)
            processes.append(process)
        for connection in connections:
            if not connection.poll(_START_SECONDS):
                raise StoreUnavailable(f"A handler's process did not start within {_START_SECONDS:.0f} s.")
            _received(connection, "while it started")
        yield connections
        for connection in connections:
            connection.send(None)
        for process in processes:
            process.join(_START_SECONDS)
    finally:
        for process in processes:
            process.kill()
            process.join()
        for connection in connections:
            connection.close()


def _send(connection: Connection[object, object], path: str) -> None:
    try:
        connection.send(path)
    except OSError as error:
        raise _ended("before it got a batch") from error


def _received(connection: Connection[object, object], when: str) -> object:
    try:
        return connection.recv()
    except (EOFError, OSError) as error:
        raise _ended(when) from error


def _ended(when: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"A handler's process ended {when}; what it wrote is above. All of them were stopped; claims that they held "
        "stay open until their leases lapse."
    )
