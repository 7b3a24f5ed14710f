"""A deployed stage as the checks see it: its clients, its resource names, and responses that several checks need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from pyiceberg.table import Table

from carousel_sync.aws.target import FUNCTION_ALIAS, STACK_NAME, Target, function_name
from carousel_sync.doctor.template import Template
from catalog_config.connect import connect
from lambda_fn.settings import Settings


class ResourceMissing(Exception):
    """A resource of the stage does not exist. The message names it."""


class Inconclusive(Exception):
    """A check cannot be carried out. The message gives the reason."""


class Stage:
    """One stage of a target. Each response is requested when a check first needs it, and then kept.

    Resource names are those in template.yaml. Methods and properties raise the errors of botocore, requests and
    pyiceberg, ResourceMissing and Inconclusive.
    """

    def __init__(
        self,
        target: Target,
        stack_name: str | None = None,
        producer: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.target = target
        self.client = target.client
        self.stack_name = stack_name or STACK_NAME.format(stage=target.stage)
        self.producer = producer
        self.now = now
        self.function = function_name(target.stage)
        self.rule = self.buffer_queue = f"carousel-sync-{target.stage}"
        self.dead_letter_queue = f"carousel-sync-dlq-{target.stage}"
        self.guard_table = f"pricing-idempotency-{target.stage}"
        self.projection_table = f"bg-remover-{target.stage}-sales-intelligence"
        self.table_bucket = f"carousel-{target.stage}-analytics"
        self._queues: dict[str, Mapping[str, str]] = {}

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """The account and principal of the credentials."""
        return dict(self.client("sts").get_caller_identity())

    @cached_property
    def stack(self) -> Mapping[str, Any]:
        """CloudFormation's description of the stack."""
        return dict(self.client("cloudformation").describe_stacks(StackName=self.stack_name)["Stacks"][0])

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The stack's parameters."""
        parameters = self.stack.get("Parameters", [])
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in parameters}

    @cached_property
    def resources(self) -> list[Mapping[str, Any]]:
        """The stack's resources."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return [resource for page in pages for resource in page["StackResourceSummaries"]]

    @cached_property
    def template(self) -> Template:
        """The deployed template, after its transform."""
        answer = self.client("cloudformation").get_template(StackName=self.stack_name, TemplateStage="Processed")
        body = answer["TemplateBody"]
        if not isinstance(body, Mapping):
            raise Inconclusive("CloudFormation does not return the processed template as JSON")
        physical = {item["LogicalResourceId"]: item.get("PhysicalResourceId", "") for item in self.resources}
        return Template(body, self.parameters, physical)

    @property
    def direct(self) -> bool:
        """Whether the event bus invokes the function directly, without the queue."""
        return self.parameters.get("DeliveryMode", "queue") == "direct"

    @property
    def bus(self) -> str:
        """The event bus on which the sales arrive."""
        return self.parameters.get("EventBusName", "default")

    @cached_property
    def event_rule(self) -> Mapping[str, Any]:
        """The rule that selects sales on the bus."""
        return dict(self.client("events").describe_rule(Name=self.rule, EventBusName=self.bus))

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """The configuration of the version that receives events."""
        client = self.client("lambda")
        return dict(client.get_function_configuration(FunctionName=self.function, Qualifier=FUNCTION_ALIAS))

    @cached_property
    def newest(self) -> Mapping[str, Any]:
        """The configuration that the next version will have ($LATEST)."""
        return dict(self.client("lambda").get_function_configuration(FunctionName=self.function))

    @property
    def alias_arn(self) -> str:
        """The ARN of the alias that receives events."""
        return f"{self.newest['FunctionArn']}:{FUNCTION_ALIAS}"

    @cached_property
    def settings(self) -> Settings:
        """The function's settings. Raises ConfigurationError for an environment that the function would reject."""
        environment = dict(self.configuration.get("Environment", {}).get("Variables", {}))
        # Lambda itself sets this.
        environment["AWS_REGION"] = self.target.region
        if self.target.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = self.target.endpoint_url
        return Settings.from_environment(environment)

    def queue(self, name: str) -> Mapping[str, str]:
        """Return a queue's attributes."""
        if name not in self._queues:
            sqs = self.client("sqs")
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            self._queues[name] = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        return self._queues[name]

    def messages_in(self, name: str) -> int:
        """Return the approximate number of messages in a queue, including those that are being processed."""
        queue = self.queue(name)
        return int(queue["ApproximateNumberOfMessages"]) + int(queue["ApproximateNumberOfMessagesNotVisible"])

    @cached_property
    def bucket_arn(self) -> str:
        """The ARN of the stage's table bucket, which is found by name. Raises ResourceMissing."""
        pages = self.client("s3tables").get_paginator("list_table_buckets").paginate(prefix=self.table_bucket)
        buckets = (bucket for page in pages for bucket in page["tableBuckets"])
        arn: str | None = next((bucket["arn"] for bucket in buckets if bucket["name"] == self.table_bucket), None)
        if arn is None:
            raise ResourceMissing(f"table bucket {self.table_bucket} does not exist in {self.target.region}")
        return arn

    @cached_property
    def table(self) -> Table:
        """The Iceberg table at its current snapshot, through the catalog that the function uses."""
        return connect(self.target.catalog_config).load_table(self.settings.table_identifier)
