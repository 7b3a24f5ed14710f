"""The SDK's clients: endpoints, time-outs and connections as configured, no retries, and errors that are classified."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)

from lambda_fn.aws.batch_requests import Batches, ItemKey, StatementAnswer, is_transient
from lambda_fn.aws.clients import S3_CONNECTIONS, USER_AGENT, dynamodb_client, s3_client, sqs_client
from lambda_fn.errors import OutOfTime
from lambda_fn.guard.guard_table import guard_table
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.wiring import build
from testbed.server_process import free_port
from tests.fakes.clock import FakeClock
from tests.fakes.http_service import HTTPService, http_service
from tests.fakes.parallel import InTurn
from tests.fakes.sdk_session import new_sdk_session
from tests.fakes.settings import client_settings

READ: dict[str, Any] = {"RequestItems": {"guard": {"Keys": []}}}
ITEM: dict[str, Any] = {"pk": {"S": "a"}, "sk": {"S": "V"}}
KEY = ItemKey("a", "V")


@pytest.fixture
def service() -> Iterator[HTTPService]:
    with http_service() as running:
        yield running


@pytest.fixture
def new_session() -> Iterator[None]:
    with new_sdk_session():
        yield


def requests_to(service: HTTPService) -> dict[str, Callable[[], object]]:
    settings = client_settings(service.url)
    return {
        "dynamodb": lambda: dynamodb_client(settings, 2).batch_get_item(**READ),
        "sqs": lambda: sqs_client(settings, 2).send_message_batch(
            QueueUrl="q", Entries=[{"Id": "0", "MessageBody": "x"}]
        ),
        "s3": lambda: s3_client("eu-west-1", service.url, 5.0, 5.0).get_object(Bucket="lake", Key="a"),
    }


# --- endpoints -------------------------------------------------------------------------------------------------------


def endpoints(region: str) -> list[str]:
    settings = client_settings(region=region)
    clients: list[Any] = [dynamodb_client(settings, 1), sqs_client(settings, 1), s3_client(region, None, 1.0, 1.0)]
    return [client.meta.endpoint_url.removeprefix("https://") for client in clients]


@pytest.mark.parametrize(
    ("region", "domain"),
    [("eu-west-1", "amazonaws.com"), ("cn-north-1", "amazonaws.com.cn"), ("us-gov-west-1", "amazonaws.com")],
)
def test_endpoints_are_those_of_the_regions_partition(region: str, domain: str, new_session: None) -> None:
    assert endpoints(region) == [f"{name}.{region}.{domain}" for name in ("dynamodb", "sqs", "s3")]


def test_fips_endpoints_are_used(monkeypatch: pytest.MonkeyPatch, new_session: None) -> None:
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    names = ("dynamodb-fips", "sqs-fips", "s3-fips")
    assert endpoints("us-east-2") == [f"{name}.us-east-2.amazonaws.com" for name in names]


def test_dual_stack_endpoints_are_used(monkeypatch: pytest.MonkeyPatch, new_session: None) -> None:
    monkeypatch.setenv("AWS_USE_DUALSTACK_ENDPOINT", "true")
    assert endpoints("eu-west-1") == [
        "dynamodb.eu-west-1.api.aws",
        "sqs.eu-west-1.api.aws",
        "s3.dualstack.eu-west-1.amazonaws.com",
    ]


def test_the_endpoint_of_a_single_service_is_used(monkeypatch: pytest.MonkeyPatch, new_session: None) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    assert sqs_client(client_settings(), 1).meta.endpoint_url == "http://127.0.0.1:1"
    assert dynamodb_client(client_settings(), 1).meta.endpoint_url == "https://dynamodb.eu-west-1.amazonaws.com"


def test_the_settings_endpoint_overrides_all_others(monkeypatch: pytest.MonkeyPatch, new_session: None) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:1")
    assert sqs_client(client_settings("http://127.0.0.1:2"), 1).meta.endpoint_url == "http://127.0.0.1:2"


@pytest.mark.parametrize(
    ("endpoint_url", "url"),
    [
        (None, "https://lake--table-s3.s3.eu-west-1.amazonaws.com/a%20b"),
        ("http://localhost:1", "http://localhost:1/lake--table-s3/a%20b"),
    ],
)
def test_the_bucket_is_part_of_the_host_name_except_at_a_custom_endpoint(
    endpoint_url: str | None, url: str, service: HTTPService, new_session: None
) -> None:
    client = s3_client("eu-west-1", endpoint_url, 1.0, 1.0)
    sent: list[str] = []

    def send(request: Any, **_: Any) -> None:
        sent.append(request.url)
        raise ConnectionAbortedError

    client.meta.events.register("before-send.s3", send)
    with pytest.raises(ConnectionAbortedError):
        client.put_object(Bucket="lake--table-s3", Key="a b", Body=b"x")
    assert sent == [url]


# --- configuration ---------------------------------------------------------------------------------------------------


def test_time_outs_and_connections_are_those_of_the_settings() -> None:
    settings = client_settings(connect_timeout_seconds=1.5, read_timeout_seconds=2.5)
    clients: list[Any] = [
        dynamodb_client(settings, 7),
        sqs_client(settings, 7),
        s3_client("eu-west-1", None, 1.5, 2.5),
    ]
    for client, connections in zip(clients, (7, 7, S3_CONNECTIONS), strict=True):
        config = client.meta.config
        assert (config.connect_timeout, config.read_timeout, config.max_pool_connections) == (1.5, 2.5, connections)


def test_a_read_time_out_is_kept(service: HTTPService) -> None:
    service.delay_seconds = 0.5
    client = dynamodb_client(client_settings(service.url, read_timeout_seconds=0.1), 2)
    started = time.monotonic()
    with pytest.raises(ReadTimeoutError) as raised:
        client.batch_get_item(**READ)
    assert time.monotonic() - started < 0.5
    assert is_transient(raised.value)


def test_s3_has_one_client_for_each_configuration() -> None:
    client = s3_client("eu-west-1", None, 1.0, 1.0)
    assert s3_client("eu-west-1", None, 1.0, 1.0) is client
    assert s3_client("eu-west-1", None, 1.0, 1.0, "key", "secret") is not client


def test_credentials_are_looked_up_by_the_first_request(
    service: HTTPService, monkeypatch: pytest.MonkeyPatch, new_session: None
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    build(client_settings(service.url))
    for request in requests_to(service).values():
        with pytest.raises(NoCredentialsError):
            request()
    assert service.received == []


@pytest.mark.parametrize("name", ["dynamodb", "sqs", "s3"])
def test_requests_name_the_project(service: HTTPService, name: str) -> None:
    service.status = 400
    for request in [requests_to(service)[name]] * 2:
        with pytest.raises(ClientError):
            request()
    # Boto3 and Powertools add their own names.
    assert all(request.headers["user-agent"].startswith(f"{USER_AGENT} ") for request in service.received)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["dynamodb", "sqs", "s3"])
@pytest.mark.parametrize("status", [0, 400, 403, 500, 503])
def test_no_client_retries(service: HTTPService, name: str, status: int) -> None:
    service.status = status
    with pytest.raises((ClientError, ConnectionClosedError)):
        requests_to(service)[name]()
    assert len(service.received) == 1


@pytest.mark.parametrize(
    ("status", "body", "code", "transient"),
    [
        (400, b'{"__type": "com.amazonaws.dynamodb.v20120810#ThrottlingException"}', "ThrottlingException", True),
        (400, b'{"__type": "ThrottlingException:http://internal/"}', "ThrottlingException", True),
        (400, b'{"__type": "com.amazon.coral.validate#ValidationException"}', "ValidationException", False),
        (500, b'{"__type": "InternalServerError"}', "InternalServerError", True),
        (502, b"<html>Bad gateway</html>", "502", True),
        (503, b"", "503", True),
        (413, b"", "413", False),
        (301, b"", "301", False),
    ],
)
def test_a_refusal_has_its_code_and_is_classified(
    service: HTTPService, status: int, body: bytes, code: str, transient: bool
) -> None:
    service.status, service.body = status, body
    with pytest.raises(ClientError) as raised:
        requests_to(service)["dynamodb"]()
    error: Any = raised.value.response
    assert error["Error"]["Code"] == code
    assert error["ResponseMetadata"]["HTTPStatusCode"] == status
    assert is_transient(raised.value) is transient
    assert len(service.received) == 1


def test_a_closed_connection_is_transient(service: HTTPService) -> None:
    service.status = 0
    with pytest.raises(ConnectionClosedError) as raised:
        requests_to(service)["dynamodb"]()
    assert is_transient(raised.value)


def test_a_refused_connection_is_transient() -> None:
    client = dynamodb_client(client_settings(f"http://127.0.0.1:{free_port()}"), 1)
    with pytest.raises(EndpointConnectionError) as raised:
        client.batch_get_item(**READ)
    assert is_transient(raised.value)


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"Respon', b"{}"])
def test_an_answer_that_cannot_be_parsed_confirms_nothing(service: HTTPService, body: bytes) -> None:
    """The SDK raises nothing for such an answer, and returns one without content."""
    service.body = body
    batches, clock = batches_over(service)
    deadline = Deadline.after(clock, 12)
    assert batches.put([ITEM], deadline) == set()
    assert len(service.received) > 1, "it was sent again"
    answers = batches.execute([("INSERT", [])], Deadline.after(clock, 12))
    assert answers == [StatementAnswer("NoAnswer", "the answer could not be parsed")]
    with pytest.raises(OutOfTime):
        batches.get([KEY], Deadline.after(clock, 12))


def test_an_answer_that_can_be_parsed_confirms_a_put(service: HTTPService) -> None:
    service.body = b'{"UnprocessedItems": {}}'
    batches, clock = batches_over(service)
    assert batches.put([ITEM], Deadline.after(clock, 12)) == {KEY}
    assert len(service.received) == 1


def batches_over(service: HTTPService) -> tuple[Batches, FakeClock]:
    clock = FakeClock()
    client = dynamodb_client(client_settings(service.url), 1)
    return Batches(client, guard_table("guard"), Retry(clock, random.Random(1)), InTurn()), clock


def test_half_a_surrogate_pair_can_be_sent_to_a_queue(service: HTTPService) -> None:
    """An event that is not a sale may contain one; only JSON can carry it."""
    client = sqs_client(client_settings(service.url), 1)
    client.send_message_batch(QueueUrl="q", Entries=[{"Id": "0", "MessageBody": "\ud83d"}])
    assert rb"\ud83d" in service.received[0].body
