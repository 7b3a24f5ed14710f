"""What a cold start does not do: each of these has once cost tens of milliseconds of CPU."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.project import PROJECT_ROOT
from lambda_fn.runtime.startup import nothing_is_garbage

ROOT = PROJECT_ROOT
ENVIRONMENT = {
    "STAGE": "test",
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "TABLE_BUCKET_ARN": "arn:aws:s3tables:eu-west-1:000000000000:bucket/lake",
    "GUARD_TABLE": "guard",
    "PROJECTION_TABLE": "projection",
    "DEAD_LETTER_QUEUE_URL": "http://127.0.0.1:9/letters",
}
NOT_NEEDED = {
    *("pyparsing", "strictyaml.parser"),
    *("boto3", "s3transfer", "botocore.session", "botocore.client"),
    *("pyarrow.compute", "pyarrow.dataset", "pyiceberg.io.pyarrow"),
    *("rich", "click", "fsspec", "sqlalchemy", "numpy", "pandas", "duckdb"),
}

# Everything but the requests: imports, wiring, and the table's file access, which the first load would make.
START = """
import contextlib, gc, importlib.util, json, os, sys, typing
def collections():
    return sum(generation["collections"] for generation in gc.get_stats())

before = collections()
import lambda_fn.handler
collected = collections() - before

from catalog_config import connect
lambda_fn.handler.application()
from catalog_config.s3_file_io import S3FileIO
from lambda_fn.settings import Settings
S3FileIO(connect.catalog_properties(Settings.from_environment(os.environ).catalog))

print(json.dumps({
    "modules": sorted(sys.modules),
    "collected": collected, "collects": gc.isenabled(), "frozen": gc.get_freeze_count(),
}))
"""


@cache
def start() -> dict[str, Any]:
    """Start in a fresh interpreter, and tell what it took."""
    done = subprocess.run(
        [sys.executable, "-c", START],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_what_no_event_needs_is_not_imported() -> None:
    modules = set(start()["modules"])
    assert {"botocore", "pyarrow", "pyiceberg"} <= modules
    assert not modules & NOT_NEEDED


def test_no_garbage_is_looked_for_while_importing_and_everything_imported_is_left_out_later() -> None:
    told = start()
    assert told["collected"] == 0
    assert told["collects"]
    assert told["frozen"] > 100_000


def test_what_is_rarely_used_is_there_when_it_is_used() -> None:
    script = """
        import sys
        import lambda_fn.handler
        from pyiceberg.expressions import EqualTo
        import pyiceberg.table
        assert "pyparsing" not in sys.modules
        assert not [finder for finder in sys.meta_path if "Lazy" in type(finder).__name__]
        assert pyiceberg.table._parse_row_filter("tenant_id = 't'") == EqualTo("tenant_id", "t")
        assert "pyparsing" in sys.modules
        import strictyaml
        assert strictyaml.load("a: b").data == {"a": "b"}
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, env=ENVIRONMENT, timeout=120, check=True)


def test_a_configuration_file_of_pyicebergs_is_still_read(tmp_path: Path) -> None:
    (tmp_path / ".pyiceberg.yaml").write_text("catalog:\n  mine:\n    uri: http://127.0.0.1\n")
    script = """
        import lambda_fn.handler
        from pyiceberg.utils.config import Config
        assert Config().get_catalog_config("mine") == {"uri": "http://127.0.0.1"}
    """
    environment = {**ENVIRONMENT, "PYICEBERG_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], cwd=ROOT, env=environment, timeout=120, check=True)


def break_while_starting() -> None:
    with nothing_is_garbage():
        assert not gc.isenabled()
        raise ValueError("broken")


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(ValueError, match="broken"):
            break_while_starting()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
        gc.unfreeze()
