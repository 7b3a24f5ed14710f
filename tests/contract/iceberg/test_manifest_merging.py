"""Merging manifests, on every catalog: it shortens the manifest list and changes nothing else about the table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pyiceberg.manifest import ManifestEntry, ManifestFile
from pyiceberg.table import Table

from lambda_fn.iceberg.manifest_merging import CHECK_INTERVAL
from lambda_fn.ports import Landed, ManifestMerge, SalesTable
from lambda_fn.runtime.retry import Deadline, SystemClock
from tests.builders import sale
from tests.catalogs import Files, answer_lost, answered, faulty, first_do
from tests.fakes.clock import FakeClock
from tests.tables import TableUnderTest

MIN_COUNT = 5


def soon() -> Deadline:
    return Deadline.after(SystemClock(), 120)


def land(writer: SalesTable, number: int) -> None:
    """Commit one sale; the first commit of a table has sequence number 1."""
    sales = [sale(sale_id=f"{number:03}", tenant_id=f"t{number % 2}")]
    assert isinstance(writer.begin(1000 + number, soon()).append(sales, (), soon()), Landed)


def set_properties(table: TableUnderTest, **properties: str) -> None:
    with table.load().transaction() as transaction:
        transaction.set_properties(
            {name.replace("__", ".").replace("_", "-"): text for name, text in properties.items()}
        )


@pytest.fixture
def merging(table: TableUnderTest) -> TableUnderTest:
    set_properties(table, commit__manifest__min_count_to_merge=str(MIN_COUNT))
    return table


def manifests_of(table: Table) -> Sequence[ManifestFile]:
    head = table.current_snapshot()
    assert head is not None
    return head.manifests(table.io)


def entries_of(table: Table) -> dict[str, tuple[Any, ...]]:
    """Return the manifest entry of each data file, by its path."""

    def content(entry: ManifestEntry) -> tuple[Any, ...]:
        file = entry.data_file
        numbers = (entry.snapshot_id, entry.sequence_number, entry.file_sequence_number)
        return (
            *numbers,
            file.partition,
            file.record_count,
            file.lower_bounds,
            file.upper_bounds,
            file.file_size_in_bytes,
            file.sort_order_id,
        )

    entries = [entry for manifest in manifests_of(table) for entry in manifest.fetch_manifest_entry(table.io)]
    assert len(entries) == len({entry.data_file.file_path for entry in entries})
    return {entry.data_file.file_path: content(entry) for entry in entries}


def totals_of(table: Table) -> dict[str, str]:
    head = table.current_snapshot()
    assert head is not None
    assert head.summary is not None
    return {name: text for name, text in head.summary.additional_properties.items() if name.startswith("total-")}


def test_a_merge_leaves_every_data_file_as_it_was(merging: TableUnderTest) -> None:
    files = Files(FakeClock())
    writer = merging.writer(files)
    for number in range(1, CHECK_INTERVAL + 1):
        land(writer, number)
        if number < CHECK_INTERVAL:
            assert writer.merge_manifests(soon()) is None, "a merge is due after every twentieth commit only"
    before = merging.load()
    assert writer.merge_manifests(soon()) == ManifestMerge(CHECK_INTERVAL)
    after = merging.load()
    assert len(manifests_of(before)) == CHECK_INTERVAL
    (merged,) = manifests_of(after)
    assert merged.manifest_path.endswith(f"/{merged.added_snapshot_id}-merged.avro"), "no later merge has this name"
    assert merged.added_snapshot_id == after.metadata.current_snapshot_id
    assert entries_of(after) == entries_of(before)
    assert totals_of(after) == totals_of(before)
    assert merging.sale_ids() == [f"{number:03}" for number in range(1, CHECK_INTERVAL + 1)]
    assert len(list(after.scan("tenant_id = 't1'").plan_files())) == CHECK_INTERVAL // 2

    files.read.clear()
    land(writer, CHECK_INTERVAL + 1)
    assert not files.read, "a writer that has merged knows the manifests"
    assert len(manifests_of(merging.load())) == 2
    assert len(merging.sale_ids()) == CHECK_INTERVAL + 1


def test_the_manifest_list_does_not_grow_with_the_commits(merging: TableUnderTest) -> None:
    writer = merging.writer()
    for number in range(1, 4 * CHECK_INTERVAL):
        land(writer, number)
        writer.merge_manifests(soon())
    # At most the merged manifests of one tier, and the small manifests since the last merge.
    assert len(manifests_of(merging.load())) <= MIN_COUNT + CHECK_INTERVAL
    assert len(merging.sale_ids()) == 4 * CHECK_INTERVAL - 1


def test_a_table_property_turns_merging_off(merging: TableUnderTest) -> None:
    set_properties(merging, commit__manifest_merge__enabled="false")
    writer = merging.writer()
    for number in range(1, CHECK_INTERVAL + 1):
        land(writer, number)
    assert writer.merge_manifests(soon()) is None
    assert len(manifests_of(merging.load())) == CHECK_INTERVAL


def test_a_merge_that_loses_to_an_append_is_not_repeated(merging: TableUnderTest) -> None:
    other = merging.writer()
    for number in range(1, CHECK_INTERVAL):
        land(other, number)
    writer = merging.writer(faulty(answered, first_do(lambda: land(other, 100))))
    land(writer, CHECK_INTERVAL)
    merge = writer.merge_manifests(soon())
    assert merge is not None
    assert merge.failure
    land(writer, CHECK_INTERVAL + 2)
    assert len(manifests_of(merging.load())) == CHECK_INTERVAL + 2
    assert len(merging.sale_ids()) == CHECK_INTERVAL + 2


def test_the_next_append_finds_a_merge_whose_response_was_lost(merging: TableUnderTest) -> None:
    writer = merging.writer(faulty(*[answered] * CHECK_INTERVAL, answer_lost))
    for number in range(1, CHECK_INTERVAL + 1):
        land(writer, number)
    merge = writer.merge_manifests(soon())
    assert merge is not None
    assert merge.failure
    land(writer, CHECK_INTERVAL + 1)
    assert len(manifests_of(merging.load())) == 2
    assert len(merging.sale_ids()) == CHECK_INTERVAL + 1


def test_no_merge_begins_without_enough_time(merging: TableUnderTest) -> None:
    writer = merging.writer()
    for number in range(1, CHECK_INTERVAL + 1):
        land(writer, number)
    assert writer.merge_manifests(Deadline.after(SystemClock(), 20)) is None
    assert len(manifests_of(merging.load())) == CHECK_INTERVAL


def test_a_table_property_that_can_not_be_read_counts_as_its_default(merging: TableUnderTest) -> None:
    set_properties(merging, commit__manifest__min_count_to_merge="many")
    writer = merging.writer()
    for number in range(1, CHECK_INTERVAL + 1):
        land(writer, number)
    assert writer.merge_manifests(soon()) is None
    assert len(manifests_of(merging.load())) == CHECK_INTERVAL
