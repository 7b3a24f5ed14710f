"""Migrations: the numbered, reviewed steps that make the table what it is, and how many of them a table has."""

from __future__ import annotations

import importlib
import pkgutil
import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyiceberg.schema import Schema

from schemas import migrations as migration_files
from schemas.evolution.errors import MigrationError
from schemas.evolution.operation import Operation
from schemas.evolution.table_definition import TableDefinition, new_table
from schemas.evolution.table_operations import SCHEMA_STEP, SCHEMA_VERSION, CreateTable
from schemas.evolution.table_updates import Change, change_between

FIRST_VERSION: Final = 1
_STEP: Final = re.compile(r"(?P<number>[0-9]+)\.(?P<done>[0-9]+)")
_FILE: Final = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)")


@dataclass(frozen=True)
class Migration:
    """The reason for a change of the table, and its operations in order. The file's name gives number and name."""

    why: str
    operations: Sequence[Operation]
    number: int = 0
    name: str = ""


@dataclass(frozen=True, order=True)
class Position:
    """How far a table has come: the last completed migration, and the completed operations of the next one."""

    version: int
    step: int = 0

    def as_properties(self) -> dict[str, str]:
        """Return the table properties that record the position."""
        version = {SCHEMA_VERSION: str(self.version)}
        return version | {SCHEMA_STEP: f"{self.version + 1}.{self.step}"} if self.step else version


@dataclass(frozen=True)
class Step:
    """One pending operation, which is one commit."""

    migration: Migration
    operation: Operation
    description: str
    change: Change
    position: Position
    """The table's position after the commit."""


def load_migrations() -> tuple[Migration, ...]:
    """Return the migrations in schemas/migrations in order. Raises MigrationError."""
    migrations: list[Migration] = []
    for module in sorted(info.name for info in pkgutil.iter_modules(migration_files.__path__)):
        match = _FILE.fullmatch(module)
        if match is None:
            raise MigrationError(f"schemas/migrations/{module}.py has no name such as 0004_what_it_does.py")
        migration = _read(module)
        migrations.append(replace(migration, number=int(match["number"]), name=match["name"]))
    check_sequence(migrations)
    return tuple(migrations)


def _read(module: str) -> Migration:
    try:
        migration: Migration = importlib.import_module(f"{migration_files.__name__}.{module}").MIGRATION
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1].lineno
        place = f"line {error.lineno if isinstance(error, SyntaxError) else line}"
        raise MigrationError(
            f"schemas/migrations/{module}.py can't be read ({place}): {type(error).__name__}: {error}"
        ) from error
    return migration


def check_sequence(migrations: Sequence[Migration]) -> None:
    """Raise MigrationError unless the numbers are 1, 2, 3, ... and only the first migration creates the table."""
    for expected, migration in enumerate(migrations, start=FIRST_VERSION):
        name = f"{migration.number:04}_{migration.name}"
        if migration.number != expected:
            raise MigrationError(f"{name} should have the number {expected:04}: numbers must not repeat or skip")
        creates = any(isinstance(operation, CreateTable) for operation in migration.operations)
        if creates != (expected == FIRST_VERSION) or not migration.operations or not migration.why:
            raise MigrationError(f"{name} has no reason or no operation, or creates a table but is not the first")


def initial_definition(migrations: Sequence[Migration]) -> TableDefinition:
    """Return the definition that a new table is created with: that of the first migration."""
    (creation,) = (operation for operation in migrations[0].operations if isinstance(operation, CreateTable))
    return new_table(creation.schema, creation.spec)


def position_of(table: TableDefinition) -> Position:
    """Return how far a table has come. A table without the version property is at the first version.

    Raises MigrationError if anything but ``evolve apply`` wrote the properties.
    """
    version = table.properties.get(SCHEMA_VERSION, str(FIRST_VERSION))
    step = _STEP.fullmatch(table.properties.get(SCHEMA_STEP, "0.0"))
    if not version.isdecimal() or step is None:
        raise MigrationError(
            f"The table properties {SCHEMA_VERSION} and {SCHEMA_STEP} do not have values that evolve apply writes "
            f"(the first is {version}). Set the first to the version that the columns are at, and remove the second"
        )
    return Position(int(version), int(step["done"]) if int(step["number"]) == int(version) + 1 else 0)


def steps(table: TableDefinition, migrations: Sequence[Migration], to: int) -> Iterator[Step]:
    """Yield the commits that bring the table to version ``to``. Raises OperationRefused at an unsafe operation."""
    while (position := position_of(table)).version < to:
        migration = migrations[position.version]
        operation = migration.operations[position.step]
        completed = position.step + 1 == len(migration.operations)
        reached = Position(migration.number) if completed else replace(position, step=position.step + 1)
        wanted = operation.apply(table)
        properties = {name: value for name, value in wanted.properties.items() if name != SCHEMA_STEP}
        change = change_between(table, replace(wanted, properties={**properties, **reached.as_properties()}))
        yield Step(migration, operation, operation.describe(table), change, reached)
        table = change.after


def definition_at(
    migrations: Sequence[Migration], position: Position, properties: Mapping[str, str] | None = None
) -> TableDefinition:
    """Return the definition of a table at a position that was created with these properties."""
    table = replace(initial_definition(migrations), properties=dict(properties or {}))
    for step in steps(table, migrations, len(migrations)):
        if step.position > position:
            break
        table = step.change.after
    return table


def current_schema() -> Schema:
    """Return the schema of the newest version, after every migration."""
    migrations = load_migrations()
    return definition_at(migrations, Position(len(migrations))).schema
