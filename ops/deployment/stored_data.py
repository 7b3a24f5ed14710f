"""The stores of a stage, which outlive its stack: what they are called, and how one is deleted for good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from ops.target import Target

_NOT_THERE = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "NotFoundException", "QueueDoesNotExist", "ResourceNotFoundException"}
)


@dataclass(frozen=True)
class Store:
    """A store by its name; ``delete`` deletes it with everything in it."""

    name: str
    delete: Callable[[], None]


def of_stage(target: Target) -> list[Store]:
    """Return the stores of the target's stage that are there."""
    stage = target.stage
    tables, queues = target.client("dynamodb"), target.client("sqs")
    bucket = f"carousel-{stage}-analytics"
    buckets = target.client("s3tables").list_table_buckets(prefix=bucket)["tableBuckets"]
    stores = [
        Store(bucket, partial(_delete_table_bucket, target, found["arn"]))
        for found in buckets
        if found["name"] == bucket
    ]
    stores += [
        Store(table, partial(_delete_table, target, table))
        for table in (f"bg-remover-{stage}-sales-intelligence", f"pricing-idempotency-{stage}")
        if _asked(partial(tables.describe_table, TableName=table)) is not None
    ]
    stores += [
        Store(queue, partial(_delete_queue, target, answer["QueueUrl"]))
        for queue in (f"carousel-sync-{stage}", f"carousel-sync-dlq-{stage}")
        if (answer := _asked(partial(queues.get_queue_url, QueueName=queue))) is not None
    ]
    return stores


def _asked(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] in _NOT_THERE:
            return None
        raise


def _delete_table(target: Target, table: str) -> None:
    """DynamoDB itself refuses while deletion protection is on, as it is in prod: that is switched off by hand."""
    target.client("dynamodb").delete_table(TableName=table)


def _delete_queue(target: Target, url: str) -> None:
    target.client("sqs").delete_queue(QueueUrl=url)


def _delete_table_bucket(target: Target, arn: str) -> None:
    client = target.client("s3tables")
    for namespace in client.list_namespaces(tableBucketARN=arn)["namespaces"]:
        (name,) = namespace["namespace"]
        for table in client.list_tables(tableBucketARN=arn, namespace=name)["tables"]:
            client.delete_table(tableBucketARN=arn, namespace=name, name=table["name"])
        client.delete_namespace(tableBucketARN=arn, namespace=name)
    client.delete_table_bucket(tableBucketARN=arn)
