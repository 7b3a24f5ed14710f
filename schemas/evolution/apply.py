"""Brings a table to a version of its schema, one commit per operation, while writers and others who apply are active.

Each commit changes the table and also records the version, or the progress within a migration. After a crash between
two operations the table itself says where to continue. Each commit requires the schema id, last field id, spec id, last
partition id and sort order id that it was planned with. If two people apply at once, one wins, and the other finds the
operation done. An operation that only sets properties changes none of these ids: there both may win, with equal values.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException
from pyiceberg.table import Table

from schemas.evolution.errors import CommitConflict, OperationRefused
from schemas.evolution.migration import Migration, Step, load_migrations, position_of, steps
from schemas.evolution.table_definition import TableDefinition, definition_of
from schemas.evolution.table_updates import requirements

# On real catalogs every commit of a writer makes a commit of ours fail if it is in flight at the same moment.
ATTEMPTS: Final = 20
LONGEST_PAUSE_SECONDS: Final = 1.0


def plan(table: TableDefinition, to: int | None = None, migrations: Sequence[Migration] | None = None) -> list[Step]:
    """Return the commits that bring a table to version ``to`` (default: the newest). Commits nothing.

    Raises OperationRefused for an unsafe operation and for a version that cannot be reached.
    """
    migrations = load_migrations() if migrations is None else migrations
    newest, version = len(migrations), position_of(table).version
    known = max(newest, version)
    target = known if to is None else to
    if not 1 <= target <= known:
        raise OperationRefused(f"this code knows the versions 1 to {newest}", "choose one of them", f"Version {to}")
    if target < version:
        raise OperationRefused(
            "rows written since then would lose values, and running writers rely on the schema",
            "write a new migration that undoes the step",
            f"Going back from version {version} to {target}",
        )
    return list(steps(table, migrations, target))


def evolve(
    catalog: Catalog,
    table: Table,
    to: int | None = None,
    *,
    migrations: Sequence[Migration] | None = None,
    step_done: Callable[[Step], None] = lambda _: None,
    pause: Callable[[float], None] = time.sleep,
) -> list[Step]:
    """Commit the pending operations up to version ``to`` (default: the newest), and return those that this call did.

    All operations are planned first, so nothing changes if any of them is refused. Raises OperationRefused,
    CommitConflict, and the errors of pyiceberg and requests if the catalog cannot be reached. Completed operations stay
    in each case, and a repeat continues after them.
    """
    migrations = load_migrations() if migrations is None else migrations
    done: list[Step] = []
    failures = 0
    while True:
        before = definition_of(table.metadata)
        pending = plan(before, to, migrations)
        if not pending:
            return done
        try:
            catalog.commit_table(table, requirements(before), pending[0].change.updates)
        except CommitFailedException as error:
            failures += 1
            if failures == ATTEMPTS:
                raise CommitConflict(f"{ATTEMPTS} attempts lost to other commits (the last error: {error})") from error
            pause(random.uniform(0, min(LONGEST_PAUSE_SECONDS, 0.05 * 2**failures)))  # noqa: S311 - spreads retries
        else:
            failures = 0
            done.append(pending[0])
            step_done(pending[0])
        table = catalog.load_table(table.name())
