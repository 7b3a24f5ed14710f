"""Brings a table to a version of its schema: one operation, one commit, while writers and other appliers are at work.

Each commit sets the table's version, or how far a half-done migration is, together with what it changes. So a crash
between two operations leaves a table that says where to go on. Each commit requires the schema id, the last field id,
the spec id, the last partition id and the sort order id that it was planned with: of two people who apply at once one
wins, and the other finds it done. An operation that only sets properties changes none of these ids; there, both may
win, with the same values.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata

from catalog_config.table_properties import FORMAT_VERSION, PROPERTIES
from schemas.evolution.migration import Migration, Position, Step, expected_shape, load_migrations, position_of, steps
from schemas.evolution.refusal import Refused
from schemas.evolution.shape import TableShape, requirements, shape_of
from schemas.evolution.table_operations import SCHEMA_STEP, SCHEMA_VERSION

# On real catalogs every commit of a writer makes one of ours fail that was on its way at the same moment.
ATTEMPTS: Final = 20
LONGEST_PAUSE_SECONDS: Final = 1.0


class OthersWereFaster(Exception):
    """Every try met another commit. What is done stays; a repeat goes on from there."""


@dataclass(frozen=True)
class Drift:
    """Where a table differs from what its version says it is, in words for people."""

    unknown_columns: tuple[str, ...] = ()
    """The table has them, and this code does not know them: they are written null."""
    missing_columns: tuple[str, ...] = ()
    """This version has them and the table has not: events with a value for one wait."""
    different_columns: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    """Format version, partition spec, sort order."""
    properties: tuple[str, ...] = ()
    """Left out for a table that is ahead of this code."""

    @property
    def any(self) -> bool:
        """Whether there is any."""
        return bool(
            self.unknown_columns or self.missing_columns or self.different_columns or self.other or self.properties
        )


def plan(shape: TableShape, to: int | None = None, migrations: Sequence[Migration] | None = None) -> list[Step]:
    """Return what brings a table to version ``to`` (default: the code's). Raises Refused; nothing is sent."""
    found = load_migrations() if migrations is None else migrations
    return list(steps(shape, found, _target(shape, to, len(found))))


def evolve(
    catalog: Catalog,
    table: Table,
    to: int | None = None,
    *,
    migrations: Sequence[Migration] | None = None,
    step_done: Callable[[Step], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Step]:
    """Apply what is missing, one commit after the other, and return what this call did.

    The whole way is planned first: nothing is changed when any of its operations is refused. Raises Refused,
    OthersWereFaster, and pyiceberg's or requests' own errors when the catalog can't be reached; what is done stays
    then, and a repeat goes on from there.
    """
    found = load_migrations() if migrations is None else migrations
    done: list[Step] = []
    failures = 0
    while True:
        shape = shape_of(table.metadata)
        pending = plan(shape, to, found)
        if not pending:
            return done
        try:
            catalog.commit_table(table, requirements(shape), pending[0].change.updates)
        except CommitFailedException as error:
            failures += 1
            if failures == ATTEMPTS:
                raise OthersWereFaster(
                    f"other commits were faster {ATTEMPTS} times (the last answer: {error})"
                ) from error
            pause(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.05 * 2**failures)))  # noqa: S311 - spreads retries
        else:
            failures = 0
            done.append(pending[0])
            step_done(pending[0])
        table = catalog.load_table(table.name())


def drift(metadata: TableMetadata, migrations: Sequence[Migration] | None = None) -> Drift:
    """Compare a table with what the migrations up to its own version make of it, by field id.

    A table that is ahead of this code is compared with the last version that the code knows.
    """
    found = load_migrations() if migrations is None else migrations
    present = shape_of(metadata)
    position = position_of(present)
    ahead = position.version > len(found)
    wanted = expected_shape(found, Position(len(found)) if ahead else position)
    columns = {one.field_id: one for one in present.schema.fields}
    known = {one.field_id: one for one in wanted.schema.fields}
    different = [
        f"'{columns[number]}' instead of '{one}'"
        for number, one in known.items()
        if number in columns
        and (columns[number].name, columns[number].field_type, columns[number].required)
        != (one.name, one.field_type, one.required)
    ]
    other: list[str] = []
    if metadata.format_version != FORMAT_VERSION:
        other.append(f"format version {metadata.format_version} instead of {FORMAT_VERSION}")
    if present.spec.fields != wanted.spec.fields:
        other.append(f"partitions {_listed(present.spec.fields)} instead of {_listed(wanted.spec.fields)}")
    if present.sort_order.fields != wanted.sort_order.fields:
        other.append(f"sort order {_listed(present.sort_order.fields)} instead of {_listed(wanted.sort_order.fields)}")
    return Drift(
        unknown_columns=tuple(str(columns[number]) for number in columns if number not in known),
        missing_columns=tuple(str(known[number]) for number in known if number not in columns),
        different_columns=tuple(different),
        other=tuple(other),
        properties=tuple(
            f"{name} is {present.properties.get(name)} instead of {value}"
            for name, value in wanted_properties(metadata, found).items()
            if present.properties.get(name) != value
        ),
    )


def wanted_properties(metadata: TableMetadata, migrations: Sequence[Migration] | None = None) -> dict[str, str]:
    """Return the properties that a table of this version has to have; none for one that is ahead of this code."""
    found = load_migrations() if migrations is None else migrations
    position = position_of(shape_of(metadata))
    if position.version > len(found):
        return {}
    wanted = expected_shape(found, position, PROPERTIES).properties
    return {name: value for name, value in wanted.items() if name not in (SCHEMA_VERSION, SCHEMA_STEP)}


def _target(shape: TableShape, to: int | None, latest: int) -> int:
    version = position_of(shape).version
    target = max(latest, version) if to is None else to
    if to is not None and not 1 <= target <= max(latest, version):
        raise Refused(f"Version {to}", f"this code knows the versions 1 to {latest}", "choose one of them")
    if target < version:
        raise Refused(
            f"Going back from version {version} to {target}",
            "rows that were written since would lose what they hold, and running writers rely on the schema",
            "write a new migration that undoes the step",
        )
    return min(target, latest) if version <= latest else version


def _listed(fields: Iterable[object]) -> str:
    return f"[{'; '.join(str(one) for one in fields)}]"
