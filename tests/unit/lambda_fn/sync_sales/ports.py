"""Every port of SyncSales in one fake, which does what its test says and records each call in order."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Unpack

from lambda_fn.errors import StoreUnavailable
from lambda_fn.ports import (
    AppendResult,
    Claimed,
    ClaimResult,
    Completion,
    GiveUp,
    HeldByAnother,
    Landed,
    LogKeys,
    ManifestMerge,
    Metric,
    Reason,
    Rejection,
    Resolution,
    Unreadable,
)
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import FactsDigest, Sale, SaleKey
from lambda_fn.sync_sales import Completed, SaleOutcome, SyncSales
from tests.builders import sale
from tests.fakes.clock import FakeClock
from tests.fakes.parallel import InTurn

ATTEMPT = 5
PIN = 4
LEASE_UNTIL = 1e10
INVOCATION_SECONDS = 58.0
APPEND_SECONDS = 0.75
APPENDED = Landed(ATTEMPT)
TENANT = sale().tenant_id
FACTS = {sale_id: sale(sale_id=sale_id).facts for sale_id in "abcde"}
OTHER_FACTS = sale(brand="another").facts
LANDED = {sale_id: Completed(facts, by_this_attempt=True) for sale_id, facts in FACTS.items()}
FOUND_ITEM = {sale_id: Completed(sale(sale_id=sale_id).stored_facts) for sale_id in "abcde"}
COMPLETED_BEFORE = {sale_id: Completed(facts) for sale_id, facts in FACTS.items()}


def key(sale_id: str) -> SaleKey:
    return SaleKey(TENANT, sale_id)


def old_sale(sale_id: str) -> Sale:
    """Return a sale whose projection item has expired."""
    return sale(sale_id=sale_id, sold_date=date(2010, 1, 1))


def ids(sales: Iterable[Sale | SaleKey]) -> str:
    return " ".join(sorted(each.sale_id for each in sales))


@dataclass
class Ports:
    """Guard, table, attempt, projection and telemetry. By default every sale is new, and every request succeeds.

    ``calls`` are the requests in order, as text: the name of the method and the ids of its sales. ``rows``, ``items``
    and ``completed`` are what the stores contain.
    """

    claims: dict[str, Callable[[Sale], ClaimResult]] = field(default_factory=dict)
    """The result of a claim, for the sales that are not simply claimed."""
    without_column: dict[str, Collection[str]] = field(default_factory=dict)
    stored: dict[str, Sale | Unreadable] = field(default_factory=dict)
    """The sales that have an item from the start."""
    resolution: dict[str, int | None] | GiveUp = field(default_factory=dict)
    undecided: dict[str, str] = field(default_factory=dict)
    """The sales that a scan can't decide, each with the cause."""
    append_result: AppendResult = APPENDED
    not_put: Collection[str] = ()
    not_completed: Collection[str] = ()
    looks: list[dict[str, ClaimResult]] = field(default_factory=list)
    """What each look at the guard finds; the last one is found again and again."""
    merge: ManifestMerge | None = None
    newer_pin: int | None = None
    """The head that is pinned again while the columns are checked."""
    failing: str = ""
    """The name of the method that raises StoreUnavailable."""
    look_up: bool = False
    """Whether every sale is looked up in the table."""
    crash_at: float = float("inf")
    """The number of calls after which the process crashes; with a half added, after the call has taken effect."""

    calls: list[str] = field(default_factory=list)
    completions: dict[SaleKey, Completion] = field(default_factory=dict)
    fenced: set[int] = field(default_factory=set)
    leases: list[tuple[int, int, float]] = field(default_factory=list)
    rows: set[str] = field(default_factory=set)
    items: set[str] = field(default_factory=set)
    completed: set[str] = field(default_factory=set)
    lines: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    measured: dict[Metric, float] = field(default_factory=dict)
    clock: FakeClock = field(default_factory=FakeClock)
    pin: int = PIN
    attempt_id: int = 0
    deadline: Deadline | None = None
    """The deadline of the invocation."""

    # --- guard -------------------------------------------------------------------------------------------------------

    def claim(
        self, sales: Sequence[Sale], attempt_id: int, pin: int, lease_seconds: float, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        self._call("claim", ids(sales), deadline=deadline)
        self.leases.append((attempt_id, pin, lease_seconds))
        # Reversed, because the guard's results have no order.
        return {
            each.key: self.claims[each.sale_id](each) if each.sale_id in self.claims else Claimed(each, pin)
            for each in reversed(sales)
        }

    def look(self, keys: Collection[SaleKey], deadline: Deadline) -> Mapping[SaleKey, ClaimResult]:
        self._call("look", ids(keys))
        assert self.deadline is not None
        assert deadline.at_monotonic_seconds <= self.deadline.at_monotonic_seconds
        found = self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]
        return {key(sale_id): result for sale_id, result in found.items() if key(sale_id) in keys}

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        self._call("complete", ids(completion.key for completion in completions), deadline=deadline)
        self.completions = {completion.key: completion for completion in completions}
        completed = {each for each in self.completions if each.sale_id not in self.not_completed}
        self.completed |= {each.sale_id for each in completed}
        self._crash_after()
        return completed

    # --- table -------------------------------------------------------------------------------------------------------

    def begin(self, attempt_id: int, deadline: Deadline) -> Ports:
        self.attempt_id = attempt_id
        self._call("begin", str(attempt_id), deadline=deadline)
        return self

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        self._call("columns_missing", ids(sales), deadline=deadline)
        self.pin = self.newer_pin or self.pin
        return {each.key: self.without_column[each.sale_id] for each in sales if each.sale_id in self.without_column}

    def resolve(
        self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline
    ) -> Resolution | GiveUp:
        self._call("resolve", ids(claim.sale for claim in taken_over), "|", ids(unvouched), deadline=deadline)
        if isinstance(self.resolution, GiveUp):
            return self.resolution
        asked = [*(claim.sale for claim in taken_over), *unvouched]
        found = [each for each in asked if each.sale_id in self.resolution]
        undecided = {each.key: self.undecided[each.sale_id] for each in asked if each.sale_id in self.undecided}
        return Resolution({each.key: self.resolution[each.sale_id] for each in found}, undecided)

    def stage(self, sales: Sequence[Sale]) -> None:
        self._call("stage", ids(sales))

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        self._call("prepare", ids(sales), deadline=deadline)

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        self.fenced = set(fenced)
        self._call("append", ids(sales), deadline=deadline)
        self.clock.advance(APPEND_SECONDS)
        if isinstance(self.append_result, Landed):
            self.rows |= {each.sale_id for each in sales}
        self._crash_after()
        return self.append_result

    def merge_manifests(self, deadline: Deadline) -> ManifestMerge | None:
        self._call("merge_manifests", deadline=deadline)
        return self.merge

    # --- projection --------------------------------------------------------------------------------------------------

    def rejects(self, sale: Sale) -> Rejection | None:
        raise AssertionError(sale)

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale | Unreadable]:
        self._call("find", ids(sales), deadline=deadline)
        return {each.key: self.stored[each.sale_id] for each in sales if each.sale_id in self.stored}

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        self._call("put", ids(sales), deadline=deadline)
        put = {each.key for each in sales if each.sale_id not in self.not_put}
        self.items |= {each.sale_id for each in put}
        self._crash_after()
        return put

    # --- telemetry ---------------------------------------------------------------------------------------------------

    def info(self, text: str, **keys: Unpack[LogKeys]) -> None:
        self.lines.append((text, dict(keys)))

    def warning(self, text: str, **keys: Unpack[LogKeys]) -> None:
        self.lines.append((f"WARNING {text}", dict(keys)))

    def measure(self, metric: Metric, value: float) -> None:
        self.measured[metric] = self.measured.get(metric, 0) + value

    def rejected(self, reason: Reason) -> None:
        raise AssertionError(reason)

    # --- the code under test -----------------------------------------------------------------------------------------

    def sync(
        self, *sales: str | Sale, parallel: Parallel | None = None, seconds: float = INVOCATION_SECONDS
    ) -> dict[str, SaleOutcome]:
        """Land sales, or the sales with these ids, and return the outcome of each by its id."""
        use_case = SyncSales(
            guard=self,
            table=self,
            projection=self,
            telemetry=self,
            clock=self.clock,
            retry=Retry(self.clock, random.Random(1)),
            parallel=parallel or InTurn(),
            new_attempt_id=lambda: ATTEMPT,
            look_up_every_sale=self.look_up,
        )
        given = [sale(sale_id=each) if isinstance(each, str) else each for each in sales]
        self.deadline = Deadline.after(self.clock, seconds)
        outcomes = use_case.sync(given, self.deadline)
        assert outcomes.keys() == {each.key for each in given}
        return {sale_key.sale_id: outcome for sale_key, outcome in outcomes.items()}

    def lines_of(self, text: str) -> list[dict[str, Any]]:
        return [keys for line, keys in self.lines if line == text]

    def _call(self, name: str, *details: str, deadline: Deadline | None = None) -> None:
        if name not in ("look", "stage"):
            assert deadline == self.deadline, "every request but a look may take all of the invocation's time"
        if len(self.calls) == self.crash_at:
            raise Crash
        self.calls.append(" ".join([name, *filter(None, details)]))
        if name == self.failing:
            raise StoreUnavailable(f"{name} failed")

    def _crash_after(self) -> None:
        if len(self.calls) - 0.5 == self.crash_at:
            raise Crash


class Crash(BaseException):
    """The process ends here."""


def taken_over(*earlier_attempts: int, base: int = 1) -> Callable[[Sale], ClaimResult]:
    """Return the claim of a sale that earlier attempts have held."""
    return lambda claimed: Claimed(claimed, base, earlier_attempts)


def held(facts: FactsDigest) -> HeldByAnother:
    """Return the state of a sale that another attempt holds for a long time."""
    return HeldByAnother(facts, LEASE_UNTIL)
