"""Deleting the results of Athena's queries before the stack, on the emulator's S3."""

from __future__ import annotations

import uuid

import pytest

from carousel_sync.aws import cloudformation
from carousel_sync.deployment.query_results import BUCKET_OUTPUT, delete_results, empty
from carousel_sync.local_stack.stack import LocalStack


def test_a_bucket_is_emptied(stack: LocalStack) -> None:
    client, bucket = stack.target().client("s3"), f"results-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    for number in range(3):
        client.put_object(Bucket=bucket, Key=f"results/{number}.csv", Body=b"1")
    assert empty(client, bucket) == 3
    assert empty(client, bucket) == 0
    client.delete_bucket(Bucket=bucket)


def test_the_results_are_found_through_the_stacks_outputs(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> None:
    target, bucket = stack.target(), f"results-{uuid.uuid4().hex}"
    client = target.client("s3")
    client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    client.put_object(Bucket=bucket, Key="results/1.csv", Body=b"1")
    with monkeypatch.context() as patched:
        patched.setattr(cloudformation, "outputs", lambda _: {BUCKET_OUTPUT: bucket})
        assert delete_results(target) == 1
    client.delete_bucket(Bucket=bucket)


def test_a_stage_without_a_workgroup_has_no_results(stack: LocalStack) -> None:
    assert delete_results(stack.target()) == 0
