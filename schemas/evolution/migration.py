"""A numbered, reviewed step of the table, and how far a table has come."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema

from schemas import migrations
from schemas.evolution.column_operations import ColumnOperation
from schemas.evolution.shape import Change, TableShape, change, new_table
from schemas.evolution.table_operations import SCHEMA_STEP, SCHEMA_VERSION, CreateTable, TableOperation

Operation = ColumnOperation | TableOperation

FIRST_VERSION: Final = 1
_STEP: Final = re.compile(r"(?P<number>[0-9]+)\.(?P<done>[0-9]+)")
_FILE: Final = re.compile(r"(?P<number>[0-9]{4})_(?P<name>[a-z0-9_]+)")


class MigrationsBroken(Exception):
    """The files in schemas/migrations don't make a sequence, or a table's place in it can't be told."""


@dataclass(frozen=True)
class Migration:
    """One step: why it is done, and its operations in their order. Number and name are those of its file."""

    why: str
    operations: Sequence[Operation]
    number: int = 0
    name: str = ""


@dataclass(frozen=True)
class Position:
    """How far a table has come: the last migration that is done, and the operations done of the next."""

    version: int
    step: int = 0

    def as_properties(self) -> dict[str, str]:
        """Return the table properties that tell it."""
        told = {SCHEMA_VERSION: str(self.version)}
        return told | {SCHEMA_STEP: f"{self.version + 1}.{self.step}"} if self.step else told


@dataclass(frozen=True)
class Step:
    """One operation that is to be done, as one commit."""

    migration: Migration
    operation: Operation
    words: str
    change: Change
    position: Position
    """How far the table has come once it is done."""


def load_migrations() -> tuple[Migration, ...]:
    """Return the project's migrations in their order. Raises MigrationsBroken."""
    found: list[Migration] = []
    for module in sorted(one.name for one in pkgutil.iter_modules(migrations.__path__)):
        named = _FILE.fullmatch(module)
        if named is None:
            raise MigrationsBroken(f"schemas/migrations/{module}.py is not named like 0004_what_it_does.py")
        migration: Migration = importlib.import_module(f"{migrations.__name__}.{module}").MIGRATION
        found.append(replace(migration, number=int(named["number"]), name=named["name"]))
    check_sequence(found)
    return tuple(found)


def check_sequence(found: Sequence[Migration]) -> None:
    """Raise MigrationsBroken unless the numbers are 1, 2, 3, ... and only the first creates the table."""
    for expected, migration in enumerate(found, start=FIRST_VERSION):
        called = f"{migration.number:04}_{migration.name}"
        if migration.number != expected:
            raise MigrationsBroken(f"{called} should have the number {expected:04}: no number twice, none left out")
        creates = any(isinstance(one, CreateTable) for one in migration.operations)
        if creates != (expected == FIRST_VERSION) or not migration.operations or not migration.why:
            raise MigrationsBroken(f"{called} has no reason or no operation, or creates a table and is not the first")


def creation(found: Sequence[Migration]) -> tuple[Schema, PartitionSpec]:
    """Return what a new table is created with."""
    (first,) = (one for one in found[0].operations if isinstance(one, CreateTable))
    return first.schema, first.spec


def position_of(shape: TableShape) -> Position:
    """Return how far a table has come. One without the property is new, and at the first version.

    Raises MigrationsBroken for a property that somebody else has written.
    """
    told = shape.properties.get(SCHEMA_VERSION, str(FIRST_VERSION))
    half_done = _STEP.fullmatch(shape.properties.get(SCHEMA_STEP, "0.0"))
    if not told.isdecimal() or half_done is None:
        raise MigrationsBroken(
            f"The table properties {SCHEMA_VERSION} and {SCHEMA_STEP} are not what evolve apply writes ({told}). Set "
            "the first to the version that the table's columns are at, and remove the second"
        )
    return Position(int(told), int(half_done["done"]) if int(half_done["number"]) == int(told) + 1 else 0)


def steps(shape: TableShape, found: Sequence[Migration], to: int) -> Iterator[Step]:
    """Yield what leads the shape to version ``to``, one commit each. Raises Refused at the operation that is unsafe."""
    while (position := position_of(shape)).version < to:
        migration = found[position.version]
        operation = migration.operations[position.step]
        done = position.step + 1
        last = done == len(migration.operations)
        reached = Position(migration.number) if last else Position(position.version, done)
        wanted = operation.apply(shape)
        told = {name: value for name, value in wanted.properties.items() if name != SCHEMA_STEP}
        made = change(shape, replace(wanted, properties={**told, **reached.as_properties()}))
        yield Step(migration, operation, operation.words(shape), made, reached)
        shape = made.after


def expected_shape(
    found: Sequence[Migration], position: Position, properties: Mapping[str, str] | None = None
) -> TableShape:
    """Return the shape that a table has at a position, when it was created with these properties."""
    shape = replace(new_table(*creation(found)), properties=dict(properties or {}))
    for step in steps(shape, found, len(found)):
        if (step.position.version, step.position.step) > (position.version, position.step):
            break
        shape = step.change.after
    return shape


def current_schema() -> Schema:
    """Return the schema that this code knows: every migration applied."""
    found = load_migrations()
    return expected_shape(found, Position(len(found))).schema
