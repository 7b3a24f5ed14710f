"""Which manifests are merged, and after which commits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import TableProperties
from pyiceberg.table.snapshots import Operation, Summary

from lambda_fn.iceberg.manifest_merging import CHECK_INTERVAL, MAX_MANIFESTS, TIER_FACTOR, manifests_to_merge, summary

SMALL = 7_000
CHECKED = 3 * CHECK_INTERVAL
"""The sequence number of a commit after which a merge may be due."""

MIN_COUNT = {TableProperties.MANIFEST_MIN_MERGE_COUNT: "4"}


def manifest(
    number: int,
    files: int | None = 1,
    length: int = SMALL,
    spec_id: int = 0,
    content: ManifestContent = ManifestContent.DATA,
    existing: int | None = 0,
) -> ManifestFile:
    return ManifestFile.from_args(
        manifest_path=f"m{number}",
        manifest_length=length,
        partition_spec_id=spec_id,
        content=content,
        sequence_number=number,
        min_sequence_number=number,
        added_snapshot_id=number,
        added_files_count=files,
        existing_files_count=existing,
        deleted_files_count=0,
    )


def test_enough_manifests_of_a_similar_size_are_merged() -> None:
    small = [manifest(number) for number in range(4)]
    large = [manifest(number, files=TIER_FACTOR) for number in range(10, 13)]
    assert manifests_to_merge([*large, *small], CHECKED, MIN_COUNT) == small
    assert manifests_to_merge([*large, *small[1:]], CHECKED, MIN_COUNT) == []


def test_the_default_number_is_that_of_iceberg() -> None:
    manifests = [manifest(number) for number in range(TableProperties.MANIFEST_MIN_MERGE_COUNT_DEFAULT)]
    assert manifests_to_merge(manifests, CHECKED, {}) == manifests
    assert manifests_to_merge(manifests[1:], CHECKED, {}) == []


@pytest.mark.parametrize("sequence_number", [1, CHECK_INTERVAL - 1, CHECK_INTERVAL + 1])
def test_no_merge_is_due_after_other_commits(sequence_number: int) -> None:
    assert manifests_to_merge([manifest(number) for number in range(4)], sequence_number, MIN_COUNT) == []


def test_manifests_of_deletes_and_of_other_specs_are_not_merged() -> None:
    others = [manifest(10, content=ManifestContent.DELETES), manifest(11, spec_id=1)]
    ours = [manifest(number) for number in range(3)]
    assert manifests_to_merge([*ours, *others], CHECKED, MIN_COUNT) == []


def test_the_oldest_manifests_are_merged_up_to_the_target_size() -> None:
    manifests = [manifest(number) for number in range(8, 0, -1)]
    properties = MIN_COUNT | {TableProperties.MANIFEST_TARGET_SIZE_BYTES: str(3 * SMALL)}
    assert [chosen.manifest_path for chosen in manifests_to_merge(manifests, CHECKED, properties)] == ["m1", "m2", "m3"]


def test_a_manifest_of_the_target_size_is_not_merged_again() -> None:
    manifests = [manifest(number, length=SMALL) for number in range(8)]
    assert (
        manifests_to_merge(manifests, CHECKED, MIN_COUNT | {TableProperties.MANIFEST_TARGET_SIZE_BYTES: str(SMALL)})
        == []
    )


def test_one_merge_is_limited_to_what_an_invocation_can_read() -> None:
    manifests = [manifest(number, length=10) for number in range(5 * MAX_MANIFESTS)]
    assert len(manifests_to_merge(manifests, CHECKED, {})) == MAX_MANIFESTS


@pytest.mark.parametrize("text", ["8MB", "", "1e3", "many"])
def test_a_property_that_can_not_be_read_counts_as_its_default(text: str) -> None:
    manifests = [manifest(number) for number in range(TableProperties.MANIFEST_MIN_MERGE_COUNT_DEFAULT)]
    names = (
        TableProperties.MANIFEST_TARGET_SIZE_BYTES,
        TableProperties.MANIFEST_MIN_MERGE_COUNT,
        TableProperties.MANIFEST_MERGE_ENABLED,
    )
    properties = dict.fromkeys(names, text)
    assert manifests_to_merge(manifests, CHECKED, properties) == manifests
    assert manifests_to_merge(manifests[1:], CHECKED, properties) == []


@pytest.mark.parametrize(
    ("files", "existing"),
    [(TIER_FACTOR, 0), (0, TIER_FACTOR), (1, TIER_FACTOR - 1), (None, TIER_FACTOR), (TIER_FACTOR, None)],
)
def test_added_and_existing_files_count(files: int | None, existing: int | None) -> None:
    small = [manifest(number, files=TIER_FACTOR - 1) for number in range(3)]
    assert manifests_to_merge([*small, manifest(9, files, existing=existing)], CHECKED, MIN_COUNT) == []


@pytest.mark.parametrize(
    ("files", "existing"), [(TIER_FACTOR - 1, None), (None, TIER_FACTOR - 1), (0, TIER_FACTOR - 1)]
)
def test_a_count_that_a_manifest_does_not_have_is_0(files: int | None, existing: int | None) -> None:
    small = [manifest(number) for number in range(3)]
    assert len(manifests_to_merge([*small, manifest(9, files, existing=existing)], CHECKED, MIN_COUNT)) == 4


def test_each_power_of_the_factor_is_a_tier() -> None:
    sizes = [TIER_FACTOR**2 - 1] * 3 + [TIER_FACTOR**2]
    manifests = [manifest(number, files) for number, files in enumerate(sizes)]
    assert manifests_to_merge(manifests, CHECKED, MIN_COUNT) == []
    same_tier = [manifest(number, files) for number, files in enumerate([TIER_FACTOR, TIER_FACTOR + 1, *sizes[:2]])]
    assert manifests_to_merge(same_tier, CHECKED, MIN_COUNT) == same_tier


def test_the_smallest_manifests_are_merged_first() -> None:
    large = [manifest(number, files=TIER_FACTOR) for number in range(4)]
    small = [manifest(number) for number in range(4, 8)]
    assert manifests_to_merge([*large, *small], CHECKED, MIN_COUNT) == small


def test_two_manifests_are_merged_even_if_they_exceed_the_target_size() -> None:
    manifests = [manifest(number, length=SMALL - 1) for number in range(4)]
    properties = MIN_COUNT | {TableProperties.MANIFEST_TARGET_SIZE_BYTES: str(SMALL)}
    assert manifests_to_merge(manifests, CHECKED, properties) == manifests[:2]


def test_a_single_manifest_is_not_merged() -> None:
    properties = {TableProperties.MANIFEST_MIN_MERGE_COUNT: "1"}
    assert manifests_to_merge([manifest(1)], CHECKED, properties) == []
    assert len(manifests_to_merge([manifest(1), manifest(2)], CHECKED, properties)) == 2


@pytest.mark.parametrize("text", ["false", " False "])
def test_merging_can_be_turned_off(text: str) -> None:
    manifests = [manifest(number) for number in range(4)]
    assert manifests_to_merge(manifests, CHECKED, MIN_COUNT | {TableProperties.MANIFEST_MERGE_ENABLED: text}) == []


@pytest.mark.parametrize(
    ("head", "totals"),
    [
        (
            SimpleNamespace(summary=Summary(Operation.APPEND, **{"total-records": "5", "added-records": "1"})),
            {"total-records": "5"},
        ),
        (SimpleNamespace(summary=None), {}),
        (None, {}),
    ],
)
def test_the_summary_of_a_merge_keeps_the_totals(head: Any, totals: dict[str, str]) -> None:
    table: Any = SimpleNamespace(current_snapshot=lambda: head)
    counts = {
        "manifests-created": "1",
        "manifests-replaced": "3",
        "manifests-kept": "2",
        "entries-processed": "7",
    }
    assert summary(table, merged=3, kept=2, entries=7) == Summary(Operation.REPLACE, **totals, **counts)
