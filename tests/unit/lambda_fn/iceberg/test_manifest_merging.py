"""Which manifests are merged, and when."""

from __future__ import annotations

import pytest
from pyiceberg.manifest import ManifestContent, ManifestFile
from pyiceberg.table import TableProperties

from lambda_fn.iceberg.manifest_merging import EVERY, MOST_AT_A_TIME, TIER_FACTOR, due

SMALL = 7_000
ITS_TURN = 3 * EVERY
MIN_COUNT = {TableProperties.MANIFEST_MIN_MERGE_COUNT: "4"}


def manifest(
    number: int,
    files: int = 1,
    length: int = SMALL,
    spec_id: int = 0,
    content: ManifestContent = ManifestContent.DATA,
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
        existing_files_count=0,
        deleted_files_count=0,
    )


def test_enough_of_about_the_same_size_are_merged() -> None:
    small = [manifest(number) for number in range(4)]
    large = [manifest(number, files=TIER_FACTOR) for number in range(10, 13)]
    assert due([*large, *small], ITS_TURN, MIN_COUNT) == small
    assert due([*large, *small[1:]], ITS_TURN, MIN_COUNT) == []


def test_the_usual_number_is_icebergs() -> None:
    hundred = [manifest(number) for number in range(TableProperties.MANIFEST_MIN_MERGE_COUNT_DEFAULT)]
    assert due(hundred, ITS_TURN, {}) == hundred
    assert due(hundred[1:], ITS_TURN, {}) == []


@pytest.mark.parametrize("sequence_number", [1, EVERY - 1, EVERY + 1])
def test_only_some_commits_look(sequence_number: int) -> None:
    assert due([manifest(number) for number in range(4)], sequence_number, MIN_COUNT) == []


def test_manifests_of_deletes_and_of_other_specs_are_left_alone() -> None:
    others = [manifest(10, content=ManifestContent.DELETES), manifest(11, spec_id=1)]
    ours = [manifest(number) for number in range(3)]
    assert due([*ours, *others], ITS_TURN, MIN_COUNT) == []


def test_the_oldest_are_merged_up_to_the_target_size() -> None:
    manifests = [manifest(number) for number in range(8, 0, -1)]
    properties = MIN_COUNT | {TableProperties.MANIFEST_TARGET_SIZE_BYTES: str(3 * SMALL)}
    assert [one.manifest_path for one in due(manifests, ITS_TURN, properties)] == ["m1", "m2", "m3"]


def test_one_that_has_the_target_size_is_done() -> None:
    manifests = [manifest(number, length=SMALL) for number in range(8)]
    assert due(manifests, ITS_TURN, MIN_COUNT | {TableProperties.MANIFEST_TARGET_SIZE_BYTES: str(SMALL)}) == []


def test_no_more_are_read_than_fit_into_an_invocation() -> None:
    manifests = [manifest(number, length=10) for number in range(5 * MOST_AT_A_TIME)]
    assert len(due(manifests, ITS_TURN, {})) == MOST_AT_A_TIME
