"""When the files of an append are made: a single sale's while it is claimed, a batch's once it is claimed."""

from __future__ import annotations

import random
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lambda_fn.ports import (
    NO_SNAPSHOT,
    AlreadyCompleted,
    AppendResult,
    Claimed,
    ClaimResult,
    Completion,
    Landed,
    Resolution,
)
from lambda_fn.runtime.parallel import Threads
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import Done, SyncSales
from tests.builders import sale
from tests.fakes.clock import FakeClock

PATIENCE_SECONDS = 20.0


@dataclass
class Steps:
    """Guard, table, projection and telemetry in one: notes what is asked of it, in order.

    A claim waits for the files, if it has to: only who makes them meanwhile ever gets an answer.
    """

    claim_waits: bool = False
    can_not_be_staged: bool = False
    duplicates: Collection[str] = ()
    noted: list[str] = field(default_factory=list)
    staged: threading.Event = field(default_factory=threading.Event)

    attempt_id = 5
    pin = NO_SNAPSHOT

    def claim(
        self, sales: Sequence[Sale], attempt_id: int, pin: int, lease_seconds: float, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        assert not self.claim_waits or self.staged.wait(PATIENCE_SECONDS), "the files were not made meanwhile"
        self.noted.append("claim")
        return {
            one.key: AlreadyCompleted(one.payload_hash) if one.sale_id in self.duplicates else Claimed(one, pin)
            for one in sales
        }

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        return {completion.key for completion in completions}

    def begin(self, attempt_id: int, deadline: Deadline) -> Steps:
        return self

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        return {}

    def resolve(self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline) -> Resolution:
        return Resolution()

    def stage(self, sales: Sequence[Sale]) -> None:
        self.noted.append("stage")
        self.staged.set()
        if self.can_not_be_staged:
            raise ValueError("can't be written")

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        self.noted.append("upload")

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        self.noted.append("commit")
        return Landed(self.attempt_id)

    def find(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Sale]:
        return {}

    def put(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        return {one.key for one in sales}

    def merge_manifests(self, deadline: Deadline) -> None:
        """There are no manifests."""

    def info(self, text: str, **keys: Any) -> None:
        """Nobody reads it."""

    def measure(self, metric: str, value: float) -> None:
        """Nobody counts it."""

    def sync(self, *sale_ids: str) -> list[bool]:
        """Have sales of these ids landed; return for each whether it was this attempt that landed it."""
        ports: Any = self
        clock = FakeClock()
        use_case = SyncSales(
            guard=ports,
            table=ports,
            projection=ports,
            telemetry=ports,
            clock=clock,
            retry=Retry(clock, random.Random(1)),
            parallel=Threads(2),
            new_attempt_id=lambda: self.attempt_id,
        )
        sales = [sale(sale_id=sale_id) for sale_id in sale_ids]
        fates = use_case.sync(sales, Deadline.after(clock, 60))
        done = [fates[one.key] for one in sales]
        assert all(isinstance(fate, Done) for fate in done)
        return [isinstance(fate, Done) and fate.by_this_attempt for fate in done]


def test_the_files_of_a_single_sale_are_made_while_it_is_claimed() -> None:
    steps = Steps(claim_waits=True)
    assert steps.sync("a") == [True]
    assert steps.noted == ["stage", "claim", "upload", "commit"]


def test_of_a_duplicate_nothing_is_uploaded() -> None:
    steps = Steps(duplicates={"a"})
    assert steps.sync("a") == [False]
    assert sorted(steps.noted) == ["claim", "stage"]


def test_a_duplicate_needs_no_files() -> None:
    steps = Steps(duplicates={"a"}, can_not_be_staged=True)
    assert steps.sync("a") == [False]


@pytest.mark.parametrize("duplicates", [(), ("a",), ("a", "b")])
def test_a_batch_waits_for_its_claims(duplicates: Sequence[str]) -> None:
    steps = Steps(duplicates=duplicates)
    assert steps.sync("a", "b") == [name not in duplicates for name in ("a", "b")]
    assert steps.noted == ["claim"] + (["upload", "commit"] if len(duplicates) < 2 else [])
