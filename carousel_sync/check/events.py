"""What the function would accept of the events in a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from carousel_sync.backfill.records import Record
from lambda_fn.ports import Rejection


@dataclass
class Checked:
    """The events of a file. ``unknown_fields`` counts the events that have each field beyond the contract."""

    events: int = 0
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    unknown_fields: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Return what was found for a JSON document."""
        rejected = [
            {"line": number, "reason": rejection.reason.value, "detail": rejection.detail}
            for number, rejection in self.rejected
        ]
        valid = self.events - len(self.rejected)
        return {
            "events": self.events,
            "valid": valid,
            "rejected": rejected,
            "unknown_fields": dict(self.unknown_fields.most_common()),
        }


def checked(records: Iterable[Record]) -> Checked:
    """Count the records, and collect the rejected ones with their numbers."""
    found = Checked()
    for record in records:
        found.events += 1
        found.unknown_fields.update(record.delivery.unknown_fields)
        if isinstance(record.delivery.content, Rejection):
            found.rejected.append((record.number, record.delivery.content))
    return found
