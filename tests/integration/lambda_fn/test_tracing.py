"""With tracing, each request to DynamoDB, SQS and S3 is a sub-segment of the invocation that sends it."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.aws.target import Target
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.project import PROJECT_ROOT
from tests.builders import event

SALES = 60
DESCRIPTION = "canary-description"
PARENTS = ["53995c3f42cd8ad0", "53995c3f42cd8ad1"]
LAMBDA = {"LAMBDA_TASK_ROOT": "/var/task", "AWS_XRAY_DAEMON_ADDRESS": "127.0.0.1:2000"}

# Each invocation has a trace header of its own in the environment, as in Lambda.
TRACED = """
    import json, os, sys, threading
    from lambda_fn.handler import handler
    from lambda_fn.wiring import application
    application()
    from aws_xray_sdk.core import xray_recorder

    events, parents, path = json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3]
    sent = []

    class Emitter:
        def send_entity(self, entity):
            sent.append({**json.loads(entity.serialize()), "thread": threading.current_thread().name})

    xray_recorder.configure(emitter=Emitter())
    for event, parent in zip(events, parents, strict=True):
        os.environ["_X_AMZN_TRACE_ID"] = f"Root=1-5759e988-bd862e3f{parent};Parent={parent};Sampled=1"
        handler(event, None)
    with open(path, "w") as file:
        json.dump(sent, file)
"""
IMPORTED = """
    import sys
    from lambda_fn.wiring import application
    application()
    print("aws_xray_sdk" in sys.modules)
"""


def run(target: Target, script: str, *arguments: str, **variables: str) -> str:
    """Run a script in a new interpreter, because tracing changes the SDK for the whole process."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        cwd=PROJECT_ROOT,
        env={**target.environment, **LAMBDA, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def batch() -> dict[str, Any]:
    """Return a batch whose guard and projection requests run in several threads, and an event that is rejected."""
    tenant = f"tenant-{uuid.uuid4().hex[:12]}"
    bodies = [
        json.dumps(event(tenantId=tenant, saleId=f"sale-{number}", description=DESCRIPTION)) for number in range(SALES)
    ]
    return {
        "Records": [
            {"messageId": f"message-{number}", "body": body, "eventSource": "aws:sqs", "attributes": {}}
            for number, body in enumerate([*bodies, "{"])
        ]
    }


@pytest.fixture(scope="module")
def sent(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The sub-segments of two invocations."""
    path: Path = tmp_path_factory.mktemp("tracing") / "sent.json"
    run(
        stack.target(),
        TRACED,
        *(json.dumps([batch(), batch()]), json.dumps(PARENTS), str(path)),
        POWERTOOLS_TRACE_DISABLED="false",
    )
    found: list[dict[str, Any]] = json.loads(path.read_text())
    return found


def test_every_service_has_sub_segments_in_every_invocation(sent: list[dict[str, Any]]) -> None:
    for parent in PARENTS:
        of_invocation = [segment for segment in sent if segment["parent_id"] == parent]
        names = Counter(segment["name"] for segment in of_invocation)
        assert names.keys() == {"dynamodb", "sqs", "s3"}
        assert names["dynamodb"] > 2 * SALES / 25
        assert names["s3"] >= 3
        assert {segment["trace_id"] for segment in of_invocation} == {f"1-5759e988-bd862e3f{parent}"}
    assert {segment["parent_id"] for segment in sent} == set(PARENTS)


def test_requests_of_worker_threads_belong_to_the_invocation(sent: list[dict[str, Any]]) -> None:
    for name in ("dynamodb", "s3"):
        threads = {segment["thread"] for segment in sent if segment["name"] == name}
        assert len({thread for thread in threads if thread.startswith("request")}) > 1, name


def test_sub_segments_name_their_operations_and_hold_no_content(sent: list[dict[str, Any]]) -> None:
    assert {segment["aws"]["operation"] for segment in sent} >= {
        "BatchExecuteStatement",
        "BatchGetItem",
        "BatchWriteItem",
        "PutObject",
        "SendMessageBatch",
    }
    assert all(segment["namespace"] == "aws" and segment["type"] == "subsegment" for segment in sent)
    assert DESCRIPTION not in json.dumps(sent)


@pytest.mark.parametrize(("disabled", "imported"), [("true", "False"), ("false", "True")])
def test_without_tracing_the_x_ray_sdk_is_not_imported(stack: LocalStack, disabled: str, imported: str) -> None:
    assert run(stack.target(), IMPORTED, POWERTOOLS_TRACE_DISABLED=disabled).strip() == imported
