"""The doctor's check of group commit: its mode, and the attempts that wait for a commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from carousel_sync.doctor.commit_queue import group_commit
from carousel_sync.doctor.finding import Fault, Status
from lambda_fn.aws.batch_requests import Item
from lambda_fn.commit_queue.items import LEASE, entry_item, lease_attributes, queue_partition
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry
from lambda_fn.iceberg.group_commit.group import ENTRY_SECONDS, MAX_MEMBERS
from lambda_fn.settings import GroupCommitMode

NOW = 1_767_052_800.0
TABLE = ("pricing_intelligence", "sales_history")
PARTITION = queue_partition(TABLE)


def stage(mode: GroupCommitMode, items: Sequence[Item] = (), *, direct: bool = True) -> Any:
    """Return a stage whose commit queue has these items, in two pages."""
    pages = [{"Items": items[:1]}, {"Items": items[1:]}]
    client = SimpleNamespace(get_paginator=lambda _: SimpleNamespace(paginate=lambda **_: pages))
    settings = SimpleNamespace(group_commit=mode, table_identifier=TABLE)
    now = datetime.fromtimestamp(NOW, UTC)
    return SimpleNamespace(
        settings=settings, direct=direct, now=lambda: now, client=lambda _: client, guard_table="guard"
    )


def entries(count: int, age_seconds: float) -> list[Item]:
    return [
        entry_item(PARTITION, QueueEntry(attempt, 1, frozenset(), "{}", NOW - age_seconds)) for attempt in range(count)
    ]


def lease(until: float) -> Item:
    return {"pk": {"S": PARTITION}, "sk": {"S": LEASE}, **lease_attributes(Lease(3, 42, NOW, until), NOW)}


@pytest.mark.parametrize("direct", [True, False])
def test_off_is_a_warning_with_direct_delivery_only(direct: bool) -> None:
    (found,) = group_commit(stage(GroupCommitMode.OFF, direct=direct))
    if direct:
        assert isinstance(found, Fault)
        assert found.status is Status.WARNING
        assert "PARAMETERS=GroupCommit=adaptive" in found.remedy
    else:
        assert found == "off: every invocation commits alone"


def test_an_empty_queue() -> None:
    assert group_commit(stage(GroupCommitMode.ADAPTIVE)) == [
        "adaptive: no attempt waits for a commit, nobody leads at the moment"
    ]


def test_attempts_that_wait_and_their_leader() -> None:
    items = [*entries(2, age_seconds=4), lease(NOW + 2.5)]
    assert group_commit(stage(GroupCommitMode.ALWAYS, items)) == [
        "always: attempts that wait for a commit: 2, the first for 4 s, attempt 42 leads for 2.5 s"
    ]


def test_entries_that_no_leader_lands_any_more_do_not_wait() -> None:
    unreadable = {"pk": {"S": PARTITION}, "sk": {"S": "ENTRY#1"}}
    items = [*entries(MAX_MEMBERS + 1, age_seconds=ENTRY_SECONDS + 1), unreadable]
    (seen,) = group_commit(stage(GroupCommitMode.ADAPTIVE, items))
    assert str(seen).startswith("adaptive: no attempt waits")


@pytest.mark.parametrize(("waiting", "is_fault"), [(MAX_MEMBERS, False), (MAX_MEMBERS + 1, True)])
def test_more_attempts_than_one_commit_lands_are_a_warning(waiting: int, is_fault: bool) -> None:
    (found,) = group_commit(stage(GroupCommitMode.ADAPTIVE, entries(waiting, age_seconds=1)))
    assert isinstance(found, Fault) == is_fault
