"""Sales as Arrow columns, in the order and with the types of the table's own schema."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import accumulate
from typing import Any, Final

import pyarrow as pa
from pyiceberg.schema import Schema

from lambda_fn.errors import ColumnsMissing
from lambda_fn.iceberg.arrow_schema import arrow_schema, field_id_of
from lambda_fn.sale import SOURCE_SYSTEM, Sale

EMBEDDING_FIELD_ID: Final = 20

# By field id, not by name: a column keeps its id when it is renamed.
VALUE_OF_FIELD: Final[dict[int, Callable[[Sale], Any]]] = {
    1: lambda sale: sale.product_id,
    2: lambda sale: sale.tenant_id,
    3: lambda sale: sale.sale_id,
    4: lambda sale: sale.category,
    5: lambda sale: sale.brand,
    6: lambda sale: sale.condition,
    7: lambda sale: sale.description,
    8: lambda sale: sale.listed_price,
    9: lambda sale: sale.sold_price,
    10: lambda sale: sale.discount_percent,
    11: lambda sale: sale.sold_date,
    12: lambda sale: sale.quarter,
    13: lambda sale: sale.year,
    14: lambda sale: sale.month,
    15: lambda sale: sale.season,
    16: lambda sale: sale.days_to_sell,
    17: lambda sale: sale.image_s3_key,
    18: lambda sale: sale.embedding_id,
    19: lambda sale: None if sale.embedding is None else len(sale.embedding),
    21: lambda _: SOURCE_SYSTEM,
    22: lambda sale: sale.vendor_id,
    23: lambda sale: sale.recorded_at,
    25: lambda sale: sale.currency,
}

# What a sale tells by itself: lost when there is no column for it. The other columns follow from these, and the time of
# the event is no fact of the sale.
FACTS: Final[dict[int, str]] = {
    1: "product_id",
    2: "tenant_id",
    3: "sale_id",
    4: "category",
    5: "brand",
    6: "condition",
    7: "description",
    8: "listed_price",
    9: "sold_price",
    11: "sold_date",
    16: "days_to_sell",
    17: "image_s3_key",
    18: "embedding_id",
    EMBEDDING_FIELD_ID: "embedding",
    22: "vendor_id",
    25: "currency",
}


def facts_without_column(schema: Schema) -> frozenset[str]:
    """Return the facts of a sale that a table with this schema has no column for, by their names in Sale."""
    return _facts_beside({column.field_id for column in schema.fields})


def _facts_beside(columns: Collection[int]) -> frozenset[str]:
    return frozenset(name for field_id, name in FACTS.items() if field_id not in columns)


def value_of_field(field_id: int) -> Callable[[Sale], Any]:
    """Return what gives a sale's value for a column; null for one that this code does not know."""
    return VALUE_OF_FIELD.get(field_id, lambda _: None)


def arrow_table(sales: Sequence[Sale], schema: Schema) -> pa.Table:
    """Return the sales as rows of a table with this schema; a column that this code does not know is null.

    Raises ColumnsMissing when a sale tells a fact that the schema has no column for: it must not be dropped.
    """
    return arrow_rows(sales, arrow_schema(schema))


def arrow_rows(sales: Sequence[Sale], columns: pa.Schema) -> pa.Table:
    """Return the same for a schema that is Arrow's already."""
    lost = _facts_beside({field_id_of(column) for column in columns})
    if told := {name for name in lost if any(getattr(sale, name) is not None for sale in sales)}:
        raise ColumnsMissing(told)
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
    """Put the vectors behind one another by memory copy: no number becomes a Python object."""
    vectors = [sale.embedding for sale in sales]
    lengths = [0 if vector is None else len(vector) for vector in vectors]
    content = b"".join(vector.tobytes() for vector in vectors if vector is not None)
    values = pa.Array.from_buffers(pa.float32(), sum(lengths), [None, pa.py_buffer(content)])
    if values.type != arrow_type.value_type:
        values = values.cast(arrow_type.value_type)
    offsets = pa.array(accumulate(lengths, initial=0), pa.int64())
    absent = pa.array([vector is None for vector in vectors], pa.bool_())
    return pa.LargeListArray.from_arrays(offsets, values, type=arrow_type, mask=absent)
