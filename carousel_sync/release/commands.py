"""``python -m carousel_sync.release.commands build`` and ``... reasons``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer

from carousel_sync.command_line.console import JsonOption, print_json, readable_errors, stdout
from carousel_sync.command_line.tables import Column, Kind, show_table
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release import artefact
from carousel_sync.release.artefact import Artefact, megabytes
from carousel_sync.release.contents import as_markdown
from carousel_sync.release.install import Platform

app: Final = typer.Typer(add_completion=False, no_args_is_help=True, help="The artefact that is deployed.")


@app.command()
def build(
    platform: Annotated[
        Platform, typer.Option(help="Processor to build for: arm64 is Lambda's, host is this machine's.")
    ] = Platform.ARM64,
    out: Annotated[Path, typer.Option(help="Folder to build; the zip is written beside it.")] = PROJECT_ROOT
    / "build/artefact",
    bytecode: Annotated[bool, typer.Option("--bytecode", help="Compile the modules, for a faster cold start.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Build the artefact, and print its sizes and digests."""
    with readable_errors():
        built = artefact.build(platform, out.absolute(), bytecode=bytecode)
    if as_json:
        print_json(asdict(built))
    else:
        _show(built)


@app.command()
def reasons() -> None:
    """Print the files that are left out, with reasons, as a table for docs/artefact.md."""
    typer.echo(as_markdown())


def _show(built: Artefact) -> None:
    columns = ("Package", Column("MB installed", Kind.NUMBER), Column("MB in the artefact", Kind.NUMBER))
    names = sorted(built.installed.keys() | built.kept.keys(), key=lambda name: -built.installed.get(name, 0))
    rows = [(name, megabytes(built.installed.get(name, 0)), megabytes(built.kept.get(name, 0))) for name in names]
    total = ("Total", megabytes(sum(built.installed.values())), megabytes(built.bytes))
    show_table(columns, [*rows, None, total], stdout, f"Artefact for {built.platform}")
    for line in (
        f"{built.folder}: {built.files} files, {megabytes(built.bytes)} MB, contents sha256 {built.contents_sha256}",
        f"{built.archive}: {megabytes(built.archive_bytes)} MB, sha256 {built.archive_sha256}",
        f"Debugging symbols left out: {megabytes(built.symbol_bytes)} MB",
    ):
        stdout.print(line, soft_wrap=True)


if __name__ == "__main__":
    app()
