"""How large a sale is wherever it is billed, measured on generated sales with the function's own code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from math import ceil
from statistics import fmean
from typing import Any, Final

import orjson

from carousel_sync.events.generate import Recipe, generate
from lambda_fn.aws.batch_requests import Item
from lambda_fn.event import parse_event
from lambda_fn.guard.items import claimed_item, completed_item
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.iceberg.staging import parquet_file
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of, item_size_bytes
from lambda_fn.sale import Sale
from schemas.evolution.migration import current_schema

WRITE_UNIT_BYTES: Final = 1024
"""Amazon DynamoDB Developer Guide, "DynamoDB read and write operations": a write unit is one write of up to 1 KB."""
LEFT_OUT_OF_GSI1: Final = frozenset({"currency", "embedding", "ttl", "GSI2PK", "GSI2SK"})
"""The attributes that template.yaml does not include in the index by tenant and date."""
_ID: Final = 2**63 - 1
_RECIPE: Final = Recipe(200, seed=1, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0)


@dataclass(frozen=True)
class SaleSizes:
    """Averages over generated sales. Write units are rounded up for each item, as DynamoDB bills them.

    ``event_bytes`` is the event as JSON, ``row_bytes`` the sale's share of a Parquet file. The ``gsi2`` values are 0
    for sales without an embedding.
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

    @property
    def guard_units(self) -> float:
        """The write units of the guard: one claim and one completion."""
        return self.claim_units + self.completion_units

    @property
    def write_units(self) -> float:
        """The write units in the guard, the projection and its indexes."""
        return self.guard_units + self.item_units + self.gsi1_units + self.gsi2_units


def measure(embedding: int) -> SaleSizes:
    """Measure generated sales with this many values in each embedding, 0 for none. The sales are always the same."""
    envelopes = [event.envelope for event in generate(replace(_RECIPE, embedding=embedding))]
    sales = [_sale(envelope) for envelope in envelopes]
    items = [item_of(sale) for sale in sales]
    gsi1 = [{name: value for name, value in item.items() if name not in LEFT_OUT_OF_GSI1} for item in items]
    gsi2 = [item if "GSI2PK" in item else {} for item in items]
    one_file, _ = parquet_file(arrow_table(sales, current_schema()))
    claims = [claimed_item(sale.key, sale.facts, _ID, _ID, 0.0, 0.0) for sale in sales]
    completions = [completed_item(Completion(sale.key, sale.facts, _ID), 0.0) for sale in sales]
    return SaleSizes(
        event_bytes=fmean(len(orjson.dumps(envelope)) for envelope in envelopes),
        row_bytes=len(one_file) / len(sales),
        item_bytes=fmean(map(item_size_bytes, items)),
        gsi1_bytes=fmean(map(item_size_bytes, gsi1)),
        gsi2_bytes=fmean(map(item_size_bytes, gsi2)),
        guard_bytes=fmean(map(item_size_bytes, completions)),
        item_units=_mean_units(items),
        gsi1_units=_mean_units(gsi1),
        gsi2_units=_mean_units(gsi2),
        claim_units=_mean_units(claims),
        completion_units=_mean_units(completions),
    )


def write_units(item_bytes: float) -> int:
    """Return the write units of one item."""
    return ceil(item_bytes / WRITE_UNIT_BYTES)


def _sale(envelope: dict[str, Any]) -> Sale:
    content = parse_event("", envelope, "", "").content
    if not isinstance(content, Sale):
        raise TypeError(f"a generated event is not a sale: {content}")
    return content


def _mean_units(items: list[Item]) -> float:
    return fmean(write_units(item_size_bytes(item)) for item in items)
