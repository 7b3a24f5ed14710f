"""Properties of every event: exact prices, dates and vectors, and one identity for a sale, whatever its envelope."""

from __future__ import annotations

import json
import math
import re
import struct
from array import array
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from lambda_fn.event import _ESCAPED_LETTER, _LONG_PRICE, _embedding, _may_have_lost_digits, parse_event
from lambda_fn.fields import FACTS, Vector
from lambda_fn.ports import Reason, Rejection
from lambda_fn.sale import Sale, derived_sale_id
from tests.builders import ABSENT, EVENT_TIME, body, event, read, read_text, sale
from tests.properties.strategies import CHARACTERS, event_text, key_parts, prices, sales, sold_dates

EVENT_DATE = date.fromisoformat(EVENT_TIME[:10])


def same(first: Sale, second: Sale) -> bool:
    """Return whether two sales are equal to the last bit, including the signs of zeros in their vectors."""
    vectors = [None if sale.embedding is None else sale.embedding.tobytes() for sale in (first, second)]
    return first == second and vectors[0] == vectors[1]


# --- a sale is read as it was sent ------------------------------------------------------------------------------------


@given(sales(), st.booleans())
def test_every_sale_is_read_as_it_was_sent(sale: Sale, ascii_only: bool) -> None:
    content = read_text(event_text(sale, ascii_only=ascii_only))
    assert isinstance(content, Sale), content
    assert same(content, sale)
    assert content.payload_hash == sale.payload_hash


@given(sales())
@example(sale(sold_price=Decimal("49999999999999.9961")))
@example(sale(listed_price=Decimal("99999999999999.9922")))
@example(sale(listed_price=Decimal("99999999999.9999"), sold_price=Decimal("100000000000.0000")))
def test_text_and_decoded_event_agree_where_a_double_carries_the_prices(sale: Sale) -> None:
    text = event_text(sale)
    direct = parse_event("direct", json.loads(text), text, "").content
    if max(sale.listed_price, sale.sold_price) < 10**11:
        assert isinstance(direct, Sale), direct
        assert same(direct, sale)
    else:
        assert isinstance(direct, Rejection)
        assert direct.reason is Reason.INVALID_FIELD


@given(sales(), st.datetimes(datetime(2024, 1, 1)), st.text(CHARACTERS))  # noqa: DTZ001
def test_envelope_and_unknown_fields_do_not_change_the_facts(sale: Sale, time: datetime, text: str) -> None:
    again = json.loads(event_text(replace(sale, listed_price=Decimal(500), sold_price=Decimal(450))))
    first = parse_event("1", again, "", "").content
    days_ahead = timedelta(days=1)
    sold_on = datetime.combine(sale.sold_date, time.time(), UTC)
    again |= {"id": text, "time": (sold_on - days_ahead).isoformat(), "region": text}
    again["detail"]["_unknown" + text] = text
    second = parse_event("2", again, "", "").content
    assert isinstance(first, Sale)
    assert isinstance(second, Sale)
    assert first.payload_hash == second.payload_hash
    assert first.key == second.key


@given(sales(), sales(), st.data())
def test_the_hash_changes_exactly_when_a_fact_changes(sale: Sale, other: Sale, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from([fact.attribute for fact in FACTS]))
    changed = replace(sale, **{name: getattr(other, name)})
    assert (changed.payload_hash == sale.payload_hash) == same(changed, sale)


# --- identity ---------------------------------------------------------------------------------------------------------


@given(key_parts, key_parts, sold_dates)
def test_an_event_may_have_a_derived_id_as_its_sale_id(tenant: str, product: str, sold: date) -> None:
    sale_id = derived_sale_id(tenant, product, sold)
    assert re.fullmatch(r"SALE-[0-9]+-[0-9a-f]{8}", sale_id)
    assert int(sale_id.split("-")[1]) == (sold - date(1970, 1, 1)).days * 86_400_000
    document = event(tenantId=tenant, productId=product, saleId=ABSENT, soldDate=sold.isoformat())
    derived = read(document | {"time": "9999-01-01T00:00:00Z"})
    document["detail"]["saleId"] = sale_id
    assert isinstance(derived, Sale)
    assert derived == read(document | {"time": "9999-01-01T00:00:00Z"})


# --- prices -----------------------------------------------------------------------------------------------------------


@st.composite
def number_tokens(draw: st.DrawFn) -> str:
    """Generate JSON numbers (RFC 8259, section 6), most of them about as long as prices."""
    sign = draw(st.sampled_from(["", "", "", "-"]))
    whole = str(draw(st.integers(0, 10 ** draw(st.sampled_from([1, 3, 13, 14, 15, 20, 40])))))
    digits = st.text("0123456789", min_size=1, max_size=draw(st.sampled_from([1, 4, 5, 20])))
    fraction = draw(st.just("") | digits.map(lambda x: f".{x}") | digits.map(lambda x: f".{x}000000000000000000"))
    signs = st.sampled_from(["", "+", "-"])
    size = draw(st.sampled_from([5, 20, 400]))
    exponent = draw(st.just("") | st.builds("{}{}{}".format, st.sampled_from("eE"), signs, st.integers(0, size)))
    return f"{sign}{whole}{fraction}{exponent}"


@settings(max_examples=300)
@given(number_tokens(), st.sampled_from(["listedPrice", "salePrice"]))
@example("99999999999999.99990", "salePrice")
@example("450.00000000000001", "salePrice")
@example("1e-400", "listedPrice")
def test_a_price_is_accepted_exactly_when_it_needs_no_rounding(token: str, name: str) -> None:
    content = read_text(body(**{name: "TOKEN"}).replace('"TOKEN"', token))
    exact = Fraction(token)
    if isinstance(content, Sale):
        price = content.listed_price if name == "listedPrice" else content.sold_price
        assert Fraction(price) == exact
        assert price.as_tuple().exponent == -4
        assert not price.is_signed()
    elif abs(exact) < 10**308:
        assert content.reason is Reason.INVALID_FIELD
        assert content.detail.startswith(f"detail.{name}: ")
    fits = 0 <= exact < 10**14 and (exact * 10**4).denominator == 1
    assert isinstance(content, Sale) == fits


@given(st.floats(allow_nan=True, allow_infinity=True) | prices.map(float))
def test_a_decoded_price_is_accepted_exactly_when_its_text_is_certain(number: float) -> None:
    content = parse_event("direct", event(salePrice=number), "", "").content
    fits = 0 <= number < 10**11 and number == float(f"{number:.4f}")
    assert isinstance(content, Sale) == fits
    if isinstance(content, Sale):
        assert content.sold_price == Decimal(repr(number))


@given(st.integers())
def test_a_whole_price_is_accepted_exactly_when_it_is_in_range(number: int) -> None:
    content = parse_event("direct", event(salePrice=number), "", "").content
    assert isinstance(content, Sale) == (0 <= number < 10**14)


# --- dates ------------------------------------------------------------------------------------------------------------


@given(
    st.datetimes(datetime(1999, 12, 30), datetime(2026, 3, 20)),  # noqa: DTZ001
    st.integers(-1439, 1439),
    st.sampled_from(["auto", "minutes", "seconds", "milliseconds", "microseconds"]),
)
def test_an_instant_counts_as_its_utc_date(local: datetime, offset_minutes: int, precision: str) -> None:
    zone = timezone(timedelta(minutes=offset_minutes))
    content = read(event(soldDate=local.replace(tzinfo=zone).isoformat(timespec=precision)))
    expected = (local - timedelta(minutes=offset_minutes)).date()
    if date(2000, 1, 1) <= expected <= EVENT_DATE + timedelta(days=2):
        assert isinstance(content, Sale), content
        assert content.sold_date == expected
    else:
        assert isinstance(content, Rejection)
        assert content.detail.startswith("detail.soldDate: must be from 2000-01-01")


@given(st.dates())
def test_a_plain_date_is_accepted_exactly_when_it_is_in_range(sold: date) -> None:
    content = read(event(soldDate=sold.isoformat()))
    assert isinstance(content, Sale) == (date(2000, 1, 1) <= sold <= EVENT_DATE + timedelta(days=2))


@given(st.text("0123456789-T:Z+W. ", max_size=30))
@example("2026-03-14T12:00:00+23:59:59.999999")
@example("0001-01-01T00:00:00+00:01")
def test_any_text_is_a_date_in_range_or_rejected(text: str) -> None:
    content = read(event(soldDate=text))
    if isinstance(content, Sale):
        assert date(2000, 1, 1) <= content.sold_date <= EVENT_DATE + timedelta(days=2)
    else:
        assert content.detail.startswith("detail.soldDate: ")


# --- embeddings -------------------------------------------------------------------------------------------------------


def to_float32(number: float) -> bytes | None:
    """Return a number as a 32-bit float, or None when it is not a finite one."""
    try:
        packed = struct.pack("<f", number)
    except OverflowError:
        return None
    return packed if struct.unpack("<f", packed)[0] - struct.unpack("<f", packed)[0] == 0 else None


@settings(max_examples=300)
@given(st.lists(st.floats() | st.integers() | st.floats(3.4028234e38, 3.4028237e38), min_size=1, max_size=20))
def test_an_embedding_is_accepted_exactly_when_its_numbers_fit_32_bits(numbers: list[Any]) -> None:
    content = parse_event("direct", event(embedding=numbers), "", "").content
    packed = [to_float32(number) for number in numbers]
    if None in packed:
        detail = "detail.embedding: must contain finite 32-bit floats only"
        assert content == Rejection(Reason.INVALID_FIELD, detail)
    else:
        assert isinstance(content, Sale)
        assert content.embedding is not None
        assert content.embedding.tobytes() == b"".join(number for number in packed if number)


# --- fast and simple implementations agree ----------------------------------------------------------------------------


def value_or_error(make: Callable[[], Vector]) -> bytes | str:
    try:
        return make().tobytes()
    except PydanticCustomError as error:
        return error.message()


def vector_by_the_rules(value: list[Any]) -> Vector:
    """Return a vector, checking one rule after the other."""
    if not {type(number) for number in value} <= {int, float}:
        raise PydanticCustomError("embedding", "must contain numbers only")
    try:
        vector = array("f", value)
    except OverflowError:
        vector = array("f", [math.inf])
    if not all(math.isfinite(number) for number in vector):
        raise PydanticCustomError("embedding", "must contain finite 32-bit floats only")
    return vector


JSON_VALUES: st.SearchStrategy[Any] = st.one_of(
    st.floats(), st.integers(), st.sampled_from([10**39, 10**400, 2**128 - 1, True, False, None, "1", "", [1.0], {}])
)


@settings(max_examples=500)
@given(st.lists(JSON_VALUES, min_size=1, max_size=5) | st.lists(st.floats(width=32), min_size=1))
@example([math.nan, "1"])
@example([-0.0, 3.4028235677973366e38])
def test_a_vector_equals_the_one_made_number_by_number(value: list[Any]) -> None:
    assert value_or_error(lambda: _embedding(value)) == value_or_error(lambda: vector_by_the_rules(value))


@given(
    st.lists(st.sampled_from(['Price"', "P", ":", " ", "1234567890123", "4", "1e5", "\\", "u0065", '"']), max_size=9)
)
def test_prices_are_read_again_exactly_when_the_patterns_match(parts: list[str]) -> None:
    text = "".join(parts)
    patterns = any(pattern.search(text) for pattern in (_LONG_PRICE, _ESCAPED_LETTER))
    assert _may_have_lost_digits(text) is patterns
