"""From Arrow batches of records to staged rows, as Spark's Python workers do it."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pyarrow as pa
import pytest

from carousel_sync.backfill.spark.staging import Stage
from lambda_fn.errors import ColumnsMissing
from lambda_fn.iceberg.arrow_schema import arrow_schema
from schemas.evolution.migration import current_schema
from schemas.sales_history import FIRST_SCHEMA
from tests.builders import body, event

STAGE = Stage(arrow_schema(current_schema()), None, "")


def lines(*texts: str, file: str = "f", block: int = 0) -> pa.RecordBatch:
    columns = {"_file": [file] * len(texts), "_block": [block] * len(texts), "_line": [text.encode() for text in texts]}
    return pa.RecordBatch.from_pydict(columns)


def staged(*batches: pa.RecordBatch, stage: Stage = STAGE) -> list[dict[str, Any]]:
    rows = [row for batch in stage(iter(batches)) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: (row["_file"], row["_block"], row["_index"]))


def test_a_sale_has_its_columns_and_a_rejected_record_its_reason() -> None:
    sale, rejected = staged(lines(body(embedding=[0.5, 1.25]), body(salePrice=-1)))
    assert (sale["sale_id"], sale["sold_date"], sale["embedding_vector"]) == ("sale-1", date(2026, 3, 14), [0.5, 1.25])
    assert (sale["season"], sale["year"], sale["month"], sale["_reason"]) == ("Q1", 2026, 3, None)
    assert (rejected["_reason"], rejected["_text"]) == ("INVALID_FIELD", body(salePrice=-1))
    assert rejected["_detail"] == "detail.salePrice: must be from 0 to less than 10^14"
    assert {rejected[name] for name in ("sale_id", "year", "_facts", "_expires_at")} == {None}


def test_records_are_numbered_within_the_part_of_a_file_over_all_batches() -> None:
    found = staged(lines(body(), "", body()), lines(body(), block=9), lines(body()), lines(body(), file="g"))
    places = [(row["_file"], row["_block"], row["_index"]) for row in found]
    assert places == [("f", 0, 0), ("f", 0, 2), ("f", 0, 3), ("f", 9, 0), ("g", 0, 0)]


def test_two_records_of_one_sale_have_one_identity_and_rejected_ones_have_their_own() -> None:
    first, repeat, other, *rejected = staged(
        lines(body(), body(salePrice=1), body(tenantId="tenant-2"), "not JSON", "not JSON")
    )
    assert first["_identity"] == repeat["_identity"] != other["_identity"]
    assert first["_facts"] != repeat["_facts"]
    assert len({row["_identity"] for row in (first, other, *rejected)}) == 4


def test_rows_with_the_tables_columns_are_read_like_lines() -> None:
    detail = event()["detail"]
    row = {
        "_file": ["f"],
        "_block": [0],
        "_index": [5],
        "tenant_id": [detail["tenantId"]],
        "product_id": ["p"],
        "category": ["c"],
        "brand": ["b"],
        "listed_price": pa.array([2], pa.decimal128(18, 4)),
        "sold_price": pa.array([1], pa.decimal128(18, 4)),
        "sold_date": [date(2020, 2, 29)],
    }
    timed = Stage(STAGE.columns, "2026-01-31T00:00:00Z", "")
    (found,) = staged(pa.RecordBatch.from_pydict(row), stage=timed)
    assert (found["_reason"], found["_index"], found["discount_percent"]) == (None, 5, 50.0)
    assert json.loads(found["_text"])["detail"]["soldDate"] == "2020-02-29"


def test_a_fact_without_a_column_is_not_dropped() -> None:
    with pytest.raises(ColumnsMissing, match="currency"):
        staged(lines(body(currency="EUR")), stage=Stage(arrow_schema(FIRST_SCHEMA), None, ""))
