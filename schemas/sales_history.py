"""The first version of the Iceberg table of sales: its columns with their field ids, and its partitions.

Every later change is a migration in schemas/migrations. ``schemas.evolution.migration.current_schema()`` returns the
schema with all of them applied.

Field ids are never reused. A catalog assigns the ids when it creates a table: first to the top-level columns, in their
order, then to nested ones (pyiceberg's ``assign_fresh_schema_ids``). The ids below follow that order, so that every
catalog assigns these ids.
"""

from __future__ import annotations

from typing import Final

from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.transforms import IdentityTransform
from pyiceberg.types import DecimalType, FloatType, ListType, NestedField

NAMESPACE: Final = "pricing_intelligence"
TABLE: Final = "sales_history"
PRICE_PRECISION: Final = 18
PRICE_SCALE: Final = 4
EMBEDDING_ELEMENT_ID: Final = 24

_PRICE: Final = DecimalType(PRICE_PRECISION, PRICE_SCALE)

FIRST_SCHEMA: Final = Schema(
    NestedField(1, "product_id", "string", required=True, doc="The product that was sold"),
    NestedField(2, "tenant_id", "string", required=True, doc="The tenant whose sale it is; partition"),
    NestedField(3, "sale_id", "string", required=True, doc="Identity of the sale within its tenant; one row each"),
    NestedField(4, "category", "string", required=True),
    NestedField(5, "brand", "string", required=True),
    NestedField(6, "condition", "string"),
    NestedField(7, "description", "string"),
    NestedField(8, "listed_price", _PRICE, required=True, doc="Exact; the event carries no currency"),
    NestedField(9, "sold_price", _PRICE, required=True, doc="Exact; the event carries no currency"),
    NestedField(
        10, "discount_percent", "double", doc="(listed - sold) / listed * 100; null when listed is 0, may be < 0"
    ),
    NestedField(11, "sold_date", "date", required=True, doc="UTC date of the sale"),
    NestedField(12, "quarter", "string", doc="Q1..Q4 of sold_date"),
    NestedField(13, "year", "int", required=True, doc="Year of sold_date; partition"),
    NestedField(14, "month", "int", required=True, doc="Month of sold_date, 1..12; partition"),
    NestedField(15, "season", "string", doc="Q1..Q4, the same as quarter"),
    NestedField(16, "days_to_sell", "int"),
    NestedField(17, "image_s3_key", "string"),
    NestedField(18, "embedding_id", "string"),
    NestedField(19, "embedding_dimension", "int", doc="Number of values in embedding_vector"),
    NestedField(
        20,
        "embedding_vector",
        ListType(element_id=EMBEDDING_ELEMENT_ID, element=FloatType(), element_required=False),
        doc="32-bit floats",
    ),
    NestedField(21, "source_system", "string"),
    NestedField(22, "vendor_id", "string"),
    NestedField(23, "ingestion_timestamp", "timestamptz", required=True, doc="Time of the event that reported it"),
)

PARTITION_SPEC: Final = PartitionSpec(
    PartitionField(source_id=2, field_id=1000, transform=IdentityTransform(), name="tenant_id"),
    PartitionField(source_id=13, field_id=1001, transform=IdentityTransform(), name="year"),
    PartitionField(source_id=14, field_id=1002, transform=IdentityTransform(), name="month"),
)

SCAN_COLUMNS: Final = frozenset({2, 3, 13, 14, 23})
"""tenant_id, sale_id, year, month, ingestion_timestamp: the function and the commands find rows by these names."""
