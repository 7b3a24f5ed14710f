"""The Arrow schema of a table's data files.

The result equals that of pyiceberg's ``schema_to_pyarrow``, which a test compares, without the descriptions of the
columns: the table's metadata has them. Importing pyiceberg's module would also import pyarrow's compute functions and
datasets, which take a twelfth of the CPU time of a cold start.
"""

from __future__ import annotations

from typing import Final

import pyarrow as pa
from pyiceberg.schema import Schema
from pyiceberg.types import (
    BinaryType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    FixedType,
    FloatType,
    IcebergType,
    IntegerType,
    ListType,
    LongType,
    MapType,
    NestedField,
    StringType,
    StructType,
    TimestampType,
    TimestamptzType,
    TimeType,
    UUIDType,
)

from lambda_fn.errors import StoreUnavailable

_FIELD_ID: Final = b"PARQUET:field_id"
# The types of Iceberg format version 2 (Iceberg specification, "Parquet"). Texts and lists have 64-bit offsets, so that
# no batch is too large for one column.
_PRIMITIVES: Final[dict[type[IcebergType], pa.DataType]] = {
    BooleanType: pa.bool_(),
    IntegerType: pa.int32(),
    LongType: pa.int64(),
    FloatType: pa.float32(),
    DoubleType: pa.float64(),
    DateType: pa.date32(),
    TimeType: pa.time64("us"),
    TimestampType: pa.timestamp("us"),
    TimestamptzType: pa.timestamp("us", tz="UTC"),
    StringType: pa.large_string(),
    UUIDType: pa.uuid(),
    BinaryType: pa.large_binary(),
}


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return a table's schema in Arrow, with the Iceberg field id as metadata of each field.

    Raises StoreUnavailable when a column has a type that format version 2 does not have.
    """
    return pa.schema([_field(column) for column in schema.fields])


def field_id_of(column: pa.Field) -> int:
    """Return a column's Iceberg field id."""
    return int(column.metadata[_FIELD_ID])


def _field(field: NestedField) -> pa.Field:
    arrow_type = _type(field.field_type)
    return pa.field(field.name, arrow_type, nullable=field.optional, metadata={_FIELD_ID: str(field.field_id)})


def _type(iceberg_type: IcebergType) -> pa.DataType:
    match iceberg_type:
        case DecimalType():
            return pa.decimal128(iceberg_type.precision, iceberg_type.scale)
        case FixedType():
            return pa.binary(len(iceberg_type))
        case ListType():
            return pa.large_list(_field(iceberg_type.element_field))
        case MapType():
            return pa.map_(_field(iceberg_type.key_field), _field(iceberg_type.value_field))
        case StructType():
            return pa.struct([_field(field) for field in iceberg_type.fields])
        case _ if type(iceberg_type) in _PRIMITIVES:
            return _PRIMITIVES[type(iceberg_type)]
    raise StoreUnavailable(
        f"The Iceberg table has a column of type {iceberg_type}, which format version 2 does not have. The function "
        "writes no other version. The sales stay in the queue. Remove the column."
    )
