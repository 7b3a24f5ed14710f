"""The memory and CPU time for a table's metadata with as many snapshots as the sizing recommends at most."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import new_table_metadata
from pyiceberg.table.sorting import UNSORTED_SORT_ORDER

SNAPSHOTS = 31_250
FENCING = 1000
MOST_MEGABYTES = 150
# Three times what it takes on an idle core.
MOST_CPU_SECONDS = 0.9


def answer(snapshots: int) -> bytes:
    """Return a catalog's answer with as many snapshots, each in 0.8 KB. Every thousandth one fences an attempt."""
    schema = Schema()
    empty = new_table_metadata(schema, UNPARTITIONED_PARTITION_SPEC, UNSORTED_SORT_ORDER, "s3://bucket/table")
    metadata: dict[str, Any] = json.loads(empty.model_dump_json())
    metadata["snapshots"] = [_snapshot(number) for number in range(1, snapshots + 1)]
    metadata["snapshot-log"] = [{"snapshot-id": number, "timestamp-ms": number} for number in range(1, snapshots + 1)]
    metadata |= {"current-snapshot-id": snapshots, "last-sequence-number": snapshots}
    metadata["refs"] = {"main": {"snapshot-id": snapshots, "type": "branch"}}
    return json.dumps({"metadata-location": "s3://bucket/table/1.json", "metadata": metadata, "config": {}}).encode()


def _snapshot(number: int) -> dict[str, Any]:
    counts = ("added-data-files", "added-records", "added-files-size", "changed-partition-count", "total-records")
    totals = ("total-files-size", "total-data-files", "total-delete-files", "total-position-deletes")
    summary = {"operation": "append", **{name: str(number * 1000) for name in (*counts, *totals)}}
    return {
        "snapshot-id": number,
        "parent-snapshot-id": number - 1 or None,
        "sequence-number": number,
        "timestamp-ms": number,
        "manifest-list": f"s3://bucket/table/metadata/snap-{number}-6f2c1b1e-9a0c-4d40-a7fd-8f31e4a3e8d5.avro",
        "schema-id": 0,
        "summary": summary if number % FENCING else {**summary, "carousel.fenced-attempts": "7,8"},
    }


def test_the_longest_history_fits_into_the_function(tmp_path: Path) -> None:
    for name, snapshots in (("small", 10), ("large", SNAPSHOTS)):
        (tmp_path / name).write_bytes(answer(snapshots))
    command = [sys.executable, "-m", "tests.unit.lambda_fn.iceberg.measure_metadata", str(tmp_path)]
    measured = json.loads(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)
    assert measured["snapshots"] == SNAPSHOTS + 1
    assert measured["fencing"] == SNAPSHOTS // FENCING
    assert measured["megabytes"] < MOST_MEGABYTES
    assert measured["load_seconds"] < MOST_CPU_SECONDS
    assert measured["commit_seconds"] < MOST_CPU_SECONDS
