"""The jobs of queries/spark: what can be checked without Spark."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.project import PROJECT_ROOT
from catalog_config.maintenance import COMPACTION, SETTINGS, SNAPSHOT_MANAGEMENT
from lambda_fn.iceberg.group_commit.group import ENTRY_SECONDS

FOLDER = PROJECT_ROOT / "queries/spark"
JOBS = sorted(FOLDER.glob("*.py"))
OLDEST_PYTHON = (3, 9)
"""That of EMR 7."""


def constant(name: str) -> Any:
    """Return a constant of the maintenance job, which is a file on its own and can import nothing of this project."""
    tree = ast.parse((FOLDER / "maintenance.py").read_text())
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name
    )
    return ast.literal_eval(value)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_runs_on_the_oldest_python(job: Path) -> None:
    ast.parse(job.read_text(), feature_version=OLDEST_PYTHON)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_imports_only_what_a_cluster_has(job: Path) -> None:
    imported = re.findall(r"^(?:from|import) (\w+)", job.read_text(), re.MULTILINE)
    standard = {"__future__", "argparse", "collections", "math", "re", "sys", "time", "pyspark"}
    assert job.name == "backfill.py" or set(imported) <= standard


def test_every_job_is_in_the_readme() -> None:
    page = (FOLDER / "README.md").read_text()
    assert [job.name for job in JOBS if f"[{job.name}]({job.name})" not in page] == []


def test_the_readme_has_the_properties_of_the_analysts_page() -> None:
    """Tests run those on Spark (tests/engines/queries/test_analysts_page.py)."""
    properties = re.compile(r"^```properties\n(.*?)^```$", re.DOTALL | re.MULTILINE)
    s3_tables, _glue = properties.findall((FOLDER / "README.md").read_text())
    of_spark = properties.findall((PROJECT_ROOT / "docs/analysts.md").read_text())[0]
    extensions, same = s3_tables.split("\n", 1)
    assert extensions.startswith("spark.sql.extensions=")
    assert same == of_spark


def test_the_maintenance_knows_the_durations_of_the_function(resources: dict[str, Any]) -> None:
    assert constant("INVOCATION_SECONDS") == resources["SyncFunction"]["Properties"]["Timeout"]
    assert constant("REDELIVERY_SECONDS") == resources["BufferQueue"]["Properties"]["VisibilityTimeout"]
    assert constant("ENTRY_SECONDS") == ENTRY_SECONDS
    needed = sum(constant(f"{name}_SECONDS") for name in ("INVOCATION", "ENTRY"))
    assert constant("LEAST_ORPHAN_HOURS") * 3600 > needed


def test_the_maintenance_does_what_s3_tables_does(resources: dict[str, Any]) -> None:
    snapshots = SETTINGS[SNAPSHOT_MANAGEMENT]["settings"][SNAPSHOT_MANAGEMENT]
    assert constant("DEFAULT_SNAPSHOT_HOURS") == snapshots["maxSnapshotAgeHours"]
    assert constant("SNAPSHOTS_KEPT") == snapshots["minSnapshotsToKeep"]
    assert constant("TARGET_MB") == SETTINGS[COMPACTION]["settings"][COMPACTION]["targetFileSizeMB"]
    removal = resources["TableBucket"]["Properties"]["UnreferencedFileRemoval"]
    assert constant("DEFAULT_ORPHAN_HOURS") == 24 * removal["UnreferencedDays"]
