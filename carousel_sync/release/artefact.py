"""Builds what is deployed: the function's code with its locked dependencies, as a folder and as a zip.

The same files and the same lock give the same bytes, on any machine and at any time. Only locked dependencies are
installed, files that the function does not need are left out (:mod:`.contents`), and debugging symbols are stripped
(:mod:`.symbols`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from carousel_sync.project import PROJECT_ROOT
from carousel_sync.release.contents import Removal, files_below, leave_out
from carousel_sync.release.install import Platform, find_python, install_dependencies, run
from carousel_sync.release.project_zip import FILE_MODE, code_files, write_zip
from carousel_sync.release.symbols import strip
from lambda_fn.errors import ConfigurationError

LIMIT_BYTES: Final = 135_000_000
"""The largest size of the unzipped artefact; Lambda's own limit is 250 MB."""

_EPOCH_SECONDS: Final = 315_532_800  # 1980-01-01, the earliest time that a zip can hold
_FOLDER_MODE: Final = 0o755
_TASK_ROOT: Final = "/var/task"  # where Lambda unzips the artefact, and so the folder that bytecode names


@dataclass(frozen=True)
class Artefact:
    """What was built. Sizes are in bytes, and of the unzipped files, except for ``archive_bytes``.

    ``installed`` and ``kept`` are the sizes of the packages before and after files were left out.
    """

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


def build(platform: Platform, out: Path, *, bytecode: bool = False, root: Path = PROJECT_ROOT) -> Artefact:
    """Build the artefact as the folder ``out``, with ``out`` plus ``.zip`` beside it.

    With ``bytecode``, modules are compiled too, which needs an interpreter of the function's version. Raises
    ConfigurationError, and then leaves the previous build in place.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    archive = out.with_name(f"{out.name}.zip")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".artefact-") as name:
        folder = Path(name) / "artefact"
        install_dependencies(root, folder, platform)
        installed = _sizes(folder)
        removals = leave_out(folder)
        symbol_bytes = sum(strip(path) for path in files_below(folder) if ".so" in path.suffixes)
        for path in code_files(root):
            target = folder / path.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        if bytecode:
            _compile(folder)
        kept = _sizes(folder)
        _check_size(kept)
        _normalise(folder)
        packed = Path(name) / "artefact.zip"
        write_zip(packed, folder, files_below(folder))
        if out.exists():
            out.rename(folder.with_name("previous"))
        folder.rename(out)
        packed.replace(archive)
    return Artefact(
        folder=out,
        archive=archive,
        platform=platform,
        files=sum(1 for _ in files_below(out)),
        bytes=sum(kept.values()),
        archive_bytes=archive.stat().st_size,
        archive_sha256=_sha256(archive),
        contents_sha256=_contents_sha256(out),
        installed=installed,
        kept=kept,
        removals=removals,
        symbol_bytes=symbol_bytes,
    )


def megabytes(size: int) -> str:
    """Return a size in megabytes of 10^6 bytes."""
    return f"{size / 1e6:.1f}"


def _compile(folder: Path) -> None:
    """Compile every module. Lambda's folder is read-only, so without bytecode every cold start would compile.

    The bytecode is valid whatever the time of its source. Strings are hashed with a fixed seed, because otherwise the
    order of a set's elements would differ between builds.
    """
    options = ["-q", "-j", "1", "--invalidation-mode", "unchecked-hash", "-s", str(folder), "-p", _TASK_ROOT]
    run([find_python(PROJECT_ROOT), "-I", "-m", "compileall", *options, str(folder)], {"PYTHONHASHSEED": "0"})


def _sizes(folder: Path) -> dict[str, int]:
    """Return the size of each package, the largest first."""
    sizes: Counter[str] = Counter()
    for path in files_below(folder):
        top = path.relative_to(folder).parts[0]
        sizes["*.dist-info" if top.endswith(".dist-info") else top.split(".")[0] or top] += path.stat().st_size
    return dict(sizes.most_common())


def _check_size(sizes: Mapping[str, int]) -> None:
    total = sum(sizes.values())
    if total > LIMIT_BYTES:
        largest = ", ".join(f"{name} {megabytes(size)}" for name, size in list(sizes.items())[:5])
        raise ConfigurationError(
            f"The artefact has {megabytes(total)} MB unzipped; the limit is {megabytes(LIMIT_BYTES)} MB ({largest}). "
            "No artefact was built. carousel_sync/release/left_out.toml lists the files to leave out, with reasons."
        )


def _normalise(folder: Path) -> None:
    """Set the mode and time of every file: deployment tools copy both into the zips that they make of the folder."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(_FOLDER_MODE if path.is_dir() else FILE_MODE)
        os.utime(path, (_EPOCH_SECONDS, _EPOCH_SECONDS))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _contents_sha256(folder: Path) -> str:
    """Return a digest of all paths and contents. Unlike the zip's, it does not depend on how zlib compresses."""
    lines = (f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files_below(folder))
    return hashlib.sha256("".join(lines).encode()).hexdigest()
