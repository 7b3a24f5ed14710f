"""One module uses private names of pyiceberg: catalog_config/pyiceberg_internals.py."""

from __future__ import annotations

import ast
import importlib
import textwrap
from collections.abc import Iterator

import pytest

from carousel_sync.project import PROJECT_ROOT

PACKAGES = ["lambda_fn", "schemas", "catalog_config", "carousel_sync"]
ALLOWED = "catalog_config/pyiceberg_internals.py"


# Public in spite of the underscore (Python documentation, "collections.namedtuple").
NAMED_TUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in NAMED_TUPLE


def pyiceberg_imports(tree: ast.Module) -> dict[str, str]:
    """Return the names that a module imports from pyiceberg, and the modules that it imports them from."""
    return {
        alias.asname or alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "pyiceberg"
        for alias in node.names
    }


def private_uses(source: str) -> Iterator[str]:
    """Yield the private names of pyiceberg that a module may use.

    These are private parts of imports; in a module that imports pyiceberg, private attributes of anything but ``self``
    and ``cls``; and in a subclass of one of pyiceberg's classes, names that are private in the base class.
    """
    tree = ast.parse(source)
    imported = pyiceberg_imports(tree)
    for name, module in imported.items():
        yield from (part for part in [*module.split("."), name] if is_private(part))
    if not imported and "pyiceberg" not in {
        alias.name.partition(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.ClassDef):
            yield from inherited_private_names(node, imported)


def inherited_private_names(node: ast.ClassDef, imported: dict[str, str]) -> Iterator[str]:
    bases = [
        getattr(importlib.import_module(imported[base.id]), base.id)
        for base in node.bases
        if isinstance(base, ast.Name) and base.id in imported
    ]
    for inner in ast.walk(node):
        name = inner.attr if isinstance(inner, ast.Attribute) else getattr(inner, "name", None)
        if isinstance(name, str) and is_private(name) and any(hasattr(base, name) for base in bases):
            yield name


def test_no_other_module_uses_private_names_of_pyiceberg() -> None:
    uses = {
        str(path.relative_to(PROJECT_ROOT)): sorted(set(private_uses(path.read_text())))
        for package in PACKAGES
        for path in (PROJECT_ROOT / package).rglob("*.py")
    }
    assert {path for path, names in uses.items() if names} == {ALLOWED}
    assert uses[ALLOWED] == ["_create_session", "_requirements", "_updates"]


@pytest.mark.parametrize(
    "source",
    [
        "from pyiceberg.table import _parse_row_filter",
        "from pyiceberg._private import x",
        "from pyiceberg.table import Transaction\ndef f(t: Transaction): return t._updates",
        "import pyiceberg.schema\ndef f(schema): return schema._name_to_id",
        """
        from pyiceberg.catalog.rest import RestCatalog
        class Catalog(RestCatalog):
            def _create_session(self): ...
        """,
        """
        from pyiceberg.catalog.rest import RestCatalog
        class Catalog(RestCatalog):
            def f(self): self._create_session()
        """,
    ],
)
def test_a_private_name_is_noticed(source: str) -> None:
    assert list(private_uses(textwrap.dedent(source)))


def test_public_names_and_a_classs_own_private_names_are_allowed() -> None:
    source = """
    from pyiceberg.io import FileIO
    class Files(FileIO):
        def __init__(self): self._client = None
        def _own(self): return self._client
    """
    assert not list(private_uses(textwrap.dedent(source)))
    assert not list(private_uses("def f(other): return other._x"))
