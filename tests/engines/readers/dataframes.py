"""Dataframe libraries, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Final

import pyarrow as pa

from testbed.emulator import ACCESS_KEY, SECRET_KEY
from tests.engines.readers.embedded import query_arrow
from tests.engines.readers.reader import Row, StatementFailed
from tests.engines.tools import tool
from tests.tables import TableUnderTest

_SCRIPT: Final = Path(__file__).with_name("dataframes_script.py")
_READ_SECONDS: Final = 120


class Dataframes:
    """A dataframe library, "polars" or "daft". DuckDB runs the statements over the rows that the library reads.

    Each state of a table is read once. ``folder`` receives the rows. Raises EngineUnavailable.
    """

    def __init__(self, library: str, folder: Path) -> None:
        self._library = library
        self._folder = folder
        self._python = tool("dataframes", "bin/python")
        self._read: dict[tuple[str, int | None], pa.Table] = {}

    def rows(self, table: TableUnderTest, statement: str, snapshot_id: int | None = None) -> list[Row]:
        """Run a SELECT statement as a :class:`Reader` does. Raises StatementFailed."""
        state = table.load().metadata_location, snapshot_id
        if state not in self._read:
            self._read[state] = self._arrow(table, *state)
        return query_arrow(self._read[state], statement)

    def _arrow(self, table: TableUnderTest, metadata_location: str, snapshot_id: int | None) -> pa.Table:
        output = self._folder / f"{len(self._read)}.arrow"
        options = {
            "library": self._library,
            "metadata_location": metadata_location,
            "snapshot_id": snapshot_id,
            "endpoint": table.config.endpoint_url,
            "region": table.config.region,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "output": str(output),
        }
        done = subprocess.run(
            [self._python, str(_SCRIPT), json.dumps(options)],
            env={"PATH": os.environ["PATH"], "HOME": str(self._folder), "DO_NOT_TRACK": "true"},
            capture_output=True,
            text=True,
            timeout=_READ_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise StatementFailed(done.stderr[-4_000:])
        with pa.OSFile(str(output)) as source:
            return pa.ipc.open_file(source).read_all()
