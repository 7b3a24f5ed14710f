"""The fields of a sale: one line each, with the name that every store has for the field.

Everything that handles fields one by one is derived from these lines: the attributes of :class:`lambda_fn.sale.Sale`
and its payload hash, the fields of the event (``lambda_fn.event``), the Iceberg columns (``lambda_fn.iceberg.rows``),
the DynamoDB attributes (``lambda_fn.projection.item``), and what ``verify`` compares and ``backfill`` reads.

To add a field, append a line to :class:`SaleFields`: docs/schema-evolution.md.
"""

from __future__ import annotations

import dataclasses
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, get_args, get_type_hints

if TYPE_CHECKING:
    Vector = array[float]
else:
    Vector = array  # Python 3.11 cannot subscript the standard library's array.


class Role(Enum):
    """Where the value of a field comes from."""

    FACT = "the event's detail; the payload hash covers it"
    ENVELOPE = "the event's envelope, which may differ between two events about one sale"
    DERIVED = "other fields"


FACT, ENVELOPE, DERIVED = Role


class StoredAs(NamedTuple):
    """The names of a field outside the code. See :class:`Field`."""

    role: Role
    field_id: int
    event_name: str | None
    item_attribute: str


# fmt: off
@dataclass(frozen=True, kw_only=True)
class SaleFields:
    """What a sale is made of, and where each field is stored.

    The event's JSON Schema lists the facts in this order: append new ones. A new fact is optional, because older events
    and rows do not have it. An optional text needs no rule of its own in ``lambda_fn.event``.
    """

    # attribute             type                     role      id  event field     item attribute
    tenant_id:    Annotated[str,            StoredAs(FACT,      2, "tenantId",     "tenantId")]
    product_id:   Annotated[str,            StoredAs(FACT,      1, "productId",    "productId")]
    category:     Annotated[str,            StoredAs(FACT,      4, "category",     "category")]
    brand:        Annotated[str,            StoredAs(FACT,      5, "brand",        "brand")]
    listed_price: Annotated[Decimal,        StoredAs(FACT,      8, "listedPrice",  "listedPrice")]
    sold_price:   Annotated[Decimal,        StoredAs(FACT,      9, "salePrice",    "salePrice")]
    sold_date:    Annotated[date,           StoredAs(FACT,     11, "soldDate",     "saleDate")]
    recorded_at:  Annotated[datetime,       StoredAs(ENVELOPE, 23, None,           "recordCreatedAt")]
    sale_id:      Annotated[str,            StoredAs(FACT,      3, "saleId",       "saleId")]
    condition:    Annotated[str | None,     StoredAs(FACT,      6, "condition",    "condition")] = None
    description:  Annotated[str | None,     StoredAs(FACT,      7, "description",  "description")] = None
    vendor_id:    Annotated[str | None,     StoredAs(FACT,     22, "vendorId",     "vendorId")] = None
    image_s3_key: Annotated[str | None,     StoredAs(FACT,     17, "imageS3Key",   "imageS3Key")] = None
    embedding_id: Annotated[str | None,     StoredAs(FACT,     18, "embeddingId",  "embeddingId")] = None
    days_to_sell: Annotated[int | None,     StoredAs(FACT,     16, "daysToSell",   "daysToSell")] = None
    embedding:    Annotated[Vector | None,  StoredAs(FACT,     20, "embedding",    "embedding")] = None
    currency:     Annotated[str | None,     StoredAs(FACT,     25, "currency",     "currency")] = None
# fmt: on


@dataclass(frozen=True)
class Field:
    """A field as the code looks it up.

    ``attribute`` and ``type`` are those of ``Sale``. ``field_id`` is the id of the Iceberg column, which it keeps when
    it is renamed. ``event_name`` is None for a field that the event's ``detail`` does not have, ``item_attribute`` for
    one that the DynamoDB item does not have. ``required``: a sale always has a value for it.
    """

    attribute: str
    type: type[Any]
    role: Role
    field_id: int
    event_name: str | None = None
    item_attribute: str | None = None
    required: bool = False


# fmt: off
# Properties of Sale. They are stored for queries, and computed again whenever a sale is read.
_DERIVED_FIELDS: Final = (
    #     attribute              type   role     id  event field, item attribute
    Field("discount_percent",    float, DERIVED, 10, None, "discountPercent"),
    Field("quarter",             str,   DERIVED, 12),
    Field("year",                int,   DERIVED, 13),
    Field("month",               int,   DERIVED, 14),
    Field("season",              str,   DERIVED, 15, None, "season"),
    Field("embedding_dimension", int,   DERIVED, 19, None, "embeddingDimension"),
    Field("source_system",       str,   DERIVED, 21, None, "source"),
)
# fmt: on


def _declared_fields() -> Iterator[Field]:
    hints = get_type_hints(SaleFields, include_extras=True)
    for declared in dataclasses.fields(SaleFields):
        annotated = hints[declared.name]
        stored_as: StoredAs = annotated.__metadata__[0]
        members = get_args(annotated.__origin__) or (annotated.__origin__,)
        (value_type,) = (member for member in members if member is not NoneType)
        yield Field(declared.name, value_type, *stored_as, declared.default is dataclasses.MISSING)


FIELDS: Final = (*_declared_fields(), *_DERIVED_FIELDS)
FACTS: Final = tuple(field for field in FIELDS if field.role is FACT)
"""The facts of a sale, in the order in which they are declared. The payload hash covers exactly these."""

_LAST_ID_OF_THE_FIRST_SCHEMA: Final = 24
BASE_FACTS: Final = tuple(fact for fact in FACTS if fact.field_id <= _LAST_ID_OF_THE_FIRST_SCHEMA)
"""The facts that every version of the code knows. The table has had their columns from its first schema."""
LATER_FACTS: Final = tuple(fact for fact in FACTS if fact not in BASE_FACTS)
"""The facts that migrations added, in their order. A version of the code knows the first of these, up to its own."""
