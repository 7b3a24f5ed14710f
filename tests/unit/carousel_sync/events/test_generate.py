"""Generated events: reproducible, distinct where they should be, and what they say they are."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

import pytest

from carousel_sync.events.generate import GeneratedEvent, Kind, Recipe, generate
from carousel_sync.events.invalid_sales import INVALID_KINDS
from lambda_fn.errors import ConfigurationError
from lambda_fn.event import parse_message
from lambda_fn.ports import Reason, Rejection
from lambda_fn.projection.item import ITEM_LIMIT_BYTES, item_of, item_size_bytes
from lambda_fn.sale import Sale, SaleKey

UNTIL = date(2026, 3, 15)


def recipe(**changes: object) -> Recipe:
    values: dict[str, object] = {"count": 400, "seed": 7, "until": UNTIL, "embedding": 16} | changes
    return Recipe(**values)  # type: ignore[arg-type]


def parsed(event: GeneratedEvent) -> Sale | Rejection:
    return parse_message("id", json.dumps(event.envelope), "2026-03-15T00:00:00Z").content


def sale_in(event: GeneratedEvent) -> Sale:
    content = parsed(event)
    assert isinstance(content, Sale), content
    return content


def test_the_same_recipe_gives_the_same_events() -> None:
    assert list(generate(recipe())) == list(generate(recipe()))


def test_another_seed_gives_other_sales() -> None:
    keys = [{sale_in(event).key for event in generate(recipe(seed=seed)) if event.kind is Kind.SALE} for seed in (1, 2)]
    assert not keys[0] & keys[1]


def test_counts_are_exact() -> None:
    events = list(generate(recipe(count=250, duplicates=0.1, invalid=0.04)))
    assert Counter(event.kind for event in events) == {Kind.SALE: 215, Kind.DUPLICATE: 25, Kind.INVALID: 10}


def test_every_sale_is_valid_and_distinct() -> None:
    sales = [sale_in(event) for event in generate(recipe(count=3_000)) if event.kind is Kind.SALE]
    assert len({sale.key for sale in sales}) == len(sales) == recipe(count=3_000).sales
    assert len({(sale.tenant_id, sale.product_id, sale.sold_date) for sale in sales}) == len(sales)


def test_products_come_back_as_other_sales() -> None:
    sales = [sale_in(event) for event in generate(recipe()) if event.kind is Kind.SALE]
    products = Counter((sale.tenant_id, sale.product_id) for sale in sales)
    assert max(products.values()) == 2


def test_most_sales_carry_an_id_and_some_do_not() -> None:
    sales = [event for event in generate(recipe(count=1_000)) if event.kind is Kind.SALE]
    share = sum("saleId" in event.envelope["detail"] for event in sales) / len(sales)
    assert 0.6 < share < 0.8


def test_tenants_are_skewed() -> None:
    sales = [sale_in(event) for event in generate(recipe(count=1_000, tenants=5)) if event.kind is Kind.SALE]
    counts = Counter(sale.tenant_id for sale in sales)
    assert len(counts) == 5
    assert counts["carousel-labs"] > 2 * min(counts.values())


def test_duplicates_repeat_an_earlier_sale_in_a_new_envelope() -> None:
    facts: dict[SaleKey, str] = {}
    envelope_ids = set()
    for event in generate(recipe(invalid=0.0)):
        envelope_ids.add(event.envelope["id"])
        sale = sale_in(event)
        if event.kind is Kind.DUPLICATE:
            assert facts[sale.key] == sale.payload_hash
        facts[sale.key] = sale.payload_hash
    assert len(envelope_ids) == 400


def test_sold_dates_are_recent_and_past() -> None:
    dates = [sale_in(event).sold_date for event in generate(recipe(count=2_000)) if event.kind is Kind.SALE]
    assert max(dates) < UNTIL
    assert (UNTIL - min(dates)).days < 200
    assert len({(day.year, day.month) for day in dates}) >= 4


@pytest.mark.parametrize("dimension", [0, 1, 1024])
def test_embeddings_are_unit_vectors_of_the_size_asked_for(dimension: int) -> None:
    for event in generate(recipe(count=20, embedding=dimension, invalid=0.0)):
        vector = sale_in(event).embedding
        assert len(vector or []) == dimension
        if vector:
            assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-3)


def test_every_kind_of_invalid_event_is_rejected() -> None:
    """The event parser rejects all but two kinds: those need the guard and the size of the item."""
    facts: dict[SaleKey, str] = {}
    kinds = Counter[str]()
    for event in generate(recipe(count=1_000, duplicates=0.1, invalid=0.3)):
        content = parsed(event)
        if event.kind is not Kind.INVALID:
            facts[sale_in(event).key] = sale_in(event).payload_hash
            continue
        assert event.invalid_kind is not None
        kinds[event.invalid_kind] += 1
        if event.invalid_kind == "conflicting duplicate":
            assert isinstance(content, Sale)
            assert facts[content.key] != content.payload_hash
        elif event.invalid_kind == "item too large":
            assert isinstance(content, Sale)
            assert item_size_bytes(item_of(content)) > ITEM_LIMIT_BYTES
        else:
            assert isinstance(content, Rejection), event.invalid_kind
            assert content.reason is Reason.INVALID_FIELD
    assert kinds.keys() == {kind.name for kind in INVALID_KINDS}


def test_a_contradicted_sale_is_never_repeated() -> None:
    """Else it would depend on the order of handling how many events are rejected."""
    events = list(generate(recipe(count=1_000, duplicates=0.3, invalid=0.3)))
    repeated = {sale_in(event).key for event in events if event.kind is Kind.DUPLICATE}
    contradicted = {sale_in(event).key for event in events if event.invalid_kind == "conflicting duplicate"}
    assert contradicted
    assert not repeated & contradicted


@pytest.mark.parametrize(
    "changes",
    [
        {"count": 0},
        {"tenants": 0},
        {"duplicates": -0.1},
        {"duplicates": 0.6, "invalid": 0.6},
        {"invalid": 1.0, "duplicates": 0.0},
        {"embedding": 5_000},
        {"embedding": -1},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was generated"):
        recipe(**changes)
