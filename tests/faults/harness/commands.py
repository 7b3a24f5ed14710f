"""The harnesses as commands, each of which prints its figures as a Markdown table."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from testbed.emulator import emulator
from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.figures import Figures, as_table

if TYPE_CHECKING:
    from tests.faults.harness.world import World

SEED_VARIABLE: Final = "FAULTS_SEED"
DEFAULT_SEED: Final = 20_260_315


def seed_of_environment() -> int:
    """Return the seed of random harnesses: $FAULTS_SEED, or the same each time."""
    return int(os.environ.get(SEED_VARIABLE) or DEFAULT_SEED)


@contextlib.contextmanager
def quiet_emulator() -> Iterator[str]:
    """Run an emulator; what the code under test logs meanwhile is thrown away."""
    os.environ.update(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_EC2_METADATA_DISABLED="true")
    warnings.simplefilter("ignore")
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        emulator(Path(folder)) as process,
        contextlib.redirect_stdout(nowhere),
    ):
        yield process.url


def tell(text: str) -> None:
    """Print, also while standard output is thrown away."""
    print(text, file=sys.__stdout__, flush=True)


def tell_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table."""
    tell(as_table(rows))


def end(figures: Figures) -> None:
    """Name every problem, and end the process: with 1 when there is any."""
    for name, problems in figures.problems.items():
        for problem in problems:
            tell(f"{name}: {problem}")
    sys.exit(1 if figures.problems else 0)


def end_of_controls(figures: Mapping[str, Figures]) -> None:
    """End the process: with 1 when a naive writer was not caught."""
    missed = [name for name, one in figures.items() if not one.lost and not one.doubled]
    for name in missed:
        tell(f"not caught: {name}")
    sys.exit(1 if missed else 0)


def wire_command() -> None:
    """Run ``python -m tests.faults.wire``."""
    # Imported here: plans imports wire, whose command this is.
    from tests.faults.harness.plans import all_pairs, play_everything, play_pairs  # noqa: PLC0415
    from tests.faults.harness.world import World  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m tests.faults.wire")
    parser.add_argument("--all-pairs", action="store_true", help="pairs of faults over two deliveries")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to play pairs")
    parser.add_argument("--seed", type=int, default=seed_of_environment(), help="decides the order of the pairs")
    parser.add_argument("--control", action="store_true", help="play the same with two naive writers instead")
    options = parser.parse_args()
    total, rows = Figures(), []
    with quiet_emulator() as endpoint, FaultProxy(endpoint) as proxy:
        world = World.create(endpoint)
        if options.control:
            seconds = options.seconds if options.all_pairs else None
            controls = _wire_controls(world, proxy, options.seed, seconds)
            tell_table([figures.row(name) for name, figures in controls.items()])
            end_of_controls(controls)
        if options.all_pairs:
            pairs = all_pairs(options.seed)
            total, played = play_pairs(world, proxy, pairs, options.seconds)
            rows = [total.row(f"{played:,} of {len(pairs):,} pairs, seed {options.seed}")]
        else:
            for name, figures in play_everything(world, proxy):
                rows.append(figures.row(name))
                total += figures
            rows.append(total.row("all"))
    tell_table(rows)
    end(total)


def _wire_controls(world: World, proxy: FaultProxy, seed: int, seconds: float | None) -> dict[str, Figures]:
    """Play single events with each naive writer: every fault, or pairs of them for so many seconds."""
    from tests.faults.harness.naive_writer import mark_first, mark_last  # noqa: PLC0415
    from tests.faults.harness.plans import (  # noqa: PLC0415
        REQUESTS_OF_A_NAIVE_WRITER,
        all_pairs,
        play_everything,
        play_pairs,
    )
    from tests.faults.wire import Shape  # noqa: PLC0415

    found: dict[str, Figures] = {}
    for name, writer in (("marks first", mark_first), ("marks last", mark_last)):
        if seconds is None:
            played = play_everything(world, proxy, writer, [Shape.DIRECT])
            found[f"control: {name}"] = sum((figures for _, figures in played), Figures())
        else:
            pairs = all_pairs(seed, REQUESTS_OF_A_NAIVE_WRITER)
            figures, number = play_pairs(world, proxy, pairs, seconds, writer)
            found[f"control: {name}, {number:,} pairs"] = figures
    return found


def outage_command() -> None:
    """Run ``python -m tests.faults.outage``."""
    from tests.faults.harness.naive_writer import mark_first  # noqa: PLC0415
    from tests.faults.harness.world import World  # noqa: PLC0415
    from tests.faults.outage import TROUBLES, go_through  # noqa: PLC0415
    from tests.faults.wire import Shape, carousel_sync  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m tests.faults.outage")
    parser.add_argument("--control", action="store_true", help="go through the same with a naive writer instead")
    control = parser.parse_args().control
    subject, shape = (mark_first, Shape.DIRECT) if control else (carousel_sync, Shape.BATCH)
    total, rows = Figures(), []
    with quiet_emulator() as endpoint, FaultProxy(endpoint) as proxy:
        world = World.create(endpoint)
        for trouble in TROUBLES:
            outage = go_through(world, proxy, trouble, seed_of_environment(), subject, shape)
            rows.append(outage.row())
            total += outage.figures
    tell_table(rows)
    if control:
        end_of_controls({"marks first": total})
    end(total)


def kill_command() -> None:
    """Run ``python -m tests.faults.kill``."""
    from tests.faults.kill import deployed  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m tests.faults.kill")
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--seed", type=int, default=seed_of_environment())
    parser.add_argument("--lapse", action="store_true", help="end every lease after each kill, instead of waiting")
    parser.add_argument("--control", action="store_true", help="deploy the naive writer in place of the function")
    parser.add_argument("--drain-seconds", type=float, default=600.0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        deployed(Path(folder), options.seed, lapse=options.lapse, control=options.control) as run,
    ):
        figures = run.play(options.events, options.kills, options.batch_size, options.drain_seconds)
    tell_table([figures.row(f"SIGKILL, seed {options.seed}")])
    sys.exit(0 if figures.report and figures.report.consistent else 1)


def contention_command() -> None:
    """Run ``python -m tests.faults.contention``."""
    # Not the names of this module's own __main__: the writers' processes have to find them.
    from tests.faults.contention import BATCHES, WRITERS, carousel_sync, contend, plain_pyiceberg  # noqa: PLC0415
    from tests.faults.harness.world import World  # noqa: PLC0415

    parser = argparse.ArgumentParser(prog="python -m tests.faults.contention")
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--batches", type=int, default=BATCHES, help="of each writer")
    options = parser.parse_args()
    # The writers' processes load this command's module once more, which Python warns of.
    os.environ["PYTHONWARNINGS"] = "ignore"
    with quiet_emulator() as endpoint:
        world = World.create(endpoint)
        ours = contend(world, carousel_sync, options.writers, options.batches)
        plain = contend(world, plain_pyiceberg, options.writers, options.batches)
    tell_table([ours.row("carousel-sync"), plain.row("pyiceberg Table.append")])
    sys.exit(1 if ours.lost or ours.doubled or ours.unsettled or ours.written.failed else 0)
