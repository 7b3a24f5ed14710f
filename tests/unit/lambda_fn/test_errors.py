"""The tree at the top of errors.py is the tree of the classes."""

from __future__ import annotations

import re

from lambda_fn import errors

ENTRY = re.compile(r"^ {4}(?P<indent>[ │├└─]*)(?P<name>[A-Z]\w+)(?: |$)", re.MULTILINE)
INDENT = len("├── ")


def drawn_parents() -> dict[str, str]:
    """Return each error in the drawing with its parent in the drawing."""
    parents: dict[str, str] = {}
    path: list[str] = ["Exception"]
    for entry in ENTRY.finditer(errors.__doc__ or ""):
        depth = len(entry["indent"]) // INDENT
        parents[entry["name"]] = path[depth]
        path[depth + 1 :] = [entry["name"]]
    return parents


def test_the_drawing_shows_every_error_under_its_base_class() -> None:
    defined = {
        name: found.__base__.__name__
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, Exception) and found.__base__
    }
    assert drawn_parents() == defined
