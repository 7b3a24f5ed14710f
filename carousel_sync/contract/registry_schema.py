"""The event's JSON Schema for the EventBridge schema registry, generated from the rules that the function checks.

    python -m carousel_sync.contract.registry_schema            print the schema
    python -m carousel_sync.contract.registry_schema --write    write it into template.yaml

The registry supports JSON Schema Draft 4 (EventBridge User Guide, "Schema registries"). The contracts in schemas/events
state the same rules in draft 2020-12.
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
# The generator's annotations: the title is the name of a class, and every default is null.
_LEFT_OUT: Final = frozenset({"title", "default"})


def schema() -> dict[str, Any]:
    """Return the schema of an event on the bus, in Draft 4."""
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
    """Return the schema as template.yaml has it, without the indentation."""
    return _expanded(schema(), levels=4) + "\n"


def written_in(template: str) -> str | None:
    """Return the schema in a template, without the indentation, or None when there is none."""
    found = _CONTENT.search(template)
    return "".join(line[_INDENT:] for line in found[0].splitlines(keepends=True)) if found else None


def _draft_4(rules: dict[str, Any]) -> dict[str, Any]:
    """Return the rules in Draft 4, where ``exclusiveMaximum`` is a flag beside ``maximum``."""
    converted = {name: value for name, value in rules.items() if name not in _LEFT_OUT}
    if "exclusiveMaximum" in converted:
        converted |= {"maximum": converted["exclusiveMaximum"], "exclusiveMaximum": True}
    if "anyOf" in converted:
        converted["anyOf"] = [_draft_4(option) for option in converted["anyOf"]]
    if "properties" in converted:
        converted["properties"] = {name: _draft_4(value) for name, value in converted["properties"].items()}
    return converted


def _expanded(value: Any, levels: int, indent: str = "") -> str:
    """Return a value as JSON. Each member of the outer ``levels`` has a line of its own."""
    if not levels or not isinstance(value, dict):
        return json.dumps(value)
    inner = f"{indent} "
    members = (f"{inner}{json.dumps(name)}: {_expanded(member, levels - 1, inner)}" for name, member in value.items())
    return "{\n" + ",\n".join(members) + f"\n{indent}}}"


def main() -> None:
    """Print the schema, or write it into template.yaml."""
    if "--write" in sys.argv[1:]:
        lines = "".join(" " * _INDENT + line for line in as_text().splitlines(keepends=True))
        TEMPLATE.write_text(_CONTENT.sub(lambda _: lines, TEMPLATE.read_text()))
    else:
        sys.stdout.write(as_text())


if __name__ == "__main__":
    main()
