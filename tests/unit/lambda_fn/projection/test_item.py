"""The item of a sale: its keys and attributes, the sale read back, vectors digit by digit, and its size."""

from __future__ import annotations

import json
import math
import struct
from array import array
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings

from lambda_fn.fields import FACTS, Vector
from lambda_fn.ports import Reason
from lambda_fn.projection.item import (
    ITEM_LIMIT_BYTES,
    iso_instant,
    item_of,
    item_size_bytes,
    plain_number,
    projection_key,
    sale_of,
    vector_json,
    vector_of_json,
)
from lambda_fn.projection.projection_table import DynamoDBProjection
from lambda_fn.sale import Sale
from testbed.dynamodb.attribute_values import item_size_bytes as size_by_developer_guide
from tests.builders import embedding, read_text, sale
from tests.properties.strategies import event_text, float32s, prices, sales, vectors


def float_of_bits(bits: int) -> float:
    number: float = struct.unpack("<f", struct.pack("<I", bits))[0]
    return number


FULL: dict[str, Any] = {
    "condition": "like_new",
    "description": "Speedy 30 – très beau 👜",
    "vendor_id": "vendor-1",
    "image_s3_key": "s3://images/1.jpg",
    "embedding_id": "embedding-1",
    "days_to_sell": 0,
    "embedding": array("f", [0.5, -1, 2]),
}
# Floats that are easily misread: 7.038531e-26 becomes the next float when it is read as a double and rounded again.
TRICKY = [float_of_bits(bits) for bits in (0x15AE43FD, 0x95AE43FD, 1, 0x80000001, 0x007FFFFF, 0x00800000, 0x7F7FFFFF)]
TRICKY += [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.1,
    1e7,
    1e16,
    1e20,
    16_777_216.0,
    33_554_432.0,
    2.0**-126,
    1e-10,
    123_456_789.0,
]


# --- the item ---------------------------------------------------------------------------------------------------------


def test_the_item_of_a_sale_with_every_fact() -> None:
    assert item_of(sale(**FULL)) == {
        "PK": {"S": "TENANT#tenant-1#PRODUCT#product-1"},
        "SK": {"S": "SALE#2026-03-14#sale-1"},
        "GSI1PK": {"S": "TENANT#tenant-1"},
        "GSI1SK": {"S": "DATE#2026-03-14#sale-1"},
        "GSI2PK": {"S": "TENANT#tenant-1#EMBEDDING#1"},
        "GSI2SK": {"S": "DATE#2026-03-14"},
        "productId": {"S": "product-1"},
        "tenantId": {"S": "tenant-1"},
        "saleId": {"S": "sale-1"},
        "category": {"S": "handbags"},
        "brand": {"S": "Louis Vuitton"},
        "condition": {"S": "like_new"},
        "description": {"S": "Speedy 30 – très beau 👜"},
        "listedPrice": {"N": "500"},
        "salePrice": {"N": "450.5"},
        "discountPercent": {"N": "9.9"},
        "saleDate": {"S": "2026-03-14"},
        "season": {"S": "Q1"},
        "daysToSell": {"N": "0"},
        "imageS3Key": {"S": "s3://images/1.jpg"},
        "embeddingId": {"S": "embedding-1"},
        "embedding": {"S": "[0.5,-1,2]"},
        "embeddingDimension": {"N": "3"},
        "vendorId": {"S": "vendor-1"},
        "source": {"S": "carousel"},
        "recordCreatedAt": {"S": "2026-03-15T10:00:00Z"},
        "eventTimestamp": {"S": "2026-03-14"},
        "ttl": {"N": "1836604800"},
    }
    assert datetime.fromtimestamp(1_836_604_800, UTC) == datetime(2028, 3, 14, tzinfo=UTC)


def test_absent_facts_are_absent_attributes() -> None:
    optional = {"condition", "description", "daysToSell", "imageS3Key", "embeddingId", "vendorId"}
    with_embedding = {"embedding", "embeddingDimension", "GSI2PK", "GSI2SK"}
    full = item_of(sale(**FULL))
    assert full.keys() - item_of(sale()).keys() == optional | with_embedding
    assert full.keys() - item_of(sale(**FULL | {"embedding": None})).keys() == with_embedding
    assert "discountPercent" not in item_of(sale(listed_price=Decimal("0.0000")))
    assert not any("NULL" in value for value in item_of(sale()).values())


def test_an_empty_fact_is_an_attribute() -> None:
    assert item_of(sale(description=""))["description"] == {"S": ""}


def test_the_projection_key_is_the_key_of_the_item() -> None:
    item = item_of(sale())
    assert projection_key(sale()) == (item["PK"]["S"], item["SK"]["S"])


@given(sales())
def test_a_repeated_event_gives_the_same_item(sale: Sale) -> None:
    again = read_text(event_text(sale))
    assert isinstance(again, Sale)
    assert item_of(again) == item_of(sale)


@given(sales())
@example(sale(sold_date=date(2024, 2, 29), embedding=array("f", TRICKY)))
@example(sale(listed_price=Decimal("0.0001"), sold_price=Decimal("99999999999999.9999")))
@example(sale(listed_price=Decimal("99999999999999.9999"), sold_price=Decimal("99999999999999.9998")))
def test_the_sale_read_back_from_its_item_is_the_same(sale: Sale) -> None:
    back = sale_of(item_of(sale))
    assert back == sale
    assert back.payload_hash == sale.payload_hash
    assert (back.embedding is None) == (sale.embedding is None)
    if sale.embedding is not None and back.embedding is not None:
        assert back.embedding.tobytes() == sale.embedding.tobytes()
    assert item_of(back) == item_of(sale)


# --- vectors ----------------------------------------------------------------------------------------------------------


def assert_reads_back(vector: Vector) -> list[str]:
    text = vector_json(vector)
    assert vector_of_json(text).tobytes() == vector.tobytes()
    assert len(json.loads(text)) == len(vector)
    return text[1:-1].split(",")


@settings(max_examples=300)
@given(vectors)
@example(array("f", TRICKY))
def test_the_shortest_decimals_of_a_vector_read_back_bit_by_bit(vector: Vector) -> None:
    for number, text in zip(vector, assert_reads_back(vector), strict=True):
        digits = len(Decimal(text).normalize().as_tuple().digits)
        assert digits <= 9
        if digits > 1:
            shorter = float(f"{number:.{digits - 2}e}")
            assert array("f", [shorter])[0] != number


@given(float32s)
def test_one_number_reads_back(number: float) -> None:
    assert_reads_back(array("f", [number]))


def test_every_exponent_reads_back() -> None:
    mantissas = [0, 1, 2, 0x2E43FD, 0x3FFFFF, 0x400000, 0x7FFFFE, 0x7FFFFF]
    bits = [sign << 31 | exponent << 23 | m for sign in (0, 1) for exponent in range(255) for m in mantissas]
    assert_reads_back(array("f", [float_of_bits(number) for number in bits]))


def test_a_million_floats_across_the_whole_range_read_back() -> None:
    bits = array("I", range(0, 0x7F800000, 2039))
    assert len(bits) > 1_000_000
    vector = array("f")
    vector.frombytes(bits.tobytes())
    assert vector_of_json(vector_json(vector)).tobytes() == vector.tobytes()


def test_the_text_of_a_vector_is_standard_json() -> None:
    assert vector_json(array("f", [-0.0, 1e20, 1e-7, 0.1])) == "[-0,1e+20,1e-7,0.1]"
    assert math.copysign(1, vector_of_json("[-0]")[0]) == -1
    assert vector_of_json("[1]") == array("f", [1])


# --- numbers and instants ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("0.0000", "0"),
        ("0E+5", "0"),
        ("450.0000", "450"),
        ("450.5000", "450.5"),
        ("100", "100"),
        ("1E+2", "100"),
        ("0.0001", "0.0001"),
        ("1E-16", "0.0000000000000001"),
        ("-10.0", "-10"),
        ("99999999999999.9999", "99999999999999.9999"),
    ],
)
def test_numbers_are_written_without_exponent_and_trailing_zeros(number: str, text: str) -> None:
    assert plain_number(Decimal(number)) == text


@given(prices, prices)
def test_the_prices_of_an_item_are_exact_and_have_no_exponent(listed: Decimal, sold: Decimal) -> None:
    item = item_of(sale(listed_price=listed, sold_price=sold))
    for name in item.keys() & {"listedPrice", "salePrice", "discountPercent"}:
        text = item[name]["N"]
        assert "E" not in text
        assert not ("." in text and text.endswith(("0", ".")))
        assert len(Decimal(text).normalize().as_tuple().digits) <= 38
    assert Decimal(item["salePrice"]["N"]) == sold


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 3, 15, 10, tzinfo=UTC), "2026-03-15T10:00:00Z"),
        (datetime(2026, 3, 15, 10, 0, 0, 250_000, tzinfo=UTC), "2026-03-15T10:00:00.250000Z"),
        (datetime.fromisoformat("2026-03-15T00:30:00+01:00"), "2026-03-14T23:30:00Z"),
    ],
)
def test_instants_are_written_in_utc(instant: datetime, text: str) -> None:
    assert iso_instant(instant) == text


# A new optional text has no limit unless its rule in lambda_fn.event gives it one.
UNBOUNDED_TEXTS = sorted(
    fact.attribute
    for fact in FACTS
    if fact.type is str and not fact.required and fact.attribute not in ("description", "currency")
)

# --- size -------------------------------------------------------------------------------------------------------------


@given(sales())
def test_the_size_is_never_underestimated(sale: Sale) -> None:
    item = item_of(sale)
    assert 0 <= item_size_bytes(item) - size_by_developer_guide(item) <= len(item)


def rejects(sale: Sale) -> bool:
    unused: Any = None
    rejection = DynamoDBProjection(unused).rejects(sale)
    if rejection is None:
        return False
    assert rejection.reason is Reason.ITEM_TOO_LARGE
    assert "400 KB" in rejection.detail
    return True


@pytest.mark.parametrize("character", ["x", "é", "商", "👜"])
@pytest.mark.parametrize("name", UNBOUNDED_TEXTS)
def test_the_limit_is_exactly_400_kilobytes(name: str, character: str) -> None:
    bytes_left = ITEM_LIMIT_BYTES - item_size_bytes(item_of(sale(**{name: ""})))
    width = len(character.encode())
    fits = sale(**{name: character * (bytes_left // width) + "x" * (bytes_left % width)})
    assert item_size_bytes(item_of(fits)) == ITEM_LIMIT_BYTES == 409_600
    assert not rejects(fits)
    assert rejects(sale(**{name: getattr(fits, name) + "x"}))


def test_the_largest_values_of_all_bounded_facts_fit() -> None:
    longest = array("f", [-float_of_bits(0x00A8D9B7)] * 4096)
    wide = "👜"
    largest = sale(
        tenant_id=wide * 128,
        product_id=wide * 128,
        sale_id=wide * 128,
        category=wide * 256,
        brand=wide * 256,
        description=wide * 10_000,
        embedding=longest,
    )
    assert not rejects(largest)


@pytest.mark.parametrize("dimension", [0, 1, 1024, 4096])
def test_the_estimate_never_misses_an_item_that_is_too_large(dimension: int) -> None:
    """The size is estimated first. The result must be right around the limits of the estimate and of the item."""
    wide = "👜"
    for length in range(60_000, 104_000, 2_000):
        probe = sale(
            tenant_id=wide * 128,
            product_id=wide * 128,
            sale_id=wide * 128,
            category=wide * 256,
            brand=wide * 256,
            listed_price=Decimal("99999999999999.9999"),
            sold_price=Decimal("99999999999999.9998"),
            condition=wide * length,
            days_to_sell=36_500,
            embedding=array("f", [-float_of_bits(0x00A8D9B7)] * dimension) if dimension else None,
        )
        assert rejects(probe) == (item_size_bytes(item_of(probe)) > ITEM_LIMIT_BYTES)


def test_a_typical_sale_is_far_below_the_limit() -> None:
    usual = sale(**FULL | {"embedding": embedding()})
    assert 5_000 < item_size_bytes(item_of(usual)) < 20_000
    assert not rejects(usual)
