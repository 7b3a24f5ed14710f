"""From an EventBridge event to a :class:`~lambda_fn.sale.Sale`, or to a rejection that names the broken rule.

:data:`_RULES` has the rule of each field of the event's ``detail``. A rejection names the field and the rule, and never
repeats a value: it is logged, and stored with the original event.
"""

from __future__ import annotations

import json
import re
import struct
from array import array
from collections.abc import Mapping
from datetime import MAXYEAR, UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    create_model,
)
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError, SchemaValidator, core_schema

from lambda_fn.fields import FACTS, Vector
from lambda_fn.ports import Delivery, Reason, Rejection
from lambda_fn.sale import EVENT_TYPE, PROJECTION_YEARS, Sale, derived_sale_id

EVENT_SOURCE: Final = "carousel.products"

EARLIEST_SOLD_DATE: Final = date(2000, 1, 1)
# The calendar ends with the year 9999, and the projection item expires some years after the sale.
LATEST_SOLD_DATE: Final = date(MAXYEAR - PROJECTION_YEARS, 12, 31)
DAYS_AHEAD_OF_EVENT: Final = 2
PRICE_DECIMALS: Final = 4
_PRICE_UNIT: Final = Decimal(1).scaleb(-PRICE_DECIMALS)
PRICE_LIMIT: Final = Decimal(10) ** (18 - PRICE_DECIMALS)
EMBEDDING_LIMIT: Final = 4096

# A double carries every decimal number of up to 15 significant digits, but not all longer ones (IEEE 754, DBL_DIG).
# From 10^11 on, a price with 4 decimals may have become another price.
DIGITS_OF_A_DOUBLE: Final = 15
PRICE_LIMIT_OF_A_DOUBLE: Final = Decimal(10) ** (DIGITS_OF_A_DOUBLE - PRICE_DECIMALS)

_KEY_PART_FORBIDS: Final = re.compile(r"[#\x00-\x1f\x7f-\x9f]")
# ISO 4217: three capital letters. The list of currencies changes more often than this code.
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_EVENT_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_PLAIN_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A price that a double may not carry has 14 characters or more, as every price from 10^11 on with a fraction does.
# The names of all prices end in "Price".
_LONG_PRICE: Final = re.compile(r'Price"\s*:\s*(?:[-+.0-9eE]{14,}|[-+.0-9]*[eE])')
# A letter written as an escape, which may be part of the name of a price: "salePric\\u0065".
_ESCAPED_LETTER: Final = re.compile(r"\\u00[4-7]")


def parse_message(delivery_id: str, body: str, first_seen: str) -> Delivery:
    """Read an event from its JSON text, with exact prices. Never raises because of what the text contains."""
    try:
        document = orjson.loads(body)
        if _may_have_lost_digits(body):
            _restore_exact_prices(document, json.loads(body, parse_float=_exact_number))
    except (ValueError, RecursionError):
        rejection = Rejection(Reason.INVALID_JSON, "the body is not valid JSON (RFC 8259)")
        return Delivery(delivery_id, body, first_seen, rejection)
    return parse_event(delivery_id, document, body, first_seen)


def parse_event(delivery_id: str, document: object, body: str, first_seen: str) -> Delivery:
    """Read an event that is already decoded. Never raises because of what it contains.

    Fields that the code does not know are tolerated and listed in ``unknown_fields``.
    """
    try:
        detail = _detail_of_a_sale(document)
        recorded_at = _instant(_text_at(document, "time"))
        if recorded_at is None:
            raise _Rejected(Reason.INVALID_FIELD, "time: must be an ISO 8601 instant with a time zone")
        sale = _sale(detail, recorded_at)
    except _Rejected as rejected:
        return Delivery(delivery_id, body, first_seen, rejected.rejection, event_id=_event_id(document))
    unknown = tuple(sorted(detail.keys() - _EVENT_NAMES))
    return Delivery(delivery_id, body, first_seen, sale, unknown, _event_id(document))


class _Rejected(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.rejection = Rejection(reason, detail)


# --- envelope ---------------------------------------------------------------------------------------------------------


def _detail_of_a_sale(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise _Rejected(Reason.NOT_A_SALE, "the event is not a JSON object")
    if document.get("detail-type") != EVENT_TYPE:
        raise _Rejected(Reason.NOT_A_SALE, f"detail-type: must be {EVENT_TYPE}")
    if document.get("source") != EVENT_SOURCE:
        raise _Rejected(Reason.NOT_A_SALE, f"source: must be {EVENT_SOURCE}")
    detail = document.get("detail")
    if not isinstance(detail, dict):
        raise _Rejected(Reason.INVALID_FIELD, "detail: must be an object")
    return detail


def _event_id(document: object) -> str:
    """Return the envelope's id, which log lines carry, or nothing when it does not look like an id."""
    text = _text_at(document, "id")
    return text if _EVENT_ID.fullmatch(text) else ""


def _text_at(document: object, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


# --- detail -----------------------------------------------------------------------------------------------------------


def _sale(detail: Mapping[str, Any], recorded_at: datetime) -> Sale:
    try:
        facts = vars(_Detail.model_validate({name: value for name, value in detail.items() if value is not None}))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _Rejected(Reason.INVALID_FIELD, f"detail.{field}: {first['msg']}") from None
    sold_date = facts["sold_date"]
    days_ahead = (sold_date - recorded_at.date()).days
    if not EARLIEST_SOLD_DATE <= sold_date <= LATEST_SOLD_DATE or days_ahead > DAYS_AHEAD_OF_EVENT:
        until = f"{DAYS_AHEAD_OF_EVENT} days after the event's time, {LATEST_SOLD_DATE} at the latest"
        rule = f"must be from {EARLIEST_SOLD_DATE} to {until}"
        raise _Rejected(Reason.INVALID_FIELD, f"detail.soldDate: {rule}")
    sale_id = facts["sale_id"] or derived_sale_id(facts["tenant_id"], facts["product_id"], sold_date)
    return Sale(**{**facts, "sale_id": sale_id, "recorded_at": recorded_at})


def _key_part(value: str) -> str:
    if _KEY_PART_FORBIDS.search(value):
        raise PydanticCustomError("key_part", "must not contain '#' or control characters")
    return value


def _unicode(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("unicode", "must not contain a lone surrogate") from None
    return value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        raise PydanticCustomError("currency", "must be an ISO 4217 code of three capitals")
    return value


def _price(value: object) -> Decimal:
    """Return an exact price. Negative prices, prices from 10^14 on, and more than 4 decimals are rejected."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("price", "must be a number")
    text = repr(value) if isinstance(value, float) else None
    price = Decimal(value if text is None else text)
    if not price.is_finite():
        raise PydanticCustomError("price", "must be finite")
    if not 0 <= price < PRICE_LIMIT:
        raise PydanticCustomError("price", "must be from 0 to less than 10^14")
    if text is not None and not _is_certain(price, text):
        raise PydanticCustomError("price", "has more digits than a double carries exactly")
    exact = price.quantize(_PRICE_UNIT)
    if exact != price:
        raise PydanticCustomError("price", "must have at most 4 decimals")
    return abs(exact)  # -0.0 is the price 0.


def _is_certain(price: Decimal, text: str) -> bool:
    """Return whether a price that was read as a double is the price that the event has.

    ``text`` is the shortest decimal that reads as this double.
    """
    # Besides its digits, the text has a point or an exponent.
    few_digits = len(text) <= DIGITS_OF_A_DOUBLE + 1 or len(price.as_tuple().digits) <= DIGITS_OF_A_DOUBLE
    return few_digits and price < PRICE_LIMIT_OF_A_DOUBLE


def _sold_date(value: object) -> date:
    if isinstance(value, str):
        if _PLAIN_DATE.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        elif (instant := _instant(value)) is not None:
            return instant.date()
    raise PydanticCustomError("sold_date", "must be a date YYYY-MM-DD, or an ISO 8601 instant with a time zone")


def _instant(text: str) -> datetime | None:
    """Read an ISO 8601 instant as UTC. Return None for any other text, and for an instant without a time zone."""
    if "T" not in text or not text.isascii():
        return None
    try:
        instant = datetime.fromisoformat(text)
        return None if instant.tzinfo is None else instant.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _embedding(value: object) -> Vector:
    if not isinstance(value, list) or not 1 <= len(value) <= EMBEDDING_LIMIT:
        raise PydanticCustomError("embedding", "must be an array of 1 to 4096 numbers")
    # Both loops over a thousand numbers run in native code, and neither creates an object for each.
    try:
        _FINITE_NUMBERS.validate_python(value)
        packed = struct.pack(f"={len(value)}f", *value)
    except (ValidationError, OverflowError, struct.error):
        numbers_only = set(map(type, value)) <= {int, float}
        rule = "finite 32-bit floats" if numbers_only else "numbers"
        raise PydanticCustomError("embedding", f"must contain {rule} only") from None
    vector: Vector = array("f")
    vector.frombytes(packed)
    return vector


_FINITE_NUMBERS: Final = SchemaValidator(
    core_schema.list_schema(core_schema.float_schema(strict=True, allow_inf_nan=False))
)

# The rules of the functions above in JSON Schema, because pydantic cannot derive a schema from a function.
_KEY_PART_SCHEMA: Final = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^[^#\x00-\x1f\x7f-\x9f]+$"}
_PRICE_SCHEMA: Final = {"type": "number", "minimum": 0, "exclusiveMaximum": int(PRICE_LIMIT), "multipleOf": 0.0001}
_SOLD_DATE_SCHEMA: Final = {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}
_EMBEDDING_SCHEMA: Final = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 1,
    "maxItems": EMBEDDING_LIMIT,
}
_CURRENCY_SCHEMA: Final = {"type": "string", "pattern": f"^{_CURRENCY.pattern}$"}

_KeyPart = Annotated[
    str, Field(min_length=1, max_length=128), AfterValidator(_key_part), WithJsonSchema(_KEY_PART_SCHEMA)
]
_Label = Annotated[str, Field(min_length=1, max_length=256)]
# Pydantic itself looks into a text only when it has to count the characters.
_Text = Annotated[str, AfterValidator(_unicode)]
_Price = Annotated[Decimal, BeforeValidator(_price), WithJsonSchema(_PRICE_SCHEMA)]

# By attribute of Sale. A fact that is not listed is a text without a rule of its own.
_RULES: Final[Mapping[str, Any]] = {
    "tenant_id": _KeyPart,
    "product_id": _KeyPart,
    "sale_id": _KeyPart,
    "category": _Label,
    "brand": _Label,
    "listed_price": _Price,
    "sold_price": _Price,
    "sold_date": Annotated[date, BeforeValidator(_sold_date), WithJsonSchema(_SOLD_DATE_SCHEMA)],
    "description": Annotated[str, Field(max_length=10_000)],
    "days_to_sell": Annotated[int, Field(ge=0, le=36_500)],
    "embedding": Annotated[Vector, BeforeValidator(_embedding), WithJsonSchema(_EMBEDDING_SCHEMA)],
    "currency": Annotated[str, AfterValidator(_currency), WithJsonSchema(_CURRENCY_SCHEMA)],
}


def _detail_model() -> type[BaseModel]:
    """Return the model of the event's ``detail``. It is strict: no text for a number, no true for 1."""
    fields: dict[str, Any] = {}
    for fact in FACTS:
        rule = _RULES.get(fact.attribute, _Text)
        if fact.required and fact.attribute != "sale_id":
            fields[fact.attribute] = (rule, Field(alias=fact.event_name))
        else:
            fields[fact.attribute] = (rule | None, Field(default=None, alias=fact.event_name))
    config = ConfigDict(strict=True, extra="ignore", arbitrary_types_allowed=True)
    return create_model("Detail", __config__=config, **fields)


_Detail: Final = _detail_model()
_EVENT_NAMES: Final = frozenset(fact.event_name for fact in FACTS)
_PRICES: Final = tuple(fact.event_name for fact in FACTS if fact.type is Decimal)


class _WithoutTitles(GenerateJsonSchema):
    """Leave out the titles, which would only repeat the names of the fields."""

    def field_title_should_be_set(self, schema: CoreSchema) -> bool:
        return False


def detail_schema() -> dict[str, Any]:
    """Return the rules of an event's ``detail`` as JSON Schema (draft 2020-12)."""
    return _Detail.model_json_schema(by_alias=True, schema_generator=_WithoutTitles)


# --- exact prices -----------------------------------------------------------------------------------------------------


def _may_have_lost_digits(body: str) -> bool:
    """Return whether a price may have more digits than a double carries.

    Most of the text is the numbers of an embedding. Searching for a single character skips them quickly, a regular
    expression does not.
    """
    at = body.find("P")
    while at >= 0:
        if _LONG_PRICE.match(body, at):
            return True
        at = body.find("P", at + 1)
    return "\\" in body and _ESCAPED_LETTER.search(body) is not None


def _exact_number(text: str) -> Decimal:
    """Return a number digit by digit, or NaN when its exponent is too large for a decimal."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _restore_exact_prices(document: object, exact: object) -> None:
    """Replace the prices in ``document`` that were read as doubles by the same prices in ``exact``."""
    if not (isinstance(document, dict) and isinstance(exact, dict)):
        return
    detail, exact_detail = document.get("detail"), exact.get("detail")
    if isinstance(detail, dict) and isinstance(exact_detail, dict):
        for name in _PRICES:
            if isinstance(detail.get(name), float):
                detail[name] = exact_detail.get(name)
