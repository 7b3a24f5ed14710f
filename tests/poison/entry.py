"""An entry of the corpus, and helpers to write entries."""

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
    """A delivery and its required result.

    ``content`` is the text of a queue message, or a decoded event when ``direct`` is set. ``reason`` is None when the
    delivery must be accepted. ``at`` is the required beginning of the rejection's detail.
    """

    name: str
    content: Any
    reason: Reason | None
    at: str = ""
    direct: bool = False


def spelled(token: str, **fields: object) -> str:
    """Return the text of an event, in which ``token`` replaces the value of the field that is ``TOKEN``."""
    return body(**fields).replace('"TOKEN"', token)


def short(token: str) -> str:
    """Return a token for the name of an entry. A long one is abbreviated."""
    return token if len(token) <= 30 else f"{token[:12]}...{token[-4:]} of {len(token)} characters"


def enveloped(**changes: object) -> str:
    """Return the text of an event with changes to its envelope. ``detail_type`` stands for ``detail-type``."""
    return json.dumps(event() | {name.replace("_", "-"): value for name, value in changes.items()})


def texts(reason: Reason | None, bodies: Mapping[str, str], at: str = "") -> list[Entry]:
    """Return an entry for each text of a queue message."""
    return [Entry(name, text, reason, at) for name, text in bodies.items()]


def fields(reason: Reason | None, values: Mapping[str, Mapping[str, object]]) -> list[Entry]:
    """Return an entry for each set of changed fields, by name. A rejection must name the first field."""
    return [
        Entry(name, body(**changes), reason, f"detail.{next(iter(changes))}: " if reason else "")
        for name, changes in values.items()
    ]


def directs(reason: Reason | None, documents: Mapping[str, object], at: str = "") -> list[Entry]:
    """Return an entry for each decoded event."""
    return [Entry(f"direct: {name}", document, reason, at, direct=True) for name, document in documents.items()]
