"""A deployed stage, as the checks see it: its clients, the names that template.yaml gives, and what is read once."""

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


class NotThere(Exception):
    """Something that the stage needs does not exist; the message says what."""


class CannotTell(Exception):
    """A check has no ground to stand on; the message says why."""


class Stage:
    """One stage of a target. Nothing is asked before a check needs it; what several need is asked once.

    The names are those that template.yaml gives. Methods and properties raise botocore's, requests' and pyiceberg's
    errors, NotThere and CannotTell.
    """

    def __init__(
        self,
        target: Target,
        stack_name: str | None = None,
        producer: str | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.target = target
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

    def client(self, service: str) -> Any:
        """Return the target's client of a service."""
        return self.target.client(service)

    @cached_property
    def identity(self) -> Mapping[str, str]:
        """Whose credentials these are."""
        answer: Mapping[str, str] = self.client("sts").get_caller_identity()
        return answer

    @cached_property
    def stack(self) -> Mapping[str, Any]:
        """CloudFormation's description of the stack."""
        answer = self.client("cloudformation").describe_stacks(StackName=self.stack_name)
        stack: Mapping[str, Any] = answer["Stacks"][0]
        return stack

    @cached_property
    def parameters(self) -> Mapping[str, str]:
        """The stack's parameters."""
        return {one["ParameterKey"]: one["ParameterValue"] for one in self.stack.get("Parameters", [])}

    @cached_property
    def resources(self) -> list[Mapping[str, Any]]:
        """The stack's resources."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=self.stack_name)
        return [resource for page in pages for resource in page["StackResourceSummaries"]]

    @cached_property
    def template(self) -> Template:
        """The template that is deployed, its transform carried out."""
        answer = self.client("cloudformation").get_template(StackName=self.stack_name, TemplateStage="Processed")
        body = answer["TemplateBody"]
        if not isinstance(body, Mapping):
            raise CannotTell("CloudFormation does not give the processed template as JSON")
        physical = {one["LogicalResourceId"]: one.get("PhysicalResourceId", "") for one in self.resources}
        return Template(body, self.parameters, physical)

    @property
    def direct(self) -> bool:
        """Whether the event bus invokes the function itself."""
        return self.parameters.get("DeliveryMode", "queue") == "direct"

    @property
    def bus(self) -> str:
        """The event bus on which the sales arrive."""
        return self.parameters.get("EventBusName", "default")

    @cached_property
    def event_rule(self) -> Mapping[str, Any]:
        """The rule that picks the sales off the bus."""
        answer: Mapping[str, Any] = self.client("events").describe_rule(Name=self.rule, EventBusName=self.bus)
        return answer

    @cached_property
    def configuration(self) -> Mapping[str, Any]:
        """The configuration of the version that events are delivered to."""
        answer: Mapping[str, Any] = self.client("lambda").get_function_configuration(
            FunctionName=self.function, Qualifier=FUNCTION_ALIAS
        )
        return answer

    @cached_property
    def newest(self) -> Mapping[str, Any]:
        """The configuration that the next version will have ($LATEST)."""
        answer: Mapping[str, Any] = self.client("lambda").get_function_configuration(FunctionName=self.function)
        return answer

    @property
    def alias_arn(self) -> str:
        """The ARN of what events are delivered to."""
        return f"{self.newest['FunctionArn']}:{FUNCTION_ALIAS}"

    @cached_property
    def settings(self) -> Settings:
        """The function's settings. Raises ConfigurationError for an environment that the function would refuse."""
        environment = dict(self.configuration.get("Environment", {}).get("Variables", {}))
        # What the Lambda service sets by itself.
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

    @cached_property
    def bucket_arn(self) -> str:
        """The ARN of the stage's table bucket, found by its name. Raises NotThere."""
        pages = self.client("s3tables").get_paginator("list_table_buckets").paginate(prefix=self.table_bucket)
        arns = [one["arn"] for page in pages for one in page["tableBuckets"] if one["name"] == self.table_bucket]
        if not arns:
            raise NotThere(f"table bucket {self.table_bucket} does not exist in {self.target.region}")
        return str(arns[0])

    @cached_property
    def table(self) -> Table:
        """The Iceberg table at its present head, through the catalog that the function uses."""
        return connect(self.target.catalog_config).load_table(self.settings.table_identifier)
