"""Submits queries/spark/backfill.py as a user does: with spark-submit, and with the project as an installed wheel."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from carousel_sync.project import PROJECT_ROOT
from testbed.stores import Stores
from tests.engines import java_engine
from tests.engines.readers.catalog_properties import spark_properties
from tests.engines.tools import tool

SCRIPT: Final = PROJECT_ROOT / "queries" / "spark" / "backfill.py"
CATALOG: Final = "lake"

_JOB_SECONDS: Final = 900.0
_OPTIONS: Final = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    f"spark.sql.catalog.{CATALOG}": "org.apache.iceberg.spark.SparkCatalog",
}
SHORT_JOB: Final = {"spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""For a minute of work, compiling with the simple compiler alone takes half of the CPU time."""


class JobFailed(AssertionError):
    """The job ended with an exit code that the test did not expect. The message is the job's own."""


@dataclass(frozen=True)
class Wheel:
    """The project, built as a wheel and installed into a folder beside nothing else."""

    folder: Path

    @classmethod
    def install(cls, folder: Path) -> Wheel:
        """Build the wheel of this checkout, and install it without its dependencies, which .tools/spark has."""
        uv = shutil.which("uv") or str(PROJECT_ROOT / ".tools" / "uv" / "bin" / "uv")
        built, installed = folder / "built", folder / "installed"
        subprocess.run([uv, "build", "--quiet", "--wheel", "--out-dir", str(built)], cwd=PROJECT_ROOT, check=True)
        (wheel,) = built.glob("*.whl")
        options = ["--quiet", "--no-deps", "--python", tool("spark", "bin/python"), "--target", str(installed)]
        subprocess.run([uv, "pip", "install", *options, str(wheel)], check=True)
        return cls(installed)


@dataclass(frozen=True)
class Job:
    """The backfill on the stores of a deployment. ``endpoint`` is the address for the catalog and for DynamoDB."""

    wheel: Wheel
    stores: Stores
    folder: Path
    endpoint: str | None = None
    options: Mapping[str, str] | None = None

    @property
    def output(self) -> Path:
        """The folder of the job's output."""
        return self.folder / "output"

    def run(self, source: Path, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
        """Run the job to its end, and return its report. Raises JobFailed."""
        with self.started(source, *arguments) as process:
            out, _ = process.communicate(timeout=_JOB_SECONDS)
        if process.returncode != exit_code:
            raise JobFailed(f"exit code {process.returncode}: {out}\n{self._log.read_text()[-4000:]}")
        report: dict[str, Any] = json.loads(out.splitlines()[-1])
        return report

    @contextmanager
    def started(self, source: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
        """Start the job. What still runs at the end is killed."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._command(["--source", source, *arguments]),
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
            try:
                yield process
            finally:
                kill(process)
                process.communicate()

    def rejected(self) -> list[dict[str, str]]:
        """Return the rejected records of the last run, without their file, sorted."""
        files = sorted((self.output / "rejected").rglob("part-*.json"))
        records = [json.loads(line) for file in files for line in file.read_text().splitlines()]
        return sorted(({name: record[name] for name in ("reason", "detail", "text")} for record in records), key=str)

    @property
    def _log(self) -> Path:
        return self.folder / "spark.log"

    def _command(self, arguments: Sequence[object]) -> list[str]:
        jars = sorted(str(jar) for jar in java_engine.fetch(java_engine.SPARK).glob("*.jar"))
        properties = {f"spark.sql.catalog.{CATALOG}.{k}": v for k, v in spark_properties(self.stores.catalog).items()}
        if self.endpoint:
            properties[f"spark.sql.catalog.{CATALOG}.uri"] = f"{self.endpoint}/iceberg"
        options = {"spark.jars": ",".join(jars), **_OPTIONS, **properties, **(self.options or SHORT_JOB)}
        configured = [word for name, value in options.items() for word in ("--conf", f"{name}={value}")]
        table = f"{CATALOG}.{'.'.join(self.stores.identifier)}"
        given = ["--table", table, "--output", str(self.output), *map(str, arguments)]
        return [tool("spark", "bin/spark-submit"), "--master", "local[2]", *configured, str(SCRIPT), *given]

    def _environment(self) -> dict[str, str]:
        java_engine.program("java", java_engine.SPARK)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TZ": "UTC",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": str(self.folder),
            "PYSPARK_PYTHON": tool("spark", "bin/python"),
            "PYTHONPATH": str(self.wheel.folder),
            **self.stores.environment(self.endpoint),
        }


def kill(process: subprocess.Popen[str]) -> None:
    """Kill the job with everything that it has started. Spark's Python workers are in a process group of their own."""
    for entry in Path("/proc").iterdir():
        with suppress(ValueError, ProcessLookupError):
            if os.getsid(int(entry.name)) == process.pid:
                os.kill(int(entry.name), signal.SIGKILL)
