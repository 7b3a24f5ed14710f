"""The event's JSON Schema for the EventBridge schema registry, made from the rules that the function checks.

    python -m carousel_sync.contract.registry_schema            print it
    python -m carousel_sync.contract.registry_schema --write    put it into template.yaml

The registry takes Draft 4 (EventBridge User Guide, "Schema registries"); the released contracts in schemas/events say
the same in a later draft.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Any, Final

from carousel_sync.project import TEMPLATE
from lambda_fn.event import EVENT_SOURCE, detail_schema
from lambda_fn.sale import EVENT_TYPE

_INDENT: Final = 8
_CONTENT: Final = re.compile(r"(?<=      Content: \|\n)(?:        .*\n)+")
_LEVELS_OF_LINES: Final = 3
# Notes of the generator: a title repeats the name, and an absent field has no default but its absence.
_LEFT_OUT: Final = frozenset({"title", "default", "description"})


def schema() -> dict[str, Any]:
    """Return the schema of an event as it stands on the bus."""
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": "CarouselProductSold",
        "type": "object",
        "required": ["detail-type", "source", "time", "detail"],
        "properties": {
            "detail-type": {"enum": [EVENT_TYPE]},
            "source": {"enum": [EVENT_SOURCE]},
            "time": {"type": "string", "format": "date-time"},
            "detail": _draft_4(detail_schema()),
        },
    }


def as_text() -> str:
    """Return the schema as it stands in the template, without the indentation."""
    return _expanded(schema(), levels=_LEVELS_OF_LINES + 1) + "\n"


def written_in(template: str) -> str | None:
    """Return the schema that the template has, without the indentation; None when it has none."""
    found = _CONTENT.search(template)
    return "".join(line[_INDENT:] for line in found[0].splitlines(keepends=True)) if found else None


def _draft_4(rules: dict[str, Any]) -> dict[str, Any]:
    """Put an object's rules into the words of Draft 4, in which an exclusive bound is a note on the bound."""
    written = {name: value for name, value in rules.items() if name not in _LEFT_OUT}
    if "exclusiveMaximum" in written:
        written |= {"maximum": written["exclusiveMaximum"], "exclusiveMaximum": True}
    if "anyOf" in written:
        written["anyOf"] = [_draft_4(option) for option in written["anyOf"]]
    if "properties" in written:
        written["properties"] = {name: _draft_4(held) for name, held in written["properties"].items()}
    return written


def _expanded(value: Any, levels: int, indent: str = "") -> str:
    """Write JSON with a line for each member of the outer levels, and the inner ones as they come."""
    if not levels or not isinstance(value, dict):
        return json.dumps(value)
    inner = f"{indent} "
    members = (f"{inner}{json.dumps(name)}: {_expanded(held, levels - 1, inner)}" for name, held in value.items())
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"


def main() -> None:
    """Print the schema, or put it into template.yaml."""
    if "--write" in sys.argv[1:]:
        lines = "".join(" " * _INDENT + line for line in as_text().splitlines(keepends=True))
        TEMPLATE.write_text(_CONTENT.sub(lambda _: lines, TEMPLATE.read_text()))
    else:
        sys.stdout.write(as_text())


if __name__ == "__main__":
    main()
