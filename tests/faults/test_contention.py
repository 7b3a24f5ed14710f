"""Sixteen writers at once during a compaction land every sale exactly once. Plain pyiceberg does not.

python -m tests.faults.contention prints the same figures.
"""

from __future__ import annotations

import pytest

from lambda_fn.settings import GroupCommitMode
from tests.faults.contention import WRITERS, carousel_sync, contend, plain_pyiceberg
from tests.faults.harness.figures import print_table
from tests.faults.harness.stores_under_test import StoresUnderTest


@pytest.mark.parametrize(
    "mode",
    [
        GroupCommitMode.ADAPTIVE,
        pytest.param(GroupCommitMode.ALWAYS, marks=pytest.mark.engine),
        pytest.param(GroupCommitMode.OFF, marks=pytest.mark.engine),
    ],
)
def test_sixteen_writers_land_every_sale_exactly_once(stores: StoresUnderTest, mode: GroupCommitMode) -> None:
    figures = contend(stores, carousel_sync, group_commit=mode)
    print_table(figures.row(f"{WRITERS} x carousel-sync, group commit {mode}"))
    assert (figures.written.failed, figures.lost, figures.doubled, figures.unsettled) == (0, 0, 0, 0)
    assert figures.compactions.landed > 0


def test_sixteen_plain_writers_are_caught_losing_and_duplicating(stores: StoresUnderTest) -> None:
    figures = contend(stores, plain_pyiceberg, batches=2)
    print_table(figures.row(f"{WRITERS} x Table.append"))
    assert figures.written.failed > 0
    assert figures.lost > 0
    assert figures.doubled > 0
