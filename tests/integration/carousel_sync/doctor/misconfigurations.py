"""Misconfigurations of a deployed stage, and the findings that the doctor has to report for them."""

from __future__ import annotations

import json
from typing import NamedTuple

from carousel_sync.doctor.finding import Status
from lambda_fn.iceberg.group_commit.group import MAX_MEMBERS
from schemas.evolution.migration import load_migrations
from tests.integration.carousel_sync.doctor.stage_changes import (
    MakeChange,
    alarm_deleted,
    alarm_goes_off,
    attempts_waiting,
    column_renamed,
    dead_letter,
    function,
    maintenance,
    mapping,
    newest,
    no_recovery,
    no_ttl,
    own_key,
    pattern,
    queue,
    rule_disabled,
    rule_target,
    table_property,
    table_renamed,
    throttled,
    variable,
)


class Misconfiguration(NamedTuple):
    """A change, the check that has to report it with parts of its finding, and other checks that it may affect."""

    change: MakeChange
    check: str
    seen: str
    remedy: str
    also: frozenset[str] = frozenset()
    status: Status = Status.FAILURE


POLICY = json.dumps({"Version": "2012-10-17", "Statement": []})
# Without its settings, the function's table is unknown.
WITHOUT_SETTINGS = frozenset(
    {
        "look-up of every sale",
        "group commit",
        "table bucket",
        "namespace",
        "Iceberg table",
        "maintenance",
        "table metadata",
        "last commit",
    }
)
ELSEWHERE = "arn:aws:s3tables:eu-west-1:000000000000:bucket/somewhere-else"

MISCONFIGURATIONS: dict[str, Misconfiguration] = {
    "the rule is disabled": Misconfiguration(rule_disabled, "event rule", "DISABLED", "aws events enable-rule"),
    "the rule's pattern misses sales": Misconfiguration(
        pattern("carousel.product.SOLD"),
        "event rule",
        "does not match a sale",
        "Deploy",
    ),
    "the rule's pattern matches too much": Misconfiguration(
        pattern(""), "event rule", "also matches events that are not sales", "Deploy"
    ),
    "the rule's target is another queue": Misconfiguration(
        rule_target(Arn="arn:aws:sqs:eu-west-1:000000000000:another"),
        "rule target",
        "sales are not delivered",
        "Deploy",
    ),
    "the target has no dead-letter queue": Misconfiguration(
        rule_target(DeadLetterConfig=None),
        "rule target",
        "does not keep undeliverable events",
        "Deploy",
    ),
    "the rule may not send to the buffer queue": Misconfiguration(
        queue("buffer_queue", Policy=POLICY),
        "buffer queue",
        "does not allow rule",
        "Deploy",
    ),
    "the buffer queue has no redrive policy": Misconfiguration(
        queue("buffer_queue", RedrivePolicy=""),
        "buffer queue",
        "no redrive policy",
        "Deploy",
    ),
    "messages are delivered again while they are processed": Misconfiguration(
        queue("buffer_queue", VisibilityTimeout="60"),
        "buffer queue",
        "60 s, which is less than 365 s",
        "Deploy",
    ),
    "the rule may not send to the dead-letter queue": Misconfiguration(
        queue("dead_letter_queue", Policy=POLICY),
        "dead-letter queue",
        "does not allow rule",
        "Deploy",
    ),
    "dead letters are deleted early": Misconfiguration(
        queue("dead_letter_queue", MessageRetentionPeriod="86400"),
        "dead-letter queue",
        "1.0 days instead of 14",
        "Deploy",
    ),
    "the queue's key is disabled": Misconfiguration(
        own_key(enabled=False, services=["events.amazonaws.com"]),
        "encryption",
        "is Disabled",
        "aws kms enable-key --key-id",
    ),
    "the queue's key does not allow the event bus": Misconfiguration(
        own_key(enabled=True, services=["sns.amazonaws.com"]),
        "encryption",
        "does not allow the event bus kms:GenerateDataKey and kms:Decrypt",
        "Deploy",
    ),
    "the queue's key is managed by AWS": Misconfiguration(
        queue("dead_letter_queue", KmsMasterKeyId="alias/aws/sqs"),
        "encryption",
        "the event bus may not use",
        "Deploy",
    ),
    "the mapping is disabled": Misconfiguration(
        mapping(Enabled=False),
        "queue to function",
        "sales wait in the queue",
        "aws lambda update-event-source-mapping --uuid",
    ),
    "the mapping ignores partial failures": Misconfiguration(
        mapping(FunctionResponseTypes=[]),
        "queue to function",
        "failed sales would be lost",
        "Deploy",
    ),
    "the function's time-out was changed": Misconfiguration(
        function(Timeout=3),
        "function",
        "Timeout is 3, the template says 60",
        "Deploy",
    ),
    "the function's memory was changed": Misconfiguration(
        function(MemorySize=256),
        "function",
        "MemorySize is 256, the template says '512'",
        "Deploy",
    ),
    "the function was changed but not published": Misconfiguration(
        newest(Timeout=30),
        "function",
        "is not the newest code or configuration",
        "Deploy",
        status=Status.WARNING,
    ),
    "the function is throttled by hand": Misconfiguration(
        throttled,
        "function",
        "its concurrency is limited to 0",
        "Somebody changed it by hand",
    ),
    "a variable is missing": Misconfiguration(
        variable("GUARD_TABLE", None),
        "environment",
        "GUARD_TABLE is missing",
        "Deploy",
        WITHOUT_SETTINGS,
    ),
    "a variable names another table": Misconfiguration(
        variable("PROJECTION_TABLE", "another"),
        "environment",
        "PROJECTION_TABLE is 'another'",
        "Deploy",
    ),
    "the mode of group commit is unknown": Misconfiguration(
        variable("GROUP_COMMIT", "sometimes"),
        "environment",
        "has to be one of: adaptive, always, off",
        "Deploy",
        WITHOUT_SETTINGS,
    ),
    "more attempts wait than one commit lands": Misconfiguration(
        attempts_waiting(MAX_MEMBERS + 1),
        "group commit",
        "attempts that wait for a commit: 201",
        "docs/runbook.md, Commit queue grows",
        status=Status.WARNING,
    ),
    "the guard table has no TTL": Misconfiguration(
        no_ttl("guard_table"),
        "guard table",
        "its items never expire",
        "aws dynamodb update-time-to-live --table-name pricing-idempotency-dev",
    ),
    "the projection table has no TTL": Misconfiguration(
        no_ttl("projection_table"),
        "projection table",
        "its items never expire",
        "aws dynamodb update-time-to-live",
    ),
    "point-in-time recovery is off": Misconfiguration(
        no_recovery, "projection recovery", "DISABLED", "aws dynamodb update-continuous-backups", status=Status.WARNING
    ),
    "the function writes to another bucket": Misconfiguration(
        variable("TABLE_BUCKET_ARN", ELSEWHERE),
        "table bucket",
        "instead of",
        "Deploy",
        frozenset({"Iceberg table", "maintenance", "table metadata", "last commit"}),
    ),
    "the Iceberg table is missing": Misconfiguration(
        table_renamed,
        "Iceberg table",
        "sales_history",
        "carousel-sync evolve apply --stage dev",
        frozenset({"maintenance", "table metadata", "last commit"}),
    ),
    "the schema is older than the code": Misconfiguration(
        table_property("carousel.schema-version", "1"),
        "Iceberg table",
        f"has version 1, the code needs {len(load_migrations())}; pending: add the column currency (string, id 25)",
        "carousel-sync evolve apply --stage dev",
    ),
    "a column was renamed by hand": Misconfiguration(
        column_renamed,
        "Iceberg table",
        "field id 5 is 'label: required string' instead of 'brand: required string'",
        "Do not drop it",
    ),
    "the recorded schema version is malformed": Misconfiguration(
        table_property("carousel.schema-version", "two"),
        "Iceberg table",
        "do not have values that evolve apply writes (the first is two)",
        "carousel-sync evolve apply --stage dev",
    ),
    "compaction is off": Misconfiguration(
        maintenance("icebergCompaction", {"status": "disabled"}),
        "maintenance",
        "small files pile up",
        "carousel-sync evolve apply --stage dev",
    ),
    "snapshot management is off": Misconfiguration(
        maintenance("icebergSnapshotManagement", {"status": "disabled"}),
        "maintenance",
        "the metadata keeps growing",
        "carousel-sync evolve apply --stage dev",
    ),
    "snapshots are kept as long as S3 Tables does by default": Misconfiguration(
        maintenance("icebergSnapshotManagement", {"status": "enabled"}),
        "maintenance",
        "snapshots are kept for 120 h",
        "Set it: carousel-sync evolve apply --stage dev",
        status=Status.WARNING,
    ),
    "a property disables snapshot management": Misconfiguration(
        table_property("history.expire.max-snapshot-age-ms", "1"),
        "maintenance",
        "switches off the snapshot management",
        "UNSET TBLPROPERTIES",
    ),
    "there is a dead letter": Misconfiguration(
        dead_letter,
        "dead letters",
        "events in carousel-sync-dlq-dev: 1",
        "carousel-sync dlq list --stage dev",
        status=Status.WARNING,
    ),
    "an alarm goes off": Misconfiguration(
        alarm_goes_off, "alarms", "carousel-sync-dev-FailedCommits", "section FailedCommits"
    ),
    "an alarm was deleted": Misconfiguration(alarm_deleted, "alarms", "carousel-sync-dev-Takeovers", "Deploy"),
}
