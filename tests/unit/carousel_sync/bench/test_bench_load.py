"""What is given back comes again, after the pause that the function asks for, and not for ever."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from carousel_sync.bench.load import MOST_DELIVERIES, Course, deliver
from carousel_sync.bench.payloads import Payload, prepare
from carousel_sync.bench.worker import Invocation
from carousel_sync.events.generate import Recipe
from lambda_fn.errors import StoreUnavailable
from tests.fakes.clock import FakeClock

ARN = "arn:aws:sqs:eu-west-1:000000000000:queue"
RECIPE = Recipe(6, seed=3, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0, embedding=0)

Answer = Callable[[list[str], int], Invocation]


@pytest.fixture
def payloads(tmp_path: Path) -> list[Payload]:
    return prepare(RECIPE, 3, ARN, tmp_path).payloads


@contextmanager
def handler(answer: Answer) -> Iterator[Connection[object, object]]:
    """A handler that is told the messages' ids, and how often they have been delivered; it ends when it is hung up."""
    ours, theirs = Pipe()

    def serve() -> None:
        with theirs:
            while True:
                try:
                    path = theirs.recv()
                except EOFError:
                    return
                records = json.loads(Path(str(path)).read_text())["Records"]
                deliveries = int(records[0]["attributes"]["ApproximateReceiveCount"])
                theirs.send(answer([record["messageId"] for record in records], deliveries))

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        yield ours
    thread.join()


def done(given_back: tuple[str, ...] = (), error: str = "") -> Invocation:
    return Invocation(0.1, 0.05, first=False, given_back=given_back, error=error)


def watched(answer: Answer, payloads: list[Payload], clock: FakeClock) -> tuple[Course, list[int]]:
    settled: list[int] = []
    with handler(answer) as connection:
        course = deliver([connection], payloads, lambda so_far: settled.append(so_far.settled), clock)
    return course, settled


def test_every_batch_is_delivered_once_when_nothing_is_given_back(payloads: list[Payload]) -> None:
    course, settled = watched(lambda ids, deliveries: done(), payloads, FakeClock())
    assert (course.delivered, course.settled, course.given_back, course.abandoned) == (6, 6, 0, 0)
    assert settled == [3, 6]


def test_what_is_given_back_comes_again_after_its_pause(payloads: list[Payload]) -> None:
    clock = FakeClock()
    course, settled = watched(lambda ids, deliveries: done(tuple(ids[:1]) if deliveries < 3 else ()), payloads, clock)
    # Two batches of three: one message of each comes back twice, after 10 and after 20 seconds.
    assert settled == [2, 4, 4, 4, 5, 6]
    assert (course.given_back, course.settled, course.abandoned) == (4, 6, 0)
    assert course.seconds == clock.monotonic() == 30


def test_an_invocation_that_fails_gives_everything_back(payloads: list[Payload]) -> None:
    course, _ = watched(
        lambda ids, deliveries: done(error="RuntimeError: no" if deliveries == 1 else ""), payloads, FakeClock()
    )
    assert (course.delivered, course.given_back, course.settled) == (12, 6, 6)


def test_what_comes_back_for_ever_is_abandoned(payloads: list[Payload]) -> None:
    course, _ = watched(lambda ids, deliveries: done(tuple(ids)), payloads[:1], FakeClock())
    assert (len(course.invocations), course.settled, course.abandoned) == (MOST_DELIVERIES, 0, 3)


def test_a_handler_that_ends_is_reported(payloads: list[Payload]) -> None:
    ours, theirs = Pipe()
    theirs.close()
    with ours, pytest.raises(StoreUnavailable, match="ended before it got a batch"):
        deliver([ours], payloads, lambda so_far: None, FakeClock())
