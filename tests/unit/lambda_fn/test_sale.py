"""The identity of a sale, its payload hash, and its derived fields."""

from __future__ import annotations

import hashlib
import re
from array import array
from dataclasses import FrozenInstanceError
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from lambda_fn.fields import FACTS
from lambda_fn.sale import Sale, SaleKey, canonical_price, derived_sale_id
from tests.builders import ABSENT, event, read, sale

ALL_FACTS: dict[str, Any] = {
    "condition": "like_new",
    "description": "Speedy 30 – très beau 👜",
    "vendor_id": "vendor-1",
    "image_s3_key": "s3://images/1.jpg",
    "embedding_id": "embedding-1",
    "days_to_sell": 12,
    "embedding": array("f", [0.5, -1, 2]),
}
OTHER_FACTS: dict[str, Any] = {
    "tenant_id": "tenant-2",
    "product_id": "product-2",
    "sale_id": "sale-2",
    "category": "shoes",
    "brand": "Hermès",
    "listed_price": Decimal("500.0001"),
    "sold_price": Decimal("450.4999"),
    "sold_date": date(2026, 3, 13),
    "condition": "new",
    "description": "",
    "vendor_id": "vendor-2",
    "image_s3_key": "s3://images/2.jpg",
    "embedding_id": "embedding-2",
    "days_to_sell": 0,
    "embedding": array("f", [0.5, -1, 2.0000002]),
    "currency": "EUR",
}
# A fact that is not listed is an optional text.
OTHER_FACTS |= {fact.attribute: "another" for fact in FACTS if fact.attribute not in OTHER_FACTS}
# Their claims in the guard outlive any version of the code.
HASHES: dict[str, tuple[dict[str, Any], str]] = {
    "required facts": ({}, "a8af3f65cfdfa41f56550f8e6554f4c3f5aeda8b006350f7757b091783e71cc3"),
    "every fact of version 2": (
        ALL_FACTS | {"currency": "EUR"},
        "85327ec0e6f56e233cac035b25e84f11bdadb4ab1a7a7423d24b6c0058bd1607",
    ),
    "prices of 0": (
        {"listed_price": Decimal(0), "sold_price": Decimal("0.0000")},
        "8901f9312cef208ffc5163fac6d275867fbcb9eaec2fd3e8878368a56c610c47",
    ),
    "large prices": (
        {"listed_price": Decimal("99999999999999.9999"), "sold_price": Decimal("1E+2")},
        "44c3522aa2ba1bac932b752756e53eefb85d82532895799bc5db32e77251d99b",
    ),
    "empty texts and 0 days": (
        {
            "condition": "",
            "description": "",
            "vendor_id": "",
            "image_s3_key": "",
            "embedding_id": "",
            "days_to_sell": 0,
        },
        "18ab47d6ac62aa581a022e0a96c296fec4d6a76f97bec396a61de45d3ce0397d",
    ),
    "an embedding with extreme floats": (
        {"embedding": array("f", [0.1, -0.0, 3.4028234663852886e38, 1.401298464324817e-45])},
        "9329d09768336c9d3c78bfa6f0982f13e9b825b9574cac8cca1e2f367f24645b",
    ),
    "characters that JSON escapes": (
        {"tenant_id": '商"\\', "brand": "é\u2028\x7f", "category": "</script>", "description": "a\tb\n\x00👜"},
        "4bca1fc37dda02731bb05c5fe1c5f5910fa16e11c50ddde5f076cfc03d06d4a6",
    ),
    "a leap day": (
        {"sold_date": date(2024, 2, 29), "recorded_at": datetime(2024, 3, 1, tzinfo=UTC)},
        "f82a1cf30d8cf6b34bd9adcbe208df1a734f01d6db0096ffb327f04fc9b5780a",
    ),
}


# --- identity --------------------------------------------------------------------------------------------------------


def test_the_key_is_the_tenant_id_and_the_sale_id() -> None:
    assert sale().key == SaleKey("tenant-1", "sale-1")
    assert sale(product_id="x", sold_date=date(2020, 1, 1)).key == sale().key


@pytest.mark.parametrize(
    ("tenant_id", "product_id", "sold_date", "expected"),
    [
        ("tenant-1", "product-1", date(2026, 3, 14), "SALE-1773446400000-0a731af2"),
        ("tenant-1", "product-1", date(2000, 1, 1), "SALE-946684800000-9692d08e"),
        ("tenant-1", "product-1", date(9997, 12, 31), "SALE-253339142400000-79ff7e30"),
        ("商", "👜", date(2024, 2, 29), "SALE-1709164800000-b658bf3d"),
    ],
)
def test_a_derived_id_never_changes(tenant_id: str, product_id: str, sold_date: date, expected: str) -> None:
    assert derived_sale_id(tenant_id, product_id, sold_date) == expected
    milliseconds = int((datetime.combine(sold_date, datetime.min.time(), UTC)).timestamp() * 1000)
    text = f"{tenant_id}#{product_id}#{sold_date.isoformat()}"
    assert expected == f"SALE-{milliseconds}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def test_derived_ids_are_unique() -> None:
    ids = {
        derived_sale_id(tenant_id, product_id, date(2026, month, 1))
        for tenant_id in ("a", "ab", "a1")
        for product_id in ("b", "bb", "1b")
        for month in range(1, 13)
    }
    assert len(ids) == 3 * 3 * 12
    assert all(re.fullmatch(r"SALE-[0-9]{13}-[0-9a-f]{8}", sale_id) for sale_id in ids)


def test_an_event_without_a_sale_id_gets_a_derived_id() -> None:
    content = read(event(saleId=ABSENT))
    assert isinstance(content, Sale)
    assert content.sale_id == "SALE-1773446400000-0a731af2"
    assert read(event(saleId=None)) == content
    assert read(event(saleId=ABSENT, soldDate="2026-03-15T00:30:00+02:00")) == content


def test_a_sale_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        sale().brand = "x"  # type: ignore[misc]


# --- payload hash ----------------------------------------------------------------------------------------------------


def test_the_hash_covers_the_canonical_facts() -> None:
    facts = (
        '{"brand":"Louis Vuitton","category":"handbags","listedPrice":"500.0000","productId":"product-1",'
        '"saleId":"sale-1","salePrice":"450.5000","soldDate":"2026-03-14","tenantId":"tenant-1"}'
    )
    assert sale().payload_hash == hashlib.sha256(facts.encode()).hexdigest()
    assert sale().payload_hash == "a8af3f65cfdfa41f56550f8e6554f4c3f5aeda8b006350f7757b091783e71cc3"


def test_the_hash_of_all_facts_never_changes() -> None:
    facts = (
        '{"brand":"Louis Vuitton","category":"handbags","condition":"like_new","daysToSell":12,'
        '"description":"Speedy 30 \\u2013 tr\\u00e8s beau \\ud83d\\udc5c","embeddingId":"embedding-1",'
        '"imageS3Key":"s3://images/1.jpg","listedPrice":"500.0000","productId":"product-1","saleId":"sale-1",'
        '"salePrice":"450.5000","soldDate":"2026-03-14","tenantId":"tenant-1","vendorId":"vendor-1"}'
    )
    vector = bytes.fromhex("0000003f 000080bf 00000040")
    assert sale(**ALL_FACTS).payload_hash == hashlib.sha256(facts.encode() + b"embedding" + vector).hexdigest()
    assert sale(**ALL_FACTS).payload_hash == "0f7ad2e8d1bac43710a35e97b8ead036cfce1824b502708e64afae87879aaa40"


def test_a_new_fact_does_not_change_the_hash_of_sales_without_it() -> None:
    """The hash is older than the currency. A repeat of an old event must remain a duplicate."""
    assert sale(currency=None).payload_hash == "a8af3f65cfdfa41f56550f8e6554f4c3f5aeda8b006350f7757b091783e71cc3"
    assert sale(currency="EUR").payload_hash == "590e308bf81f4da34c4104dc95bc5b669708ca5c51e79adb992c7064fcf1e0d6"
    assert sale(currency="USD").payload_hash != sale(currency="EUR").payload_hash


@pytest.mark.parametrize("name", HASHES)
def test_the_hash_never_changes(name: str) -> None:
    facts, payload_hash = HASHES[name]
    assert sale(**facts).payload_hash == payload_hash


@pytest.mark.parametrize("name", OTHER_FACTS)
def test_the_hash_depends_on_every_fact(name: str) -> None:
    changed = sale(**ALL_FACTS | {name: OTHER_FACTS[name]})
    assert changed.payload_hash != sale(**ALL_FACTS).payload_hash


@pytest.mark.parametrize("name", ALL_FACTS)
def test_an_absent_fact_changes_the_hash(name: str) -> None:
    assert sale(**ALL_FACTS | {name: None}).payload_hash != sale(**ALL_FACTS).payload_hash


def test_an_empty_fact_differs_from_an_absent_fact() -> None:
    assert sale(description="").payload_hash != sale().payload_hash
    assert sale(days_to_sell=0).payload_hash != sale().payload_hash


def test_the_hash_does_not_cover_the_envelope() -> None:
    other_envelope = {"id": "another", "time": "2026-03-20T00:00:00Z", "account": "1", "region": "us-east-1"}
    repeated = read(event() | other_envelope)
    assert isinstance(repeated, Sale)
    assert repeated != sale()
    assert repeated.payload_hash == sale().payload_hash


def test_the_hash_does_not_cover_unknown_fields() -> None:
    content = read(event(novelty=1))
    assert isinstance(content, Sale)
    assert content.payload_hash == sale().payload_hash


@pytest.mark.parametrize("price", ["450", "450.0", "450.0000", "4.5E+2", "0.45E+3"])
def test_equal_prices_have_the_same_canonical_text(price: str) -> None:
    assert canonical_price(Decimal(price)) == "450.0000"


# --- derived fields --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("month", "season"),
    list(enumerate(["Q1", "Q1", "Q1", "Q2", "Q2", "Q2", "Q3", "Q3", "Q3", "Q4", "Q4", "Q4"], start=1)),
)
def test_season_and_quarter_by_month(month: int, season: str) -> None:
    sold = sale(sold_date=date(2026, month, 28))
    assert (sold.year, sold.month, sold.season, sold.quarter) == (2026, month, season, season)


@pytest.mark.parametrize(
    ("listed", "sold", "percent"),
    [
        ("500.0000", "450.0000", 10.0),
        ("500.0000", "500.0000", 0.0),
        ("500.0000", "0.0000", 100.0),
        ("500.0000", "550.0000", -10.0),
        ("0.0001", "99999999999999.9999", -9.99999999999999998e19),
        ("99999999999999.9999", "99999999999999.9998", 1e-16),
        ("3.0000", "2.0000", 33.333333333333336),
        ("0.0000", "0.0000", None),
        ("0.0000", "450.0000", None),
    ],
)
def test_discount(listed: str, sold: str, percent: float | None) -> None:
    assert sale(listed_price=Decimal(listed), sold_price=Decimal(sold)).discount_percent == percent


@pytest.mark.parametrize(
    ("sold_date", "expires"),
    [
        (date(2026, 3, 14), datetime(2028, 3, 14, tzinfo=UTC)),
        (date(2024, 2, 29), datetime(2026, 3, 1, tzinfo=UTC)),
        (date(2024, 2, 28), datetime(2026, 2, 28, tzinfo=UTC)),
        (date(2024, 3, 1), datetime(2026, 3, 1, tzinfo=UTC)),
        (date(2022, 2, 28), datetime(2024, 2, 28, tzinfo=UTC)),
        (date(2000, 1, 1), datetime(2002, 1, 1, tzinfo=UTC)),
        (date(2025, 12, 31), datetime(2027, 12, 31, tzinfo=UTC)),
        (date(9997, 12, 31), datetime(9999, 12, 31, tzinfo=UTC)),
    ],
)
def test_the_item_expires_two_calendar_years_after_the_sale(sold_date: date, expires: datetime) -> None:
    assert sale(sold_date=sold_date).projection_expires_at == expires.timestamp()


@pytest.mark.parametrize(
    ("text", "shard"),
    [
        ("product-1", 0),
        ("product-2", 2),
        ("product-3", 3),
        ("product-8", 1),
        ("embedding-1", 1),
        ("embedding-42", 3),
        ("👜", 2),
    ],
)
def test_the_shard_never_changes(text: str, shard: int) -> None:
    assert sale(embedding_id=text).embedding_shard == shard
    assert sale(product_id=text).embedding_shard == shard
    assert sale(product_id="another", embedding_id=text).embedding_shard == shard


def test_sales_are_distributed_evenly_over_the_shards() -> None:
    counts = [0] * 5
    for number in range(5000):
        counts[sale(embedding_id=f"embedding-{number}").embedding_shard] += 1
    assert min(counts) > 900
    assert max(counts) < 1100
