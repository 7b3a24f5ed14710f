"""``python -m tests.scale.waiting_attempts RATE COMMIT_MS``: how long attempts wait for a shared commit.

The function's code of group commit runs in simulated time against a queue and a table with random latencies. At most
200 attempts run at the same time; later ones wait for a free process. A process keeps what it knows of the table and of
contention between two attempts. The first quarter is left out of the figures.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Final

from lambda_fn.iceberg.group_commit.commit_queue import MAX_LANDED, Lease, QueueEntry, Round
from lambda_fn.iceberg.group_commit.group import MAX_MEMBERS
from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.iceberg.store import Committed, Unknown
from lambda_fn.ports import NO_SNAPSHOT, Landed
from lambda_fn.runtime.retry import Deadline, Retry

SECONDS: Final = 60.0
DYNAMODB_SECONDS: Final = 0.008
LOAD_SECONDS: Final = 0.06
UPLOAD_SECONDS: Final = 0.03
DEADLINE_SECONDS: Final = 50.0
SPREAD: Final = 0.25
HISTORY: Final = 400


class SimulatedTime:
    """Runs one thread at a time, always the one whose pause ends first. Also the clock of all of them."""

    def __init__(self) -> None:
        self._now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._idle = threading.Semaphore(0)

    def now(self) -> float:
        """Return the simulated time."""
        return self._now

    monotonic = now

    def sleep(self, seconds: float) -> None:
        """Let the others run until this many seconds have passed."""
        woken = threading.Semaphore(0)
        self.at(self._now + max(0.0, seconds), lambda: self._run(woken))
        self._idle.release()
        woken.acquire()

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Call the action at this time."""
        heapq.heappush(self._events, (time, next(self._numbers), action))

    def spawn(self, work: Callable[[], None]) -> None:
        """Start a thread now."""
        started = threading.Semaphore(0)

        def body() -> None:
            started.acquire()
            work()
            self._idle.release()

        threading.Thread(target=body, daemon=True).start()
        self._run(started)

    def run(self) -> None:
        """Run until nothing is left to do."""
        while self._events:
            self._now, _, action = heapq.heappop(self._events)
            action()

    def _run(self, thread: threading.Semaphore) -> None:
        thread.release()
        self._idle.acquire()


@dataclass(frozen=True)
class Head:
    """The table's head with its history."""

    head: int
    snapshots: Mapping[int, SnapshotNode]
    missing_facts: Sequence[str] = ()


@dataclass
class World:
    """The table and the queue, and what was sent to them."""

    time: SimulatedTime
    random: random.Random
    commit_seconds: float
    head: Head = field(default_factory=lambda: Head(NO_SNAPSHOT, {}))
    entries: dict[int, QueueEntry] = field(default_factory=dict)
    lease: Lease = field(default_factory=Lease)
    groups: list[tuple[float, int]] = field(default_factory=list)
    sent: Counter[str] = field(default_factory=Counter)

    def request(self, name: str, seconds: float) -> None:
        """Send a request that takes about this long."""
        self.sent[name] += 1
        self.time.sleep(seconds * self.random.lognormvariate(0.0, SPREAD))


class Queue:
    """The commit queue."""

    def __init__(self, world: World) -> None:
        self._world = world

    def enlist(self, entry: QueueEntry, deadline: Deadline) -> None:
        """Add an entry."""
        self._world.request("entries", DYNAMODB_SECONDS)
        self._world.entries[entry.attempt_id] = entry

    def entries(self, deadline: Deadline) -> Sequence[QueueEntry]:
        """Return the entries."""
        self._world.request("reads of the queue", DYNAMODB_SECONDS)
        return list(self._world.entries.values())

    def lease(self, deadline: Deadline) -> Lease:
        """Return the lease."""
        self._world.request("looks", DYNAMODB_SECONDS)
        return self._world.lease

    def take(self, lease: Lease, attempt_id: int, seconds: float, deadline: Deadline) -> Lease | None:
        """Take the lease unless it has changed."""
        world, now = self._world, self._world.time.now
        world.request("takes", DYNAMODB_SECONDS)
        if world.lease.number != lease.number:
            return None
        world.lease = replace(lease, number=lease.number + 1, owner=attempt_id, since=now(), until=now() + seconds)
        return world.lease

    def finish(self, lease: Lease, found: Round, deadline: Deadline) -> None:
        """Free the lease and remove the settled entries."""
        world = self._world
        world.request("finishes", DYNAMODB_SECONDS)
        for attempt in found.settled:
            world.entries.pop(attempt, None)
        if world.lease.number == lease.number:
            landed = list({**lease.landed, **found.landed}.items())[-MAX_LANDED:]
            seconds = lease.round_seconds if found.seconds is None else found.seconds
            freed = replace(lease, number=lease.number + 1, until=0.0, round_seconds=seconds)
            world.lease = replace(freed, landed=dict(landed))


class Store:
    """The table of one process. Files are empty texts. ``attempt`` is the attempt that the process works on."""

    commit_seconds = 5.0
    load_seconds = 5.0

    def __init__(self, world: World) -> None:
        self._world = world
        self.attempt = 0

    def stage(self, *_: Any) -> str:
        """Make the files."""
        return ""

    def fits(self, *_: Any) -> bool:
        """Every file fits."""
        return True

    can_list = fits
    manifest_of = stage

    def share(self, *_: Any) -> None:
        """Upload the files."""
        self._world.request("uploads", UPLOAD_SECONDS)

    def load(self, _: Head | None = None) -> Head:
        """Read the head."""
        self._world.request("loads", LOAD_SECONDS)
        return self._world.head

    def commit(
        self, state: Head, _: str, members: Sequence[tuple[int, str]], fenced: Collection[int], deadline: Deadline
    ) -> Committed[Head] | Unknown:
        """Commit as a compare-and-set on the head."""
        world, attempt = self._world, self.attempt
        world.request("commits", UPLOAD_SECONDS + world.commit_seconds)
        if state.head != world.head.head:
            return Unknown("another writer was faster")
        parent = None if state.head == NO_SNAPSHOT else state.head
        node = SnapshotNode(attempt, parent, len(world.groups) + 1, landed=frozenset(member for member, _ in members))
        history = dict(list(world.head.snapshots.items())[-HISTORY:])
        world.head = Head(attempt, {**history, attempt: node})
        world.groups.append((world.time.now(), 1 + len(members)))
        return Committed(world.head)


@dataclass
class Load:
    """Attempts that arrive at random times, and the processes that take them."""

    world: World
    always: bool
    waits: list[tuple[float, float]] = field(default_factory=list)
    landed: int = 0
    _idle: list[tuple[Store, IcebergSalesTable[Any, Any]]] = field(default_factory=list)
    _waiting: list[tuple[int, float]] = field(default_factory=list)
    _busy: int = 0

    def arrive(self, attempt: int, arrived: float) -> None:
        """Start an attempt, or let it wait for a process."""
        if self._busy >= MAX_MEMBERS:
            self._waiting.append((attempt, arrived))
            return
        self._busy += 1
        self.world.time.spawn(lambda: self._work(attempt, arrived))

    def _work(self, attempt: int, arrived: float) -> None:
        store, table = self._idle.pop() if self._idle else self._process()
        store.attempt = attempt
        deadline = Deadline.after(self.world.time, DEADLINE_SECONDS)
        result = table.begin(attempt, deadline).append([], (), deadline)
        self.landed += isinstance(result, Landed)
        self.waits.append((arrived, self.world.time.now() - arrived))
        self._idle.append((store, table))
        self._busy -= 1
        if self._waiting:
            self.arrive(*self._waiting.pop(0))

    def _process(self) -> tuple[Store, IcebergSalesTable[Any, Any]]:
        store: Any = Store(self.world)
        retry = Retry(self.world.time, self.world.random, longest_seconds=0.5)
        return store, IcebergSalesTable(store, retry, Queue(self.world), always_in_groups=self.always)


def measure(rate: float, commit_milliseconds: float, *, always: bool, seed: int) -> str:
    """Simulate a minute, and return its figures in one line."""
    source = random.Random(seed)
    world = World(SimulatedTime(), source, commit_milliseconds / 1000)
    load = Load(world, always)
    arrivals = itertools.accumulate(iter(lambda: source.expovariate(rate), None))
    for attempt, arrived in enumerate(itertools.takewhile(lambda time: time < SECONDS, arrivals), start=1):
        world.time.at(arrived, lambda attempt=attempt, arrived=arrived: load.arrive(attempt, arrived))  # type: ignore[misc]
    world.time.run()
    late = SECONDS / 4
    waits = sorted(wait for arrived, wait in load.waits if arrived > late)
    groups = [(time, size) for time, size in world.groups if time > late]
    between = (groups[-1][0] - groups[0][0]) / (len(groups) - 1)
    p50, p95 = waits[len(waits) // 2], waits[len(waits) * 95 // 100]
    takes = world.sent["takes"] / len(world.groups)
    per_sale = {name: world.sent[name] / len(load.waits) for name in ("looks", "entries")}
    return (
        f"{rate:g}/s, commit {commit_milliseconds:g} ms: {load.landed} of {len(load.waits)} landed; a commit every "
        f"{1000 * between:.0f} ms with {fmean(size for _, size in groups):.1f}; wait p50 {1000 * p50:.0f} ms "
        f"({p50 / between:.1f} commits), p95 {1000 * p95:.0f} ms ({p95 / between:.1f}); per sale "
        f"{per_sale['looks']:.1f} looks, {per_sale['entries']:.2f} entries; {takes:.1f} takes per group"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rate", type=float)
    parser.add_argument("commit_milliseconds", type=float)
    parser.add_argument("--always", action="store_true")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    print(measure(given.rate, given.commit_milliseconds, always=given.always, seed=given.seed))  # noqa: T201
