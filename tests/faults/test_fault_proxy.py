"""The proxy passes answers on as they are."""

from __future__ import annotations

import uuid

from testbed.stores import client
from tests.engines.fixtures import make_bucket
from tests.faults.harness.fault_proxy import FaultProxy


def test_the_answer_to_a_head_request_has_the_size_of_the_object(emulator_endpoint: str, proxy: FaultProxy) -> None:
    """Without it, pyiceberg would state in the table that its data files are empty."""
    bucket = f"proxied-{uuid.uuid4().hex[:12]}"
    make_bucket(emulator_endpoint, bucket)
    s3 = client("s3", proxy.url)
    s3.put_object(Bucket=bucket, Key="object", Body=b"12345")
    assert s3.head_object(Bucket=bucket, Key="object")["ContentLength"] == 5
