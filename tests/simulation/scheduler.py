"""Chooses which process moves next and what goes wrong. Each choice has a name, so that any run can be replayed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.process import CRASHING, Fault, Process, Request, time_out
from tests.simulation.world import World

GO = "go"


class Violation(Exception):
    """An invariant does not hold, or a sale was not completed in the end."""


@dataclass
class Budget:
    """How many faults, maintenance events and losses of a store may still happen, and which events."""

    faults: int
    maintenance: int
    losses: int = 0
    events: Sequence[str] = ()


@dataclass
class InFlight:
    """A request whose sender no longer waits, and that may still arrive."""

    text: str
    request: Request


@dataclass
class Scheduler:
    """Controls the steps of the processes, the requests in flight, and maintenance of the world."""

    world: World
    processes: list[Process]
    budget: Budget
    check: Callable[[World], list[str]]
    restarted: Callable[[], list[Process]] = list
    """Makes the processes that are delivered everything again once a store was lost."""
    in_flight: list[InFlight] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Run every process to its first request."""
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        """End every thread."""
        for process in self.processes:
            process.kill()

    def add(self, process: Process) -> None:
        """Add another process, and run it to its first request."""
        self.processes.append(process)
        process.start()

    def moves(self) -> list[str]:
        """Return the names of all possible choices. The first continues the process that moved last."""
        found = [f"{process.name}:{GO}" for process in self.processes if process.pending]
        if self.taken and (last := f"{self.taken[-1].split(':')[0]}:{GO}") in found:
            found.remove(last)
            found.insert(0, last)
        found.extend(f"wire:{number}" for number in range(len(self.in_flight)))
        if self.budget.faults > 0:
            found.extend(
                f"{process.name}:{fault.name}"
                for process in self.processes
                if process.pending
                for fault in process.pending.faults
            )
        if self.budget.maintenance > 0 and any(process.pending for process in self.processes):
            found.extend(f"world:{name}" for name in self.budget.events)
        if self.budget.losses > 0 and any(process.pending for process in self.processes):
            found.extend(f"operator:{name}" for name in _LOSSES)
        return found

    def move(self, name: str) -> None:
        """Make a choice. Raises Violation if an invariant does not hold afterwards."""
        self.taken.append(name)
        actor, what = name.split(":")
        if actor == "world":
            self.budget.maintenance -= 1
            WORLD_EVENTS[what](self.world)
            self.story.append(f"{what.replace('_', ' ')}")
        elif actor == "operator":
            self.budget.losses -= 1
            self._repair_a_loss(what)
        elif actor == "wire":
            late = self.in_flight.pop(int(what))
            late.request.take_effect()
            self.story.append(f"arrives late: {late.text}")
        else:
            process = next(process for process in self.processes if process.name == actor and process.pending)
            self._let(process, None if what == GO else Fault[what])
        self._verify()

    def _repair_a_loss(self, what: str) -> None:
        """Do what docs/repair.md says: stop the traffic, wait, switch the look-up on, start the traffic."""
        for process in self.processes:
            process.kill()
        while self.in_flight:
            self.in_flight.pop(0).request.take_effect()
        _LOSSES[what](self.world)
        self.story.append(f"{what.replace('_', ' ')}, and the traffic starts again")
        for process in self.restarted():
            self.add(process)

    def _let(self, process: Process, fault: Fault | None) -> None:
        request = process.pending
        assert request is not None
        text = f"{process.name} {request.text}"
        if fault is None:
            self.story.append(text)
            respond, digest = _respond(request)
            process.resume(respond, digest)
        else:
            self.budget.faults -= 1
            self.story.append(f"{text} -- {fault.name.replace('_', ' ').lower()}")
            self._apply(process, request, fault)
            if fault in CRASHING:
                process.kill()
            else:
                process.resume(time_out, "time-out")
        if process.error is not None:
            raise Violation(f"{process.name} failed: {process.error!r}") from process.error

    def _apply(self, process: Process, request: Request, fault: Fault) -> None:
        """Apply to the world what the request does under the fault."""
        if fault in (Fault.ANSWER_LOST, Fault.CRASH_AFTER):
            _respond(request)
        elif fault in (Fault.HALF_DONE, Fault.HALF_DONE_AND_CRASH):
            request.parts[0]()
        elif fault in (Fault.LATE, Fault.LATE_AND_CRASH):
            self.in_flight.append(InFlight(f"{process.name} {request.text}", request))

    def _verify(self) -> None:
        found = self.check(self.world)
        if found:
            raise Violation("; ".join(found))

    def digest(self) -> int:
        """Return a digest of everything that determines how the run can continue."""
        processes = tuple((process.name, process.alive, process.history) for process in self.processes)
        wire = tuple(late.text for late in self.in_flight)
        return hash((self.world.digest(), processes, wire, self.budget.faults, self.budget.maintenance))

    def digest_of_end(self) -> int:
        """Return a digest of everything that determines a recovery. No process continues.

        The history of the processes counts only because it determines the requests that are in flight.
        """
        histories = tuple(process.history for process in self.processes) if self.in_flight else ()
        return hash((self.world.digest(), tuple(late.text for late in self.in_flight), histories))


OLD_SALES_ARE_BACKFILLED = "old_sales_are_backfilled"
WORLD_EVENTS: dict[str, Callable[[World], None]] = {
    "a_compaction_replaces_the_head": World.compact,
    "snapshots_expire": World.expire_snapshots,
    "the_schema_changes": World.change_the_schema,
    "leases_lapse": World.let_leases_lapse,
    "a_day_passes": World.let_a_day_pass,
    "a_month_passes": World.let_a_month_pass,
    OLD_SALES_ARE_BACKFILLED: World.backfill_old_sales,
}


_LOSSES: dict[str, Callable[[World], None]] = {
    "the_guard_is_lost": World.lose_the_guard,
    "the_projection_is_lost": World.lose_the_projection,
    "the_projection_goes_back": World.set_the_projection_back,
}


def _respond(request: Request) -> tuple[Callable[[], Any], object]:
    """Let a request take effect. Return a function that responds to it, and a digest of the response."""
    try:
        value = request.take_effect()
    except Exception as error:
        raised = error

        def fail() -> Any:
            raise raised

        return fail, repr(error)
    return lambda: value, repr(value)
