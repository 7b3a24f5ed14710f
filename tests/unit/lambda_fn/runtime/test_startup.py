"""What a cold start does not do, because each of these costs tens of milliseconds of CPU time."""

from __future__ import annotations

import compileall
import gc
import json
import subprocess
import sys
from functools import cache
from typing import Any

import pytest

from carousel_sync.project import PROJECT_ROOT
from lambda_fn.runtime.startup import without_garbage_collection

ENVIRONMENT = {
    "STAGE": "test",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000",
    "POWERTOOLS_TRACE_DISABLED": "true",
    "TABLE_BUCKET_ARN": "arn:aws:s3tables:eu-west-1:000000000000:bucket/lake",
    "GUARD_TABLE": "guard",
    "PROJECTION_TABLE": "projection",
    "DEAD_LETTER_QUEUE_URL": "http://127.0.0.1:9/letters",
}
NOT_IMPORTED = {
    *("pyarrow.compute", "pyarrow.dataset", "pyiceberg.io.pyarrow"),
    *("aws_xray_sdk", "wrapt"),
    *("rich", "click", "fsspec", "sqlalchemy", "numpy", "pandas", "duckdb"),
}

# Everything that a start does before its first request: imports, wiring, and the table's file access. The first line
# imports what the Lambda runtime has imported already.
START = """
import contextlib, gc, json, os, sys, typing
def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

before = collections()
import lambda_fn.handler
collected = collections() - before

from catalog_config import connect
lambda_fn.handler.application()
from lambda_fn.aws.s3_file_io import S3FileIO
from lambda_fn.settings import Settings
S3FileIO(connect.catalog_properties(Settings.from_environment(os.environ).catalog))

print(json.dumps({
    "modules": sorted(sys.modules),
    "collected": collected, "collects": gc.isenabled(), "frozen": gc.get_freeze_count(),
}))
"""


@cache
def start() -> dict[str, Any]:
    """Start the function in a new interpreter, and return what was imported and collected."""
    # Modules without bytecode would be compiled before garbage collection is paused, which collects garbage.
    compileall.compile_dir(PROJECT_ROOT / "lambda_fn", quiet=2)
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=PROJECT_ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_unneeded_modules_are_not_imported() -> None:
    modules = set(start()["modules"])
    assert {"boto3", "pyarrow", "pyiceberg"} <= modules
    assert not modules & NOT_IMPORTED


def test_imports_collect_no_garbage_and_are_exempt_from_later_collections() -> None:
    result = start()
    assert result["collected"] == 0
    assert result["collects"]
    assert result["frozen"] > 100_000


def fail_without_garbage_collection() -> None:
    with without_garbage_collection():
        assert not gc.isenabled()
        raise ValueError("broken")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_restored(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ValueError, match="broken"):
            fail_without_garbage_collection()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
        gc.unfreeze()
