"""The results of Athena's queries, which must go before CloudFormation can delete their bucket."""

from __future__ import annotations

from typing import Any, Final

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import Target

BUCKET_OUTPUT: Final = "AthenaResultsBucket"


def delete_results(target: Target) -> int:
    """Delete the results that the stage's workgroup has stored, and return how many there were.

    They are copies of what queries found. A stage without a workgroup has none. Raises botocore's errors.
    """
    bucket = cloudformation.outputs(cloudformation.describe(target)).get(BUCKET_OUTPUT)
    return 0 if bucket is None else empty(target.client("s3"), bucket)


def empty(client: Any, bucket: str) -> int:
    """Delete all objects of a bucket without versions, and return how many there were."""
    deleted = 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        keys = [{"Key": found["Key"]} for found in page.get("Contents", [])]
        if keys:
            client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        deleted += len(keys)
    return deleted
