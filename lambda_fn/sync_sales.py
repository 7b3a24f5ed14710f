"""The use case: land each sale as exactly one row and one projection item.

:meth:`SyncSales._steps` runs the steps of the protocol in docs/exactly-once.md, in their order and with their numbers.
Step 1, reading the events, is in :mod:`lambda_fn.event`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from more_itertools import chunked

from lambda_fn.errors import ColumnsMissing, StoreUnavailable
from lambda_fn.ports import (
    MAX_IDS_PER_LINE,
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
    NotClaimed,
    Projection,
    Resolution,
    SalesTable,
    Telemetry,
    Unreadable,
)
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Clock, Deadline, Retry
from lambda_fn.sale import FactsDigest, Sale, SaleKey

# A lease covers the time that this invocation has left, and the difference between clocks. It saves work; safety does
# not depend on it.
CLOCK_SKEW_SECONDS: Final = 10.0
# A sale that another invocation is landing right now is worth a short wait. Given back, it would come back in minutes.
WAIT_FOR_OTHERS_SECONDS: Final = 3.0
LOOK_SECONDS: Final = 5.0
# DynamoDB may delete an item this close to its expiry between the look-up and the commit.
RETENTION_MARGIN_SECONDS: Final = 3600.0


@dataclass(frozen=True)
class Completed:
    """The sale has its row, its item and its completed guard.

    ``facts`` are those that were stored. ``by_this_attempt`` says whether this attempt landed it.
    """

    facts: FactsDigest
    by_this_attempt: bool = False


@dataclass(frozen=True)
class Unresolved:
    """The sale is not known to be completed, and has to be delivered again.

    ``cause`` is for the log. ``facts`` are those of the sale's claim, if the claim is known.
    """

    cause: str
    facts: FactsDigest | None = None


SaleOutcome = Completed | Unresolved


@dataclass(frozen=True, kw_only=True)
class SyncSales:
    """The use case over its ports. An instance serves one invocation at a time.

    ``look_up_every_sale``: the guard or the projection was lost, so that a sale without a claim and without an item may
    have a row. Every claimed sale without an item is then looked up in the table.
    """

    guard: Guard
    table: SalesTable
    projection: Projection
    telemetry: Telemetry
    clock: Clock
    retry: Retry
    parallel: Parallel
    new_attempt_id: Callable[[], int]
    look_up_every_sale: bool = False

    def sync(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, SaleOutcome]:
        """Land the sales, whose keys must be distinct, and return the outcome of each.

        A store that fails leaves the sales that no step has decided yet unresolved: their next delivery finds out what
        became of them.
        """
        outcomes: dict[SaleKey, SaleOutcome] = {}
        otherwise = Unresolved("the projection item or the guard could not be written in time")
        try:
            for decided in self._steps(sales, deadline):
                outcomes.update(decided)
        except StoreUnavailable as error:
            otherwise = Unresolved(str(error))
        self._merge_manifests(deadline)
        return {sale.key: outcomes.get(sale.key, otherwise) for sale in sales}

    def _steps(self, sales: Sequence[Sale], deadline: Deadline) -> Iterator[Mapping[SaleKey, SaleOutcome]]:
        """Run the protocol. Each step yields the outcomes that it decides. Later outcomes replace earlier ones."""
        # 2. Choose the attempt's id and pin the table's head, before the first claim.
        attempt, waiting = self._begin(sales, deadline)
        yield waiting
        sales = [sale for sale in sales if sale.key not in waiting]

        # 3. Claim the guard of each sale. Meanwhile, make the files of a single sale.
        results = self.parallel.both(lambda: self._claim(sales, attempt, deadline), lambda: self._stage(attempt, sales))
        claims = [result for result in results.values() if isinstance(result, Claimed)]
        yield {key: _outcome(result) for key, result in results.items() if not isinstance(result, Claimed)}

        # 4. Look at the projection: a sale with an item landed long ago, and its guard has expired since. Meanwhile,
        # upload the files of the append, because most often there is no item.
        stored = self.parallel.both(
            lambda: self._find(claims, deadline), lambda: self._prepare(attempt, claims, deadline)
        )
        claims = [claim for claim in claims if claim.sale.key not in stored]
        yield {key: Unresolved(item.cause) for key, item in stored.items() if isinstance(item, Unreadable)}

        # 5. Resolve: an earlier attempt may have landed the sale. If the item could be gone, only the row can tell.
        unvouched = [claim.sale for claim in claims if self._is_unvouched(claim.sale)]
        resolution = self._resolve(attempt, claims, unvouched, deadline)
        found, undecided = resolution.landed, resolution.undecided
        yield {
            claim.sale.key: Unresolved(undecided[claim.sale.key], claim.sale.facts)
            for claim in claims
            if claim.sale.key in undecided
        }
        claims = [claim for claim in claims if claim.sale.key not in undecided]

        # 6. and 7. Commit the rest with one snapshot that fences the earlier attempts, and judge the answer. Under
        # contention the snapshot may be that of a leader, which commits for all attempts that wait.
        missing = [claim for claim in claims if claim.sale.key not in found]
        landed, unresolved = self._commit(attempt, missing, deadline)
        yield unresolved

        # 8. Put the projection item of each sale that has a row, unless the item would already have expired.
        in_table = {**found, **landed}
        now = self.clock.now()
        expired = in_table.keys() & {claim.sale.key for claim in claims if claim.sale.projection_expires_at <= now}
        to_project = in_table.keys() - expired
        projected = self._project([claim.sale for claim in claims if claim.sale.key in to_project], deadline)

        # 9. Complete the guards. Only what is COMPLETED may be acknowledged.
        completions = [
            Completion(key, item.stored_facts, None) for key, item in stored.items() if isinstance(item, Sale)
        ]
        completions += [
            Completion(claim.sale.key, claim.sale.facts, in_table[claim.sale.key])
            for claim in claims
            if claim.sale.key in {*projected, *expired}
        ]
        yield self._complete(completions, landed, attempt.attempt_id, deadline)
        yield from self._wait_for_others(sales, results, deadline)

    def _begin(self, sales: Sequence[Sale], deadline: Deadline) -> tuple[AppendAttempt, Mapping[SaleKey, Unresolved]]:
        """Return the attempt, and the sales that have to wait for a column: none of their facts may be dropped."""
        with self._counting_failure():
            attempt = self.table.begin(self.new_attempt_id(), deadline)
            missing = attempt.columns_missing(sales, deadline)
        self.telemetry.measure(Metric.WAITING_FOR_COLUMN, len(missing))
        return attempt, {key: Unresolved(str(ColumnsMissing(columns))) for key, columns in missing.items()}

    def _claim(
        self, sales: Sequence[Sale], attempt: AppendAttempt, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        lease_seconds = deadline.remaining_seconds() + CLOCK_SKEW_SECONDS
        results = self.guard.claim(sales, attempt.attempt_id, attempt.pin, lease_seconds, deadline)
        takeovers = sum(isinstance(result, Claimed) and bool(result.earlier_attempts) for result in results.values())
        self.telemetry.measure(Metric.TAKEOVERS, takeovers)
        if takeovers:
            self.telemetry.info("[CarouselSync] Sales taken over", attempt_id=attempt.attempt_id, takeovers=takeovers)
        return {sale.key: results[sale.key] for sale in sales}

    def _stage(self, attempt: AppendAttempt, sales: Sequence[Sale]) -> None:
        """Make the files of a single sale before it is known whether it is a duplicate.

        A producer that sends sales one by one waits for each. In a batch, a single duplicate would discard the files
        of all, and a replay of nothing but duplicates should stay cheap.
        """
        if len(sales) == 1:
            # The append makes the files again, and reports the failure. A duplicate needs no files.
            with suppress(Exception):
                attempt.stage(sales)

    def _find(self, claims: Sequence[Claimed], deadline: Deadline) -> Mapping[SaleKey, Sale | Unreadable]:
        return self.projection.find([claim.sale for claim in claims], deadline)

    def _prepare(self, attempt: AppendAttempt, claims: Sequence[Claimed], deadline: Deadline) -> None:
        """Stage and upload the append if it is likely to carry every claim."""
        if claims and not any(claim.earlier_attempts or self._is_unvouched(claim.sale) for claim in claims):
            attempt.prepare([claim.sale for claim in claims], deadline)

    def _is_unvouched(self, sale: Sale) -> bool:
        """Whether the projection item may be gone, so that a missing item proves nothing."""
        return self.look_up_every_sale or sale.projection_expires_at <= self.clock.now() + RETENTION_MARGIN_SECONDS

    def _resolve(
        self, attempt: AppendAttempt, claims: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline
    ) -> Resolution:
        """Return the sales that have a row already, each with the snapshot that landed it if the history shows it."""
        always_scanned = {sale.key for sale in unvouched}
        taken_over = [claim for claim in claims if claim.earlier_attempts and claim.sale.key not in always_scanned]
        if not taken_over and not unvouched:
            return Resolution()
        with self._counting_failure():
            resolution = attempt.resolve(taken_over, unvouched, deadline)
            if isinstance(resolution, GiveUp):
                raise StoreUnavailable(f"The attempt was given up: {resolution.value}. The sales stay in the queue.")
        if resolution.undecided:
            self.telemetry.measure(Metric.FAILED_COMMITS, 1)
        return resolution

    @contextmanager
    def _counting_failure(self) -> Iterator[None]:
        """Count a commit that was never tried, because the table could not be read."""
        try:
            yield
        except StoreUnavailable:
            self.telemetry.measure(Metric.FAILED_COMMITS, 1)
            raise

    def _commit(
        self, attempt: AppendAttempt, missing: Sequence[Claimed], deadline: Deadline
    ) -> tuple[Mapping[SaleKey, int], Mapping[SaleKey, Unresolved]]:
        """Return the sales that landed, with their snapshot, and those that are not known to have landed."""
        if not missing:
            return {}, {}
        fenced = {earlier for claim in missing for earlier in claim.earlier_attempts}
        started = self.clock.monotonic()
        result = attempt.append([claim.sale for claim in missing], fenced, deadline)
        self.telemetry.measure(Metric.COMMIT_CONFLICTS, result.conflicts)
        self.telemetry.measure(Metric.FAILED_COMMITS, 0 if isinstance(result, Landed) else 1)
        if not isinstance(result, Landed):
            cause = f"the commit is not known to have landed: {result}"
            return {}, {claim.sale.key: Unresolved(cause, claim.sale.facts) for claim in missing}
        milliseconds = round((self.clock.monotonic() - started) * 1000)
        self.telemetry.measure(Metric.COMMIT_MILLISECONDS, milliseconds)
        if result.group_size:
            self.telemetry.measure(Metric.GROUP_SIZE, result.group_size)
        self.telemetry.info(
            "[CarouselSync] S3 Tables write successful",
            attempt_id=attempt.attempt_id,
            snapshot_id=result.snapshot_id,
            count=len(missing),
            conflicts=result.conflicts,
            group_size=result.group_size,
            milliseconds=milliseconds,
        )
        return {claim.sale.key: result.snapshot_id for claim in missing}, {}

    def _project(self, sales: Sequence[Sale], deadline: Deadline) -> Collection[SaleKey]:
        projected = self.projection.put(sales, deadline)
        if projected:
            self.telemetry.info("[CarouselSync] DynamoDB write successful", count=len(projected))
        return projected

    def _complete(
        self, completions: Sequence[Completion], landed: Collection[SaleKey], attempt_id: int, deadline: Deadline
    ) -> Mapping[SaleKey, Completed]:
        completed = self.guard.complete(completions, deadline)
        for sale_ids in chunked(sorted(key.sale_id for key in completed), MAX_IDS_PER_LINE):
            self.telemetry.info(
                "[IdempotencyManager] Event marked as processed", attempt_id=attempt_id, sale_ids=sale_ids
            )
        return {
            completion.key: Completed(completion.facts, by_this_attempt=completion.key in landed)
            for completion in completions
            if completion.key in completed
        }

    def _wait_for_others(
        self, sales: Sequence[Sale], results: Mapping[SaleKey, ClaimResult], deadline: Deadline
    ) -> Iterator[Mapping[SaleKey, Completed]]:
        """Wait for the sales that another attempt holds without a conflict, and yield those that it completes."""
        waiting = {sale.key for sale in sales if _is_held_without_conflict(sale, results[sale.key])}
        until = Deadline.after(self.clock, min(WAIT_FOR_OTHERS_SECONDS + LOOK_SECONDS, deadline.remaining_seconds()))
        for _ in self.retry.tries(until, LOOK_SECONDS):
            if not waiting:
                return
            states = self.guard.look(waiting, until)
            completed = {
                key: Completed(state.facts) for key, state in states.items() if isinstance(state, AlreadyCompleted)
            }
            yield completed
            waiting -= completed.keys()

    def _merge_manifests(self, deadline: Deadline) -> None:
        """Keep the table's metadata small. The outcomes of the sales do not depend on it."""
        merge = self.table.merge_manifests(deadline)
        if merge is None:
            return
        if merge.failure:
            self.telemetry.warning("[CarouselSync] Manifests not merged", count=merge.manifests, cause=merge.failure)
        else:
            self.telemetry.info("[CarouselSync] Manifests merged", count=merge.manifests)


def _outcome(result: AlreadyCompleted | HeldByAnother | NotClaimed) -> SaleOutcome:
    if isinstance(result, AlreadyCompleted):
        return Completed(result.facts)
    if isinstance(result, HeldByAnother):
        return Unresolved("another attempt holds the sale", result.facts)
    return Unresolved(result.cause)


def _is_held_without_conflict(sale: Sale, result: ClaimResult) -> bool:
    return isinstance(result, HeldByAnother) and not result.facts.conflicts_with(sale.facts)
