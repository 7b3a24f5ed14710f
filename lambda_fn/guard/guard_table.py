"""The guard on DynamoDB: claim, take over and complete, each conditional on what was read.

To claim n new sales takes n/25 PartiQL batches of INSERT, and to complete them n/25 batches of puts. PartiQL batches
are preferred to transactions because each statement succeeds or fails separately, where one failed condition cancels a
whole transaction, and because an item costs one write unit instead of two.

The guard alone does not make a sale safe: the Iceberg table's compare-and-set and the fences do. It keeps two attempts
from working on one sale at the same time, and remembers all attempts at a sale.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from lambda_fn.aws.batch_requests import (
    LOST_THE_CONDITION,
    Batches,
    Item,
    ItemKey,
    KeyedTable,
    StatementAnswer,
    refused,
    unreadable,
)
from lambda_fn.errors import OutOfTime
from lambda_fn.guard.items import (
    GuardItem,
    Status,
    claimed_item,
    completed_item,
    facts_attributes,
    guard_key,
    lease_until,
    read_item,
)
from lambda_fn.ports import AlreadyCompleted, Claimed, ClaimResult, Completion, HeldByAnother, NotClaimed
from lambda_fn.runtime.retry import Clock, Deadline, Retry
from lambda_fn.sale import Sale, SaleKey

CLAIM_SHARE: Final = 0.5
"""Share of the remaining time: what is claimed still has to be looked up, committed, put and completed."""
_REQUESTS_OF_A_ROUND: Final = 3
"""Insert, read back, take over."""

# BatchStatementErrorCodeEnum, Amazon DynamoDB API Reference. Any other code is a refusal that a retry cannot fix.
_TRY_AGAIN: Final = frozenset(
    {
        "InternalServerError",
        "NoAnswer",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ThrottlingError",
        "TransactionConflict",
    }
)

_INSERT_FIELDS: Final = (
    "pk",
    "sk",
    "tenantId",
    "eventType",
    "eventId",
    "status",
    "payloadHash",
    "factHashes",
    "owner",
    "leaseUntil",
    "baseSnapshotId",
    "attempts",
)


def guard_table(name: str) -> KeyedTable:
    """Return the guard table's name and keys."""
    return KeyedTable(name, partition_key="pk", sort_key="sk")


@dataclass(frozen=True)
class _Attempt:
    """What an attempt writes to each of its claims."""

    attempt_id: int
    pin: int
    lease_seconds: float
    now: float


class DynamoDBGuard:
    """The table of claims. ``claim_share`` is the share of the remaining time that a claim may take."""

    def __init__(self, batches: Batches, clock: Clock, retry: Retry, claim_share: float = CLAIM_SHARE) -> None:
        self._batches = batches
        self._clock = clock
        self._retry = retry
        self._claim_share = claim_share
        name = batches.table.name
        fields = ", ".join(f"'{field}': ?" for field in _INSERT_FIELDS)
        self._insert = f'INSERT INTO "{name}" VALUE {{{fields}}}'
        self._take_over = (
            f'UPDATE "{name}" SET "owner" = ? SET "leaseUntil" = ? SET "attempts" = ? SET "payloadHash" = ? '  # noqa: S608
            'SET "factHashes" = ? REMOVE "ttl" WHERE "pk" = ? AND "sk" = ? AND "status" = ? AND "owner" = ?'
        )
        self._replace_expired = (
            f'UPDATE "{name}" SET "status" = ? SET "payloadHash" = ? SET "factHashes" = ? SET "owner" = ? '  # noqa: S608
            'SET "leaseUntil" = ? SET "baseSnapshotId" = ? SET "attempts" = ? '
            'REMOVE "ttl" REMOVE "processedAt" REMOVE "snapshotId" '
            'WHERE "pk" = ? AND "sk" = ? AND "status" = ? AND "ttl" = ?'
        )

    def claim(
        self, sales: Sequence[Sale], attempt_id: int, pin: int, lease_seconds: float, deadline: Deadline
    ) -> Mapping[SaleKey, ClaimResult]:
        """Claim each sale for the attempt, and return the result of each.

        The claim takes at most a share of the remaining time, or the time of one round of requests if that is longer:
        sales that cannot be decided by then, because DynamoDB throttles, do not keep the others from landing.

        A claim whose answer was lost is found by reading it back. Raises StoreUnavailable if DynamoDB refuses; this
        attempt may then hold some claims until their lease ends.
        """
        deadline = self._share_of(deadline)
        results: dict[SaleKey, ClaimResult] = {}
        open_sales = {sale.key: sale for sale in sales}
        for _ in self._retry.tries(deadline, _REQUESTS_OF_A_ROUND * self._batches.request_seconds):
            attempt = _Attempt(attempt_id, pin, lease_seconds, self._clock.now())
            self._insert_claims(open_sales, attempt, results, deadline)
            try:
                items = self._batches.get([guard_key(key) for key in open_sales], deadline)
            except OutOfTime:
                break
            self._judge_items(open_sales, items, attempt, results, deadline)
            if not open_sales:
                return results
        results.update({key: NotClaimed("the guard could not be asked in time") for key in open_sales})
        return results

    def look(self, keys: Collection[SaleKey], deadline: Deadline) -> Mapping[SaleKey, ClaimResult]:
        """Return the state of the sales without changing it. The result omits sales without an item."""
        items = self._batches.get([guard_key(key) for key in keys], deadline)
        return {key: self._state(items[guard_key(key)]) for key in keys if guard_key(key) in items}

    def complete(self, completions: Sequence[Completion], deadline: Deadline) -> Collection[SaleKey]:
        """Mark sales as COMPLETED, and return those that are known to be.

        The writes are unconditional: a completed sale has its row and its item, whichever attempt completes it.
        """
        now = self._clock.now()
        items = [completed_item(completion, now) for completion in completions]
        stored = self._batches.put(items, deadline)
        return {completion.key for completion in completions if guard_key(completion.key) in stored}

    def _state(self, raw: Item) -> ClaimResult:
        item = self._read(raw)
        if isinstance(item, NotClaimed):
            return item
        if item.status is Status.COMPLETED:
            return AlreadyCompleted(item.facts)
        return HeldByAnother(item.facts, item.lease_until)

    def _read(self, raw: Item) -> GuardItem | NotClaimed:
        try:
            return read_item(raw)
        except (KeyError, ValueError):
            return NotClaimed(unreadable(self._batches.table, raw))

    def _share_of(self, deadline: Deadline) -> Deadline:
        left = deadline.remaining_seconds()
        # One request more than in a round: a round that only just fits no longer does once it starts.
        least = (_REQUESTS_OF_A_ROUND + 1) * self._batches.request_seconds
        return Deadline.after(deadline.clock, min(left, max(self._claim_share * left, least)))

    def _insert_claims(
        self,
        open_sales: dict[SaleKey, Sale],
        attempt: _Attempt,
        results: dict[SaleKey, ClaimResult],
        deadline: Deadline,
    ) -> None:
        statements = [(self._insert, _insert_parameters(sale, attempt)) for sale in open_sales.values()]
        for key, won in self._run(list(open_sales), statements, deadline):
            if won:
                results[key] = Claimed(open_sales.pop(key), base=attempt.pin)

    def _judge_items(
        self,
        open_sales: dict[SaleKey, Sale],
        items: Mapping[ItemKey, Item],
        attempt: _Attempt,
        results: dict[SaleKey, ClaimResult],
        deadline: Deadline,
    ) -> None:
        """Decide each sale whose item exists. Claim those that may be claimed, on condition of the item as read."""
        updates: dict[SaleKey, tuple[str, list[Item], Claimed]] = {}
        for key, sale in list(open_sales.items()):
            raw = items.get(guard_key(key))
            if raw is None:
                continue
            item = self._read(raw)
            if isinstance(item, NotClaimed):
                results[key] = item
            elif (verdict := _verdict(item, sale, attempt)) is not None:
                results[key] = verdict
            elif item.status is Status.COMPLETED:
                parameters = _replace_parameters(sale, item, attempt)
                updates[key] = (self._replace_expired, parameters, Claimed(sale, base=attempt.pin))
            else:
                claimed = Claimed(sale, base=item.base, earlier_attempts=item.attempts)
                updates[key] = (self._take_over, _take_over_parameters(sale, item, attempt), claimed)
            if key in results:
                del open_sales[key]
        statements = [(text, parameters) for text, parameters, _ in updates.values()]
        for key, won in self._run(list(updates), statements, deadline):
            if won:
                results[key] = updates[key][2]
                del open_sales[key]

    def _run(
        self, keys: Sequence[SaleKey], statements: Sequence[tuple[str, list[Item]]], deadline: Deadline
    ) -> Iterable[tuple[SaleKey, bool]]:
        """Run a statement for each key, and return for each whether it is known to have taken effect."""
        answers = self._batches.execute(statements, deadline)
        return [(key, self._won(answer)) for key, answer in zip(keys, answers, strict=True)]

    def _won(self, answer: StatementAnswer) -> bool:
        if answer.error is None:
            return True
        if answer.error in LOST_THE_CONDITION or answer.error in _TRY_AGAIN:
            return False
        raise refused(self._batches.table.name, "BatchExecuteStatement", f"{answer.error} {answer.message}")


def _verdict(item: GuardItem, sale: Sale, attempt: _Attempt) -> ClaimResult | None:
    """Decide a sale by its item alone. None means that it may be claimed, on condition of the item as read."""
    if item.status is Status.COMPLETED:
        # DynamoDB may delete expired items days late: the item's own expiry decides, not its existence.
        return AlreadyCompleted(item.facts) if item.ttl > attempt.now else None
    if item.owner == attempt.attempt_id:
        earlier = tuple(other for other in item.attempts if other != attempt.attempt_id)
        return Claimed(sale, base=item.base, earlier_attempts=earlier)
    # An attempt that was taken over while it waited is fenced. If it could own the sale again, "owner" alone would no
    # longer distinguish the item that was read from the stored one, and a take-over could lose an attempt's id.
    was_taken_over = attempt.attempt_id in item.attempts
    if was_taken_over or item.facts.conflicts_with(sale.facts) or item.lease_until > attempt.now:
        return HeldByAnother(item.facts, item.lease_until)
    return None


def _insert_parameters(sale: Sale, attempt: _Attempt) -> list[Item]:
    item = claimed_item(sale.key, sale.facts, attempt.attempt_id, attempt.pin, attempt.now, attempt.lease_seconds)
    return [item[field] for field in _INSERT_FIELDS]


def _take_over_parameters(sale: Sale, item: GuardItem, attempt: _Attempt) -> list[Item]:
    owner = {"N": str(attempt.attempt_id)}
    attempts = {"L": [*({"N": str(earlier)} for earlier in item.attempts), owner]}
    condition = [{"S": Status.IN_PROGRESS.value}, {"N": str(item.owner)}]
    lease = lease_until(attempt.now, attempt.lease_seconds)
    # The owner may know facts that the claim does not cover, or the claim may cover facts that the owner does not know.
    facts = facts_attributes(sale.facts.merged_with(item.facts))
    return [owner, lease, attempts, *facts.values(), *_key_parameters(sale), *condition]


def _replace_parameters(sale: Sale, item: GuardItem, attempt: _Attempt) -> list[Item]:
    new = claimed_item(sale.key, sale.facts, attempt.attempt_id, attempt.pin, attempt.now, attempt.lease_seconds)
    fields = ("status", "payloadHash", "factHashes", "owner", "leaseUntil", "baseSnapshotId", "attempts")
    condition = [{"S": Status.COMPLETED.value}, {"N": str(item.ttl)}]
    return [*(new[field] for field in fields), *_key_parameters(sale), *condition]


def _key_parameters(sale: Sale) -> list[Item]:
    partition, sort = guard_key(sale.key)
    return [{"S": partition}, {"S": sort}]
