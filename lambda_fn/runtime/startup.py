"""What makes a cold start cheap."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

# A reader of YAML files, and one of filters that are written as text: pyiceberg imports both, the function has neither.
RARELY_USED: Final = ("strictyaml", "pyiceberg.expressions.parser")


@contextmanager
def nothing_is_garbage() -> Iterator[None]:
    """Make objects without looking for garbage among them, and never look at them again.

    Importing and wiring make half a million objects that live as long as the process. Python's collector would walk
    over all of them again and again while they are made (a fifth of a cold start's CPU time), and at each full
    collection ever after.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextmanager
def imported_when_used(*names: str) -> Iterator[None]:
    """Have these modules loaded when something of them is used for the first time, whoever imports them meanwhile.

    The standard library's own way ("importlib: Implementing lazy imports"). What is imported already stays as it is.
    Before Python 3.13 the first use must not come from several threads at once.
    """
    finder = _LazyFinder(frozenset(names))
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LazyFinder:
    """A finder of ``sys.meta_path``."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec
