"""Who moves next, and what goes wrong: choice by choice, each with a name, so that any run can be replayed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.process import CRASHING, Fault, Process, Request, time_out
from tests.simulation.world import World

GO = "go"


class Violation(Exception):
    """Something that must hold did not, or a sale could not be brought to an end."""


@dataclass
class Budget:
    """How much may still go wrong."""

    faults: int
    maintenance: int


@dataclass
class InFlight:
    """A request that its sender has given up, and that may still arrive."""

    text: str
    request: Request


@dataclass
class Scheduler:
    """Owns every step of the processes, the requests on the wire, and the world's own events."""

    world: World
    processes: list[Process]
    budget: Budget
    check: Callable[[World], list[str]]
    in_flight: list[InFlight] = field(default_factory=list)
    story: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Bring every process to its first request."""
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        """End every thread."""
        for process in self.processes:
            process.kill()

    def add(self, process: Process) -> None:
        """Let another process join."""
        self.processes.append(process)
        process.start()

    def moves(self) -> list[str]:
        """Return the name of every choice that there is now; the first goes on with the process that moved last."""
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
            found.extend(f"world:{name}" for name in _WORLD)
        return found

    def move(self, name: str) -> None:
        """Make a choice. Raises Violation when something does not hold afterwards."""
        self.taken.append(name)
        actor, what = name.split(":")
        if actor == "world":
            self.budget.maintenance -= 1
            _WORLD[what](self.world)
            self.story.append(f"{what.replace('_', ' ')}")
        elif actor == "wire":
            late = self.in_flight.pop(int(what))
            late.request.take_effect()
            self.story.append(f"late, on the wire: {late.text}")
        else:
            process = next(process for process in self.processes if process.name == actor and process.pending)
            self._let(process, None if what == GO else Fault[what])
        self._verify()

    def _let(self, process: Process, fault: Fault | None) -> None:
        request = process.pending
        assert request is not None
        text = f"{process.name} {request.text}"
        if fault is None:
            self.story.append(text)
            value, digest = _answer(request)
            process.resume(value, digest)
        else:
            self.budget.faults -= 1
            self.story.append(f"{text} -- {fault.name.replace('_', ' ').lower()}")
            self._act(process, request, fault)
            if fault in CRASHING:
                process.kill()
            else:
                process.resume(time_out, "silence")
        if process.error is not None:
            raise Violation(f"{process.name} failed: {process.error!r}") from process.error

    def _act(self, process: Process, request: Request, fault: Fault) -> None:
        """Do to the world what a request does that meets a fault."""
        if fault in (Fault.ANSWER_LOST, Fault.CRASH_AFTER):
            _answer(request)
        elif fault in (Fault.HALF_DONE, Fault.HALF_DONE_AND_CRASH):
            request.parts[0]()
        elif fault in (Fault.LATE, Fault.LATE_AND_CRASH):
            self.in_flight.append(InFlight(f"{process.name} {request.text}", request))

    def _verify(self) -> None:
        found = self.check(self.world)
        if found:
            raise Violation("; ".join(found))

    def digest(self) -> int:
        """Return a digest of everything that decides how the run can go on."""
        processes = tuple((process.name, process.alive, process.history) for process in self.processes)
        wire = tuple(late.text for late in self.in_flight)
        return hash((self.world.digest(), processes, wire, self.budget.faults, self.budget.maintenance))


_WORLD: dict[str, Callable[[World], None]] = {
    "a_compaction_replaces_the_head": World.compact,
    "snapshots_expire": World.expire_snapshots,
    "leases_lapse": World.let_leases_lapse,
    "a_day_passes": World.let_a_day_pass,
}


def _answer(request: Request) -> tuple[Callable[[], Any], object]:
    """Let a request take effect; return how to answer it, and a digest of the answer."""
    try:
        value = request.take_effect()
    except Exception as error:
        raised = error

        def fail() -> Any:
            raise raised

        return fail, repr(error)
    return lambda: value, repr(value)
