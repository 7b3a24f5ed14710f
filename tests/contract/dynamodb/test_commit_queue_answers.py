"""The commit queue's items on DynamoDB, and how the queue handles answers that are lost, partial or refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.commit_queue.items import ENTRY_PREFIX, LEASE, TTL_SECONDS, entry_key, queue_partition
from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry, Round
from tests.contract.dynamodb.dynamodb_world import World
from tests.fakes.faulty_dynamodb import (
    EXECUTE,
    GET,
    QUERY,
    WRITE,
    Fault,
    Request,
    Send,
    answer_lost,
    refused,
    request_lost,
    statements_refused,
    unparsable,
    unprocessed,
)

SECONDS = 3.0


class Queue(DynamoDBCommitQueue):
    """The queue of a table that no other test uses. Its requests run one after the other."""

    def __init__(self, world: World) -> None:
        super().__init__(world.guard_batches, (world.tenant, "t"), world.clock, world.parallel)
        self.world = world
        self.partition = queue_partition((world.tenant, "t"))

    def take_free(self, attempt_id: int) -> Lease:
        """Take the lease, which nobody holds."""
        taken = self.take(self.lease(self.world.deadline()), attempt_id, SECONDS, self.world.deadline())
        assert taken is not None
        return taken

    def item(self, sort: str) -> Item:
        """Return a stored item by its sort key."""
        key = ItemKey(self.partition, sort)
        return self.world.guard_batches.get([key], self.world.deadline())[key]

    def change(self, sort: str, changes: Item) -> None:
        """Change an item as something else would. Without changes, only the key is left of it."""
        item = self.item(sort)
        new = {**item, **changes} if changes else {"pk": item["pk"], "sk": item["sk"]}
        assert self.world.guard_batches.put([new], self.world.deadline())


@pytest.fixture
def queue(world_in_turn: World) -> Queue:
    return Queue(world_in_turn)


def entry(queue: Queue, attempt_id: int = 7) -> QueueEntry:
    return QueueEntry(attempt_id, 5, frozenset({4}), "manifest", round(queue.world.clock.now(), 3))


def test_every_item_expires(queue: Queue) -> None:
    world = queue.world
    queue.enlist(entry(queue), world.deadline())
    taken = queue.take_free(7)
    assert [queue.item(sort)["ttl"] for sort in (f"{ENTRY_PREFIX}7", LEASE)] == [expiry(world)] * 2
    world.clock.advance(100.0)
    queue.finish(taken, Round(), world.deadline())
    assert queue.item(LEASE)["ttl"] == expiry(world)


def expiry(world: World) -> Item:
    return {"N": str(int(world.clock.now()) + TTL_SECONDS)}


def test_times_are_stored_in_milliseconds(queue: Queue) -> None:
    queue.enlist(replace(entry(queue), enlisted_at=1_790_000_000.12345), queue.world.deadline())
    assert queue.item(f"{ENTRY_PREFIX}7")["enlistedAt"] == {"N": "1790000000.123"}


# --- items that something else has changed ---------------------------------------------------------------------------

NOT_AN_ENTRY: list[Item] = [
    {},
    {"attempt": {"S": "8"}},
    {"attempt": {"N": "8.5"}},
    {"manifest": {"N": "1"}},
    {"fenced": {"L": [{"S": "4"}]}},
    {"fenced": {"S": "4"}},
    {"enlistedAt": {"NULL": True}},
    {"lookedUp": {"S": "yes"}},
]
NOT_A_LEASE: list[Item] = [
    {},
    {"version": {"S": "1"}},
    {"version": {"N": "0"}},
    {"version": {"N": "-3"}},
    {"owner": {"NULL": True}},
    {"leaseUntil": {"S": "tomorrow"}},
    {"landed": {"L": [{"L": []}]}},
    {"landed": {"L": [{"N": "1"}]}},
    {"landed": {"S": ""}},
]


@pytest.mark.parametrize("changed", NOT_AN_ENTRY)
def test_an_entry_that_can_not_be_read_is_skipped(queue: Queue, changed: Item) -> None:
    for attempt_id in (7, 8, 9):
        queue.enlist(entry(queue, attempt_id), queue.world.deadline())
    queue.change(f"{ENTRY_PREFIX}8", changed)
    assert {each.attempt_id for each in queue.entries(queue.world.deadline())} == {7, 9}


@pytest.mark.parametrize("changed", NOT_A_LEASE)
def test_a_lease_that_can_not_be_read_is_free_and_can_be_taken(queue: Queue, changed: Item) -> None:
    queue.take_free(7)
    queue.change(LEASE, changed)
    assert queue.lease(queue.world.deadline()) == Lease()
    taken = queue.take_free(8)
    assert queue.lease(queue.world.deadline()) == taken


# --- answers that do not arrive --------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [answer_lost, unparsable])
def test_who_took_the_lease_without_an_answer_owns_it_all_the_same(queue: Queue, fault: Fault) -> None:
    world = queue.world
    world.client.plan(EXECUTE, fault)
    with pytest.raises(StoreUnavailable, match="NoAnswer"):
        queue.take(Lease(), 7, SECONDS, world.deadline())
    found = queue.lease(world.deadline())
    assert (found.owner, found.until) == (7, world.clock.now() + SECONDS)
    assert queue.take(Lease(), 8, SECONDS, world.deadline()) is None, "it is taken"
    assert queue.take(found, 7, SECONDS, world.deadline()) is not None


@pytest.mark.parametrize("fault", [request_lost, statements_refused("ThrottlingError"), refused("ThrottlingException")])
def test_a_lease_that_could_not_be_taken_stays_as_it_is(queue: Queue, fault: Fault) -> None:
    world = queue.world
    world.client.plan(EXECUTE, fault)
    with pytest.raises(StoreUnavailable):
        queue.take(Lease(), 7, SECONDS, world.deadline())
    assert queue.lease(world.deadline()) == Lease()
    assert world.client.count(EXECUTE) == 1, "it is not repeated"


@pytest.mark.parametrize("fault", [request_lost, statements_refused("ThrottlingError")])
def test_a_lease_whose_end_could_not_be_written_ends_by_itself(world: World, fault: Fault) -> None:
    queue = Queue(world)
    queue.enlist(entry(queue), world.deadline())
    taken = queue.take_free(7)
    world.client.plan(EXECUTE, fault)
    with pytest.raises(StoreUnavailable):
        queue.finish(taken, Round({7: 1}, [7], 1.0), world.deadline())
    found = queue.lease(world.deadline())
    assert found == taken
    assert found.until == world.clock.now() + SECONDS
    assert list(queue.entries(world.deadline())) == [], "the entries are removed all the same"


@pytest.mark.parametrize("fault", [answer_lost, request_lost, unparsable, unprocessed(0.0)])
def test_an_entry_without_an_answer_is_enlisted_again(queue: Queue, fault: Fault) -> None:
    world = queue.world
    world.client.plan(WRITE, fault)
    given = entry(queue)
    queue.enlist(given, world.deadline())
    assert list(queue.entries(world.deadline())) == [given]
    assert world.client.count(WRITE) == 2


def test_an_entry_that_is_not_known_to_be_stored_is_an_error(queue: Queue) -> None:
    queue.world.client.always(WRITE, unprocessed(0.0))
    text = r"^The attempt could not be added to the commit queue in time; its sales stay in the queue\.$"
    with pytest.raises(OutOfTime, match=text):
        queue.enlist(entry(queue), queue.world.deadline(12))


def test_settled_entries_that_are_left_do_no_harm(queue: Queue) -> None:
    """The next leader finds them settled again."""
    world = queue.world
    for attempt_id in (7, 8):
        queue.enlist(entry(queue, attempt_id), world.deadline())
    taken = queue.take_free(7)
    world.client.always(WRITE, request_lost)
    queue.finish(taken, Round({8: 7}, [7, 8]), world.deadline(12))
    assert queue.lease(world.deadline()).landed == {8: 7}
    assert {each.attempt_id for each in queue.entries(world.deadline())} == {7, 8}


def test_a_leader_spends_no_more_than_two_requests_on_removing_entries(queue: Queue) -> None:
    """It has landed by then, and its sales still have to be projected."""
    world = queue.world
    queue.enlist(entry(queue), world.deadline())
    taken = queue.take_free(7)
    deadline = world.deadline(60)

    def hangs(request: Request, send: Send) -> dict[str, Any]:
        world.clock.advance(world.guard_batches.request_seconds)
        return request_lost(request, send)

    world.client.always(WRITE, hangs)
    queue.finish(taken, Round({8: 7}, [7, 8]), deadline)
    assert deadline.remaining_seconds() >= 60 - 2 * world.guard_batches.request_seconds


@pytest.mark.parametrize("action", [GET, EXECUTE, WRITE, QUERY])
def test_a_refusal_is_raised(queue: Queue, action: str) -> None:
    world = queue.world
    calls: dict[str, Any] = {
        GET: lambda: queue.lease(world.deadline()),
        EXECUTE: lambda: queue.take(Lease(), 7, SECONDS, world.deadline()),
        WRITE: lambda: queue.enlist(entry(queue), world.deadline()),
        QUERY: lambda: queue.entries(world.deadline()),
    }
    world.client.plan(action, refused("AccessDeniedException"))
    with pytest.raises(StoreUnavailable):
        calls[action]()


def test_each_step_is_one_request(queue: Queue) -> None:
    world = queue.world
    world.client.requests.clear()
    queue.enlist(entry(queue), world.deadline())
    lease = queue.lease(world.deadline())
    taken = queue.take(lease, 7, SECONDS, world.deadline())
    assert taken is not None
    queue.entries(world.deadline())
    queue.finish(taken, Round({8: 7}, [7, 8]), world.deadline())
    actions = [request.action for request in world.client.requests]
    assert actions == [WRITE, GET, EXECUTE, QUERY, EXECUTE, WRITE]


def test_the_key_of_an_entry_names_its_table_and_its_attempt() -> None:
    partition = queue_partition(("pricing", "sales"))
    assert entry_key(partition, 7) == ("COMMIT_QUEUE#pricing.sales", "ENTRY#7")
