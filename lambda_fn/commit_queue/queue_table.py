"""The commit queue in the guard table. Enlisting, reading the queue, and each change of the lease are one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from lambda_fn.aws.batch_requests import LOST_THE_CONDITION, Batches, Item, ItemKey
from lambda_fn.commit_queue.items import (
    ENTRY_PREFIX,
    LEASE,
    entry_item,
    entry_key,
    lease_attributes,
    queue_partition,
    read_entry,
    read_lease,
)
from lambda_fn.errors import OutOfTime, StoreUnavailable
from lambda_fn.iceberg.group_commit.commit_queue import Lease, QueueEntry, Round
from lambda_fn.runtime.parallel import Parallel
from lambda_fn.runtime.retry import Clock, Deadline

MAX_LANDED: Final = 200
"""How many attempts a lease names as landed. Later than that, an attempt finds itself in the table's history."""


class DynamoDBCommitQueue:
    """The commit queue of one Iceberg table, in a partition of the guard table."""

    def __init__(self, batches: Batches, identifier: tuple[str, str], clock: Clock, parallel: Parallel) -> None:
        self._batches = batches
        self._clock = clock
        self._parallel = parallel
        self._partition = queue_partition(identifier)
        names = list(lease_attributes(Lease(), 0.0))
        table, fields = batches.table.name, ["pk", "sk", *names]
        self._insert = f'INSERT INTO "{table}" VALUE {{' + ", ".join(f"'{name}': ?" for name in fields) + "}"
        assignments = "".join(f' SET "{name}" = ?' for name in names)
        self._update = f'UPDATE "{table}"{assignments} WHERE "pk" = ? AND "sk" = ? AND "version" = ?'

    def enlist(self, entry: QueueEntry, deadline: Deadline) -> None:
        """Add an entry. It replaces an earlier one of the same attempt. Raises StoreUnavailable."""
        if not self._batches.put([entry_item(self._partition, entry)], deadline):
            raise OutOfTime("The attempt could not be added to the commit queue in time; its sales stay in the queue.")

    def entries(self, deadline: Deadline) -> Sequence[QueueEntry]:
        """Return the entries, as many as fit into one answer. Raises StoreUnavailable."""
        items = self._batches.query(self._partition, ENTRY_PREFIX, deadline)
        return [entry for item in items if (entry := read_entry(item)) is not None]

    def lease(self, deadline: Deadline) -> Lease:
        """Return the lease as it is now. Raises StoreUnavailable.

        Deletes an item that something else has changed: nobody could take the lease while it is there.
        """
        key = ItemKey(self._partition, LEASE)
        item = self._batches.get([key], deadline).get(key)
        if item is None:
            return Lease()
        lease = read_lease(item)
        if lease is None:
            self._batches.delete([key], deadline)
        return lease or Lease()

    def take(self, lease: Lease, attempt_id: int, seconds: float, deadline: Deadline) -> Lease | None:
        """Take the lease for this long, if it has not changed since it was read. Returns None if it has.

        Raises StoreUnavailable. The lease may be taken then.
        """
        now = self._clock.now()
        taken = replace(lease, number=lease.number + 1, owner=attempt_id, since=now, until=now + seconds)
        return taken if self._change(lease, taken, deadline) else None

    def finish(self, lease: Lease, found: Round, deadline: Deadline) -> None:
        """Free one's own lease, tell the others what was found, and remove the entries that are settled.

        Does not change a lease that another attempt has taken since. Raises StoreUnavailable. Entries that are not
        removed in a few seconds stay: the next leader finds them settled, too.
        """
        seconds = min(deadline.remaining_seconds(), 2 * self._batches.request_seconds)
        deadline = Deadline.after(self._clock, seconds)
        landed = dict(lease.landed) | dict(found.landed)
        freed = replace(
            lease,
            number=lease.number + 1,
            until=0.0,
            round_seconds=lease.round_seconds if found.seconds is None else found.seconds,
            landed=dict(islice(landed.items(), max(0, len(landed) - MAX_LANDED), None)),
        )

        def remove_settled() -> None:
            self._batches.delete([entry_key(self._partition, attempt) for attempt in found.settled], deadline)

        self._parallel.both(lambda: self._change(lease, freed, deadline), remove_settled)

    def _change(self, lease: Lease, new: Lease, deadline: Deadline) -> bool:
        """Write the lease on condition that it is still as it was read. Return whether it was.

        Raises StoreUnavailable if the answer does not say. The lease may be written then.
        """
        values = list(lease_attributes(new, self._clock.now()).values())
        key: list[Item] = [{"S": self._partition}, {"S": LEASE}]
        if lease.number == 0:
            statement = (self._insert, [*key, *values])
        else:
            statement = (self._update, [*values, *key, {"N": str(lease.number)}])
        (answer,) = self._batches.execute([statement], deadline)
        if answer.error not in (None, *LOST_THE_CONDITION):
            raise StoreUnavailable(
                f"The lease of the commit queue could not be changed: {answer.error} {answer.message}"
            )
        return answer.error is None
