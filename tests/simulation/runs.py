"""Runs of the simulation: random from a seed, exhaustive, replayed, and shrunk to the shortest that still fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from lambda_fn.guard.items import Status, guard_key, read_item
from tests.simulation.process import Process
from tests.simulation.scheduler import GO, OLD_SALES_ARE_BACKFILLED, WORLD_EVENTS, Budget, Scheduler, Violation
from tests.simulation.world import GUARD, World, sale
from tests.simulation.writers import ProtocolWriter, Writer, WriterOf

RECOVERY_ROUNDS = 12
STEPS_LIMIT = 2000

ANY_SALE: Final = tuple(event for event in WORLD_EVENTS if event != OLD_SALES_ARE_BACKFILLED)
"""The events that matter for sales of any age."""

Choose = Callable[[Scheduler, list[str]], str]
Check = Callable[[World], list[str]]


@dataclass(frozen=True)
class Scenario:
    """The batches of sales that each process is delivered, one after the other, and how much may go wrong.

    ``version_before`` names processes, or the first letters of processes.
    """

    deliveries: Sequence[Sequence[Sequence[int]]]
    faults: int = 2
    maintenance: int = 2
    old: bool = False
    losses: int = 0
    version_before: frozenset[str] = frozenset()
    events: Sequence[str] = ANY_SALE

    @property
    def sales(self) -> list[int]:
        """The numbers of all sales that are delivered."""
        return sorted({number for process in self.deliveries for batch in process for number in batch})


@dataclass(frozen=True)
class Failure:
    """A violation, the choices that led to it, and the steps of the run in words."""

    what: str
    choices: Sequence[str]
    story: Sequence[str]

    def __str__(self) -> str:
        steps = "\n".join(f"  {number:3}. {line}" for number, line in enumerate(self.story, 1))
        return f"{self.what}\n{steps}\nreplay with: {','.join(self.choices)}"


def run(
    scenario: Scenario,
    choose: Choose,
    writer_of: WriterOf = ProtocolWriter,
    check: Check = World.violations,
    recovered: set[int] | None = None,
) -> Failure | None:
    """Run a scenario to its end, then redeliver everything without faults. Return the first violation, if any.

    ``recovered`` has the digests of ends from which an earlier run has recovered. The recovery is the same each time,
    so a run that comes to such an end is over. The digest of a new end is added.
    """
    world = World({sale(number, old=scenario.old).key: sale(number, old=scenario.old) for number in scenario.sales})

    def deliver_all(prefix: str, first_attempt_id: int) -> list[Process]:
        return [
            _process(world, f"{prefix}{number}", batches, writer_of, first_attempt_id + 1000 * number, scenario)
            for number, batches in enumerate(scenario.deliveries, 1)
        ]

    budget = Budget(scenario.faults, scenario.maintenance, scenario.losses, scenario.events)
    scheduler = Scheduler(world, deliver_all("P", 0), budget, check, lambda: deliver_all("S", 50_000))
    faulty: int | None = None
    try:
        scheduler.start()
        _until_at_rest(scheduler, choose)
        faulty = len(scheduler.taken)
        if recovered is not None:
            _enter(scheduler.digest_of_end(), recovered)
        _recover(scheduler, scenario, writer_of)
    except Violation as violation:
        return Failure(str(violation), tuple(scheduler.taken[:faulty]), tuple(scheduler.story))
    except _Seen:
        return None
    finally:
        scheduler.stop()
    return None


def _process(
    world: World,
    name: str,
    batches: Sequence[Sequence[int]],
    writer_of: WriterOf,
    first_attempt_id: int,
    scenario: Scenario,
) -> Process:
    before = name in scenario.version_before or name[0] in scenario.version_before

    def body(process: Process) -> None:
        writer: Writer = writer_of(world, process, first_attempt_id)
        for batch in batches:
            sales = [sale(number, old=scenario.old, version_before=before) for number in batch]
            world.acknowledged.update(writer.deliver(sales))

    return Process(name, body)


def _until_at_rest(scheduler: Scheduler, choose: Choose) -> None:
    for _ in range(STEPS_LIMIT):
        moves = scheduler.moves()
        if not any(process.pending for process in scheduler.processes):
            return
        scheduler.move(choose(scheduler, moves))
    raise Violation(f"the run did not end after {STEPS_LIMIT} steps")


def _recover(scheduler: Scheduler, scenario: Scenario, writer_of: WriterOf) -> None:
    """Redeliver what is not acknowledged until it is, and a day later everything once more."""
    world = scheduler.world
    scheduler.budget = Budget(0, 0)
    scheduler.story.append("recovery begins")
    for number in range(RECOVERY_ROUNDS):
        unacknowledged = [s for s in scenario.sales if sale(s, old=scenario.old).key not in world.acknowledged]
        if not unacknowledged:
            break
        world.let_leases_lapse()
        _deliver(scheduler, f"R{number}", unacknowledged, scenario, writer_of, 100_000 + 1000 * number)
    else:
        raise Violation(
            f"sales {unacknowledged} are still unresolved after {RECOVERY_ROUNDS} deliveries without faults"
        )
    while scheduler.in_flight:
        scheduler.move("wire:0")
    world.let_a_day_pass()
    _deliver(scheduler, "REPLAY", scenario.sales, scenario, writer_of, 500_000)
    world.without_item.clear()
    if world.look_up_every_sale:
        world.look_up_every_sale = False
        world.let_a_day_pass()
        _deliver(scheduler, "AGAIN", scenario.sales, scenario, writer_of, 600_000)
    for key in world.sales:
        item = world.dynamodb.tables[GUARD.name].get(guard_key(key))
        if world.rows[key] != 1 or item is None or read_item(item).status is not Status.COMPLETED:
            raise Violation(f"sale {key.sale_id} ended with {world.rows[key]} rows, guard {item}")


def _deliver(
    scheduler: Scheduler, name: str, numbers: list[int], scenario: Scenario, writer_of: WriterOf, first_id: int
) -> None:
    scheduler.add(_process(scheduler.world, name, [numbers], writer_of, first_id, scenario))
    _until_at_rest(scheduler, lambda _, moves: moves[0])


# R and S are the first letters of the processes that recover, and of those that start again after a loss.
_MAY_RUN_THE_VERSION_BEFORE = ("P1", "P2", "P3", "P4", "R", "S", "REPLAY")


# --- strategies ------------------------------------------------------------------------------------------------------


def replaying(choices: Sequence[str]) -> Choose:
    """Make these choices in turn, skip those that are not possible, then continue without faults."""
    remaining = list(choices)

    def choose(_: Scheduler, moves: list[str]) -> str:
        while remaining:
            wanted = remaining.pop(0)
            if wanted in moves:
                return wanted
        return moves[0]

    return choose


def directed(*steps: str) -> Choose:
    """Make these choices in turn, then continue without faults.

    ``P1 until TEXT`` lets the process P1 go on until it is about to send a request whose description contains TEXT.
    """
    remaining = list(steps)

    def choose(scheduler: Scheduler, moves: list[str]) -> str:
        while remaining:
            name, until, text = remaining[0].partition(" until ")
            if not until:
                return remaining.pop(0)
            process = next(process for process in scheduler.processes if process.name == name)
            if process.pending is None:
                raise Violation(f"{name} ended before it {text}")
            if text not in process.pending.text:
                return f"{name}:{GO}"
            remaining.pop(0)
        return moves[0]

    return choose


def at_random(seed: int) -> Choose:
    """Mostly continue the same process, often switch, and sometimes choose a fault."""
    rng = random.Random(seed)
    stay_probability = rng.choice((0.3, 0.6, 0.85))
    fault_probability = rng.choice((0.05, 0.15, 0.4))

    def choose(_: Scheduler, moves: list[str]) -> str:
        going = [move for move in moves if move.endswith(f":{GO}")]
        others = [move for move in moves if not move.endswith(f":{GO}")]
        if others and rng.random() < fault_probability:
            return rng.choice(others)
        if rng.random() < stay_probability:
            return going[0]
        return rng.choice(going)

    return choose


ScenarioOf = Callable[[int], Scenario]
"""Makes a scenario from a seed."""


def random_scenario(seed: int) -> Scenario:
    """Return a scenario of up to four processes and three sales, with overlapping batches."""
    rng = random.Random(f"scenario {seed}")
    numbers = range(1, rng.randint(1, 3) + 1)
    deliveries = [
        [sorted(rng.sample(numbers, rng.randint(1, len(numbers)))) for _ in range(rng.choice((1, 1, 2)))]
        for _ in range(rng.randint(2, 4))
    ]
    faults, maintenance, old = rng.randint(1, 5), rng.randint(0, 3), rng.random() < 0.15
    return Scenario(
        deliveries,
        faults=faults,
        maintenance=maintenance,
        old=old,
        events=(*ANY_SALE, OLD_SALES_ARE_BACKFILLED) if old else ANY_SALE,
        losses=int(rng.random() < 0.15),
        version_before=frozenset(name for name in _MAY_RUN_THE_VERSION_BEFORE if rng.random() < 0.2),
    )


def random_group_scenario(seed: int) -> Scenario:
    """Return a scenario of three or four processes that meet in the commit queue while leases lapse."""
    rng = random.Random(f"group scenario {seed}")
    deliveries = [[rng.choice(([1], [1], [2], [1, 2]))] for _ in range(rng.choice((3, 3, 4)))]
    events = ["leases_lapse", *rng.sample(sorted(ANY_SALE), rng.randint(0, 2))]
    return Scenario(deliveries, faults=rng.randint(0, 2), maintenance=rng.randint(1, 4), events=events)


def run_seed(
    seed: int,
    writer_of: WriterOf = ProtocolWriter,
    check: Check = World.violations,
    scenario_of: ScenarioOf = random_scenario,
) -> Failure | None:
    """Run the scenario and the choices of a seed."""
    return run(scenario_of(seed), at_random(seed), writer_of, check)


# --- exploring and shrinking -----------------------------------------------------------------------------------------


class _Seen(Exception):
    """Raised in a state that was explored before."""


def _enter(state: int, seen: set[int]) -> None:
    if state in seen:
        raise _Seen
    seen.add(state)


@dataclass
class Exploration:
    """The progress and result of an exhaustive exploration."""

    runs: int = 0
    states: int = 0
    complete: bool = False
    failure: Failure | None = None


def explore(scenario: Scenario, writer_of: WriterOf = ProtocolWriter, runs_limit: int = 10**9) -> Exploration:
    """Make every choice in every reachable state, each state once."""
    result = Exploration()
    seen: set[int] = set()
    recovered: set[int] = set()
    waiting: list[tuple[str, ...]] = [()]
    while waiting and result.runs < runs_limit:
        prefix = waiting.pop()
        choose = _exploring(prefix, seen, waiting)
        result.failure = run(scenario, choose, writer_of, recovered=recovered)
        result.runs += 1
        if result.failure:
            break
    result.states = len(seen)
    result.complete = not waiting and result.failure is None
    return result


def _exploring(prefix: tuple[str, ...], seen: set[int], waiting: list[tuple[str, ...]]) -> Choose:
    position = 0

    def choose(scheduler: Scheduler, moves: list[str]) -> str:
        nonlocal position
        position += 1
        if position <= len(prefix):
            return prefix[position - 1]
        _enter(scheduler.digest(), seen)
        path = tuple(scheduler.taken)
        waiting.extend((*path, move) for move in moves[1:])
        return moves[0]

    return choose


def shrink(scenario: Scenario, failure: Failure, writer_of: WriterOf = ProtocolWriter) -> Failure:
    """Leave out choices, in groups and then one by one, as long as the run still fails."""
    best = failure
    size = max(1, len(best.choices) // 2)
    while size:
        start = 0
        while start < len(best.choices):
            fewer = (*best.choices[:start], *best.choices[start + size :])
            found = run(scenario, replaying(fewer), writer_of)
            if found is not None and _length(found) < _length(best):
                best = found
            else:
                start += size
        size //= 2
    return best


def _length(failure: Failure) -> tuple[int, int, int]:
    """Return the length of a failure: the number of faults, then of switches between processes, then of steps."""
    faults = sum(not choice.endswith(f":{GO}") for choice in failure.choices)
    actors = [choice.split(":")[0] for choice in failure.choices]
    switches = sum(before != after for before, after in pairwise(actors))
    return faults, switches, len(failure.choices)
