"""Migrations and their operations, without a catalog: what they do, in which order, and what is refused."""

from __future__ import annotations

from dataclasses import replace
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
from schemas.evolution.migration import (
    Migration,
    MigrationsBroken,
    Operation,
    Position,
    check_sequence,
    current_schema,
    expected_shape,
    load_migrations,
    position_of,
    steps,
)
from schemas.evolution.refusal import Refused
from schemas.evolution.shape import TableShape, change, new_table, requirements
from schemas.evolution.shape_columns import FIRST
from schemas.evolution.table_operations import (
    AddPartitionField,
    CreateTable,
    RemovePartitionField,
    SetProperty,
    SetSortOrder,
)
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
def shape() -> TableShape:
    return new_table(SCHEMA, SPEC)


def ids(schema: Schema) -> dict[str, int]:
    return {schema.find_column_name(number) or "": number for number in schema.field_ids}


def names(shape: TableShape) -> list[str]:
    return [column.name for column in shape.schema.fields]


# --- the project's own migrations ------------------------------------------------------------------------------------


def test_the_code_knows_exactly_the_columns_of_the_newest_version() -> None:
    assert {one.field_id for one in current_schema().fields} == VALUE_OF_FIELD.keys() | {EMBEDDING_FIELD_ID}


def test_version_two_adds_the_currency_and_nothing_else_changes_its_id() -> None:
    first, now = ids(FIRST_SCHEMA), ids(current_schema())
    assert now == first | {"currency": 25}
    assert not current_schema().find_field(25).required


def test_every_migration_says_why_and_every_operation_what() -> None:
    migrations = load_migrations()
    assert [migration.number for migration in migrations] == list(range(1, len(migrations) + 1))
    shape = expected_shape(migrations, Position(1))
    for step in steps(shape, migrations, len(migrations)):
        assert step.words
        assert step.operation.readers.endswith(".")
        assert step.migration.why.endswith(".")


def test_what_a_table_remembers_is_where_it_goes_on() -> None:
    migrations = load_migrations()
    whole = plan(expected_shape(migrations, Position(1)))
    for number, step in enumerate(whole):
        assert position_of(step.change.after) == step.position
        assert [one.words for one in plan(step.change.after)] == [one.words for one in whole[number + 1 :]]
    assert whole[-1].position == Position(len(migrations))
    assert plan(whole[-1].change.after) == []


@pytest.mark.parametrize(
    ("numbers", "complaint"), [((1, 3), "0003_x should have the number 0002"), ((1, 2, 2), "0002_x should have")]
)
def test_numbers_that_are_no_sequence(numbers: tuple[int, ...], complaint: str) -> None:
    first = CreateTable(SCHEMA, SPEC)
    found = [Migration("why", [first if number == 1 else SetProperty("a", "b")], number, "x") for number in numbers]
    with pytest.raises(MigrationsBroken, match=complaint):
        check_sequence(found)


@pytest.mark.parametrize("broken", [Migration("", [SetProperty("a", "b")], 2, "x"), Migration("why", [], 2, "x")])
def test_a_migration_without_reason_or_operation(broken: Migration) -> None:
    with pytest.raises(MigrationsBroken, match="0002_x has no reason or no operation"):
        check_sequence([Migration("why", [CreateTable(SCHEMA, SPEC)], 1, "x"), broken])


def test_a_version_is_not_taken_back() -> None:
    migrations = load_migrations()
    newest = expected_shape(migrations, Position(len(migrations)))
    with pytest.raises(Refused, match=r"Going back from version \d+ to 1 .* write a new migration"):
        plan(newest, 1)
    with pytest.raises(Refused, match="this code knows the versions 1 to"):
        plan(newest, 99)


# --- what the operations do ------------------------------------------------------------------------------------------


def test_a_column_is_added_where_it_is_asked_for(shape: TableShape) -> None:
    last = AddColumn(21, "a", StringType(), doc="what it is").apply(shape)
    assert names(last)[-1] == "a"
    assert last.schema.find_field("a").doc == "what it is"
    assert names(AddColumn(21, "a", StringType(), after=FIRST).apply(shape))[0] == "a"
    assert names(AddColumn(21, "a", StringType(), after=2).apply(shape))[2] == "a"


@pytest.mark.parametrize(("inside", "name"), [(6, "place.zip"), (16, "visits.element.zip")])
def test_a_column_is_added_inside_a_struct(shape: TableShape, inside: int, name: str) -> None:
    added = AddColumn(21, "zip", StringType(), inside=inside).apply(shape)
    assert ids(added.schema) == ids(SCHEMA) | {name: 21}


def test_a_column_with_columns_of_its_own_gives_all_their_ids(shape: TableShape) -> None:
    added = AddColumn(21, "tags", ListType(22, StringType(), element_required=False)).apply(shape)
    assert ids(added.schema) == ids(SCHEMA) | {"tags": 21, "tags.element": 22}
    with pytest.raises(Refused, match=r"the id 20 is or was the column counts\.value"):
        AddColumn(21, "tags", ListType(20, StringType(), element_required=False)).apply(shape)


def test_what_is_there_already_is_left_as_it_is(shape: TableShape) -> None:
    operation = AddColumn(21, "a", StringType())
    once = operation.apply(shape)
    assert change(once, operation.apply(once)).updates == ()


def test_a_rename_keeps_the_id_and_takes_the_statistics_along(shape: TableShape) -> None:
    named = {"write.metadata.metrics.column.name": "full", "write.metadata.metrics.column.vector.element": "none"}
    renamed = RenameColumn(1, "title").apply(replace(shape, properties=named))
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
def test_types_are_widened_at_any_depth(shape: TableShape, column: int, wider: Any) -> None:
    widened = WidenColumn(column, wider).apply(shape)
    assert widened.schema.find_field(column).field_type == wider
    assert ids(widened.schema) == ids(SCHEMA)


def test_a_column_becomes_optional_is_described_and_moved(shape: TableShape) -> None:
    assert not MakeOptional(1).apply(shape).schema.find_field(1).required
    assert DescribeColumn(7, "the city").apply(shape).schema.find_field(7).doc == "the city"
    moved = MoveColumn(8, FIRST).apply(MoveColumn(4, 1).apply(shape))
    assert names(moved)[:3] == ["name", "amount", "tenant_id"]
    assert [one.name for one in moved.schema.find_type("place").fields] == ["lat", "city"]  # type: ignore[attr-defined]


def test_a_deleted_column_takes_its_statistics_property_along(shape: TableShape) -> None:
    deleted = DeleteColumn(5).apply(replace(shape, properties={"write.metadata.metrics.column.number": "full"}))
    assert "number" not in names(deleted)
    assert deleted.properties == {}


def test_partition_fields_come_and_go_and_come_back_under_their_id(shape: TableShape) -> None:
    bucket = AddPartitionField(1, BucketTransform(8), "name_bucket")
    with_bucket = change(shape, bucket.apply(shape)).after
    assert [one.field_id for one in with_bucket.spec.fields] == [1000, 1001]
    without = change(with_bucket, RemovePartitionField("name_bucket").apply(with_bucket)).after
    other = AddPartitionField(4, BucketTransform(4), "amount_bucket")
    assert [one.field_id for one in other.apply(without).spec.fields] == [1000, 1002]
    again = change(without, bucket.apply(without))
    assert again.after.spec.spec_id == with_bucket.spec.spec_id
    assert [update.action for update in again.updates] == ["set-default-spec"]


def test_a_shape_that_was_there_before_is_named_and_not_added_again(shape: TableShape) -> None:
    renamed = change(shape, RenameColumn(1, "title").apply(shape)).after
    back = change(renamed, RenameColumn(1, "name").apply(renamed))
    assert [update.action for update in back.updates] == ["set-current-schema"]
    sorted_once = change(shape, SetSortOrder([(5, "desc")]).apply(shape)).after
    assert sorted_once.sort_order.order_id == 1


def test_a_commit_requires_what_it_was_planned_with(shape: TableShape) -> None:
    assert {one.type for one in requirements(shape)} == {
        "assert-current-schema-id",
        "assert-last-assigned-field-id",
        "assert-default-spec-id",
        "assert-last-assigned-partition-id",
        "assert-default-sort-order-id",
    }


# --- what is refused, and the way round ------------------------------------------------------------------------------

STRING = StringType()
REFUSALS: dict[str, tuple[Operation, str, str]] = {
    "required": (AddColumn(21, "a", STRING, required=True), "has no default", "add it optional, fill it"),
    "id taken": (AddColumn(5, "a", STRING), "the id 5 is or was the column number", "21 is the next"),
    "nested id taken": (AddColumn(10, "a", STRING), "the id 10 is or was the column vector.element", "21 is the next"),
    "id too low": (AddColumn(3, "a", STRING), "below the highest one", "21 is the next"),
    "name taken": (AddColumn(21, "name", STRING), "there is a column name already", "choose another name"),
    "upper case": (AddColumn(21, "Name", STRING), "lower-case letters", "choose such a name"),
    "no struct": (AddColumn(21, "a", STRING, inside=5), "is no struct", "name the id of a struct"),
    "no sibling": (AddColumn(21, "a", STRING, after=7), "is not beside it", "same struct"),
    "narrower": (WidenColumn(4, DecimalType(10, 4)), "can't become decimal", "add a column of the new type"),
    "other scale": (WidenColumn(4, DecimalType(20, 2)), "can't become decimal", "add a column of the new type"),
    "text to number": (WidenColumn(1, LongType()), "string can't become long", "add a column of the new type"),
    "widened unknown": (WidenColumn(99, LongType()), "no such column with the id 99", "look at the ids"),
    "deleted partition source": (DeleteColumn(2), "look a sale's row up by this column", "keep it"),
    "renamed tenant": (RenameColumn(2, "tenant"), "look a sale's row up", "add a column with the new name"),
    "renamed to taken": (RenameColumn(1, "number"), "there is a column number already", "choose another name"),
    "deleted unknown": (DeleteColumn(99), "no such column", "look at the ids"),
    "deleted element": (DeleteColumn(10), "no such column", "look at the ids"),
    "deleted last field": (DeleteColumn(17), "nothing would be left", "delete what it stands in"),
    "optional unknown": (MakeOptional(99), "no such column", "look at the ids"),
    "optional tenant": (MakeOptional(2), "look a sale's row up", "keep it required"),
    "moved after itself": (MoveColumn(5, 5), "is not beside it", "same struct"),
    "partition by list": (AddPartitionField(9, IdentityTransform(), "v"), "is no plain column", "name one that is"),
    "partition transform": (AddPartitionField(1, MonthTransform(), "m"), "does not apply", "choose a transform"),
    "partition name": (AddPartitionField(5, BucketTransform(4), "name"), "a column has that name", "another name"),
    "last partition": (RemovePartitionField("tenant_id"), "the last partition field", "takes its place first"),
    "partition unknown": (RemovePartitionField("nothing"), "no such partition field", "evolve status"),
    "sorted by list": (SetSortOrder([(9, "asc")]), "is no plain column", "name one that is"),
    "expiry": (SetProperty("history.expire.max-snapshot-age-ms", "1"), "snapshot management", "maintenance config"),
    "version": (SetProperty("carousel.schema-version", "9"), "keeps it", "leave it out"),
    "format": (SetProperty("format-version", "3"), "format version 2", "send the archived events to it"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_safe_is_refused_with_the_reason_and_the_way_round(shape: TableShape, name: str) -> None:
    operation, why, instead = REFUSALS[name]
    with pytest.raises(Refused) as refused:
        operation.apply(shape)
    assert why in refused.value.why
    assert instead in refused.value.instead


def test_an_id_of_a_column_that_is_gone_is_not_given_again(shape: TableShape) -> None:
    gone = change(shape, DeleteColumn(18).apply(shape)).after
    assert "counts" not in names(gone)
    with pytest.raises(Refused, match=r"the id 18 is or was the column counts \(schema 0\).* 21 is the next"):
        AddColumn(18, "b", STRING).apply(gone)


def test_the_source_of_a_partition_field_of_earlier_data_can_not_go(shape: TableShape) -> None:
    by_name = change(shape, AddPartitionField(5, IdentityTransform(), "number").apply(shape)).after
    no_longer = change(by_name, RemovePartitionField("number").apply(by_name)).after
    for present in (by_name, no_longer):
        with pytest.raises(Refused, match="a partition field is made from it"):
            DeleteColumn(5).apply(present)
        with pytest.raises(Refused, match="rows are partitioned by it"):
            WidenColumn(5, LongType()).apply(present)


def test_the_source_of_the_sort_order_can_not_go(shape: TableShape) -> None:
    by_number = change(shape, SetSortOrder([(5, "asc")]).apply(shape)).after
    with pytest.raises(Refused, match="the sort order uses it"):
        DeleteColumn(5).apply(by_number)


@pytest.mark.parametrize("told", [{"carousel.schema-version": "two"}, {"carousel.schema-step": "2"}])
def test_a_place_that_somebody_else_has_written_is_told(shape: TableShape, told: dict[str, str]) -> None:
    with pytest.raises(MigrationsBroken, match="are not what evolve apply writes"):
        position_of(replace(shape, properties=told))
