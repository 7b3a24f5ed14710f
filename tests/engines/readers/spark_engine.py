"""Spark with Iceberg, on this machine."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import requests

from catalog_config.config import CatalogConfig
from testbed.server_process import free_port, running
from tests.engines import java_engine
from tests.engines.readers.catalog_properties import spark_properties
from tests.engines.readers.reader import SALES, Row, StatementFailed, comparable
from tests.engines.tools import tool
from tests.tables import TableUnderTest

_SERVER: Final = Path(__file__).with_name("spark_server.py")
_START_SECONDS: Final = 180.0
_STATEMENT_SECONDS: Final = 180.0


class Spark:
    """A Spark session in a process of its own. It handles one statement at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._catalogs: dict[CatalogConfig, str] = {}

    def sql(self, statement: str) -> list[Row]:
        """Run any statement of Spark SQL and return its rows. Raises StatementFailed.

        Structs and maps are dictionaries, lists are lists, and times have no zone and are in UTC.
        """
        rows: list[Row] = self._post("/", statement)
        return rows

    def job(self, file: Path, *arguments: str) -> str:
        """Run a program with Spark, and return what it prints. Raises StatementFailed, also if it exits."""
        printed: str = self._post("/jobs", json.dumps([str(file), *arguments]))
        return printed

    def name_of(self, table: TableUnderTest) -> str:
        """Return the table's name in Spark: ``catalog.namespace.table``. Adds the catalog the first time.

        Append ``.snapshots``, ``.entries`` and so on for Iceberg's metadata tables.
        """
        return ".".join([self._catalog(table.config), *table.identifier])

    def rows(self, table: TableUnderTest, statement: str, snapshot_id: int | None = None) -> list[Row]:
        """Run a SELECT statement as a :class:`Reader` does. Raises StatementFailed."""
        relation = self.name_of(table) + (f" VERSION AS OF {snapshot_id}" if snapshot_id else "")
        return comparable(self.sql(statement.replace(SALES, relation)))

    def rows_between(self, table: TableUnderTest, statement: str, start: int, end: int) -> list[Row]:
        """Run a SELECT statement over the rows that were appended after snapshot ``start``, up to ``end``."""
        options: dict[str, Any] = {"start-snapshot-id": start, "end-snapshot-id": end}
        listed = ", ".join(f"'{name}' = '{value}'" for name, value in options.items())
        return comparable(self.sql(statement.replace(SALES, f"{self.name_of(table)} WITH ({listed})")))

    def _post(self, path: str, text: str) -> Any:
        answer = requests.post(f"{self._url}{path}", data=text.encode(), timeout=_STATEMENT_SECONDS)
        if answer.status_code != requests.codes.ok:
            raise StatementFailed(answer.text)
        return pickle.loads(answer.content)  # noqa: S301 (from a process that this one started)

    def _catalog(self, config: CatalogConfig) -> str:
        if config not in self._catalogs:
            name = f"lake{len(self._catalogs)}"
            prefix = f"spark.sql.catalog.{name}"
            self.sql(f"SET `{prefix}`=`org.apache.iceberg.spark.SparkCatalog`")
            for key, value in spark_properties(config).items():
                self.sql(f"SET `{prefix}.{key}`=`{value}`")
            self._catalogs[config] = name
        return self._catalogs[config]


@contextmanager
def spark_session(folder: Path) -> Iterator[Spark]:
    """Run a Spark session with at most 1 GB of heap. ``folder`` receives its log and its temporary files.

    Raises EngineUnavailable and ServerNotStarted.
    """
    java_engine.program("java", java_engine.SPARK)
    python = tool("spark", "bin/python")
    jars = sorted(str(jar) for jar in java_engine.fetch(java_engine.SPARK).glob("*.jar"))
    port = free_port()
    with running(
        "spark",
        [python, str(_SERVER), str(port), *jars],
        port=port,
        folder=folder,
        environment={"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_DIRS": str(folder), "TZ": "UTC"},
        ready_path="/",
        start_seconds=_START_SECONDS,
    ) as server:
        yield Spark(server.url)
