"""Every row reads back by field id, after any sequence of schema changes between appends of different writers.

The model records, for each row, the values that its writer had for the columns of that time. Two readers must agree
with the model on the columns that the table has in the end: pyiceberg's scan, and DuckDB.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import DecimalType, DoubleType, LongType, NestedField, StringType, StructType

from carousel_sync.explore.duckdb_table import S3Access, open_table
from catalog_config.config import CatalogConfig
from lambda_fn.errors import ColumnsMissing
from lambda_fn.fields import FACTS
from lambda_fn.iceberg.rows import VALUE_OF_FIELD
from lambda_fn.ports import Landed, SalesTable
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from schemas.evolution.column_operations import (
    AddColumn,
    DeleteColumn,
    DescribeColumn,
    MakeOptional,
    MoveColumn,
    RenameColumn,
    WidenColumn,
)
from schemas.evolution.columns import FIRST
from schemas.evolution.errors import OperationRefused
from schemas.evolution.operation import Operation
from schemas.evolution.table_definition import definition_of
from schemas.evolution.table_operations import AddPartitionField, RemovePartitionField, SetProperty, SetSortOrder
from schemas.evolution.table_updates import change_between
from tests.builders import sale
from tests.tables import TableUnderTest, provisioned, rest_config, s3_tables_config, sqlite_config

WRITERS = 3
CURRENCY = 25
WIDER: dict[int, Any] = {9: DecimalType(22, 4), 16: LongType(), 24: DoubleType()}

positions = st.sampled_from([None, FIRST, 3, 7, 9, 16, 22, 25])
columns = st.sampled_from([4, 5, 6, 7, 8, 16, 17, 22, 25, 26, 27])
names = st.sampled_from(["one", "two", "three", "brand", "state"])


@st.composite
def operations(draw: st.DrawFn, next_id: int) -> Operation:
    """Generate any operation. Some are refused, and then change nothing."""
    column = draw(columns)
    allowed: list[Operation] = [
        AddColumn(CURRENCY, "currency", StringType(), after=draw(positions)),
        AddColumn(next_id, draw(names), StringType(), after=draw(positions)),
        AddColumn(next_id, draw(names), StructType(NestedField(next_id + 1, "inner", LongType()))),
        RenameColumn(column, draw(names)),
        WidenColumn(*draw(st.sampled_from(sorted(WIDER.items())))),
        MakeOptional(column),
        DescribeColumn(column, "described"),
        MoveColumn(column, draw(st.sampled_from([FIRST, 3, 11, 25]))),
        DeleteColumn(column),
        AddPartitionField(4, IdentityTransform(), "category"),
        AddPartitionField(column, BucketTransform(4), f"bucket_{column}"),
        RemovePartitionField(draw(st.sampled_from(["month", "category", "bucket_4"]))),
        SetSortOrder([(draw(st.sampled_from([3, 11])), "desc")]),
        SetProperty("write.target-file-size-bytes", "1000000"),
    ]
    return draw(st.sampled_from(allowed))


class Evolution(RuleBasedStateMachine):
    """A table that changes, and writers that each remember it as they last saw it."""

    config: CatalogConfig

    @initialize()
    def create(self) -> None:
        self.table: TableUnderTest = provisioned(self.config, to=1)
        self.writers: list[SalesTable] = [self.table.writer(seed=number) for number in range(WRITERS)]
        self.written: dict[str, tuple[Sale, set[int]]] = {}
        self.attempts = 0

    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        shape = definition_of(self.table.load().metadata)
        operation = data.draw(operations(max(shape.highest_field_id, CURRENCY) + 1))
        before = self.table.load().metadata_location
        try:
            self.table.alter(operation)
        except OperationRefused:
            assert self.table.load().metadata_location == before

    @rule(
        writer=st.integers(0, WRITERS - 1),
        currency=st.sampled_from([None, None, "EUR"]),
        description=st.sampled_from([None, "worn"]),
        category=st.sampled_from(["bags", "shoes"]),
        month=st.integers(1, 3),
        days=st.none() | st.integers(0, 9),
        vector=st.none() | st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=3),
    )
    def write(
        self,
        writer: int,
        currency: str | None,
        description: str | None,
        category: str,
        month: int,
        days: int | None,
        vector: list[float] | None,
    ) -> None:
        """Write like code of any version. Code that is older than a fact has no value for it."""
        self.attempts += 1
        sold = sale(
            sale_id=f"sale-{self.attempts}",
            currency=currency,
            description=description,
            category=category,
            sold_date=date(2026, month, 3),
            days_to_sell=days,
            embedding=None if vector is None else array("f", vector),
        )
        deadline = Deadline.after(SystemClock(), 120)
        attempt = self.writers[writer].begin(self.attempts, deadline)
        present = {column.field_id for column in self.table.load().schema().fields}
        lost = {
            fact.attribute
            for fact in FACTS
            if fact.field_id not in present and getattr(sold, fact.attribute) is not None
        }
        if attempt.columns_missing([sold], deadline):
            assert lost
            return
        try:
            answer = attempt.append([sold], (), deadline)
        except ColumnsMissing:
            assert lost
            return
        assert isinstance(answer, Landed)
        assert not lost, "the table dropped a fact"
        self.written[sold.sale_id] = (sold, present)

    def teardown(self) -> None:
        if not hasattr(self, "table"):
            return
        loaded = self.table.load()
        listed = loaded.schema().fields
        expected = {
            sale_id: {column.field_id: _value(sold, column.field_id, present) for column in listed}
            for sale_id, (sold, present) in self.written.items()
        }
        scanned = loaded.scan().to_arrow().to_pylist()
        assert _by_id(scanned, listed) == expected
        if expected:
            with open_table(loaded.metadata_location, self._s3()) as connection:
                rows = connection.execute("SELECT * FROM sales_history").to_arrow_table().to_pylist()
            assert _by_id(rows, listed) == expected

    def _s3(self) -> S3Access | None:
        endpoint = self.config.endpoint_url
        return S3Access(self.config.region, "test", "test", endpoint_url=endpoint) if endpoint else None


def _value(written: Sale, field_id: int, present: set[int]) -> Any:
    if field_id not in present:
        return None
    if field_id == 20:
        return None if written.embedding is None else list(written.embedding)
    return VALUE_OF_FIELD[field_id](written) if field_id in VALUE_OF_FIELD else None


def _by_id(rows: list[dict[str, Any]], listed: tuple[NestedField, ...]) -> dict[str, dict[int, Any]]:
    found = {row["sale_id"]: {column.field_id: row[column.name] for column in listed} for row in rows}
    assert len(found) == len(rows), "a sale has two rows"
    return found


def run(config: CatalogConfig, examples: int, steps: int) -> None:
    machine = type("EvolutionOfCatalog", (Evolution,), {"config": config})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_every_row_reads_back_with_a_sqlite_catalog(tmp_path: Path) -> None:
    run(sqlite_config(tmp_path / "lake"), examples=10, steps=12)


def test_a_reused_field_id_shows_values_under_a_wrong_name(tmp_path: Path) -> None:
    """A control: without the refusals, the property does not hold."""
    table = provisioned(sqlite_config(tmp_path / "lake"))
    deadline = Deadline.after(SystemClock(), 120)
    table.writer().begin(1, deadline).append([sale(description="worn")], (), deadline)
    table.alter(DeleteColumn(7))
    loaded = table.load()
    before = definition_of(loaded.metadata)
    wrong = Schema(*before.schema.fields, NestedField(7, "colour", StringType()))
    table.catalog().commit_table(loaded, (), change_between(before, replace(before, schema=wrong)).updates)
    (row,) = table.load().scan().to_arrow().to_pylist()
    assert row["colour"] == "worn"


def test_every_row_reads_back_with_s3_tables(emulator_endpoint: str) -> None:
    run(s3_tables_config(emulator_endpoint, "evolution-lake"), examples=2, steps=10)


@pytest.mark.engine
def test_every_row_reads_back_with_the_reference_server(request: pytest.FixtureRequest) -> None:
    run(rest_config(request.getfixturevalue("iceberg_rest_server")), examples=4, steps=12)
