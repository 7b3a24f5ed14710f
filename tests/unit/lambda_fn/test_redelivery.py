"""The redelivery of messages that were given back."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from lambda_fn.redelivery import LONGEST_SECONDS, SQSRedelivery, wait_seconds
from lambda_fn.runtime.retry import Deadline
from tests.fakes.clock import FakeClock

ARN = "arn:aws:sqs:eu-west-1:000000000000:carousel-sync-dev"


class Queue:
    """A client of SQS that records its requests, and refuses the receipt handle ``stale``."""

    meta = SimpleNamespace(endpoint_url="https://sqs.eu-west-1.amazonaws.com")

    def __init__(self, fails: bool = False) -> None:
        self.requests: list[dict[str, Any]] = []
        self._fails = fails

    def change_message_visibility_batch(self, **request: Any) -> dict[str, Any]:
        if self._fails:
            raise ReadTimeoutError(endpoint_url="sqs")
        self.requests.append(request)
        confirmed = [entry for entry in request["Entries"] if entry["ReceiptHandle"] != "stale"]
        return {"Successful": [{"Id": entry["Id"]} for entry in confirmed]}


def record(message: str, received: int = 1, receipt: str = "receipt") -> dict[str, Any]:
    return {
        "messageId": message,
        "receiptHandle": receipt,
        "eventSourceARN": ARN,
        "attributes": {"ApproximateReceiveCount": str(received)},
    }


def schedule(queue: Queue, records: list[dict[str, Any]], given_back: set[str], seconds: float = 60) -> set[str]:
    client: Any = queue
    redelivery = SQSRedelivery(client, 5)
    return set(redelivery.schedule(records, given_back, Deadline.after(FakeClock(), seconds)))


def test_messages_that_were_given_back_are_scheduled_in_batches_of_ten() -> None:
    queue = Queue()
    records = [record(f"m{number}") for number in range(30)]
    wanted = {f"m{number}" for number in range(25)}
    assert schedule(queue, records, wanted) == wanted
    assert [len(request["Entries"]) for request in queue.requests] == [10, 10, 5]
    assert queue.requests[0]["QueueUrl"] == "https://sqs.eu-west-1.amazonaws.com/000000000000/carousel-sync-dev"


@pytest.mark.parametrize(("received", "seconds"), [(1, 10), (2, 20), (4, 80), (6, 320), (7, 360), (1000, 360)])
def test_the_time_out_doubles_with_each_delivery(received: int, seconds: int) -> None:
    assert wait_seconds(record("m", received)) == seconds <= LONGEST_SECONDS


def test_unconfirmed_messages_keep_the_queues_time_out() -> None:
    assert schedule(Queue(), [record("kept"), record("lost", receipt="stale")], {"kept", "lost"}) == {"kept"}
    assert schedule(Queue(fails=True), [record("kept")], {"kept"}) == set()
    assert schedule(Queue(), [record("kept")], {"kept"}, seconds=1) == set()


def test_a_record_without_a_receipt_handle_is_ignored() -> None:
    queue = Queue()
    assert schedule(queue, [{"messageId": "m", "attributes": {}}], {"m"}) == set()
    assert queue.requests == []
