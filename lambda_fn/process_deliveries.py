"""Process a batch of deliveries: each is committed, a duplicate, rejected to the dead-letter queue, or given back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from more_itertools import chunked

from lambda_fn.ports import (
    MAX_IDS_PER_LINE,
    DeadLetter,
    DeadLetters,
    Delivery,
    Metric,
    Projection,
    Reason,
    Rejection,
    Telemetry,
)
from lambda_fn.runtime.retry import Deadline
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import Completed, SaleOutcome, SyncSales

MAX_NAMES: Final = 50
# Other names are counted, but not logged: a producer could have put anything into them.
_FIELD_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
CONFLICT: Final = Rejection(Reason.CONFLICTING_DUPLICATE, "the same sale was reported before with other facts")


class Outcome(StrEnum):
    """How a delivery ended. All but GIVEN_BACK are acknowledged."""

    COMMITTED = "COMMITTED"
    DUPLICATE = "DUPLICATE"
    REJECTED = "REJECTED"
    GIVEN_BACK = "GIVEN_BACK"


@dataclass(frozen=True)
class Result:
    """How a delivery ended, with the rejection if it was rejected, and the cause if it was given back."""

    outcome: Outcome
    rejection: Rejection | None = None
    cause: str = ""


@dataclass(frozen=True)
class ProcessDeliveries:
    """Rejects what can't be a sale, lands the sales, and returns the result of each delivery."""

    sync_sales: SyncSales
    projection: Projection
    dead_letters: DeadLetters
    telemetry: Telemetry

    def process(self, deliveries: Sequence[Delivery], request_id: str, deadline: Deadline) -> Mapping[str, Result]:
        """Return the result of each delivery, by its delivery id.

        A delivery that fails does not affect the others. ``request_id`` goes with each dead letter.
        """
        self.telemetry.measure(Metric.BATCH_SIZE, len(deliveries))
        self._report_unknown_fields(deliveries)
        checked = [(delivery, self._check(delivery)) for delivery in deliveries]
        letters = [DeadLetter(delivery, content) for delivery, content in checked if isinstance(content, Rejection)]
        sales = [(delivery, content) for delivery, content in checked if isinstance(content, Sale)]
        # The sales land first: a dead-letter queue that does not answer must not use up their time.
        landed, conflicts = self._land(sales, deadline) if sales else ({}, [])
        results = {**landed, **self._reject([*letters, *conflicts], request_id, deadline)}
        self._report(deliveries, results)
        return results

    def _check(self, delivery: Delivery) -> Sale | Rejection:
        if isinstance(delivery.content, Rejection):
            return delivery.content
        return self.projection.rejects(delivery.content) or delivery.content

    def _report_unknown_fields(self, deliveries: Sequence[Delivery]) -> None:
        """Count the fields that the contract does not know, and log their names: a producer may have misspelt one."""
        names = [name for delivery in deliveries for name in delivery.unknown_fields]
        self.telemetry.measure(Metric.UNKNOWN_FIELDS, len(names))
        if names:
            logged = sorted({name for name in names if _FIELD_NAME.fullmatch(name)})[:MAX_NAMES]
            self.telemetry.info("[CarouselSync] Unknown fields", count=len(names), unknown_fields=logged)

    def _land(
        self, sales: Sequence[tuple[Delivery, Sale]], deadline: Deadline
    ) -> tuple[Mapping[str, Result], Sequence[DeadLetter]]:
        """Land each distinct sale once, and return the results, and the letters of conflicting duplicates.

        Of several deliveries of a sale, the first decides its facts.
        """
        self._log_sales(sales)
        distinct: dict[SaleKey, Sale] = {}
        for _, sale in sales:
            distinct.setdefault(sale.key, sale)
        outcomes = self.sync_sales.sync(list(distinct.values()), deadline)
        results: dict[str, Result] = {}
        conflicts: list[DeadLetter] = []
        seen: set[SaleKey] = set()
        for delivery, sale in sales:
            outcome = outcomes[sale.key]
            if outcome.facts is not None and outcome.facts.conflicts_with(sale.facts):
                conflicts.append(DeadLetter(delivery, CONFLICT))
            else:
                results[delivery.delivery_id] = _result(outcome, is_first=sale.key not in seen)
            seen.add(sale.key)
        return results, conflicts

    def _log_sales(self, sales: Sequence[tuple[Delivery, Sale]]) -> None:
        """Log which sale each delivery and each event is about: the n-th entries of the three lists belong together."""
        for chunk in chunked(sales, MAX_IDS_PER_LINE):
            self.telemetry.info(
                "[CarouselSync] Processing product sale",
                count=len(chunk),
                delivery_ids=[delivery.delivery_id for delivery, _ in chunk],
                event_ids=[delivery.event_id for delivery, _ in chunk],
                sale_ids=[sale.sale_id for _, sale in chunk],
            )

    def _reject(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Mapping[str, Result]:
        """Send the letters. A delivery whose letter was not accepted is given back, so that no event is lost."""
        if not letters:
            return {}
        kept = self.dead_letters.keep(letters, request_id, deadline)
        results: dict[str, Result] = {}
        for letter in letters:
            delivery_id = letter.delivery.delivery_id
            if delivery_id in kept:
                results[delivery_id] = Result(Outcome.REJECTED, letter.rejection)
                self.telemetry.rejected(letter.rejection.reason)
                self.telemetry.warning(
                    "[CarouselSync] Event rejected",
                    delivery_ids=[delivery_id],
                    event_ids=[letter.delivery.event_id],
                    reason=letter.rejection.reason.value,
                    detail=letter.rejection.detail,
                )
            else:
                cause = f"the dead-letter queue did not take the event ({letter.rejection.reason.value})"
                results[delivery_id] = Result(Outcome.GIVEN_BACK, letter.rejection, cause)
        return results

    def _report(self, deliveries: Sequence[Delivery], results: Mapping[str, Result]) -> None:
        by_outcome: dict[Outcome, list[str]] = {outcome: [] for outcome in Outcome}
        for delivery in deliveries:
            by_outcome[results[delivery.delivery_id].outcome].append(delivery.delivery_id)
        self.telemetry.measure(Metric.SALES_COMMITTED, len(by_outcome[Outcome.COMMITTED]))
        self.telemetry.measure(Metric.DUPLICATES, len(by_outcome[Outcome.DUPLICATE]))
        self.telemetry.measure(Metric.GIVEN_BACK, len(by_outcome[Outcome.GIVEN_BACK]))
        for chunk in chunked(by_outcome[Outcome.DUPLICATE], MAX_IDS_PER_LINE):
            self.telemetry.info("[IdempotencyManager] Duplicate event detected", delivery_ids=chunk)
        by_cause: dict[str, list[str]] = {}
        for delivery_id in by_outcome[Outcome.GIVEN_BACK]:
            by_cause.setdefault(results[delivery_id].cause, []).append(delivery_id)
        for cause, delivery_ids in by_cause.items():
            for chunk in chunked(delivery_ids, MAX_IDS_PER_LINE):
                self.telemetry.warning("[CarouselSync] Failed to sync", cause=cause, delivery_ids=chunk)


def _result(outcome: SaleOutcome, *, is_first: bool) -> Result:
    """Return the result of a delivery of a sale. Only the first delivery of a sale can have landed it."""
    if isinstance(outcome, Completed):
        return Result(Outcome.COMMITTED if outcome.by_this_attempt and is_first else Outcome.DUPLICATE)
    return Result(Outcome.GIVEN_BACK, cause=outcome.cause)
