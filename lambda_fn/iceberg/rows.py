"""Sales as Arrow columns, with the order and the types of the table's own schema."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from operator import attrgetter
from typing import Any, Final

import pyarrow as pa
from pyiceberg.schema import Schema

from lambda_fn.errors import ColumnsMissing
from lambda_fn.fields import FACTS, FIELDS
from lambda_fn.iceberg.arrow_schema import arrow_schema, field_id_of
from lambda_fn.sale import Sale

EMBEDDING_FIELD_ID: Final = next(field.field_id for field in FACTS if field.attribute == "embedding")

# Columns are found by field id, because a column keeps its id when it is renamed.
VALUE_OF_FIELD: Final[dict[int, Callable[[Sale], Any]]] = {
    field.field_id: attrgetter(field.attribute) for field in FIELDS if field.field_id != EMBEDDING_FIELD_ID
}


def facts_without_column(schema: Schema) -> frozenset[str]:
    """Return the facts, as attributes of ``Sale``, for which a table with this schema has no column."""
    return _facts_outside({column.field_id for column in schema.fields})


def _facts_outside(field_ids: Collection[int]) -> frozenset[str]:
    return frozenset(fact.attribute for fact in FACTS if fact.field_id not in field_ids)


def value_of_field(field_id: int) -> Callable[[Sale], Any]:
    """Return the function that reads a column's value from a sale. It returns None for an unknown column."""
    return VALUE_OF_FIELD.get(field_id, lambda _: None)


def arrow_table(sales: Sequence[Sale], schema: Schema) -> pa.Table:
    """Return the sales as rows of a table with this schema. A column that the code does not know is null.

    Raises ColumnsMissing when a sale has a fact for which the schema has no column: a fact must not be dropped.
    """
    return arrow_rows(sales, arrow_schema(schema))


def arrow_rows(sales: Sequence[Sale], columns: pa.Schema) -> pa.Table:
    """Do the same for a schema that is already converted to Arrow."""
    homeless = _facts_outside({field_id_of(column) for column in columns})
    if missing := {fact for fact in homeless if any(getattr(sale, fact) is not None for sale in sales)}:
        raise ColumnsMissing(missing)
    arrays = [_column(sales, field_id_of(column), column.type) for column in columns]
    return pa.Table.from_arrays(arrays, schema=columns)


def _column(sales: Sequence[Sale], field_id: int, arrow_type: pa.DataType) -> pa.Array:
    if field_id == EMBEDDING_FIELD_ID:
        return _embeddings(sales, arrow_type)
    value_of = VALUE_OF_FIELD.get(field_id)
    if value_of is None:
        return pa.nulls(len(sales), arrow_type)
    return pa.array([value_of(sale) for sale in sales], arrow_type)


def _embeddings(sales: Sequence[Sale], arrow_type: pa.DataType) -> pa.Array:
    """Concatenate the vectors by memory copy, so that no number becomes a Python object."""
    vectors = [sale.embedding for sale in sales]
    lengths = [0 if vector is None else len(vector) for vector in vectors]
    content = b"".join(vector.tobytes() for vector in vectors if vector is not None)
    values = pa.Array.from_buffers(pa.float32(), sum(lengths), [None, pa.py_buffer(content)])
    if values.type != arrow_type.value_type:
        values = values.cast(arrow_type.value_type)
    offsets = pa.array(accumulate(lengths, initial=0), pa.int64())
    absent = pa.array([vector is None for vector in vectors], pa.bool_())
    return pa.LargeListArray.from_arrays(offsets, values, type=arrow_type, mask=absent)
