"""Which deployment a command works on: AWS, the embedded stack, or the endpoint in AWS_ENDPOINT_URL."""

from __future__ import annotations

import os

import boto3

from carousel_sync.aws.target import DEFAULT_REGION, Target
from carousel_sync.local_stack.state import running_target


def resolve(stage: str, local: bool) -> Target:
    """Return the deployment that the options ``--stage`` and ``--local`` select.

    With ``local`` it is the embedded stack. Otherwise it is AWS, or the endpoint in AWS_ENDPOINT_URL. Opens no
    connection. Raises ConfigurationError when ``local`` is set and the embedded stack does not run this stage.
    """
    if local:
        return running_target(stage)
    session = boto3.Session()
    region = os.environ.get("AWS_REGION") or session.region_name or DEFAULT_REGION
    return Target(stage=stage, region=region, session=session, endpoint_url=os.environ.get("AWS_ENDPOINT_URL") or None)
