"""Prices are exact decimals however an event spells them, and are never rounded silently."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from lambda_fn.event import parse_event
from lambda_fn.ports import Reason, Rejection
from lambda_fn.sale import Sale
from tests.builders import body, event, read, read_text

PRICES = ["listedPrice", "salePrice"]


def text_with(name: str, number: str) -> str:
    """Return the text of an event that spells a price exactly as given."""
    return body(**{name: "PRICE"}).replace('"PRICE"', number)


def price_of(content: Sale | Rejection, name: str) -> Decimal:
    assert isinstance(content, Sale), content
    return content.listed_price if name == "listedPrice" else content.sold_price


def short_id(value: object) -> str:
    if isinstance(value, int) and abs(value) > 10**20:
        return "a huge integer" if value > 0 else "a huge negative integer"
    return str(value)


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize(
    ("number", "price"),
    [
        ("0", "0"),
        ("0.0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-0e5", "0"),
        ("0e999999", "0"),
        ("0e-999999", "0"),
        ("0.0001", "0.0001"),
        ("1e-4", "0.0001"),
        ("0.00010000000000000000000000", "0.0001"),
        ("450", "450"),
        ("450.5", "450.5"),
        ("450.5000000000000000000000000000000000", "450.5"),
        ("4.5E+2", "450"),
        ("4.5e2", "450"),
        ("45000E-2", "450"),
        ("123456789.1234", "123456789.1234"),
        ("9007199254740993", None),
        ("90071992547409.93", "90071992547409.93"),
        ("100000000000.5", "100000000000.5"),
        ("999999999999.5", "999999999999.5"),
        ("49999999999999.9961", "49999999999999.9961"),
        ("12345678901234.5678", "12345678901234.5678"),
        ("99999999999999", "99999999999999"),
        ("99999999999999.9999", "99999999999999.9999"),
        ("99999999999999.99990", "99999999999999.9999"),
        ("9.99999999999999999E13", "99999999999999.9999"),
        ("1E13", "10000000000000"),
    ],
)
def test_a_price_is_read_from_the_text_digit_by_digit(name: str, number: str, price: str | None) -> None:
    content = read_text(text_with(name, number))
    if price is None:
        assert content == Rejection(Reason.INVALID_FIELD, f"detail.{name}: must be from 0 to less than 10^14")
    else:
        found = price_of(content, name)
        assert str(found) == f"{Decimal(price):.4f}"


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize(
    "number",
    [
        "0.00001",
        "1e-5",
        "1e-400",
        "1e-999999",
        "450.00000000000001",
        "450.00005",
        "4.5000000000000001E+2",
        "99999999999999.99995",
        "99999999999999.99999999999999999999",
        "0.10000000000000000000000000000000000000001",
    ],
)
def test_a_fifth_decimal_is_rejected(name: str, number: str) -> None:
    content = read_text(text_with(name, number))
    assert content == Rejection(Reason.INVALID_FIELD, f"detail.{name}: must have at most 4 decimals")


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize(
    "number",
    [
        "-1",
        "-0.0001",
        "-1e-400",
        "100000000000000",
        "100000000000000.0001",
        "1E14",
        "1e300",
        "18446744073709551616",
        "9" * 300,
    ],
)
def test_negative_and_too_large_prices_are_rejected(name: str, number: str) -> None:
    content = read_text(text_with(name, number))
    assert content == Rejection(Reason.INVALID_FIELD, f"detail.{name}: must be from 0 to less than 10^14")


@pytest.mark.parametrize(
    "number", ["1e-99999999999999999999", "0e99999999999999999999", "0.5e-20000000000000000000", "1e" + "-" + "9" * 300]
)
@pytest.mark.parametrize("name", PRICES)
def test_an_exponent_that_is_too_large_for_a_decimal_is_rejected(name: str, number: str) -> None:
    content = read_text(text_with(name, number))
    assert content == Rejection(Reason.INVALID_FIELD, f"detail.{name}: must be finite")


def test_such_an_exponent_in_an_unknown_field_does_not_matter() -> None:
    text = text_with("salePrice", "450.50000000000000000").replace('"brand"', '"x": 1e-99999999999999999999, "brand"')
    assert price_of(read_text(text), "salePrice") == Decimal("450.5")


@pytest.mark.parametrize("number", ["1e400", "-1e400", "NaN", "Infinity", "-Infinity", "+1", ".5", "5.", "0x1F", "01"])
def test_invalid_json_numbers_and_numbers_beyond_a_double_are_invalid_json(number: str) -> None:
    content = read_text(text_with("salePrice", number))
    assert isinstance(content, Rejection)
    assert content.reason is Reason.INVALID_JSON


@pytest.mark.parametrize("spelling", ["salePric\\u0065", "\\u0073alePrice", "sale\\u0050rice", "\\u0073\\u0061lePrice"])
def test_escapes_in_the_name_of_a_price_do_not_hide_its_digits(spelling: str) -> None:
    text = text_with("salePrice", "450.00000000000001").replace("salePrice", spelling)
    assert read_text(text) == Rejection(Reason.INVALID_FIELD, "detail.salePrice: must have at most 4 decimals")
    exact = text_with("salePrice", "12345678901234.5678").replace("salePrice", spelling)
    assert price_of(read_text(exact), "salePrice") == Decimal("12345678901234.5678")


@pytest.mark.parametrize("space", ["", " ", "\n", "\r\n\t   "])
def test_white_space_does_not_hide_the_digits_of_a_price(space: str) -> None:
    text = text_with("salePrice", "450.00000000000001").replace('"salePrice": ', f'"salePrice"{space}:{space}')
    assert read_text(text) == Rejection(Reason.INVALID_FIELD, "detail.salePrice: must have at most 4 decimals")


def test_a_price_in_the_envelope_is_ignored() -> None:
    text = body()[:-1] + ', "salePrice": 12345678901234.56789}'
    assert price_of(read_text(text), "salePrice") == Decimal("450.5")


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize(
    ("number", "price"),
    [
        (0, "0"),
        (-0.0, "0"),
        (450, "450"),
        (450.5, "450.5"),
        (0.1, "0.1"),
        (0.0001, "0.0001"),
        (450.1, "450.1"),
        (4.5e2, "450"),
        (10**14 - 1, "99999999999999"),
        (12345678901.2345, "12345678901.2345"),
        (99999999999.9999, "99999999999.9999"),
    ],
)
def test_a_decoded_price_counts_as_its_shortest_decimal(name: str, number: float, price: str) -> None:
    found = price_of(read(event(**{name: number})), name)
    assert str(found) == f"{Decimal(price):.4f}"


@pytest.mark.parametrize(
    ("number", "rule"),
    [
        (float("nan"), "must be finite"),
        (float("inf"), "must be finite"),
        (float("-inf"), "must be finite"),
        (0.1 + 0.2, "has more digits than a double carries exactly"),
        (99999999999999.98, "has more digits than a double carries exactly"),
        (1e11, "has more digits than a double carries exactly"),
        (50000000000000.0, "has more digits than a double carries exactly"),
        (1 / 3, "has more digits than a double carries exactly"),
        (0.00001, "must have at most 4 decimals"),
        (5e-324, "must have at most 4 decimals"),
        (1.23456, "must have at most 4 decimals"),
        (-0.01, "must be from 0 to less than 10^14"),
        (-1, "must be from 0 to less than 10^14"),
        (1e14, "must be from 0 to less than 10^14"),
        (1e300, "must be from 0 to less than 10^14"),
        (10**14, "must be from 0 to less than 10^14"),
        (10**5000, "must be from 0 to less than 10^14"),
        (-(10**5000), "must be from 0 to less than 10^14"),
    ],
    ids=short_id,
)
@pytest.mark.parametrize("name", PRICES)
def test_a_decoded_price_is_rejected_when_its_text_is_not_certain(name: str, number: float, rule: str) -> None:
    assert parse_event("", event(**{name: number}), "", "").content == Rejection(
        Reason.INVALID_FIELD, f"detail.{name}: {rule}"
    )


@pytest.mark.parametrize("number", ["450", "450.0", "450.00000000000000000", "4.5E+2", "45e1", "0.45e3"])
def test_equal_prices_have_the_same_hash(number: str) -> None:
    content = read_text(text_with("salePrice", number))
    direct = read(event(salePrice=json.loads(number)))
    assert isinstance(content, Sale)
    assert isinstance(direct, Sale)
    assert content.payload_hash == direct.payload_hash
