"""Generated events: reproducible, distinct, and true to their roles."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

import pytest

from carousel_sync.events.generate import GeneratedEvent, Recipe, Role, generate
from carousel_sync.events.invalid_sales import DEFECTS
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


def test_the_same_recipe_generates_the_same_events() -> None:
    assert list(generate(recipe())) == list(generate(recipe()))


def test_another_seed_generates_other_sales() -> None:
    keys = [{sale_in(event).key for event in generate(recipe(seed=seed)) if event.role is Role.SALE} for seed in (1, 2)]
    assert not keys[0] & keys[1]


def test_counts_are_exact() -> None:
    events = list(generate(recipe(count=250, duplicates=0.1, invalid=0.04)))
    assert Counter(event.role for event in events) == {Role.SALE: 215, Role.DUPLICATE: 25, Role.INVALID: 10}


def test_every_sale_is_valid_and_distinct() -> None:
    sales = [sale_in(event) for event in generate(recipe(count=3_000)) if event.role is Role.SALE]
    assert len({sale.key for sale in sales}) == len(sales) == recipe(count=3_000).sales
    assert len({(sale.tenant_id, sale.product_id, sale.sold_date) for sale in sales}) == len(sales)


def test_some_products_are_sold_twice() -> None:
    sales = [sale_in(event) for event in generate(recipe()) if event.role is Role.SALE]
    products = Counter((sale.tenant_id, sale.product_id) for sale in sales)
    assert max(products.values()) == 2


def test_most_sales_have_an_id_and_some_do_not() -> None:
    sales = [event for event in generate(recipe(count=1_000)) if event.role is Role.SALE]
    share = sum("saleId" in event.envelope["detail"] for event in sales) / len(sales)
    assert 0.6 < share < 0.8


def test_the_first_tenant_has_the_most_sales() -> None:
    sales = [sale_in(event) for event in generate(recipe(count=1_000, tenants=5)) if event.role is Role.SALE]
    counts = Counter(sale.tenant_id for sale in sales)
    assert len(counts) == 5
    assert counts["carousel-labs"] > 2 * min(counts.values())


def test_duplicates_repeat_an_earlier_sale_in_a_new_envelope() -> None:
    facts: dict[SaleKey, str] = {}
    envelope_ids = set()
    for event in generate(recipe(invalid=0.0)):
        envelope_ids.add(event.envelope["id"])
        sale = sale_in(event)
        if event.role is Role.DUPLICATE:
            assert facts[sale.key] == sale.payload_hash
        facts[sale.key] = sale.payload_hash
    assert len(envelope_ids) == 400


def test_sold_dates_are_recent_and_past() -> None:
    dates = [sale_in(event).sold_date for event in generate(recipe(count=2_000)) if event.role is Role.SALE]
    assert max(dates) < UNTIL
    assert (UNTIL - min(dates)).days < 200
    assert len({(day.year, day.month) for day in dates}) >= 4


@pytest.mark.parametrize("dimension", [0, 1, 1024])
def test_embeddings_are_unit_vectors_of_the_given_size(dimension: int) -> None:
    for event in generate(recipe(count=20, embedding=dimension, invalid=0.0)):
        vector = sale_in(event).embedding
        assert len(vector or []) == dimension
        if vector:
            assert sum(value * value for value in vector) == pytest.approx(1.0, abs=1e-3)


def test_events_with_every_defect_are_rejected() -> None:
    """The event parser rejects all but two of the defects; those take the guard, and the size of the item."""
    facts: dict[SaleKey, str] = {}
    defects = Counter[str]()
    for event in generate(recipe(count=1_000, duplicates=0.1, invalid=0.3)):
        content = parsed(event)
        if event.role is not Role.INVALID:
            facts[sale_in(event).key] = sale_in(event).payload_hash
            continue
        assert event.defect is not None
        defects[event.defect] += 1
        if event.defect == "conflicting duplicate":
            assert isinstance(content, Sale)
            assert facts[content.key] != content.payload_hash
        elif event.defect == "item too large":
            assert isinstance(content, Sale)
            assert item_size_bytes(item_of(content)) > ITEM_LIMIT_BYTES
        else:
            assert isinstance(content, Rejection), event.defect
            assert content.reason is Reason.INVALID_FIELD
    assert defects.keys() == {defect.name for defect in DEFECTS}


@pytest.mark.parametrize("day", range(1, 29))
def test_every_recipe_has_a_contradiction(day: int) -> None:
    """An early invalid event can't contradict a sale yet. The contradiction comes later then."""
    recipe = Recipe(count=200, seed=2026, until=date(2026, 11, day), tenants=3, duplicates=0.1, invalid=0.05)
    assert "conflicting duplicate" in {event.defect for event in generate(recipe)}


def test_a_contradicted_sale_is_never_repeated() -> None:
    """Otherwise the number of rejected events would depend on the order of processing."""
    events = list(generate(recipe(count=1_000, duplicates=0.3, invalid=0.3)))
    repeated = {sale_in(event).key for event in events if event.role is Role.DUPLICATE}
    contradicted = {sale_in(event).key for event in events if event.defect == "conflicting duplicate"}
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
def test_a_recipe_out_of_range_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was generated"):
        recipe(**changes)
