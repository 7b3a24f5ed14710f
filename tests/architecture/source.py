"""The project's modules and what they import, read from their source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from carousel_sync.project import PROJECT_ROOT

INSTALLED = ["lambda_fn", "schemas", "catalog_config", "carousel_sync"]
"""The top-level packages that are installed."""
PACKAGES = [*INSTALLED, "testbed", "benchmarks", "tests"]
"""All top-level packages."""


@cache
def modules() -> dict[str, Path]:
    """Return the path of every module by its dotted name. A package is the module of its ``__init__.py``."""
    found: dict[str, Path] = {}
    for package in PACKAGES:
        for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
            parts = path.relative_to(PROJECT_ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def modules_of(package: str) -> list[str]:
    """Return the modules of a package and its subpackages."""
    return [name for name in modules() if name == package or name.startswith(f"{package}.")]


def top(name: str) -> str:
    """Return the top-level package of a module."""
    return name.partition(".")[0]


def tree(module: str) -> ast.Module:
    """Return the syntax tree of a module."""
    return ast.parse(modules()[module].read_text())


def names_imported(source: str) -> Iterator[str]:
    """Yield the names that a source imports, in functions and for the type checker too.

    ``from a import b`` imports ``a`` and ``a.b``.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute in this project"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def imports_of(module: str) -> frozenset[str]:
    """Return the names that a module imports."""
    return frozenset(names_imported(modules()[module].read_text()))


def reachable_from(module: str) -> set[str]:
    """Return the module and all modules that its import imports, with their parent packages."""
    reached: set[str] = set()
    pending = [module]
    while pending:
        current = pending.pop()
        if current in reached or current not in modules():
            continue
        reached.add(current)
        pending.extend(imports_of(current))
        pending.append(current.rpartition(".")[0])
    return reached
