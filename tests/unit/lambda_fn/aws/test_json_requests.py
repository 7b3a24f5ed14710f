"""What is sent to a service that speaks AWS JSON, and what is made of answers that no engine gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from zlib import crc32

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, NoCredentialsError

from lambda_fn.aws.batch_requests import is_transient
from lambda_fn.json_requests import DynamoDBRequests, SQSRequests, UnreadableAnswer
from testbed.server_process import free_port

REQUEST: dict[str, Any] = {"RequestItems": {"guard": {"Keys": []}}}


@dataclass
class Service:
    """Gives one answer to everything, and keeps what it was asked. ``status`` 0 hangs up."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    url: str = ""

    def client(self) -> DynamoDBRequests:
        return DynamoDBRequests("eu-west-1", self.url, 5.0, 5.0, connections=2)


@pytest.fixture
def service() -> Iterator[Service]:
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            told.asked.append({name.lower(): value for name, value in self.headers.items()})
            told.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            if not told.status:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, value in {**told.headers, "Content-Length": str(len(told.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told.body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield told
    server.shutdown()
    server.server_close()


def test_a_request_names_its_operation_and_is_signed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    service.body = b'{"Responses": {}}'
    assert service.client().batch_get_item(**REQUEST) == {"Responses": {}}
    (headers,) = service.asked
    assert headers["x-amz-target"] == "DynamoDB_20120810.BatchGetItem"
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["x-amz-security-token"] == "token"
    assert "/eu-west-1/dynamodb/aws4_request" in headers["authorization"]
    assert "x-amz-target" in headers["authorization"]
    assert service.bodies == [b'{"RequestItems":{"guard":{"Keys":[]}}}']


def test_half_a_surrogate_pair_can_be_sent_to_a_queue(service: Service) -> None:
    client = SQSRequests("eu-west-1", service.url, 5.0, 5.0, connections=2)
    client.send_message_batch(QueueUrl="q", Entries=[{"Id": "0", "MessageBody": "\ud83d"}])
    assert rb"\ud83d" in service.bodies[0]
    assert service.asked[0]["x-amz-target"] == "AmazonSQS.SendMessageBatch"


@pytest.mark.parametrize("right", [True, False])
def test_an_answer_that_was_damaged_on_its_way_is_none(service: Service, right: bool) -> None:
    service.body = b'{"Responses": {}}'
    service.headers = {"x-amz-crc32": str(crc32(service.body) + (not right))}
    if right:
        service.client().batch_get_item(**REQUEST)
        return
    with pytest.raises(UnreadableAnswer, match=r"BatchGetItem.*checksum") as raised:
        service.client().batch_get_item(**REQUEST)
    assert is_transient(raised.value)


def test_a_refusal_stays_one_whatever_its_checksum(service: Service) -> None:
    service.status, service.headers = 503, {"x-amz-crc32": "abc"}
    with pytest.raises(ClientError) as raised:
        service.client().batch_get_item(**REQUEST)
    assert is_transient(raised.value)


@pytest.mark.parametrize("checksum", ["abc", "", "-1"])
def test_a_checksum_that_is_no_number_is_a_wrong_one(service: Service, checksum: str) -> None:
    service.headers = {"x-amz-crc32": checksum}
    with pytest.raises(UnreadableAnswer):
        service.client().batch_get_item(**REQUEST)


def test_a_member_that_is_null_is_not_there(service: Service) -> None:
    service.body = b'{"UnprocessedItems": null, "ConsumedCapacity": []}'
    assert service.client().batch_write_item(**REQUEST) == {"ConsumedCapacity": []}


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b"null", b"[]", b'"x"'])
def test_an_answer_that_is_no_json_is_none(service: Service, body: bytes) -> None:
    service.body = body
    with pytest.raises(UnreadableAnswer) as raised:
        service.client().batch_get_item(**REQUEST)
    assert is_transient(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "code", "transient"),
    [
        (400, b'{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}', "ThrottlingException", True),
        (400, b'{"__type": "ThrottlingException:http://internal/"}', "ThrottlingException", True),
        (400, b'{"__type": "com.amazon.coral.validate#ValidationException"}', "ValidationException", False),
        (500, b'{"__type": "InternalServerError"}', "InternalServerError", True),
        (502, b"<html>Bad gateway</html>", "502", True),
        (503, b"", "503", True),
        (413, b"[]", "413", False),
        (301, b"", "301", False),
    ],
)
def test_a_refusal_keeps_its_code(service: Service, status: int, body: bytes, code: str, transient: bool) -> None:
    service.status, service.body = status, body
    with pytest.raises(ClientError) as raised:
        service.client().batch_get_item(**REQUEST)
    assert raised.value.response["Error"]["Code"] == code
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert is_transient(raised.value) is transient
    assert len(service.asked) == 1


@pytest.mark.parametrize("field_name", ["message", "Message"])
def test_a_refusal_keeps_its_words(service: Service, field_name: str) -> None:
    service.status, service.body = 400, f'{{"__type": "X", "{field_name}": "what is wrong"}}'.encode()
    with pytest.raises(ClientError, match="what is wrong"):
        service.client().batch_get_item(**REQUEST)


def test_nothing_is_repeated_when_the_connection_ends(service: Service) -> None:
    service.status = 0
    with pytest.raises(ConnectionClosedError) as raised:
        service.client().batch_get_item(**REQUEST)
    assert is_transient(raised.value)
    assert len(service.asked) == 1


def test_nobody_there_is_transient() -> None:
    client = DynamoDBRequests("eu-west-1", f"http://127.0.0.1:{free_port()}", 1.0, 1.0, connections=1)
    with pytest.raises(EndpointConnectionError) as raised:
        client.batch_get_item(**REQUEST)
    assert is_transient(raised.value)


class NoSession:
    """An SDK that finds no credentials anywhere."""

    def get_credentials(self) -> None:
        return None


def test_without_credentials_a_request_tells_so_and_not_the_wiring(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setattr("catalog_config.aws._session", NoSession)
    client = DynamoDBRequests("eu-west-1", "http://127.0.0.1:1", 1.0, 1.0, connections=1)
    with pytest.raises(NoCredentialsError):
        client.batch_get_item(**REQUEST)
