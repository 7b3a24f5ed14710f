"""The DynamoDB item of a sale, and the sale of an item."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import pyarrow as pa
from pyarrow import csv

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.fields import FIELDS, Role, Vector
from lambda_fn.sale import Sale

# Amazon DynamoDB Developer Guide, "Quotas". An item's size is that of its attribute names and values together.
ITEM_LIMIT_BYTES: Final = 400 * 1024

_CSV_OPTIONS: Final = csv.WriteOptions(include_header=False)
_LINE_END: Final = "\n"
# A list or a map takes this, and one byte for each of its elements.
_COLLECTION_BYTES: Final = 3


def projection_key(sale: Sale) -> ItemKey:
    """Return the key of a sale's item."""
    return ItemKey(
        f"TENANT#{sale.tenant_id}#PRODUCT#{sale.product_id}", f"SALE#{sale.sold_date.isoformat()}#{sale.sale_id}"
    )


def item_of(sale: Sale) -> Item:
    """Return a sale's item in DynamoDB's notation. An event gives the same item each time it is delivered.

    A field without a value has no attribute. Only a sale with an embedding has the keys of the embedding index.
    """
    partition, sort = projection_key(sale)
    sold_date = sale.sold_date.isoformat()
    item: Item = {
        "PK": {"S": partition},
        "SK": {"S": sort},
        "GSI1PK": {"S": f"TENANT#{sale.tenant_id}"},
        "GSI1SK": {"S": f"DATE#{sold_date}#{sale.sale_id}"},
        "eventTimestamp": {"S": sold_date},
        "ttl": {"N": str(sale.projection_expires_at)},
    }
    if sale.embedding is not None:
        item["GSI2PK"] = {"S": f"TENANT#{sale.tenant_id}#EMBEDDING#{sale.embedding_shard}"}
        item["GSI2SK"] = {"S": f"DATE#{sold_date}"}
    for name, attribute, (data_type, write, _) in _WRITTEN:
        value = getattr(sale, attribute)
        if value is not None:
            item[name] = {data_type: write(value)}
    return item


def sale_of(item: Item) -> Sale:
    """Return the sale that an item holds. Raises KeyError, ValueError or ArithmeticError if it can't be read."""
    return Sale(
        **{
            attribute: read(item[name][data_type])
            for name, attribute, required, (data_type, _, read) in _READ
            if required or data_type in item.get(name, ())
        }
    )


def item_size_bytes(item: Item) -> int:
    """Return an item's size by DynamoDB's rule (Developer Guide, "DynamoDB item sizes and formats")."""
    return sum(len(name.encode()) + _value_size_bytes(value) for name, value in item.items())


def _value_size_bytes(value: Item) -> int:
    if "S" in value:
        return len(value["S"].encode())
    if "BOOL" in value:
        return 1
    if "M" in value:
        return _COLLECTION_BYTES + len(value["M"]) + item_size_bytes(value["M"])
    if "L" in value:
        return _COLLECTION_BYTES + len(value["L"]) + sum(map(_value_size_bytes, value["L"]))
    digits = len(Decimal(value["N"]).normalize().as_tuple().digits)
    return (digits + 1) // 2 + 2


def plain_number(number: Decimal) -> str:
    """Return a number as DynamoDB returns it: without an exponent and without trailing zeros."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def iso_instant(instant: datetime) -> str:
    """Return an instant in UTC as ISO 8601 with a ``Z``. Fractions of a second appear only when there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def vector_json(vector: Vector) -> str:
    """Return a JSON array of the shortest decimals that read back as the same 32-bit floats.

    Arrow writes them as lines of CSV. That is faster than an array of texts, and does not import Arrow's compute
    functions.
    """
    values = pa.Array.from_buffers(pa.float32(), len(vector), [None, pa.py_buffer(vector)])
    lines = pa.BufferOutputStream()
    csv.write_csv(pa.record_batch([values], names=["number"]), lines, _CSV_OPTIONS)
    return f"[{lines.getvalue().to_pybytes().decode().removesuffix(_LINE_END).replace(_LINE_END, ',')}]"


def vector_of_json(text: str) -> Vector:
    """Return the 32-bit floats of a JSON array that :func:`vector_json` wrote. ``-0`` keeps its sign.

    The decimals are read as 32-bit floats directly. Reading them as doubles would round twice: 7.038531e-26 would
    become the next float, and the sale read back would differ from the one stored.
    """
    numbers = pa.array(text.removeprefix("[").removesuffix("]").split(","), pa.string())
    values: Vector = array("f")
    values.frombytes(numbers.cast(pa.float32()).buffers()[1].to_pybytes())
    return values


class _Codec(NamedTuple):
    """The DynamoDB data type of a Python type, and the conversions to and from its text."""

    data_type: str
    write: Callable[[Any], str]
    read: Callable[[str], Any]


_CODECS: Final[dict[type[Any], _Codec]] = {
    str: _Codec("S", str, str),
    date: _Codec("S", date.isoformat, date.fromisoformat),
    datetime: _Codec("S", iso_instant, datetime.fromisoformat),
    array: _Codec("S", vector_json, vector_of_json),
    int: _Codec("N", str, lambda text: int(Decimal(text))),
    float: _Codec("N", lambda number: plain_number(Decimal(repr(number))), float),
    Decimal: _Codec("N", plain_number, Decimal),
}
_WRITTEN: Final = tuple(
    (field.item_attribute, field.attribute, _CODECS[field.type]) for field in FIELDS if field.item_attribute
)
_READ: Final = tuple(
    (field.item_attribute, field.attribute, field.required, _CODECS[field.type])
    for field in FIELDS
    if field.item_attribute and field.role is not Role.DERIVED
)
_KEYS: Final = ("PK", "SK", "GSI1PK", "GSI1SK", "GSI2PK", "GSI2SK", "eventTimestamp", "ttl")

ITEM_ATTRIBUTES: Final = frozenset(_KEYS) | {name for name, _, _ in _WRITTEN}
"""Every attribute that the function writes. Other programs may add attributes of their own to an item."""
