"""Texts that are not JSON (RFC 8259), as broken or foreign producers send them."""

from __future__ import annotations

import base64
import gzip
import json
import urllib.parse
from typing import Final

from tests.builders import body, event
from tests.poison.entry import INVALID_JSON, Entry, spelled, texts

VALID: Final = body(description="Speedy 30 – très beau 👜")
RAW: Final = json.dumps(event(description="Speedy 30 – très beau 👜"), ensure_ascii=False)
UTF8: Final = RAW.encode()
MEGABYTE: Final = 1024 * 1024


def _as_received(content: bytes) -> str:
    """Return bytes as a queue that transports only text delivers them: invalid UTF-8 becomes U+FFFD."""
    return content.decode("utf-8", "replace")


ENCODINGS: Final = {
    "UTF-8 with a byte order mark": "\ufeff" + RAW,
    "a byte order mark in the middle": RAW.replace('"detail"', '\ufeff"detail"'),
    "UTF-16": _as_received(RAW.encode("utf-16")),
    "UTF-16, little end first": _as_received(RAW.encode("utf-16-le")),
    "UTF-16, big end first": _as_received(RAW.encode("utf-16-be")),
    "UTF-32": _as_received(RAW.encode("utf-32")),
    "EBCDIC": _as_received(VALID.encode("cp500")),
    "UTF-7": RAW.replace("{", "+AHs-"),
    "gzip": _as_received(gzip.compress(UTF8, mtime=0)),
    "gzip in base64": base64.b64encode(gzip.compress(UTF8, mtime=0)).decode(),
    "base64": base64.b64encode(UTF8).decode(),
    "base64 in url letters": base64.urlsafe_b64encode(UTF8).decode().rstrip("="),
    "hexadecimal": UTF8.hex(),
    "percent signs": urllib.parse.quote(RAW),
    "escaped once more": VALID.replace('"', '\\"'),
    "HTML entities": VALID.replace('"', "&quot;"),
}

OTHER_FORMATS: Final = {
    "nothing": "",
    "a space": " ",
    "white space": " \t\r\n" * 10,
    "a NUL": "\x00",
    "a megabyte of spaces": " " * MEGABYTE,
    "a megabyte of NULs": "\x00" * MEGABYTE,
    "plain text": "carousel.product.sold",
    "the word undefined": "undefined",
    "the word None": "None",
    "the word nil": "nil",
    "TRUE in capitals": "TRUE",
    "XML": "<event><detail-type>carousel.product.sold</detail-type></event>",
    "an HTML error page": "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>",
    "YAML": "detail-type: carousel.product.sold\ndetail:\n  tenantId: tenant-1\n",
    "CSV": "tenantId,productId,salePrice\ntenant-1,product-1,450\n",
    "a form": "detail-type=carousel.product.sold&tenantId=tenant-1",
    "a Python dictionary": str(event()),
    "a Ruby hash": VALID.replace(": ", " => "),
    "multipart": f"--boundary\r\nContent-Type: application/json\r\n\r\n{VALID}\r\n--boundary--",
    "JSONP": f"callback({VALID});",
    "a text sequence (RFC 7464)": f"\x1e{VALID}\n",
    "a guarded response": f")]}}',\n{VALID}",
}

BROKEN_SYNTAX: Final = {
    "an opening brace": "{",
    "a closing brace": "}",
    "an opening bracket": "[",
    "a quotation mark": '"',
    "a minus": "-",
    "a lone value separator": ",",
    "one brace too many": VALID + "}",
    "a letter after it": VALID + "x",
    "a NUL after it": VALID + "\x00",
    "a semicolon after it": VALID + ";",
    "two events": VALID + VALID,
    "two events on two lines": f"{VALID}\n{VALID}",
    "a comma after it": VALID + ",",
    "a letter before it": "x" + VALID,
    "a comma after the last field": VALID[:-2] + ",}}",
    "one comma too many": VALID.replace(", ", ",, ", 1),
    "a missing comma": VALID.replace(", ", " ", 1),
    "a missing colon": VALID.replace('"detail":', '"detail"'),
    "an equals sign": VALID.replace('"detail":', '"detail" ='),
    "single quotes": VALID.replace('"', "'"),
    "typographic quotes": VALID.replace('"', "“"),
    "names without quotes": VALID.replace('"detail"', "detail"),
    "a number as a name": VALID.replace('"detail"', "1"),
    "a comment at the end of a line": VALID.replace(', "detail"', ', // note\n"detail"'),
    "a comment in stars": VALID.replace(', "detail"', ', /* note */ "detail"'),
    "a comment with a hash": "# note\n" + VALID,
    "a no-break space between tokens": VALID.replace(", ", ",\u00a0"),
    "a form feed between tokens": VALID.replace(", ", ",\f"),
    "a line separator between tokens": VALID.replace(", ", ",\u2028"),
    "a text over two lines": spelled('"a\nb"', description="TOKEN"),
    "a raw tab in a text": spelled('"a\tb"', description="TOKEN"),
    "a raw NUL in a text": spelled('"a\x00b"', description="TOKEN"),
    "an escape that does not exist": spelled('"\\x41"', description="TOKEN"),
    "an escaped apostrophe": spelled('"\\\'"', description="TOKEN"),
    "a short Unicode escape": spelled('"\\u12"', description="TOKEN"),
    "a Unicode escape without digits": spelled('"\\uZZZZ"', description="TOKEN"),
    "a backslash at the end of a text": spelled('"\\"', description="TOKEN"),
    "a text of a megabyte without end": '{"detail": "' + "x" * MEGABYTE,
}

SURROGATES: Final = {
    "a lone high surrogate, escaped": spelled('"\\ud83d"', description="TOKEN"),
    "a lone low surrogate, escaped": spelled('"\\udc5c"', description="TOKEN"),
    "surrogates in the wrong order": spelled('"\\udc5c\\ud83d"', description="TOKEN"),
    "a high surrogate and a letter": spelled('"\\ud83dx"', brand="TOKEN"),
    "two high surrogates": spelled('"\\ud83d\\ud83d"', brand="TOKEN"),
    "a lone surrogate in an id": spelled('"\\ud800"', tenantId="TOKEN"),
    "a lone surrogate in a name": VALID.replace('"brand"', '"\\udfff": 1, "brand"'),
    "a lone surrogate in an unknown field": spelled('"\\ud800"', unknown="TOKEN"),
    "a lone surrogate, raw": VALID.replace("Louis", "\ud800"),
    "a lone low surrogate, raw": VALID.replace("Louis", "\udfff"),
    "a pair of surrogates, raw": VALID.replace("Louis", "\ud83d\udc5c"),
}

NUMBERS: Final = [
    *("NaN", "-NaN", "Infinity", "-Infinity", "inf", "1.#INF", "+450", "--450", "0450", "00", "-", ".5", "5.", "-.5"),
    *("1e", "1e+", "1.5.5", "1,5", "4 50", "0x1C2", "0b1", "0o7", "1_000", "450n", "450f", "450.00€", "٤٥٠", "４５０"),
    *("1e309", "-1e309", "1e400", "1e999999", "1e99999999999999999999"),
]

DEPTHS: Final = {
    "brackets 2,000 deep": "[" * 2_000 + "]" * 2_000,
    "brackets 100,000 deep": "[" * 100_000 + "]" * 100_000,
    "a megabyte of opening brackets": "[" * MEGABYTE,
    "a megabyte of opening braces": '{"a":' * (MEGABYTE // 5),
    "objects 50,000 deep": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "an unknown field 20,000 deep": spelled("[" * 20_000 + "]" * 20_000, unknown="TOKEN"),
    "a detail 5,000 deep": VALID.replace('"detail": ', '"detail": ' + '{"detail": ' * 5_000)[:-1] + "}" * 5_001,
}


def entries() -> list[Entry]:
    """Return all entries of this module."""
    cuts = [2, 10, 50, 100, len(VALID) // 2, len(VALID) - 10, len(VALID) - 2, len(VALID) - 1]
    bodies = {
        **ENCODINGS,
        **OTHER_FORMATS,
        **BROKEN_SYNTAX,
        **SURROGATES,
        **DEPTHS,
        **{f"cut off after {cut} characters": VALID[:cut] for cut in cuts},
        **{f"the number {token}": spelled(token, salePrice="TOKEN") for token in NUMBERS},
        "NaN in an embedding": spelled("NaN", embedding=[0.5, "TOKEN"]),
        "Infinity in an embedding": spelled("-Infinity", embedding=[0.5, "TOKEN"]),
        "an integer of 400 digits": spelled("9" * 400, daysToSell="TOKEN"),
        "a number of a megabyte": spelled("1" * MEGABYTE, salePrice="TOKEN"),
    }
    return texts(INVALID_JSON, bodies, "the body is not valid JSON (RFC 8259)")
