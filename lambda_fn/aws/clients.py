"""Clients of DynamoDB, SQS and S3, all made from boto3's default session.

Endpoints follow the SDK's own rules: the region's partition, FIPS and dual-stack settings, and the endpoint variables
of single services. With one exception: ``AWS_ENDPOINT_URL`` overrides them all, so that no request leaves an emulator.

No client retries: the project's retry loop (:mod:`lambda_fn.runtime.retry`) knows the deadline of the invocation, and a
client's own loop does not.
"""

from __future__ import annotations

from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import boto3
from botocore.config import Config

from lambda_fn.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

USER_AGENT: Final = f"carousel-sync Boto3/{boto3.__version__}"
"""Names the project in CloudTrail and in S3's access logs.

The SDK sends a fixed text as it is. It would otherwise put its own together anew for each request, which is a fifth of
the request's CPU time.
"""
S3_CONNECTIONS: Final = 32
"""Enough for the parallel uploads of one commit and a reader beside them."""

# Any number of threads may use a client, but only one at a time may make one from a session (Boto3 documentation,
# "Multithreading or multiprocessing with clients").
_session_lock: Final = Lock()


def dynamodb_client(settings: Settings, connections: int) -> DynamoDBClient:
    """Return a client of DynamoDB. Opens no connection.

    DynamoDB alone validates what is sent: to check every attribute of 25 items here as well is a third of the CPU time
    of a ``BatchWriteItem``.
    """
    client: DynamoDBClient = _service_client("dynamodb", settings, connections, Config(parameter_validation=False))
    return client


def sqs_client(settings: Settings, connections: int) -> SQSClient:
    """Return a client of SQS. Opens no connection."""
    client: SQSClient = _service_client("sqs", settings, connections, Config())
    return client


@lru_cache(maxsize=8)
def s3_client(
    region: str,
    endpoint_url: str | None,
    connect_timeout_seconds: float,
    read_timeout_seconds: float,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    session_token: str | None = None,
) -> S3Client:
    """Return a client of S3, the same one for the same arguments. Opens no connection.

    Without a key pair, the session's credentials apply. With an ``endpoint_url``, the bucket is part of the path: the
    host names of buckets cannot be assumed to exist at a custom endpoint.
    """
    options = Config(s3={"addressing_style": "path"}) if endpoint_url else Config()
    client: S3Client = _client(
        "s3",
        region_name=region,
        endpoint_url=endpoint_url,
        config=_config(connect_timeout_seconds, read_timeout_seconds, S3_CONNECTIONS).merge(options),
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        aws_session_token=session_token,
    )
    return client


def _service_client(service: str, settings: Settings, connections: int, options: Config) -> Any:
    return _client(
        service,
        region_name=settings.region,
        endpoint_url=settings.endpoint_url,
        config=_config(settings.connect_timeout_seconds, settings.read_timeout_seconds, connections).merge(options),
    )


def _client(service: Any, **arguments: Any) -> Any:
    with _session_lock:
        return boto3.client(service, **arguments)


def _config(connect_timeout_seconds: float, read_timeout_seconds: float, connections: int) -> Config:
    return Config(
        connect_timeout=connect_timeout_seconds,
        read_timeout=read_timeout_seconds,
        max_pool_connections=connections,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent=USER_AGENT,
    )
