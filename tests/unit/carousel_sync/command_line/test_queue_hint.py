"""The hint that events are still in the queue never fails the command that shows it."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import NoCredentialsError

from carousel_sync.command_line.queue_hint import show_waiting_events
from tests.fakes.sqs import FakeSQS, client_error

QUEUE = "https://queue/buffer"


class Stage:
    """A target whose stack has a buffer queue."""

    stage = "dev"

    def __init__(self, failure: Exception | None = None) -> None:
        self.queue = FakeSQS(QUEUE)
        self._failure = failure

    def client(self, service: str) -> Any:
        return self if service == "cloudformation" else self.queue

    def describe_stacks(self, **_: Any) -> dict[str, Any]:
        if self._failure:
            raise self._failure
        return {"Stacks": [{"Outputs": [{"OutputKey": "BufferQueueUrl", "OutputValue": QUEUE}]}]}


def hint(stage: Any, capsys: pytest.CaptureFixture[str]) -> str:
    show_waiting_events(stage)
    printed = capsys.readouterr()
    assert printed.out == ""
    return " ".join(printed.err.split())


def test_waiting_messages_and_those_in_flight_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    stage = Stage()
    for number in range(5):
        stage.queue.add(QUEUE, str(number))
    stage.queue.receive_message(QueueUrl=QUEUE, MaxNumberOfMessages=2, VisibilityTimeout=60)
    assert "stage dev: about 3 are waiting, and 2 are being processed" in hint(stage, capsys)


@pytest.mark.parametrize("failure", [None, client_error("AccessDenied"), NoCredentialsError()])
def test_nothing_is_said_when_the_queue_is_empty_or_can_not_be_read(
    failure: Exception | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hint(Stage(failure), capsys) == ""
