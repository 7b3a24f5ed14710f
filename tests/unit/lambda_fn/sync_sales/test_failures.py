"""SyncSales when stores fail or the process crashes, in any combination, and when it makes files ahead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambda_fn.errors import StoreUnavailable
from lambda_fn.ports import (
    AlreadyCompleted,
    AppendResult,
    Claimed,
    ClaimResult,
    GiveUp,
    HeldByAnother,
    Metric,
    NotClaimed,
    NotKnownToHaveLanded,
    Unreadable,
)
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import Completed, SaleOutcome, Unresolved
from tests.builders import sale
from tests.unit.lambda_fn.sync_sales.ports import (
    APPENDED,
    COMPLETED_BEFORE,
    FACTS,
    LANDED,
    Crash,
    Ports,
    old_sale,
    taken_over,
)

PATIENCE_SECONDS = 20.0
ANOTHER = HeldByAnother(FACTS["c"], 1e10)


# --- a store fails ---------------------------------------------------------------------------------------------------


def busy_ports(**changes: object) -> Ports:
    """Return ports of which each is needed: a new sale a, b completed, c held, d taken over, e stored."""
    arguments: dict[str, object] = {
        "claims": {
            "b": lambda _: AlreadyCompleted(FACTS["b"]),
            "c": lambda _: ANOTHER,
            "d": taken_over(2),
        },
        "stored": {"e": sale(sale_id="e")},
        "looks": [{"c": ANOTHER}],
        **changes,
    }
    return Ports(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["begin", "columns_missing", "claim"])
def test_a_failure_before_the_claims_leaves_every_sale_unresolved(method: str) -> None:
    ports = busy_ports(failing=method)
    assert ports.sync(*"abcde") == dict.fromkeys("abcde", Unresolved(f"{method} failed"))
    assert ports.calls[-2].startswith(method)
    assert ports.calls[-1] == "merge_manifests"


@pytest.mark.parametrize("method", ["find", "resolve", "append", "put", "complete"])
def test_a_failure_after_the_claims_leaves_the_claimed_sales_unresolved(method: str) -> None:
    ports = busy_ports(failing=method)
    failed = Unresolved(f"{method} failed")
    assert ports.sync(*"abcde") == {
        "a": failed,
        "b": COMPLETED_BEFORE["b"],
        "c": Unresolved("another attempt holds the sale", FACTS["c"]),
        "d": failed,
        "e": failed,
    }
    assert ports.calls[-2].startswith(method)
    assert ports.calls[-1] == "merge_manifests"


def test_a_failure_to_prepare_leaves_the_claimed_sales_unresolved() -> None:
    ports = Ports(failing="prepare")
    assert ports.sync("a", "b") == dict.fromkeys("ab", Unresolved("prepare failed"))
    assert ports.calls[-2:] == ["prepare a b", "merge_manifests"]


def test_a_failure_to_look_again_leaves_what_is_completed_completed() -> None:
    ports = busy_ports(failing="look")
    outcomes = ports.sync(*"abcde")
    assert {sale_id for sale_id, outcome in outcomes.items() if isinstance(outcome, Completed)} == set("abde")
    assert outcomes["c"] == Unresolved("another attempt holds the sale", FACTS["c"])


def test_the_cause_of_a_failed_commit_outlives_a_later_failure() -> None:
    ports = Ports(append_result=NotKnownToHaveLanded(GiveUp.FENCED), failing="complete")
    outcome = ports.sync("a")["a"]
    assert outcome == Unresolved(f"the commit is not known to have landed: {GiveUp.FENCED.value}", FACTS["a"])


@pytest.mark.parametrize(
    ("method", "failed_commits"),
    [("begin", 1), ("columns_missing", 1), ("resolve", 1), ("claim", 0), ("find", 0), ("put", 0), ("complete", 0)],
)
def test_a_commit_that_could_not_be_tried_is_measured_as_failed(method: str, failed_commits: int) -> None:
    ports = busy_ports(failing=method)
    ports.sync(*"abcde")
    assert ports.measured.get(Metric.FAILED_COMMITS, 0) == failed_commits


def test_an_unexpected_error_is_raised() -> None:
    def broken(_: Sale) -> ClaimResult:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Ports(claims={"a": broken}).sync("a")


# --- the process crashes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("call", "after"), [*product(range(11), [0, 0.5])])
def test_a_crash_leaves_no_item_without_a_row_and_no_completed_guard_without_an_item(call: int, after: float) -> None:
    ports = busy_ports(crash_at=call + after)
    with suppress(Crash):
        ports.sync(*"abcde")
    assert ports.items <= ports.rows
    assert ports.completed - {"e"} <= ports.items


def test_a_sale_with_an_unreadable_item_is_given_back_and_the_others_land() -> None:
    ports = Ports(stored={"a": Unreadable("the item can't be read")})
    assert ports.sync("a", "b") == {"a": Unresolved("the item can't be read"), "b": LANDED["b"]}
    assert (ports.rows, ports.completed) == ({"b"}, {"b"})


# --- any combination -------------------------------------------------------------------------------------------------

SALE_IDS = ("a", "b", "c", "d")
OTHER_FACTS = sale(brand="another").facts
NOT_CLAIMED = (AlreadyCompleted(OTHER_FACTS), NotClaimed("no time"), HeldByAnother(OTHER_FACTS, 1e10))
METHODS = ("", "begin", "columns_missing", "claim", "find", "prepare", "resolve", "append", "put", "complete")


APPENDS: Sequence[AppendResult] = (APPENDED, NotKnownToHaveLanded(GiveUp.OUT_OF_TIME))


def always(result: ClaimResult) -> Callable[[Sale], ClaimResult]:
    return lambda _: result


@dataclass(frozen=True)
class Case:
    """Sales in any state, before ports of which any may fail."""

    ports: Ports
    old: set[str]
    attempts: Mapping[str, tuple[int, ...]]

    def sync(self) -> Mapping[str, SaleOutcome]:
        return self.ports.sync(
            *(old_sale(sale_id) if sale_id in self.old else sale(sale_id=sale_id) for sale_id in SALE_IDS)
        )

    def asked(self, method: str) -> set[str]:
        """Return the sales that a method was called for."""
        calls = [call.split()[1:] for call in self.ports.calls if call.split()[0] == method]
        assert len(calls) <= 1
        return set().union(*calls) - {"|"}


@st.composite
def cases(draw: st.DrawFn) -> Case:
    any_sales = st.sets(st.sampled_from(SALE_IDS))
    old = draw(any_sales)
    claims = {sale_id: draw(st.sampled_from([None, None, *NOT_CLAIMED])) for sale_id in SALE_IDS}
    attempts = {sale_id: draw(st.sampled_from([(), (1,), (2, 3)])) for sale_id in SALE_IDS}
    return Case(
        Ports(
            claims={
                sale_id: taken_over(*attempts[sale_id]) if result is None else always(result)
                for sale_id, result in claims.items()
            },
            without_column={sale_id: ["brand"] for sale_id in draw(any_sales)},
            stored={sale_id: sale(sale_id=sale_id) for sale_id in draw(any_sales)},
            resolution={sale_id: None if sale_id in old else 1 for sale_id in draw(any_sales)},
            append_result=draw(st.sampled_from(APPENDS)),
            not_put=draw(any_sales),
            not_completed=draw(any_sales),
            failing=draw(st.sampled_from(METHODS)),
        ),
        old,
        attempts,
    )


@settings(max_examples=500)
@given(cases())
def test_no_combination_breaks_the_order_of_the_protocol(case: Case) -> None:
    ports = case.ports
    outcomes = case.sync()
    assert isinstance(ports.resolution, dict)
    claimable = {sale_id for sale_id in SALE_IDS if isinstance(ports.claims[sale_id](sale()), Claimed)}
    claimed = case.asked("claim") & claimable
    found = case.asked("resolve") & ports.resolution.keys()
    appended, put, completed = case.asked("append"), case.asked("put"), case.asked("complete")

    assert case.asked("claim").isdisjoint(ports.without_column)
    assert case.asked("find") <= claimed
    assert case.asked("resolve") <= claimed - ports.stored.keys()
    assert appended <= claimed - ports.stored.keys() - found, "what was found is never appended"
    assert ports.fenced == {attempt for sale_id in appended for attempt in case.attempts[sale_id]} or not appended
    assert put <= found | ports.rows, "no item without a row"
    assert put.isdisjoint(case.old), "an item that would already have expired is not put"
    expired = (found | ports.rows) & case.old
    assert completed <= ports.stored.keys() | ports.items | expired, "no guard is completed without an item"
    assert ports.calls.count("merge_manifests") == 1
    for sale_id, outcome in outcomes.items():
        was_completed = sale_id in case.asked("claim") and isinstance(ports.claims[sale_id](sale()), AlreadyCompleted)
        is_completed = sale_id in ports.completed or (was_completed and ports.failing != "claim")
        assert isinstance(outcome, Completed) == is_completed
        by_this_attempt = isinstance(outcome, Completed) and outcome.by_this_attempt
        assert by_this_attempt == (sale_id in ports.completed & appended)


# --- the files of an append are made ahead ---------------------------------------------------------------------------


class StagedMeanwhile(Ports):
    """A claim that returns only after the files are made."""

    def __init__(self) -> None:
        super().__init__()
        self.staged = threading.Event()

    def stage(self, sales: Sequence[Sale]) -> None:
        super().stage(sales)
        self.staged.set()

    def claim(
        self, sales: Sequence[Sale], attempt_id: int, pin: int, lease_seconds: float, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        assert self.staged.wait(PATIENCE_SECONDS), "the files were not made meanwhile"
        return super().claim(sales, attempt_id, pin, lease_seconds, deadline)


class UploadedMeanwhile(Ports):
    """A look-up that returns only after the files are uploaded."""

    def __init__(self) -> None:
        super().__init__()
        self.uploaded = threading.Event()

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        super().prepare(sales, deadline)
        self.uploaded.set()

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale | Unreadable]:
        assert self.uploaded.wait(PATIENCE_SECONDS), "the files were not uploaded meanwhile"
        return super().find(sales, deadline)


def test_the_files_of_a_single_sale_are_made_while_it_is_claimed() -> None:
    ports = StagedMeanwhile()
    assert ports.sync("a", parallel=Threads(2)) == {"a": LANDED["a"]}
    assert ports.calls[2:4] == ["stage a", "claim a"]


def test_files_are_uploaded_while_the_projection_is_looked_at() -> None:
    ports = UploadedMeanwhile()
    assert ports.sync("a", "b", parallel=Threads(2)) == {sale_id: LANDED[sale_id] for sale_id in "ab"}
    assert ports.calls[3:5] == ["prepare a b", "find a b"]


def test_the_files_of_a_duplicate_are_not_uploaded() -> None:
    ports = Ports(claims={"a": lambda _: AlreadyCompleted(FACTS["a"])})
    assert ports.sync("a", parallel=Threads(2)) == {"a": COMPLETED_BEFORE["a"]}
    assert "stage a" in ports.calls
    assert not [call for call in ports.calls if call.startswith(("prepare", "append"))]


@pytest.mark.parametrize("error", [StoreUnavailable("no column"), ValueError("can't be written")])
def test_a_duplicate_needs_no_files(error: Exception) -> None:
    class Unstageable(Ports):
        def stage(self, sales: Sequence[Sale]) -> None:
            raise error

    ports = Unstageable(claims={"a": lambda _: AlreadyCompleted(FACTS["a"])})
    assert ports.sync("a") == {"a": COMPLETED_BEFORE["a"]}


@pytest.mark.parametrize("duplicates", ["", "a", "ab"])
def test_the_files_of_a_batch_are_made_when_its_claims_are_known(duplicates: str) -> None:
    ports = Ports(claims={sale_id: lambda _: AlreadyCompleted(FACTS["a"]) for sale_id in duplicates})
    ports.sync("a", "b", parallel=Threads(2))
    new = " ".join(sorted(set("ab") - set(duplicates)))
    assert not [call for call in ports.calls if call.startswith("stage")]
    assert [call for call in ports.calls if call.startswith("prepare")] == ([f"prepare {new}"] if new else [])


def test_nothing_is_uploaded_ahead_if_a_sale_was_taken_over() -> None:
    ports = Ports(claims={"a": taken_over(2)})
    ports.sync("a", "b")
    assert not [call for call in ports.calls if call.startswith("prepare")]


def test_a_sale_that_could_not_be_looked_up_is_given_back_while_the_others_land() -> None:
    ports = Ports(claims={"a": taken_over(2), "b": taken_over(2)}, resolution={"a": 2}, undecided={"b": "no answer"})
    assert ports.sync("a", "b", "c") == {
        "a": COMPLETED_BEFORE["a"],
        "b": Unresolved("no answer", FACTS["b"]),
        "c": LANDED["c"],
    }
    assert ports.calls[-4:] == ["append c", "put a c", "complete a c", "merge_manifests"]
    assert ports.measured[Metric.FAILED_COMMITS] == 1


def test_the_error_of_a_commit_is_part_of_the_cause() -> None:
    failed = NotKnownToHaveLanded(GiveUp.STAGING_FAILED, detail="ClientError: AccessDenied")
    cause = "the commit is not known to have landed: the files could not be written: ClientError: AccessDenied"
    assert Ports(append_result=failed).sync("a") == {"a": Unresolved(cause, FACTS["a"])}
