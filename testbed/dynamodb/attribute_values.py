"""Validates, normalizes, copies and measures attribute values in DynamoDB's notation.

Source: Amazon DynamoDB Developer Guide, "Supported data types" and "DynamoDB item sizes and formats". Binary values and
sets are not supported, because nothing here stores them.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final

Value = dict[str, Any]
Item = dict[str, Value]

MOST_DIGITS: Final = 38
LARGEST_EXPONENT: Final = 125
SMALLEST_EXPONENT: Final = -130


class InvalidValue(ValueError):
    """DynamoDB refuses the value."""


def stored(value: Value) -> Value:
    """Return a copy of a value as DynamoDB would return it. Raises InvalidValue."""
    if len(value) != 1:
        raise InvalidValue(f"Supplied AttributeValue must contain exactly one type, not {sorted(value)}")
    ((kind, content),) = value.items()
    if kind == "S" and isinstance(content, str):
        return {"S": content}
    if kind == "N" and isinstance(content, str):
        return {"N": normalised_number(content)}
    if kind in {"BOOL", "NULL"} and isinstance(content, bool):
        return {kind: content}
    if kind == "L" and isinstance(content, list):
        return {"L": [stored(element) for element in content]}
    if kind == "M" and isinstance(content, dict):
        return {"M": {name: stored(element) for name, element in content.items()}}
    raise InvalidValue(f"{kind} of {type(content).__name__}")


def copied(item: Item) -> Item:
    """Return a copy of a stored item that shares nothing mutable with it."""
    return {name: value.copy() if "S" in value or "N" in value else stored(value) for name, value in item.items()}


def normalised_number(text: str) -> str:
    """Return a number as DynamoDB would return it: digits without redundant zeros. Raises InvalidValue."""
    if text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and text[0] != "0":
        return text
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise InvalidValue("A value provided cannot be converted into a number") from None
    if not number.is_finite():
        raise InvalidValue("A value provided cannot be converted into a number")
    if not number:
        return "0"
    digits = "".join(map(str, number.as_tuple().digits)).strip("0")
    if len(digits) > MOST_DIGITS:
        raise InvalidValue("Attempting to store more than 38 significant digits in a Number")
    if not SMALLEST_EXPONENT <= number.adjusted() <= LARGEST_EXPONENT:
        raise InvalidValue("Number overflow or underflow")
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def item_size_bytes(item: Item) -> int:
    """Return the size in bytes that counts towards the limit of an item."""
    return sum(len(name.encode()) + _size_bytes(value) for name, value in item.items())


def _size_bytes(value: Value) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        text: str = content
        return len(text.encode())
    if kind == "N":
        digits: str = content.lstrip("-").replace(".", "").strip("0")
        return (len(digits) + 1) // 2 + (2 if content[0] == "-" else 1)
    if kind == "L":
        return 3 + sum(1 + _size_bytes(element) for element in content)
    if kind == "M":
        return 3 + sum(1 + len(name.encode()) + _size_bytes(element) for name, element in content.items())
    return 1
