"""Every detail that a rejection may have. None of them can repeat a value of the event."""

from __future__ import annotations

import re
from typing import Final

from lambda_fn.event import LATEST_SOLD_DATE
from tests.poison.entry import PRICES, TEXTS

# Amazon SQS API Reference, SendMessage. All other characters are allowed.
FORBIDDEN_IN_A_MESSAGE: Final = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")

FIELDS: Final = (*TEXTS, *PRICES, "soldDate", "daysToSell", "embedding")

RULES: Final = (
    "Field required",
    "Input should be a valid string",
    "Input should be a valid string, unable to parse raw data as a unicode string",
    "String should have at least 1 character",
    "String should have at most 128 characters",
    "String should have at most 256 characters",
    "String should have at most 10000 characters",
    "must not contain '#' or control characters",
    "must not contain a lone surrogate",
    "must be a number",
    "must be finite",
    "must be from 0 to less than 10^14",
    "must have at most 4 decimals",
    "has more digits than a double carries exactly",
    "Input should be a valid integer",
    "Input should be greater than or equal to 0",
    "Input should be less than or equal to 36500",
    "must be a date YYYY-MM-DD, or an ISO 8601 instant with a time zone",
    f"must be from 2000-01-01 to 2 days after the event's time, {LATEST_SOLD_DATE} at the latest",
    "must be an array of 1 to 4096 numbers",
    "must contain numbers only",
    "must contain finite 32-bit floats only",
)

DETAILS: Final = frozenset(
    {
        "the body is not valid JSON (RFC 8259)",
        "the event is not a JSON object",
        "detail-type: must be carousel.product.sold",
        "source: must be carousel.products",
        "detail: must be an object",
        "time: must be an ISO 8601 instant with a time zone",
        *(f"detail.{field}: {rule}" for field in FIELDS for rule in RULES),
    }
)
