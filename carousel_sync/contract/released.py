"""The event's contract as JSON Schema, one file for each version, and the check that a version breaks no producer.

    python -m carousel_sync.contract.released check    compare the code with the files
    python -m carousel_sync.contract.released write    write the version after the last released one

``schemas/events/RELEASED`` has the number of the last released version. Raise it when producers may rely on a new
version, and never change a released file. ``check`` fails when the newest file differs from the code's rules, or when
the code rejects something that the last released version accepts. :mod:`.registry_schema` writes the same rules for
EventBridge's schema registry.
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

# A keyword may be dropped, and a limit may move outwards, without rejecting more events.
_LOWER_LIMITS: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER_LIMITS: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "$schema", "$id"})
_STRUCTURE: Final = frozenset({"anyOf", "properties", "required", "items", "type"})


class ContractBroken(Exception):
    """The code and the files of the contract disagree. The message says where, and what to do."""


def event_schema(version: int) -> dict[str, Any]:
    """Return the schema of the whole event, generated from the code's rules."""
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


def narrowed(old: Schema, new: Schema, path: str = "event") -> Iterator[str]:
    """Yield each place at which the new schema rejects, or no longer has, what the old one accepts."""
    for alternative in _alternatives(old):
        yield from min((list(_narrowed(alternative, other, path)) for other in _alternatives(new)), key=len)


def check(folder: Path = FOLDER) -> str:
    """Return a sentence that says what agrees. Raises ContractBroken."""
    versions = _versions(folder)
    released = _released(folder)
    if released not in versions:
        raise ContractBroken(f"{folder / RELEASED} names version {released}, which has no file.")
    newest = max(versions)
    problems = list(narrowed(json.loads(versions[released].read_text()), event_schema(newest)))
    if problems:
        raise ContractBroken(
            f"The code rejects events that version {released} of the contract accepts, or ignores a field of them: "
            f"{'; '.join(problems)}. Keep the field as it is: add a new field beside it, let producers and consumers "
            "move to it, and remove the old one with a new event type (docs/schema-evolution.md)."
        )
    if not _has_rules_of_the_code(versions[newest], newest):
        raise ContractBroken(
            f"{versions[newest].name} differs from the rules in lambda_fn/event.py. Write the next version: "
            "python -m carousel_sync.contract.released write"
        )
    return f"{versions[newest].name} has the rules of the code, and accepts all that version {released} accepts."


def write(folder: Path = FOLDER) -> Path:
    """Write the version after the last released one, and return its path.

    Writes nothing, and returns the path of the last released version, while that version has the rules of the code.
    """
    versions, released = _versions(folder), _released(folder)
    if released in versions and _has_rules_of_the_code(versions[released], released):
        return versions[released]
    path = folder / f"{EVENT_TYPE}.v{released + 1}.json"
    path.write_text(json.dumps(event_schema(released + 1), indent=2) + "\n")
    return path


def _has_rules_of_the_code(path: Path, version: int) -> bool:
    """Return whether a file equals the generated schema, apart from the titles, which only released files have."""
    return _untitled(path.read_text()) == _untitled(json.dumps(event_schema(version)))


def _untitled(text: str) -> object:
    def without_title(members: dict[str, Any]) -> dict[str, Any]:
        # The rules of a field whose name is "title" are not a text.
        return {name: value for name, value in members.items() if name != "title" or not isinstance(value, str)}

    return json.loads(text, object_hook=without_title)


def _alternatives(schema: Schema) -> list[Schema]:
    """Return the schemas of which at least one has to match."""
    if "anyOf" not in schema:
        return [schema]
    return [alternative for member in schema["anyOf"] for alternative in _alternatives(member)]


def _narrowed(old: Schema, new: Schema, path: str) -> Iterator[str]:
    if "type" in new and old.get("type") != new["type"] and (old.get("type"), new["type"]) != ("integer", "number"):
        yield f"{path}: type {new['type']} instead of {old.get('type', 'any')}"
        return
    for name in (new.keys() | old.keys()) - _ANNOTATIONS - _STRUCTURE:
        if name not in new or old.get(name) == new[name]:
            continue
        wider = name in old and (
            (name in _LOWER_LIMITS and new[name] < old[name]) or (name in _UPPER_LIMITS and new[name] > old[name])
        )
        if not wider:
            yield f"{path}: {name} {new[name]} instead of {old.get(name, 'none')}"
    for name in set(new.get("required", ())) - set(old.get("required", ())):
        yield f"{path}.{name}: required"
    for name, schema in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            yield f"{path}.{name}: removed"
        else:
            yield from narrowed(schema, new["properties"][name], f"{path}.{name}")
    if "items" in new:
        yield from narrowed(old.get("items", {}), new["items"], f"{path}[]")


def _versions(folder: Path) -> dict[int, Path]:
    found = ((_FILE.fullmatch(path.name), path) for path in folder.iterdir())
    return {int(match[1]): path for match, path in found if match}


def _released(folder: Path) -> int:
    return int((folder / RELEASED).read_text())


def main(arguments: list[str]) -> int:
    """Run ``check`` or ``write``. Returns the exit code: 0, 1 for a broken contract, 2 for other arguments."""
    try:
        if arguments == ["write"]:
            sys.stdout.write(f"{write()} has the rules of the code.\n")
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
