"""What each measurement receives, and how repetitions are taken."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from rich.progress import Progress, TaskID

from carousel_sync.command_line.console import stderr
from testbed.latency_proxy import RecordedRequest
from testbed.proxied_emulator import ProxiedEmulator

Argument = TypeVar("Argument")
Sample = TypeVar("Sample")


@dataclass
class ChartData:
    """What the charts are drawn from. Measurements add to it."""

    timelines: dict[str, list[RecordedRequest]] = field(default_factory=dict)
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict)


@dataclass
class Bench:
    """The emulator, a folder for temporary files, the progress display, and how thoroughly to measure."""

    emulator: ProxiedEmulator
    folder: Path
    progress: Progress
    task: TaskID
    quick: bool = False
    chart_data: ChartData = field(default_factory=ChartData)

    def repetitions(self, usual: int) -> int:
        """Return the number of repetitions: a quarter of the usual number for a quick run."""
        return max(2, usual // 4) if self.quick else usual

    def note(self, text: str, **values: object) -> None:
        """Print values that help to interpret the figures."""
        details = ", ".join(f"{name} {value}" for name, value in values.items())
        stderr.print(f"  {text}: {details}", highlight=False, soft_wrap=True)

    def step(self, text: str) -> None:
        """Show what is being measured. It is drawn now and not by a thread, which would use CPU time."""
        self.progress.update(self.task, description=text)
        self.progress.refresh()

    def alternate(
        self, measured: Mapping[str, Callable[[], Sample]], repetitions: int, warm_up: int = 1
    ) -> dict[str, list[Sample]]:
        """Take the repetitions in turn, so that a disturbance of the machine affects all sides alike."""
        samples: dict[str, list[Sample]] = {name: [] for name in measured}
        for number in range(-warm_up, repetitions):
            self.step(f"{', '.join(measured)}: {max(0, number + 1)} of {repetitions}")
            for name, action in measured.items():
                sample = action()
                if number >= 0:
                    samples[name].append(sample)
        return samples


@dataclass(frozen=True)
class Cost:
    """Elapsed milliseconds, and CPU milliseconds of all threads of this process."""

    wall: float
    cpu: float


def cost_of(action: Callable[[Argument], object], argument: Argument) -> Cost:
    """Run the action once and return its cost."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    action(argument)
    return Cost((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)


def timed(prepare: Callable[[], Argument], action: Callable[[Argument], object]) -> Callable[[], float]:
    """Return a repetition: prepare an argument, run the action with it, return the milliseconds of the action."""
    return lambda: cost_of(action, prepare()).wall


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the ratios of neighbouring samples, which a slow period of the machine affects alike."""
    return median(numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True))
