"""Sixteen writers at once, with a compaction running: all land everything once; plain pyiceberg does not.

The same table, for people: python -m tests.faults.contention
"""

from __future__ import annotations

from tests.faults.contention import WRITERS, carousel_sync, contend, plain_pyiceberg
from tests.faults.harness.figures import note
from tests.faults.harness.world import World


def test_sixteen_writers_land_everything_once(world: World) -> None:
    figures = contend(world, carousel_sync)
    note([figures.row(f"{WRITERS} x carousel-sync")])
    assert (figures.written.failed, figures.lost, figures.doubled, figures.unsettled) == (0, 0, 0, 0)
    assert figures.compactions.landed > 0


def test_sixteen_plain_writers_are_caught(world: World) -> None:
    figures = contend(world, plain_pyiceberg, batches=2)
    note([figures.row(f"{WRITERS} x Table.append")])
    assert figures.written.failed > 0
    assert figures.lost > 0
    assert figures.doubled > 0
