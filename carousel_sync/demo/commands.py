"""``carousel-sync demo``: run the demo on an embedded stack of its own, and stop the stack."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import typer

from carousel_sync.command_line import console
from carousel_sync.demo.scenario import play
from carousel_sync.local_stack.stack import LocalStack


def demo() -> None:
    """Send sales through an embedded stack, and show what is stored.

    The demo starts a stack of its own and stops it in the end. A stack that is already running is not touched. Exit
    code 0 only when every sale is stored exactly once.
    """
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="carousel-demo-"))
    stopped = f"The stack is stopped. Its log is in {folder}."
    with (
        console.readable_errors(),
        console.interrupted_by_signals(),
        console.reporting(lambda: stopped),
        LocalStack(folder) as stack,
    ):
        success = play(stack)
    if not success:
        console.stderr.print(stopped, soft_wrap=True)
        raise typer.Exit(console.EXIT_FAILED)
    shutil.rmtree(folder, ignore_errors=True)
    console.stdout.print(f"\nThe stack is stopped. The demo took {time.monotonic() - started:.0f} s.", style="dim")
