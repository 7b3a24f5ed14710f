"""Events that look invalid and are valid: each must become a sale."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.builders import body, embedding, event
from tests.poison.entry import (
    ACCEPTED,
    OPTIONAL_TEXTS,
    PRICES,
    Entry,
    directs,
    enveloped,
    fields,
    short,
    spelled,
    texts,
)

KILOBYTE: Final = 1024
RAW: Final = json.dumps(event(brand="Hermès 👜"), ensure_ascii=False)

SPELLINGS: Final = {
    "with white space everywhere": "\r\n\t " + body().replace(", ", " ,\n\t").replace(": ", "\r : ") + "\n\n",
    "without white space": json.dumps(event(), separators=(",", ":")),
    "with names in reverse": json.dumps(dict(reversed(event().items()))),
    "with raw letters": RAW,
    "with every letter of a text escaped": body(brand="B").replace('"B"', '"\\u004c\\u006f\\u0075\\u0069\\u0073"'),
    "with every letter of a name escaped": body().replace('"brand"', '"\\u0062\\u0072\\u0061\\u006e\\u0064"'),
    "with escaped slashes": body(imageS3Key="s3://a/b").replace("/", "\\/"),
    "with a pair of surrogates": body(brand="B").replace('"B"', '"\\ud83d\\udc5c"'),
    "with two brands, the last valid": body().replace('"brand":', '"brand": 7, "brand":'),
    "with two details, the last valid": body().replace('"detail":', '"detail": null, "detail":'),
    "with two detail types, the last valid": body().replace('"detail-type":', '"detail-type": 1, "detail-type":'),
    "with two prices, the last valid": spelled('"450", "salePrice": 450', salePrice="TOKEN"),
    "with a carriage return after it": body() + "\r",
}

ENVELOPES: Final = {
    "with the required members only": json.dumps({n: event()[n] for n in ("detail-type", "source", "time", "detail")}),
    "replayed from an archive": enveloped(replay_name="replay-1"),
    "with nulls around": enveloped(version=None, id=None, account=None, region=None, resources=None),
    "with wrong types around": enveloped(version=7, id=[], account={}, region=1.5, resources="x"),
    "with an unknown name": enveloped(**{"": {"": ""}, "trace": "x" * 100 * KILOBYTE}),
    "with a time in another zone": enveloped(time="2026-03-15T23:30:00+14:00"),
    "with a time to the microsecond": enveloped(time="2026-03-15T10:00:00.123456Z"),
    "with a time in the basic format": enveloped(time="20260315T100000Z"),
    "with a time in the last year": enveloped(time="9999-12-31T23:59:59Z"),
    "with a leap day as its time": json.dumps(event(soldDate="2024-02-29") | {"time": "2024-02-29T12:00:00Z"}),
    "sold in 9997, reported in 9999": json.dumps(event(soldDate="9997-12-31") | {"time": "9999-12-31T23:59:59Z"}),
}

UNKNOWN: Final[dict[str, Any]] = {
    "null": {"later": None},
    "900 kilobytes": {"later": "x" * 900 * KILOBYTE},
    "10,000 fields": {f"later{number}": number for number in range(10_000)},
    "a name of 100 kilobytes": {"n" * 100 * KILOBYTE: 1},
    "an empty name": {"": 1},
    "a prototype": {"__proto__": {"salePrice": 1}, "constructor": {}},
    "names in snake case": {"tenant_id": "x", "sale_price": 1},
    "names with other letters": {"Brand": 7, "brand ": 7, "brаnd": 7, "br\u200band": 7},
    "markup": {"$ref": "#/detail", "<b>": "&lt;", "{{7*7}}": "${jndi:ldap://x}"},
    "a price with another name": {"oldPrice": -1, "Price": "x"},
    "nested facts": {"more": {"salePrice": "450", "tenantId": "#"}},
}

UNKNOWN_TOKENS: Final = {
    "arrays 500 deep": "[" * 500 + "]" * 500,
    "objects 500 deep": '{"a":' * 500 + "1" + "}" * 500,
    "a number that a double rounds to zero": "1e-400",
    "an exponent too large for a decimal": "1e-99999999999999999999",
    "an integer of 300 digits": "9" * 300,
    "a fraction of 100,000 digits": "0." + "1" * 100_000,
}

IDS: Final = {
    "a space": " ",
    "one character": "a",
    "128 characters": "x" * 128,
    "128 wide characters": "👜" * 128,
    "a path": "../../etc/passwd",
    "a path of Windows": "..\\..\\windows",
    "slashes": "a/b//c/",
    "SQL": "'; DROP TABLE sales; --",
    "a condition of DynamoDB": "attribute_not_exists(PK)",
    "markup": "<script>alert(1)</script>",
    "a template": "${jndi:ldap://x/a}{{7*7}}%n%s",
    "a quotation mark": '"',
    "a backslash": "\\",
    "an apostrophe": "O'Brien",
    "partition syntax": "tenant_id=a/year=2026",
    "percent signs": "%2e%2e%2f%00",
    "the word null": "null",
    "the word undefined": "undefined",
    "a number": "0",
    "a key of the guard": "VERSION",
    "another alphabet": "商品-日本語-العربية-עברית",
    "text from right to left": "\u202eabc\u202c",
    "no width": "\u200b\u200d\ufeff",
    "combining marks": "e" + "\u0301" * 100,
    "a letter that looks like another": "tenаnt-1",
    "full width": "ｔｅｎａｎｔ",
    "a line separator": "a\u2028b\u2029c",
    "a no-break space": "\u00a0",
    "no character": "\uffff\ufffe",
    "a replacement character": "\ufffd",
    "the last character": "\U0010ffff",
    "the last before the surrogates": "\ud7ff" * 20,
    "private use": "\ue000\uf8ff",
    "a flag and a family": "🏳️‍🌈👨‍👩‍👧‍👦",
}

LABELS: Final = {
    "256 characters": "x" * 256,
    "256 wide characters": "👜" * 256,
    "the separator": "a#b#c",
    "a NUL": "a\x00b",
    "lines": "a\nb\r\nc",
    "a space": " ",
    "an escape sequence": "\x1b[31m",
    # Iceberg truncates an upper bound to 16 characters and increments the last one. These have no next character.
    "the last before the surrogates at position 16": "x" * 15 + "\ud7ff" * 5,
    "nothing but the last before the surrogates": "\ud7ff" * 40,
    "the last character at position 16": "x" * 15 + "\U0010ffff" * 5,
    "nothing but the last character": "\U0010ffff" * 40,
}

PRICE_TOKENS: Final = [
    *("0", "-0", "0.0", "-0.0", "-0e0", "0e999", "0E-999999", "0.0000000000000000000000001e21", "0.0001", "1e-4"),
    *(
        "450",
        "450.0",
        "450.00000000000000000000000000",
        "4.5E+2",
        "4.5e2",
        "45000e-2",
        "0.00045e6",
        "1E13",
        "99999999999999",
    ),
    *(
        "99999999999999.9999",
        "99999999999999.99990000",
        "9.99999999999999999e13",
        "12345678901234.5678",
        "0.3",
        "450.1",
    ),
    *("100000000000.1", "0." + "0" * 5_000, "450." + "0" * 100_000),
]

DATES: Final = [
    *(
        "2000-01-01",
        "2000-02-29",
        "2024-02-29",
        "2026-03-17",
        "2026-03-17T23:59:59.999999999Z",
        "2026-01-01T00:00+14:00",
    ),
    *("1999-12-31T23:30:00-01:00", "2026-03-18T00:30:00+01:00", "2026-W11-6T12:00:00Z", "20260314T120000Z"),
    *("2026-03-14T12Z", "2026-03-14T12:00:00,5Z", "2026-03-14T12:00:00-00:00", "2026-03-14T12:00:00+23:59:59"),
]

VECTORS: Final[dict[str, list[Any]]] = {
    "one number": [0.5],
    "zeros of both signs": [0.0, -0.0, 0, -0],
    "the usual size": list(embedding(1024)),
    "the largest size": list(embedding(4096)),
    "the largest floats": [3.4028234663852886e38, -3.4028234663852886e38] * 2048,
    "the least floats": [1.401298464324817e-45, -1.401298464324817e-45],
    "numbers that a float rounds to zero": [1e-60, 5e-324],
    "integers": [1, -1, 2**53 + 1, 10**38],
    "numbers that must not be rounded twice": [7.038531e-26, 7.0385307e-26],
}


def _texts() -> list[Entry]:
    values: dict[str, dict[str, object]] = {}
    for kind, text in IDS.items():
        values[f"ids with {kind}"] = {"tenantId": text, "productId": text, "saleId": text}
    for kind, text in LABELS.items():
        values[f"labels with {kind}"] = {"category": text, "brand": text}
        values[f"optional texts with {kind}"] = dict.fromkeys(OPTIONAL_TEXTS, text)
    for name in OPTIONAL_TEXTS:
        values[f"{name} is empty"] = {name: ""}
        values[f"{name} is null"] = {name: None}
    values["a description of 10,000 wide characters"] = {"description": "👜" * 10_000}
    values["a description that is JSON"] = {"description": body()}
    values["an image key of 100 kilobytes"] = {"imageS3Key": "k" * 100 * KILOBYTE}
    values["every optional field is null"] = dict.fromkeys(("saleId", "daysToSell", "embedding", *OPTIONAL_TEXTS))
    return fields(ACCEPTED, values)


def entries() -> list[Entry]:
    """Return all entries of this module."""
    prices = {
        f"{name} is {short(token)}": spelled(token, **{name: "TOKEN"}) for name in PRICES for token in PRICE_TOKENS
    }
    return [
        *texts(ACCEPTED, SPELLINGS),
        *texts(ACCEPTED, ENVELOPES),
        *fields(ACCEPTED, {f"unknown: {kind}": values for kind, values in UNKNOWN.items()}),
        *texts(ACCEPTED, {f"unknown: {kind}": spelled(t, later="TOKEN") for kind, t in UNKNOWN_TOKENS.items()}),
        *_texts(),
        *texts(ACCEPTED, prices),
        *fields(ACCEPTED, {f"daysToSell is {days}": {"daysToSell": days} for days in (0, 36_500)}),
        *texts(ACCEPTED, {"daysToSell is -0": spelled("-0", daysToSell="TOKEN")}),
        *fields(ACCEPTED, {f"soldDate is {text}": {"soldDate": text} for text in DATES}),
        *fields(ACCEPTED, {f"embedding: {kind}": {"embedding": vector} for kind, vector in VECTORS.items()}),
        *directs(
            ACCEPTED,
            {
                "a price that is negative zero": event(salePrice=-0.0),
                "the largest price that is certain": event(listedPrice=99_999_999_999.9999),
                "the largest whole price": event(listedPrice=10**14 - 1),
                "a lone surrogate in an unknown field": event(later="\ud800", **{"\udfff": "\ud800"}),
                "NaN in an unknown field": event(later=float("nan")),
            },
        ),
    ]
