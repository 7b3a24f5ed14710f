"""What sharing commits costs and how long it takes, as docs/performance.md explains under "Direct delivery".

The sizes are measured with the function's own code. How often an attempt looks at the lease, and how long it waits, was
measured in a simulation of the commit queue with that code: in Lambda, the metrics GroupSize and CommitMilliseconds are
more accurate.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from carousel_sync.planning.bytes_per_sale import WRITE_UNIT_BYTES
from lambda_fn.commit_queue.items import LEASE, entry_item, lease_attributes, queue_partition
from lambda_fn.iceberg.group_commit.commit_queue import MAX_LANDED, Lease, QueueEntry
from lambda_fn.iceberg.group_commit.group import MAX_MEMBERS
from lambda_fn.projection.item import item_size_bytes

LARGEST_GROUP: Final = MAX_MEMBERS + 1
"""The leader and its members."""
ROUND_MILLISECONDS: Final = 350.0
"""An estimate of a leader's round: a commit of 175 ms (5.7 a second from one warm writer), and as long again to read
the queue and the head, and to gather members."""

# Measured with `python -m tests.scale.waiting_attempts`, at 5 to 100 attempts a second and commits of 100 and 300 ms:
# 0.9 to 1.1 entries, 3.5 to 6.7 looks; of the tries to take the lease, 1 succeeded in each group and 0.2 to 2.8 were
# refused; half of the attempts waited 1.4 to 1.6 rounds at most, and 95 in 100 waited 2.1 to 2.3.
LOOKS_PER_ATTEMPT: Final = 5.0
REFUSED_TAKES_PER_GROUP: Final = 3.0
MEDIAN_ROUNDS: Final = 1.5
P95_ROUNDS: Final = 2.2
LEASE_CHANGES_PER_GROUP: Final = 2.0
"""A leader takes the lease and frees it."""

READ_UNIT_BYTES: Final = 4096
"""Amazon DynamoDB Developer Guide, "DynamoDB read and write operations": a strongly consistent read of up to 4 KB."""
# BatchWriteItem takes 25 items (Amazon DynamoDB API Reference).
_DELETES_OF_A_REQUEST: Final = 25
LISTED_ATTEMPT_BYTES: Final = 20
"""An attempt's id in a snapshot's summary: up to 19 digits and a comma."""

_ID: Final = 2**63 - 1
_TABLE: Final = ("pricing_intelligence", "sales_history")
_MANIFEST_BYTES: Final = 420
"""The manifest of one data file as text, with bounds of a year, a month and a tenant of 20 characters."""


def entry_bytes() -> int:
    """Return the size of an attempt's entry in the commit queue."""
    entry = QueueEntry(_ID, _ID, frozenset(), "m" * _MANIFEST_BYTES, 1_767_052_800.123)
    return item_size_bytes(entry_item(queue_partition(_TABLE), entry))


def lease_bytes(group_size: float) -> int:
    """Return the size of the lease. It names the last attempts that have landed, each group with its snapshot."""
    named = max(MAX_LANDED, int(group_size))
    landed = {_ID - number: _ID - number // int(group_size) for number in range(named)}
    lease = Lease(10**6, _ID, 1_767_052_800.123, 1_767_052_803.123, 0.35, landed)
    attributes = lease_attributes(lease, 1_767_052_800.0)
    return item_size_bytes({"pk": {"S": queue_partition(_TABLE)}, "sk": {"S": LEASE}, **attributes})


def write_units_per_attempt(group_size: float) -> float:
    """Return the write units of the commit queue: an entry is put and deleted, a group's share of the lease is added.

    An update that is refused costs as much as one that is made.
    """
    if group_size <= 1:
        return 0.0
    lease = (LEASE_CHANGES_PER_GROUP + REFUSED_TAKES_PER_GROUP) * ceil(lease_bytes(group_size) / WRITE_UNIT_BYTES)
    return 2 * ceil(entry_bytes() / WRITE_UNIT_BYTES) + lease / group_size


def read_units_per_attempt(group_size: float) -> float:
    """Return the read units of the commit queue: looks at the lease, and a group's share of reading the entries."""
    if group_size <= 1:
        return 0.0
    entries = ceil(group_size * entry_bytes() / READ_UNIT_BYTES)
    return LOOKS_PER_ATTEMPT * ceil(lease_bytes(group_size) / READ_UNIT_BYTES) + entries / group_size


def requests_per_attempt(group_size: float) -> float:
    """Return the requests to the commit queue: one entry, the looks, and a group's share of its leader's requests."""
    if group_size <= 1:
        return 0.0
    deletes = ceil(group_size / _DELETES_OF_A_REQUEST)
    of_the_leader = LEASE_CHANGES_PER_GROUP + REFUSED_TAKES_PER_GROUP + 1 + deletes
    return 1 + LOOKS_PER_ATTEMPT + of_the_leader / group_size


def group_size(attempts_per_second: float, round_milliseconds: float) -> float:
    """Return how many attempts a commit lands: those that arrive in a round, at least one, and at most a full group."""
    return min(float(LARGEST_GROUP), max(1.0, attempts_per_second * round_milliseconds / 1000))


def waiting_milliseconds(attempts_per_second: float, round_milliseconds: float, rounds: float) -> float:
    """Return how long an attempt waits for its commit: one round alone, and up to ``rounds`` once rounds overlap."""
    overlap = min(1.0, attempts_per_second * round_milliseconds / 1000)
    return round_milliseconds * (1 + (rounds - 1) * overlap)
