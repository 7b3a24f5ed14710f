"""Build what is deployed: the function's code with its locked dependencies, as a folder and as a zip.

``python -m carousel_sync.release.artefact build``. The same files and the same lock give the same bytes, on any
machine and at any time. Three steps make the folder small: files that the function does not need are left out
(:mod:`.contents`), debugging symbols are stripped (:mod:`.symbols`), and only locked dependencies are installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from carousel_sync.command_line import console
from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release.contents import Removal, as_markdown, files_below, leave_out
from carousel_sync.release.install import Platform, find_python, install_dependencies, run
from carousel_sync.release.project_zip import PACKAGES
from carousel_sync.release.symbols import strip
from lambda_fn.errors import ConfigurationError

LIMIT_BYTES: Final = 135_000_000
"""What the unzipped artefact may have; Lambda's own limit is 250 MB."""

_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest instant that a zip can hold
_EPOCH_SECONDS: Final = 315_532_800
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_TASK_ROOT: Final = "/var/task"  # where Lambda unzips the artefact; bytecode names its sources by it
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class Artefact:
    """What was built. Sizes are in bytes, unzipped unless they are the zip's."""

    folder: Path
    archive: Path
    platform: Platform
    files: int
    bytes: int
    archive_bytes: int
    archive_sha256: str
    contents_sha256: str
    installed: Mapping[str, int]
    kept: Mapping[str, int]
    removals: list[Removal]
    symbol_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Return it as a document."""
        left_out = [
            {"pattern": removal.line.pattern, "files": removal.files, "bytes": removal.bytes}
            for removal in self.removals
        ]
        places = {"folder": str(self.folder), "archive": str(self.archive)}
        return {**asdict(self), **places, "removals": left_out}


def build(platform: Platform, out: Path, *, bytecode: bool = False, root: Path = PROJECT_ROOT) -> Artefact:
    """Build the artefact into the folder ``out``, and ``out`` with ``.zip`` beside it.

    With ``bytecode``, modules are compiled too, which needs an interpreter of the function's version. Raises
    ConfigurationError: what was built before is then still there.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".artefact-") as name:
        folder = Path(name) / "artefact"
        install_dependencies(root, folder, platform)
        installed = _sizes(folder)
        removals = leave_out(folder)
        symbol_bytes = sum(strip(path) for path in files_below(folder) if ".so" in path.suffixes)
        _copy_code(root, folder)
        if bytecode:
            _compile(folder)
        kept = _sizes(folder)
        _check_size(kept)
        _normalise(folder)
        archive = Path(name) / "artefact.zip"
        _pack(folder, archive)
        placed = out.with_name(f"{out.name}.zip")
        _replace(folder, out)
        archive.replace(placed)
    return Artefact(
        folder=out,
        archive=placed,
        platform=platform,
        files=sum(1 for _ in files_below(out)),
        bytes=sum(kept.values()),
        archive_bytes=placed.stat().st_size,
        archive_sha256=_sha256(placed),
        contents_sha256=_contents_sha256(out),
        installed=installed,
        kept=kept,
        removals=removals,
        symbol_bytes=symbol_bytes,
    )


def _copy_code(root: Path, folder: Path) -> None:
    for package in PACKAGES:
        if not (root / package / "__init__.py").is_file():
            raise ConfigurationError(f"{root / package} is not there: an artefact is built in a checkout.")
        shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def _compile(folder: Path) -> None:
    """Compile every module; Lambda's folder is read-only, so that otherwise every cold start does.

    The bytecode counts as valid whatever time the source bears, and strings are hashed with a fixed seed: the order of
    a set's elements would differ otherwise.
    """
    compiler = [
        find_python(PROJECT_ROOT),
        "-I",
        "-m",
        "compileall",
        "-q",
        "-j",
        "1",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    run([*compiler, "-s", str(folder), "-p", _TASK_ROOT, str(folder)], {"PYTHONHASHSEED": "0"})


def _sizes(folder: Path) -> dict[str, int]:
    """Return the bytes of each package, the largest first."""
    sizes: Counter[str] = Counter()
    for path in files_below(folder):
        top = path.relative_to(folder).parts[0]
        sizes["*.dist-info" if top.endswith(".dist-info") else top.split(".")[0] or top] += path.stat().st_size
    return dict(sizes.most_common())


def _check_size(sizes: Mapping[str, int]) -> None:
    total = sum(sizes.values())
    if total > LIMIT_BYTES:
        largest = ", ".join(f"{name} {_megabytes(size)}" for name, size in list(sizes.items())[:5])
        raise ConfigurationError(
            f"The artefact has {_megabytes(total)} MB unzipped, and may have {_megabytes(LIMIT_BYTES)} ({largest}). No "
            "artefact was built. What it need not carry is listed, with reasons, in carousel_sync/release/contents.py."
        )


def _normalise(folder: Path) -> None:
    """Give every file the same mode and time: both end up in the zips that deployment tools make of the folder."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE)
        os.utime(path, (_EPOCH_SECONDS, _EPOCH_SECONDS))


def _pack(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in files_below(folder):
            entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _EPOCH)
            entry.create_system = 3  # Unix, whichever system this is: the mode below is Unix's
            entry.external_attr = _FILE_MODE << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())


def _replace(folder: Path, out: Path) -> None:
    """Put the folder where ``out`` is, which goes."""
    if out.exists():
        out.rename(folder.with_name("previous"))
    folder.rename(out)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _contents_sha256(folder: Path) -> str:
    """Return a digest of all paths and contents: unlike the zip's, it does not depend on how zlib compresses."""
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files_below(folder)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}"


app: Final = typer.Typer(add_completion=False, no_args_is_help=True, help="The artefact that is deployed.")


@app.command("build")
def build_command(
    platform: Annotated[Platform, typer.Option(help="Processor: Lambda's, or this machine's.")] = Platform.ARM64,
    out: Annotated[Path, typer.Option(help="Folder to build; the zip is put beside it.")] = PROJECT_ROOT
    / "build/artefact",
    bytecode: Annotated[bool, typer.Option("--bytecode", help="Compile the modules, for a faster start.")] = False,
    as_json: console.JsonOption = False,
) -> None:
    """Build the artefact, and print its sizes and digests."""
    with console.readable_errors():
        built = build(platform, out.absolute(), bytecode=bytecode)
    if as_json:
        console.print_json(built.as_json())
    else:
        _show(built)


@app.command("reasons")
def reasons_command() -> None:
    """Print what is left out and why, as it stands in docs/artefact.md."""
    typer.echo(as_markdown())


def _show(built: Artefact) -> None:
    table = Table("package", *("MB installed", "MB in the artefact"), title=f"Artefact for {built.platform}")
    for column in table.columns[1:]:
        column.justify = "right"
    names = sorted(built.installed.keys() | built.kept.keys(), key=lambda name: -built.installed.get(name, 0))
    for name in names:
        table.add_row(name, _megabytes(built.installed.get(name, 0)), _megabytes(built.kept.get(name, 0)))
    table.add_section()
    table.add_row("all", _megabytes(sum(built.installed.values())), _megabytes(built.bytes))
    console.stdout.print(table)
    lines = [
        f"{built.folder}  {built.files} files, {_megabytes(built.bytes)} MB; contents sha256 {built.contents_sha256}",
        f"{built.archive}  {_megabytes(built.archive_bytes)} MB; sha256 {built.archive_sha256}",
        f"Debugging symbols left out: {_megabytes(built.symbol_bytes)} MB.",
    ]
    for line in lines:
        console.stdout.print(line, soft_wrap=True, highlight=False)


if __name__ == "__main__":
    app()
