"""A batch of deliveries: each ends committed, a duplicate, rejected into the dead-letter queue, or given back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from more_itertools import chunked

from lambda_fn.ports import (
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
from lambda_fn.sync_sales import Done, Fate, SyncSales

# A line of CloudWatch Logs has at most 1 MB: this many ids of each kind, of the longest length, are half of it.
IDS_OF_A_LINE: Final = 1000
CONFLICT: Final = Rejection(Reason.CONFLICTING_DUPLICATE, "the same sale was reported before with other facts")


class Outcome(StrEnum):
    """How a delivery ended. Every one but GIVEN_BACK is acknowledged."""

    COMMITTED = "COMMITTED"
    DUPLICATE = "DUPLICATE"
    REJECTED = "REJECTED"
    GIVEN_BACK = "GIVEN_BACK"


@dataclass(frozen=True)
class Result:
    """How a delivery ended; the rejection or the cause says why it was rejected or given back."""

    outcome: Outcome
    rejection: Rejection | None = None
    cause: str = ""


class ProcessDeliveries:
    """Rejects what can't be a sale, lands the sales, and answers for each delivery."""

    def __init__(
        self, sync_sales: SyncSales, projection: Projection, dead_letters: DeadLetters, telemetry: Telemetry
    ) -> None:
        self._sync_sales = sync_sales
        self._projection = projection
        self._dead_letters = dead_letters
        self._telemetry = telemetry

    def process(self, deliveries: Sequence[Delivery], request_id: str, deadline: Deadline) -> Mapping[str, Result]:
        """Return how each delivery ended, by its id."""
        self._telemetry.measure(Metric.BATCH_SIZE, len(deliveries))
        sales: dict[str, Sale] = {}
        letters: list[DeadLetter] = []
        for delivery in deliveries:
            content = self._check(delivery)
            if isinstance(content, Sale):
                sales[delivery.delivery_id] = content
            else:
                letters.append(DeadLetter(delivery, content))
        results = self._reject(letters, request_id, deadline)
        if sales:
            self._land(deliveries, sales, results, request_id, deadline)
        self._report(deliveries, results)
        return results

    def _check(self, delivery: Delivery) -> Sale | Rejection:
        if isinstance(delivery.content, Rejection):
            return delivery.content
        if delivery.unknown_fields:
            self._telemetry.measure(Metric.UNKNOWN_FIELDS, len(delivery.unknown_fields))
        return self._projection.rejects(delivery.content) or delivery.content

    def _land(
        self,
        deliveries: Sequence[Delivery],
        sales: Mapping[str, Sale],
        results: dict[str, Result],
        request_id: str,
        deadline: Deadline,
    ) -> None:
        distinct: dict[SaleKey, Sale] = {}
        for sale in sales.values():
            distinct.setdefault(sale.key, sale)
        self._tell([delivery for delivery in deliveries if delivery.delivery_id in sales], sales)
        fates = self._sync_sales.sync(list(distinct.values()), deadline)
        conflicts: list[DeadLetter] = []
        reported: set[SaleKey] = set()
        for delivery in deliveries:
            if delivery.delivery_id not in sales:
                continue
            sale = sales[delivery.delivery_id]
            result = _result(sale, fates[sale.key], first=sale.key not in reported)
            reported.add(sale.key)
            if result is None:
                conflicts.append(DeadLetter(delivery, CONFLICT))
            else:
                results[delivery.delivery_id] = result
        results.update(self._reject(conflicts, request_id, deadline))

    def _tell(self, deliveries: Sequence[Delivery], sales: Mapping[str, Sale]) -> None:
        """Log which event, in which message, is which sale: the n-th of each list belong together."""
        for some in chunked(deliveries, IDS_OF_A_LINE):
            self._telemetry.info(
                "[CarouselSync] Processing product sale",
                count=len(some),
                delivery_ids=[delivery.delivery_id for delivery in some],
                event_ids=[delivery.event_id for delivery in some],
                sale_ids=[sales[delivery.delivery_id].sale_id for delivery in some],
            )

    def _reject(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> dict[str, Result]:
        """Keep the letters; one that could not be kept is given back, so that no event is ever lost."""
        if not letters:
            return {}
        kept = self._dead_letters.keep(letters, request_id, deadline)
        results: dict[str, Result] = {}
        for letter in letters:
            delivery_id = letter.delivery.delivery_id
            if delivery_id in kept:
                results[delivery_id] = Result(Outcome.REJECTED, letter.rejection)
                self._telemetry.rejected(letter.rejection.reason)
                self._telemetry.warning(
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
        self._telemetry.measure(Metric.SALES_COMMITTED, len(by_outcome[Outcome.COMMITTED]))
        self._telemetry.measure(Metric.DUPLICATES, len(by_outcome[Outcome.DUPLICATE]))
        self._telemetry.measure(Metric.GIVEN_BACK, len(by_outcome[Outcome.GIVEN_BACK]))
        if duplicates := by_outcome[Outcome.DUPLICATE]:
            self._telemetry.info("[IdempotencyManager] Duplicate event detected", delivery_ids=duplicates)
        causes: dict[str, list[str]] = {}
        for delivery_id in by_outcome[Outcome.GIVEN_BACK]:
            causes.setdefault(results[delivery_id].cause, []).append(delivery_id)
        for cause, delivery_ids in causes.items():
            self._telemetry.warning("[CarouselSync] Failed to sync", cause=cause, delivery_ids=delivery_ids)


def _result(sale: Sale, fate: Fate, *, first: bool) -> Result | None:
    """Return how a delivery of a sale ended; None for one whose facts differ from those that count."""
    if fate.payload_hash is not None and fate.payload_hash != sale.payload_hash:
        return None
    if isinstance(fate, Done):
        return Result(Outcome.COMMITTED if fate.by_this_attempt and first else Outcome.DUPLICATE)
    return Result(Outcome.GIVEN_BACK, cause=fate.cause)
