"""The sales table behind any catalog that pyiceberg knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from functools import cached_property
from itertools import groupby
from typing import Any, Final, cast

from more_itertools import chunked
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import And, BooleanExpression, EqualTo, In
from pyiceberg.manifest import UNASSIGNED_SEQ, ManifestEntry, ManifestFile, read_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, Summary

from lambda_fn.errors import OutOfTime, StoreUnavailable, TableMissing
from lambda_fn.iceberg import manifest_merging, staging
from lambda_fn.iceberg.history import SnapshotNode, read_fenced, write_fenced
from lambda_fn.iceberg.memory_file import NewFile
from lambda_fn.iceberg.rows import facts_without_column
from lambda_fn.iceberg.snapshots import compare_and_set, next_sequence_number, snapshot_on_head
from lambda_fn.iceberg.staging import ManifestList, StagedFiles
from lambda_fn.iceberg.store import CommitAnswer, Committed, Merging, NotSent, StagedAppend, TableState, Unknown
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Clock, Deadline
from lambda_fn.sale import Sale, SaleKey

# A scan filters by the ids it looks for; beyond this many, the filter itself would be the cost.
SCAN_IDS_LIMIT: Final = 1000
# To read manifests, to upload two files, to commit, and some of the first as they are more than run side by side.
MERGING_REQUESTS: Final = 5

# pyiceberg's type hints describe the models behind these, not the arguments that its documentation gives them.
_equal: Final[Callable[[str, Any], BooleanExpression]] = cast("Any", EqualTo)
_in: Final[Callable[[str, Sequence[str]], BooleanExpression]] = cast("Any", In)


class PyIcebergState:
    """The table as one answer of the catalog showed it.

    The answer to a commit is not read for the history that it repeats: that is the history on which the commit was
    made, and the snapshot itself. A snapshot that has expired meanwhile stays in it, which only makes it tell more.
    """

    def __init__(self, table: Table, history: Mapping[int, SnapshotNode] | None = None) -> None:
        self.table = table
        self._history = history

    @property
    def head(self) -> int:
        """Snapshot id of the head of ``main``, or NO_SNAPSHOT."""
        snapshot_id = self.table.metadata.current_snapshot_id
        return NO_SNAPSHOT if snapshot_id is None else snapshot_id

    @cached_property
    def snapshots(self) -> Mapping[int, SnapshotNode]:
        """Every retained snapshot."""
        if self._history is not None:
            return self._history
        return {snapshot.snapshot_id: _node(snapshot) for snapshot in self.table.metadata.snapshots}

    def followed_by(self, table: Table, snapshot: Snapshot) -> PyIcebergState:
        """Return the state after a commit on this one."""
        return PyIcebergState(table, {**self.snapshots, snapshot.snapshot_id: _node(snapshot)})

    @cached_property
    def lacks(self) -> Collection[str]:
        """The facts of a sale that the table has no column for."""
        return facts_without_column(self.table.schema())


class PyIcebergStaged:
    """Files of an append for one table."""

    def __init__(self, files: StagedFiles) -> None:
        self.files = files

    def fits(self, state: TableState) -> bool:
        """Whether the files still have the table's current schema and partition spec."""
        metadata = cast("PyIcebergState", state).table.metadata
        return (self.files.schema_id, self.files.spec_id) == (metadata.current_schema_id, metadata.default_spec_id)


class PyIcebergStore:
    """An Iceberg table behind a catalog. One request each, none of which is repeated by itself.

    Opens the catalog at the first use, not when it is made: nothing is connected at import or while wiring.
    """

    def __init__(
        self,
        open_catalog: Callable[[], Catalog],
        identifier: tuple[str, str],
        parallel: Parallel,
        clock: Clock,
        request_seconds: float,
    ) -> None:
        self._open_catalog = open_catalog
        self._catalog: Catalog | None = None
        self._identifier = identifier
        self._parallel = parallel
        self._clock = clock
        self._request_seconds = request_seconds
        self._manifests: tuple[int, Sequence[ManifestFile]] = (NO_SNAPSHOT, ())

    @property
    def load_seconds(self) -> float:
        """The longest that ``load`` can take: a catalog is asked for its configuration when it is opened."""
        return self._request_seconds if self._catalog is not None else 2 * self._request_seconds

    @property
    def commit_seconds(self) -> float:
        """What ``commit`` needs at the least: a manifest list to read, the uploads side by side, the commit."""
        return 3 * self._request_seconds

    def load(self) -> PyIcebergState:
        """Ask the catalog for the table. Raises TableMissing, or StoreUnavailable for any other failure."""
        try:
            return PyIcebergState(self._opened().load_table(self._identifier))
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            catalog = self._catalog.name if self._catalog is not None else ""
            raise TableMissing(".".join(self._identifier), catalog) from error
        except Exception as error:
            raise self._unavailable("could not be loaded", error) from error

    def stage(self, state: TableState, sales: Sequence[Sale], attempt_id: int) -> PyIcebergStaged:
        """Make the files of one append: of its manifest list, which needs the head's, only when that is remembered.

        Sends nothing. Raises ColumnsMissing.
        """
        judged = cast("PyIcebergState", state)
        files = staging.stage(judged.table, sales, attempt_id)
        if judged.head in (NO_SNAPSHOT, self._manifests[0]):
            self._list_manifests(judged, files)
        return PyIcebergStaged(files)

    def upload(self, state: TableState, staged: StagedAppend, deadline: Deadline) -> None:
        """Upload what is staged, ahead of a commit on the state's head. What fails is left to the commit."""
        with suppress(Exception):
            self._upload(cast("PyIcebergState", state), cast("PyIcebergStaged", staged).files, deadline)

    def commit(
        self, state: TableState, staged: StagedAppend, fenced: Collection[int], deadline: Deadline
    ) -> CommitAnswer:
        """Upload what is staged, then commit it as a compare-and-set on the state's head."""
        judged, files = cast("PyIcebergState", state), cast("PyIcebergStaged", staged).files
        table = judged.table
        try:
            listed = self._upload(judged, files, deadline)
        except Exception as error:
            return NotSent(_describe(error))
        files.list_manifests(None)
        summary = staging.summary(table, files, write_fenced(fenced))
        answer = self._send(judged, files.attempt_id, listed.file.location, summary, files.schema_id)
        if isinstance(answer, Committed):
            self._remember_manifests(files.attempt_id, files.manifest, listed.existing, table)
        return answer

    def scan(self, state: TableState, sales: Sequence[Sale]) -> Collection[SaleKey]:
        """Read which of the sales have a row at the state's head. Raises StoreUnavailable."""
        table = cast("PyIcebergState", state).table
        if table.metadata.current_snapshot_id is None:
            return set()
        found: set[SaleKey] = set()
        try:
            for (tenant_id, _, _), members in _partitions(sales):
                for some in chunked(members, SCAN_IDS_LIMIT):
                    ids = [sale.sale_id for sale in some]
                    rows = table.scan(_rows_of(members[0], ids), selected_fields=("sale_id",)).to_arrow()
                    found.update(SaleKey(tenant_id, sale_id) for sale_id in rows["sale_id"].to_pylist())
        except Exception as error:
            raise self._unavailable("could not be scanned", error) from error
        return found

    def merge_manifests(self, state: TableState, deadline: Deadline) -> Merging | None:
        """Merge small manifests of the state's head into one, in a snapshot of its own. None when it is not due."""
        head = cast("PyIcebergState", state)
        table, metadata = head.table, head.table.metadata
        if self._manifests[0] != head.head or not deadline.allows(MERGING_REQUESTS * self._request_seconds):
            return None
        existing = self._manifests[1]
        chosen = manifest_merging.due(existing, next_sequence_number(metadata) - 1, metadata.properties)
        if not chosen:
            return None
        snapshot_id = metadata.new_snapshot_id()
        try:
            read = self._parallel.map(lambda manifest: self._entries(table, manifest, deadline), chosen)
            entries = [entry for some in read for entry in some]
            merged, file = manifest_merging.merge(table, entries, chosen[0].partition_spec_id, snapshot_id)
            kept = [manifest for manifest in existing if manifest not in chosen]
            listed = staging.manifest_list(table, snapshot_id, [merged, *kept])
            self._parallel.map(lambda new: self._put(table, new, deadline), [file, listed])
        except Exception as error:
            return Merging(len(chosen), NotSent(_describe(error)))
        summary = manifest_merging.summary(table, len(chosen), len(kept), len(entries))
        answer = self._send(head, snapshot_id, listed.location, summary, metadata.current_schema_id)
        if isinstance(answer, Committed):
            self._remember_manifests(snapshot_id, merged, kept, table)
        return Merging(len(chosen), answer)

    def _entries(self, table: Table, manifest: ManifestFile, deadline: Deadline) -> list[ManifestEntry]:
        self._check_time(deadline, f"read {manifest.manifest_path}")
        return manifest.fetch_manifest_entry(table.io)

    def _opened(self) -> Catalog:
        if self._catalog is None:
            self._catalog = self._open_catalog()
        return self._catalog

    def _manifests_of(self, table: Table) -> Sequence[ManifestFile]:
        """Return the head's manifests: remembered when this writer committed the head, else one file is read."""
        head = table.current_snapshot()
        if head is None:
            return ()
        if self._manifests[0] != head.snapshot_id:
            self._manifests = (head.snapshot_id, tuple(read_manifest_list(table.io.new_input(head.manifest_list))))
        return self._manifests[1]

    def _upload(self, state: PyIcebergState, files: StagedFiles, deadline: Deadline) -> ManifestList:
        """Upload what still has to be; return the manifest list for a commit on this head."""
        listed = files.manifest_list
        if listed is None or listed.place != _place(state):
            listed = self._list_manifests(state, files)

        def upload(file: NewFile) -> None:
            self._put(state.table, file, deadline)
            del files.pending[file.location]

        self._parallel.map(upload, list(files.pending.values()))
        return listed

    def _list_manifests(self, state: PyIcebergState, files: StagedFiles) -> ManifestList:
        existing = self._manifests_of(state.table)
        # pyiceberg writes the sequence number of the first list that a manifest is put into through its copies: it
        # would stay in every later one, and rows would seem older than deletes that came before them.
        file = staging.manifest_list(state.table, files.attempt_id, [deepcopy(files.manifest), *existing])
        listed = ManifestList(_place(state), file, existing)
        files.list_manifests(listed)
        return listed

    def _put(self, table: Table, file: NewFile, deadline: Deadline) -> None:
        """Upload a file.

        Many partitions are more files than are sent side by side. Where storage does not answer, each of them waits
        for its time-out, and the last would be minutes late: so each begins only if there is time for it.
        """
        self._check_time(deadline, f"upload {file.location}")
        with table.io.new_output(file.location).create(overwrite=True) as stream:
            stream.write(file.content)

    def _check_time(self, deadline: Deadline, action: str) -> None:
        """Raise OutOfTime unless there is time for one request, for the commit after it, and for its judgement."""
        if not deadline.allows(2 * self._request_seconds + self.load_seconds):
            raise OutOfTime(f"No time is left to {action}.")

    def _send(
        self, state: PyIcebergState, snapshot_id: int, manifest_list: str, summary: Summary, schema_id: int
    ) -> Committed | Unknown:
        table = state.table
        snapshot = snapshot_on_head(table.metadata, snapshot_id, manifest_list, summary, schema_id, self._clock.now())
        requirements, updates = compare_and_set(table.metadata, snapshot)
        try:
            answer = self._opened().commit_table(table, requirements, updates)
        except Exception as error:
            return Unknown(_describe(error))
        committed = Table(
            table.name(), answer.metadata, answer.metadata_location, table.io, table.catalog, dict(table.config)
        )
        return Committed(state.followed_by(committed, snapshot))

    def _remember_manifests(
        self, snapshot_id: int, added: ManifestFile, kept: Sequence[ManifestFile], before: Table
    ) -> None:
        """Keep the manifests of a snapshot that was just committed, as its manifest list has them."""
        added.sequence_number = next_sequence_number(before.metadata)
        if added.min_sequence_number == UNASSIGNED_SEQ:
            added.min_sequence_number = added.sequence_number
        self._manifests = (snapshot_id, (added, *kept))

    def _unavailable(self, what: str, error: Exception) -> StoreUnavailable:
        name = ".".join(self._identifier)
        return StoreUnavailable(f"Iceberg table {name} {what}: {_describe(error)}. The sales stay in the queue.")


def _place(state: PyIcebergState) -> tuple[int, int]:
    """Return what a manifest list depends on: the head, and the number that the next snapshot has."""
    return state.head, next_sequence_number(state.table.metadata)


def _node(snapshot: Snapshot) -> SnapshotNode:
    properties = snapshot.summary.additional_properties if snapshot.summary is not None else {}
    sequence_number = snapshot.sequence_number or 0
    return SnapshotNode(snapshot.snapshot_id, snapshot.parent_snapshot_id, sequence_number, read_fenced(properties))


def _partitions(sales: Sequence[Sale]) -> Iterable[tuple[tuple[str, int, int], list[Sale]]]:
    def partition(sale: Sale) -> tuple[str, int, int]:
        return sale.tenant_id, sale.year, sale.month

    return ((key, list(members)) for key, members in groupby(sorted(sales, key=partition), key=partition))


def _rows_of(sale: Sale, sale_ids: Sequence[str]) -> BooleanExpression:
    """Return the filter for sale ids in the partition of one of the sales."""
    return And(
        _equal("tenant_id", sale.tenant_id),
        _equal("year", sale.year),
        _equal("month", sale.month),
        _in("sale_id", sale_ids),
    )


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
