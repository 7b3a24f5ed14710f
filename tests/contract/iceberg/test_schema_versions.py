"""Writers and tables of different versions: no value is dropped, and a writer notices a changed table."""

from __future__ import annotations

import pytest
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DecimalType, DoubleType, LongType, StringType

from catalog_config.provision import ensure_table
from lambda_fn.errors import ColumnsMissing
from lambda_fn.ports import Landed
from lambda_fn.runtime.retry import Deadline, SystemClock
from schemas.evolution.column_operations import AddColumn, DeleteColumn, RenameColumn, WidenColumn
from schemas.evolution.table_operations import AddPartitionField, RemovePartitionField
from tests.builders import embedding, sale
from tests.tables import TableUnderTest, provisioned

CURRENCY, DESCRIPTION = 25, 7


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 120)


@pytest.fixture
def old_table(table: TableUnderTest) -> TableUnderTest:
    """A table of version 1, which has no column for the currency."""
    return provisioned(table.config, to=1)


def upgrade(table: TableUnderTest) -> None:
    ensure_table(table.catalog(), *table.identifier)


def currencies(table: TableUnderTest) -> dict[str, str | None]:
    rows = table.load().scan(selected_fields=("sale_id", "currency")).to_arrow().to_pylist()
    return {row["sale_id"]: row["currency"] for row in rows}


def test_a_fact_without_a_column_is_reported_and_never_dropped(old_table: TableUnderTest) -> None:
    with_currency, without = sale(sale_id="with", currency="EUR"), sale(sale_id="without")
    attempt = old_table.writer().begin(1, soon())
    assert attempt.columns_missing([with_currency, without], soon()) == {with_currency.key: ["currency"]}
    with pytest.raises(ColumnsMissing, match=r"currency.*carousel-sync evolve apply"):
        attempt.append([with_currency], (), soon())
    assert attempt.append([without], (), soon()) == Landed(1)
    assert old_table.sale_ids() == ["without"]


def test_a_writer_that_cached_the_old_table_finds_the_new_column(old_table: TableUnderTest) -> None:
    writer = old_table.writer()
    assert writer.begin(1, soon()).append([sale(sale_id="old")], (), soon()) == Landed(1)
    upgrade(old_table)
    attempt = writer.begin(2, soon())
    new = sale(sale_id="new", currency="EUR")
    assert attempt.columns_missing([new], soon()) == {}
    assert attempt.append([new], (), soon()) == Landed(2)
    assert currencies(old_table) == {"old": None, "new": "EUR"}


def test_no_fact_is_lost_if_its_column_is_deleted_between_staging_and_commit(table: TableUnderTest) -> None:
    attempt = table.writer().begin(1, soon())
    described = sale(description="worth keeping")
    assert attempt.columns_missing([described], soon()) == {}
    table.alter(DeleteColumn(DESCRIPTION))
    with pytest.raises(ColumnsMissing, match="description"):
        attempt.append([described], (), soon())
    assert table.sale_ids() == []


@pytest.mark.parametrize(
    "operation",
    [
        AddColumn(26, "added_later", StringType(), after=3),
        RenameColumn(5, "label"),
        WidenColumn(16, LongType()),
        WidenColumn(9, DecimalType(22, 4)),
        WidenColumn(24, DoubleType()),
        AddPartitionField(4, IdentityTransform(), "category"),
        RemovePartitionField("month"),
    ],
    ids=lambda operation: type(operation).__name__,
)
def test_files_that_were_staged_under_the_old_schema_are_staged_again(
    sqlite_table: TableUnderTest, operation: object
) -> None:
    table = sqlite_table
    early = table.writer()
    early.begin(1, soon()).append([sale(sale_id="early", embedding=embedding(4))], (), soon())
    attempt = table.writer().begin(2, soon())
    table.alter(operation)  # type: ignore[arg-type]
    late = sale(sale_id="late", embedding=embedding(4), days_to_sell=3)
    assert attempt.append([late], (), soon()) == Landed(2, conflicts=1)
    # A writer that cached the old table commits on its own head, which nobody has moved since.
    assert early.begin(3, soon()).append([sale(sale_id="last")], (), soon()) == Landed(3, conflicts=1)
    loaded = table.load()
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    assert snapshot.schema_id == loaded.metadata.current_schema_id
    rows = {row["sale_id"]: row for row in loaded.scan().to_arrow().to_pylist()}
    assert rows.keys() == {"early", "late", "last"}
    assert rows["late"]["embedding_vector"] == list(late.embedding or ())
    assert rows["late"].get("label", rows["late"].get("brand")) == late.brand
    assert rows["late"]["days_to_sell"] == 3
    specs = {task.file.spec_id for task in loaded.scan().plan_files()}
    assert max(specs) == loaded.metadata.default_spec_id


def test_the_partition_value_of_an_unknown_column_is_null(sqlite_table: TableUnderTest) -> None:
    sqlite_table.alter(AddColumn(26, "channel", StringType()))
    sqlite_table.alter(AddPartitionField(26, IdentityTransform(), "channel"))
    assert sqlite_table.writer().begin(1, soon()).append([sale(sale_id="a")], (), soon()) == Landed(1)
    (task,) = sqlite_table.load().scan().plan_files()
    assert task.file.partition[3] is None
    assert sqlite_table.sale_ids() == ["a"]
