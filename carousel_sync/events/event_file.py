"""Reading an event from a file, to put it on the event bus unchanged."""

from __future__ import annotations

import json
from pathlib import Path

from carousel_sync.aws.event_bus import BusEvent
from carousel_sync.events.json_text import member_as_written
from lambda_fn.errors import ConfigurationError


def read_event(path: Path) -> BusEvent:
    """Read a file with one EventBridge event. The detail keeps its exact text.

    Raises ConfigurationError, which says what is wrong with the file.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise _unusable(path, f"it can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise _unusable(path, f"it is not UTF-8 text: {error}") from error
    try:
        envelope = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"it is not valid JSON: {error}") from error
    if not isinstance(envelope, dict):
        raise _unusable(path, "it is not a JSON object")
    for name in ("source", "detail-type"):
        if not isinstance(envelope.get(name), str) or not envelope[name]:
            raise _unusable(path, f"{name!r} is missing or not a string")
    detail = member_as_written(text, "detail")
    if detail is None or not isinstance(envelope["detail"], dict):
        raise _unusable(path, "'detail' is missing or not an object; event buses accept nothing else")
    return BusEvent.of(envelope, detail)


def _unusable(path: Path, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path} can't be sent: {problem}. Nothing was sent. For a valid event, see examples/carousel-sold-event.json."
    )
