"""Fixtures of the readers, one of each per test process.

Spark and Trino are large. Mark the tests that use them with ``ONE_PROCESS``, so that one pytest-xdist worker runs them
all and each server starts once in a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.engines.fixtures import started
from tests.engines.java_engine import EngineUnavailable
from tests.engines.readers.dataframes import Dataframes
from tests.engines.readers.embedded import DuckDB, PyIceberg
from tests.engines.readers.reader import Reader
from tests.engines.readers.spark_engine import Spark, spark_session
from tests.engines.readers.trino_engine import Trino, trino_server

ONE_PROCESS: Final = pytest.mark.xdist_group("readers")

READERS: Final = ("spark", "trino", "duckdb", "pyiceberg", "polars", "daft")


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spark]:
    """A Spark session."""
    with started(spark_session(tmp_path_factory.mktemp("spark"))) as session:
        yield session


@pytest.fixture(scope="session")
def trino(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trino]:
    """A Trino server."""
    with started(trino_server(tmp_path_factory.mktemp("trino"))) as server:
        yield server


@pytest.fixture(scope="session")
def duckdb() -> DuckDB:
    """DuckDB in this process."""
    return DuckDB()


@pytest.fixture(scope="session")
def pyiceberg() -> PyIceberg:
    """pyiceberg in this process."""
    return PyIceberg()


@pytest.fixture(scope="session")
def polars(tmp_path_factory: pytest.TempPathFactory) -> Dataframes:
    """Polars, in a new process for each read."""
    return _dataframes("polars", tmp_path_factory)


@pytest.fixture(scope="session")
def daft(tmp_path_factory: pytest.TempPathFactory) -> Dataframes:
    """Daft, in a new process for each read."""
    return _dataframes("daft", tmp_path_factory)


@pytest.fixture(scope="session", params=READERS)
def reader(request: pytest.FixtureRequest) -> Reader:
    """Each reader in turn."""
    found: Reader = request.getfixturevalue(request.param)
    return found


def _dataframes(library: str, tmp_path_factory: pytest.TempPathFactory) -> Dataframes:
    try:
        return Dataframes(library, tmp_path_factory.mktemp(library))
    except EngineUnavailable as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
