"""From an EventBridge event to a :class:`~lambda_fn.sale.Sale`, or to a rejection that says which rule it broke.

A rejection's detail names a field and a rule and never repeats a value: it is stored beside the original and logged.
"""

from __future__ import annotations

import json
import re
import struct
from array import array
from datetime import MAXYEAR, UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Final

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError, SchemaValidator, core_schema

from lambda_fn.ports import Delivery, Reason, Rejection
from lambda_fn.sale import EVENT_TYPE, PROJECTION_YEARS, Sale, Vector, derived_sale_id

EVENT_SOURCE: Final = "carousel.products"

EARLIEST_SOLD_DATE: Final = date(2000, 1, 1)
# The calendar ends with the year 9999, and a sale's projection item expires some years after the sale.
LATEST_SOLD_DATE: Final = date(MAXYEAR - PROJECTION_YEARS, 12, 31)
DAYS_AHEAD_OF_EVENT: Final = 2
PRICE_DECIMALS: Final = 4
_PRICE_UNIT: Final = Decimal(1).scaleb(-PRICE_DECIMALS)
PRICE_LIMIT: Final = Decimal(10) ** (18 - PRICE_DECIMALS)
EMBEDDING_LIMIT: Final = 4096

# A double carries every decimal number of up to 15 significant digits (IEEE 754: DBL_DIG), and not all longer ones:
# from 10^11 on it may have been a price with 4 decimals that became another one.
DIGITS_OF_A_DOUBLE: Final = 15
PRICE_LIMIT_OF_A_DOUBLE: Final = Decimal(10) ** (DIGITS_OF_A_DOUBLE - PRICE_DECIMALS)

_KEY_PART_FORBIDS: Final = re.compile(r"[#\x00-\x1f\x7f-\x9f]")
# ISO 4217 names currencies by three capitals. Which of them exist changes more often than this code.
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_EVENT_ID: Final = re.compile(r"[0-9A-Za-z-]{1,64}")
_PLAIN_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# A price that a double may not carry: of 14 characters or more, as every one from 10^11 on with a fraction is.
_PRICE: Final = 'Price"'
_LONG_PRICE: Final = re.compile(_PRICE + r"\s*:\s*(?:[-+.0-9eE]{14,}|[-+.0-9]*[eE])")
# A letter that is written as an escape, in a price's name perhaps: "salePric\\u0065".
_ESCAPED_LETTER: Final = re.compile(r"\\u00[4-7]")


def parse_message(delivery_id: str, body: str, first_seen: str) -> Delivery:
    """Read an event from its JSON text, with exact prices. Never raises for what the text holds."""
    try:
        document = orjson.loads(body)
        if _may_have_lost_digits(body):
            _put_exact_prices(document, json.loads(body, parse_float=_exact_number))
    except (ValueError, RecursionError):
        rejection = Rejection(Reason.INVALID_JSON, "the body is not valid JSON (RFC 8259)")
        return Delivery(delivery_id, body, first_seen, rejection)
    return parse_event(delivery_id, document, body, first_seen)


def _may_have_lost_digits(body: str) -> bool:
    """Whether a price may have been written with more digits than a double carries.

    Most of a text are the numbers of its embedding: looking for one character leaps over them, a pattern does not.
    """
    at = body.find("P")
    while at >= 0:
        if _LONG_PRICE.match(body, at):
            return True
        at = body.find("P", at + 1)
    return "\\" in body and _ESCAPED_LETTER.search(body) is not None


def parse_event(delivery_id: str, document: object, body: str, first_seen: str) -> Delivery:
    """Read an event that is decoded already. Never raises for what it holds."""
    try:
        detail = _detail_of_a_sale(document)
        recorded_at = _instant(_text_at(document, "time"))
        if recorded_at is None:
            raise _Rejected(Reason.INVALID_FIELD, "time: must be an ISO 8601 instant with a time zone")
        sale = _sale(detail, recorded_at)
    except _Rejected as rejected:
        return Delivery(delivery_id, body, first_seen, rejected.rejection, event_id=_event_id(document))
    unknown = tuple(sorted(name for name in detail if name not in _KNOWN_FIELDS))
    return Delivery(delivery_id, body, first_seen, sale, unknown, _event_id(document))


class _Rejected(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.rejection = Rejection(reason, detail)


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
    """Return the envelope's id, by which a log line is found; what does not look like one is left out of the log."""
    text = _text_at(document, "id")
    return text if _EVENT_ID.fullmatch(text) else ""


def _text_at(document: object, name: str) -> str:
    value = document.get(name) if isinstance(document, dict) else None
    return value if isinstance(value, str) else ""


def _sale(detail: dict[str, Any], recorded_at: datetime) -> Sale:
    try:
        fields = _Detail.model_validate({name: value for name, value in detail.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise _Rejected(Reason.INVALID_FIELD, f"detail.{field}: {first['msg']}") from None
    days_ahead = (fields.sold_date - recorded_at.date()).days
    if not EARLIEST_SOLD_DATE <= fields.sold_date <= LATEST_SOLD_DATE or days_ahead > DAYS_AHEAD_OF_EVENT:
        until = f"{DAYS_AHEAD_OF_EVENT} days after the event's time, {LATEST_SOLD_DATE} at the latest"
        rule = f"must be from {EARLIEST_SOLD_DATE} to {until}"
        raise _Rejected(Reason.INVALID_FIELD, f"detail.soldDate: {rule}")
    return Sale(
        tenant_id=fields.tenant_id,
        product_id=fields.product_id,
        sale_id=fields.sale_id or derived_sale_id(fields.tenant_id, fields.product_id, fields.sold_date),
        category=fields.category,
        brand=fields.brand,
        listed_price=fields.listed_price,
        sold_price=fields.sale_price,
        sold_date=fields.sold_date,
        recorded_at=recorded_at,
        condition=fields.condition,
        description=fields.description,
        vendor_id=fields.vendor_id,
        image_s3_key=fields.image_s3_key,
        embedding_id=fields.embedding_id,
        days_to_sell=fields.days_to_sell,
        embedding=fields.embedding,
        currency=fields.currency,
    )


# --- rules of single fields ------------------------------------------------------------------------------------------


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
    return abs(exact)


def _is_certain(price: Decimal, text: str) -> bool:
    """Whether a price that was read as a double, whose shortest text this is, is the one that was written."""
    # A text has a point or an exponent besides its digits.
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
    """Read an ISO 8601 instant as UTC; None when it is none, or has no time zone."""
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
    # Both loops over a thousand numbers run in native code, and neither makes an object for each.
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

# What the rules below say, in the words of JSON Schema, where pydantic can't tell by itself.
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
# Only a text whose length has to be counted is looked into by pydantic itself.
_Text = Annotated[str, AfterValidator(_unicode)]
_Price = Annotated[Decimal, BeforeValidator(_price), WithJsonSchema(_PRICE_SCHEMA)]


class _Detail(BaseModel):
    """The event's ``detail``, strict: no text for a number, no true for 1."""

    model_config = ConfigDict(strict=True, extra="ignore", alias_generator=to_camel, arbitrary_types_allowed=True)

    tenant_id: _KeyPart
    product_id: _KeyPart
    category: _Label
    brand: _Label
    listed_price: _Price
    sale_price: _Price
    sold_date: Annotated[date, BeforeValidator(_sold_date), WithJsonSchema(_SOLD_DATE_SCHEMA)]
    sale_id: _KeyPart | None = None
    condition: _Text | None = None
    description: Annotated[str, Field(max_length=10_000)] | None = None
    vendor_id: _Text | None = None
    image_s3_key: _Text | None = None
    embedding_id: _Text | None = None
    days_to_sell: Annotated[int, Field(ge=0, le=36_500)] | None = None
    embedding: Annotated[Vector, BeforeValidator(_embedding), WithJsonSchema(_EMBEDDING_SCHEMA)] | None = None
    currency: Annotated[str, AfterValidator(_currency), WithJsonSchema(_CURRENCY_SCHEMA)] | None = None


def detail_schema() -> dict[str, Any]:
    """Return the rules of an event's ``detail`` as JSON Schema (draft 2020-12)."""
    return _Detail.model_json_schema(by_alias=True)


_KNOWN_FIELDS: Final = frozenset(field.alias for field in _Detail.model_fields.values())


def _exact_number(text: str) -> Decimal:
    """Return a number digit by digit; NaN for one whose exponent no decimal can hold."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal("NaN")


def _put_exact_prices(document: object, exact: object) -> None:
    """Replace the prices that were read as doubles by those that were read digit by digit."""
    if not (isinstance(document, dict) and isinstance(exact, dict)):
        return
    detail, exact_detail = document.get("detail"), exact.get("detail")
    if isinstance(detail, dict) and isinstance(exact_detail, dict):
        for name in ("listedPrice", "salePrice"):
            if isinstance(detail.get(name), float):
                detail[name] = exact_detail.get(name)
