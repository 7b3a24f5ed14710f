"""Every disagreement between the stores, with lists in place of the stores."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel_sync.consistency.compare import (
    Report,
    StoredClaim,
    StoredSale,
    claim_of_item,
    compare,
    digest_of_item,
    key_of,
    name_of,
    sale_of_item,
    sale_of_row,
)
from lambda_fn.fields import Vector
from lambda_fn.guard.items import claimed_item, completed_item
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of, projection_key
from lambda_fn.sale import Sale, SaleKey

NOW = datetime(2026, 1, 15, tzinfo=UTC).timestamp()
SALE = Sale(
    tenant_id="carousel-labs",
    product_id="PROD-1",
    sale_id="SALE-1",
    category="handbags",
    brand="Louis Vuitton",
    listed_price=Decimal("500.0000"),
    sold_price=Decimal("450.1000"),
    sold_date=date(2025, 12, 30),
    recorded_at=datetime(2025, 12, 30, 12, tzinfo=UTC),
    condition="like_new",
    description="Louis Vuitton Speedy 30",
    vendor_id="VENDOR-789",
    image_s3_key="s3://carousel-images/products/PROD-1.jpg",
    embedding_id="emb-1",
    days_to_sell=12,
    embedding=Vector("f", [0.1, -0.2, 0.3]),
)
OTHER = replace(SALE, sale_id="SALE-2", product_id="PROD-2")
CONSISTENT = {"missing_rows", "doubled_rows", "missing_items", "divergent", "open_claims"}


def completed(sale: Sale) -> StoredClaim:
    return claim_of_item(completed_item(Completion(sale.key, sale.facts, 1), NOW))


def in_progress(sale: Sale) -> StoredClaim:
    return claim_of_item(claimed_item(sale.key, sale.facts, 7, -1, NOW, lease_seconds=60))


def report(
    rows: Sequence[Sale] = (SALE,), items: Sequence[dict[str, Any]] | None = None, claims: Sequence[StoredClaim] = ()
) -> Report:
    stored = [item_of(sale) for sale in rows] if items is None else items
    return compare(map(sale_of_row, rows), map(sale_of_item, stored), claims, NOW)


def findings(found: Report) -> dict[str, list[str]]:
    return {name: names for name in CONSISTENT if (names := getattr(found, name))}


def test_one_row_one_item_one_completed_claim_is_consistent() -> None:
    found = report([SALE, OTHER], claims=[completed(SALE), completed(OTHER)])
    assert found.as_json() == {
        "sales": 2,
        "rows": 2,
        "items": 2,
        "missing_rows": [],
        "doubled_rows": [],
        "missing_items": [],
        "divergent": [],
        "open_claims": [],
        "released_claims": [],
        "landed_meanwhile": [],
        "consistent": True,
    }


def test_empty_stores_are_consistent() -> None:
    assert report(rows=[]).consistent


def test_an_expired_claim_is_not_missing() -> None:
    assert report(claims=[]).consistent


def test_an_item_without_a_row_is_a_missing_row() -> None:
    found = report(rows=[OTHER], items=[item_of(SALE), item_of(OTHER)])
    assert findings(found) == {"missing_rows": ["carousel-labs/SALE-1"]}
    assert found.sales == 2


def test_a_completed_claim_without_a_row_is_a_missing_row() -> None:
    found = report(rows=[OTHER], claims=[completed(SALE), completed(OTHER)])
    assert findings(found) == {"missing_rows": ["carousel-labs/SALE-1"]}


def test_an_item_and_a_claim_without_a_row_are_one_finding() -> None:
    found = report(rows=[], items=[item_of(SALE)], claims=[completed(SALE)])
    assert findings(found) == {"missing_rows": ["carousel-labs/SALE-1"]}
    assert found.sales == 1


def test_a_doubled_row_is_found() -> None:
    found = report(rows=[SALE, OTHER, SALE, SALE], items=[item_of(SALE), item_of(OTHER)])
    assert findings(found) == {"doubled_rows": ["carousel-labs/SALE-1"]}
    assert (found.sales, found.rows) == (2, 4)


def test_two_tenants_may_use_the_same_sale_id() -> None:
    assert report([SALE, replace(SALE, tenant_id="maison-reprise")]).consistent


def test_ids_with_slashes_are_distinguished() -> None:
    one, two = replace(SALE, tenant_id="a/b", sale_id="c"), replace(SALE, tenant_id="a", sale_id="b/c")
    assert report([one, two]).consistent


def test_a_missing_item_is_found() -> None:
    found = report([SALE, OTHER], items=[item_of(OTHER)])
    assert findings(found) == {"missing_items": ["carousel-labs/SALE-1"]}


def test_an_expired_item_may_be_absent_or_present() -> None:
    old = replace(SALE, sold_date=date(2024, 1, 15))
    assert report([old], items=[]).consistent
    assert report([old]).consistent


def test_an_item_that_expires_tomorrow_is_missing() -> None:
    found = report([replace(SALE, sold_date=date(2024, 1, 16))], items=[])
    assert findings(found) == {"missing_items": ["carousel-labs/SALE-1"]}


@pytest.mark.parametrize(
    "changes",
    [
        {"product_id": "PROD-9"},
        {"category": "watches"},
        {"brand": "Gucci"},
        {"listed_price": Decimal("500.0001")},
        {"sold_price": Decimal("450.1001")},
        {"sold_date": date(2025, 12, 29)},
        {"condition": None},
        {"description": "another"},
        {"vendor_id": None},
        {"image_s3_key": "s3://elsewhere"},
        {"embedding_id": "emb-2"},
        {"days_to_sell": 13},
        {"embedding": None},
        {"embedding": Vector("f", [0.1, -0.2])},
        {"embedding": Vector("f", [0.1, -0.2, 0.30000004])},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_item_that_differs_in_a_fact_is_divergent(changes: dict[str, Any]) -> None:
    found = report([SALE], items=[item_of(replace(SALE, **changes))])
    assert findings(found) == {"divergent": ["carousel-labs/SALE-1"]}


@pytest.mark.parametrize("name", sorted(item_of(SALE).keys() - {"recordCreatedAt", "tenantId", "saleId"}))
def test_an_item_without_an_attribute_is_divergent(name: str) -> None:
    item = {key: value for key, value in item_of(SALE).items() if key != name}
    assert findings(report(items=[item])) == {"divergent": ["carousel-labs/SALE-1"]}


def test_an_item_without_its_ids_is_named_by_its_key() -> None:
    item = {key: value for key, value in item_of(SALE).items() if key != "saleId"}
    found = report(items=[item])
    assert found.missing_items == ["carousel-labs/SALE-1"]
    assert found.missing_rows == ["TENANT/carousel-labs#PRODUCT#PROD-1#SALE#2025-12-30#SALE-1"]


def test_a_second_item_of_a_sale_is_divergent() -> None:
    found = report(items=[item_of(SALE), item_of(replace(SALE, product_id="PROD-9"))])
    assert findings(found) == {"divergent": ["carousel-labs/SALE-1"]}
    assert found.items == 2


def test_a_row_with_wrong_derived_columns_is_divergent() -> None:
    found = compare([sale_of_row(SALE, derived_correctly=False)], [sale_of_item(item_of(SALE))], [], NOW)
    assert findings(found) == {"divergent": ["carousel-labs/SALE-1"]}


def test_the_time_of_the_event_is_not_compared() -> None:
    later = replace(SALE, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert report([SALE], items=[item_of(later)]).consistent


def test_attributes_of_other_programs_are_not_compared() -> None:
    assert report(items=[item_of(SALE) | {"reviewedBy": {"S": "somebody"}}]).consistent


def test_the_spelling_of_numbers_is_not_compared() -> None:
    item = item_of(SALE) | {"embedding": {"S": "[1e-1, -0.20, 0.3]"}, "listedPrice": {"N": "5E+2"}}
    assert digest_of_item(item) == digest_of_item(item_of(SALE))


@pytest.mark.parametrize("embedding", ["not json", "[0.1, null]", "{}", "[1e999]", "5"])
def test_an_unreadable_embedding_is_divergent(embedding: str) -> None:
    found = report(items=[item_of(SALE) | {"embedding": {"S": embedding}}])
    assert findings(found) == {"divergent": ["carousel-labs/SALE-1"]}


def test_sales_without_optional_facts_are_compared() -> None:
    bare = Sale(
        tenant_id="t",
        product_id="p",
        sale_id="s",
        category="c",
        brand="b",
        listed_price=Decimal(0),
        sold_price=Decimal(0),
        sold_date=date(2025, 12, 30),
        recorded_at=datetime(2025, 12, 30, tzinfo=UTC),
    )
    assert report([bare]).consistent
    assert findings(report([bare], items=[item_of(replace(bare, days_to_sell=0))])) == {"divergent": ["t/s"]}


def test_an_open_claim_is_found_even_with_row_and_item() -> None:
    found = report(claims=[in_progress(SALE)])
    assert findings(found) == {"open_claims": ["carousel-labs/SALE-1"]}
    assert found.sales == 1


def test_an_open_claim_without_a_row_is_not_a_missing_row() -> None:
    found = report(rows=[OTHER], claims=[in_progress(SALE)])
    assert findings(found) == {"open_claims": ["carousel-labs/SALE-1"]}
    assert found.sales == 2


def test_a_released_claim_is_listed_and_consistent() -> None:
    claim = claimed_item(OTHER.key, OTHER.facts, 7, -1, NOW, lease_seconds=60) | {"leaseUntil": {"N": "0"}}
    found = report(claims=[claim_of_item(claim)])
    assert found.consistent
    assert found.released_claims == ["carousel-labs/SALE-2"]
    assert found.sales == 1


def test_a_released_claim_of_a_landed_sale_is_open() -> None:
    claim = claimed_item(SALE.key, SALE.facts, 7, -1, NOW, lease_seconds=60) | {"leaseUntil": {"N": "0.000"}}
    assert findings(report(claims=[claim_of_item(claim)])) == {"open_claims": ["carousel-labs/SALE-1"]}


@pytest.mark.parametrize("missing", ["status", "payloadHash", "ttl"])
def test_a_claim_that_cannot_be_read_is_open(missing: str) -> None:
    item = completed_item(Completion(SALE.key, SALE.facts, 1), NOW)
    del item[missing]
    (open_claim,) = report(claims=[claim_of_item(item)]).open_claims
    assert SALE.sale_id in open_claim


def test_a_row_that_landed_later_is_not_missing() -> None:
    found = report(rows=[OTHER], items=[item_of(SALE), item_of(OTHER)], claims=[completed(SALE), completed(OTHER)])
    assert findings(found.with_landed([])) == {"missing_rows": ["carousel-labs/SALE-1"]}
    later = found.with_landed([name_of(SALE.key)])
    assert later.consistent
    assert (later.sales, later.rows, later.landed_meanwhile) == (2, 2, ["carousel-labs/SALE-1"])


def test_a_row_that_landed_later_may_be_doubled() -> None:
    found = report(rows=[], items=[item_of(SALE)]).with_landed([name_of(SALE.key)] * 2)
    assert findings(found) == {"doubled_rows": ["carousel-labs/SALE-1"]}
    assert (found.sales, found.rows) == (1, 2)


def test_rows_of_sales_that_lack_none_do_not_count_twice() -> None:
    found = report().with_landed([name_of(SALE.key), name_of(OTHER.key)])
    assert (found.sales, found.rows, found.landed_meanwhile) == (1, 1, [])


KEYS = st.integers(1, 5).map(lambda number: SaleKey("tenant", str(number)))
CLAIMS = st.builds(StoredClaim, KEYS, st.booleans(), released=st.just(False))


@given(st.lists(KEYS), st.lists(KEYS), st.lists(CLAIMS, unique_by=lambda claim: claim.key), st.lists(KEYS))
def test_the_counts_add_up(
    rows: list[SaleKey], items: list[SaleKey], claims: list[StoredClaim], landed: list[SaleKey]
) -> None:
    stored_rows, stored_items = ([StoredSale(key, b"same", int(NOW) + 1) for key in keys] for keys in (rows, items))
    before = compare(stored_rows, stored_items, claims, NOW)
    found = before.with_landed(map(name_of, landed))
    known = {*rows, *items, *(claim.key for claim in claims)}
    added = [key for key in landed if name_of(key) in before.findings.without_row]
    with_row = Counter([*rows, *added])
    without_row = {name_of(key) for key in known - with_row.keys()}
    assert found.sales == len(known)
    assert found.rows == found.sales - len(without_row) + (with_row.total() - len(with_row))
    assert found.findings.doubled == {name_of(key) for key, number in with_row.items() if number > 1}
    assert found.findings.without_row <= without_row <= found.findings.without_row | found.findings.open
    assert set(found.landed_meanwhile) == {f"{key.tenant_id}/{key.sale_id}" for key in added}


def test_names_are_unique_and_reversible() -> None:
    for key in (SaleKey("a/b", "c"), SaleKey("a", "b/c"), SaleKey("-", "-")):
        assert key_of(name_of(key)) == key


def test_the_report_has_the_keys_of_divergent_items() -> None:
    stray = replace(SALE, product_id="PROD-9")
    found = report(items=[item_of(SALE), item_of(stray)])
    assert found.findings.divergent == {name_of(SALE.key): [projection_key(stray)]}


def test_findings_are_sorted() -> None:
    sales = [replace(SALE, sale_id=f"SALE-{number}") for number in (3, 1, 2)]
    assert report(sales, items=[]).missing_items == [f"carousel-labs/SALE-{number}" for number in (1, 2, 3)]


def test_a_sale_takes_less_than_half_a_kilobyte_of_memory() -> None:
    """A million sales take half a gigabyte, however long their embeddings are."""
    count = 50_000

    def stored() -> Iterator[StoredSale]:
        for number in range(count):
            key = SaleKey("carousel-labs", f"SALE-1735540800000-{number:08x}")
            yield StoredSale(key, number.to_bytes(16, "big"), int(NOW) + 1)

    tracemalloc.start()
    try:
        found = compare(stored(), stored(), (StoredClaim(sale.key, True) for sale in stored()), NOW)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.consistent
    assert found.sales == count
    assert peak_bytes < 500 * count
