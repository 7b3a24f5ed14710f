"""Changes that somebody might make to a deployed stage by hand. Each context manager undoes its change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from carousel_sync.aws.target import FUNCTION_ALIAS
from carousel_sync.doctor.stage import Stage
from lambda_fn.commit_queue.items import entry_item, queue_partition
from lambda_fn.iceberg.group_commit.commit_queue import QueueEntry
from lambda_fn.ports import NO_SNAPSHOT

Change = AbstractContextManager[None]
MakeChange = Callable[[Stage], Change]


def queue_url(stage: Stage, name: str) -> str:
    return str(stage.client("sqs").get_queue_url(QueueName=name)["QueueUrl"])


@contextmanager
def rule_disabled(stage: Stage) -> Iterator[None]:
    stage.client("events").disable_rule(Name=stage.rule)
    yield
    stage.client("events").enable_rule(Name=stage.rule)


def pattern(detail_type: str) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        events = stage.client("events")
        before = events.describe_rule(Name=stage.rule)["EventPattern"]
        wrong = {"source": ["carousel.products"]} | ({"detail-type": [detail_type]} if detail_type else {})
        events.put_rule(Name=stage.rule, EventPattern=json.dumps(wrong), State="ENABLED")
        yield
        events.put_rule(Name=stage.rule, EventPattern=before, State="ENABLED")

    return change


def rule_target(**changes: Any) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        events = stage.client("events")
        (before,) = events.list_targets_by_rule(Rule=stage.rule)["Targets"]
        events.remove_targets(Rule=stage.rule, Ids=[before["Id"]])
        after = {name: value for name, value in {**before, **changes}.items() if value is not None}
        events.put_targets(Rule=stage.rule, Targets=[after])
        yield
        events.remove_targets(Rule=stage.rule, Ids=[before["Id"]])
        events.put_targets(Rule=stage.rule, Targets=[before])

    return change


def queue(name: str, **attributes: str) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        sqs, url = stage.client("sqs"), queue_url(stage, getattr(stage, name))
        before = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        yield
        sqs.set_queue_attributes(QueueUrl=url, Attributes={name: before.get(name, "") for name in attributes})

    return change


def mapping(**changes: Any) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client = stage.client("lambda")
        (found,) = client.list_event_source_mappings(FunctionName=stage.function)["EventSourceMappings"]
        client.update_event_source_mapping(UUID=found["UUID"], **changes)
        yield
        before = {"FunctionResponseTypes": found["FunctionResponseTypes"], "Enabled": True}
        client.update_event_source_mapping(UUID=found["UUID"], **before)

    return change


def newest(**changes: Any) -> MakeChange:
    """Change the function, but not the version that receives events."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client = stage.client("lambda")
        before = client.get_function_configuration(FunctionName=stage.function)
        for values in (changes, {name: before[name] for name in changes}):
            client.update_function_configuration(FunctionName=stage.function, **values)
            client.get_waiter("function_active_v2").wait(FunctionName=stage.function, WaiterConfig={"Delay": 1})
            if values is changes:
                yield

    return change


def function(**changes: Any) -> MakeChange:
    """Change the function, and deliver events to the changed version."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client, alias = stage.client("lambda"), {"FunctionName": stage.function, "Name": FUNCTION_ALIAS}
        before = client.get_alias(**alias)["FunctionVersion"]
        with newest(**changes)(stage):
            client.update_alias(**alias, FunctionVersion=client.publish_version(FunctionName=stage.function)["Version"])
            yield
        client.update_alias(**alias, FunctionVersion=before)

    return change


def attempts_waiting(count: int) -> MakeChange:
    """Enlist attempts in the commit queue."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client, partition = stage.client("dynamodb"), queue_partition(stage.settings.table_identifier)
        now = stage.now().timestamp()
        entries = [
            entry_item(partition, QueueEntry(attempt, NO_SNAPSHOT, frozenset(), "{}", now)) for attempt in range(count)
        ]
        for entry in entries:
            client.put_item(TableName=stage.guard_table, Item=entry)
        yield
        for entry in entries:
            client.delete_item(TableName=stage.guard_table, Key={name: entry[name] for name in ("pk", "sk")})

    return change


@contextmanager
def throttled(stage: Stage) -> Iterator[None]:
    client = stage.client("lambda")
    client.put_function_concurrency(FunctionName=stage.function, ReservedConcurrentExecutions=0)
    yield
    client.delete_function_concurrency(FunctionName=stage.function)


def variable(name: str, value: str | None) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client = stage.client("lambda")
        before = client.get_function_configuration(FunctionName=stage.function)["Environment"]["Variables"]
        after = {key: text for key, text in {**before, name: value}.items() if text is not None}
        with function(Environment={"Variables": after})(stage):
            yield

    return change


def no_ttl(table: str) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        client, name = stage.client("dynamodb"), getattr(stage, table)
        for enabled in (False, True):
            client.update_time_to_live(
                TableName=name, TimeToLiveSpecification={"AttributeName": "ttl", "Enabled": enabled}
            )
            if not enabled:
                yield

    return change


@contextmanager
def no_recovery(stage: Stage) -> Iterator[None]:
    for enabled in (False, True):
        stage.client("dynamodb").update_continuous_backups(
            TableName=stage.projection_table,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": enabled},
        )
        if not enabled:
            yield


def maintenance(type_: str, value: dict[str, Any]) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        table = {"tableBucketARN": stage.bucket_arn, "namespace": "pricing_intelligence", "name": "sales_history"}
        client = stage.client("s3tables")
        before = client.get_table_maintenance_configuration(**table)["configuration"][type_]
        client.put_table_maintenance_configuration(**table, type=type_, value=value)
        yield
        client.put_table_maintenance_configuration(**table, type=type_, value=before)

    return change


def table_property(name: str, value: str) -> MakeChange:
    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        before = stage.target.load_table().properties.get(name)
        with stage.target.load_table().transaction() as transaction:
            transaction.set_properties({name: value})
        yield
        with stage.target.load_table().transaction() as transaction:
            if before is None:
                transaction.remove_properties(name)
            else:
                transaction.set_properties({name: before})

    return change


@contextmanager
def column_renamed(stage: Stage) -> Iterator[None]:
    for before, after in (("brand", "label"), ("label", "brand")):
        with stage.target.load_table().update_schema() as update:
            update.rename_column(before, after)
        if after == "label":
            yield


@contextmanager
def table_renamed(stage: Stage) -> Iterator[None]:
    client, namespace = stage.client("s3tables"), "pricing_intelligence"
    for before, after in (("sales_history", "elsewhere"), ("elsewhere", "sales_history")):
        client.rename_table(tableBucketARN=stage.bucket_arn, namespace=namespace, name=before, newName=after)
        if after == "elsewhere":
            yield


def own_key(*, enabled: bool, services: list[str]) -> MakeChange:
    """Encrypt the dead-letter queue with a key of the account."""

    @contextmanager
    def change(stage: Stage) -> Iterator[None]:
        kms = stage.client("kms")
        statement = {"Effect": "Allow", "Action": ["kms:GenerateDataKey*", "kms:Decrypt"], "Resource": "*"}
        statements = [{**statement, "Principal": {"Service": service}} for service in services]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        key = kms.create_key(Policy=policy)["KeyMetadata"]["KeyId"]
        if not enabled:
            kms.disable_key(KeyId=key)
        with queue("dead_letter_queue", KmsMasterKeyId=key, SqsManagedSseEnabled="false")(stage):
            yield

    return change


@contextmanager
def dead_letter(stage: Stage) -> Iterator[None]:
    url = queue_url(stage, stage.dead_letter_queue)
    stage.client("sqs").send_message(QueueUrl=url, MessageBody="{}")
    yield
    stage.client("sqs").purge_queue(QueueUrl=url)


@contextmanager
def alarm_goes_off(stage: Stage) -> Iterator[None]:
    name = f"carousel-sync-{stage.target.stage}-FailedCommits"
    for state in ("ALARM", "OK"):
        stage.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")
        if state == "ALARM":
            yield


@contextmanager
def alarm_deleted(stage: Stage) -> Iterator[None]:
    client, name = stage.client("cloudwatch"), f"carousel-sync-{stage.target.stage}-Takeovers"
    (before,) = client.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    client.delete_alarms(AlarmNames=[name])
    yield
    accepted = client.meta.service_model.operation_model("PutMetricAlarm").input_shape.members
    client.put_metric_alarm(**{key: value for key, value in before.items() if key in accepted})
