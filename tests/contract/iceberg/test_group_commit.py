"""Group commit, on every catalog: one snapshot lands many attempts, and readers see nothing unusual."""

from __future__ import annotations

from typing import Any

import pytest
from pyiceberg.types import StringType

from carousel_sync.explore.duckdb_table import S3Access, open_table
from catalog_config.config import CatalogKind
from lambda_fn.iceberg.manifest_merging import CHECK_INTERVAL
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.iceberg.store import Committed, NotSent
from lambda_fn.ports import NO_SNAPSHOT, Claimed, GiveUp, Landed, ManifestMerge, NotKnownToHaveLanded, Resolution
from schemas.evolution.column_operations import AddColumn
from tests.builders import sale
from tests.catalogs import Files, answer_lost, faulty, first_do
from tests.contract.iceberg.group_writers import (
    Attempt,
    GroupWriters,
    entries_of,
    head_of,
    manifests_of,
    summary_of,
)
from tests.fakes.clock import FakeClock
from tests.tables import TableUnderTest

LEADER = Attempt(500, fenced=(40, 41))
MEMBERS = Attempt(501, fenced=(41, 42), sales_count=3), Attempt(502), Attempt(503, fenced=(43,), sales_count=2)
GROUP = LEADER, *MEMBERS
MEMBER_IDS = {member.attempt_id for member in MEMBERS}
SALE_IDS = sorted(sale_id for attempt in GROUP for sale_id in attempt.sale_ids)


@pytest.fixture
def writers(table: TableUnderTest) -> GroupWriters:
    return GroupWriters(table)


def landed(writers: GroupWriters) -> TableUnderTest:
    """Land the group, and return the table."""
    results = writers.land(LEADER, *MEMBERS)
    by_the_leader = {attempt_id: Landed(LEADER.attempt_id, group_size=0) for attempt_id in MEMBER_IDS}
    assert results == {LEADER.attempt_id: Landed(LEADER.attempt_id, group_size=len(GROUP)), **by_the_leader}
    return writers.table


def test_one_snapshot_lands_all_who_wait(writers: GroupWriters) -> None:
    loaded = landed(writers).load()
    assert [snapshot.snapshot_id for snapshot in loaded.metadata.snapshots] == [LEADER.attempt_id]
    assert writers.table.sale_ids() == SALE_IDS


def test_the_summary_names_the_members_and_all_fenced_attempts(writers: GroupWriters) -> None:
    summary = summary_of(landed(writers).load())
    assert summary["carousel.landed-attempts"] == "501,502,503"
    assert summary["carousel.fenced-attempts"] == "40,41,42,43"


def test_the_summary_counts_the_files_of_all(writers: GroupWriters) -> None:
    writers.table.writer().begin(7, writers.soon()).append([sale(sale_id="before")], (), writers.soon())
    loaded = landed(writers).load()
    sizes = [task.file.file_size_in_bytes for task in loaded.scan().plan_files()]
    before = [task.file.file_size_in_bytes for task in loaded.scan(snapshot_id=7).plan_files()]
    summary = summary_of(loaded)
    assert {name: text for name, text in summary.items() if not name.startswith("carousel.")} == {
        "added-data-files": "4",
        "added-records": "7",
        "added-files-size": str(sum(sizes) - sum(before)),
        "total-data-files": "5",
        "total-delete-files": "0",
        "total-records": "8",
        "total-files-size": str(sum(sizes)),
        "total-position-deletes": "0",
        "total-equality-deletes": "0",
    }


def test_every_file_belongs_to_the_leaders_snapshot(writers: GroupWriters) -> None:
    writers.table.writer().begin(7, writers.soon()).append([sale(sale_id="before")], (), writers.soon())
    loaded = landed(writers).load()
    number = head_of(loaded).sequence_number
    assert number == 2
    numbers = [(entry[0], entry[1], entry[2]) for entry in entries_of(loaded).values()]
    assert sorted(numbers) == [(7, 1, 1)] + [(LEADER.attempt_id, number, number)] * len(GROUP)
    assert sorted(
        (each.added_snapshot_id, each.sequence_number, each.min_sequence_number, each.added_rows_count)
        for each in manifests_of(loaded)
    ) == [(7, 1, 1, 1), *((LEADER.attempt_id, number, number, rows) for rows in (1, 1, 2, 3))]
    inspected = loaded.inspect.entries().select(["snapshot_id", "sequence_number", "file_sequence_number"])
    assert sorted(tuple(row.values()) for row in inspected.to_pylist()) == sorted(numbers)


def test_the_files_of_one_snapshot_can_be_told_from_the_others(writers: GroupWriters) -> None:
    """As a reader of the changes between two snapshots does."""
    writers.table.writer().begin(7, writers.soon()).append([sale(sale_id="before")], (), writers.soon())
    loaded = landed(writers).load()
    before, after = (
        set(loaded.scan(snapshot_id=snapshot_id, selected_fields=("sale_id",)).to_arrow()["sale_id"].to_pylist())
        for snapshot_id in (7, LEADER.attempt_id)
    )
    assert sorted(after - before) == SALE_IDS


def test_the_bounds_of_a_members_partitions_prune_its_manifest(writers: GroupWriters) -> None:
    landed(writers)
    files = Files(FakeClock())
    loaded = files(writers.table.catalog()).load_table(writers.table.identifier)
    for attempt in GROUP:
        files.read.clear()
        (task,) = loaded.scan(f"tenant_id = '{attempt.tenant_id}'").plan_files()
        assert task.file.record_count == attempt.sales_count
        assert len(files.read) == 2, "the manifest list, and one manifest of four"


def test_merging_manifests_leaves_every_file_of_a_group_as_it_was(writers: GroupWriters) -> None:
    table = landed(writers)
    with table.load().transaction() as transaction:
        transaction.set_properties({"commit.manifest.min-count-to-merge": "5"})
    writer = writers.writer()
    for number in range(1, CHECK_INTERVAL):
        result = writer.begin(number, writers.soon()).append([sale(sale_id=f"single-{number:02}")], (), writers.soon())
        assert result == Landed(number)
    before = table.load()
    assert writer.merge_manifests(writers.soon()) == ManifestMerge(CHECK_INTERVAL + len(MEMBERS))
    after = table.load()
    assert len(manifests_of(after)) == 1
    assert entries_of(after) == entries_of(before)
    assert {entry[0] for entry in entries_of(after).values()} == {LEADER.attempt_id, *range(1, CHECK_INTERVAL)}
    assert table.sale_ids() == sorted([*SALE_IDS, *(f"single-{number:02}" for number in range(1, CHECK_INTERVAL))])
    assert "carousel.landed-attempts" not in summary_of(after)


def test_a_group_lands_beside_what_other_writers_have_appended(writers: GroupWriters) -> None:
    """pyiceberg writes its snapshot's id into each manifest entry, as an attempt did before there were groups."""
    table = writers.table
    loaded = table.load()
    loaded.append(arrow_table([sale(sale_id="a")], loaded.schema()).cast(loaded.schema().as_arrow()))
    before = entries_of(table.load())
    after = entries_of(landed(writers).load())
    assert before.items() <= after.items()
    assert len(after) == 1 + len(GROUP)
    assert table.sale_ids() == [*SALE_IDS, "a"]


def test_duckdb_reads_the_rows_of_a_group(writers: GroupWriters) -> None:
    table = landed(writers)
    location = table.load().metadata_location
    access = None
    if table.config.kind is not CatalogKind.LOCAL:
        access = S3Access(table.config.region, "test", "test", endpoint_url=table.config.endpoint_url)
    with open_table(location, access) as connection:
        rows = connection.sql("SELECT sale_id, tenant_id FROM sales_history ORDER BY sale_id").fetchall()
    assert rows == [(sale_id, f"t{int(sale_id[:4])}") for sale_id in SALE_IDS]


# --- the history -----------------------------------------------------------------------------------------------------


def test_the_history_shows_whom_a_snapshot_has_landed(writers: GroupWriters) -> None:
    """A REST catalog's answer is shortened before it is read, and must keep this."""
    landed(writers)
    writers.table.writer().begin(600, writers.soon()).append([sale(sale_id="later")], (), writers.soon())
    snapshots = writers.table.store().load().snapshots
    node = snapshots[LEADER.attempt_id]
    assert node.landed == MEMBER_IDS
    assert node.fenced == {40, 41, 42, 43}
    assert snapshots[600].landed == frozenset()


def test_resolve_finds_a_sale_that_a_leader_landed_for_another_attempt(writers: GroupWriters) -> None:
    landed(writers)
    member = MEMBERS[1]
    claim = Claimed(member.sales[0], base=NO_SNAPSHOT, earlier_attempts=(member.attempt_id,))
    resolution = writers.table.writer().begin(600, writers.soon()).resolve([claim], [], writers.soon())
    assert resolution == Resolution({member.sales[0].key: LEADER.attempt_id})


def test_an_attempt_that_a_member_has_fenced_gives_up(writers: GroupWriters) -> None:
    stalled = writers.table.writer().begin(43, writers.soon())
    landed(writers)
    result = stalled.append([sale(sale_id="stalled")], (), writers.soon())
    assert result == NotKnownToHaveLanded(GiveUp.FENCED, conflicts=1)
    assert writers.table.sale_ids() == SALE_IDS


def test_an_attempt_gives_up_if_a_leader_has_landed_the_one_that_it_fences(writers: GroupWriters) -> None:
    stalled = writers.table.writer().begin(600, writers.soon())
    landed(writers)
    result = stalled.append([sale(sale_id="stalled")], (502,), writers.soon())
    assert result == NotKnownToHaveLanded(GiveUp.EARLIER_ATTEMPT_LANDED, conflicts=1)


# --- faults ----------------------------------------------------------------------------------------------------------


def test_a_leader_whose_answer_is_lost_finds_its_group(writers: GroupWriters) -> None:
    results = writers.land(LEADER, *MEMBERS, wrap=faulty(answer_lost))
    assert results[LEADER.attempt_id] == Landed(LEADER.attempt_id, conflicts=1, group_size=len(GROUP))
    assert {results[attempt_id] for attempt_id in MEMBER_IDS} == {Landed(LEADER.attempt_id, group_size=0)}
    assert writers.table.sale_ids() == SALE_IDS


def test_after_a_lost_race_a_group_has_the_numbers_of_the_snapshot_that_landed(writers: GroupWriters) -> None:
    def another_commits() -> None:
        writers.table.writer().begin(7, writers.soon()).append([sale(sale_id="a")], (), writers.soon())

    results = writers.land(LEADER, *MEMBERS, wrap=faulty(first_do(another_commits)))
    assert results[LEADER.attempt_id] == Landed(LEADER.attempt_id, conflicts=1, group_size=len(GROUP))
    loaded = writers.table.load()
    assert sorted(entry[:3] for entry in entries_of(loaded).values()) == [(7, 1, 1)] + [(LEADER.attempt_id, 2, 2)] * 4
    assert summary_of(loaded)["total-records"] == "8"
    assert writers.table.sale_ids() == [*SALE_IDS, "a"]


def test_a_member_with_an_old_schema_lands_once_it_has_staged_again(writers: GroupWriters) -> None:
    """The table gets a column while the members wait. Their manifests have the old schema."""
    add_column = first_do(lambda: writers.table.alter(AddColumn(26, "added_later", StringType())))
    results = writers.land(LEADER, *MEMBERS, wrap=faulty(add_column))
    snapshots = writers.table.load().metadata.snapshots
    assert all(isinstance(result, Landed) for result in results.values())
    assert {snapshot.schema_id for snapshot in snapshots} == {writers.table.load().schema().schema_id}
    assert writers.table.sale_ids() == SALE_IDS


def test_a_manifest_with_another_schema_or_another_text_can_not_be_listed(writers: GroupWriters) -> None:
    store = writers.table.store()
    state = store.load()
    manifest = store.manifest_of(store.stage(state, LEADER.sales, LEADER.attempt_id))
    assert store.can_list(state, manifest)
    assert not store.can_list(state, "")
    folder = state.table.location_provider().new_metadata_location("")
    assert folder in manifest
    assert not store.can_list(state, manifest.replace(folder, "s3://another-table/metadata/")), "of another table"
    assert not store.can_list(state, manifest.replace('"rows":1', '"rows":null'))
    writers.table.alter(AddColumn(26, "added_later", StringType()))
    assert not store.can_list(store.load(), manifest)


def test_a_commit_does_not_list_the_members_of_one_that_failed(writers: GroupWriters) -> None:
    """A member that is listed without being named would land twice."""
    files = Files(FakeClock())
    store, other = writers.table.store(files), writers.table.store()
    state = store.load()
    member = other.stage(state, MEMBERS[0].sales, MEMBERS[0].attempt_id)
    assert other.share(state, member, writers.soon()) is None
    staged = store.stage(state, LEADER.sales, LEADER.attempt_id)
    assert store.share(state, staged, writers.soon()) is None
    files.failing = 1
    beside = [(MEMBERS[0].attempt_id, other.manifest_of(member))]
    assert isinstance(store.commit(state, staged, beside, (), writers.soon()), NotSent)
    assert isinstance(store.commit(state, staged, (), (), writers.soon()), Committed)
    assert writers.table.sale_ids() == LEADER.sale_ids


def test_sharing_uploads_no_manifest_list(writers: GroupWriters) -> None:
    files = Files(FakeClock())
    store = writers.table.store(files)
    state = store.load()
    staged = store.stage(state, MEMBERS[0].sales, MEMBERS[0].attempt_id)
    assert store.share(state, staged, writers.soon()) is None
    assert len(files.uploaded) == 2, "one data file and its manifest"
    assert store.share(state, staged, writers.soon()) is None
    assert len(files.uploaded) == 2


def test_a_file_that_can_not_be_shared_is_shared_the_next_time(writers: GroupWriters) -> None:
    files = Files(FakeClock(), failing=1)
    store = writers.table.store(files)
    state = store.load()
    staged = store.stage(state, MEMBERS[0].sales, MEMBERS[0].attempt_id)
    failure: Any = store.share(state, staged, writers.soon())
    assert isinstance(failure, NotSent)
    assert "connection refused" in failure.cause
    assert store.share(state, staged, writers.soon()) is None
