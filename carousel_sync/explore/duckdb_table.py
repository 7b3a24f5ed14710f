"""The Iceberg table in DuckDB. Nothing is downloaded, and nothing is written to the home folder."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib import resources
from typing import Final
from urllib.parse import urlsplit

import duckdb
from duckdb import DuckDBPyConnection
from pyiceberg.table import Table

from carousel_sync.aws.target import Target
from lambda_fn.errors import ConfigurationError, StoreUnavailable
from schemas.sales_history import NAMESPACE

VIEW: Final = "sales_history"

# The iceberg extension needs the avro one, because Iceberg's manifests are Avro files.
_EXTENSIONS: Final = ("avro", "httpfs", "iceberg")


@dataclass(frozen=True)
class S3Access:
    """How DuckDB reads from S3. Without ``endpoint_url`` it is Amazon S3 itself."""

    region: str
    access_key_id: str
    secret_access_key: str
    session_token: str | None = None
    endpoint_url: str | None = None


def open_sales(target: Target, table: Table | None = None) -> DuckDBPyConnection:
    """Open the target's table with :func:`open_table`: as it was loaded, or else its current version.

    Also raises what :meth:`Target.load_table` raises, and ConfigurationError when there are no credentials.
    """
    location = (table or target.load_table()).metadata_location
    return open_table(location, _s3_access(target) if location.startswith("s3://") else None)


def open_table(metadata_location: str, s3: S3Access | None = None) -> DuckDBPyConnection:
    """Return an in-memory database with the table as the view ``sales_history``, also in the schema of its namespace.

    Raises ConfigurationError when DuckDB's extensions are not installed, and StoreUnavailable when the table's files
    can't be read.
    """
    connection = duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False})
    try:
        for name in _EXTENSIONS:
            connection.execute(f"LOAD {_quoted(_extension_file(name))}")
        connection.execute("SET TimeZone = 'UTC'")
        if s3 is not None:
            connection.execute(_secret(s3))
        connection.table_function("iceberg_scan", [metadata_location]).create_view(VIEW)
        # The name that the table has in Athena and Spark.
        connection.execute(f"CREATE SCHEMA {NAMESPACE}")
        connection.execute(f"CREATE VIEW {NAMESPACE}.{VIEW} AS FROM main.{VIEW}")
    except duckdb.Error as error:
        connection.close()
        raise StoreUnavailable(f"DuckDB can't read the Iceberg table at {metadata_location}: {error}") from error
    return connection


def _extension_file(name: str) -> str:
    try:
        package = importlib.import_module(f"duckdb_extension_{name}")
    except ImportError as error:
        raise ConfigurationError(
            f"The Python package duckdb-extension-{name} is not installed. Install it: uv sync --group ops"
        ) from error
    file = resources.files(package) / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not file.is_file():
        raise ConfigurationError(
            f"The Python package duckdb-extension-{name} is for another version of DuckDB than {duckdb.__version__}. "
            "Install matching versions: uv sync --group ops"
        )
    return str(file)


def _s3_access(target: Target) -> S3Access:
    credentials = target.session.get_credentials()
    if credentials is None:
        raise ConfigurationError(
            f"There are no AWS credentials for reading the table's files at {target}. Sign in (aws sso login) or set "
            "AWS_PROFILE, or use --local for the embedded stack."
        )
    frozen = credentials.get_frozen_credentials()
    return S3Access(target.region, frozen.access_key or "", frozen.secret_key or "", frozen.token, target.endpoint_url)


def _secret(s3: S3Access) -> str:
    options = {"REGION": s3.region, "KEY_ID": s3.access_key_id, "SECRET": s3.secret_access_key}
    if s3.session_token:
        options["SESSION_TOKEN"] = s3.session_token
    if s3.endpoint_url:
        parts = urlsplit(s3.endpoint_url)
        options |= {"ENDPOINT": parts.netloc, "USE_SSL": str(parts.scheme == "https").lower(), "URL_STYLE": "path"}
    listed = ", ".join(f"{name} {_quoted(value)}" for name, value in options.items())
    return f"CREATE SECRET (TYPE s3, {listed})"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
