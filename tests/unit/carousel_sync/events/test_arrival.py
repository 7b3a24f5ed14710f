"""Waiting for the sales that were sent: until the guard has completed them and the queue is empty."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel_sync.events.arrival import Arrival, Arrived, keys_of
from carousel_sync.events.generate import Recipe, generate
from lambda_fn.errors import ConfigurationError
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.guard.items import claimed_item, completed_item
from lambda_fn.ports import Completion
from lambda_fn.sale import FactsDigest, SaleKey
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.sqs import FakeSQS

QUEUE = "https://queue/buffer"
FACTS = FactsDigest("hash", {})


class Stage:
    """A stage in memory. It is a target for Arrival, and its clock: each time the clock sleeps, the next step runs."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self.guard = FakeDynamoDB(guard_table("guard"))
        self.queue = FakeSQS(QUEUE)
        self.settings = SimpleNamespace(guard_table="guard")
        self.stage = "dev"
        self.clock = FakeClock()
        self._steps = list(steps)
        self._sleep = self.clock.sleep
        self.clock.sleep = self.sleep  # type: ignore[method-assign]

    def client(self, service: str) -> Any:
        return {"sqs": self.queue, "dynamodb": self.guard, "cloudformation": self}[service]

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        return {"Stacks": [{"Outputs": [{"OutputKey": "BufferQueueUrl", "OutputValue": QUEUE}]}]}

    def sleep(self, seconds: float) -> None:
        self._sleep(seconds)
        if self._steps:
            self._steps.pop(0)()

    def put(self, item: dict[str, Any]) -> None:
        self.guard.batch_write_item(RequestItems={"guard": [{"PutRequest": {"Item": item}}]})

    def complete(self, key: SaleKey) -> None:
        self.put(completed_item(Completion(key, FACTS, 1), self.clock.now()))

    def wait(self, keys: Sequence[SaleKey], seconds: float = 60.0) -> tuple[Arrived, list[Arrived]]:
        """Return what was found last, and the result of each poll."""
        target: Any = self
        polls: list[Arrived] = []
        return Arrival(target, self.clock).wait(keys, seconds, polls.append), polls


def keys(number: int) -> list[SaleKey]:
    return [SaleKey("tenant", f"sale-{position}") for position in range(number)]


def test_it_ends_when_the_last_sale_is_completed() -> None:
    first, second = keys(2)
    stage = Stage(lambda: stage.complete(first), lambda: None, lambda: stage.complete(second))
    found, polls = stage.wait([first, second])
    assert found.complete
    assert (found.stored, found.sales, found.seconds) == (2, 2, 2.0)
    assert [poll.stored for poll in polls] == [0, 1, 1, 2, 2]


def test_an_open_claim_is_not_a_stored_sale() -> None:
    (key,) = keys(1)
    stage = Stage()
    stage.put(claimed_item(key, FACTS, 1, -1, 0.0, lease_seconds=60))
    found, _ = stage.wait([key])
    assert not found.complete
    assert (found.stored, found.seconds) == (0, 60.0)


def test_duplicates_and_rejected_events_are_waited_for_in_the_queue() -> None:
    (key,) = keys(1)
    stage = Stage(lambda: None, lambda: stage.queue.queues.update({QUEUE: []}))
    stage.complete(key)
    stage.queue.add(QUEUE, "a duplicate")
    found, polls = stage.wait([key])
    assert found.complete
    assert [poll.queue.waiting for poll in polls] == [1, 1, 0, 0]


def test_a_queue_that_does_not_empty_ends_the_waiting_in_time() -> None:
    (key,) = keys(1)
    stage = Stage()
    stage.complete(key)
    stage.queue.add(QUEUE, "a message that nobody receives")
    found, _ = stage.wait([key], seconds=10.0)
    assert not found.complete
    assert (found.stored, found.queue.waiting, found.seconds) == (1, 1, 10.0)


def test_a_single_count_of_zero_is_not_trusted() -> None:
    found, _ = Stage().wait([], seconds=0.0)
    assert not found.complete


@given(number=st.integers(0, 350), open_sales=st.sets(st.integers(0, 349), max_size=120))
def test_it_is_complete_only_when_every_sale_is(number: int, open_sales: set[int]) -> None:
    stage = Stage()
    expected = keys(number)
    for position, key in enumerate(expected):
        if position not in open_sales:
            stage.complete(key)
    found, _ = stage.wait(expected)
    left = sum(1 for position in open_sales if position < number)
    assert found.complete == (left == 0)
    assert found.stored <= number - left
    # Sales behind a hundred open ones are not looked at.
    assert found.stored == number - left or left >= 100


def test_the_keys_are_those_of_the_distinct_valid_sales() -> None:
    recipe = Recipe(60, seed=3, until=date(2026, 1, 1), duplicates=0.3, invalid=0.2, embedding=4)
    found = keys_of(generate(recipe))
    assert len(found) == len(set(found)) == recipe.sales


def test_a_stage_that_is_not_deployed_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    stage: Any = Stage()
    monkeypatch.setattr(stage, "describe_stacks", lambda **_: {"Stacks": []})
    with pytest.raises(ConfigurationError, match="has no buffer queue"):
        Arrival(stage)
