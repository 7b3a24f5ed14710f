"""The size of the artefact, against a plain installation of the same dependencies."""

from __future__ import annotations

from benchmarks.deployment.fresh_processes import MEGABYTE
from benchmarks.measuring import Bench
from benchmarks.report import Row
from carousel_sync.release.artefact import LIMIT_BYTES, build
from carousel_sync.release.install import Platform


def artefact_size(bench: Bench) -> list[Row]:
    """Build the artefact as ``make build`` does, in a temporary folder."""
    bench.step("building it; wheels are downloaded the first time")
    built = build(Platform.ARM64, bench.folder / "artefact", bytecode=True)
    bench.note("zipped", megabytes=round(built.archive_bytes / MEGABYTE, 1))
    ours, installed = built.bytes / MEGABYTE, sum(built.installed.values()) / MEGABYTE
    name = "artefact for python3.13 on arm64, unzipped, with bytecode"
    target, met = f"<= {LIMIT_BYTES / MEGABYTE:.0f} MB", built.bytes <= LIMIT_BYTES
    return [Row(name, "MB", [ours], [installed], installed / ours, target, met)]
