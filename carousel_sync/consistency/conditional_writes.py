"""Conditional changes of single look-up items and claims: each applies only while the item is still as it was read."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from operator import and_
from typing import Any, Final

from boto3.dynamodb.conditions import Attr, ConditionBase

from carousel_sync.aws.conditions import condition_parameters
from lambda_fn.aws.batch_requests import Item, ItemKey
from lambda_fn.guard.items import GuardItem, Status
from lambda_fn.projection.item import ITEM_ATTRIBUTES

_KEY: Final = frozenset({"PK", "SK"})
_CONDITION: Final = "ConditionExpression"


class ConditionalWrites:
    """Changes to the projection and the guard. Each method returns whether the change was made.

    In a dry run nothing is sent, and every method returns True. Raises botocore's ClientError for any failure other
    than a condition that does not hold.
    """

    def __init__(self, client: Any, projection: str, guard: str, *, dry_run: bool) -> None:
        self._client = client
        self._projection = projection
        self._guard = guard
        self._dry_run = dry_run

    def put_item(self, item: Item) -> bool:
        """Write a look-up item that does not exist."""
        missing = condition_parameters(_CONDITION, Attr("PK").not_exists())
        return self._try(self._client.put_item, TableName=self._projection, Item=item, **missing)

    def correct_item(self, read: Item, wanted: Item) -> bool:
        """Set an item's facts to the wanted ones. Attributes that the function does not write are left alone."""
        changed = sorted(wanted.keys() - _KEY)
        removed = sorted((read.keys() & ITEM_ATTRIBUTES) - wanted.keys())
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
        if removed:
            update += " REMOVE " + ", ".join(f"#{name}" for name in removed)
        return self._try(
            self._client.update_item,
            TableName=self._projection,
            Key={name: read[name] for name in _KEY},
            UpdateExpression=update,
            **condition_parameters(
                _CONDITION,
                _item_unchanged(read),
                {f"#{name}": name for name in (*changed, *removed)},
                {f":{name}": wanted[name] for name in changed},
            ),
        )

    def delete_item(self, read: Item) -> bool:
        """Delete a look-up item."""
        key = {name: read[name] for name in _KEY}
        unchanged = condition_parameters(_CONDITION, _item_unchanged(read))
        return self._try(self._client.delete_item, TableName=self._projection, Key=key, **unchanged)

    def complete_claim(self, read: GuardItem, completed: Item) -> bool:
        """Replace an open claim with its completion."""
        unchanged = condition_parameters(_CONDITION, _claim_unchanged(read))
        return self._try(self._client.put_item, TableName=self._guard, Item=completed, **unchanged)

    def release_claim(self, key: ItemKey, read: GuardItem) -> bool:
        """Set the lease of an open claim to 0. Its attempts and its base stay, and it does not expire."""
        return self._try(
            self._client.update_item,
            TableName=self._guard,
            Key={"pk": {"S": key.partition}, "sk": {"S": key.sort}},
            UpdateExpression="SET leaseUntil = :released REMOVE #ttl",
            **condition_parameters(_CONDITION, _claim_unchanged(read), {"#ttl": "ttl"}, {":released": {"N": "0"}}),
        )

    def _try(self, request: Callable[..., Any], **parameters: Any) -> bool:
        if self._dry_run:
            return True
        try:
            request(**parameters)
        except self._client.exceptions.ConditionalCheckFailedException:
            return False
        return True


def _claim_unchanged(read: GuardItem) -> ConditionBase:
    """Return the condition that an open claim was not taken over: that would change its owner and its lease."""
    return (
        Attr("status").eq({"S": Status.IN_PROGRESS.value})
        & Attr("owner").eq({"N": str(read.owner)})
        & Attr("leaseUntil").eq({"N": f"{read.lease_until:.3f}"})
        & Attr("payloadHash").eq({"S": read.facts.payload_hash})
    )


def _item_unchanged(read: Item) -> ConditionBase:
    """Return the condition that all attributes that the function writes have the values that were read."""
    names = sorted(ITEM_ATTRIBUTES - _KEY)
    attributes = (Attr(name).eq(read[name]) if name in read else Attr(name).not_exists() for name in names)
    return reduce(and_, attributes, Attr("PK").exists())
