"""Writers lose and double nothing while Spark compacts, deletes and expires snapshots. Plain pyiceberg doubles sales.

Run with -s, they print the figures of docs/reliability.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import pytest

from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from schemas.evolution.table_operations import SetProperty
from tests.builders import sale
from tests.engines.fixtures import IcebergRestServer
from tests.engines.races.race import RaceFigures, Subject, carousel_sync, plain_pyiceberg, race
from tests.engines.races.spark_rounds import ROUNDS, VICTIMS, SparkRounds, victims
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.readers.spark_engine import Spark
from tests.faults.harness.fault_proxy import FaultProxy
from tests.faults.harness.figures import print_table
from tests.faults.harness.stores_under_test import StoresUnderTest
from tests.tables import TableUnderTest, provisioned, rest_config

pytestmark = [pytest.mark.engine, ONE_PROCESS]


FOR_SPARK: Final = {
    "write.delete.mode": "merge-on-read",
    # Spark's commits take longer than the writers' and so lose most races. By default it tries five times.
    "commit.retry.num-retries": "30",
    "commit.retry.max-wait-ms": "200",
}


@dataclass(frozen=True)
class Stage:
    """Stores, as the writers reach them through the proxy, and their table, as Spark reaches it."""

    stores: StoresUnderTest
    proxy: FaultProxy
    table: TableUnderTest


@pytest.fixture
def s3_tables(emulator_endpoint: str) -> Iterator[Stage]:
    """Stores on the emulator. All requests pass the proxy."""
    with FaultProxy(emulator_endpoint) as proxy:
        created = StoresUnderTest.create(emulator_endpoint)
        yield Stage(replace(created, stores=replace(created.stores, endpoint=proxy.url)), proxy, created.table)


@pytest.fixture
def rest(emulator_endpoint: str, iceberg_rest_on_emulator: IcebergRestServer) -> Iterator[Stage]:
    """Stores whose table is in Apache's REST server. Requests to this catalog pass the proxy."""
    with FaultProxy(iceberg_rest_on_emulator.uri) as proxy:
        created = StoresUnderTest.create(emulator_endpoint)
        catalog = rest_config(iceberg_rest_on_emulator)
        table = provisioned(catalog)
        stores = replace(created.stores, catalog=replace(catalog, uri=proxy.url), namespace=table.namespace)
        yield Stage(replace(created, stores=stores), proxy, table)


def run_race(stage: Stage, spark: Spark, subject: Subject, *, expires: bool) -> tuple[RaceFigures, SparkRounds]:
    """Let the subject race against Spark, on a table that has the victims in it."""
    stage.table.alter(*(SetProperty(name, value) for name, value in FOR_SPARK.items()))
    deadline = Deadline.after(SystemClock(), 300)
    doomed = [sale(tenant_id=VICTIMS, sale_id=sale_id) for sale_id in victims()]
    assert isinstance(stage.table.writer().begin(1, deadline).append(doomed, (), deadline), Landed)
    rounds = SparkRounds(spark, stage.table, expires)
    figures = race(stage.stores, stage.proxy, subject, rounds.run)
    print_table(figures.row(subject.__name__, rounds.figures()))
    return figures, rounds


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("where", "expires"), [("s3_tables", False), ("rest", True)])
def test_writers_and_spark(where: str, expires: bool, spark: Spark, request: pytest.FixtureRequest) -> None:
    stage: Stage = request.getfixturevalue(where)
    figures, rounds = run_race(stage, spark, carousel_sync, expires=expires)
    assert (figures.lost, figures.doubled, figures.unsettled, figures.failed) == (0, 0, 0, 0)
    assert figures.sales > 0
    assert figures.answers_lost > 0
    assert rounds.compactions == ROUNDS
    assert (rounds.expired > 0) == expires
    assert stage.stores.rows(VICTIMS) == {victims()[-1]: 1}


@pytest.mark.timeout(900)
def test_plain_writers_and_spark(s3_tables: Stage, spark: Spark) -> None:
    figures, _ = run_race(s3_tables, spark, plain_pyiceberg, expires=False)
    assert figures.doubled > 0
