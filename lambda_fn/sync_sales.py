"""The use case: land each sale as exactly one row and one projection item.

The steps of the attempt-fencing protocol, numbered as in docs/exactly-once.md, stand in :meth:`SyncSales._steps` in the
order in which they run. Step 1, reading the events, is :mod:`lambda_fn.event`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from lambda_fn.errors import ColumnsMissing, StoreUnavailable
from lambda_fn.ports import (
    AlreadyCompleted,
    AppendAttempt,
    Claimed,
    ClaimResult,
    Completion,
    GiveUp,
    Guard,
    HeldByAnother,
    Landed,
    Metric,
    Projection,
    SalesTable,
    Telemetry,
)
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Clock, Deadline, Retry
from lambda_fn.sale import Sale, SaleKey

# A lease saves work and nothing else: it covers what this invocation can still run, and clocks that disagree.
CLOCK_SKEW_SECONDS: Final = 10.0
# A sale that another invocation is just landing is worth a short wait: given back, it would take minutes.
WAIT_FOR_OTHERS_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 5.0
# An item this close to its expiry may be deleted while it is being looked for.
VOUCHED_MARGIN_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Done:
    """The sale has its row, its item and its completed guard; ``by_this_attempt``: this invocation landed it."""

    payload_hash: str
    by_this_attempt: bool = False


@dataclass(frozen=True)
class Open:
    """The sale is not known to be done. ``payload_hash`` is that of the facts that its claim carries, if known."""

    cause: str
    payload_hash: str | None = None


Fate = Done | Open


class SyncSales:
    """The use case over its ports. One instance serves one invocation at a time."""

    def __init__(
        self,
        *,
        guard: Guard,
        table: SalesTable,
        projection: Projection,
        telemetry: Telemetry,
        clock: Clock,
        retry: Retry,
        parallel: Parallel,
        new_attempt_id: Callable[[], int],
    ) -> None:
        self._guard = guard
        self._table = table
        self._projection = projection
        self._telemetry = telemetry
        self._clock = clock
        self._retry = retry
        self._parallel = parallel
        self._new_attempt_id = new_attempt_id

    def sync(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Fate]:
        """Land sales, each of which is given once, and tell for each whether it is done.

        A failure leaves the sales that it concerns open: the next delivery finds out what became of them.
        """
        fates: dict[SaleKey, Fate] = {}
        try:
            self._steps(sales, fates, deadline)
        except StoreUnavailable as error:
            fates.update({sale.key: Open(str(error)) for sale in sales if sale.key not in fates})
        self._merge_manifests(deadline)
        return fates

    def _steps(self, sales: Sequence[Sale], fates: dict[SaleKey, Fate], deadline: Deadline) -> None:
        # 2. Choose the attempt's id and pin the table's head, before the first claim.
        with self._counting_failures():
            attempt = self._table.begin(self._new_attempt_id(), deadline)
            sales = self._storable(sales, attempt, fates, deadline)

        # 3. Claim each sale's guard. The files of a single sale are made meanwhile.
        claimed, held = self._parallel.both(
            lambda: self._claim(sales, attempt, fates, deadline), lambda: self._stage(attempt, sales)
        )

        # 4. Look at the projection: what is there landed long ago, and its guard has expired since. Most often nothing
        # is there, and by then the files of the append are ready.
        claimed, completions = self._parallel.both(
            lambda: self._look_at_projection(claimed, deadline), lambda: self._prepare(attempt, claimed, deadline)
        )

        # 5. Resolve: an earlier attempt may have landed the sale, and where items expire only the row can tell.
        unvouched = [claim.sale for claim in claimed if self._is_unvouched(claim.sale)]
        taken_over = [claim for claim in claimed if claim.earlier_attempts and not self._is_unvouched(claim.sale)]
        landed = self._resolve(attempt, taken_over, unvouched, deadline)

        # 6. and 7. Commit one snapshot that fences the earlier attempts, and judge the answer.
        missing = [claim for claim in claimed if claim.sale.key not in landed]
        landed.update(self._append(attempt, missing, fates, deadline))

        # 8. Put the projection item of what has landed; an expired item of a sale found by the scan is left expired.
        not_to_project = {sale.key for sale in unvouched if landed.get(sale.key, attempt.attempt_id) is None}
        in_table = [claim.sale for claim in claimed if claim.sale.key in landed]
        projected = self._projection.put([sale for sale in in_table if sale.key not in not_to_project], deadline)
        if projected:
            self._telemetry.info("[CarouselSync] DynamoDB write successful", count=len(projected))

        # 9. Complete the guard. Only what is COMPLETED may be acknowledged.
        completions.extend(
            Completion(sale.key, sale.payload_hash, landed[sale.key])
            for sale in in_table
            if sale.key in projected or sale.key in not_to_project
        )
        self._complete(completions, attempt.attempt_id, fates, deadline)
        self._wait_for_others(held, fates, deadline)
        for claim in claimed:
            fates.setdefault(claim.sale.key, Open("the projection item or the guard could not be written in time"))

    def _merge_manifests(self, deadline: Deadline) -> None:
        """Keep the table's metadata small, once the sales are done: nothing here concerns them any more."""
        merge = self._table.merge_manifests(deadline)
        if merge is None:
            return
        if merge.failure:
            self._telemetry.warning("[CarouselSync] Manifests not merged", count=merge.manifests, cause=merge.failure)
        else:
            self._telemetry.info("[CarouselSync] Manifests merged", count=merge.manifests)

    def _storable(
        self, sales: Sequence[Sale], attempt: AppendAttempt, fates: dict[SaleKey, Fate], deadline: Deadline
    ) -> Sequence[Sale]:
        """Leave out the sales that wait for a column: to drop a fact would be silent loss, to claim them no use."""
        missing = attempt.columns_missing(sales, deadline)
        self._telemetry.measure(Metric.WAITING_FOR_COLUMN, len(missing))
        fates.update({key: Open(str(ColumnsMissing(columns))) for key, columns in missing.items()})
        return [sale for sale in sales if sale.key not in missing] if missing else sales

    def _claim(
        self, sales: Sequence[Sale], attempt: AppendAttempt, fates: dict[SaleKey, Fate], deadline: Deadline
    ) -> tuple[list[Claimed], list[Sale]]:
        """Return what was claimed, and what another attempt holds with the same facts; the rest gets its fate."""
        lease_seconds = deadline.remaining_seconds() + CLOCK_SKEW_SECONDS
        results = self._guard.claim(sales, attempt.attempt_id, attempt.pin, lease_seconds, deadline)
        claimed: list[Claimed] = []
        held: list[Sale] = []
        for sale in sales:
            result = results[sale.key]
            if isinstance(result, Claimed):
                claimed.append(result)
                continue
            fates[sale.key] = _fate(result)
            if isinstance(result, HeldByAnother) and result.payload_hash == sale.payload_hash:
                held.append(sale)
        takeovers = sum(1 for claim in claimed if claim.earlier_attempts)
        self._telemetry.measure(Metric.TAKEOVERS, takeovers)
        return claimed, held

    def _stage(self, attempt: AppendAttempt, sales: Sequence[Sale]) -> None:
        """Make the files of a single sale before it is known whether it is a duplicate.

        Whoever sends sales one by one waits for each. In a batch one duplicate would have all files made again, and a
        replay of nothing but duplicates should stay cheap.
        """
        if len(sales) == 1:
            # What can't be made is told by the append, should it come to that: a duplicate does not need it.
            with suppress(Exception):
                attempt.stage(sales)

    def _look_at_projection(
        self, claimed: Sequence[Claimed], deadline: Deadline
    ) -> tuple[list[Claimed], list[Completion]]:
        """Return the claims whose sale has no item yet, and the completions of those that have one."""
        stored = self._projection.find([claim.sale for claim in claimed], deadline)
        completions = [Completion(key, sale.payload_hash, None) for key, sale in stored.items()]
        return [claim for claim in claimed if claim.sale.key not in stored], completions

    def _prepare(self, attempt: AppendAttempt, claimed: Sequence[Claimed], deadline: Deadline) -> None:
        """Do what can be done of the append before it is known what it has to carry, where that is likely."""
        if claimed and not any(claim.earlier_attempts or self._is_unvouched(claim.sale) for claim in claimed):
            attempt.prepare([claim.sale for claim in claimed], deadline)

    def _is_unvouched(self, sale: Sale) -> bool:
        """Whether a missing item says nothing, because it would have expired: then only the table can tell."""
        return sale.projection_expires_at <= self._clock.now() + VOUCHED_MARGIN_SECONDS

    def _resolve(
        self,
        attempt: AppendAttempt,
        taken_over: Sequence[Claimed],
        unvouched: Sequence[Sale],
        deadline: Deadline,
    ) -> dict[SaleKey, int | None]:
        """Return the sales that are in the table already, each with its snapshot where the history tells it."""
        if not taken_over and not unvouched:
            return {}
        with self._counting_failures():
            resolution = attempt.resolve(taken_over, unvouched, deadline)
            if isinstance(resolution, GiveUp):
                raise StoreUnavailable(f"The attempt was given up: {resolution.value}. The sales stay in the queue.")
        return dict(resolution.landed)

    @contextmanager
    def _counting_failures(self) -> Iterator[None]:
        """Count a commit that did not get as far as being tried, because the table could not be read."""
        try:
            yield
        except StoreUnavailable:
            self._telemetry.measure(Metric.FAILED_COMMITS, 1)
            raise

    def _append(
        self, attempt: AppendAttempt, missing: Sequence[Claimed], fates: dict[SaleKey, Fate], deadline: Deadline
    ) -> dict[SaleKey, int | None]:
        """Commit the missing sales; return them with their snapshot when they landed, else leave them open."""
        if not missing:
            return {}
        fenced = {earlier for claim in missing for earlier in claim.earlier_attempts}
        started = self._clock.monotonic()
        result = attempt.append([claim.sale for claim in missing], fenced, deadline)
        self._telemetry.measure(Metric.COMMIT_CONFLICTS, result.conflicts)
        self._telemetry.measure(Metric.FAILED_COMMITS, 0 if isinstance(result, Landed) else 1)
        if isinstance(result, Landed):
            milliseconds = round((self._clock.monotonic() - started) * 1000)
            self._telemetry.measure(Metric.COMMIT_MILLISECONDS, milliseconds)
            self._telemetry.info(
                "[CarouselSync] S3 Tables write successful",
                snapshot_id=result.snapshot_id,
                count=len(missing),
                conflicts=result.conflicts,
                milliseconds=milliseconds,
            )
            return {claim.sale.key: result.snapshot_id for claim in missing}
        cause = f"the commit is not known to have landed: {result.cause.value}"
        fates.update({claim.sale.key: Open(cause, claim.sale.payload_hash) for claim in missing})
        return {}

    def _complete(
        self, completions: Sequence[Completion], attempt_id: int, fates: dict[SaleKey, Fate], deadline: Deadline
    ) -> None:
        completed = self._guard.complete(completions, deadline)
        for completion in completions:
            if completion.key in completed:
                by_this_attempt = completion.snapshot_id == attempt_id
                fates[completion.key] = Done(completion.payload_hash, by_this_attempt)
        if completed:
            sale_ids = sorted(key.sale_id for key in completed)
            self._telemetry.info("[IdempotencyManager] Event marked as processed", sale_ids=sale_ids)

    def _wait_for_others(self, held: Sequence[Sale], fates: dict[SaleKey, Fate], deadline: Deadline) -> None:
        """Look again at sales that another attempt held: it may be done by now. Touches nothing."""
        waiting = {sale.key for sale in held}
        until = Deadline.after(self._clock, min(WAIT_FOR_OTHERS_SECONDS + LOOK_SECONDS, deadline.remaining_seconds()))
        for _ in self._retry.tries(until, LOOK_SECONDS):
            if not waiting:
                return
            for key, result in self._guard.look(waiting, until).items():
                if isinstance(result, AlreadyCompleted):
                    fates[key] = Done(result.payload_hash)
                    waiting.discard(key)


def _fate(result: ClaimResult) -> Fate:
    if isinstance(result, AlreadyCompleted):
        return Done(result.payload_hash)
    if isinstance(result, HeldByAnother):
        return Open("another attempt holds the sale", result.payload_hash)
    if isinstance(result, Claimed):
        return Open("claimed", result.sale.payload_hash)
    return Open(result.cause)
