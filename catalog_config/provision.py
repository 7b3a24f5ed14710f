"""Create the namespace and the table of sales where they are missing, and bring what is there up to date.

Safe to repeat, and for two people at once: whoever comes second finds what the first has made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.table import Table

from catalog_config.table_properties import FORMAT_VERSION, PROPERTIES
from schemas.evolution.apply import OthersWereFaster, drift, evolve, wanted_properties
from schemas.evolution.migration import Migration, Step, creation, load_migrations, position_of
from schemas.evolution.shape import shape_of

_ATTEMPTS: Final = 5
_AGAIN: Final = "What is done stays, and the table is usable. Run carousel-sync evolve apply again."


class ProvisionError(Exception):
    """The table can't be used as it is, or others kept changing it; the message says what, and what is left behind."""


@dataclass(frozen=True)
class ProvisionResult:
    """What was found missing and made."""

    table: str
    location: str
    namespace_created: bool = False
    table_created: bool = False
    properties_set: dict[str, str] = field(default_factory=dict)
    version: int = 0
    """That of the table's schema, now."""
    operations: tuple[str, ...] = ()
    """What was done to an existing table's schema, in words."""

    @property
    def changed(self) -> bool:
        """Whether anything was done."""
        return self.namespace_created or self.table_created or bool(self.properties_set or self.operations)


def ensure_table(
    catalog: Catalog,
    namespace: str,
    table: str,
    to: int | None = None,
    *,
    migrations: Sequence[Migration] | None = None,
    step_done: Callable[[Step], None] = lambda _: None,
) -> ProvisionResult:
    """Create namespace, table and properties where they are missing, and apply the migrations up to ``to``.

    A new table is created as it first was and then brought to the version step by step: a catalog assigns the ids of a
    new table by itself, and only those of the first version are sure to come out as they are declared.

    Raises ProvisionError when the table that is there is none of ours, Refused when a migration is not safe for it (it
    is left as it is both times), and pyiceberg's or requests' own errors when the catalog can't be reached. Whatever
    was made until then stays, and a repeat goes on from there.
    """
    identifier = (namespace, table)
    found = load_migrations() if migrations is None else migrations
    namespace_created = table_created = False
    try:
        present = catalog.load_table(identifier)
    except (NoSuchTableError, NoSuchNamespaceError):
        namespace_created = _ensure_namespace(catalog, namespace)
        table_created = _create_table(catalog, identifier, found)
        present = catalog.load_table(identifier)
    _check(present, found)
    try:
        steps = evolve(catalog, present, to, migrations=found, step_done=step_done)
    except OthersWereFaster as error:
        raise ProvisionError(f"{namespace}.{table} is not up to date: {error}. {_AGAIN}") from error
    if steps:
        present = catalog.load_table(identifier)
    properties_set = _ensure_properties(catalog, present, found)
    return ProvisionResult(
        table=f"{namespace}.{table}",
        location=present.location(),
        namespace_created=namespace_created,
        table_created=table_created,
        properties_set=properties_set,
        version=position_of(shape_of(present.metadata)).version,
        operations=tuple(step.words for step in steps),
    )


def _ensure_namespace(catalog: Catalog, namespace: str) -> bool:
    try:
        catalog.load_namespace_properties(namespace)
        return False
    except NoSuchNamespaceError:
        pass
    try:
        catalog.create_namespace(namespace)
        return True
    except NamespaceAlreadyExistsError:
        return False


def _create_table(catalog: Catalog, identifier: tuple[str, str], migrations: Sequence[Migration]) -> bool:
    schema, spec = creation(migrations)
    try:
        catalog.create_table(
            identifier,
            schema=schema,
            partition_spec=spec,
            properties={"format-version": str(FORMAT_VERSION), **PROPERTIES},
        )
        return True
    except (TableAlreadyExistsError, CommitFailedException):
        # Somebody else was faster. Should it be missing all the same, the caller's load says so.
        return False


def _check(table: Table, migrations: Sequence[Migration]) -> None:
    """Compare the table with what its version says it is, by field id: that is what files and readers go by."""
    if position_of(shape_of(table.metadata)).version > len(migrations):
        return
    found = drift(table.metadata, migrations)
    problems = [
        *(f"no column '{column}'" for column in found.missing_columns),
        *(f"field id {column.split(':', 1)[0].lstrip(chr(39))} is {column}" for column in found.different_columns),
        # Somebody else's optional column is written null; a required one would make every append of ours fail.
        *(f"unknown required column '{column}'" for column in found.unknown_columns if ": required " in column),
        *(one for one in found.other if not one.startswith("sort order")),
    ]
    if problems:
        raise ProvisionError(
            f"The table {'.'.join(table.name())} does not fit schemas/migrations: {'; '.join(problems)}. It was left "
            "as it is. It was made or changed by something else: use another table name (ICEBERG_TABLE), or bring the "
            "table and the migrations together before any event is processed."
        )


def _ensure_properties(catalog: Catalog, table: Table, migrations: Sequence[Migration]) -> dict[str, str]:
    """Set what differs, in a commit of its own: not every catalog keeps the properties given at creation."""
    for _ in range(_ATTEMPTS):
        wanted = wanted_properties(table.metadata, migrations)
        missing = {name: value for name, value in wanted.items() if table.properties.get(name) != value}
        if not missing:
            return {}
        try:
            with table.transaction() as transaction:
                transaction.set_properties(missing)
            return missing
        except CommitFailedException:
            table = catalog.load_table(table.name())
    raise ProvisionError(
        f"The properties of {'.'.join(table.name())} could not be set: other commits were faster {_ATTEMPTS} times. "
        f"{_AGAIN}"
    )
