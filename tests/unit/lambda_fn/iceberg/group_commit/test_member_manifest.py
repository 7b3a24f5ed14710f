"""A manifest as text: what one writer encodes, the leader reads and counts."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyiceberg.manifest import MANIFEST_LIST_FILE_SCHEMAS, ManifestContent, ManifestFile, PartitionFieldSummary

from lambda_fn.iceberg.group_commit.member_manifest import MemberManifest, decode, encode, with_members

UNASSIGNED = -1
COUNTS = st.integers(0, 2**63 - 1)
BOUNDS = st.none() | st.binary(max_size=40)
PARTITIONS = st.lists(st.tuples(st.booleans(), st.none() | st.booleans(), BOUNDS, BOUNDS), max_size=4)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=80)


def member(
    path: str = "s3://lake/m.avro",
    length: int = 4000,
    files: int = 2,
    rows: int = 30,
    size_bytes: int = 5000,
    partitions: Any = ((False, False, b"a", b"b"), (True, None, None, None)),
    schema_id: int = 1,
    spec_id: int = 0,
) -> MemberManifest:
    summaries = [
        PartitionFieldSummary.from_args(contains_null=null, contains_nan=nan, lower_bound=lower, upper_bound=upper)
        for null, nan, lower, upper in partitions
    ]
    manifest = ManifestFile.from_args(
        _table_format_version=2,
        manifest_path=path,
        manifest_length=length,
        partition_spec_id=spec_id,
        content=ManifestContent.DATA,
        sequence_number=UNASSIGNED,
        min_sequence_number=UNASSIGNED,
        added_snapshot_id=UNASSIGNED,
        added_files_count=files,
        existing_files_count=0,
        deleted_files_count=0,
        added_rows_count=rows,
        existing_rows_count=0,
        deleted_rows_count=0,
        partitions=summaries,
        key_metadata=None,
    )
    return MemberManifest(manifest, schema_id, spec_id, size_bytes)


def content(given: MemberManifest) -> tuple[Any, ...]:
    """Return everything that a manifest list says of the manifest, and what a summary counts of it."""
    names = [field.name for field in MANIFEST_LIST_FILE_SCHEMAS[2].fields if field.name != "partitions"]
    partitions = [
        (each.contains_null, each.contains_nan, each.lower_bound, each.upper_bound)
        for each in given.manifest.partitions or ()
    ]
    values = [getattr(given.manifest, name) for name in names]
    return (*values, partitions, given.schema_id, given.spec_id, given.size_bytes)


@given(path=TEXTS, length=COUNTS, files=COUNTS, rows=COUNTS, size_bytes=COUNTS, partitions=PARTITIONS)
def test_a_manifest_is_read_as_it_was_written(**values: Any) -> None:
    given_manifest = member(**values)
    text = encode(given_manifest)
    assert content(decode(text)) == content(given_manifest)
    assert encode(decode(text)) == text


@given(schema_id=st.integers(0, 2**31 - 1), spec_id=st.integers(0, 2**31 - 1))
def test_the_schema_and_the_partition_spec_are_part_of_it(schema_id: int, spec_id: int) -> None:
    found = decode(encode(member(schema_id=schema_id, spec_id=spec_id)))
    assert (found.schema_id, found.spec_id, found.manifest.partition_spec_id) == (schema_id, spec_id, spec_id)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.text(max_size=40) | JSON.map(json.dumps))
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*"):
        decode(text)


@given(name=st.sampled_from(sorted(json.loads(encode(member())))), value=JSON)
def test_a_changed_value_is_read_or_is_a_value_error(name: str, value: Any) -> None:
    """What can be read can also be counted and written into a manifest list."""
    changed = {**json.loads(encode(member())), name: value}
    with suppress(ValueError):
        found = decode(json.dumps(changed))
        with_members({}, [found])
        assert content(decode(encode(found))) == content(found)


@pytest.mark.parametrize("name", sorted(json.loads(encode(member()))))
def test_a_missing_value_is_a_value_error(name: str) -> None:
    changed = json.loads(encode(member()))
    del changed[name]
    with pytest.raises(ValueError, match=name):
        decode(json.dumps(changed))


@pytest.mark.parametrize("changes", [{"rows": -1}, {"rows": 2**63}, {"files": "2"}, {"bytes": 1.5}, {"path": None}])
def test_a_count_is_a_number_that_a_manifest_list_can_hold(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        decode(json.dumps({**json.loads(encode(member())), **changes}))


# --- the summary -----------------------------------------------------------------------------------------------------

OWN = {"added-data-files": "1", "added-records": "10", "added-files-size": "700", "changed-partition-count": "1"}


def test_without_members_the_summary_is_the_leaders() -> None:
    assert with_members(OWN, []) == OWN


def test_members_files_rows_and_bytes_are_added() -> None:
    counts = with_members(OWN, [member(), member(files=1, rows=5, size_bytes=6)])
    assert counts == {"added-data-files": "4", "added-records": "45", "added-files-size": "5706"}
    assert OWN["added-records"] == "10", "the leader's own counts are left as they are"


def test_a_member_may_have_no_files() -> None:
    assert with_members(OWN, [member(files=0, rows=0, size_bytes=0)]) == {
        "added-data-files": "1",
        "added-records": "10",
        "added-files-size": "700",
    }


def test_the_leader_may_have_counted_nothing() -> None:
    assert with_members({}, [member()]) == {
        "added-data-files": "2",
        "added-records": "30",
        "added-files-size": "5000",
    }
