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

Prepared = TypeVar("Prepared")


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


@dataclass(frozen=True)
class Cost:
    """Elapsed milliseconds, and CPU milliseconds of all threads of this process."""

    wall: float
    cpu: float


def cost_of(action: Callable[[], object]) -> Cost:
    """Run the action once and return its cost."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    action()
    return Cost((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)


def timed(prepare: Callable[[], Prepared], action: Callable[[Prepared], object]) -> Callable[[], float]:
    """Return a repetition: prepare an argument, run the action with it, return the milliseconds of the action."""

    def repetition() -> float:
        prepared = prepare()
        started = time.perf_counter()
        action(prepared)
        return (time.perf_counter() - started) * 1000

    return repetition


def alternate(
    bench: Bench, measured: Mapping[str, Callable[[], float]], repetitions: int, warm_up: int = 1
) -> dict[str, list[float]]:
    """Take the repetitions in turn, so that a disturbance of the machine affects all sides alike."""
    for action in measured.values():
        for _ in range(warm_up):
            action()
    samples: dict[str, list[float]] = {name: [] for name in measured}
    for number in range(repetitions):
        bench.step(f"{', '.join(measured)}: {number + 1} of {repetitions}")
        for name, action in measured.items():
            samples[name].append(action())
    return samples


def paired_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    """Return the median of the ratios of neighbouring samples, which a slow period of the machine affects alike."""
    return median(numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True))
