"""The commit queue's items. A table's partition in the guard table holds one lease and any number of entries.

An entry is useless after a few minutes and a lease after a few seconds, so every item has a ``ttl``.
"""

from __future__ import annotations

from typing import Final

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry

LEASE: Final = "LEASE"
ENTRY_PREFIX: Final = "ENTRY#"
PARTITION_PREFIX: Final = "COMMIT_QUEUE#"
TTL_SECONDS: Final = 6 * 3600


def queue_partition(identifier: tuple[str, str]) -> str:
    """Return the partition key of a table's commit queue."""
    return PARTITION_PREFIX + ".".join(identifier)


def entry_key(partition: str, attempt_id: int) -> ItemKey:
    """Return the key of an attempt's entry."""
    return ItemKey(partition, f"{ENTRY_PREFIX}{attempt_id}")


def entry_item(partition: str, entry: QueueEntry) -> Item:
    """Return an entry in DynamoDB's notation."""
    key = entry_key(partition, entry.attempt_id)
    return {
        "pk": {"S": key.partition},
        "sk": {"S": key.sort},
        "attempt": _number(entry.attempt_id),
        "judged": _number(entry.judged),
        "fenced": {"L": [_number(attempt) for attempt in sorted(entry.fenced)]},
        "manifest": {"S": entry.manifest},
        "enlistedAt": _number(entry.enlisted_at),
        "lookedUp": {"BOOL": entry.looked_up},
        "ttl": _number(int(entry.enlisted_at) + TTL_SECONDS),
    }


def read_entry(item: Item) -> QueueEntry | None:
    """Parse an entry. Returns None if something else has changed it."""
    try:
        return QueueEntry(
            attempt_id=int(item["attempt"]["N"]),
            judged=int(item["judged"]["N"]),
            fenced=frozenset(int(attempt["N"]) for attempt in item["fenced"]["L"]),
            manifest=item["manifest"]["S"],
            enlisted_at=float(item["enlistedAt"]["N"]),
            # An entry of an earlier version of the code has no such attribute.
            looked_up=item.get("lookedUp", {"BOOL": True})["BOOL"],
        )
    except (KeyError, ValueError):
        return None


def lease_attributes(lease: Lease, now: float) -> Item:
    """Return the attributes of a lease, without its key, in DynamoDB's notation."""
    groups: dict[int, list[Item]] = {}
    for attempt, snapshot in lease.landed.items():
        groups.setdefault(snapshot, []).append(_number(attempt))
    return {
        "version": _number(lease.number),
        "owner": _number(lease.owner),
        "since": _number(lease.since),
        "leaseUntil": _number(lease.until),
        "roundSeconds": _number(lease.round_seconds),
        "landed": {"L": [{"L": [_number(snapshot), *attempts]} for snapshot, attempts in groups.items()]},
        "ttl": _number(int(now) + TTL_SECONDS),
    }


def read_lease(item: Item) -> Lease | None:
    """Parse a lease. Returns None if something else has changed it."""
    try:
        groups = [[int(number["N"]) for number in group["L"]] for group in item["landed"]["L"]]
        lease = Lease(
            number=int(item["version"]["N"]),
            owner=int(item["owner"]["N"]),
            since=float(item["since"]["N"]),
            until=float(item["leaseUntil"]["N"]),
            round_seconds=float(item["roundSeconds"]["N"]),
            landed={attempt: snapshot for snapshot, *attempts in groups for attempt in attempts},
        )
    except (KeyError, ValueError):
        return None
    return lease if lease.number > 0 else None


def _number(value: float) -> Item:
    return {"N": str(round(value, 3))}
