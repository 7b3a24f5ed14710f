"""When the writer of the table has a commit queue."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_fn.aws.batch_requests import Batches
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.iceberg.sales_table import IcebergSalesTable
from lambda_fn.settings import GroupCommitMode
from lambda_fn.telemetry import PowertoolsTelemetry
from lambda_fn.wiring import sales_table
from tests.fakes.clock import FakeClock
from tests.fakes.parallel import InTurn
from tests.fakes.settings import client_settings


def writer(mode: GroupCommitMode, *, with_guard: bool = True) -> IcebergSalesTable[Any, Any]:
    settings, clock = client_settings(group_commit=mode), FakeClock()
    client: Any = object()
    batches = Batches(client, guard_table("guard"), client, InTurn()) if with_guard else None
    found = sales_table(settings, clock, InTurn(), PowertoolsTelemetry("test"), batches)
    assert isinstance(found, IcebergSalesTable)
    return found


@pytest.mark.parametrize(
    ("mode", "has_queue", "starts_in_groups"),
    [
        (GroupCommitMode.ADAPTIVE, True, False),
        (GroupCommitMode.ALWAYS, True, True),
        (GroupCommitMode.OFF, False, False),
    ],
)
def test_the_mode_decides_whether_attempts_land_in_groups(
    mode: GroupCommitMode, has_queue: bool, starts_in_groups: bool
) -> None:
    found = writer(mode)
    assert (found.group_commit is not None) is has_queue
    assert found.is_contended is starts_in_groups
    found.note_contention()
    assert found.is_contended is has_queue


@pytest.mark.parametrize("mode", GroupCommitMode)
def test_a_writer_without_the_guard_table_commits_alone(mode: GroupCommitMode) -> None:
    found = writer(mode, with_guard=False)
    assert found.group_commit is None
    assert not found.is_contended
