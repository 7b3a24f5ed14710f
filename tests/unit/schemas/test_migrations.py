"""Migrations and their operations without a catalog: effects, order, and refused operations."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import BucketTransform, IdentityTransform, MonthTransform
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
)

from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, VALUE_OF_FIELD
from schemas import migrations as migration_files
from schemas.evolution.apply import plan
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
from schemas.evolution.errors import MigrationError, OperationRefused
from schemas.evolution.migration import (
    Migration,
    Position,
    Step,
    check_sequence,
    current_schema,
    definition_at,
    load_migrations,
    position_of,
    steps,
)
from schemas.evolution.operation import Operation
from schemas.evolution.table_definition import TableDefinition, new_table
from schemas.evolution.table_operations import (
    AddPartitionField,
    CreateTable,
    RemovePartitionField,
    SetProperty,
    SetSortOrder,
)
from schemas.evolution.table_updates import change_between, requirements
from schemas.sales_history import FIRST_SCHEMA

SCHEMA = Schema(
    NestedField(1, "name", StringType(), required=True),
    NestedField(2, "tenant_id", StringType(), required=True),
    NestedField(4, "amount", DecimalType(18, 4), required=True),
    NestedField(5, "number", IntegerType()),
    NestedField(6, "place", StructType(NestedField(7, "city", StringType()), NestedField(8, "lat", FloatType()))),
    NestedField(9, "vector", ListType(10, FloatType(), element_required=False)),
    NestedField(15, "visits", ListType(16, StructType(NestedField(17, "day", DateType())), element_required=False)),
    NestedField(18, "counts", MapType(19, StringType(), 20, IntegerType(), value_required=False)),
)
SPEC = PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "tenant_id"))


@pytest.fixture
def table() -> TableDefinition:
    return new_table(SCHEMA, SPEC)


def ids(schema: Schema) -> dict[str, int]:
    return {schema.find_column_name(number) or "": number for number in schema.field_ids}


def names(table: TableDefinition) -> list[str]:
    return [column.name for column in table.schema.fields]


# --- the project's own migrations ------------------------------------------------------------------------------------


def test_the_writer_has_a_value_for_exactly_the_columns_of_the_newest_version() -> None:
    assert {column.field_id for column in current_schema().fields} == VALUE_OF_FIELD.keys() | {EMBEDDING_FIELD_ID}


def test_version_two_adds_the_currency_and_keeps_all_other_ids() -> None:
    first, now = ids(FIRST_SCHEMA), ids(current_schema())
    assert now == first | {"currency": 25}
    assert not current_schema().find_field(25).required


def test_every_migration_has_a_reason_and_every_operation_a_description() -> None:
    migrations = load_migrations()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    table = definition_at(migrations, Position(1))
    for step in steps(table, migrations, len(migrations)):
        assert step.description
        assert step.operation.readers.endswith(".")
        assert step.migration.why.endswith(".")


def test_evolution_continues_after_the_recorded_position() -> None:
    migrations = load_migrations()
    whole = plan(definition_at(migrations, Position(1)))
    for number, step in enumerate(whole):
        assert position_of(step.change.after) == step.position
        assert _descriptions(plan(step.change.after)) == _descriptions(whole[number + 1 :])
    assert whole[-1].position == Position(len(migrations))
    assert plan(whole[-1].change.after) == []


def _descriptions(steps: list[Step]) -> list[str]:
    return [step.description for step in steps]


@pytest.mark.parametrize(
    ("numbers", "complaint"), [((1, 3), "0003_x should have the number 0002"), ((1, 2, 2), "0002_x should have")]
)
def test_migration_numbers_must_form_a_sequence(numbers: tuple[int, ...], complaint: str) -> None:
    first = CreateTable(SCHEMA, SPEC)
    migrations = [
        Migration("why", [first if number == 1 else SetProperty("a", "b")], number, "x") for number in numbers
    ]
    with pytest.raises(MigrationError, match=complaint):
        check_sequence(migrations)


@pytest.mark.parametrize("broken", [Migration("", [SetProperty("a", "b")], 2, "x"), Migration("why", [], 2, "x")])
def test_a_migration_needs_a_reason_and_an_operation(broken: Migration) -> None:
    with pytest.raises(MigrationError, match="0002_x has no reason or no operation"):
        check_sequence([Migration("why", [CreateTable(SCHEMA, SPEC)], 1, "x"), broken])


def test_a_table_cannot_go_back_to_an_earlier_version() -> None:
    migrations = load_migrations()
    newest = definition_at(migrations, Position(len(migrations)))
    with pytest.raises(OperationRefused, match=r"Going back from version \d+ to 1 .* write a new migration"):
        plan(newest, 1)
    with pytest.raises(OperationRefused, match="this code knows the versions 1 to"):
        plan(newest, 99)


# --- operations ------------------------------------------------------------------------------------------------------


def test_a_column_is_added_at_the_requested_position(table: TableDefinition) -> None:
    last = AddColumn(21, "a", StringType(), doc="what it is").apply(table)
    assert names(last)[-1] == "a"
    assert last.schema.find_field("a").doc == "what it is"
    assert names(AddColumn(21, "a", StringType(), after=FIRST).apply(table))[0] == "a"
    assert names(AddColumn(21, "a", StringType(), after=2).apply(table))[2] == "a"


@pytest.mark.parametrize(("inside", "name"), [(6, "place.zip"), (16, "visits.element.zip")])
def test_a_column_is_added_inside_a_struct(table: TableDefinition, inside: int, name: str) -> None:
    added = AddColumn(21, "zip", StringType(), inside=inside).apply(table)
    assert ids(added.schema) == ids(SCHEMA) | {name: 21}


def test_the_ids_of_nested_columns_are_given_explicitly(table: TableDefinition) -> None:
    added = AddColumn(21, "tags", ListType(22, StringType(), element_required=False)).apply(table)
    assert ids(added.schema) == ids(SCHEMA) | {"tags": 21, "tags.element": 22}
    with pytest.raises(OperationRefused, match=r"the id 20 is or was the column counts\.value"):
        AddColumn(21, "tags", ListType(20, StringType(), element_required=False)).apply(table)


def test_adding_an_existing_column_changes_nothing(table: TableDefinition) -> None:
    operation = AddColumn(21, "a", StringType())
    once = operation.apply(table)
    assert change_between(once, operation.apply(once)).updates == ()


def test_a_renamed_column_keeps_its_id_and_its_metrics_properties(table: TableDefinition) -> None:
    named = {"write.metadata.metrics.column.name": "full", "write.metadata.metrics.column.vector.element": "none"}
    renamed = RenameColumn(1, "title").apply(replace(table, properties=named))
    assert renamed.name_of(1) == "title"
    renamed = RenameColumn(9, "embedding").apply(renamed)
    assert renamed.properties == {
        "write.metadata.metrics.column.title": "full",
        "write.metadata.metrics.column.embedding.element": "none",
    }


@pytest.mark.parametrize(
    ("column", "wider"),
    [(5, LongType()), (4, DecimalType(20, 4)), (8, DoubleType()), (10, DoubleType()), (20, LongType())],
)
def test_types_are_widened_at_any_depth(table: TableDefinition, column: int, wider: Any) -> None:
    widened = WidenColumn(column, wider).apply(table)
    assert widened.schema.find_field(column).field_type == wider
    assert ids(widened.schema) == ids(SCHEMA)


def test_columns_can_be_made_optional_described_and_moved(table: TableDefinition) -> None:
    assert not MakeOptional(1).apply(table).schema.find_field(1).required
    assert DescribeColumn(7, "the city").apply(table).schema.find_field(7).doc == "the city"
    moved = MoveColumn(8, FIRST).apply(MoveColumn(4, 1).apply(table))
    assert names(moved)[:3] == ["name", "amount", "tenant_id"]
    assert [field.name for field in moved.schema.find_type("place").fields] == ["lat", "city"]  # type: ignore[attr-defined]


def test_deleting_a_column_removes_its_metrics_property(table: TableDefinition) -> None:
    deleted = DeleteColumn(5).apply(replace(table, properties={"write.metadata.metrics.column.number": "full"}))
    assert "number" not in names(deleted)
    assert deleted.properties == {}


def test_a_partition_field_that_is_added_again_keeps_its_id(table: TableDefinition) -> None:
    bucket = AddPartitionField(1, BucketTransform(8), "name_bucket")
    with_bucket = change_between(table, bucket.apply(table)).after
    assert [field.field_id for field in with_bucket.spec.fields] == [1000, 1001]
    without = change_between(with_bucket, RemovePartitionField("name_bucket").apply(with_bucket)).after
    other = AddPartitionField(4, BucketTransform(4), "amount_bucket")
    assert [field.field_id for field in other.apply(without).spec.fields] == [1000, 1002]
    again = change_between(without, bucket.apply(without))
    assert again.after.spec.spec_id == with_bucket.spec.spec_id
    assert [update.action for update in again.updates] == ["set-default-spec"]


def test_an_earlier_schema_is_selected_and_not_added_again(table: TableDefinition) -> None:
    renamed = change_between(table, RenameColumn(1, "title").apply(table)).after
    back = change_between(renamed, RenameColumn(1, "name").apply(renamed))
    assert [update.action for update in back.updates] == ["set-current-schema"]
    sorted_once = change_between(table, SetSortOrder([(5, "desc")]).apply(table)).after
    assert sorted_once.sort_order.order_id == 1


def test_a_commit_requires_the_ids_that_it_was_planned_with(table: TableDefinition) -> None:
    assert {requirement.type for requirement in requirements(table)} == {
        "assert-current-schema-id",
        "assert-last-assigned-field-id",
        "assert-default-spec-id",
        "assert-last-assigned-partition-id",
        "assert-default-sort-order-id",
    }


# --- refused operations ----------------------------------------------------------------------------------------------

STRING = StringType()
REFUSALS: dict[str, tuple[Operation, str, str]] = {
    "required": (AddColumn(21, "a", STRING, required=True), "has no default", "add it optional, fill it"),
    "id taken": (AddColumn(5, "a", STRING), "the id 5 is or was the column number", "21 is the next"),
    "nested id taken": (AddColumn(10, "a", STRING), "the id 10 is or was the column vector.element", "21 is the next"),
    "id too low": (AddColumn(3, "a", STRING), "below the highest id", "21 is the next"),
    "name taken": (AddColumn(21, "name", STRING), "there is a column name already", "choose another name"),
    "upper case": (AddColumn(21, "Name", STRING), "lower-case letters", "choose such a name"),
    "no struct": (AddColumn(21, "a", STRING, inside=5), "is no struct", "name the id of a struct"),
    "no sibling": (AddColumn(21, "a", STRING, after=7), "not in the same struct", "that struct"),
    "narrower": (WidenColumn(4, DecimalType(10, 4)), "can't become decimal", "add a column of the new type"),
    "other scale": (WidenColumn(4, DecimalType(20, 2)), "can't become decimal", "add a column of the new type"),
    "text to number": (WidenColumn(1, LongType()), "string can't become long", "add a column of the new type"),
    "widened unknown": (WidenColumn(99, LongType()), "no such column with the id 99", "look up the ids"),
    "deleted partition source": (DeleteColumn(2), "look up a sale's row by", "keep it"),
    "renamed tenant": (RenameColumn(2, "tenant"), "look up a sale's row", "add a column with the new name"),
    "renamed to taken": (RenameColumn(1, "number"), "there is a column number already", "choose another name"),
    "deleted unknown": (DeleteColumn(99), "no such column", "look up the ids"),
    "deleted element": (DeleteColumn(10), "no such column", "look up the ids"),
    "deleted last field": (DeleteColumn(17), "its struct would be empty", "delete the struct"),
    "optional unknown": (MakeOptional(99), "no such column", "look up the ids"),
    "optional tenant": (MakeOptional(2), "look up a sale's row", "keep it required"),
    "moved after itself": (MoveColumn(5, 5), "not in the same struct", "that struct"),
    "partition by list": (
        AddPartitionField(9, IdentityTransform(), "v"),
        "is not a top-level column",
        "name a column that is",
    ),
    "partition transform": (AddPartitionField(1, MonthTransform(), "m"), "does not apply", "choose a transform"),
    "partition name": (AddPartitionField(5, BucketTransform(4), "name"), "a column has that name", "another name"),
    "last partition": (RemovePartitionField("tenant_id"), "the last partition field", "replaces it first"),
    "partition unknown": (RemovePartitionField("nothing"), "no such partition field", "evolve status"),
    "sorted by list": (SetSortOrder([(9, "asc")]), "is not a top-level column", "name a column that is"),
    "expiry": (SetProperty("history.expire.max-snapshot-age-ms", "1"), "snapshot management", "maintenance config"),
    "version": (SetProperty("carousel.schema-version", "9"), "evolve apply sets it", "leave it out"),
    "format": (SetProperty("format-version", "3"), "format version 2", "send the archived events to it"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_an_unsafe_operation_is_refused_with_a_reason_and_an_alternative(table: TableDefinition, name: str) -> None:
    operation, reason, alternative = REFUSALS[name]
    with pytest.raises(OperationRefused) as refused:
        operation.apply(table)
    assert reason in refused.value.reason
    assert alternative in refused.value.alternative


def test_the_id_of_a_deleted_column_is_not_reused(table: TableDefinition) -> None:
    deleted = change_between(table, DeleteColumn(18).apply(table)).after
    assert "counts" not in names(deleted)
    with pytest.raises(OperationRefused, match=r"the id 18 is or was the column counts \(schema 0\).* 21 is the next"):
        AddColumn(18, "b", STRING).apply(deleted)


def test_the_source_of_an_earlier_partition_field_cannot_be_deleted_or_widened(table: TableDefinition) -> None:
    by_name = change_between(table, AddPartitionField(5, IdentityTransform(), "number").apply(table)).after
    no_longer = change_between(by_name, RemovePartitionField("number").apply(by_name)).after
    for present in (by_name, no_longer):
        with pytest.raises(OperationRefused, match="a partition field is derived from it"):
            DeleteColumn(5).apply(present)
        with pytest.raises(OperationRefused, match="rows are partitioned by it"):
            WidenColumn(5, LongType()).apply(present)


def test_the_source_of_the_sort_order_cannot_be_deleted(table: TableDefinition) -> None:
    by_number = change_between(table, SetSortOrder([(5, "asc")]).apply(table)).after
    with pytest.raises(OperationRefused, match="the sort order uses it"):
        DeleteColumn(5).apply(by_number)


@pytest.mark.parametrize("properties", [{"carousel.schema-version": "two"}, {"carousel.schema-step": "2"}])
def test_a_malformed_recorded_position_is_reported(table: TableDefinition, properties: dict[str, str]) -> None:
    with pytest.raises(MigrationError, match="do not have values that evolve apply writes"):
        position_of(replace(table, properties=properties))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("MIGRATION = (", r"line 1\): SyntaxError: '\(' was never closed"),
        ("\nMIGRATION = Migratoin()", r"line 2\): NameError: name 'Migratoin' is not defined"),
        ("from schemas import nothing_here", r"line 1\): ImportError"),
        ("MIGRATIONS = 1", "has no attribute 'MIGRATION'"),
    ],
)
def test_a_mistake_in_a_migration_is_named_with_its_file_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    (tmp_path / "0004_typo.py").write_text(text)
    monkeypatch.setattr(migration_files, "__path__", [*migration_files.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "schemas.migrations.0004_typo", raising=False)
    try:
        with pytest.raises(MigrationError, match=rf"schemas/migrations/0004_typo\.py can't be read.*{complaint}"):
            load_migrations()
    finally:
        sys.modules.pop("schemas.migrations.0004_typo", None)
