"""Deploying template.yaml to the emulator through CloudFormation, as it is deployed to AWS."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError, WaiterError

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import STACK_NAME, Target
from carousel_sync.local_stack.corrections import apply_corrections
from carousel_sync.release.project_zip import CodePackage, package_code, with_code_uri
from lambda_fn.errors import ConfigurationError

_ARTEFACT_BUCKET: Final = "carousel-sync-artefacts"
_WAITER_CONFIG: Final = {"Delay": 0.1, "MaxAttempts": 1200}
_CAPABILITIES: Final = ("CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND")


@dataclass(frozen=True)
class Deployment:
    """A template to deploy, with its code and its parameters."""

    template: str
    code: CodePackage
    parameters: dict[str, str]

    @property
    def digest(self) -> str:
        """A fingerprint, which changes with the template, the code and the parameters."""
        parts = (self.template, self.code.digest, repr(sorted(self.parameters.items())))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def prepare(root: Path, parameters: dict[str, str]) -> Deployment:
    """Read the template and package the code. Raises ConfigurationError when ``root`` is not a checkout."""
    path = root / "template.yaml"
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist. The embedded stack needs a checkout of this project.")
    return Deployment(path.read_text(), package_code(root), parameters)


def deploy(target: Target, deployment: Deployment) -> None:
    """Create or update the stack, and wait until CloudFormation is done.

    Raises ConfigurationError with CloudFormation's reasons when it fails. The emulator keeps running.
    """
    template_url = _upload(target, deployment)
    name = STACK_NAME.format(stage=target.stage)
    client = target.client("cloudformation")
    request = {
        "StackName": name,
        # CreateStack takes a body of at most 51,200 bytes.
        "TemplateURL": template_url,
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in deployment.parameters.items()],
        "Capabilities": list(_CAPABILITIES),
    }
    change = "update" if cloudformation.describe(target) else "create"
    try:
        getattr(client, f"{change}_stack")(**request)
        client.get_waiter(f"stack_{change}_complete").wait(StackName=name, WaiterConfig=_WAITER_CONFIG)
    except WaiterError as error:
        raise ConfigurationError(f"The deployment failed: {error}\n{_reasons(target)}") from error
    except ClientError as error:
        if "No updates are to be performed" not in str(error):
            raise ConfigurationError(f"CloudFormation refused template.yaml: {error}. Nothing was changed.") from error
    apply_corrections(target, cloudformation.outputs(cloudformation.describe(target)))


def _upload(target: Target, deployment: Deployment) -> str:
    """Upload code and template under keys that change with them, and return the template's URL."""
    s3 = target.client("s3")
    try:
        s3.create_bucket(Bucket=_ARTEFACT_BUCKET, CreateBucketConfiguration={"LocationConstraint": target.region})
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
            raise
    code_key, template_key = f"{deployment.code.digest}.zip", f"{deployment.digest}.yaml"
    template = with_code_uri(deployment.template, f"s3://{_ARTEFACT_BUCKET}/{code_key}")
    s3.put_object(Bucket=_ARTEFACT_BUCKET, Key=code_key, Body=deployment.code.content)
    s3.put_object(Bucket=_ARTEFACT_BUCKET, Key=template_key, Body=template.encode())
    return f"{target.endpoint_url}/{_ARTEFACT_BUCKET}/{template_key}"


def _reasons(target: Target) -> str:
    name = STACK_NAME.format(stage=target.stage)
    events = target.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    failed = [event for event in events if "FAILED" in event.get("ResourceStatus", "")]
    reasons = [(event["LogicalResourceId"], event.get("ResourceStatusReason", "no reason given")) for event in failed]
    return "\n".join(f"  {resource}: {reason}" for resource, reason in reasons) or "  no reason given"
