"""JSON that is not a sale: envelopes of other services, and sales in one more envelope."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.builders import ABSENT, body, event
from tests.poison.entry import NOT_A_SALE, Entry, directs, enveloped, texts

MEGABYTE: Final = 1024 * 1024

VALUES: Final = {
    "null": "null",
    "true": "true",
    "false": "false",
    "zero": "0",
    "negative zero": "-0.0",
    "a large number": "1e308",
    "an empty text": '""',
    "a text": '"carousel.product.sold"',
    "an empty array": "[]",
    "an array with an event": f"[{body()}]",
    "an array of arrays": "[" * 500 + "]" * 500,
    "an array of a megabyte": "[" + "0," * (MEGABYTE // 2 - 1) + "0]",
    "an event as a text": json.dumps(body()),
    "an event as a text in a text": json.dumps(json.dumps(body())),
    "a text of a megabyte": json.dumps("x" * MEGABYTE),
    "an empty object": "{}",
    "an object of a megabyte": json.dumps({"x": "y" * MEGABYTE}),
    "a detail without its envelope": json.dumps(event()["detail"]),
    "an empty name": '{"": {}}',
}

_SNS_NOTIFICATION: Final = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:carousel",
    "Message": body(),
    "Timestamp": "2026-03-15T10:00:00.000Z",
    "SignatureVersion": "1",
}
_SQS_RECORD: Final = {
    "messageId": "059f36b4-87a3-44ab-83d2-661975830a7d",
    "body": body(),
    "attributes": {"SentTimestamp": "1773568801250"},
    "eventSource": "aws:sqs",
}

ENVELOPES: Final[dict[str, dict[str, Any]]] = {
    "an SQS batch": {"Records": [_SQS_RECORD]},
    "an SQS message": _SQS_RECORD,
    "an SNS notification": _SNS_NOTIFICATION,
    "an SNS event of Lambda": {"Records": [{"EventSource": "aws:sns", "Sns": _SNS_NOTIFICATION}]},
    "an S3 notification": {"Records": [{"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}}}]},
    "an S3 test notification": {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"},
    "a Kinesis record": {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": "e30="}}]},
    "a DynamoDB stream record": {"Records": [{"eventSource": "aws:dynamodb", "dynamodb": {"Keys": {}}}]},
    "an API Gateway request": {"httpMethod": "POST", "path": "/", "body": body(), "isBase64Encoded": False},
    "a CloudEvent": {"specversion": "1.0", "type": "carousel.product.sold", "source": "carousel.products", "data": {}},
    "a scheduled event": event() | {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}},
    "an EC2 event": event() | {"source": "aws.ec2", "detail-type": "EC2 Instance State-change Notification"},
    "a CloudTrail event": event() | {"source": "aws.s3", "detail-type": "AWS API Call via CloudTrail"},
    "a destination's record": {"version": "1.0", "requestPayload": event(), "responsePayload": None},
    "a Step Functions input": {"Input": event(), "TaskToken": "x"},
    "PutEvents' own entry": {"Source": "carousel.products", "DetailType": "carousel.product.sold", "Detail": body()},
    "an event in an event's place": {"event": event()},
    "an event as its own detail without a detail type": {"detail": event()},
    "names in capitals": {name.upper(): value for name, value in event().items()},
    "names in camel case": {"detailType" if name == "detail-type" else name: v for name, v in event().items()},
    "names with a space": {name + " ": value for name, value in event().items()},
    "a prototype": {"__proto__": event()},
}

KINDS: Final[dict[str, object]] = {
    "null": None,
    "absent": ABSENT,
    "empty": "",
    "a number": 1,
    "true": True,
    "an array": ["carousel.product.sold"],
    "an object": {"carousel.product.sold": 1},
    "in capitals": "CAROUSEL.PRODUCT.SOLD",
    "with a space after it": "carousel.product.sold ",
    "with a line break": "carousel.product.sold\n",
    "with a NUL": "carousel.product.sold\x00",
    "with a letter that only looks like it": "саrousel.product.sold",
    "in full-width letters": "ｃａｒｏｕｓｅｌ.product.sold",
    "a later version": "carousel.product.sold.v2",
    "a shorter name": "carousel.product",
    "the source's name": "carousel.products",
}


def _kinds() -> list[Entry]:
    bodies: dict[str, str] = {}
    for name, value in KINDS.items():
        document = event() | {"detail-type": value}
        bodies[f"detail-type: {name}"] = json.dumps({k: v for k, v in document.items() if v is not ABSENT})
    return texts(NOT_A_SALE, bodies, "detail-type: ")


def _sources() -> list[Entry]:
    values = {**KINDS, "a shorter name": "carousel.product", "the source's name": "carousel.product.sold"}
    bodies: dict[str, str] = {}
    for name, value in values.items():
        document = event() | {"source": value}
        bodies[f"source: {name}"] = json.dumps({k: v for k, v in document.items() if v is not ABSENT})
    return texts(NOT_A_SALE, bodies, "source: ")


def entries() -> list[Entry]:
    """Return all entries of this module."""
    last = {
        "the last of two detail types counts": body()[:-1] + ', "detail-type": "x"}',
        "the last of two sources counts": body()[:-1] + ', "source": "x"}',
        "the detail type is checked before the detail": enveloped(detail_type="x", detail=None),
        "an unknown field 900 deep": body()[:-1] + ', "x": ' + "[" * 900 + "]" * 900 + ', "source": 0}',
    }
    documents = {
        "nothing": None,
        "a number": 1,
        "NaN": float("nan"),
        "a text": body(),
        "an array": [event()],
        **ENVELOPES,
    }
    return [
        *texts(NOT_A_SALE, VALUES),
        *texts(NOT_A_SALE, {name: json.dumps(envelope) for name, envelope in ENVELOPES.items()}),
        *texts(NOT_A_SALE, last),
        *_kinds(),
        *_sources(),
        *directs(NOT_A_SALE, documents),
    ]
