"""Sales with one invalid field: missing, of the wrong type, hostile, or beyond a limit."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from tests.builders import ABSENT, body, event
from tests.poison.entry import (
    INVALID_FIELD,
    KEY_PARTS,
    PRICES,
    REQUIRED,
    TEXTS,
    Entry,
    directs,
    enveloped,
    fields,
    short,
    spelled,
    texts,
)

MEGABYTE: Final = 1024 * 1024

NUMBERS: Final[dict[str, object]] = {"zero": 0, "a number": 450, "a fraction": 4.5, "a huge number": 10**40}
OTHERS: Final[dict[str, object]] = {
    "true": True,
    "false": False,
    "an empty array": [],
    "an array": [1],
    "an array with a text": ["450"],
    "an empty object": {},
    "an object": {"value": 450},
}
WRITTEN: Final[dict[str, object]] = {
    "an empty text": "",
    "a number as a text": "450",
    "a fraction as a text": "450.00",
    "a word": "free",
    "null as a text": "null",
    "NaN as a text": "NaN",
}


def _missing() -> list[Entry]:
    values: dict[str, dict[str, object]] = {}
    for name in REQUIRED:
        values[f"{name} is missing"] = {name: ABSENT}
        values[f"{name} is null"] = {name: None}
        values[f"{name} is misspelled"] = {name: ABSENT, name.upper(): event()["detail"][name], f" {name}": 1}
    return fields(INVALID_FIELD, values)


def _wrong_types() -> list[Entry]:
    values: dict[str, dict[str, object]] = {}
    for name in TEXTS:
        values |= {f"{name} is {kind}": {name: value} for kind, value in {**NUMBERS, **OTHERS}.items()}
    for name in PRICES:
        values |= {f"{name} is {kind}": {name: value} for kind, value in {**WRITTEN, **OTHERS}.items()}
    for kind, value in {**WRITTEN, **OTHERS, "a fraction": 12.5, "a whole fraction": 12.0}.items():
        values[f"daysToSell is {kind}"] = {"daysToSell": value}
    for kind, value in {**WRITTEN, **OTHERS, **NUMBERS}.items():
        values[f"soldDate is {kind}"] = {"soldDate": value}
    for kind, value in {**WRITTEN, **NUMBERS, "true": True, "an empty array": [], "an object": {"0": 1}}.items():
        values[f"embedding is {kind}"] = {"embedding": value}
    for kind, value in {**WRITTEN, "null": None, "true": True, "an array": [1], "an object": {"0": 1}}.items():
        values[f"embedding contains {kind}"] = {"embedding": [0.5, value, 0.5]}
    return fields(INVALID_FIELD, values)


HOSTILE_IDS: Final = {
    "the separator": "a#b",
    "nothing but the separator": "#",
    "another sale's key": "tenant-1#PRODUCT#product-2",
    "a NUL": "a\x00b",
    "a line break": "a\nb",
    "a carriage return": "a\r\nX-Header: b",
    "a tab": "a\tb",
    "an escape sequence of a terminal": "\x1b[2J\x1b[31mred",
    "a backspace": "a\bb",
    "a delete": "a\x7fb",
    "a C1 control": "a\x85b",
    "a string terminator": "a\x9cb",
    "129 characters": "x" * 129,
    "129 wide characters": "👜" * 129,
    "a megabyte": "x" * MEGABYTE,
    "nothing": "",
}


def _hostile_texts() -> list[Entry]:
    values: dict[str, dict[str, object]] = {
        f"{name} has {kind}": {name: value} for name in KEY_PARTS for kind, value in HOSTILE_IDS.items()
    }
    for name in ("category", "brand"):
        values[f"{name} is empty"] = {name: ""}
        values[f"{name} has 257 characters"] = {name: "x" * 257}
        values[f"{name} has a megabyte"] = {name: "\x00" * (MEGABYTE // 6)}
    values["description has 10,001 characters"] = {"description": "x" * 10_001}
    values["description has a megabyte"] = {"description": "👜" * (MEGABYTE // 12)}
    return fields(INVALID_FIELD, values)


PRICE_TOKENS: Final = [
    *("-1", "-0.01", "-0.0001", "-1e-400", "-99999999999999", "100000000000000", "1e14", "1.0E+14", "1e15", "1e100"),
    *("1e308", "1.7976931348623157e308", "18446744073709551615", "18446744073709551616", "9223372036854775808"),
    *("0.00001", "0.00009999", "1e-5", "5e-324", "1e-308", "1e-400", "1e-999999", "450.00001", "450.00000000000001"),
    *("99999999999999.99999", "99999999999999.99990000000001", "4.5000000000000000001E2", "0." + "0" * 5_000 + "1"),
    *("1e-99999999999999999999", "0e99999999999999999999", "9" * 300, "450." + "0" * 100_000 + "1"),
]

DAYS: Final = {
    "-1": -1,
    "36,501": 36_501,
    "2^31": 2**31,
    "2^63": 2**63,
    "-2^63": -(2**63),
    "2^64": 2**64,
    "10^40": 10**40,
    "10^300": 10**300,
}


def _numbers() -> list[Entry]:
    found: list[Entry] = []
    for name in PRICES:
        bodies = {f"{name} is {short(token)}": spelled(token, **{name: "TOKEN"}) for token in PRICE_TOKENS}
        found += texts(INVALID_FIELD, bodies, f"detail.{name}: ")
    for token in ("1.5", "1.0", "1e1", "1E+1", "-0.0", "36500.0001", "1e-400"):
        found += texts(
            INVALID_FIELD, {f"daysToSell is {token}": spelled(token, daysToSell="TOKEN")}, "detail.daysToSell: "
        )
    found += fields(INVALID_FIELD, {f"daysToSell is {kind}": {"daysToSell": days} for kind, days in DAYS.items()})
    return found


DATES: Final = [
    *("2026-02-29", "2025-02-29T12:00:00Z", "1900-02-29", "2026-02-30", "2026-04-31", "2026-13-01", "2026-00-01"),
    *("2026-01-00", "0000-01-01", "-2026-03-14", "+2026-03-14", "02026-03-14", "12026-03-14", "2026-3-14", "26-03-14"),
    *("2026/03/14", "14.03.2026", "03-14-2026", "20260314", "2026-W11-6", "2026-073", "2026-03", "2026", "today", "T"),
    *(
        "1773446400",
        "1773446400000",
        "2026-03-14T",
        "2026-03-14T12:00:00",
        "2026-03-14 12:00:00Z",
        "2026-03-14t12:00:00Z",
    ),
    *("2026-03-14T12:00:00z", "2026-03-14T24:00:00Z", "2026-03-14T23:59:60Z", "2026-03-14T12:60:00Z", "2026-03-14T25Z"),
    *("2026-03-14T12:00:00+24:00", "2026-03-14T12:00:00+1", "2026-03-14T12:00:00 CET", "Sat, 14 Mar 2026 12:00:00 GMT"),
    *("2026-03-14\n", " 2026-03-14", "2026-03-14\x00", "２０２６-０３-１４", "٢٠٢٦-٠٣-١٤", "2026‐03‐14", "9" * 10_000),
    *("1999-12-31", "1999-12-31T23:59:59Z", "2000-01-01T00:30:00+01:00", "1970-01-01", "1582-10-10", "0001-01-01"),
    *(
        "0001-01-01T00:00:00+23:59",
        "9999-12-31",
        "9999-12-31T23:59:59-23:59",
        "2026-03-18",
        "2026-03-17T23:30:00-01:00",
    ),
]

TIMES: Final[dict[str, object]] = {
    "null": None,
    "empty": "",
    "a number": 1773568800,
    "a number as a text": "1773568800",
    "a date": "2026-03-15",
    "without a zone": "2026-03-15T10:00:00",
    "with a space": "2026-03-15 10:00:00Z",
    "in the year 0": "0000-03-15T10:00:00Z",
    "in the year 10,000": "10000-03-15T10:00:00Z",
    "before all time": "0001-01-01T00:00:00+01:00",
    "after all time": "9999-12-31T23:59:59-01:00",
    "an array": ["2026-03-15T10:00:00Z"],
    "a megabyte": "2026-03-15T10:00:00Z" * (MEGABYTE // 20),
}


def _dates() -> list[Entry]:
    late = {
        "sold in 9998, reported in 9999": json.dumps(event(soldDate="9998-01-01") | {"time": "9999-12-31T23:59:59Z"}),
        "sold on the last day of the calendar": json.dumps(
            event(soldDate="9999-12-31") | {"time": "9999-12-31T00:00:00Z"}
        ),
        "reported in the year 1": enveloped(time="0001-01-01T00:00:00Z"),
        "reported before it was sold": enveloped(time="2026-03-11T23:59:59Z"),
    }
    return [
        *fields(INVALID_FIELD, {f"soldDate is {short(text)!r}": {"soldDate": text} for text in DATES}),
        *texts(INVALID_FIELD, {f"time is {kind}": enveloped(time=value) for kind, value in TIMES.items()}, "time: "),
        *texts(INVALID_FIELD, late, "detail.soldDate: "),
    ]


VECTORS: Final[dict[str, list[Any]]] = {
    "4,097 numbers": [0.5] * 4_097,
    "5,000 numbers": [0.5] * 5_000,
    "100,000 numbers": [0] * 100_000,
    "a vector in it": [[0.5] * 1024],
    "a number too large": [0.5, 1e39],
    "a number too small": [0.5, -1e39],
    "the least that rounds to infinity": [3.4028235677973366e38],
    "the largest double": [1.7976931348623157e308],
    "large numbers that cancel out": [1e39, -1e39],
    "a huge integer": [10**40],
    "an integer of 300 digits": [10**299, -(10**299)],
}


def _details() -> list[Entry]:
    values: dict[str, object] = {
        "null": None,
        "a text": json.dumps(event()["detail"]),
        "an array": [event()["detail"]],
        "a number": 1,
        "true": True,
        "an empty text": "",
    }
    bodies = {f"detail is {kind}": enveloped(detail=value) for kind, value in values.items()}
    return [
        *texts(INVALID_FIELD, bodies, "detail: must be an object"),
        *texts(INVALID_FIELD, {"detail is empty": enveloped(detail={})}, "detail.tenantId: "),
        *texts(INVALID_FIELD, {"detail is an event": enveloped(detail=event())}, "detail.tenantId: "),
        *texts(INVALID_FIELD, {"the last of two details counts": body()[:-1] + ', "detail": null}'}, "detail: "),
        *texts(
            INVALID_FIELD,
            {"the last of two prices counts": spelled('1, "salePrice": "450"', salePrice="TOKEN")},
            "detail.salePrice: ",
        ),
        *texts(
            INVALID_FIELD,
            {
                "an escaped name hides nothing": body(salePrice="P").replace(
                    'salePrice": "P"', 'sale\\u0050rice": 1.00000000000000001'
                )
            },
            "detail.salePrice: ",
        ),
    ]


def _decoded() -> list[Entry]:
    numbers = {
        "NaN": math.nan,
        "infinity": math.inf,
        "minus infinity": -math.inf,
        "a sum with a rounding error": 0.1 + 0.2,
        "a third": 1 / 3,
        "more than a double carries": 50_000_000_000_000.0,
        "the least double": 5e-324,
        "an integer of 4,000 digits": 10**4000,
    }
    found: list[Entry] = []
    for name in PRICES:
        documents = {f"{name} is {kind}": event(**{name: number}) for kind, number in numbers.items()}
        found += directs(INVALID_FIELD, documents, f"detail.{name}: ")
    for kind, number in {"NaN": math.nan, "infinity": math.inf, "an integer of 4,000 digits": 10**4000}.items():
        document = {f"embedding contains {kind}": event(embedding=[0.5, number])}
        found += directs(INVALID_FIELD, document, "detail.embedding: ")
        found += directs(INVALID_FIELD, {f"daysToSell is {kind}": event(daysToSell=number)}, "detail.daysToSell: ")
    for name in (*TEXTS, "soldDate"):
        document = {f"{name} has a lone surrogate": event(**{name: "a\ud800b"})}
        found += directs(INVALID_FIELD, document, f"detail.{name}: ")
    found += directs(INVALID_FIELD, {"time has a lone surrogate": event() | {"time": "2026\ud800"}}, "time: ")
    return found


def entries() -> list[Entry]:
    """Return all entries of this module."""
    return [
        *_details(),
        *_missing(),
        *_wrong_types(),
        *_hostile_texts(),
        *_numbers(),
        *_dates(),
        *fields(INVALID_FIELD, {f"embedding: {kind}": {"embedding": vector} for kind, vector in VECTORS.items()}),
        *_decoded(),
    ]
