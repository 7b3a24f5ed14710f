"""Shared options and output: results go to standard output, progress and errors to standard error."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Final

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TimeElapsedColumn

from carousel_sync import start
from carousel_sync.aws.target import Target
from carousel_sync.command_line.text import PlainColumn, PlainConsole, emphasised, json_text
from lambda_fn.errors import CarouselSyncError

DEFAULT_STAGE: Final = "dev"
EXIT_FAILED: Final = 1
EXIT_DECLINED: Final = 3
"""Somebody was asked for a confirmation, and did not give it. Nothing was changed."""
EXIT_NOT_CHECKED: Final = 3
"""A command that checks something could not carry out its check. Typer exits with 2 for invalid arguments."""
EXIT_INTERRUPTED: Final = start.EXIT_INTERRUPTED

stdout: Final = PlainConsole()
"""For results: what a pipe or a file should receive."""
stderr: Final = PlainConsole(stderr=True)
"""For progress and errors."""

StageOption = Annotated[
    str, typer.Option("--stage", envvar="STAGE", help="Deployment stage, such as dev or prod.", show_envvar=False)
]
LocalOption = Annotated[
    bool, typer.Option("--local", help="Use the embedded stack (carousel-sync local up) instead of AWS.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def print_json(value: Any) -> None:
    """Print one JSON document on standard output, without colours or wrapped lines."""
    typer.echo(json_text(value, indent=2))


def progress_bar() -> Progress:
    """Return a progress bar for a known number of steps, to be used as a context manager."""
    return Progress(
        PlainColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=stderr
    )


@contextmanager
def working_on(description: str) -> Iterator[Callable[[str], None]]:
    """Show a spinner and the elapsed time, and yield a function that replaces the description."""
    columns = (SpinnerColumn(), PlainColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=stderr, transient=True) as progress:
        task = progress.add_task(description, total=None)
        yield lambda text: progress.update(task, description=text)


@contextmanager
def readable_errors(exit_code: int = EXIT_FAILED) -> Iterator[None]:
    """Print this project's errors and the AWS SDK's as one message, and exit with the given code.

    Every other exception is a defect of this program and keeps its traceback.
    """
    try:
        yield
    except (CarouselSyncError, ClientError, BotoCoreError) as error:
        stderr.print(emphasised("Error:", f" {error}", "bold red"), soft_wrap=True)
        raise SystemExit(exit_code) from error


@contextmanager
def reporting(left_behind: Callable[[], str]) -> Iterator[None]:
    """Print what is left behind when the block ends early. Ctrl-C then exits with code 130."""
    try:
        yield
    except KeyboardInterrupt:
        stderr.print(f"Interrupted. {left_behind()}", soft_wrap=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    except Exception:
        stderr.print(left_behind(), soft_wrap=True)
        raise


def confirm(question: str, expected: str, yes: bool) -> None:
    """Ask on standard error, unless ``yes``. Exits with code 3 if the answer is not the expected one."""
    if yes or typer.prompt(question, err=True, default="", show_default=False) == expected:
        return
    stderr.print("Nothing was changed.")
    raise typer.Exit(EXIT_DECLINED)


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP too, so that the command stops whatever it has started."""
    signals = (signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, signal.default_int_handler) for number in signals}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def command_for(target: Target, *words: str, arguments: Sequence[str] = ()) -> str:
    """Return a command for people to copy, such as ``carousel-sync verify --repair --stage prod``.

    The options that select the target follow the words, and the arguments follow those. The stage is always named: the
    shell that runs the command may have another one in its environment.
    """
    # After two dashes, an argument that begins with a dash is not an option.
    dashes = ["--"] if any(argument.startswith("-") for argument in arguments) else []
    return shlex.join(["carousel-sync", *words, *target.flags.split(), *dashes, *arguments])
