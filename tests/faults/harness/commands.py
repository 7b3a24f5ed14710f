"""The harnesses as commands. Each prints its figures as a Markdown table."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_fn.settings import GroupCommitMode
from testbed.emulator import CLIENT_ENVIRONMENT, emulator
from tests.faults.contention import BATCHES, WRITERS, contend, plain_pyiceberg
from tests.faults.contention import carousel_sync as contending_carousel_sync
from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.figures import Figures, as_table
from tests.faults.harness.naive_writer import mark_first, mark_last
from tests.faults.harness.plans import (
    REQUESTS,
    REQUESTS_IN_A_GROUP,
    REQUESTS_OF_A_NAIVE_WRITER,
    all_pairs,
    inject_all_faults,
    inject_pairs,
)
from tests.faults.harness.seed import seed_from_environment
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.faults.kill import deployed
from tests.faults.outage import OUTAGES, run_outage
from tests.faults.wire import Shape, carousel_sync, in_groups


def wire_command() -> None:
    """Run ``python -m tests.faults.wire``."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.wire")
    parser.add_argument("--all-pairs", action="store_true", help="inject pairs of faults over two deliveries")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to inject pairs")
    parser.add_argument("--seed", type=int, default=seed_from_environment(), help="determines the order of the pairs")
    parser.add_argument("--control", action="store_true", help="do the same with two naive writers instead")
    parser.add_argument("--groups", action="store_true", help="do the same with group commit forced on")
    options = parser.parse_args()
    subject = in_groups if options.groups else carousel_sync
    total, rows = Figures(), []
    with _quiet_emulator() as endpoint, FaultProxy(endpoint) as proxy:
        stores = StoresUnderTest.create(endpoint)
        if options.control:
            seconds = options.seconds if options.all_pairs else None
            controls = _wire_controls(stores, proxy, options.seed, seconds)
            _print_table([figures.row(name) for name, figures in controls.items()])
            _exit_of_controls(controls)
        if options.all_pairs:
            pairs = all_pairs(options.seed, REQUESTS_IN_A_GROUP if options.groups else REQUESTS)
            total, done = inject_pairs(stores, proxy, pairs, options.seconds, subject)
            rows = [total.row(f"{done:,} of {len(pairs):,} pairs, seed {options.seed}")]
        else:
            for name, figures in inject_all_faults(stores, proxy, subject):
                rows.append(figures.row(name))
                total += figures
            rows.append(total.row("all"))
    _print_table(rows)
    _exit(total)


def _wire_controls(stores: StoresUnderTest, proxy: FaultProxy, seed: int, seconds: float | None) -> dict[str, Figures]:
    """Test each naive writer with single events: with every fault, or with pairs of faults for some seconds."""
    found: dict[str, Figures] = {}
    for name, writer in (("marks first", mark_first), ("marks last", mark_last)):
        if seconds is None:
            results = inject_all_faults(stores, proxy, writer, [Shape.DIRECT])
            found[f"control: {name}"] = sum((figures for _, figures in results), Figures())
        else:
            pairs = all_pairs(seed, REQUESTS_OF_A_NAIVE_WRITER)
            figures, done = inject_pairs(stores, proxy, pairs, seconds, writer)
            found[f"control: {name}, {done:,} pairs"] = figures
    return found


def outage_command() -> None:
    """Run ``python -m tests.faults.outage``."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.outage")
    parser.add_argument("--control", action="store_true", help="do the same with a naive writer instead")
    parser.add_argument("--groups", action="store_true", help="do the same with group commit forced on")
    options = parser.parse_args()
    control, ours = options.control, in_groups if options.groups else carousel_sync
    subject, shape = (mark_first, Shape.DIRECT) if control else (ours, Shape.BATCH)
    total, rows = Figures(), []
    with _quiet_emulator() as endpoint, FaultProxy(endpoint) as proxy:
        stores = StoresUnderTest.create(endpoint)
        for outage in OUTAGES:
            result = run_outage(stores, proxy, outage, seed_from_environment(), subject, shape)
            rows.append(result.row())
            total += result.figures
    _print_table(rows)
    if control:
        _exit_of_controls({"marks first": total})
    _exit(total)


def kill_command() -> None:
    """Run ``python -m tests.faults.kill``."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.kill")
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument("--seed", type=int, default=seed_from_environment())
    parser.add_argument("--expire-leases", action="store_true", help="end every lease after each kill")
    parser.add_argument("--control", action="store_true", help="deploy the naive writer instead of the function")
    parser.add_argument("--groups", action="store_true", help="force group commit on")
    parser.add_argument("--drain-seconds", type=float, default=600.0)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        deployed(
            Path(folder),
            options.seed,
            expire_leases=options.expire_leases,
            control=options.control,
            in_groups=options.groups,
        ) as run,
    ):
        figures = run.run(options.events, options.kills, options.batch_size, options.drain_seconds)
    _print_table([figures.row(f"SIGKILL, seed {options.seed}")])
    sys.exit(0 if figures.report and figures.report.consistent else 1)


def contention_command() -> None:
    """Run ``python -m tests.faults.contention``."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.contention")
    parser.add_argument("--writers", type=int, default=WRITERS)
    parser.add_argument("--batches", type=int, default=BATCHES, help="of each writer")
    options = parser.parse_args()
    # The writers' processes import this command's module again, and Python warns of that.
    os.environ["PYTHONWARNINGS"] = "ignore"
    with _quiet_emulator() as endpoint:
        stores = StoresUnderTest.create(endpoint)
        ours = {
            mode: contend(stores, contending_carousel_sync, options.writers, options.batches, mode)
            for mode in GroupCommitMode
        }
        plain = contend(stores, plain_pyiceberg, options.writers, options.batches)
    rows = [figures.row(f"carousel-sync, group commit {mode}") for mode, figures in ours.items()]
    _print_table([*rows, plain.row("pyiceberg Table.append")])
    bad = [each for each in ours.values() if each.lost or each.doubled or each.unsettled or each.written.failed]
    sys.exit(1 if bad else 0)


@contextlib.contextmanager
def _quiet_emulator() -> Iterator[str]:
    """Run an emulator, and discard what the code under test logs meanwhile."""
    os.environ.update(CLIENT_ENVIRONMENT)
    warnings.simplefilter("ignore")
    with (
        tempfile.TemporaryDirectory() as folder,
        open(os.devnull, "w", encoding="utf-8") as dev_null,
        emulator(Path(folder)) as process,
        contextlib.redirect_stdout(dev_null),
    ):
        yield process.url


def _print(text: str) -> None:
    """Print, even while standard output is discarded."""
    print(text, file=sys.__stdout__, flush=True)


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    _print(as_table(rows))


def _exit(figures: Figures) -> None:
    """Print every problem, and end the process with exit code 1 if there is any."""
    for name, problems in figures.problems.items():
        for problem in problems:
            _print(f"{name}: {problem}")
    sys.exit(1 if figures.problems else 0)


def _exit_of_controls(controls: Mapping[str, Figures]) -> None:
    """End the process, with exit code 1 if a naive writer was not caught."""
    missed = [name for name, figures in controls.items() if not figures.lost and not figures.doubled]
    for name in missed:
        _print(f"not caught: {name}")
    sys.exit(1 if missed else 0)
