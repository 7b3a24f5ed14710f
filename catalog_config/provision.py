"""Creates the namespace and the table of sales if they are missing, and brings an existing table up to date.

Safe to repeat, and for two people at once: the second finds what the first created.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from pyiceberg import exceptions
from pyiceberg.catalog import Catalog
from pyiceberg.table import Table

from catalog_config.drift import DifferenceType, describe, find_drift
from catalog_config.table_properties import FORMAT_VERSION, PROPERTIES
from schemas.evolution.apply import evolve
from schemas.evolution.errors import CommitConflict
from schemas.evolution.migration import Migration, Step, initial_definition, load_migrations, position_of
from schemas.evolution.table_definition import definition_of

_ATTEMPTS: Final = 5
_REPEAT: Final = "Completed changes stay, and the table is usable. Run carousel-sync evolve apply again."


class ProvisionError(Exception):
    """The table cannot be used as it is, or other commits kept winning. The message says what is left behind."""


@dataclass(frozen=True)
class ProvisionResult:
    """What was created or changed."""

    table: str
    location: str
    namespace_created: bool = False
    table_created: bool = False
    properties_set: dict[str, str] = field(default_factory=dict)
    version: int = 0
    """The version of the table's schema afterwards."""
    operations: tuple[str, ...] = ()
    """The operations that were applied to the table, in words."""

    @property
    def changed(self) -> bool:
        """Whether anything was created or changed."""
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
    """Create the namespace, table and properties that are missing, and apply the migrations up to version ``to``.

    A new table is created at the first version and then migrated step by step: a catalog assigns the field ids of a new
    table itself, and only those of the first version are known to match the declared ones.

    Raises ProvisionError if an existing table does not match the migrations and OperationRefused if a migration is not
    safe for it; both leave the table unchanged. Raises the errors of pyiceberg and requests if the catalog cannot be
    reached. Completed changes stay then, and a repeat continues after them.
    """
    identifier = (namespace, table)
    migrations = load_migrations() if migrations is None else migrations
    namespace_created = table_created = False
    try:
        present = catalog.load_table(identifier)
    except (exceptions.NoSuchTableError, exceptions.NoSuchNamespaceError):
        namespace_created = _ensure_namespace(catalog, namespace)
        table_created = _create_table(catalog, identifier, migrations)
        present = catalog.load_table(identifier)
    _check(present, migrations)
    try:
        steps = evolve(catalog, present, to, migrations=migrations, step_done=step_done)
    except CommitConflict as error:
        raise ProvisionError(f"{namespace}.{table} is not up to date: {error}. {_REPEAT}") from error
    if steps:
        present = catalog.load_table(identifier)
    return ProvisionResult(
        table=f"{namespace}.{table}",
        location=present.location(),
        namespace_created=namespace_created,
        table_created=table_created,
        properties_set=_ensure_properties(catalog, present, migrations),
        version=position_of(definition_of(present.metadata)).version,
        operations=tuple(step.description for step in steps),
    )


def _ensure_namespace(catalog: Catalog, namespace: str) -> bool:
    try:
        catalog.load_namespace_properties(namespace)
    except exceptions.NoSuchNamespaceError:
        with suppress(exceptions.NamespaceAlreadyExistsError):
            catalog.create_namespace(namespace)
            return True
    return False


def _create_table(catalog: Catalog, identifier: tuple[str, str], migrations: Sequence[Migration]) -> bool:
    initial = initial_definition(migrations)
    try:
        catalog.create_table(
            identifier,
            schema=initial.schema,
            partition_spec=initial.spec,
            properties={"format-version": str(FORMAT_VERSION), **PROPERTIES},
        )
        return True
    except (exceptions.TableAlreadyExistsError, exceptions.CommitFailedException):
        # Somebody else created it first. If it is missing all the same, the caller's load_table raises.
        return False


def _check(table: Table, migrations: Sequence[Migration]) -> None:
    """Raise ProvisionError if this code cannot write to the table. A table ahead of this code is not checked."""
    if position_of(definition_of(table.metadata)).version > len(migrations):
        return
    drift = find_drift(table.metadata, migrations)
    problems = [describe(difference) for difference in drift if difference.prevents_writes]
    if problems:
        raise ProvisionError(
            f"The table {'.'.join(table.name())} does not match schemas/migrations: {'; '.join(problems)}. Nothing was "
            "changed. Something else created or altered the table. Use another table name (ICEBERG_TABLE), or make the "
            "table and the migrations agree before any event is processed."
        )


def _ensure_properties(catalog: Catalog, table: Table, migrations: Sequence[Migration]) -> dict[str, str]:
    """Set properties that differ, in a separate commit: not every catalog keeps those given at creation."""
    for _ in range(_ATTEMPTS):
        differing = {
            difference.name: difference.expected
            for difference in find_drift(table.metadata, migrations)
            if difference.type is DifferenceType.PROPERTY and difference.expected is not None
        }
        if not differing:
            return {}
        try:
            with table.transaction() as transaction:
                transaction.set_properties(differing)
            return differing
        except exceptions.CommitFailedException:
            table = catalog.load_table(table.name())
    raise ProvisionError(
        f"The properties of {'.'.join(table.name())} could not be set: {_ATTEMPTS} attempts lost to other commits. "
        f"{_REPEAT}"
    )
