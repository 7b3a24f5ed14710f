"""Loads a table with a long history, commits to it, loads it again, and prints what this took.

Usage: python -m tests.unit.lambda_fn.iceberg.measure_metadata FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from catalog_config.pyiceberg_internals import AdaptedRestCatalog
from catalog_config.table_answers import TableAnswers
from lambda_fn.iceberg.pyiceberg_store import PyIcebergState, PyIcebergStore
from lambda_fn.iceberg.snapshots import compare_and_set, snapshot_on_head
from lambda_fn.runtime.retry import SystemClock
from tests.fakes.parallel import InTurn


class Answers(BaseAdapter):
    """Answers each request about a table with a file."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        response = Response()
        response.status_code, response.url = 200, request.url or ""
        response.raw = _Body(self.file if "/tables/" in response.url else None)
        return response

    def close(self) -> None:
        pass


class _Body:
    def __init__(self, file: Path | None) -> None:
        self._content = b"" if file else b'{"defaults": {}, "overrides": {}}'
        self._file = file

    def read(self, _size: int | None = -1, decode_content: bool = False) -> bytes:
        content, self._content = self._content, b""
        return self._file.read_bytes() if self._file else content

    def release_conn(self) -> None:
        pass

    def close(self) -> None:
        pass


def megabytes() -> float:
    """Return the most memory that the process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(folder: Path) -> None:
    """Print the measurements as JSON."""
    answers = Answers(folder / "small")
    catalog = AdaptedRestCatalog("c", lambda _: TableAnswers(answers, lambda _size: None), uri="http://catalog")
    store = PyIcebergStore(lambda: catalog, ("n", "t"), InTurn(), SystemClock(), 1.0)
    round_trip(catalog, store)
    idle = megabytes()
    answers.file = folder / "large"
    state, load_seconds, commit_seconds = round_trip(catalog, store)
    again = store.load(state)
    fencing = sum(bool(node.fenced) for node in again.snapshots.values())
    print(  # noqa: T201
        json.dumps(
            {
                "snapshots": len(state.snapshots),
                "fencing": fencing,
                "megabytes": megabytes() - idle,
                "load_seconds": load_seconds,
                "commit_seconds": commit_seconds,
            }
        )
    )


def round_trip(catalog: AdaptedRestCatalog, store: PyIcebergStore) -> tuple[PyIcebergState, float, float]:
    """Load the table and commit to it. Return the state after the commit, and the CPU seconds of both."""
    started = time.process_time()
    state = store.load(None)
    assert state.head in state.snapshots
    loaded = time.process_time()
    metadata = state.table.metadata
    snapshot = snapshot_on_head(metadata, 2**62, "s3://bucket/list.avro", Summary(Operation.APPEND), 0, 1.0)
    response = catalog.commit_table(state.table, *compare_and_set(metadata, snapshot))
    table = Table(("n", "t"), response.metadata, "s3://bucket/table/2.json", state.table.io, catalog)
    after = state.after(table, snapshot, ())
    assert snapshot.snapshot_id in after.snapshots
    return after, loaded - started, time.process_time() - loaded


if __name__ == "__main__":
    main(Path(sys.argv[1]))
