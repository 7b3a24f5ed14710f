"""A new default session of the SDK, for tests that change credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import boto3

from lambda_fn.aws.clients import s3_client


@contextmanager
def new_sdk_session() -> Iterator[None]:
    """Have new clients look up credentials again, as in a new process; the previous session returns at the end."""
    previous = boto3.DEFAULT_SESSION
    boto3.DEFAULT_SESSION = None
    s3_client.cache_clear()
    try:
        yield
    finally:
        boto3.DEFAULT_SESSION = previous
        s3_client.cache_clear()
