"""The commit queue: the same cases on DynamoDB, on its stand-ins, and on the queue in memory that other tests use."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from lambda_fn.commit_queue.queue_table import DynamoDBCommitQueue
from lambda_fn.iceberg.group_commit.commit_queue import MAX_LANDED, CommitQueue, Lease, QueueEntry, Round
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline
from tests.contract.dynamodb.dynamodb_world import Store, World
from tests.fakes.clock import FakeClock
from tests.fakes.commit_queue import InMemoryCommitQueue

LARGEST_ID = 2**63 - 1
SECONDS = 3.0


@dataclass
class Queues:
    """A queue, another handle on it as another process has it, the queue of another table, and the clock of all."""

    queue: CommitQueue
    same: CommitQueue
    of_another_table: CommitQueue
    clock: FakeClock

    def soon(self) -> Deadline:
        return Deadline.after(self.clock, 60.0)

    def take(self, lease: Lease, attempt_id: int) -> Lease:
        """Take the lease, which nobody else wants."""
        taken = self.queue.take(lease, attempt_id, SECONDS, self.soon())
        assert taken is not None
        return taken

    def lease(self) -> Lease:
        """Return the lease as another process reads it."""
        return self.same.lease(self.soon())

    def attempts(self) -> list[int]:
        """Return the attempts that wait, as another process reads them."""
        return sorted(entry.attempt_id for entry in self.same.entries(self.soon()))


@pytest.fixture
def queues(queue_store: Store | None) -> Queues:
    if queue_store is None:
        clock = FakeClock()
        queue = InMemoryCommitQueue(clock)
        return Queues(queue, queue, InMemoryCommitQueue(clock), clock)
    world = World(queue_store, Threads(4))
    first, second, third = (
        DynamoDBCommitQueue(world.guard_batches, (world.tenant, name), world.clock, Threads(4))
        for name in ("sales", "sales", "other")
    )
    return Queues(first, second, third, world.clock)


def entry(queues: Queues, attempt_id: int = 7, **changes: object) -> QueueEntry:
    given = QueueEntry(attempt_id, 5, frozenset(), '{"path":"s3://lake/é"}', round(queues.clock.now(), 3))
    return replace(given, **changes)  # type: ignore[arg-type]


# --- entries ---------------------------------------------------------------------------------------------------------


def test_an_empty_queue_has_no_entries(queues: Queues) -> None:
    assert list(queues.queue.entries(queues.soon())) == []


def test_entries_are_read_as_they_were_enlisted(queues: Queues) -> None:
    given = {
        1: entry(queues, 1, judged=NO_SNAPSHOT),
        LARGEST_ID: entry(queues, LARGEST_ID, judged=LARGEST_ID - 1, fenced=frozenset({LARGEST_ID - 2, 3})),
        9: entry(queues, 9, manifest="x" * 5000, enlisted_at=queues.clock.now() + 0.125),
    }
    for each in given.values():
        queues.queue.enlist(each, queues.soon())
    found = queues.same.entries(queues.soon())
    assert {each.attempt_id: each for each in found} == given
    assert len(found) == len(given)


def test_an_attempt_that_enlists_again_replaces_its_entry(queues: Queues) -> None:
    queues.queue.enlist(entry(queues), queues.soon())
    queues.clock.advance(1.0)
    again = entry(queues, judged=6, fenced=frozenset({4}), manifest="other")
    queues.queue.enlist(again, queues.soon())
    assert list(queues.same.entries(queues.soon())) == [again]


def test_each_table_has_a_queue_of_its_own(queues: Queues) -> None:
    queues.queue.enlist(entry(queues), queues.soon())
    queues.take(Lease(), 7)
    assert list(queues.of_another_table.entries(queues.soon())) == []
    assert queues.of_another_table.lease(queues.soon()) == Lease()


# --- the lease -------------------------------------------------------------------------------------------------------


def test_a_lease_that_nobody_has_taken_is_free(queues: Queues) -> None:
    assert queues.lease() == Lease()
    assert queues.lease().until < queues.clock.now()


def test_the_others_see_who_has_taken_the_lease_and_for_how_long(queues: Queues) -> None:
    now = queues.clock.now()
    taken = queues.take(queues.lease(), LARGEST_ID)
    assert taken == Lease(1, LARGEST_ID, now, now + SECONDS)
    assert queues.lease() == taken


@pytest.mark.parametrize("is_new", [True, False])
def test_of_two_takers_one_wins(queues: Queues, is_new: bool) -> None:
    if not is_new:
        queues.queue.finish(queues.take(Lease(), 1), Round(), queues.soon())
    read = queues.lease()
    taken = queues.take(read, 7)
    assert queues.same.take(read, 8, SECONDS, queues.soon()) is None
    assert queues.lease() == taken


def test_a_lease_is_extended_by_taking_it_again(queues: Queues) -> None:
    taken = queues.take(Lease(), 7)
    queues.clock.advance(2.0)
    extended = queues.take(taken, 7)
    assert (extended.number, extended.since) == (taken.number + 1, queues.clock.now())
    assert queues.same.take(taken, 8, SECONDS, queues.soon()) is None
    assert queues.lease() == extended


def test_a_leader_that_is_done_frees_the_lease_and_tells_what_landed(queues: Queues) -> None:
    taken = queues.take(Lease(), 7)
    found = Round({3: 7, 4: 7, LARGEST_ID: 2}, (), 0.25)
    queues.queue.finish(taken, found, queues.soon())
    freed = queues.lease()
    assert freed == Lease(2, 7, taken.since, 0.0, 0.25, found.landed)
    assert queues.take(freed, 8).landed == found.landed


def test_what_earlier_groups_landed_is_kept(queues: Queues) -> None:
    queues.queue.finish(queues.take(Lease(), 7), Round({3: 7}, (), 0.25), queues.soon())
    queues.queue.finish(queues.take(queues.lease(), 8), Round({4: 8}), queues.soon())
    assert queues.lease().landed == {3: 7, 4: 8}
    assert queues.lease().round_seconds == 0.25, "a round without a commit tells nothing about how long one takes"


def test_only_the_last_attempts_that_landed_are_kept(queues: Queues) -> None:
    first, second = ({base + number: base for number in range(1, 51)} for base in (1000, 2000))
    queues.queue.finish(queues.take(Lease(), 1000), Round(first), queues.soon())
    queues.queue.finish(queues.take(queues.lease(), 2000), Round(second), queues.soon())
    landed = queues.lease().landed
    assert len(landed) == MAX_LANDED
    assert second.items() <= landed.items()
    assert landed.keys() - second.keys() == set(range(1037, 1051))


def test_all_attempts_of_the_last_group_are_kept(queues: Queues) -> None:
    group = dict.fromkeys(range(1, MAX_LANDED + 10), 1)
    queues.queue.finish(queues.take(Lease(), 1), Round(group), queues.soon())
    assert queues.lease().landed == group


def test_a_leader_may_keep_the_lease_when_it_tells_the_others(queues: Queues) -> None:
    taken = queues.take(Lease(), 1)
    assert taken is not None
    kept = queues.queue.finish(taken, Round({7: 1}, keep_seconds=10.0), queues.soon())
    assert kept == queues.lease()
    assert kept is not None
    assert kept.until > taken.until
    assert kept.landed == {7: 1}
    freed = queues.queue.finish(kept, Round(), queues.soon())
    assert freed is not None
    assert freed.until == 0.0
    assert freed.landed == {7: 1}


def test_a_leader_removes_the_entries_that_are_settled(queues: Queues) -> None:
    for attempt_id in range(1, 61):
        queues.queue.enlist(entry(queues, attempt_id), queues.soon())
    taken = queues.take(Lease(), 1)
    queues.queue.finish(taken, Round(settled=range(1, 56)), queues.soon())
    assert queues.attempts() == [56, 57, 58, 59, 60]


def test_a_leader_may_remove_entries_that_are_gone_already(queues: Queues) -> None:
    queues.queue.enlist(entry(queues), queues.soon())
    queues.queue.finish(queues.take(Lease(), 1), Round(settled=[7, 8]), queues.soon())
    queues.queue.finish(queues.take(queues.lease(), 1), Round(settled=[7, 8]), queues.soon())
    assert queues.attempts() == []


def test_a_leader_that_was_overtaken_does_not_free_the_lease_of_the_next_one(queues: Queues) -> None:
    queues.queue.enlist(entry(queues), queues.soon())
    late = queues.take(Lease(), 1)
    next_one = queues.take(queues.lease(), 2)
    assert queues.queue.finish(late, Round({7: 1}, [7], 9.0), queues.soon()) is None
    assert queues.lease() == next_one
    assert queues.attempts() == [], "what has landed is settled, whoever finds it out"
