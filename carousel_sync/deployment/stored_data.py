"""The stores of a stage, which outlive its stack: their names, and how to delete them for good."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from carousel_sync.aws.target import Target

ARCHIVE: Final = "SaleArchive"
KEY: Final = "EncryptionKey"

_NAMESPACE: Final = "pricing_intelligence"
# AWS KMS API Reference, ScheduleKeyDeletion: 7 to 30 days, during which the deletion can be cancelled.
_KEY_WAITS_DAYS: Final = 30
_DELETED_STATES: Final = frozenset({"PendingDeletion", "PendingReplicaDeletion"})
_NOT_FOUND: Final = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "NotFoundException", "QueueDoesNotExist", "ResourceNotFoundException"}
)


@dataclass(frozen=True)
class Store:
    """A store; ``delete`` deletes it with everything in it.

    ``logical_id`` is its resource in template.yaml. A store ``within`` another store is deleted together with it.
    """

    name: str
    logical_id: str
    delete: Callable[[], None]
    within: str | None = None


def names_of(stores: Iterable[Store]) -> str:
    """Return the names of stores as a list for people."""
    return ", ".join(store.name for store in stores) or "none"


def of_stage(target: Target) -> list[Store]:
    """Return the existing stores of the target's stage, in an order in which they can be deleted.

    They are the resources that template.yaml retains. Key and archive are named as in their ARN (``key/ID``,
    ``archive/NAME``), because the buffer queue has the same name as the archive.
    """
    return [*named_stores(target), *_keys(target)]


def named_stores(target: Target) -> list[Store]:
    """Return the existing stores with a name from template.yaml, which no second resource can have."""
    return [*_table_bucket(target), *_tables_and_queues(target), *_archive(target)]


def _table_bucket(target: Target) -> Iterator[Store]:
    client = target.client("s3tables")
    bucket = f"carousel-{target.stage}-analytics"
    for found in client.list_table_buckets(prefix=bucket)["tableBuckets"]:
        if found["name"] != bucket:
            continue
        if _described(client.get_namespace, tableBucketARN=found["arn"], namespace=_NAMESPACE):
            delete = partial(_delete_namespace, client, found["arn"], _NAMESPACE)
            yield Store(f"{bucket}/{_NAMESPACE}", "Namespace", delete, within=bucket)
        yield Store(bucket, "TableBucket", partial(_delete_table_bucket, client, found["arn"]))


def _tables_and_queues(target: Target) -> Iterator[Store]:
    stage, dynamodb, sqs = target.stage, target.client("dynamodb"), target.client("sqs")
    tables = {f"bg-remover-{stage}-sales-intelligence": "ProjectionTable", f"pricing-idempotency-{stage}": "GuardTable"}
    for table, logical_id in tables.items():
        if _described(dynamodb.describe_table, TableName=table):
            # DynamoDB refuses while deletion protection is on, as in prod; it has to be switched off by hand.
            yield Store(table, logical_id, partial(dynamodb.delete_table, TableName=table))
    queues = {f"carousel-sync-{stage}": "BufferQueue", f"carousel-sync-dlq-{stage}": "DeadLetterQueue"}
    for queue, logical_id in queues.items():
        if answer := _described(sqs.get_queue_url, QueueName=queue):
            yield Store(queue, logical_id, partial(sqs.delete_queue, QueueUrl=answer["QueueUrl"]))


def _archive(target: Target) -> Iterator[Store]:
    client = target.client("events")
    archive = f"carousel-sync-{target.stage}"
    if _described(client.describe_archive, ArchiveName=archive):
        yield Store(f"archive/{archive}", ARCHIVE, partial(client.delete_archive, ArchiveName=archive))


def _keys(target: Target) -> Iterator[Store]:
    """Find the stage's keys by the description that template.yaml gives them, because a key has no name."""
    client = target.client("kms")
    description = f"Tables, queues and log of the carousel sales sync, stage {target.stage}"
    for page in client.get_paginator("list_keys").paginate():
        for key_id in (listed["KeyId"] for listed in page["Keys"]):
            # A key whose policy denies access is not the stage's, which is administered through IAM.
            answer = _described(client.describe_key, missing={"AccessDeniedException"}, KeyId=key_id)
            key = answer.get("KeyMetadata", {})
            if key.get("Description") == description and key["KeyState"] not in _DELETED_STATES:
                delete = partial(client.schedule_key_deletion, KeyId=key_id, PendingWindowInDays=_KEY_WAITS_DAYS)
                yield Store(f"key/{key_id}", KEY, delete)


def _described(describe: Callable[..., Any], missing: Set[str] = _NOT_FOUND, **parameters: str) -> dict[str, Any]:
    """Return the answer to a request, or an empty one if it fails with one of the given codes."""
    try:
        answer: dict[str, Any] = describe(**parameters)
    except ClientError as error:
        if error.response["Error"]["Code"] in missing:
            return {}
        raise
    return answer


def _delete_table_bucket(client: Any, arn: str) -> None:
    for namespace in client.list_namespaces(tableBucketARN=arn)["namespaces"]:
        (name,) = namespace["namespace"]
        _delete_namespace(client, arn, name)
    client.delete_table_bucket(tableBucketARN=arn)


def _delete_namespace(client: Any, arn: str, name: str) -> None:
    for table in client.list_tables(tableBucketARN=arn, namespace=name)["tables"]:
        client.delete_table(tableBucketARN=arn, namespace=name, name=table["name"])
    client.delete_namespace(tableBucketARN=arn, namespace=name)
