"""Two versions of the code compare a sale over the facts that both know."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lambda_fn.sale
from lambda_fn.fields import BASE_FACTS, FACTS, LATER_FACTS
from lambda_fn.sale import FactsDigest, Sale, facts_digest
from tests.builders import embedding, sale
from tests.properties.strategies import sales
from tests.unit.lambda_fn.test_fields import changed, full_sale

OPTIONAL = [fact for fact in FACTS if not fact.required]


def by_version(event: Sale, version: int) -> FactsDigest:
    """Return the digest by a version that knows the first optional facts only. It does not read the others."""
    unknown: dict[str, Any] = dict.fromkeys(fact.attribute for fact in OPTIONAL[version:])
    return facts_digest(replace(event, **unknown), OPTIONAL[:version])


@pytest.fixture(autouse=True, scope="module")
def every_optional_fact_was_added_later() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lambda_fn.sale, "BASE_FACTS", tuple(fact for fact in FACTS if fact.required))
        yield


@given(sales(), st.integers(0, len(OPTIONAL) - 1), st.booleans())
def test_neighbouring_versions_agree_about_an_event(event: Sale, version: int, recorded: bool) -> None:
    older, newer = by_version(event, version), by_version(event, version + 1)
    if not recorded:
        older = FactsDigest(older.payload_hash)
    assert not older.conflicts_with(newer)
    assert not newer.conflicts_with(older)
    assert newer.merged_with(older) == newer


@given(st.integers(0, len(OPTIONAL)), st.integers(0, len(OPTIONAL)), st.sampled_from(FACTS))
def test_versions_find_a_conflict_in_any_fact_that_both_know(one: int, other: int, fact: Any) -> None:
    if fact.attribute == "sale_id":
        return
    first, second = by_version(full_sale(), one), by_version(changed(fact), other)
    both_know_it = fact.required or OPTIONAL.index(fact) < min(one, other)
    assert first.conflicts_with(second) == second.conflicts_with(first) == both_know_it


def test_absent_is_a_fact_to_a_version_that_knows_the_field() -> None:
    event = sale(currency="EUR")
    assert event.facts.conflicts_with(sale().facts)
    assert not event.facts.conflicts_with(sale().stored_facts), "a store does not show whether its writer knew it"
    assert event.stored_facts.conflicts_with(sale(currency="USD").facts)


def test_an_item_of_a_version_that_recorded_only_the_payload_hash() -> None:
    event = sale(currency="EUR")
    for known in (event, sale()):
        assert not event.facts.conflicts_with(FactsDigest(known.payload_hash))
        assert not FactsDigest(known.payload_hash).conflicts_with(event.facts)
    for other in (sale(currency="USD"), sale(brand="another")):
        assert event.facts.conflicts_with(FactsDigest(other.payload_hash))
        assert FactsDigest(other.payload_hash).conflicts_with(event.facts)


def test_the_merged_digest_covers_the_facts_of_both() -> None:
    older, newer = facts_digest(sale(), LATER_FACTS[:-1]), sale(currency="EUR").facts
    assert older.merged_with(newer) == newer.merged_with(older) == newer


def test_the_base_facts_are_those_of_the_first_schema() -> None:
    assert [fact.attribute for fact in LATER_FACTS] == ["currency"]
    assert (*BASE_FACTS, *LATER_FACTS) == FACTS
    assert sale(embedding=embedding(3)).facts.groups.keys() == {"base", "currency"}
