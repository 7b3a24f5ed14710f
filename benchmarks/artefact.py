"""The size of what is deployed, against a plain installation of the same dependencies."""

from __future__ import annotations

from typing import Final

from benchmarks.measuring import Bench
from benchmarks.report import Row
from carousel_sync.release.artefact import LIMIT_BYTES, build
from carousel_sync.release.install import Platform

MEGABYTE: Final = 1e6


def size(bench: Bench) -> list[Row]:
    """Build the artefact as ``make build`` does, into a folder of its own."""
    bench.step("building it; wheels are downloaded the first time")
    built = build(Platform.ARM64, bench.folder / "artefact", bytecode=True)
    bench.note("zipped", megabytes=round(built.archive_bytes / MEGABYTE, 1))
    installed = sum(built.installed.values())
    return [
        Row(
            "artefact for python3.13 on arm64, unzipped, with bytecode",
            "MB",
            [built.bytes / MEGABYTE],
            f"<= {LIMIT_BYTES / MEGABYTE:.0f} MB",
            met=built.bytes <= LIMIT_BYTES,
            anchor=[installed / MEGABYTE],
            ratio=installed / built.bytes,
        )
    ]
