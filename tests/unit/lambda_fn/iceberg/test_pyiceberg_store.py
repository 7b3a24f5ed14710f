"""The table store, over a catalog in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchNamespaceError, NoSuchTableError
from pyiceberg.manifest import ManifestFile
from pyiceberg.table.snapshots import Snapshot

from lambda_fn.errors import StoreUnavailable, TableMissing
from lambda_fn.iceberg.history import SnapshotNode
from lambda_fn.iceberg.manifest_merging import CHECK_INTERVAL
from lambda_fn.iceberg.pyiceberg_store import PyIcebergState, PyIcebergStore
from lambda_fn.iceberg.store import Committed, MergeResult, NotSent, Unknown
from lambda_fn.ports import NO_SNAPSHOT
from lambda_fn.runtime.retry import Deadline
from tests.builders import sale
from tests.catalogs import Files
from tests.fakes.clock import FakeClock
from tests.fakes.parallel import InTurn
from tests.unit.lambda_fn.iceberg.one_table import IDENTIFIER, SCHEMA_ID, OneTable

REQUEST_SECONDS = 6.0
UPLOAD_COMMIT_AND_JUDGE = 3 * REQUEST_SECONDS
SALES = [sale(sale_id="a")]
MANIFESTS = 3
REFUSED = "ConnectionError: connection refused"


class World:
    """A store, the catalog behind it, and the requests for files."""

    def __init__(self, folder: Path) -> None:
        self.catalog = OneTable(folder)
        self.clock = FakeClock()
        self.files = Files(self.clock)
        self.opened = 0
        self.store = PyIcebergStore(self._open, IDENTIFIER, InTurn(), self.clock, REQUEST_SECONDS)

    def _open(self) -> Catalog:
        self.opened += 1
        return self.files(self.catalog)

    def soon(self, seconds: float = 120.0) -> Deadline:
        return Deadline.after(self.clock, seconds)

    def land(self, state: PyIcebergState, attempt_id: int, **changes: Any) -> PyIcebergState:
        """Commit a sale, and return the state after it."""
        staged = self.store.stage(state, [sale(sale_id=str(attempt_id), **changes)], attempt_id)
        result = self.store.commit(state, staged, (), (), self.soon())
        assert isinstance(result, Committed)
        return result.state

    def sale_ids(self) -> list[str]:
        return sorted(self.catalog.table.scan().to_arrow()["sale_id"].to_pylist())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def paths(manifests: Any) -> list[str]:
    return [manifest.manifest_path for manifest in manifests]


# --- the state -------------------------------------------------------------------------------------------------------


def test_the_catalog_is_opened_once_by_the_first_request(world: World) -> None:
    assert world.opened == 0
    assert world.store.load().head == NO_SNAPSHOT
    world.store.load()
    assert world.opened == 1


@pytest.mark.parametrize("error", [NoSuchTableError("?"), NoSuchNamespaceError("?")])
def test_a_missing_table_is_named_with_its_catalog(world: World, error: Exception) -> None:
    world.catalog.failures = [error]
    with pytest.raises(TableMissing) as raised:
        world.store.load()
    assert str(raised.value) == str(TableMissing("n.t", "one"))


def test_a_table_that_can_not_be_loaded_is_unavailable(world: World) -> None:
    world.catalog.failures = [ConnectionRefusedError("nobody listens")]
    with pytest.raises(StoreUnavailable) as raised:
        world.store.load()
    cause = "ConnectionRefusedError: nobody listens"
    assert str(raised.value) == f"Iceberg table n.t could not be loaded: {cause}. The sales stay in the queue."


def test_the_state_after_a_commit_is_that_of_a_new_load(world: World) -> None:
    first = world.land(world.store.load(), 11)
    after = world.land(first, 12)
    loaded = world.store.load()
    assert (after.head, after.snapshots) == (12, {11: SnapshotNode(11, None, 1), 12: SnapshotNode(12, 11, 2)})
    assert loaded.snapshots == after.snapshots
    assert paths(after.known_manifests) == paths(loaded.read_manifests())
    assert after.table.metadata == loaded.table.metadata
    assert after.table.metadata_location == loaded.table.metadata_location
    assert (after.table.name(), after.table.config) == (loaded.table.name(), loaded.table.config)
    assert after.table.catalog is loaded.table.catalog


def test_a_commit_adds_to_the_known_history(world: World) -> None:
    """The answer to a commit has no history: a REST catalog's answers are shortened."""
    known = {5: SnapshotNode(5, None, 1)}
    state = PyIcebergState(world.catalog.table, known)
    new = Snapshot(snapshot_id=6, parent_snapshot_id=5, sequence_number=2, manifest_list="s3://list.avro")
    after = state.after(world.catalog.table, new, ())
    assert after.snapshots == {**known, 6: SnapshotNode(6, 5, 2)}


def test_a_reload_of_the_same_head_keeps_its_manifests(world: World) -> None:
    known = world.land(world.store.load(), 11)
    again = world.store.load(known)
    assert paths(again.known_manifests) == paths(known.known_manifests)
    world.land(again, 12)
    assert world.store.load(known).known_manifests is None
    assert world.store.load().known_manifests is None


def test_manifests_are_read_once(world: World) -> None:
    world.land(world.store.load(), 11)
    state = world.store.load()
    assert paths(state.read_manifests()) == paths(state.read_manifests())
    assert len(world.files.read) == 1
    assert paths(state.known_manifests) == paths(state.read_manifests())


# --- an append -------------------------------------------------------------------------------------------------------


def test_the_manifest_list_is_staged_if_the_manifests_are_known(world: World) -> None:
    empty = world.store.load()
    assert world.store.stage(empty, SALES, 11).manifest_list is not None
    known = world.land(empty, 11)
    staged = world.store.stage(known, SALES, 12)
    assert staged.manifest_list is not None
    assert paths(staged.manifest_list.manifests) == [staged.manifest.manifest_path, *paths(known.known_manifests)]
    assert world.store.stage(world.store.load(), SALES, 12).manifest_list is None
    assert world.files.read == []


def test_files_fit_one_schema_and_one_partition_spec(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    assert world.store.fits(state, staged)
    for name in ("current_schema_id", "default_spec_id"):
        changed = world.catalog.table
        changed.metadata = changed.metadata.model_copy(update={name: 99})
        assert not world.store.fits(PyIcebergState(changed), staged)


def test_a_commit_uploads_what_is_not_uploaded_yet(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    world.store.upload(state, staged, world.soon())
    assert len(world.files.uploaded) == 3, "a data file, the manifest and the manifest list"
    result = world.store.commit(state, staged, (), (), world.soon())
    assert isinstance(result, Committed)
    assert len(world.files.uploaded) == 3
    assert world.sale_ids() == ["a"]


def test_an_upload_before_the_commit_may_fail(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    world.files.failing = 1
    world.store.upload(state, staged, world.soon())
    assert isinstance(world.store.commit(state, staged, (), (), world.soon()), Committed)
    assert world.sale_ids() == ["a"]


def test_a_file_whose_upload_had_no_answer_is_uploaded_again(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    arrived = dict(staged.pending)
    world.store.upload(state, staged, world.soon())
    staged.pending.update(arrived)
    assert world.store.share(state, staged, world.soon()) is None


def test_a_commit_whose_upload_fails_is_not_sent(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    world.files.failing = 1
    assert world.store.commit(state, staged, (), (), world.soon()) == NotSent(REFUSED)
    assert world.catalog.commits == 0
    assert isinstance(world.store.commit(state, staged, (), (), world.soon()), Committed)
    assert len(world.files.uploaded) == 3


def test_credentials_that_are_refused_are_reported_as_such(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)

    def refused() -> None:
        raise PermissionError("expired")

    world.files.upload = refused  # type: ignore[method-assign]
    failure = NotSent("PermissionError: expired", access_denied=True)
    assert world.store.commit(state, staged, (), (), world.soon()) == failure
    assert world.store.share(state, staged, world.soon()) == failure


def test_each_commit_request_has_a_manifest_list_of_its_own(world: World) -> None:
    """The first request may still take effect, and needs its list."""
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    world.catalog.failures = [CommitFailedException("busy")]
    assert world.store.commit(state, staged, (), (), world.soon()) == Unknown("CommitFailedException: busy")
    assert isinstance(world.store.commit(state, staged, (), (), world.soon()), Committed)
    assert len(world.files.uploaded) == 4, "the data file and the manifest are uploaded once"


def test_a_commit_on_another_head_lists_its_manifests(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    world.store.upload(state, staged, world.soon())
    newer = world.land(state, 10)
    assert isinstance(world.store.commit(newer, staged, (), (), world.soon()), Committed)
    assert world.sale_ids() == ["10", "a"]


def test_a_snapshot_names_its_members_and_the_attempts_that_it_fences(world: World) -> None:
    state = world.store.load()
    member = world.store.stage(state, [sale(sale_id="b")], 12)
    assert world.store.share(state, member, world.soon()) is None
    staged = world.store.stage(state, SALES, 11)
    beside = [(12, world.store.manifest_of(member))]
    result = world.store.commit(state, staged, beside, {7, 8}, world.soon())
    assert isinstance(result, Committed)
    assert result.state.snapshots == {11: SnapshotNode(11, None, 1, frozenset({7, 8}), frozenset({12}))}
    head = world.catalog.table.current_snapshot()
    assert head is not None
    assert head.summary is not None
    assert head.summary.additional_properties["total-records"] == "2"
    assert head.schema_id == SCHEMA_ID
    assert head.timestamp_ms >= int(world.clock.now() * 1000)
    assert world.sale_ids() == ["a", "b"]


def test_a_manifest_can_be_listed_in_its_own_table_with_its_schema_and_spec(world: World, tmp_path: Path) -> None:
    state = world.store.load()
    manifest = world.store.manifest_of(world.store.stage(state, SALES, 11))
    assert world.store.can_list(state, manifest)
    assert not world.store.can_list(state, "{}")
    assert not world.store.can_list(PyIcebergState(OneTable(tmp_path / "other").table), manifest)
    for name in ("schema", "spec"):
        number = SCHEMA_ID if name == "schema" else state.table.spec().spec_id
        assert not world.store.can_list(state, manifest.replace(f'"{name}":{number}', f'"{name}":99'))


# --- deadlines -------------------------------------------------------------------------------------------------------


def test_an_upload_begins_if_there_is_time_for_the_commit_and_its_judgement_too(world: World) -> None:
    state = world.store.load()
    staged = world.store.stage(state, SALES, 11)
    location = next(iter(staged.pending))
    late = world.soon(UPLOAD_COMMIT_AND_JUDGE - 0.01)
    failure = NotSent(f"OutOfTime: No time is left to upload {location}.")
    assert world.store.share(state, staged, late) == failure
    assert world.store.commit(state, staged, (), (), late) == failure
    world.store.upload(state, staged, late)
    assert world.files.uploaded == []
    assert world.store.share(state, staged, world.soon(UPLOAD_COMMIT_AND_JUDGE)) is None
    assert isinstance(world.store.commit(state, staged, (), (), world.soon(UPLOAD_COMMIT_AND_JUDGE)), Committed)


# --- merging manifests -----------------------------------------------------------------------------------------------


@pytest.fixture
def mergeable(world: World) -> World:
    """A table whose manifests are due for a merge."""
    properties = {"commit.manifest.min-count-to-merge": str(MANIFESTS)}
    changes = {"properties": properties, "last_sequence_number": CHECK_INTERVAL - MANIFESTS}
    world.catalog.metadata = world.catalog.metadata.model_copy(update=changes)
    state = world.store.load()
    for attempt_id in range(1, MANIFESTS + 1):
        state = world.land(state, attempt_id)
    world.files.uploaded.clear()
    return world


def known(world: World) -> PyIcebergState:
    state = world.store.load()
    state.read_manifests()
    return state


def test_a_merge_is_due_if_the_manifests_are_known(mergeable: World) -> None:
    assert not mergeable.store.merge_is_due(mergeable.store.load())
    assert mergeable.store.merge_manifests(mergeable.store.load(), mergeable.soon()) is None
    assert mergeable.store.merge_is_due(known(mergeable))
    assert not mergeable.store.merge_is_due(mergeable.land(known(mergeable), 100))


def test_a_merge_replaces_the_manifests(mergeable: World) -> None:
    before = known(mergeable)
    merge = mergeable.store.merge_manifests(before, mergeable.soon())
    assert merge is not None
    assert isinstance(merge.commit, Committed)
    assert merge.manifests == MANIFESTS
    after = merge.commit.state
    assert paths(after.known_manifests) == [f"{mergeable.catalog.location}/metadata/{after.head}-merged.avro"]
    assert len(mergeable.files.uploaded) == 2, "the merged manifest and the manifest list"
    head = mergeable.catalog.table.current_snapshot()
    assert head is not None
    assert (head.snapshot_id, head.schema_id, head.parent_snapshot_id) == (after.head, SCHEMA_ID, before.head)
    assert head.summary is not None
    counts = {name: int(text) for name, text in head.summary.additional_properties.items() if "total-" not in name}
    assert counts == {
        "manifests-created": 1,
        "manifests-replaced": MANIFESTS,
        "manifests-kept": 0,
        "entries-processed": MANIFESTS,
    }
    assert mergeable.sale_ids() == ["1", "2", "3"]


def test_other_manifests_stay_as_they_are(mergeable: World) -> None:
    state = known(mergeable)
    manifests = [*state.read_manifests(), deletes()]
    merge = mergeable.store.merge_manifests(PyIcebergState(state.table, manifests=manifests), mergeable.soon())
    assert merge is not None
    assert isinstance(merge.commit, Committed)
    assert paths(merge.commit.state.known_manifests)[1:] == [deletes().manifest_path]


def deletes() -> ManifestFile:
    """Return a manifest of delete files, which is never merged."""
    return ManifestFile.from_args(
        manifest_path="s3://deletes.avro",
        manifest_length=10,
        partition_spec_id=0,
        content=1,
        sequence_number=1,
        min_sequence_number=1,
        added_snapshot_id=1,
        added_files_count=1,
        existing_files_count=0,
        deleted_files_count=0,
        added_rows_count=1,
        existing_rows_count=0,
        deleted_rows_count=0,
        partitions=[],
    )


def test_a_merge_that_can_not_upload_changes_nothing(mergeable: World) -> None:
    mergeable.files.failing = 1
    merge = mergeable.store.merge_manifests(known(mergeable), mergeable.soon())
    assert merge == MergeResult(MANIFESTS, NotSent(REFUSED))
    assert mergeable.catalog.commits == MANIFESTS


def test_a_merge_that_is_refused_changes_nothing(mergeable: World) -> None:
    state = known(mergeable)
    mergeable.catalog.failures = [CommitFailedException("busy")]
    merge = mergeable.store.merge_manifests(state, mergeable.soon())
    assert merge == MergeResult(MANIFESTS, Unknown("CommitFailedException: busy"))


def test_a_merge_begins_if_there_is_time_for_five_requests(mergeable: World) -> None:
    state = known(mergeable)
    assert mergeable.store.merge_manifests(state, mergeable.soon(5 * REQUEST_SECONDS - 0.01)) is None
    assert mergeable.store.merge_manifests(state, mergeable.soon(5 * REQUEST_SECONDS)) is not None


class SlowReads(list[str]):
    """The locations of the files that are read. Each read takes some seconds."""

    def __init__(self, clock: FakeClock, seconds: float) -> None:
        super().__init__()
        self.clock = clock
        self.seconds = seconds

    def append(self, location: str) -> None:
        """Note the read."""
        self.clock.advance(self.seconds)
        super().append(location)


def test_a_merge_stops_reading_while_there_is_time_for_a_commit(mergeable: World) -> None:
    state = known(mergeable)
    mergeable.files.read = SlowReads(mergeable.clock, 13.0)
    merge = mergeable.store.merge_manifests(state, mergeable.soon(5 * REQUEST_SECONDS))
    second = sorted(state.read_manifests(), key=lambda manifest: manifest.sequence_number)[1]
    failure = NotSent(f"OutOfTime: No time is left to read {second.manifest_path}.")
    assert merge == MergeResult(MANIFESTS, failure)
    assert mergeable.catalog.commits == MANIFESTS
