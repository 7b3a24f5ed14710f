"""Ctrl-C during a query."""

from __future__ import annotations

from typing import Any

import pytest

from carousel_sync.explore.sql import run


class Interrupted:
    """A connection on which Ctrl-C is pressed. DuckDB then raises RuntimeError, caused by KeyboardInterrupt."""

    def __init__(self) -> None:
        self.stopped = False

    def extract_statements(self, sql: str) -> list[str]:
        return [sql]

    def execute(self, *_: Any) -> Any:
        raise RuntimeError("Query interrupted") from KeyboardInterrupt()

    def interrupt(self) -> None:
        self.stopped = True


def test_an_interruption_stops_the_query_and_is_no_defect() -> None:
    connection: Any = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        run(connection, "SELECT 1")
    assert connection.stopped


def test_another_error_of_the_runtime_is_a_defect() -> None:
    connection: Any = Interrupted()
    connection.execute = lambda *_: (_ for _ in ()).throw(RuntimeError("defect"))
    with pytest.raises(RuntimeError, match="defect"):
        run(connection, "SELECT 1")
