"""Makes a report of a stage's table, and writes its page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from duckdb import DuckDBPyConnection
from pyiceberg.table import Table

from carousel_sync.aws.target import Target
from carousel_sync.explore.duckdb_table import open_sales
from carousel_sync.report.build import build_report
from carousel_sync.report.cells import NO_TENANT, read_cells, read_tenants
from carousel_sync.report.disclosure import Rules
from carousel_sync.report.period import Period
from carousel_sync.report.sections import Report
from lambda_fn.errors import ConfigurationError

MEMORY_LIMIT: Final = "640MB"
"""What DuckDB may use. What exceeds it goes to temporary files."""


@dataclass(frozen=True)
class Wanted:
    """What a report is about, and who reads it: everybody, one tenant, or the operator, who sees tenants by name."""

    period: Period
    rules: Rules
    tenant: str | None = None
    name_tenants: bool = False

    def __post_init__(self) -> None:
        if self.tenant is not None and self.name_tenants:
            raise ConfigurationError(
                "--tenant and --name-tenants exclude each other: a tenant's view never names the others. Nothing was "
                "read."
            )


def produce(target: Target, wanted: Wanted, progress: Callable[[str], None]) -> Report:
    """Read a stage's table and return the report. Changes nothing.

    Raises QueryFailed, and what ``open_sales`` raises.
    """
    progress(f"Opening the Iceberg table at {target}")
    table = target.load_table()
    with open_sales(target, table) as connection:
        return produce_from(connection, table, wanted, progress)


def produce_from(
    connection: DuckDBPyConnection, table: Table, wanted: Wanted, progress: Callable[[str], None]
) -> Report:
    """Return the report of a table on a connection that ``open_sales`` returned. Raises QueryFailed."""
    with tempfile.TemporaryDirectory(prefix="carousel-report-") as folder:
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute("SET temp_directory = $folder", {"folder": folder})
        tenant = NO_TENANT if wanted.tenant is None else wanted.tenant
        cells = read_cells(connection, table, wanted.period, tenant, progress)
        tenants = read_tenants(connection, wanted.period) if wanted.name_tenants else []
        connection.execute("RESET temp_directory")
    return build_report(cells, wanted.period, wanted.rules, wanted.tenant, tenants)


def write_page(path: Path, text: str) -> None:
    """Write a page, in place of an earlier one. Whoever opens it meanwhile sees one of the two, and never a part.

    Raises ConfigurationError when it can't be written; an earlier page then remains.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise ConfigurationError(
            f"The report can't be written to {path}: {error.strerror}. Choose another file with --out."
        ) from error
