"""Given-back messages are delivered again after the pause that the function asks for, a limited number of times."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from pathlib import Path

import pytest

from carousel_sync.bench.load import Tally, deliver
from carousel_sync.bench.payloads import (
    DIRECT_RETRY_SECONDS,
    MAX_DELIVERIES,
    MAX_DIRECT_DELIVERIES,
    Payload,
    prepare,
    prepare_events,
)
from carousel_sync.bench.worker import Invocation
from carousel_sync.events.generate import Recipe
from lambda_fn.errors import StoreUnavailable
from tests.fakes.clock import FakeClock

ARN = "arn:aws:sqs:eu-west-1:000000000000:queue"
RECIPE = Recipe(6, seed=3, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0, embedding=0)

Answer = Callable[[list[str], int], Invocation]
"""Answers the messages with these ids in this delivery."""


@pytest.fixture
def payloads(tmp_path: Path) -> list[Payload]:
    return prepare(RECIPE, 3, ARN, tmp_path).payloads


def done(given_back: tuple[str, ...] = (), error: str = "") -> Invocation:
    return Invocation(0.1, 0.05, first=False, given_back=given_back, error=error)


def deliver_all(answer: Answer, payloads: list[Payload], clock: FakeClock) -> tuple[Tally, list[int]]:
    """Deliver to a handler that answers at once. Returns the tally, and the settled messages after each answer."""
    settled: list[int] = []

    def submit(path: str) -> Future[Invocation]:
        records = json.loads(Path(path).read_text())["Records"]
        deliveries = int(records[0]["attributes"]["ApproximateReceiveCount"])
        future: Future[Invocation] = Future()
        future.set_result(answer([record["messageId"] for record in records], deliveries))
        return future

    tally = deliver(submit, payloads, lambda progress: settled.append(progress.settled), clock)
    return tally, settled


def test_without_given_back_messages_every_batch_is_delivered_once(payloads: list[Payload]) -> None:
    tally, settled = deliver_all(lambda ids, deliveries: done(), payloads, FakeClock())
    assert (tally.delivered, tally.settled, tally.given_back, tally.abandoned) == (6, 6, 0, 0)
    assert settled == [3, 6]


def test_given_back_messages_are_delivered_again_after_their_pause(payloads: list[Payload]) -> None:
    clock = FakeClock()
    tally, settled = deliver_all(
        lambda ids, deliveries: done(tuple(ids[:1]) if deliveries < 3 else ()), payloads, clock
    )
    # Two batches of three: one message of each is given back twice, for 10 and for 20 seconds.
    assert settled == [2, 4, 4, 4, 5, 6]
    assert (tally.given_back, tally.settled, tally.abandoned) == (4, 6, 0)
    assert tally.seconds == clock.monotonic() == 30


def test_a_failed_invocation_gives_everything_back(payloads: list[Payload]) -> None:
    tally, _ = deliver_all(
        lambda ids, deliveries: done(error="RuntimeError: no" if deliveries == 1 else ""), payloads, FakeClock()
    )
    assert (tally.delivered, tally.given_back, tally.settled) == (12, 6, 6)


def test_a_message_that_is_always_given_back_is_abandoned(payloads: list[Payload]) -> None:
    tally, _ = deliver_all(lambda ids, deliveries: done(tuple(ids)), payloads[:1], FakeClock())
    assert (len(tally.invocations), tally.settled, tally.abandoned) == (MAX_DELIVERIES, 0, 3)


def test_a_single_event_that_fails_is_invoked_twice_more(tmp_path: Path) -> None:
    events = prepare_events(RECIPE, tmp_path).payloads[:1]
    clock = FakeClock()

    def submit(path: str) -> Future[Invocation]:
        assert "detail" in json.loads(Path(path).read_text())
        future: Future[Invocation] = Future()
        future.set_result(done(error="RuntimeError: no"))
        return future

    tally = deliver(submit, events, lambda progress: None, clock)
    assert (len(tally.invocations), tally.settled, tally.abandoned) == (MAX_DIRECT_DELIVERIES, 0, 1)
    assert clock.monotonic() == DIRECT_RETRY_SECONDS * (1 + 2)


def test_a_handler_whose_process_has_ended_is_reported(payloads: list[Payload]) -> None:
    future: Future[Invocation] = Future()
    future.set_exception(BrokenProcessPool())
    with pytest.raises(StoreUnavailable, match="ended while it worked on a batch"):
        deliver(lambda path: future, payloads, lambda progress: None, FakeClock())
