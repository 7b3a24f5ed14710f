"""What every measurement is given, and the ways in which repetitions are taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.progress import Progress, TaskID

from benchmarks.latency_proxy import Passed
from benchmarks.stand import Stand
from carousel_sync.command_line.console import stderr


@dataclass
class Pictures:
    """What the pictures are drawn from; each measurement leaves its part."""

    timelines: dict[str, list[Passed]] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass
class Bench:
    """The stand, the progress display, and how thoroughly to measure."""

    stand: Stand
    folder: Path
    progress: Progress
    task: TaskID
    quick: bool = False
    pictures: Pictures = field(default_factory=Pictures)

    def repetitions(self, usual: int) -> int:
        """Return how often to repeat: a few times only for a quick look."""
        return max(2, usual // 4) if self.quick else usual

    def note(self, text: str, **values: object) -> None:
        """Print what a reader of the figures wants to know beside them."""
        details = ", ".join(f"{name} {value}" for name, value in values.items())
        stderr.print(f"  {text}: {details}", highlight=False, soft_wrap=True)

    def step(self, text: str) -> None:
        """Show what is being measured. The display is drawn now and not by a thread, which would cost CPU time."""
        self.progress.update(self.task, description=text)
        self.progress.refresh()


@dataclass(frozen=True)
class Cost:
    """What something took: seconds on the clock, and CPU seconds of this process, all threads."""

    wall: float
    cpu: float


def cost_of(action: Callable[[], object]) -> Cost:
    """Run something once, and return what it took."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Cost(time.perf_counter() - wall, time.process_time() - cpu)


def alternate(
    bench: Bench, measured: Mapping[str, Callable[[], float]], repetitions: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Take repetitions in turn, so that whatever the machine does meanwhile it does to all of them."""
    for action in measured.values():
        for _ in range(warm_up):
            action()
    samples: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(repetitions):
        bench.step(f"{', '.join(measured)}: {number + 1} of {repetitions}")
        for name, action in measured.items():
            samples[name].append(action())
    return samples
