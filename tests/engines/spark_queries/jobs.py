"""Running a job of queries/spark, and reading its result."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Final

from carousel_sync.project import PROJECT_ROOT
from tests.engines.readers.spark_engine import Spark

JOBS: Final = PROJECT_ROOT / "queries/spark"


def result_of(spark: Spark, job: str, folder: Path, *arguments: str) -> list[dict[str, str]]:
    """Run a job that writes CSV, and return its rows by the names of the columns. ``folder`` is created."""
    spark.job(JOBS / job, *arguments, "--output", f"file://{folder}")
    (file,) = folder.glob("*.csv")
    with file.open(newline="") as text:
        return list(csv.DictReader(text, escapechar="\\"))
