"""One entry of the corpus, and the ways to spell an event."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lambda_fn.ports import Reason
from tests.builders import body, event

INVALID_JSON: Final = Reason.INVALID_JSON
NOT_A_SALE: Final = Reason.NOT_A_SALE
INVALID_FIELD: Final = Reason.INVALID_FIELD
ACCEPTED: Final = None

REQUIRED: Final = ("tenantId", "productId", "category", "brand", "listedPrice", "salePrice", "soldDate")
OPTIONAL_TEXTS: Final = ("condition", "description", "vendorId", "imageS3Key", "embeddingId")
KEY_PARTS: Final = ("tenantId", "productId", "saleId")
TEXTS: Final = (*KEY_PARTS, "category", "brand", *OPTIONAL_TEXTS)
PRICES: Final = ("listedPrice", "salePrice")


@dataclass(frozen=True)
class Entry:
    """Something that is delivered, and what has to become of it.

    ``content`` is the text of a queue message, or with ``direct`` a decoded event. ``reason`` is None where it has to
    be accepted; ``at`` is how the rejection's detail has to begin.
    """

    name: str
    content: Any
    reason: Reason | None
    at: str = ""
    direct: bool = False


def spelled(token: str, **fields: object) -> str:
    """Return the text of an event; where a field's value is ``TOKEN``, the text has the token just so."""
    return body(**fields).replace('"TOKEN"', token)


def short(token: str) -> str:
    """Return a token as a name: the long ones by their ends and their length."""
    return token if len(token) <= 30 else f"{token[:12]}...{token[-4:]} of {len(token)} characters"


def enveloped(**changes: object) -> str:
    """Return the text of an event whose envelope is changed; ``detail_type`` stands for ``detail-type``."""
    return json.dumps(event() | {name.replace("_", "-"): value for name, value in changes.items()})


def texts(reason: Reason | None, bodies: Mapping[str, str], at: str = "") -> list[Entry]:
    """Return an entry for each text of a queue message."""
    return [Entry(name, text, reason, at) for name, text in bodies.items()]


def fields(reason: Reason | None, values: Mapping[str, Mapping[str, object]]) -> list[Entry]:
    """Return an entry for each way of changing an event's fields, by name; a rejection is at the first field."""
    return [
        Entry(name, body(**changes), reason, f"detail.{next(iter(changes))}: " if reason else "")
        for name, changes in values.items()
    ]


def directs(reason: Reason | None, documents: Mapping[str, object], at: str = "") -> list[Entry]:
    """Return an entry for each decoded event."""
    return [Entry(f"direct: {name}", document, reason, at, direct=True) for name, document in documents.items()]
