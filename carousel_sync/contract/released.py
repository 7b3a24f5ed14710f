"""The event's contract as JSON Schema, one file a version, and the check that a new version takes what the last took.

``write`` writes the version after the last released one, or the present one anew while it
is not released. ``check`` fails when the newest file is not what the code demands, or when
the code refuses something that the last released version took. ``schemas/events/RELEASED`` holds that version's number;
raise it when producers may rely on a version, and never change a released file. (:mod:`.registry_schema` writes the
same rules for the schema registry of EventBridge, in its dialect.)
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from carousel_sync.project import PROJECT_ROOT
from lambda_fn.event import EVENT_SOURCE, detail_schema
from lambda_fn.sale import EVENT_TYPE

FOLDER: Final = PROJECT_ROOT / "schemas" / "events"
RELEASED: Final = "RELEASED"
_FILE: Final = re.compile(rf"{re.escape(EVENT_TYPE)}\.v([0-9]+)\.json")

Schema = Mapping[str, Any]

# What a keyword may become without refusing more: it may be dropped, and a limit may move outwards.
_LOWER_LIMITS: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER_LIMITS: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_WORDS: Final = frozenset({"title", "description", "default", "examples", "$schema", "$id"})
_STRUCTURE: Final = frozenset({"anyOf", "properties", "required", "items", "type"})


class ContractBroken(Exception):
    """The contract and its files don't agree; the message says where, and what to do."""


def event_schema(version: int) -> dict[str, Any]:
    """Return the whole event's schema, as the code demands it."""
    detail = detail_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{EVENT_TYPE}, version {version}",
        "description": "An EventBridge event that reports a sale. Fields beyond these are tolerated and counted.",
        "type": "object",
        "required": ["source", "detail-type", "time", "detail"],
        "properties": {
            "source": {"const": EVENT_SOURCE},
            "detail-type": {"const": EVENT_TYPE},
            "time": {"type": "string", "format": "date-time"},
            "detail": {name: detail[name] for name in ("type", "required", "properties")},
        },
    }


def refused_more(old: Schema, new: Schema, where: str = "event") -> Iterator[str]:
    """Yield what the new schema refuses, or no longer knows, and the old one took."""
    for alternative in _alternatives(old):
        problems = [list(_narrowed(alternative, other, where)) for other in _alternatives(new)]
        if not any(not found for found in problems):
            yield from min(problems, key=len)


def check(folder: Path = FOLDER) -> str:
    """Return what was found to be right. Raises ContractBroken."""
    versions = _versions(folder)
    released = _released(folder)
    if released not in versions:
        raise ContractBroken(f"{folder / RELEASED} names version {released}, and there is no file of it.")
    newest = max(versions)
    wanted = event_schema(newest)
    problems = list(refused_more(_read(versions[released]), wanted))
    if problems:
        raise ContractBroken(
            f"Events that version {released} of the contract takes would be refused, or lose a field: "
            f"{'; '.join(problems)}. Keep the field as it is: add a new one beside it, let producers and consumers "
            "move, and take the old one away with a new event type (docs/schema-evolution.md)."
        )
    if _read(versions[newest]) != wanted:
        raise ContractBroken(
            f"{versions[newest].name} is not what lambda_fn/event.py demands. Write it: "
            "python -m carousel_sync.contract.released write"
        )
    return f"{versions[newest].name} is what the code demands, and takes all that version {released} takes."


def write(folder: Path = FOLDER) -> Path:
    """Write the version after the last released one, unless that one is what the code demands still."""
    versions, released = _versions(folder), _released(folder)
    unchanged = released in versions and _read(versions[released]) == event_schema(released)
    number = released if unchanged else released + 1
    path = folder / f"{EVENT_TYPE}.v{number}.json"
    path.write_text(json.dumps(event_schema(number), indent=2) + "\n")
    return path


def _alternatives(schema: Schema) -> list[Schema]:
    """Return the schemas of which one has to hold; several types are several schemas."""
    return [
        single for one in schema.get("anyOf", [schema]) for single in (_alternatives(one) if "anyOf" in one else [one])
    ]


def _narrowed(old: Schema, new: Schema, where: str) -> Iterator[str]:
    if "type" in new and old.get("type") != new["type"] and (old.get("type"), new["type"]) != ("integer", "number"):
        yield f"{where}: type {new['type']} instead of {old.get('type', 'any')}"
        return
    for name in (new.keys() | old.keys()) - _WORDS - _STRUCTURE:
        if name not in new or old.get(name) == new[name]:
            continue
        wider = name in old and (
            (name in _LOWER_LIMITS and new[name] < old[name]) or (name in _UPPER_LIMITS and new[name] > old[name])
        )
        if not wider:
            yield f"{where}: {name} {new[name]} instead of {old.get(name, 'none')}"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{where}.{name}: required"
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{where}.{name}: gone"
        else:
            yield from refused_more(schema, new["properties"][name], f"{where}.{name}")
    if "items" in new:
        yield from refused_more(old.get("items", {}), new["items"], f"{where}[]")


def _versions(folder: Path) -> dict[int, Path]:
    found = ((_FILE.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in found if match}


def _released(folder: Path) -> int:
    return int((folder / RELEASED).read_text())


def _read(path: Path) -> Any:
    return json.loads(path.read_text())


def main(arguments: list[str]) -> int:
    """Run ``check`` or ``write``; 0 when the contract is in order."""
    try:
        if arguments == ["write"]:
            sys.stdout.write(f"Wrote {write()}\n")
        elif arguments == ["check"]:
            sys.stdout.write(f"{check()}\n")
        else:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    except ContractBroken as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
