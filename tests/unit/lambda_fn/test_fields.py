"""The registry of fields: every place that stores, reads or compares a sale knows every field."""

from __future__ import annotations

import dataclasses
import inspect
import json
from array import array
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyiceberg.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    ListType,
    StringType,
    TimestamptzType,
)

from carousel_sync.backfill.records import event_of_row
from carousel_sync.consistency.compare import sale_of_item, sale_of_row
from lambda_fn.errors import ColumnsMissing
from lambda_fn.event import detail_schema, parse_message
from lambda_fn.fields import FACTS, FIELDS, Field, Role
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.projection.item import ITEM_ATTRIBUTES, item_of, sale_of
from lambda_fn.sale import Sale
from schemas.evolution.migration import current_schema
from tests.builders import EVENT_TIME, sale

COLUMN_TYPES: dict[type, Any] = {
    str: StringType(),
    int: IntegerType(),
    float: DoubleType(),
    Decimal: DecimalType(18, 4),
    date: DateType(),
    datetime: TimestamptzType(),
}
# Two values of each type. A rule of the event may allow other values only.
VALUES: dict[type, tuple[Any, Any]] = {
    str: ("one", "two"),
    int: (1, 2),
    Decimal: (Decimal("1.0000"), Decimal("2.5000")),
    date: (date(2026, 3, 13), date(2026, 3, 14)),
    datetime: (datetime(2026, 3, 14, tzinfo=UTC), datetime(2026, 3, 15, 10, tzinfo=UTC)),
    array: (array("f", [0.5]), array("f", [0.5, -1])),
}
VALUES_BY_RULE: dict[str, tuple[Any, Any]] = {"currency": ("EUR", "USD")}
DERIVED = [field for field in FIELDS if field.role is Role.DERIVED]
SET_BY_WRITER = [field for field in FIELDS if field.role is not Role.DERIVED]


def by_attribute(field: Field) -> str:
    return field.attribute


def values_of(field: Field) -> tuple[Any, Any]:
    return VALUES_BY_RULE.get(field.attribute, VALUES[field.type])


def full_sale() -> Sale:
    """Return a sale with a value in every field."""
    return sale(**{field.attribute: values_of(field)[0] for field in SET_BY_WRITER})


def changed(field: Field) -> Sale:
    """Return the full sale with another value in one field."""
    return replace(full_sale(), **{field.attribute: values_of(field)[1]})


# --- the registry -----------------------------------------------------------------------------------------------------


def test_every_field_of_a_sale_is_declared() -> None:
    assert [field.attribute for field in SET_BY_WRITER] == [field.name for field in dataclasses.fields(Sale)]
    assert not inspect.get_annotations(Sale), "declare fields in lambda_fn/fields.py"


@pytest.mark.parametrize("field", DERIVED, ids=by_attribute)
def test_a_derived_field_is_a_property_of_a_sale(field: Field) -> None:
    assert isinstance(getattr(Sale, field.attribute), property)
    assert type(getattr(full_sale(), field.attribute)) is field.type


@pytest.mark.parametrize("name", ["attribute", "field_id", "event_name", "item_attribute"])
def test_no_name_and_no_id_occurs_twice(name: str) -> None:
    values = [value for field in FIELDS if (value := getattr(field, name)) is not None]
    assert len(set(values)) == len(values)


def test_only_facts_are_fields_of_the_event() -> None:
    assert [field for field in FIELDS if field.event_name is not None] == list(FACTS)


def test_a_fact_is_in_the_item() -> None:
    """The function reads sales back from their items, and then compares their payload hashes."""
    assert all(fact.item_attribute for fact in FACTS)


# --- Iceberg ----------------------------------------------------------------------------------------------------------


def test_the_field_ids_are_those_of_the_tables_columns() -> None:
    assert {field.field_id for field in FIELDS} == {column.field_id for column in current_schema().fields}


@pytest.mark.parametrize("field", FIELDS, ids=by_attribute)
def test_a_column_has_the_type_of_its_field(field: Field) -> None:
    column = current_schema().find_field(field.field_id)
    if field.type is array:
        assert isinstance(column.field_type, ListType)
        assert column.field_type.element_type == FloatType()
    else:
        assert column.field_type == COLUMN_TYPES[field.type]
    if field.role is not Role.DERIVED:
        assert column.required == field.required


@pytest.mark.parametrize("field", FIELDS, ids=by_attribute)
def test_a_row_has_the_value_of_its_field(field: Field) -> None:
    (value,) = arrow_table([full_sale()], current_schema())[position(field)].to_pylist()
    expected = getattr(full_sale(), field.attribute)
    assert value == (expected.tolist() if field.type is array else expected)


@pytest.mark.parametrize("fact", FACTS, ids=by_attribute)
def test_a_fact_without_a_column_is_not_dropped(fact: Field) -> None:
    columns = [column for column in current_schema().fields if column.field_id != fact.field_id]
    with pytest.raises(ColumnsMissing, match=fact.attribute):
        arrow_table([full_sale()], type(current_schema())(*columns))


def position(field: Field) -> int:
    return [column.field_id for column in current_schema().fields].index(field.field_id)


# --- event ------------------------------------------------------------------------------------------------------------


def event_of(reported: Sale) -> str:
    """Return the text of an event that reports a sale."""
    detail = {str(fact.event_name): as_json(getattr(reported, fact.attribute)) for fact in FACTS}
    envelope = {"detail-type": "carousel.product.sold", "source": "carousel.products"}
    return json.dumps({**envelope, "time": reported.recorded_at.isoformat(), "detail": detail})


def as_json(value: Any) -> Any:
    match value:
        case Decimal():
            return float(value)
        case date():
            return value.isoformat()
        case array():
            return value.tolist()
    return value


def test_the_events_schema_has_the_facts_in_their_order() -> None:
    assert list(detail_schema()["properties"]) == [fact.event_name for fact in FACTS]


def test_only_the_sale_id_is_optional_in_the_event_and_required_in_a_sale() -> None:
    required = [fact.event_name for fact in FACTS if fact.required and fact.attribute != "sale_id"]
    assert detail_schema()["required"] == required


@pytest.mark.parametrize("fact", FACTS, ids=by_attribute)
def test_a_fact_is_read_from_the_event(fact: Field) -> None:
    delivery = parse_message("1", event_of(changed(fact)), "")
    assert delivery.content == changed(fact)
    assert delivery.unknown_fields == ()


def test_the_name_of_every_price_ends_in_price() -> None:
    """The search for prices with many digits in the event's text relies on it."""
    prices = [str(fact.event_name) for fact in FACTS if fact.type is Decimal]
    assert prices
    assert all(name.endswith("Price") for name in prices)


# --- item -------------------------------------------------------------------------------------------------------------


def test_the_item_of_a_full_sale_has_every_attribute() -> None:
    assert item_of(full_sale()).keys() == ITEM_ATTRIBUTES
    assert {field.item_attribute for field in FIELDS if field.item_attribute} <= ITEM_ATTRIBUTES


@pytest.mark.parametrize("field", SET_BY_WRITER, ids=by_attribute)
def test_a_field_comes_back_from_the_item(field: Field) -> None:
    stored = item_of(changed(field))
    assert field.item_attribute in stored
    assert sale_of(stored) == changed(field) != full_sale()


@pytest.mark.parametrize("field", [field for field in SET_BY_WRITER if not field.required], ids=by_attribute)
def test_an_absent_field_is_an_absent_attribute(field: Field) -> None:
    absent: dict[str, Any] = {field.attribute: None}
    without = replace(full_sale(), **absent)
    assert field.item_attribute not in item_of(without)
    assert sale_of(item_of(without)) == without


@pytest.mark.parametrize("field", [field for field in SET_BY_WRITER if field.required], ids=by_attribute)
def test_an_item_without_a_required_field_is_not_a_sale(field: Field) -> None:
    item = {name: value for name, value in item_of(full_sale()).items() if name != field.item_attribute}
    with pytest.raises(KeyError, match=field.item_attribute):
        sale_of(item)


# --- payload hash, verify, backfill -----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", SET_BY_WRITER, ids=by_attribute)
def test_the_payload_hash_covers_exactly_the_facts(field: Field) -> None:
    assert (changed(field).payload_hash != full_sale().payload_hash) == (field in FACTS)


@pytest.mark.parametrize("field", SET_BY_WRITER, ids=by_attribute)
def test_verify_compares_exactly_the_facts(field: Field) -> None:
    row, item = sale_of_row(full_sale()), sale_of_item(item_of(changed(field)))
    assert ((row.key, row.digest) != (item.key, item.digest)) == (field in FACTS)


@pytest.mark.parametrize("name", [field.item_attribute for field in DERIVED if field.item_attribute])
def test_verify_compares_derived_attributes(name: str) -> None:
    item = item_of(full_sale())
    (data_type,) = item[name]
    wrong = item | {name: {data_type: "7"}}
    assert sale_of_item(wrong).digest != sale_of_row(full_sale()).digest


def test_backfill_reads_every_fact_from_a_row_of_the_table() -> None:
    (row,) = arrow_table([full_sale()], current_schema()).to_pylist()
    delivery = parse_message("1", event_of_row(row, EVENT_TIME), "")
    assert delivery.content == full_sale()
    assert delivery.unknown_fields == ()
