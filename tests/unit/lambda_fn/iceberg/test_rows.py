"""Sales as Arrow columns. tests/unit/lambda_fn/test_fields.py has the value of each field."""

from __future__ import annotations

from array import array

import pyarrow as pa
import pytest
from pyiceberg.schema import Schema
from pyiceberg.types import DoubleType, IntegerType, ListType, NestedField

from lambda_fn.errors import ColumnsMissing
from lambda_fn.fields import FACTS, FIELDS
from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, arrow_table, facts_without_column, value_of_field
from schemas.evolution.migration import current_schema
from tests.builders import sale

FIELD_IDS = {field.attribute: field.field_id for field in FIELDS}


def without(*attributes: str) -> Schema:
    dropped = {FIELD_IDS[attribute] for attribute in attributes}
    return Schema(*(column for column in current_schema().fields if column.field_id not in dropped))


def test_facts_without_a_column_are_found() -> None:
    assert facts_without_column(current_schema()) == frozenset()
    assert facts_without_column(without("brand", "currency", "quarter")) == {"brand", "currency"}
    assert facts_without_column(Schema()) == {fact.attribute for fact in FACTS}


def test_a_fact_that_no_sale_has_needs_no_column() -> None:
    schema = without("currency", "brand")
    with pytest.raises(ColumnsMissing, match=r"no column for brand\."):
        arrow_table([sale()], schema)
    with pytest.raises(ColumnsMissing, match=r"no column for brand, currency\."):
        arrow_table([sale(), sale(currency="EUR")], schema)
    assert len(arrow_table([sale(), sale()], without("currency"))) == 2


def test_a_column_is_read_from_a_sale_by_its_id() -> None:
    assert value_of_field(FIELD_IDS["brand"])(sale(brand="a brand")) == "a brand"
    assert value_of_field(900)(sale()) is None


def test_a_column_that_the_code_does_not_know_is_null() -> None:
    schema = Schema(*current_schema().fields, NestedField(900, "unknown", IntegerType(), required=False))
    column = arrow_table([sale(), sale()], schema)["unknown"]
    assert column.type == pa.int32()
    assert column.to_pylist() == [None, None]


@pytest.mark.parametrize("wider", [False, True])
def test_vectors_of_different_lengths_and_absent_ones_keep_their_rows(wider: bool) -> None:
    fields = [*current_schema().fields]
    if wider:
        elements = ListType(element_id=901, element_type=DoubleType(), element_required=False)
        position = [field.field_id for field in fields].index(EMBEDDING_FIELD_ID)
        fields[position] = NestedField(EMBEDDING_FIELD_ID, "embedding_vector", elements, required=False)
    vectors = [None, [0.5, 1.5], [], [2.5], None]
    sales = [sale(embedding=None if vector is None else array("f", vector)) for vector in vectors]
    column = arrow_table(sales, Schema(*fields))["embedding_vector"]
    assert column.type.value_type == (pa.float64() if wider else pa.float32())
    assert column.to_pylist() == vectors
