"""How the guard handles answers that are lost, late, partial or refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ParamValidationError

from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.guard.guard_table import DynamoDBGuard
from lambda_fn.guard.items import COMPLETED_TTL_SECONDS
from lambda_fn.ports import AlreadyCompleted, Claimed, ClaimResult, Completion, HeldByAnother, NotClaimed
from lambda_fn.sale import Sale
from tests.contract.dynamodb.dynamodb_world import LEASE_SECONDS, World
from tests.fakes.faulty_dynamodb import (
    EXECUTE,
    GET,
    WRITE,
    Fault,
    Request,
    Send,
    answer_lost,
    passed,
    refused,
    request_lost,
    statements_refused,
    unparsable,
    unprocessed,
)

THROTTLED = [
    "InternalServerError",
    "ProvisionedThroughputExceeded",
    "RequestLimitExceeded",
    "ThrottlingError",
    "TransactionConflict",
]
REFUSED = ["AccessDenied", "ItemCollectionSizeLimitExceeded", "ResourceNotFound", "ValidationError", "Unheard"]
THROTTLED_WHOLE = [
    ("InternalServerError", 500),
    ("ProvisionedThroughputExceededException", 400),
    ("RequestLimitExceeded", 400),
    ("ServiceUnavailable", 503),
    ("SlowDown", 503),
    ("ThrottlingException", 400),
    ("Unheard", 502),
]
REFUSED_WHOLE = [
    ("AccessDeniedException", 400),
    ("ResourceNotFoundException", 400),
    ("UnrecognizedClientException", 400),
]


def fresh(world: World) -> tuple[Sale, Claimed]:
    """A new sale, and the expected result for an attempt with pin 3000."""
    sale = world.sale()
    return sale, Claimed(sale, base=3000)


def lapsed(world: World) -> tuple[Sale, Claimed]:
    """A sale whose two attempts have expired leases."""
    sale = world.sale()
    for attempt_id in (11, 22):
        world.claim(sale, attempt_id, pin=1000)
        world.clock.advance(LEASE_SECONDS)
    return sale, Claimed(sale, base=1000, earlier_attempts=(11, 22))


def expired(world: World) -> tuple[Sale, Claimed]:
    """A sale whose completion has expired."""
    sale = world.sale()
    world.claim(sale, attempt_id=11, pin=1000)
    world.complete(sale)
    world.clock.advance(COMPLETED_TTL_SECONDS)
    return sale, Claimed(sale, base=3000)


@pytest.mark.parametrize("fault", [answer_lost, request_lost, unparsable, refused("ThrottlingException")])
@pytest.mark.parametrize("request_index", [0, 1])
@pytest.mark.parametrize("situation", [fresh, lapsed, expired])
def test_a_claim_whose_answer_was_lost_is_found_by_reading_it_back(
    world: World,
    situation: Callable[[World], tuple[Sale, Claimed]],
    request_index: int,
    fault: Fault,
) -> None:
    sale, expected = situation(world)
    world.client.plan(EXECUTE, *[passed] * request_index, fault)
    assert world.claim(sale, attempt_id=33, pin=3000) == expected
    item = world.guard_item(sale)
    assert item["owner"] == {"N": "33"}
    assert item["attempts"] == {"L": [{"N": str(each)} for each in (*expected.earlier_attempts, 33)]}
    assert item["baseSnapshotId"] == {"N": str(expected.base)}


def test_a_lost_answer_does_not_affect_other_batches(world_in_turn: World) -> None:
    sales = world_in_turn.sales(60)
    world_in_turn.client.plan(EXECUTE, passed, answer_lost)
    assert world_in_turn.claim_all(sales, attempt_id=11) == [Claimed(sale, base=1000) for sale in sales]
    assert (world_in_turn.client.count(EXECUTE), world_in_turn.client.count(GET)) == (3, 1)
    (read,) = (request for request in world_in_turn.client.requests if request.action == GET)
    assert len(read.arguments["RequestItems"][world_in_turn.store.guard_name]["Keys"]) == 25


def test_a_lost_answer_is_not_mistaken_for_a_claim(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11)
    world.client.plan(EXECUTE, answer_lost)
    assert isinstance(world.claim(sale, attempt_id=22), HeldByAnother)


@pytest.mark.parametrize("code", THROTTLED)
@pytest.mark.parametrize("situation", [fresh, lapsed, expired])
def test_throttled_statements_are_retried(
    world: World, situation: Callable[[World], tuple[Sale, Claimed]], code: str
) -> None:
    sale, expected = situation(world)
    world.client.plan(EXECUTE, statements_refused(code), passed, statements_refused(code))
    assert world.claim(sale, attempt_id=33, pin=3000) == expected


def test_only_the_throttled_statements_of_a_batch_are_retried(world: World) -> None:
    sales = world.sales(25)
    world.client.plan(EXECUTE, statements_refused("ThrottlingError", indexes=range(5)))
    assert world.claim_all(sales, attempt_id=11) == [Claimed(sale, base=1000) for sale in sales]
    statements = [
        len(request.arguments["Statements"]) for request in world.client.requests if request.action == EXECUTE
    ]
    assert statements == [25, 5]


@pytest.mark.parametrize("fault", [statements_refused("ThrottlingError"), request_lost])
def test_a_sale_that_is_throttled_until_the_deadline_is_not_claimed(world: World, fault: Fault) -> None:
    sale = world.sale()
    world.client.always(EXECUTE, fault)
    deadline = world.deadline()
    results = world.guard.claim([sale], 11, 1000, LEASE_SECONDS, deadline)
    assert results[sale.key] == NotClaimed("the guard could not be asked in time")
    assert 30 <= deadline.remaining_seconds() < 50
    assert world.guard_item(sale) == {}


def test_a_claim_takes_no_more_than_one_request_beyond_a_round_if_half_of_the_time_is_less(world: World) -> None:
    world.client.always(EXECUTE, statements_refused("ThrottlingError"))
    deadline = world.deadline(30.0)
    world.guard.claim([world.sale()], 11, 1000, LEASE_SECONDS, deadline)
    # Four requests of 5 seconds each. The last round, of three, began after 3 to 5 seconds.
    assert 25 <= deadline.remaining_seconds() < 27


def test_claims_hold_when_the_rest_of_the_batch_is_throttled(world: World) -> None:
    sales = world.sales(25)
    world.client.plan(EXECUTE, statements_refused("ThrottlingError", indexes=range(5)))
    world.client.always(EXECUTE, statements_refused("ThrottlingError"))
    results = world.claim_all(sales, attempt_id=11)
    assert [type(result) for result in results] == [NotClaimed] * 5 + [Claimed] * 20


def test_a_throttled_statement_does_not_delay_the_decision_about_other_sales(world: World) -> None:
    throttled, known = world.sale(1), world.sale(2)
    world.claim(known, attempt_id=11)
    world.client.always(EXECUTE, statements_refused("ThrottlingError", indexes=[0]))
    results = world.claim_all([throttled, known], attempt_id=22)
    assert [type(result) for result in results] == [NotClaimed, HeldByAnother]


@pytest.mark.parametrize("fault", [unprocessed(0.0), request_lost, refused("ThrottlingException")])
def test_claims_hold_when_the_rest_of_the_batch_cannot_be_read(world: World, fault: Fault) -> None:
    known, unknown = world.sale(1), world.sale(2)
    world.claim(known, attempt_id=11)
    world.client.always(GET, fault)
    results = world.claim_all([known, unknown], attempt_id=22)
    assert [type(result) for result in results] == [NotClaimed, Claimed]


@pytest.mark.parametrize("fault", [unprocessed(0.0), request_lost, refused("ThrottlingException")])
def test_a_throttled_read_leaves_time_to_land_what_was_claimed(world: World, fault: Fault) -> None:
    sales = world.sales(25)
    world.client.plan(EXECUTE, statements_refused("ThrottlingError", indexes=[0]))
    world.client.always(GET, fault)
    deadline = world.deadline()
    results = world.guard.claim(sales, 11, 1000, LEASE_SECONDS, deadline)
    assert [type(results[sale.key]) for sale in sales] == [NotClaimed] + [Claimed] * 24
    assert deadline.remaining_seconds() >= 30
    # The control: without a share of the time, a claim leaves none for a single request.
    world.client.plan(EXECUTE, statements_refused("ThrottlingError"))
    without_a_share = DynamoDBGuard(world.guard_batches, world.clock, world.retry, claim_share=1.0)
    without_a_share.claim(sales[:1], 11, 1000, LEASE_SECONDS, deadline)
    assert not deadline.allows(world.guard_batches.request_seconds + world.retry.longest_seconds)


@pytest.mark.parametrize(("seconds", "expected"), [(14.9, NotClaimed), (15.0, Claimed), (30.0, Claimed)])
def test_a_claim_may_always_take_one_round_that_fits(world: World, seconds: float, expected: type[ClaimResult]) -> None:
    sale = world.sale()
    result = world.guard.claim([sale], 11, 1000, LEASE_SECONDS, world.deadline(seconds))[sale.key]
    assert isinstance(result, expected)
    assert bool(world.client.requests) == bool(world.guard_item(sale)) == (expected is Claimed)


def test_without_time_nothing_is_requested(world: World) -> None:
    sale = world.sale()
    results = world.guard.claim([sale], 11, 1000, LEASE_SECONDS, world.deadline(1.0))
    assert isinstance(results[sale.key], NotClaimed)
    with pytest.raises(OutOfTime, match=rf"{world.store.guard_name}: 1 of 1 items could not be read in time"):
        world.guard.look([sale.key], world.deadline(1.0))
    completion = Completion(sale.key, sale.facts, 7)
    assert world.guard.complete([completion], world.deadline(1.0)) == set()
    assert world.client.requests == []


@pytest.mark.parametrize("code", REFUSED)
def test_a_refused_statement_fails_the_claim_immediately(world: World, code: str) -> None:
    world.client.plan(EXECUTE, statements_refused(code))
    with pytest.raises(StoreUnavailable, match=rf"BatchExecuteStatement on table {world.store.guard_name}: {code}"):
        world.claim(world.sale(), attempt_id=11)
    assert len(world.client.requests) == 1


@pytest.mark.parametrize(("code", "status"), THROTTLED_WHOLE)
def test_a_throttled_request_is_retried(world: World, code: str, status: int) -> None:
    sale = world.sale()
    for action in (EXECUTE, GET, WRITE):
        world.client.plan(action, refused(code, status), refused(code, status))
    assert world.claim(sale, attempt_id=11) == Claimed(sale, base=1000)
    world.complete(sale)
    assert world.claim(sale, attempt_id=22) == AlreadyCompleted(sale.facts)


@pytest.mark.parametrize(("code", "status"), REFUSED_WHOLE)
@pytest.mark.parametrize("action", [EXECUTE, GET, WRITE])
def test_a_refused_request_is_not_retried(world: World, action: str, code: str, status: int) -> None:
    sale = world.sale()
    world.client.plan(action, refused(code, status))
    with pytest.raises(StoreUnavailable, match=f"on table {world.store.guard_name}.*{code}"):
        _every_action(world, sale)
    assert world.client.count(action) == 1


def test_an_invalid_request_is_not_retried(world: World) -> None:
    def malformed(request: Request, send: Send) -> dict[str, Any]:
        raise ParamValidationError(report="nothing of the sort")

    world.client.plan(GET, malformed)
    with pytest.raises(StoreUnavailable, match="BatchGetItem"):
        _every_action(world, world.sale())


def _every_action(world: World, sale: Sale) -> None:
    world.claim(sale, attempt_id=11)
    world.guard.look([sale.key], world.deadline())
    world.complete(sale)


@pytest.mark.parametrize("fault", [unprocessed(0.0), unprocessed(0.5), answer_lost, request_lost, unparsable])
def test_completions_are_retried_until_all_are_stored(world: World, fault: Fault) -> None:
    sales = world.sales(60)
    world.client.plan(WRITE, fault, fault, fault, fault)
    world.complete(*sales)
    world.client.plan(GET, unprocessed(0.5), unprocessed(0.5))
    looked = world.guard.look([sale.key for sale in sales], world.deadline())
    assert looked == {sale.key: AlreadyCompleted(sale.facts) for sale in sales}


@pytest.mark.parametrize("fault", [unprocessed(0.0), request_lost])
def test_only_completions_known_to_be_stored_are_reported(world_in_turn: World, fault: Fault) -> None:
    world = world_in_turn
    sales = world.sales(50)
    world.client.plan(WRITE, passed)
    world.client.always(WRITE, fault)
    completions = [Completion(sale.key, sale.facts, 7) for sale in sales]
    assert world.guard.complete(completions, world.deadline()) == {sale.key for sale in sales[:25]}


def test_a_completion_without_any_answer_is_not_reported(world: World) -> None:
    sale = world.sale()
    world.client.always(WRITE, answer_lost)
    assert world.guard.complete([Completion(sale.key, sale.facts, 7)], world.deadline()) == set()
    assert world.claim(sale, attempt_id=22) == AlreadyCompleted(sale.facts)


def test_a_late_takeover_does_not_undo_a_newer_one(world: World) -> None:
    """The request of attempt 22 arrives after attempt 33 has taken over the sale from attempt 11."""
    sale = world.sale()
    world.claim(sale, attempt_id=11, pin=1000)
    world.clock.advance(LEASE_SECONDS)
    late: list[Callable[[], dict[str, Any]]] = []

    def delayed(request: Request, send: Send) -> dict[str, Any]:
        late.append(lambda: send(**request.arguments))
        assert world.claim(sale, attempt_id=33) == Claimed(sale, base=1000, earlier_attempts=(11,))
        return request_lost(request, send)

    world.client.plan(EXECUTE, passed, delayed)
    assert isinstance(world.claim(sale, attempt_id=22), HeldByAnother)
    stored = world.guard_item(sale)
    (arrive,) = late
    assert arrive()["Responses"][0]["Error"]["Code"] == "ConditionalCheckFailed"
    assert world.guard_item(sale) == stored
