"""Single changes of look-up items and claims, each on condition that it is still as it was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.guard.items import GuardItem, Status
from lambda_fn.projection.item import ITEM_ATTRIBUTES

_ITEM_KEY: Final = ("PK", "SK")


class ConditionalWrites:
    """Changes to the projection and the guard. Each tells whether it took effect; a dry run says so of all of them.

    Raises botocore's ClientError for anything but a condition that does not hold.
    """

    def __init__(self, client: Any, projection: str, guard: str, *, dry_run: bool) -> None:
        self._client = client
        self._projection = projection
        self._guard = guard
        self._dry_run = dry_run

    def put_item(self, item: Item) -> bool:
        """Write a look-up item where there is none."""
        return self._try(
            self._client.put_item,
            TableName=self._projection,
            Item=item,
            ConditionExpression="attribute_not_exists(PK)",
        )

    def correct_item(self, read: Item, wanted: Item) -> bool:
        """Make an item's facts the wanted ones; attributes that the function does not write are left alone."""
        names, values = _Names(), _Values()
        changed = [name for name in sorted(wanted) if name not in _ITEM_KEY]
        removed = sorted((read.keys() & ITEM_ATTRIBUTES) - wanted.keys())
        condition = _as_read(read, names, values)
        update = "SET " + ", ".join(f"{names.of(name)} = {values.of(wanted[name])}" for name in changed)
        if removed:
            update += " REMOVE " + ", ".join(names.of(name) for name in removed)
        return self._try(
            self._client.update_item,
            TableName=self._projection,
            Key={name: read[name] for name in _ITEM_KEY},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames=names.given,
            ExpressionAttributeValues=values.given,
        )

    def remove_item(self, read: Item) -> bool:
        """Delete an item that is still as it was read."""
        names, values = _Names(), _Values()
        condition = _as_read(read, names, values)
        return self._try(
            self._client.delete_item,
            TableName=self._projection,
            Key={name: read[name] for name in _ITEM_KEY},
            ConditionExpression=condition,
            ExpressionAttributeNames=names.given,
            ExpressionAttributeValues=values.given,
        )

    def complete_claim(self, read: GuardItem, completed: Item) -> bool:
        """Replace an open claim that is still as it was read by its completion."""
        return self._try(self._client.put_item, TableName=self._guard, Item=completed, **_claim_as_read(read))

    def release_claim(self, key: ItemKey, read: GuardItem) -> bool:
        """Set the lease of an open claim to 0, if it is still as it was read; its attempts and base stay."""
        condition = _claim_as_read(read)
        condition["ExpressionAttributeValues"][":released"] = {"N": "0"}
        return self._try(
            self._client.update_item,
            TableName=self._guard,
            Key={"pk": {"S": key.partition}, "sk": {"S": key.sort}},
            UpdateExpression="SET leaseUntil = :released",
            **condition,
        )

    def _try(self, request: Callable[..., Any], **parameters: Any) -> bool:
        if self._dry_run:
            return True
        try:
            request(**parameters)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _claim_as_read(read: GuardItem) -> dict[str, Any]:
    """Return the condition on an open claim: whoever takes it over changes its owner and its lease."""
    return {
        "ConditionExpression": "#status = :open AND #owner = :owner AND leaseUntil = :lease AND payloadHash = :hash",
        "ExpressionAttributeNames": {"#status": "status", "#owner": "owner"},
        "ExpressionAttributeValues": {
            ":open": {"S": Status.IN_PROGRESS.value},
            ":owner": {"N": str(read.owner)},
            ":lease": {"N": f"{read.lease_until:.3f}"},
            ":hash": {"S": read.payload_hash},
        },
    }


class _Names:
    """Placeholders for attribute names."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def of(self, name: str) -> str:
        """Return the placeholder of a name."""
        self.given[f"#{name}"] = name
        return f"#{name}"


class _Values:
    """Placeholders for attribute values."""

    def __init__(self) -> None:
        self.given: dict[str, Item] = {}

    def of(self, value: Item) -> str:
        """Return a placeholder for a value."""
        placeholder = f":v{len(self.given)}"
        self.given[placeholder] = value
        return placeholder


def _as_read(read: Item, names: _Names, values: _Values) -> str:
    """Return the condition that everything that the function writes is still as it was read."""
    parts = [
        f"{names.of(name)} = {values.of(read[name])}" if name in read else f"attribute_not_exists({names.of(name)})"
        for name in sorted(ITEM_ATTRIBUTES - set(_ITEM_KEY))
    ]
    return " AND ".join(["attribute_exists(PK)", *parts])
