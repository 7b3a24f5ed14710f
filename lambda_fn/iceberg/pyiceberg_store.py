"""The sales table behind any catalog that pyiceberg knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from typing import Any, Final, cast

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
from pyiceberg.expressions import And, BooleanExpression, EqualTo, In
from pyiceberg.manifest import ManifestFile, read_manifest_list
from pyiceberg.table import Table
from pyiceberg.table.refs import MAIN_BRANCH, SnapshotRefType
from pyiceberg.table.snapshots import Snapshot
from pyiceberg.table.update import (
    AddSnapshotUpdate,
    AssertRefSnapshotId,
    AssertTableUUID,
    SetSnapshotRefUpdate,
    TableRequirement,
    TableUpdate,
)

from lambda_fn.errors import StoreUnavailable, TableMissing
from lambda_fn.iceberg import staging
from lambda_fn.iceberg.history import SnapshotNode, read_fenced, write_fenced
from lambda_fn.iceberg.staging import NewFile, StagedFiles
from lambda_fn.iceberg.store import CommitAnswer, Committed, NotSent, StagedAppend, TableState, Unknown
from lambda_fn.parallel import Parallel
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.retry import Clock
from lambda_fn.sale import Sale, SaleKey

# A scan filters by the ids it looks for; beyond this many, the filter itself would be the cost.
SCAN_IDS_LIMIT: Final = 1000

# pyiceberg's type hints describe the models behind these, not the arguments that its documentation gives them.
_equal: Final[Callable[[str, Any], BooleanExpression]] = cast("Any", EqualTo)
_in: Final[Callable[[str, Sequence[str]], BooleanExpression]] = cast("Any", In)


class PyIcebergState:
    """The table as one answer of the catalog showed it."""

    def __init__(self, table: Table) -> None:
        self.table = table

    @property
    def head(self) -> int:
        """Snapshot id of the head of ``main``, or NO_SNAPSHOT."""
        snapshot_id = self.table.metadata.current_snapshot_id
        return NO_SNAPSHOT if snapshot_id is None else snapshot_id

    @cached_property
    def snapshots(self) -> Mapping[int, SnapshotNode]:
        """Every retained snapshot."""
        return {snapshot.snapshot_id: _node(snapshot) for snapshot in self.table.metadata.snapshots}


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
        """The longest that ``commit`` can take: a manifest list to read, the uploads side by side, the commit."""
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
        """Make the data files and the manifest of one append. Sends nothing."""
        return PyIcebergStaged(staging.stage(cast("PyIcebergState", state).table, sales, attempt_id))

    def commit(self, state: TableState, staged: StagedAppend, fenced: Collection[int]) -> CommitAnswer:
        """Upload what is staged, then commit it as a compare-and-set on the state's head."""
        table, files = cast("PyIcebergState", state).table, cast("PyIcebergStaged", staged).files
        try:
            existing = self._manifests_of(table)
            manifest_list = staging.manifest_list(table, files, existing)
            self._parallel.map(lambda file: _upload(table, file), [*files.pending, manifest_list])
            files.pending.clear()
        except Exception as error:
            return NotSent(_describe(error))
        requirements, updates = self._compare_and_set(table, files, manifest_list.location, fenced)
        try:
            answer = self._opened().commit_table(table, requirements, updates)
        except Exception as error:
            return Unknown(_describe(error))
        committed = Table(
            table.name(), answer.metadata, answer.metadata_location, table.io, table.catalog, dict(table.config)
        )
        self._manifests = (files.attempt_id, self._manifests_after(files, table, existing))
        return Committed(PyIcebergState(committed))

    def scan(self, state: TableState, sales: Sequence[Sale]) -> Collection[SaleKey]:
        """Read which of the sales have a row at the state's head. Raises StoreUnavailable."""
        table = cast("PyIcebergState", state).table
        if table.metadata.current_snapshot_id is None:
            return set()
        found: set[SaleKey] = set()
        try:
            for (tenant_id, _, _), members in _partitions(sales):
                for start in range(0, len(members), SCAN_IDS_LIMIT):
                    ids = [sale.sale_id for sale in members[start : start + SCAN_IDS_LIMIT]]
                    rows = table.scan(_rows_of(members[0], ids), selected_fields=("sale_id",)).to_arrow()
                    found.update(SaleKey(tenant_id, sale_id) for sale_id in rows["sale_id"].to_pylist())
        except Exception as error:
            raise self._unavailable("could not be scanned", error) from error
        return found

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

    def _compare_and_set(
        self, table: Table, files: StagedFiles, manifest_list: str, fenced: Collection[int]
    ) -> tuple[tuple[TableRequirement, ...], tuple[TableUpdate, ...]]:
        metadata = table.metadata
        snapshot = Snapshot(
            snapshot_id=files.attempt_id,
            parent_snapshot_id=metadata.current_snapshot_id,
            sequence_number=staging.next_sequence_number(metadata),
            # Another writer's clock may be ahead; a history that goes back in time is refused by some catalogs.
            timestamp_ms=max(int(self._clock.now() * 1000), metadata.last_updated_ms),
            manifest_list=manifest_list,
            summary=staging.summary(table, files, write_fenced(fenced)),
            schema_id=files.schema_id,
        )
        requirements: tuple[TableRequirement, ...] = (
            AssertTableUUID(uuid=metadata.table_uuid),
            AssertRefSnapshotId(ref=MAIN_BRANCH, snapshot_id=metadata.current_snapshot_id),
        )
        updates: tuple[TableUpdate, ...] = (
            AddSnapshotUpdate(snapshot=snapshot),
            SetSnapshotRefUpdate(
                ref_name=MAIN_BRANCH,
                type=SnapshotRefType.BRANCH,
                snapshot_id=files.attempt_id,
                # A branch with its own retention would disable the snapshot management of S3 Tables.
                max_ref_age_ms=None,
                max_snapshot_age_ms=None,
                min_snapshots_to_keep=None,
            ),
        )
        return requirements, updates

    def _manifests_after(
        self, files: StagedFiles, table: Table, existing: Sequence[ManifestFile]
    ) -> Sequence[ManifestFile]:
        """Return the manifests of the snapshot that was just committed, as its manifest list has them."""
        added = files.manifest
        added.sequence_number = added.min_sequence_number = staging.next_sequence_number(table.metadata)
        return (added, *existing)

    def _unavailable(self, what: str, error: Exception) -> StoreUnavailable:
        name = ".".join(self._identifier)
        return StoreUnavailable(f"Iceberg table {name} {what}: {_describe(error)}. The sales stay in the queue.")


def _node(snapshot: Snapshot) -> SnapshotNode:
    properties = snapshot.summary.additional_properties if snapshot.summary is not None else {}
    sequence_number = snapshot.sequence_number or 0
    return SnapshotNode(snapshot.snapshot_id, snapshot.parent_snapshot_id, sequence_number, read_fenced(properties))


def _upload(table: Table, file: NewFile) -> None:
    with table.io.new_output(file.location).create(overwrite=True) as stream:
        stream.write(file.content)


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
