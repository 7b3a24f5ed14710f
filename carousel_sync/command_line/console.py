"""What every command prints with: results on standard output, progress and errors on standard error."""

from __future__ import annotations

import json
import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from carousel_sync.aws.target import Target
from lambda_fn.errors import CarouselSyncError

DEFAULT_STAGE: Final = "dev"
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2

stdout: Final = Console()
"""Results: what a pipe or a file should receive."""
stderr: Final = Console(stderr=True)
"""Progress and errors."""

StageOption = Annotated[
    str, typer.Option("--stage", envvar="STAGE", help="Deployment stage, such as dev or prod.", show_envvar=False)
]
LocalOption = Annotated[
    bool, typer.Option("--local", help="Talk to the embedded stack (carousel-sync local up) instead of AWS.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text for people.")]


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, without colours or line folding."""
    typer.echo(json.dumps(value, indent=2, default=str))


def progress_bar() -> Progress:
    """Return a progress bar for a known number of steps; use it as a context manager."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=stderr
    )


@contextmanager
def working_on(description: str) -> Iterator[None]:
    """Show a spinner with a clock while something of unknown length runs."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        progress.add_task(description, total=None)
        yield


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn errors that were raised on purpose, and those of the AWS SDK, into one message and exit code 1.

    Anything else is a defect of this program and keeps its traceback.
    """
    try:
        yield
    except (CarouselSyncError, ClientError, BotoCoreError) as error:
        stderr.print("[bold red]Error:[/]", end=" ")
        stderr.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise SystemExit(EXIT_FAILED) from error


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let a hang-up or a polite kill end the command as Ctrl-C does, so that what it has started is stopped."""
    names = (signal.SIGTERM, signal.SIGHUP)
    before = {name: signal.signal(name, signal.default_int_handler) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


EXIT_INTERRUPTED: Final = 130
"""What a shell reports for a program that Ctrl-C ended: 128 plus the number of SIGINT."""


@contextmanager
def spinner(description: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner with a clock, and yield a function that replaces its description."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda text: progress.update(task, description=text)


def command_for(target: Target, *words: str, arguments: Sequence[str] = ()) -> str:
    """Return a command for people to copy, such as ``carousel-sync verify --repair --stage prod``.

    The target's stage and ``--local`` follow the words, and the arguments follow those.
    """
    options = [] if target.stage == DEFAULT_STAGE else ["--stage", target.stage]
    if target.is_local:
        options.append("--local")
    # After two dashes, an argument that begins with a dash is not an option.
    dashes = ["--"] if any(argument.startswith("-") for argument in arguments) else []
    return shlex.join(["carousel-sync", *words, *options, *dashes, *arguments])
