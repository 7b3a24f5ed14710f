"""SyncSales once its sales are decided: it waits for those that other attempts hold, and merges manifests."""

from __future__ import annotations

import pytest

from lambda_fn.ports import AlreadyCompleted, ManifestMerge
from lambda_fn.sync_sales import Completed, Unresolved
from tests.unit.lambda_fn.sync_sales.ports import COMPLETED_BEFORE, FACTS, LANDED, OTHER_FACTS, Ports, held

# --- waiting for others ----------------------------------------------------------------------------------------------


def test_a_sale_that_another_attempt_completes_meanwhile_is_completed() -> None:
    ports = Ports(
        claims={"b": lambda _: held(FACTS["b"]), "c": lambda _: held(FACTS["c"]), "d": lambda _: held(OTHER_FACTS)},
        looks=[
            {"b": AlreadyCompleted(FACTS["b"]), "c": held(FACTS["c"])},
            {},
            {"c": AlreadyCompleted(OTHER_FACTS)},
        ],
    )
    assert ports.sync("a", "b", "c", "d") == {
        "a": LANDED["a"],
        "b": COMPLETED_BEFORE["b"],
        "c": Completed(OTHER_FACTS),
        "d": Unresolved("another attempt holds the sale", OTHER_FACTS),
    }
    assert ports.calls[-5:] == ["complete a", "look b c", "look c", "look c", "merge_manifests"]


def test_the_wait_for_others_ends_after_some_seconds() -> None:
    ports = Ports(claims={"a": lambda _: held(FACTS["a"])}, looks=[{"a": held(FACTS["a"])}])
    started = ports.clock.monotonic()
    assert ports.sync("a") == {"a": Unresolved("another attempt holds the sale", FACTS["a"])}
    assert ports.calls.count("look a") > 1
    assert 2 < ports.clock.monotonic() - started <= 3


@pytest.mark.parametrize(("seconds", "is_looked_at"), [(4.9, False), (5.0, True)])
def test_the_wait_for_others_ends_before_the_deadline(seconds: float, is_looked_at: bool) -> None:
    ports = Ports(claims={"a": lambda _: held(FACTS["a"])}, looks=[{}])
    ports.sync("a", seconds=seconds)
    assert ("look a" in ports.calls) == is_looked_at
    assert ports.clock.monotonic() <= seconds


# --- merging manifests -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("merge", "lines"),
    [
        (None, []),
        (ManifestMerge(7), [("[CarouselSync] Manifests merged", {"count": 7})]),
        (
            ManifestMerge(7, "409"),
            [("WARNING [CarouselSync] Manifests not merged", {"count": 7, "cause": "409"})],
        ),
    ],
)
def test_manifests_are_merged_when_the_sales_are_done(
    merge: ManifestMerge | None, lines: list[tuple[str, object]]
) -> None:
    ports = Ports(merge=merge)
    assert ports.sync("a") == {"a": LANDED["a"]}
    assert ports.calls[-2:] == ["complete a", "merge_manifests"]
    assert [line for line in ports.lines if "Manifests" in line[0]] == lines
