"""Unit tests of SyncSales: how each protocol step calls its ports, and the resulting outcome of each sale."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from lambda_fn.errors import ColumnsMissing
from lambda_fn.ports import (
    AlreadyCompleted,
    ClaimResult,
    Completion,
    GiveUp,
    Metric,
    NotClaimed,
    NotKnownToHaveLanded,
)
from lambda_fn.sync_sales import Completed, Unresolved
from tests.builders import sale
from tests.unit.lambda_fn.sync_sales.ports import (
    APPEND_SECONDS,
    ATTEMPT,
    COMPLETED_BEFORE,
    FACTS,
    FOUND_ITEM,
    INVOCATION_SECONDS,
    LANDED,
    OTHER_FACTS,
    PIN,
    Ports,
    held,
    key,
    old_sale,
    taken_over,
)

NOT_WRITTEN = Unresolved("the projection item or the guard could not be written in time")


# --- the good path ---------------------------------------------------------------------------------------------------


def test_new_sales_are_landed_in_the_order_of_the_protocol() -> None:
    ports = Ports()
    assert ports.sync("a", "b") == {"a": LANDED["a"], "b": LANDED["b"]}
    assert ports.calls == [
        f"begin {ATTEMPT}",
        "columns_missing a b",
        "claim a b",
        "find a b",
        "prepare a b",
        "append a b",
        "put a b",
        "complete a b",
        "merge_manifests",
    ]
    assert ports.fenced == set()
    assert ports.completions[key("a")] == Completion(key("a"), FACTS["a"], ATTEMPT)


# --- 2. begin --------------------------------------------------------------------------------------------------------


def test_a_sale_without_a_column_waits_and_the_others_land() -> None:
    ports = Ports(without_column={"b": ["currency", "brand"]})
    outcomes = ports.sync("a", "b")
    assert outcomes == {"a": LANDED["a"], "b": Unresolved(str(ColumnsMissing(["brand", "currency"])))}
    assert ports.calls[1:4] == ["columns_missing a b", "claim a", "stage a"]
    assert ports.measured[Metric.WAITING_FOR_COLUMN] == 1
    assert ports.rows == {"a"}


# --- 3. claim --------------------------------------------------------------------------------------------------------


def test_a_lease_covers_the_remaining_time_and_the_clock_skew() -> None:
    ports = Ports()
    ports.sync("a")
    assert ports.leases == [(ATTEMPT, PIN, INVOCATION_SECONDS + 10)]


def test_the_claim_carries_the_pin_that_the_check_of_the_columns_has_moved() -> None:
    ports = Ports(newer_pin=PIN + 100)
    ports.sync("a")
    assert [pin for _, pin, _ in ports.leases] == [PIN + 100]


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (AlreadyCompleted(FACTS["b"]), COMPLETED_BEFORE["b"]),
        (AlreadyCompleted(OTHER_FACTS), Completed(OTHER_FACTS)),
        (held(OTHER_FACTS), Unresolved("another attempt holds the sale", OTHER_FACTS)),
        (NotClaimed("the guard could not be asked in time"), Unresolved("the guard could not be asked in time")),
    ],
)
def test_a_sale_that_is_not_claimed_is_left_alone(result: ClaimResult, outcome: Completed | Unresolved) -> None:
    ports = Ports(claims={"b": lambda _: result})
    assert ports.sync("a", "b", "c") == {"a": LANDED["a"], "b": outcome, "c": LANDED["c"]}
    assert ports.calls[2:] == [
        "claim a b c",
        "find a c",
        "prepare a c",
        "append a c",
        "put a c",
        "complete a c",
        "merge_manifests",
    ]


def test_nothing_is_written_if_nothing_is_claimed() -> None:
    ports = Ports(claims={"a": lambda _: AlreadyCompleted(FACTS["a"])})
    assert ports.sync("a") == {"a": COMPLETED_BEFORE["a"]}
    assert "append" not in " ".join(ports.calls)
    assert (ports.rows, ports.items, ports.completions) == (set(), set(), {})
    assert ports.lines == []


# --- 4. projection ---------------------------------------------------------------------------------------------------


def test_a_sale_with_an_item_is_completed_and_not_landed_again() -> None:
    ports = Ports(stored={"a": sale(sale_id="a")})
    assert ports.sync("a", "b") == {"a": FOUND_ITEM["a"], "b": LANDED["b"]}
    assert ports.calls[-4:] == ["append b", "put b", "complete a b", "merge_manifests"]
    assert ports.completions[key("a")] == Completion(key("a"), sale(sale_id="a").stored_facts, None)


def test_a_sale_with_an_item_is_completed_with_the_facts_of_the_item() -> None:
    stored = sale(sale_id="a", brand="another")
    ports = Ports(stored={"a": stored})
    assert ports.sync("a") == {"a": Completed(stored.stored_facts)}
    assert ports.completions[key("a")].facts == stored.stored_facts


def test_a_taken_over_sale_with_an_item_is_not_resolved() -> None:
    ports = Ports(claims={"a": taken_over(2)}, stored={"a": sale(sale_id="a")})
    assert ports.sync("a") == {"a": FOUND_ITEM["a"]}
    assert not [call for call in ports.calls if call.startswith(("resolve", "append"))]


def test_a_sale_with_an_item_whose_guard_could_not_be_completed_is_unresolved() -> None:
    ports = Ports(stored={"a": sale(sale_id="a")}, not_completed={"a"})
    assert ports.sync("a") == {"a": NOT_WRITTEN}


# --- 5. resolve ------------------------------------------------------------------------------------------------------


def test_a_taken_over_sale_that_has_landed_is_projected_and_not_appended() -> None:
    ports = Ports(claims={"a": taken_over(2, 3), "b": taken_over(3)}, resolution={"a": 3})
    assert ports.sync("a", "b", "c") == {"a": COMPLETED_BEFORE["a"], "b": LANDED["b"], "c": LANDED["c"]}
    assert ports.calls[3:] == [
        "find a b c",
        "resolve a b |",
        "append b c",
        "put a b c",
        "complete a b c",
        "merge_manifests",
    ]
    assert ports.completions[key("a")].snapshot_id == 3
    assert ports.fenced == {3}
    assert ports.measured[Metric.TAKEOVERS] == 2


def test_an_append_fences_the_earlier_attempts_of_all_its_sales() -> None:
    ports = Ports(claims={"a": taken_over(2, 3), "b": taken_over(4)})
    assert ports.sync("a", "b", "c") == {sale_id: LANDED[sale_id] for sale_id in "abc"}
    assert ports.fenced == {2, 3, 4}


@pytest.mark.parametrize("cause", list(GiveUp))
def test_an_attempt_that_gives_up_lands_nothing(cause: GiveUp) -> None:
    ports = Ports(
        claims={"a": taken_over(2), "c": lambda _: AlreadyCompleted(FACTS["c"])},
        resolution=cause,
        stored={"d": sale(sale_id="d")},
    )
    gave_up = Unresolved(f"The attempt was given up: {cause.value}. The sales stay in the queue.")
    assert ports.sync("a", "b", "c", "d") == {"a": gave_up, "b": gave_up, "c": COMPLETED_BEFORE["c"], "d": gave_up}
    assert ports.calls[-2:] == ["resolve a |", "merge_manifests"]
    assert ports.measured[Metric.FAILED_COMMITS] == 1


def test_a_row_that_a_scan_finds_past_the_retention_gets_no_item() -> None:
    ports = Ports(resolution={"a": None})
    old = old_sale("a")
    assert ports.sync(old, "b") == {"a": Completed(old.facts), "b": LANDED["b"]}
    assert ports.calls[3:] == [
        "find a b",
        "resolve | a",
        "append b",
        "put b",
        "complete a b",
        "merge_manifests",
    ]
    assert ports.completions[key("a")].snapshot_id is None


def test_a_sale_past_the_retention_without_a_row_is_landed_and_gets_no_item() -> None:
    ports = Ports()
    old = old_sale("a")
    assert ports.sync(old) == {"a": Completed(old.facts, by_this_attempt=True)}
    assert ports.calls[2:] == [
        "claim a",
        "stage a",
        "find a",
        "resolve | a",
        "append a",
        "put",
        "complete a",
        "merge_manifests",
    ]


@pytest.mark.parametrize(("seconds", "has_item"), [(-1, True), (0, False), (1, False)])
def test_a_sale_whose_item_would_already_have_expired_gets_none(seconds: float, has_item: bool) -> None:
    ports = Ports()
    ports.clock.set_now(datetime(2028, 3, 14, tzinfo=UTC).timestamp() + seconds - APPEND_SECONDS)
    assert ports.sync("a") == {"a": LANDED["a"]}
    assert ports.items == ({"a"} if has_item else set())


def test_a_taken_over_sale_past_the_retention_is_always_scanned() -> None:
    ports = Ports(claims={"a": taken_over(2), "b": taken_over(3)})
    ports.sync(old_sale("a"), "b")
    assert "resolve b | a" in ports.calls
    assert ports.fenced == {2, 3}


def test_a_row_that_a_scan_finds_within_the_retention_gets_its_item() -> None:
    ports = Ports(claims={"a": taken_over(2)}, resolution={"a": None})
    assert ports.sync("a") == {"a": COMPLETED_BEFORE["a"]}
    assert ports.items == {"a"}


@pytest.mark.parametrize(("seconds", "is_past"), [(-1, False), (0, True), (1, True)])
def test_the_retention_ends_an_hour_before_the_item_expires(seconds: float, is_past: bool) -> None:
    ports = Ports()
    expires_at = datetime(2028, 3, 14, tzinfo=UTC).timestamp()
    ports.clock.set_now(expires_at - 3600 + seconds)
    ports.sync("a")
    assert ("resolve | a" in ports.calls) == is_past
    assert ("prepare a" in ports.calls) == (not is_past)


def test_every_sale_is_looked_up_in_the_table_if_the_operator_says_so() -> None:
    ports = Ports(claims={"d": taken_over(2)}, stored={"c": sale(sale_id="c")}, resolution={"a": None}, look_up=True)
    outcomes = ports.sync("a", "b", "c", "d")
    assert outcomes == {"a": COMPLETED_BEFORE["a"], "b": LANDED["b"], "c": FOUND_ITEM["c"], "d": LANDED["d"]}
    assert ports.calls[2:] == [
        "claim a b c d",
        "find a b c d",
        "resolve | a b d",
        "append b d",
        "put a b d",
        "complete a b c d",
        "merge_manifests",
    ]
    assert ports.fenced == {2}


def test_a_looked_up_sale_whose_item_has_expired_gets_none() -> None:
    ports = Ports(resolution={"a": None}, look_up=True)
    old = old_sale("a")
    assert ports.sync(old) == {"a": Completed(old.facts)}
    assert ports.items == set()


# --- 6. and 7. commit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", list(GiveUp))
def test_sales_that_are_not_known_to_have_landed_are_neither_projected_nor_completed(cause: GiveUp) -> None:
    ports = Ports(append_result=NotKnownToHaveLanded(cause, conflicts=2), stored={"b": sale(sale_id="b")})
    unresolved = Unresolved(f"the commit is not known to have landed: {cause.value}", FACTS["a"])
    assert ports.sync("a", "b") == {"a": unresolved, "b": FOUND_ITEM["b"]}
    assert ports.calls[-4:] == ["append a", "put", "complete b", "merge_manifests"]
    assert ports.measured[Metric.FAILED_COMMITS] == 1
    assert ports.measured[Metric.COMMIT_CONFLICTS] == 2
    assert Metric.COMMIT_MILLISECONDS not in ports.measured
    assert [text for text, _ in ports.lines] == ["[IdempotencyManager] Event marked as processed"]


def test_a_resolved_sale_is_completed_although_the_commit_of_the_others_fails() -> None:
    ports = Ports(claims={"a": taken_over(2)}, resolution={"a": 2}, append_result=NotKnownToHaveLanded(GiveUp.FENCED))
    outcomes = ports.sync("a", "b")
    assert outcomes["a"] == COMPLETED_BEFORE["a"]
    assert isinstance(outcomes["b"], Unresolved)
    assert ports.calls[-4:] == ["append b", "put a", "complete a", "merge_manifests"]


# --- 8. and 9. project and complete ----------------------------------------------------------------------------------


def test_a_sale_whose_item_could_not_be_put_is_not_completed() -> None:
    ports = Ports(not_put={"b"})
    assert ports.sync("a", "b") == {"a": LANDED["a"], "b": NOT_WRITTEN}
    assert ports.calls[-3:] == ["put a b", "complete a", "merge_manifests"]
    assert ports.lines_of("[CarouselSync] DynamoDB write successful") == [{"count": 1}]


def test_a_sale_whose_guard_could_not_be_completed_is_unresolved() -> None:
    ports = Ports(not_completed={"b"})
    assert ports.sync("a", "b") == {"a": LANDED["a"], "b": NOT_WRITTEN}
    assert ports.lines_of("[IdempotencyManager] Event marked as processed") == [
        {"attempt_id": ATTEMPT, "sale_ids": ["a"]}
    ]
