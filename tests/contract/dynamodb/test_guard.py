"""The guard decides who may land a sale: its life cycle over the fake, the emulator and DynamoDB Local."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from lambda_fn.aws.batch_requests import GET_LIMIT, STATEMENT_LIMIT, WRITE_LIMIT
from lambda_fn.guard.items import COMPLETED_TTL_SECONDS, GuardItem, Status, claimed_item, guard_key, read_item
from lambda_fn.ports import NO_SNAPSHOT, AlreadyCompleted, Claimed, HeldByAnother, NotClaimed
from lambda_fn.sale import SaleKey
from testbed.dynamodb.attribute_values import item_size_bytes
from tests.builders import sale
from tests.contract.dynamodb.dynamodb_world import LEASE_SECONDS, World
from tests.fakes.faulty_dynamodb import EXECUTE, GET, WRITE

LARGEST_ID = 2**63 - 1


def test_a_new_sale_is_claimed(world: World) -> None:
    fresh = world.sale()
    assert world.claim(fresh, attempt_id=11, pin=1000) == Claimed(fresh, base=1000)


def test_a_claims_item_matches_the_data_contract(world: World) -> None:
    fresh = world.sale()
    world.claim(fresh, attempt_id=11, pin=1000)
    now = int(world.clock.now())
    assert world.guard_item(fresh) == {
        "pk": {"S": f"IDEMPOTENCY#{world.tenant}#carousel.product.sold#sale-1"},
        "sk": {"S": "VERSION"},
        "tenantId": {"S": world.tenant},
        "eventType": {"S": "carousel.product.sold"},
        "eventId": {"S": "sale-1"},
        "status": {"S": "IN_PROGRESS"},
        "owner": {"N": "11"},
        "leaseUntil": {"N": str(now + int(LEASE_SECONDS))},
        "baseSnapshotId": {"N": "1000"},
        "attempts": {"L": [{"N": "11"}]},
        "payloadHash": {"S": fresh.payload_hash},
        "factHashes": {"M": {"base": {"S": fresh.payload_hash}, "currency": {"S": "absent"}}},
    }


@pytest.mark.parametrize("snapshot_id", [LARGEST_ID, None])
def test_a_completed_sales_item_matches_the_data_contract(world: World, snapshot_id: int | None) -> None:
    done = world.sale()
    world.clock.advance(0.25)
    world.claim(done, attempt_id=11)
    world.complete(done, snapshot_id=snapshot_id)
    expected: dict[str, Any] = {
        "pk": {"S": f"IDEMPOTENCY#{world.tenant}#carousel.product.sold#sale-1"},
        "sk": {"S": "VERSION"},
        "tenantId": {"S": world.tenant},
        "eventType": {"S": "carousel.product.sold"},
        "eventId": {"S": "sale-1"},
        "status": {"S": "COMPLETED"},
        "payloadHash": {"S": done.payload_hash},
        "factHashes": {"M": {"base": {"S": done.payload_hash}, "currency": {"S": "absent"}}},
        "processedAt": {"S": datetime.fromtimestamp(world.clock.now(), UTC).isoformat(timespec="milliseconds")},
        "ttl": {"N": str(int(world.clock.now()) + 24 * 3600)},
    }
    if snapshot_id is not None:
        expected["snapshotId"] = {"N": str(snapshot_id)}
    assert world.guard_item(done) == expected
    assert expected["processedAt"]["S"].endswith(".250+00:00")


def test_a_running_lease_excludes_other_attempts(world: World) -> None:
    held = world.sale()
    world.claim(held, attempt_id=11)
    stored = world.guard_item(held)
    lease_until = world.clock.now() + LEASE_SECONDS
    world.clock.advance(LEASE_SECONDS - 0.001)
    assert world.claim(held, attempt_id=22) == HeldByAnother(held.facts, lease_until)
    assert world.guard_item(held) == stored


@pytest.mark.parametrize("waited_seconds", [0.0, 2 * LEASE_SECONDS])
def test_an_event_with_other_facts_never_takes_a_sale_over(world: World, waited_seconds: float) -> None:
    first, other = world.sale(), world.sale(brand="Chanel")
    lease_until = world.clock.now() + LEASE_SECONDS
    world.claim(first, attempt_id=11)
    stored = world.guard_item(first)
    world.clock.advance(waited_seconds)
    assert world.claim(other, attempt_id=22) == HeldByAnother(first.facts, lease_until)
    assert world.guard_item(first) == stored


@pytest.mark.parametrize("recorded", [True, False])
def test_an_event_with_a_fact_that_the_claim_does_not_cover_takes_it_over(world: World, recorded: bool) -> None:
    older, newer = world.sale(), world.sale(currency="EUR")
    world.claim(older, attempt_id=11, pin=1000)
    item = world.guard_item(older) | {"factHashes": {"M": {"base": {"S": older.payload_hash}}}}
    if not recorded:
        del item["factHashes"]
    world.guard_batches.put([item], world.deadline())
    world.clock.advance(LEASE_SECONDS)
    assert world.claim(newer, attempt_id=22) == Claimed(newer, base=1000, earlier_attempts=(11,))
    assert read_item(world.guard_item(newer)).facts == newer.facts
    world.clock.advance(LEASE_SECONDS)
    assert isinstance(world.claim(world.sale(currency="USD"), attempt_id=33), HeldByAnother)


def test_an_unreadable_item_holds_up_only_its_own_sale(world: World) -> None:
    sale, *others = world.sales(3)
    world.claim(sale, attempt_id=11)
    broken = {name: value for name, value in world.guard_item(sale).items() if name != "payloadHash"}
    world.guard_batches.put([broken], world.deadline())
    world.clock.advance(LEASE_SECONDS)
    result, *claimed = world.claim_all([sale, *others], attempt_id=22)
    assert claimed == [Claimed(other, base=1000) for other in others]
    assert isinstance(result, NotClaimed)
    for part in (world.guard_batches.table.name, guard_key(sale.key).partition, "verify --repair"):
        assert part in result.cause
    looked = world.guard.look([sale.key, others[0].key], world.deadline())
    assert looked[sale.key] == result
    assert isinstance(looked[others[0].key], HeldByAnother)


def test_an_item_of_an_ordinary_sale_takes_one_write_unit() -> None:
    ordinary = sale(currency="EUR", tenant_id="t" * 40, sale_id="s" * 60)
    item = claimed_item(ordinary.key, ordinary.facts, LARGEST_ID, LARGEST_ID, 1.0, 1.0)
    assert item_size_bytes(item) <= 1024


def test_a_claim_that_is_read_has_no_expiry() -> None:
    claimed = sale()
    item = claimed_item(claimed.key, claimed.facts, 11, 1000, 1.0, LEASE_SECONDS)
    assert read_item(item) == GuardItem(Status.IN_PROGRESS, claimed.facts, 0, 11, 1.0 + LEASE_SECONDS, 1000, (11,))


def test_three_takeovers_keep_the_base_and_every_attempt(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11, pin=1000)
    for number, attempt_id in enumerate((22, 33, 44), start=1):
        world.clock.advance(LEASE_SECONDS)
        result = world.claim(sale, attempt_id, pin=1000 + number)
        assert result == Claimed(sale, base=1000, earlier_attempts=(11, 22, 33)[:number])
        item = world.guard_item(sale)
        assert item["attempts"] == {"L": [{"N": str(each)} for each in (11, 22, 33, 44)[: number + 1]]}
        assert item["baseSnapshotId"] == {"N": "1000"}
        assert item["owner"] == {"N": str(attempt_id)}
        assert item["leaseUntil"] == {"N": str(int(world.clock.now() + LEASE_SECONDS))}
        assert "ttl" not in item


def test_an_attempt_that_was_taken_over_does_not_take_the_sale_back(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11)
    world.clock.advance(LEASE_SECONDS)
    world.claim(sale, attempt_id=22)
    stored = world.guard_item(sale)
    world.clock.advance(LEASE_SECONDS)
    assert isinstance(world.claim(sale, attempt_id=11), HeldByAnother)
    assert world.guard_item(sale) == stored


def test_a_completed_sale_is_a_duplicate(world: World) -> None:
    sale, other_facts = world.sale(), world.sale(brand="Chanel")
    world.claim(sale, attempt_id=11)
    world.complete(sale)
    world.clock.advance(COMPLETED_TTL_SECONDS - 1)
    stored = world.guard_item(sale)
    assert world.claim(sale, attempt_id=22) == AlreadyCompleted(sale.facts)
    assert world.claim(other_facts, attempt_id=33) == AlreadyCompleted(sale.facts)
    assert world.guard_item(sale) == stored


@pytest.mark.parametrize("snapshot_id", [7, None])
def test_an_expired_completion_that_still_exists_is_claimed_again(world: World, snapshot_id: int | None) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11, pin=1000)
    world.complete(sale, snapshot_id=snapshot_id)
    world.clock.advance(COMPLETED_TTL_SECONDS)
    anew = world.sale(brand="Chanel")
    assert world.claim(anew, attempt_id=22, pin=2000) == Claimed(anew, base=2000)
    now = int(world.clock.now())
    assert world.guard_item(sale) == {
        "pk": {"S": guard_key(sale.key).partition},
        "sk": {"S": "VERSION"},
        "tenantId": {"S": world.tenant},
        "eventType": {"S": "carousel.product.sold"},
        "eventId": {"S": "sale-1"},
        "status": {"S": "IN_PROGRESS"},
        "owner": {"N": "22"},
        "leaseUntil": {"N": str(now + int(LEASE_SECONDS))},
        "baseSnapshotId": {"N": "2000"},
        "attempts": {"L": [{"N": "22"}]},
        "payloadHash": {"S": anew.payload_hash},
        "factHashes": {"M": {"base": {"S": anew.payload_hash}, "currency": {"S": "absent"}}},
    }


def test_an_open_claim_of_any_age_is_taken_over(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11, pin=1000)
    world.clock.advance(10 * 365 * 24 * 3600)
    assert world.claim(sale, attempt_id=22, pin=2000) == Claimed(sale, base=1000, earlier_attempts=(11,))


def test_a_take_over_removes_the_expiry_that_an_older_version_gave_the_claim(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11, pin=1000)
    expiry = {"ttl": {"N": str(int(world.clock.now()) + 30 * 24 * 3600)}}
    world.guard_batches.put([world.guard_item(sale) | expiry], world.deadline())
    world.clock.advance(LEASE_SECONDS)
    assert world.claim(sale, attempt_id=22) == Claimed(sale, base=1000, earlier_attempts=(11,))
    assert "ttl" not in world.guard_item(sale)


def test_a_completion_ends_all_claims(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=11)
    world.clock.advance(LEASE_SECONDS)
    world.claim(sale, attempt_id=22)
    world.complete(sale)
    assert world.claim(sale, attempt_id=22) == AlreadyCompleted(sale.facts)


def test_large_ids_are_exact(world: World) -> None:
    sale = world.sale()
    assert world.claim(sale, LARGEST_ID, pin=LARGEST_ID - 2) == Claimed(sale, base=LARGEST_ID - 2)
    world.clock.advance(LEASE_SECONDS)
    taken_over = Claimed(sale, base=LARGEST_ID - 2, earlier_attempts=(LARGEST_ID,))
    assert world.claim(sale, LARGEST_ID - 1, pin=1) == taken_over
    assert world.claim(sale, LARGEST_ID - 1, pin=1) == taken_over


def test_a_table_without_a_snapshot_can_be_a_base(world: World) -> None:
    sale = world.sale()
    assert world.claim(sale, attempt_id=11, pin=NO_SNAPSHOT) == Claimed(sale, base=NO_SNAPSHOT)
    world.clock.advance(LEASE_SECONDS)
    assert world.claim(sale, 22, pin=5) == Claimed(sale, base=NO_SNAPSHOT, earlier_attempts=(11,))


@pytest.mark.parametrize("sale_id", ["é", "e\u0301", "售-🧥", "'); --", '"?"', "x" * 128, "🧥" * 128])
def test_any_text_can_be_an_id(world: World, sale_id: str) -> None:
    sale = world.sale(sale_id=sale_id)
    assert world.claim(sale, attempt_id=11) == Claimed(sale, base=1000)
    assert world.guard_item(sale)["eventId"] == {"S": sale_id}
    assert isinstance(world.claim(sale, attempt_id=22), HeldByAnother)


def test_similar_ids_are_different_sales(world: World) -> None:
    sales = [world.sale(sale_id=each) for each in ("é", "e\u0301", "E\u0301")]
    assert world.claim_all(sales, attempt_id=11) == [Claimed(sale, base=1000) for sale in sales]
    same_id_elsewhere = sale(tenant_id=f"{world.tenant}-2", sale_id="é")
    assert world.claim(same_id_elsewhere, attempt_id=22) == Claimed(same_id_elsewhere, base=1000)


def test_one_of_32_threads_wins_a_claim(world: World) -> None:
    sale = world.sale()
    results = _at_once(world, attempts=range(1, 33))
    assert [type(result) for result in results.values()].count(Claimed) == 1
    assert [type(result) for result in results.values()].count(HeldByAnother) == 31
    (winner,) = (attempt_id for attempt_id, result in results.items() if isinstance(result, Claimed))
    assert world.guard_item(sale)["owner"] == {"N": str(winner)}


def test_exactly_one_attempt_takes_over_a_lapsed_claim(world: World) -> None:
    sale = world.sale()
    world.claim(sale, attempt_id=1000, pin=500)
    world.clock.advance(LEASE_SECONDS)
    results = _at_once(world, attempts=range(1, 17))
    winners = {attempt_id: result for attempt_id, result in results.items() if isinstance(result, Claimed)}
    assert list(winners.values()) == [Claimed(sale, base=500, earlier_attempts=(1000,))]
    assert all(isinstance(result, HeldByAnother) for attempt, result in results.items() if attempt not in winners)
    assert world.guard_item(sale)["attempts"] == {"L": [{"N": "1000"}, *({"N": str(winner)} for winner in winners)]}


def _at_once(world: World, attempts: range) -> dict[int, Any]:
    """Claim sale-1 for each attempt, all at the same time."""
    barrier = threading.Barrier(len(attempts), timeout=60)

    def claim(attempt_id: int) -> Any:
        barrier.wait()
        return world.claim(world.sale(), attempt_id)

    with ThreadPoolExecutor(len(attempts)) as pool:
        return dict(zip(attempts, pool.map(claim, attempts), strict=True))


def test_500_new_sales_take_20_requests_to_claim_and_20_to_complete(world: World) -> None:
    sales = world.sales(500)
    assert world.claim_all(sales, attempt_id=11) == [Claimed(sale, base=1000) for sale in sales]
    assert len(world.client.requests) == world.client.count(EXECUTE) == 500 / STATEMENT_LIMIT == 20

    world.complete(*sales)
    assert len(world.client.requests) - 20 == world.client.count(WRITE) == 500 / WRITE_LIMIT == 20

    looked = world.guard.look([sale.key for sale in sales], world.deadline())
    assert looked == {sale.key: AlreadyCompleted(sale.facts) for sale in sales}
    assert len(world.client.requests) - 40 == world.client.count(GET) == 500 / GET_LIMIT == 5


def test_500_redelivered_sales_take_25_requests(world: World) -> None:
    sales = world.sales(500)
    world.claim_all(sales, attempt_id=11)
    world.complete(*sales)
    world.client.requests.clear()
    assert world.claim_all(sales, attempt_id=22) == [AlreadyCompleted(sale.facts) for sale in sales]
    assert (world.client.count(EXECUTE), world.client.count(GET), world.client.count(WRITE)) == (20, 5, 0)


def test_a_batch_of_sales_in_different_states(world: World) -> None:
    sales = world.sales(500)
    random.Random(1).shuffle(sales)
    fresh, completed, held, lapsed = (sales[start::4] for start in range(4))
    world.claim_all([*completed, *lapsed], attempt_id=11, pin=1)
    world.complete(*completed)
    world.clock.advance(LEASE_SECONDS)
    world.claim_all(held, attempt_id=22, pin=2)
    lease_until = world.clock.now() + LEASE_SECONDS

    results = world.guard.claim(sales, 33, 3, LEASE_SECONDS, world.deadline())

    assert results == {
        **{sale.key: Claimed(sale, base=3) for sale in fresh},
        **{sale.key: AlreadyCompleted(sale.facts) for sale in completed},
        **{sale.key: HeldByAnother(sale.facts, lease_until) for sale in held},
        **{sale.key: Claimed(sale, base=1, earlier_attempts=(11,)) for sale in lapsed},
    }


def test_a_look_changes_nothing(world: World) -> None:
    unknown, held, completed = world.sales(3)
    world.claim_all([held, completed], attempt_id=11)
    world.complete(completed)
    before = world.guard_item(held)
    lease_until = world.clock.now() + LEASE_SECONDS
    looked = world.guard.look([unknown.key, held.key, completed.key], world.deadline())
    assert looked == {
        held.key: HeldByAnother(held.facts, lease_until),
        completed.key: AlreadyCompleted(completed.facts),
    }
    assert world.guard_item(held) == before
    assert world.guard_item(unknown) == {}


def test_an_empty_batch_sends_no_request(world: World) -> None:
    assert world.claim_all([], attempt_id=11) == []
    assert world.guard.look([], world.deadline()) == {}
    assert world.guard.complete([], world.deadline()) == set()
    assert world.client.requests == []


def test_a_key_contains_tenant_event_type_and_sale() -> None:
    assert guard_key(SaleKey("t", "s")) == ("IDEMPOTENCY#t#carousel.product.sold#s", "VERSION")
