"""How large a sale is in each place where it is billed, measured on generated sales with the function's own code."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import ceil
from statistics import fmean
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from carousel_sync.events.generate import Recipe, generate
from lambda_fn.aws.batch_requests import Item
from lambda_fn.event import parse_event
from lambda_fn.guard.items import claimed_item, completed_item
from lambda_fn.iceberg.rows import EMBEDDING_FIELD_ID, arrow_table
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of, item_size_bytes
from lambda_fn.sale import Sale
from schemas.evolution.migration import current_schema

SAMPLE: Final = 200
WRITE_UNIT_BYTES: Final = 1024
"""Amazon DynamoDB Developer Guide, "DynamoDB read and write operations": a write unit is one write of up to 1 KB."""
LEFT_OUT_OF_GSI1: Final = frozenset({"currency", "embedding", "ttl", "GSI2PK", "GSI2SK"})
"""What template.yaml does not include in the index by tenant and date."""
_ID: Final = 2**63 - 1
# "Item sizes", same guide: a list takes three bytes, and one more for each element.
_LIST_OF_ONE_ID_BYTES: Final = 3 + 1 + 12
_RECIPE: Final = Recipe(SAMPLE, seed=1, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0)


@dataclass(frozen=True)
class SaleSizes:
    """Averages over generated sales. Write units are rounded up for each item, as DynamoDB bills them.

    ``event_bytes`` is the event as JSON; ``row_bytes`` its share of a Parquet file. ``gsi2`` is 0 without embedding.
    """

    event_bytes: float
    row_bytes: float
    item_bytes: float
    gsi1_bytes: float
    gsi2_bytes: float
    guard_bytes: float
    item_units: float
    gsi1_units: float
    gsi2_units: float
    claim_units: float
    completion_units: float


def measure(embedding: int) -> SaleSizes:
    """Generate sales whose embeddings have so many values, 0 for none, and measure them. The same sales each time."""
    recipe = Recipe(**{**vars(_RECIPE), "embedding": embedding})
    envelopes = [event.envelope for event in generate(recipe)]
    sales = [_sale(envelope) for envelope in envelopes]
    items = [item_of(sale) for sale in sales]
    gsi1 = [{name: value for name, value in item.items() if name not in LEFT_OUT_OF_GSI1} for item in items]
    gsi2 = [item if "GSI2PK" in item else {} for item in items]
    claims = [_claim_bytes(sale) for sale in sales]
    completions = [item_size_bytes(completed_item(Completion(sale.key, sale.payload_hash, _ID), 0.0)) for sale in sales]
    return SaleSizes(
        event_bytes=fmean(len(orjson.dumps(envelope)) for envelope in envelopes),
        row_bytes=_parquet_bytes(sales) / len(sales),
        item_bytes=_mean_bytes(items),
        gsi1_bytes=_mean_bytes(gsi1),
        gsi2_bytes=_mean_bytes(gsi2),
        guard_bytes=fmean(completions),
        item_units=_mean_units(items),
        gsi1_units=_mean_units(gsi1),
        gsi2_units=_mean_units(gsi2),
        claim_units=fmean(units(size) for size in claims),
        completion_units=fmean(units(size) for size in completions),
    )


def units(size_bytes: float) -> int:
    """Return the write units of one item."""
    return ceil(size_bytes / WRITE_UNIT_BYTES)


def _sale(envelope: dict[str, Any]) -> Sale:
    content = parse_event("", envelope, "", "").content
    if not isinstance(content, Sale):
        raise TypeError(f"a generated event is no sale: {content}")
    return content


def _claim_bytes(sale: Sale) -> int:
    claim = claimed_item(sale.key, sale.payload_hash, _ID, _ID, 0.0, 0.0)
    attempts = len("attempts") + _LIST_OF_ONE_ID_BYTES
    return item_size_bytes({name: value for name, value in claim.items() if name != "attempts"}) + attempts


def _mean_bytes(items: list[Item]) -> float:
    return fmean(item_size_bytes(item) for item in items)


def _mean_units(items: list[Item]) -> float:
    return fmean(units(item_size_bytes(item)) for item in items)


def _parquet_bytes(sales: list[Sale]) -> int:
    """Return the size of one Parquet file of all the sales, with the encodings that the function chooses."""
    schema = current_schema()
    rows = arrow_table(sales, schema)
    embedding = schema.find_field(EMBEDDING_FIELD_ID).name
    plain = [name for name in rows.schema.names if name != embedding]
    sink = pa.BufferOutputStream()
    pq.write_table(
        rows,
        sink,
        compression="zstd",
        use_dictionary=plain,
        column_encoding={f"{embedding}.list.element": "BYTE_STREAM_SPLIT"},
        store_decimal_as_integer=True,
    )
    return len(sink.getvalue())
