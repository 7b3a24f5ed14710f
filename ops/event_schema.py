"""The event's JSON Schema, made from the rules that the function checks, for the EventBridge schema registry.

    python -m ops.event_schema            print it
    python -m ops.event_schema --write    put it into template.yaml

EventBridge takes JSON Schema Draft 4 (EventBridge User Guide, "Schema registries"). What JSON Schema can't say is in
the descriptions: that a price is exact, that a date may lie two days ahead of the event.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any, Final

from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic.fields import FieldInfo

from lambda_fn import event
from lambda_fn.sale import EVENT_TYPE

TEMPLATE: Final = Path(__file__).resolve().parents[1] / "template.yaml"
_INDENT: Final = 8
_CONTENT: Final = re.compile(r"(?<=      Content: \|\n)(?:        .*\n)+")
_KEYWORDS: Final = (
    (MinLen, "min_length", "minLength"),
    (MaxLen, "max_length", "maxLength"),
    (Ge, "ge", "minimum"),
    (Le, "le", "maximum"),
)
_SPECIAL: Final[dict[str, dict[str, Any]]] = {
    "listedPrice": {"$ref": "#/definitions/price"},
    "salePrice": {"$ref": "#/definitions/price"},
    "soldDate": {"type": "string", "description": "a date YYYY-MM-DD, or an ISO 8601 instant with a time zone"},
    "embedding": {
        "type": "array",
        "items": {"type": "number"},
        "minItems": 1,
        "maxItems": event.EMBEDDING_LIMIT,
        "description": "finite 32-bit floats",
    },
}
_KEY_PARTS: Final = ("tenantId", "productId", "saleId")


def schema() -> dict[str, Any]:
    """Return the schema of an event as it stands on the bus."""
    fields = {field.alias or name: field for name, field in event._Detail.model_fields.items()}
    price = {
        "type": "number",
        "minimum": 0,
        "maximum": int(event.PRICE_LIMIT),
        "exclusiveMaximum": True,
        "description": f"exact, with {event.PRICE_DECIMALS} decimals at most",
    }
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "CarouselProductSold",
        "type": "object",
        "required": ["detail-type", "source", "time", "detail"],
        "properties": {
            "detail-type": {"enum": [EVENT_TYPE]},
            "source": {"enum": [event.EVENT_SOURCE]},
            "time": {"type": "string", "format": "date-time"},
            "detail": {"$ref": "#/definitions/detail"},
        },
        "definitions": {
            "price": price,
            "detail": {
                "type": "object",
                "required": sorted(name for name, field in fields.items() if field.is_required()),
                "properties": {name: _property(name, field) for name, field in fields.items()},
            },
        },
    }


def _property(name: str, field: FieldInfo) -> dict[str, Any]:
    if name in _SPECIAL:
        found = dict(_SPECIAL[name])
    else:
        found = {"type": "integer" if "int" in str(field.annotation) else "string"}
        found |= _bounds(field)
        if name in _KEY_PARTS:
            found["pattern"] = r"^[^#\u0000-\u001f\u007f-\u009f]+$"
    if field.is_required():
        return found
    # An optional field may be there and null.
    return {"anyOf": [found, {"type": "null"}]}


def _bounds(field: FieldInfo) -> dict[str, int]:
    """Return the bounds of a field, which stand beside the type, or within it when it may be absent."""
    metadata = list(field.metadata)
    for option in getattr(field.annotation, "__args__", ()):
        for extra in getattr(option, "__metadata__", ()):
            metadata += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return {
        keyword: getattr(rule, name) for rule in metadata for kind, name, keyword in _KEYWORDS if isinstance(rule, kind)
    }


def as_text() -> str:
    """Return the schema as it stands in the template, without the indentation."""
    return _expanded(schema(), levels=4) + "\n"


def _expanded(value: Any, levels: int, indent: str = "") -> str:
    """Write JSON with a line for each member of the outer levels, and the inner ones as they come."""
    if not levels or not isinstance(value, dict):
        return json.dumps(value)
    members = (
        f"{indent} {json.dumps(name)}: {_expanded(held, levels - 1, indent + ' ')}" for name, held in value.items()
    )
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"


def written_in(template: str) -> str | None:
    """Return the schema that the template has, without the indentation; None when it has none."""
    found = _CONTENT.search(template)
    return "".join(line[_INDENT:] for line in found[0].splitlines(keepends=True)) if found else None


def main() -> None:
    """Print the schema, or put it into template.yaml."""
    if "--write" in sys.argv[1:]:
        lines = "".join(" " * _INDENT + line for line in as_text().splitlines(keepends=True))
        TEMPLATE.write_text(_CONTENT.sub(lambda _: lines, TEMPLATE.read_text()))
    else:
        sys.stdout.write(as_text())


if __name__ == "__main__":
    main()
