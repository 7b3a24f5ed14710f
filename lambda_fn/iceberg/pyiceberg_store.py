"""The table store for any catalog that pyiceberg supports."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Final

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.manifest import ManifestEntry, ManifestFile, read_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Snapshot, Summary

from catalog_config.table_answers import history_in
from catalog_config.table_properties import BACKFILL, FENCED_ATTEMPTS, LANDED_ATTEMPTS
from lambda_fn.errors import OutOfTime, StoreUnavailable, TableMissing
from lambda_fn.iceberg import manifest_merging, row_scan, staging
from lambda_fn.iceberg.failures import FAILURES, describe, is_access_denied
from lambda_fn.iceberg.group_commit import member_manifest
from lambda_fn.iceberg.group_commit.member_manifest import MemberManifest
from lambda_fn.iceberg.history import SnapshotNode, attempt_properties, snapshot_node
from lambda_fn.iceberg.memory_file import NewFile
from lambda_fn.iceberg.rows import facts_without_column
from lambda_fn.iceberg.snapshots import compare_and_set, next_sequence_number, snapshot_on_head
from lambda_fn.iceberg.staging import ManifestList, StagedFiles
from lambda_fn.iceberg.store import CommitResult, Committed, MergeResult, NotSent, Scan, Unknown
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Clock, Deadline
from lambda_fn.sale import Sale, SaleKey

# A merge reads manifests in a few rounds, uploads two files side by side, and commits.
MERGE_REQUESTS: Final = 5


class PyIcebergState:
    """The table's metadata in one response of the catalog, and the manifests of its head once they are known.

    A commit's response is not read for the snapshots before it: they are those of the state that it was committed on.
    A snapshot that has expired meanwhile stays among them, which only adds evidence.
    """

    def __init__(
        self,
        table: Table,
        snapshots: Mapping[int, SnapshotNode] | None = None,
        manifests: Sequence[ManifestFile] | None = None,
    ) -> None:
        self.table = table
        self._snapshots = snapshots
        self._manifests = manifests

    @property
    def head(self) -> int:
        """The snapshot id of the head of ``main``, or NO_SNAPSHOT."""
        snapshot_id = self.table.metadata.current_snapshot_id
        return NO_SNAPSHOT if snapshot_id is None else snapshot_id

    @cached_property
    def snapshots(self) -> Mapping[int, SnapshotNode]:
        """The retained snapshots, by their ids."""
        if self._snapshots is not None:
            return self._snapshots
        past = history_in(self.table.config)
        if past is None:
            return {snapshot.snapshot_id: _node(snapshot) for snapshot in self.table.metadata.snapshots}
        return {
            each.snapshot_id: snapshot_node(
                each.snapshot_id,
                each.parent_snapshot_id,
                each.sequence_number,
                {
                    FENCED_ATTEMPTS: each.summary.fenced_attempts,
                    LANDED_ATTEMPTS: each.summary.landed_attempts,
                    BACKFILL: each.summary.backfill,
                },
            )
            for each in past
        }

    @cached_property
    def missing_facts(self) -> Collection[str]:
        """The facts of a sale that the table has no column for: names of attributes of Sale."""
        return facts_without_column(self.table.schema())

    @cached_property
    def metadata_folder(self) -> str:
        """The location that all manifests of the table begin with."""
        return self.table.location_provider().new_metadata_location("")

    @property
    def known_manifests(self) -> Sequence[ManifestFile] | None:
        """The head's manifests, or None if its manifest list has to be read first."""
        return () if self.head == NO_SNAPSHOT else self._manifests

    def read_manifests(self) -> Sequence[ManifestFile]:
        """Return the head's manifests. Reads one file unless they are known."""
        head = self.table.current_snapshot()
        if head is None:
            return ()
        if self._manifests is None:
            self._manifests = tuple(read_manifest_list(self.table.io.new_input(head.manifest_list)))
        return self._manifests

    def after(self, table: Table, snapshot: Snapshot, manifests: Sequence[ManifestFile]) -> PyIcebergState:
        """Return the state after a commit on this one."""
        return PyIcebergState(table, {**self.snapshots, snapshot.snapshot_id: _node(snapshot)}, manifests)


class PyIcebergStore:
    """An Iceberg table in a catalog. No method retries a request.

    The catalog is opened by the first request, so that neither an import nor the wiring connects to anything.
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

    @property
    def load_seconds(self) -> float:
        """The longest that ``load`` can take. The first load also requests the catalog's configuration."""
        return self._request_seconds if self._catalog is not None else 2 * self._request_seconds

    @property
    def commit_seconds(self) -> float:
        """The time to read a manifest list, to upload a few files side by side, and to commit."""
        return 3 * self._request_seconds

    def load(self, known: PyIcebergState | None = None) -> PyIcebergState:
        """Ask the catalog for the table. Raises TableMissing, or StoreUnavailable for any other failure."""
        try:
            state = PyIcebergState(self._opened().load_table(self._identifier))
        except (NoSuchTableError, NoSuchNamespaceError) as error:
            catalog = self._catalog.name if self._catalog is not None else ""
            raise TableMissing(".".join(self._identifier), catalog) from error
        except FAILURES as error:
            raise self._unavailable("could not be loaded", error) from error
        # A snapshot never changes, so the manifests of the same head are the same.
        if known is not None and known.head == state.head:
            return PyIcebergState(state.table, manifests=known.known_manifests)
        return state

    def stage(self, state: PyIcebergState, sales: Sequence[Sale], attempt_id: int) -> StagedFiles:
        """Make the files of an append, and its manifest list too if the head's manifests are known.

        Sends nothing. Raises ColumnsMissing.
        """
        staged = staging.stage(state.table, sales, attempt_id)
        if state.known_manifests is not None:
            self._list_manifests(state, staged)
        return staged

    def fits(self, state: PyIcebergState, staged: StagedFiles) -> bool:
        """Return whether the files have the table's current schema and partition spec."""
        return _has_current_schema(state, staged.schema_id, staged.spec_id)

    def upload(self, state: PyIcebergState, staged: StagedFiles, deadline: Deadline) -> None:
        """Upload the files before their commit on the state's head. The commit uploads what fails here."""
        with suppress(*FAILURES):
            self._upload(state, staged, deadline)

    def share(self, state: PyIcebergState, staged: StagedFiles, deadline: Deadline) -> NotSent | None:
        """Upload the files that another writer needs to land the append. Returns the failure, if any."""
        try:
            self._put_pending(state, staged, staged.files_to_share(), deadline)
        except FAILURES as error:
            return _not_sent(error)
        return None

    def manifest_of(self, staged: StagedFiles) -> str:
        """Return the manifest as text, with which another writer can land the append once its files are shared."""
        return member_manifest.encode(staged.as_member())

    def can_list(self, state: PyIcebergState, manifest: str) -> bool:
        """Return whether a manifest from the queue is this table's, with its current schema and partition spec.

        A table that was dropped and created again has another location. A text that can't be read is one that cannot
        be listed.
        """
        try:
            member = member_manifest.decode(manifest)
        except ValueError:
            return False
        is_of_this_table = member.manifest.manifest_path.startswith(state.metadata_folder)
        return is_of_this_table and _has_current_schema(state, member.schema_id, member.spec_id)

    def commit(
        self,
        state: PyIcebergState,
        staged: StagedFiles,
        members: Sequence[tuple[int, str]],
        fenced: Collection[int],
        deadline: Deadline,
    ) -> CommitResult[PyIcebergState]:
        """Upload the remaining files, then commit as a compare-and-set on the state's head. Never raises."""
        manifests = [member_manifest.decode(manifest) for _, manifest in members]
        try:
            if manifests:
                self._list_manifests(state, staged, manifests)
            manifest_list = self._upload(state, staged, deadline)
        except FAILURES as error:
            if manifests:
                # The next commit may be without these members, and must not list their manifests then.
                staged.replace_manifest_list(None)
            return _not_sent(error)
        # Each request has a manifest list of its own: an earlier request may still take effect, and needs its list.
        staged.replace_manifest_list(None)
        properties = attempt_properties(fenced, [attempt for attempt, _ in members])
        summary = staging.summary(state.table, staged, manifests, properties)
        return self._send(state, staged.attempt_id, manifest_list, summary, staged.schema_id)

    def scan(self, state: PyIcebergState, sales: Sequence[Sale], deadline: Deadline) -> Scan:
        """Find out which of the sales have a row at the state's head.

        A partition that can't be read, or not in time for a commit of the other sales, leaves its sales undecided.
        Raises StoreUnavailable if a manifest can't be read.
        """
        try:
            parts = row_scan.plan(state.table, state.read_manifests(), sales)
        except FAILURES as error:
            raise self._unavailable("could not be scanned", error) from error
        present: set[SaleKey] = set()
        undecided: dict[SaleKey, str] = {}
        # The first partition is read in any case: an invocation that is too short for more still gets ahead.
        reserved_seconds = 0.0
        for part in parts:
            try:
                if not deadline.allows(self._request_seconds + reserved_seconds):
                    raise OutOfTime("No time is left.")
                present |= row_scan.present(state.table, part)
            except FAILURES as error:
                cause = f"it could not be looked up in the table: {describe(error)}"
                undecided |= {sale.key: cause for sale in part.sales}
            reserved_seconds = self.commit_seconds + self.load_seconds
        return Scan(present, undecided)

    def merge_is_due(self, state: PyIcebergState) -> bool:
        """Return whether small manifests of the state's head should be merged."""
        return bool(self._manifests_to_merge(state))

    def _manifests_to_merge(self, state: PyIcebergState) -> list[ManifestFile]:
        """Return the manifests to merge, or none.

        Only a writer that knows the head's manifests merges: it has committed the head, or has read them anyway.
        """
        metadata, existing = state.table.metadata, state.known_manifests
        if existing is None:
            return []
        return manifest_merging.manifests_to_merge(existing, next_sequence_number(metadata) - 1, metadata.properties)

    def merge_manifests(self, state: PyIcebergState, deadline: Deadline) -> MergeResult[PyIcebergState] | None:
        """Merge small manifests of the state's head in a snapshot of its own. Returns None if no merge is due."""
        chosen = self._manifests_to_merge(state) if deadline.allows(MERGE_REQUESTS * self._request_seconds) else []
        if not chosen:
            return None
        table, existing = state.table, state.read_manifests()
        snapshot_id = table.metadata.new_snapshot_id()
        try:
            read = self._parallel.map(lambda manifest: self._read_entries(table, manifest, deadline), chosen)
            entries = [entry for manifest_entries in read for entry in manifest_entries]
            merged, file = manifest_merging.merge(table, entries, chosen[0].partition_spec_id, snapshot_id)
            kept = [manifest for manifest in existing if manifest not in chosen]
            manifest_list = staging.manifest_list(table, snapshot_id, [merged], kept)
            self._parallel.map(lambda new: self._put(table, new, deadline), [file, manifest_list.file])
        except Exception as error:
            # The outcomes of the sales are certain by now, and a defect in a merge must not fail their invocation.
            return MergeResult(len(chosen), _not_sent(error))
        summary = manifest_merging.summary(table, len(chosen), len(kept), len(entries))
        commit = self._send(state, snapshot_id, manifest_list, summary, table.metadata.current_schema_id)
        return MergeResult(len(chosen), commit)

    def _read_entries(self, table: Table, manifest: ManifestFile, deadline: Deadline) -> list[ManifestEntry]:
        self._check_time(deadline, f"read {manifest.manifest_path}")
        return manifest.fetch_manifest_entry(table.io)

    def _opened(self) -> Catalog:
        if self._catalog is None:
            self._catalog = self._open_catalog()
        return self._catalog

    def _upload(self, state: PyIcebergState, staged: StagedFiles, deadline: Deadline) -> ManifestList:
        """Upload the remaining files, and return the manifest list for a commit on the state's head."""
        manifest_list = staged.manifest_list
        if manifest_list is None or not manifest_list.fits(state.table.metadata):
            manifest_list = self._list_manifests(state, staged)

        self._put_pending(state, staged, list(staged.pending.values()), deadline)
        return manifest_list

    def _put_pending(
        self, state: PyIcebergState, staged: StagedFiles, files: Sequence[NewFile], deadline: Deadline
    ) -> None:
        def upload(file: NewFile) -> None:
            self._put(state.table, file, deadline)
            del staged.pending[file.location]

        self._parallel.map(upload, files)

    def _list_manifests(
        self, state: PyIcebergState, staged: StagedFiles, members: Sequence[MemberManifest] = ()
    ) -> ManifestList:
        added = [staged.manifest, *(member.manifest for member in members)]
        manifest_list = staging.manifest_list(state.table, staged.attempt_id, added, state.read_manifests())
        staged.replace_manifest_list(manifest_list)
        return manifest_list

    def _put(self, table: Table, file: NewFile, deadline: Deadline) -> None:
        """Upload a file, if there is time.

        An append to many partitions has more files than are sent side by side. If the storage does not answer, each of
        them waits for its time-out, and the last one would end minutes after the deadline.
        """
        self._check_time(deadline, f"upload {file.location}")
        with table.io.new_output(file.location).create(overwrite=True) as stream:
            stream.write(file.content)

    def _check_time(self, deadline: Deadline, action: str) -> None:
        """Raise OutOfTime unless there is time for one request, for the commit after it, and for its judgement."""
        if not deadline.allows(2 * self._request_seconds + self.load_seconds):
            raise OutOfTime(f"No time is left to {action}.")

    def _send(
        self, state: PyIcebergState, snapshot_id: int, manifest_list: ManifestList, summary: Summary, schema_id: int
    ) -> Committed[PyIcebergState] | Unknown:
        table, now = state.table, self._clock.now()
        location = manifest_list.file.location
        snapshot = snapshot_on_head(table.metadata, snapshot_id, location, summary, schema_id, now)
        requirements, updates = compare_and_set(table.metadata, snapshot)
        try:
            response = self._opened().commit_table(table, requirements, updates)
        except FAILURES as error:
            return Unknown(describe(error))
        # The response has metadata only, and Table.refresh would ask the catalog for the table again.
        committed = Table(
            table.name(), response.metadata, response.metadata_location, table.io, table.catalog, dict(table.config)
        )
        return Committed(state.after(committed, snapshot, manifest_list.manifests))

    def _unavailable(self, what: str, error: Exception) -> StoreUnavailable:
        name = ".".join(self._identifier)
        return StoreUnavailable(f"Iceberg table {name} {what}: {describe(error)}. The sales stay in the queue.")


def _node(snapshot: Snapshot) -> SnapshotNode:
    properties = snapshot.summary.additional_properties if snapshot.summary is not None else {}
    sequence_number = snapshot.sequence_number or 0
    return snapshot_node(snapshot.snapshot_id, snapshot.parent_snapshot_id, sequence_number, properties)


def _has_current_schema(state: PyIcebergState, schema_id: int, spec_id: int) -> bool:
    metadata = state.table.metadata
    return (schema_id, spec_id) == (metadata.current_schema_id, metadata.default_spec_id)


def _not_sent(error: Exception) -> NotSent:
    return NotSent(describe(error), is_access_denied(error), isinstance(error, FileNotFoundError))
