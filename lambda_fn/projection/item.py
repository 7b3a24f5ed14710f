"""The projection's item: a sale as DynamoDB holds it, and back."""

from __future__ import annotations

from array import array
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

import pyarrow as pa
from pyarrow import csv

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.sale import SOURCE_SYSTEM, Sale, Vector

# Amazon DynamoDB Developer Guide, "Quotas": the item's size is that of its names and values together.
ITEM_LIMIT_BYTES: Final = 400 * 1024

_ONE_TO_A_LINE: Final = csv.WriteOptions(include_header=False)
_LINE_END: Final = "\n"


def projection_key(sale: Sale) -> ItemKey:
    """Return the key of a sale's item."""
    return ItemKey(
        f"TENANT#{sale.tenant_id}#PRODUCT#{sale.product_id}", f"SALE#{sale.sold_date.isoformat()}#{sale.sale_id}"
    )


def item_of(sale: Sale) -> Item:
    """Return a sale's item in DynamoDB's notation: the same item for the same event, however often it is delivered.

    Absent facts are absent attributes. Only a sale with an embedding carries the keys of the embedding index.
    """
    partition, sort = projection_key(sale)
    sold_date = sale.sold_date.isoformat()
    item: Item = {
        "PK": {"S": partition},
        "SK": {"S": sort},
        "GSI1PK": {"S": f"TENANT#{sale.tenant_id}"},
        "GSI1SK": {"S": f"DATE#{sold_date}#{sale.sale_id}"},
        "productId": {"S": sale.product_id},
        "tenantId": {"S": sale.tenant_id},
        "saleId": {"S": sale.sale_id},
        "category": {"S": sale.category},
        "brand": {"S": sale.brand},
        "listedPrice": {"N": plain_number(sale.listed_price)},
        "salePrice": {"N": plain_number(sale.sold_price)},
        "saleDate": {"S": sold_date},
        "season": {"S": sale.season},
        "source": {"S": SOURCE_SYSTEM},
        "recordCreatedAt": {"S": iso_instant(sale.recorded_at)},
        "eventTimestamp": {"S": sold_date},
        "ttl": {"N": str(sale.projection_expires_at)},
    }
    optional_texts = {
        "condition": sale.condition,
        "description": sale.description,
        "imageS3Key": sale.image_s3_key,
        "embeddingId": sale.embedding_id,
        "vendorId": sale.vendor_id,
        "currency": sale.currency,
    }
    item.update({name: {"S": text} for name, text in optional_texts.items() if text is not None})
    if sale.discount_percent is not None:
        item["discountPercent"] = {"N": plain_number(Decimal(repr(sale.discount_percent)))}
    if sale.days_to_sell is not None:
        item["daysToSell"] = {"N": str(sale.days_to_sell)}
    if sale.embedding is not None:
        item["embedding"] = {"S": vector_json(sale.embedding)}
        item["embeddingDimension"] = {"N": str(len(sale.embedding))}
        item["GSI2PK"] = {"S": f"TENANT#{sale.tenant_id}#EMBEDDING#{sale.embedding_shard}"}
        item["GSI2SK"] = {"S": f"DATE#{sold_date}"}
    return item


def sale_of(item: Item) -> Sale:
    """Return the sale that an item holds."""
    text = {name: value["S"] for name, value in item.items() if "S" in value}
    number = {name: Decimal(value["N"]) for name, value in item.items() if "N" in value}
    return Sale(
        tenant_id=text["tenantId"],
        product_id=text["productId"],
        sale_id=text["saleId"],
        category=text["category"],
        brand=text["brand"],
        listed_price=number["listedPrice"],
        sold_price=number["salePrice"],
        sold_date=date.fromisoformat(text["saleDate"]),
        recorded_at=datetime.fromisoformat(text["recordCreatedAt"]),
        condition=text.get("condition"),
        description=text.get("description"),
        vendor_id=text.get("vendorId"),
        image_s3_key=text.get("imageS3Key"),
        embedding_id=text.get("embeddingId"),
        days_to_sell=int(number["daysToSell"]) if "daysToSell" in number else None,
        embedding=vector_of_json(text["embedding"]) if "embedding" in text else None,
        currency=text.get("currency"),
    )


def item_size_bytes(item: Item) -> int:
    """Return an item's size by DynamoDB's rule (Developer Guide, "DynamoDB item sizes and formats")."""
    return sum(len(name.encode()) + _value_size_bytes(value) for name, value in item.items())


def _value_size_bytes(value: Item) -> int:
    if "S" in value:
        return len(value["S"].encode())
    digits = len(Decimal(value["N"]).normalize().as_tuple().digits)
    return (digits + 1) // 2 + 2


def plain_number(number: Decimal) -> str:
    """Return a number without exponent and without trailing zeros, as DynamoDB gives it back."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def iso_instant(instant: datetime) -> str:
    """Return a UTC instant as ISO 8601 with a ``Z``, with fractions only where there are some."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


def vector_json(vector: Vector) -> str:
    """Return a JSON array with the shortest decimals that give the same 32-bit floats back.

    Arrow writes them as lines of CSV: faster than as an array of texts, and without importing its compute functions.
    """
    values = pa.Array.from_buffers(pa.float32(), len(vector), [None, pa.py_buffer(vector)])
    lines = pa.BufferOutputStream()
    csv.write_csv(pa.record_batch([values], names=["number"]), lines, _ONE_TO_A_LINE)
    return f"[{lines.getvalue().to_pybytes().decode().removesuffix(_LINE_END).replace(_LINE_END, ',')}]"


def vector_of_json(text: str) -> Vector:
    """Return the 32-bit floats of a JSON array as :func:`vector_json` writes it; ``-0`` keeps its sign.

    The decimals are read as 32-bit floats directly: read as doubles and rounded again, 7.038531e-26 becomes its
    neighbour, and the sale that is read back would not be the one that was stored.
    """
    numbers = pa.array(text.removeprefix("[").removesuffix("]").split(","), pa.string())
    values: Vector = array("f")
    values.frombytes(numbers.cast(pa.float32()).buffers()[1].to_pybytes())
    return values
