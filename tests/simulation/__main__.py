"""``python -m tests.simulation --seconds 60 [--groups]``: random runs until the time is up or a run fails."""

from __future__ import annotations

import argparse
import sys
import time
from itertools import count

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.simulation.process import Fault
from tests.simulation.runs import Failure, random_group_scenario, random_scenario, run_seed, shrink
from tests.simulation.writers import GroupWriter, ProtocolWriter


def main() -> int:
    """Run until the time is up or a run fails. Return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="simulate-faults", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, help="the first seed (default: from the clock)")
    parser.add_argument("--groups", action="store_true", help="every attempt goes through the commit queue")
    arguments = parser.parse_args()
    writer_of = GroupWriter if arguments.groups else ProtocolWriter
    scenario_of = random_group_scenario if arguments.groups else random_scenario
    first = int(time.time()) * 1_000_000 if arguments.seed is None else arguments.seed
    console = Console(stderr=True)
    started = time.monotonic()
    runs = 0
    found: tuple[int, Failure] | None = None
    columns = (SpinnerColumn(), TextColumn("{task.completed} runs from seed {task.fields[first]}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=None, first=first)
        for seed in count(first):
            failure = run_seed(seed, writer_of, scenario_of=scenario_of)
            runs += 1
            progress.update(task, completed=runs)
            if failure is not None:
                found = (seed, shrink(scenario_of(seed), failure, writer_of))
            if found is not None or time.monotonic() - started > arguments.seconds:
                break
    table = Table("runs", "first seed", "fault types", "seconds", "failures")
    table.add_row(str(runs), str(first), str(len(Fault)), f"{time.monotonic() - started:.0f}", str(int(bool(found))))
    Console().print(table)
    if found is not None:
        Console().print(f"seed {found[0]}: {found[1]}", markup=False)
    return int(found is not None)


if __name__ == "__main__":
    sys.exit(main())
