"""Dead letters on the embedded stack: from every origin, sent back, and stored exactly once."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from carousel_sync.aws import buffer_queue
from carousel_sync.aws.target import Target
from carousel_sync.consistency.verify import verify_target
from carousel_sync.dead_letters.letters import Letter
from carousel_sync.dead_letters.queue import scanning
from carousel_sync.dead_letters.redrive import Redrive, Redriven, Selection
from carousel_sync.local_stack.stack import LocalStack
from lambda_fn.guard.items import guard_key
from lambda_fn.sale import Sale
from tests.builders import body, event, read_text
from tests.unit.carousel_sync.dead_letters.test_letters import wrapped

DRAIN_SECONDS = 60.0
DAY_SECONDS = 24 * 3600


@pytest.fixture
def target(own_stack: LocalStack) -> Iterator[Target]:
    """The stack, with an empty dead-letter queue."""
    found = own_stack.target()
    found.client("sqs").purge_queue(QueueUrl=found.settings.dead_letter_queue_url)
    yield found
    assert verify_target(found).consistent


def new_sale() -> tuple[str, Sale]:
    """Return an event of a new tenant, and its sale."""
    text = body(tenantId=f"tenant-{uuid.uuid4().hex[:12]}")
    content = read_text(text)
    assert isinstance(content, Sale)
    return text, content


def add_letter(target: Target, text: str, attributes: Mapping[str, str] | None = None) -> None:
    target.client("sqs").send_message(
        QueueUrl=target.settings.dead_letter_queue_url,
        MessageBody=text,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items()
        },
    )


def send(target: Target, text: str) -> None:
    target.client("sqs").send_message(QueueUrl=buffer_queue.buffer_queue_url(target), MessageBody=text)
    drain(target)


def drain(target: Target) -> None:
    assert buffer_queue.wait_until_empty(target, buffer_queue.buffer_queue_url(target), DRAIN_SECONDS)


def redriven(target: Target, *reasons: str) -> Redriven:
    return Redrive(target, Selection(frozenset(reasons))).run()


def letters(target: Target) -> list[Letter]:
    with scanning(target) as scan:
        return [letter for batch in scan.batches() for letter in batch]


def rows_of(target: Target, sale: Sale) -> int:
    return int(target.load_table().scan(f"tenant_id = '{sale.tenant_id}'").to_arrow().num_rows)


def claim_of(target: Target, sale: Sale) -> dict[str, Any]:
    partition, sort = guard_key(sale.key)
    return {"TableName": target.settings.guard_table, "Key": {"pk": {"S": partition}, "sk": {"S": sort}}}


def test_a_letter_of_every_origin_is_recognised_and_stored(target: Target) -> None:
    sales: dict[str, Sale] = {}
    for reason, attributes in (
        ("CONFLICTING_DUPLICATE", {"reason": "CONFLICTING_DUPLICATE", "detail": "other facts"}),
        ("NOT_DELIVERED", {"RULE_ARN": "arn:rule", "ERROR_CODE": "SDK_CLIENT_ERROR", "ERROR_MESSAGE": "gone"}),
        ("NO_REASON", {}),
    ):
        text, sales[reason] = new_sale()
        add_letter(target, text, attributes)
    text, sales["FUNCTION_FAILED"] = new_sale()
    add_letter(target, wrapped(text))
    assert sorted(letter.reason for letter in letters(target)) == sorted(sales)
    assert redriven(target).sent == dict.fromkeys(sales, 1)
    assert letters(target) == []
    drain(target)
    assert [rows_of(target, sale) for sale in sales.values()] == [1, 1, 1, 1]


def test_a_message_that_sqs_moved_is_stored(target: Target) -> None:
    """SQS moves a message that was received too often."""
    sqs = target.client("sqs")
    url = sqs.create_queue(QueueName=f"queue-{uuid.uuid4().hex[:8]}")["QueueUrl"]
    dead = target.settings.dead_letter_queue_url
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": policy})
    text, sale = new_sale()
    sqs.send_message(QueueUrl=url, MessageBody=text)
    for _ in range(2):
        sqs.receive_message(QueueUrl=url, VisibilityTimeout=0)
    (letter,) = letters(target)
    assert (letter.reason, letter.event) == ("GAVE_UP", text)
    assert redriven(target, "GAVE_UP").sent.total() == 1
    drain(target)
    assert rows_of(target, sale) == 1


def test_a_stored_sale_is_a_duplicate(target: Target) -> None:
    text, sale = new_sale()
    send(target, text)
    for _ in range(3):
        add_letter(target, text)
    assert redriven(target).sent.total() == 3
    drain(target)
    assert rows_of(target, sale) == 1
    assert letters(target) == []


@pytest.mark.parametrize("deleted", [False, True], ids=["expired", "deleted"])
def test_a_stored_sale_is_a_duplicate_after_its_claim_is_gone(target: Target, deleted: bool) -> None:
    text, sale = new_sale()
    send(target, text)
    client, claim = target.client("dynamodb"), claim_of(target, sale)
    if deleted:
        client.delete_item(**claim)
    else:
        client.update_item(
            **claim,
            UpdateExpression="SET #ttl = :past",
            ExpressionAttributeNames={"#ttl": "ttl"},
            ExpressionAttributeValues={":past": {"N": str(int(time.time()) - DAY_SECONDS)}},
        )
    add_letter(target, text)
    assert redriven(target).sent.total() == 1
    drain(target)
    assert rows_of(target, sale) == 1
    item = client.get_item(**claim, ConsistentRead=True)["Item"]
    assert item["status"] == {"S": "COMPLETED"}
    assert int(item["ttl"]["N"]) > time.time()


def test_an_event_that_is_rejected_again_comes_back_once(target: Target) -> None:
    bad = json.dumps(event(salePrice="450"))
    send(target, bad)
    (before,) = letters(target)
    assert before.reason == "INVALID_FIELD"
    assert redriven(target, "INVALID_FIELD").sent.total() == 1
    drain(target)
    (after,) = letters(target)
    assert (after.reason, after.body) == ("INVALID_FIELD", bad)
    assert after.message_id != before.message_id


def test_one_letter_is_replayed_by_its_id(target: Target) -> None:
    texts, sales = zip(*(new_sale() for _ in range(3)), strict=True)
    for text in texts:
        add_letter(target, text)
    (chosen,) = [letter.message_id for letter in letters(target) if letter.body == texts[1]]
    work = Redrive(target, Selection(ids=frozenset({chosen, "nobody"}))).run()
    assert (work.sent.total(), work.unknown) == (1, ["nobody"])
    drain(target)
    assert [rows_of(target, sale) for sale in sales] == [0, 1, 0]
    assert {letter.body for letter in letters(target)} == {texts[0], texts[2]}


def test_an_interruption_between_sending_and_deleting(target: Target) -> None:
    """The event is then in both queues. It is processed, and the letter is sent again."""
    text, sale = new_sale()
    add_letter(target, text)
    sqs = target.client("sqs")

    class Interrupted:
        def __getattr__(self, name: str) -> Any:
            if name == "delete_message_batch":
                raise KeyboardInterrupt
            return getattr(sqs, name)

    target._clients["sqs"] = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        redriven(target)
    target._clients["sqs"] = sqs
    drain(target)
    assert rows_of(target, sale) == 1
    assert redriven(target).sent.total() == 1
    drain(target)
    assert rows_of(target, sale) == 1
    assert letters(target) == []
