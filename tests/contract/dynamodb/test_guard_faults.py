"""What the guard must never do, with any number of attempts at the same sales, any faults, in any order.

The state machine injects faults into the real guard's requests, advances time and lets other attempts claim between
them, and delivers requests long after their sender gave up. It checks every change of an item when it takes effect.
"""

from __future__ import annotations

import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from lambda_fn.aws.batch_requests import Batches, Item, ItemKey
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.guard.items import COMPLETED_TTL_SECONDS, Status, guard_key, read_item
from lambda_fn.ports import AlreadyCompleted, Claimed, ClaimResult, Completion, HeldByAnother
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale
from tests.builders import sale
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.faulty_dynamodb import (
    EXECUTE,
    GET,
    WRITE,
    Fault,
    FaultyDynamoDB,
    Request,
    Send,
    answer_lost,
    passed,
    refused,
    request_lost,
    statements_refused,
    unprocessed,
)
from tests.fakes.parallel import InTurn

LEASE_SECONDS: Final = 30.0
LAPSE_SECONDS: Final = LEASE_SECONDS + 1
# Longer than a lease: attempts may be frozen and clocks may disagree, and nothing may depend on either.
CLAIM_SECONDS: Final = 300.0
DAY_SECONDS: Final = 24 * 3600.0

SALES: Final = tuple(sale(sale_id=f"sale-{number}") for number in range(8))
OTHER_FACTS: Final = tuple(sale(sale_id=each.sale_id, brand="Chanel") for each in SALES)
FACTS: Final = {each.payload_hash: each for each in (*SALES, *OTHER_FACTS)}


@dataclass(frozen=True)
class Trouble:
    """The fault of a request, and what others do before it takes effect and before its answer arrives."""

    outcome: str = "passed"
    before: Sequence[str] = ()
    after: Sequence[str] = ()


def _partly_done(request: Request, send: Send) -> dict[str, Any]:
    fault = statements_refused("ThrottlingError", indexes=[0]) if request.action == EXECUTE else unprocessed(0.5)
    return fault(request, send)


_OUTCOMES: Final[Mapping[str, Fault]] = {
    "passed": passed,
    "answer lost": answer_lost,
    "request lost": request_lost,
    "late": request_lost,
    "refused": refused("ThrottlingException"),
    "partly done": _partly_done,
}

_LAPSE: Final = "lease lapses"
_CLAIM: Final = "others claim"
_COMPLETE: Final = "others complete"
_MEANWHILE: Final = st.sampled_from([(), (), (_LAPSE,), (_CLAIM,), (_COMPLETE,), (_LAPSE, _CLAIM, _LAPSE)])
TROUBLES: Final = st.lists(st.builds(Trouble, st.sampled_from(sorted(_OUTCOMES)), _MEANWHILE, _MEANWHILE), max_size=6)

Ownership = tuple[int, tuple[int, ...]]
"""The base and the earlier attempts of a claim when it took effect."""


class GuardMachine(RuleBasedStateMachine):
    """Attempts at a few sales over one table."""

    claims: Bundle[tuple[int, Claimed]] = Bundle("claims")
    wire: ClassVar[Callable[[Request, Send], dict[str, Any]]] = staticmethod(passed)
    """What is between the guard and the store. A control weakens it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = FakeDynamoDB(guard_table("guard"))
        self.attempts: list[int] = []
        self.sought: Sequence[Sale] = ()
        self.late: list[Callable[[], object]] = []
        self.troubles: deque[Trouble] = deque()
        self.owned: dict[tuple[ItemKey, int], list[Ownership]] = defaultdict(list)
        self.hashes: dict[tuple[ItemKey, Status], set[str]] = defaultdict(set)
        client: Any = FaultyDynamoDB(self.store)
        for action in (EXECUTE, GET, WRITE):
            client.always(action, self._send)
        retry = Retry(self.clock, random.Random(1))
        self.guard = DynamoDBGuard(Batches(client, guard_table("guard"), retry, InTurn()), self.clock, retry)

    # --- what happens ---

    @rule(
        target=claims,
        numbers=st.sets(st.integers(0, len(SALES) - 1), min_size=1, max_size=3),
        facts=st.sampled_from(["first", "first", "other"]),
        troubles=TROUBLES,
    )
    def claim(self, numbers: set[int], facts: str, troubles: list[Trouble]) -> Any:
        known = SALES if facts == "first" else OTHER_FACTS
        self.sought = [SALES[number] for number in sorted(numbers)]
        with self._troubled(troubles):
            attempt_id, results = self._claim([known[number] for number in sorted(numbers)])
        return multiple(*((attempt_id, result) for result in results if isinstance(result, Claimed)))

    @rule(target=claims, number=st.integers(0, len(SALES) - 1))
    def claim_by_an_attempt_that_freezes_in_its_take_over(self, number: int) -> Any:
        self.sought = [SALES[number]]
        self._meanwhile(_CLAIM)
        self._meanwhile(_LAPSE)
        frozen = Trouble("answer lost", after=(_LAPSE, _CLAIM, _LAPSE))
        return self.claim({number}, "first", [Trouble(), Trouble(), frozen])

    @rule(claimed=claims, troubles=TROUBLES)
    def complete(self, claimed: tuple[int, Claimed], troubles: list[Trouble]) -> None:
        attempt_id, claim = claimed
        self.sought = [claim.sale]
        with self._troubled(troubles):
            self._complete(claim.sale, attempt_id)

    @rule(seconds=st.sampled_from([1.0, LAPSE_SECONDS, DAY_SECONDS, 31 * DAY_SECONDS]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def dynamodb_deletes_what_has_expired(self) -> None:
        self.store.delete_expired(self.clock.now())

    @precondition(lambda self: self.late)
    @rule(data=st.data())
    def a_request_arrives_late(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.late) - 1))
        self.late.pop(index)()

    def teardown(self) -> None:
        """Whatever happened, the next delivery can continue with every sale."""
        self.clock.advance(LAPSE_SECONDS)
        for key, item in self._items().items():
            _, (result,) = self._claim([FACTS[read_item(item).facts.payload_hash]])
            assert isinstance(result, Claimed | AlreadyCompleted), (key, result)

    # --- how it happens ---

    def _claim(self, sales: Sequence[Sale]) -> tuple[int, list[ClaimResult]]:
        attempt_id = 2**62 + len(self.attempts)
        self.attempts.append(attempt_id)
        deadline = Deadline.after(self.clock, CLAIM_SECONDS)
        results = self.guard.claim(sales, attempt_id, _pin(attempt_id), LEASE_SECONDS, deadline)
        assert results.keys() == {each.key for each in sales}
        for each in sales:
            self._judge_answer(each, attempt_id, results[each.key])
        return attempt_id, [results[each.key] for each in sales]

    def _complete(self, completed: Sale, attempt_id: int) -> None:
        deadline = Deadline.after(self.clock, CLAIM_SECONDS)
        certain = self.guard.complete([Completion(completed.key, completed.facts, attempt_id)], deadline)
        if certain:
            assert completed.payload_hash in self.hashes[guard_key(completed.key), Status.COMPLETED]

    @contextmanager
    def _troubled(self, troubles: Sequence[Trouble]) -> Iterator[None]:
        outer, self.troubles = self.troubles, deque(troubles)
        yield
        self.troubles = outer

    def _send(self, request: Request, send: Send) -> dict[str, Any]:
        def arrive(**arguments: Any) -> dict[str, Any]:
            return self._take_effect(Request(request.action, arguments), send)

        trouble = self.troubles.popleft() if self.troubles else Trouble()
        for event in trouble.before:
            self._meanwhile(event)
        if trouble.outcome == "late":
            self.late.append(lambda: arrive(**request.arguments))
        try:
            return _OUTCOMES[trouble.outcome](request, arrive)
        finally:
            for event in trouble.after:
                self._meanwhile(event)

    def _meanwhile(self, event: str) -> None:
        if event == _LAPSE:
            self.clock.advance(LAPSE_SECONDS)
            return
        with self._troubled([]):
            if event == _CLAIM:
                self._claim(self.sought)
            else:
                self._complete(self.sought[0], self.attempts[-1])

    # --- what must hold ---

    def _take_effect(self, request: Request, send: Send) -> dict[str, Any]:
        before = self._items()
        answer = type(self).wire(request, send)
        for key, item in self._items().items():
            if item is not before.get(key):
                self._judge_change(key, before.get(key), item)
        return answer

    def _judge_change(self, key: ItemKey, old_item: Item | None, new_item: Item) -> None:
        old, new = read_item(old_item) if old_item is not None else None, read_item(new_item)
        now = self.clock.now()
        self.hashes[key, new.status].add(new.facts.payload_hash)
        if new.status is Status.COMPLETED:
            assert new.ttl <= now + COMPLETED_TTL_SECONDS
            return
        if old is None or old.status is Status.COMPLETED:
            assert old is None or old.ttl <= now, "COMPLETED goes back by expiry only"
            assert (new.attempts, new.base) == ((new.owner,), _pin(new.owner))
        else:
            assert old.lease_until <= now, "the lease was running"
            assert new.attempts == (*old.attempts, new.owner), "an attempt was lost"
            assert new.owner not in old.attempts, "a fenced attempt came back"
            assert (new.base, new.facts.payload_hash) == (old.base, old.facts.payload_hash)
        self.owned[key, new.owner].append((new.base, new.attempts[:-1]))

    def _judge_answer(self, asked: Sale, attempt_id: int, result: ClaimResult) -> None:
        key = guard_key(asked.key)
        if isinstance(result, Claimed):
            assert result.sale == asked
            assert (result.base, result.earlier_attempts) in self.owned[key, attempt_id], "never the owner"
        elif isinstance(result, AlreadyCompleted):
            assert result.facts.payload_hash in self.hashes[key, Status.COMPLETED]
        elif isinstance(result, HeldByAnother):
            assert result.facts.payload_hash in self.hashes[key, Status.IN_PROGRESS]

    def _items(self) -> Mapping[ItemKey, Item]:
        return self.store.snapshot()["guard"]


def _pin(attempt_id: int) -> int:
    return attempt_id - 2**61


# --- the guard, and controls that must be caught ---------------------------------------------------------------------


def without_the_last_condition(request: Request, send: Send) -> dict[str, Any]:
    """Updates depend only on the status, and not on the owner or the expiry that was read."""
    statements = [dict(statement) for statement in request.arguments.get("Statements", [])]
    for statement in statements:
        if statement["Statement"].startswith("UPDATE"):
            statement["Statement"] = statement["Statement"].rpartition(" AND ")[0]
            statement["Parameters"] = statement["Parameters"][:-1]
    return send(Statements=statements) if statements else send(**request.arguments)


def without_the_earlier_attempts(request: Request, send: Send) -> dict[str, Any]:
    """A takeover keeps only the last attempt."""
    statements = [dict(statement) for statement in request.arguments.get("Statements", [])]
    for statement in statements:
        if statement["Statement"].startswith("UPDATE"):
            parameters = [*statement["Parameters"]]
            parameters[2] = {"L": parameters[2]["L"][-1:]} if "L" in parameters[2] else parameters[2]
            statement["Parameters"] = parameters
    return send(Statements=statements) if statements else send(**request.arguments)


_SETTINGS: Final = settings(
    deadline=None, stateful_step_count=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def test_the_guard_holds_under_any_faults() -> None:
    run_state_machine_as_test(GuardMachine, settings=settings(_SETTINGS, max_examples=200))


@pytest.mark.parametrize("wire", [without_the_last_condition, without_the_earlier_attempts])
def test_a_weaker_guard_is_caught(wire: Callable[[Request, Send], dict[str, Any]]) -> None:
    class Weaker(GuardMachine):
        pass

    Weaker.wire = staticmethod(wire)
    caught = settings(_SETTINGS, max_examples=1000, phases=[Phase.generate], database=None, derandomize=True)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Weaker, settings=caught)
