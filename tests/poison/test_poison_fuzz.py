"""Any delivery becomes a sale, or a rejection that repeats none of its values.

A control: each strategy finds faults of a careless reader.
"""

from __future__ import annotations

import json
import string
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import lambda_fn.event
from lambda_fn.application import delivery_of_event
from lambda_fn.event import parse_event, parse_message
from lambda_fn.guard.items import guard_key
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import Delivery, Rejection
from lambda_fn.projection.item import item_of, sale_of
from lambda_fn.sale import Sale
from schemas.evolution.migration import current_schema
from tests.builders import FIRST_SEEN, event
from tests.poison import naive_reader
from tests.poison.vocabulary import DETAILS, FIELDS, FORBIDDEN_IN_A_MESSAGE

many = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])

# --- generated events -------------------------------------------------------------------------------------------------

# Python's decoder accepts lone surrogates, NaN and infinities, so a directly delivered event may have them.
any_text = st.text(st.characters()) | st.text("#\x00\x7f\x9f\ud800\ud7ff\uffff\U0010ffff🎉x", max_size=300)
numbers = (
    st.integers()
    | st.integers(0, 10).map(lambda power: 2 ** (power * 13))
    | st.floats()
    | st.sampled_from([0, -0.0, 1e14, 99_999_999_999.9999, 10**14 - 1, 36_500, 36_501, 1e39, 3.4028235e38, 1e-400])
)
dates = (
    st.datetimes().map(lambda instant: instant.isoformat() + "Z")
    | st.dates().map(str)
    | st.text("0123456789-T:Z+W., ", max_size=40)
)
scalars = st.none() | st.booleans() | numbers | any_text | dates
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(any_text | st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=20,
)
vectors = st.lists(numbers, max_size=20)
details = st.dictionaries(st.sampled_from(FIELDS), scalars | values | vectors, min_size=1, max_size=2)
envelopes = st.dictionaries(st.sampled_from(["detail-type", "source", "time", "detail", "id", "x"]), values, max_size=2)


@st.composite
def changed_events(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a valid event with every optional field, of which some parts are replaced or removed."""
    document = event(
        condition="like_new",
        description="Speedy",
        vendorId="vendor-1",
        imageS3Key="s3://images/1.jpg",
        embeddingId="embedding-1",
        daysToSell=12,
        embedding=[0.5, -1, 2],
    )
    document["detail"] |= draw(details)
    if draw(st.integers(0, 5)) == 5:
        document["detail"].pop(draw(st.sampled_from(FIELDS)), None)
    return document | draw(envelopes) if draw(st.integers(0, 5)) == 5 else document


@st.composite
def damaged_texts(draw: st.DrawFn) -> str:
    """Generate the text of an event, of which some pieces are removed, inserted, repeated or replaced."""
    text = json.dumps(draw(changed_events()), ensure_ascii=draw(st.booleans()))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        piece = draw(
            st.sampled_from(["", text[start:end] * 2, text[start:end][::-1], *'{}[]",:0-.eE\\\x00\ufeff \t/#', "null"])
            | st.sampled_from(['"salePrice":', '"detail":', "\\ud800", "\\u0000", "1e999", "1e-99999999999999999999"])
            | st.text(string.digits, max_size=30)
            | any_text
        )
        text = text[:start] + piece + text[end:]
    return text


@st.composite
def repeated_names(draw: st.DrawFn) -> str:
    """Generate the text of an event whose detail has some names twice, some of them written with escapes."""
    parts = [(name, json.dumps(value)) for name, value in event()["detail"].items()]
    extra = draw(st.lists(st.tuples(st.sampled_from(FIELDS), values.map(json.dumps)), min_size=1, max_size=4))
    members = []
    for name, value in draw(st.permutations(parts + extra)):
        escaped = draw(st.sampled_from([None, *range(len(name))]))
        spelling = name if escaped is None else f"{name[:escaped]}\\u{ord(name[escaped]):04x}{name[escaped + 1 :]}"
        members.append(f'"{spelling}": {value}')
    return json.dumps(event() | {"detail": "DETAIL"}).replace('"DETAIL"', "{" + ", ".join(members) + "}")


# --- properties -------------------------------------------------------------------------------------------------------


def check(delivery: Delivery, body: str) -> None:
    """Check that a delivery is complete, and that its content is a sale that can be stored or a clean rejection."""
    assert (delivery.delivery_id, delivery.first_seen) == ("message-1", FIRST_SEEN)
    assert delivery.body == body
    if isinstance(delivery.content, Rejection):
        assert delivery.content.detail in DETAILS
        return
    assert isinstance(delivery.content, Sale)
    check_storable(delivery.content)


def check_storable(sale: Sale) -> None:
    back = sale_of(item_of(sale))
    assert back == sale
    assert back.payload_hash == sale.payload_hash
    item = item_of(sale)
    assert len(item["PK"]["S"].encode()) <= 2048
    assert len(item["SK"]["S"].encode()) <= 1024
    assert len(guard_key(sale.key).partition.encode()) <= 2048
    rows: pa.Table = arrow_table([sale], current_schema())
    assert rows.num_rows == 1


def check_text(text: str, reader: Any = lambda_fn.event) -> None:
    check(reader.parse_message("message-1", text, FIRST_SEEN), text)


def check_decoded(document: object, reader: Any = lambda_fn.event) -> None:
    check(reader.parse_event("message-1", document, "the body", FIRST_SEEN), "the body")


@many
@given(changed_events())
def test_changed_events_are_handled_in_direct_delivery(document: dict[str, Any]) -> None:
    check_decoded(document)


@many
@given(changed_events(), st.booleans())
def test_changed_events_are_handled_in_queue_delivery(document: dict[str, Any], ascii_only: bool) -> None:
    check_text(json.dumps(document, ensure_ascii=ascii_only))


@many
@given(damaged_texts())
def test_damaged_texts_are_handled(text: str) -> None:
    check_text(text)


@many
@given(repeated_names())
def test_repeated_names_are_handled(text: str) -> None:
    check_text(text)


@many
@given(values)
def test_any_json_is_handled(value: Any) -> None:
    check_decoded(value)
    check_text(json.dumps(value))


@many
@given(any_text | st.binary().map(lambda content: content.decode("utf-8", "replace")))
def test_any_text_is_handled(text: str) -> None:
    check_text(text)
    check_decoded(text)


@given(changed_events())
def test_a_direct_event_is_kept_as_text_that_reads_back(document: dict[str, Any]) -> None:
    delivery = delivery_of_event(document, 0.0)
    assert not FORBIDDEN_IN_A_MESSAGE.search(delivery.body)
    assert repr(json.loads(delivery.body)) == repr(document)


@many
@given(changed_events())
def test_both_deliveries_agree(document: dict[str, Any]) -> None:
    """Direct delivery gives the same sale as the queue, or rejects a price whose digits it cannot know."""
    text = json.dumps(document)
    queued = parse_message("1", text, "").content
    direct = parse_event("1", json.loads(text), text, "").content
    if isinstance(queued, Sale) and isinstance(direct, Sale):
        assert direct.payload_hash == queued.payload_hash
    elif isinstance(queued, Sale):
        assert isinstance(direct, Rejection)
        assert direct.detail.endswith("has more digits than a double carries exactly")


@pytest.mark.parametrize(
    "generated",
    [
        pytest.param(changed_events().map(json.dumps), id="changed events"),
        pytest.param(damaged_texts(), id="damaged texts"),
        pytest.param(repeated_names(), id="repeated names"),
        pytest.param(any_text, id="any text"),
    ],
)
def test_the_strategy_finds_a_fault_of_a_naive_reader(generated: st.SearchStrategy[str]) -> None:
    caught: list[str] = []

    @settings(many, max_examples=200, database=None, derandomize=True)
    @given(generated)
    def collect(text: str) -> None:
        try:
            check_text(text, naive_reader)
        except Exception as error:
            caught.append(type(error).__name__)

    collect()
    print(Counter(caught))  # noqa: T201
    assert caught


def test_the_strategy_generates_sales_and_rejections() -> None:
    """The generated events include sales, and rejections of every field."""
    reached: set[str] = set()

    @settings(many, max_examples=1_000, database=None, derandomize=True)
    @given(changed_events())
    def collect(document: dict[str, Any]) -> None:
        content = parse_event("1", document, "", "").content
        reached.add("sale" if isinstance(content, Sale) else content.detail.split(":")[0])

    collect()
    assert reached >= {"sale", "detail-type", "source", "time", "detail"}
    assert len(reached & {f"detail.{field}" for field in FIELDS}) >= 10
