"""The guard's items: one per sale, either IN_PROGRESS with an owner and a lease, or COMPLETED."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.ports import Completion
from lambda_fn.sale import EVENT_TYPE, FactsDigest, SaleKey

SORT_KEY: Final = "VERSION"

COMPLETED_TTL_SECONDS: Final = 24 * 3600


class Status(StrEnum):
    """The state of a sale."""

    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"


@dataclass(frozen=True)
class GuardItem:
    """An item as it was read. ``ttl`` belongs to a completion, and is 0 in a claim, which never expires.

    The last four fields belong to a claim, and are empty once the sale is COMPLETED.
    """

    status: Status
    facts: FactsDigest
    ttl: int
    owner: int
    lease_until: float
    base: int
    attempts: tuple[int, ...]


def guard_key(key: SaleKey) -> ItemKey:
    """Return the key of a sale's item."""
    return ItemKey(f"IDEMPOTENCY#{key.tenant_id}#{EVENT_TYPE}#{key.sale_id}", SORT_KEY)


def read_item(item: Item) -> GuardItem:
    """Parse an item in DynamoDB's notation. Raises KeyError or ValueError if something else has changed it."""
    status = Status(item["status"]["S"])
    groups = {name: digest["S"] for name, digest in item.get("factHashes", {"M": {}})["M"].items()}
    return GuardItem(
        status=status,
        facts=FactsDigest(item["payloadHash"]["S"], groups),
        ttl=int(item["ttl"]["N"]) if status is Status.COMPLETED else 0,
        owner=int(item.get("owner", {"N": "0"})["N"]),
        lease_until=float(item.get("leaseUntil", {"N": "0"})["N"]),
        base=int(item.get("baseSnapshotId", {"N": "0"})["N"]),
        attempts=tuple(int(attempt["N"]) for attempt in item.get("attempts", {"L": []})["L"]),
    )


def completed_item(completion: Completion, now: float) -> Item:
    """Return the item of a sale that has its row and its projection item."""
    item: Item = {
        **_identity(completion.key),
        "status": {"S": Status.COMPLETED.value},
        **facts_attributes(completion.facts),
        "processedAt": {"S": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")},
        "ttl": {"N": str(int(now) + COMPLETED_TTL_SECONDS)},
    }
    if completion.snapshot_id is not None:
        item["snapshotId"] = {"N": str(completion.snapshot_id)}
    return item


def claimed_item(key: SaleKey, facts: FactsDigest, attempt_id: int, pin: int, now: float, lease_seconds: float) -> Item:
    """Return the item of a sale's first attempt.

    It has no ``ttl``: if a claim could expire, a repeat of a sale whose writer died between the commit and the
    projection item would find no trace of the sale, and land it again.
    """
    return {
        **_identity(key),
        "status": {"S": Status.IN_PROGRESS.value},
        **facts_attributes(facts),
        "owner": {"N": str(attempt_id)},
        "leaseUntil": lease_until(now, lease_seconds),
        "baseSnapshotId": {"N": str(pin)},
        "attempts": {"L": [{"N": str(attempt_id)}]},
    }


def facts_attributes(facts: FactsDigest) -> Item:
    """Return the digest of a sale's facts as attributes."""
    groups = {name: {"S": digest} for name, digest in facts.groups.items()}
    return {"payloadHash": {"S": facts.payload_hash}, "factHashes": {"M": groups}}


def lease_until(now: float, lease_seconds: float) -> Item:
    """Return the end of a lease as an attribute, in epoch seconds with milliseconds."""
    return {"N": f"{now + lease_seconds:.3f}"}


def _identity(key: SaleKey) -> Item:
    partition, sort = guard_key(key)
    return {
        "pk": {"S": partition},
        "sk": {"S": sort},
        "tenantId": {"S": key.tenant_id},
        "eventType": {"S": EVENT_TYPE},
        "eventId": {"S": key.sale_id},
    }
