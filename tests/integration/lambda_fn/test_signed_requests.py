"""Requests that the project signs itself, against an emulator that verifies signatures: objects, and the catalog."""

from __future__ import annotations

import json
import socket
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

import boto3
import pytest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, EndpointConnectionError

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import connect
from catalog_config.provision import ensure_table
from catalog_config.s3_objects import S3Objects
from lambda_fn.json_requests import DynamoDBRequests, SQSRequests
from testbed.dynamodb_tables import create_tables
from testbed.emulator import ACCESS_KEY, REGION, SECRET_KEY, emulator
from testbed.server_process import free_port
from tests.engines.fixtures import make_bucket

BUCKET = "objects"
CONTENT = b"content" * 1000
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
KEYS = [
    "data/tenant_id=t1/year=2026/month=3/00.parquet",
    "data/tenant_id=a b+c%20d/é~ü.parquet",
    "'quoted'(*)!/x&y=1;z,@:$",
    "//doubled//",
    "with?question=mark",
]


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An emulator that verifies signatures, with a bucket."""
    with emulator(tmp_path_factory.mktemp("strict"), verifies_signatures=True) as process:
        make_bucket(process.url, BUCKET)
        yield process.url


@pytest.fixture(scope="module")
def user(endpoint: str) -> Credentials:
    """Credentials of a user who may do everything, if the signature is right."""
    client = boto3.client("iam", endpoint_url=endpoint, region_name=REGION)
    client.create_user(UserName="writer")
    client.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    key = client.create_access_key(UserName="writer")["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture(scope="module")
def objects(endpoint: str, user: Credentials) -> S3Objects:
    return S3Objects(REGION, endpoint, user, 5.0, 20.0)


@pytest.mark.parametrize("key", KEYS)
def test_what_is_put_is_got(objects: S3Objects, endpoint: str, key: str) -> None:
    location = f"s3://{BUCKET}/{key}"
    objects.put(location, CONTENT)
    assert objects.get(location) == CONTENT
    assert objects.size_bytes(location) == len(CONTENT)
    sdk = boto3.client("s3", endpoint_url=endpoint, region_name=REGION)
    assert sdk.get_object(Bucket=BUCKET, Key=key)["Body"].read() == CONTENT


def test_the_end_of_a_request_does_not_wait(endpoint: str, user: Credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    nodelay: list[int] = []

    def set_options(connected: socket.socket, options: Sequence[tuple[int, int, int]]) -> None:
        for option in options:
            connected.setsockopt(*option)
        nodelay.append(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    monkeypatch.setattr("urllib3.util.connection._set_socket_options", set_options)
    S3Objects(REGION, endpoint, user, 5.0, 20.0).put(f"s3://{BUCKET}/at-once", CONTENT)
    assert nodelay
    assert all(nodelay)


def test_what_is_not_there_is_no_file(objects: S3Objects) -> None:
    for location in (f"s3://{BUCKET}/nothing", "s3://no-bucket/nothing"):
        with pytest.raises(FileNotFoundError):
            objects.get(location)
        with pytest.raises(FileNotFoundError):
            objects.size_bytes(location)
    with pytest.raises(FileNotFoundError, match="no-bucket") as caught:
        objects.put("s3://no-bucket/new", CONTENT)
    assert isinstance(caught.value.__cause__, ClientError)
    assert caught.value.__cause__.response["Error"]["Code"] == "NoSuchBucket"


def test_a_wrong_signature_is_refused_with_s3s_own_code(endpoint: str, user: Credentials) -> None:
    objects = S3Objects(REGION, endpoint, Credentials(user.access_key, "wrong"), 5.0, 20.0)
    with pytest.raises(ClientError, match="Signature") as caught:
        objects.put(f"s3://{BUCKET}/forbidden", CONTENT)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError, match="403"):
        objects.size_bytes(f"s3://{BUCKET}/forbidden")


def test_no_answer_is_the_error_of_an_sdk_client(user: Credentials) -> None:
    objects = S3Objects(REGION, f"http://127.0.0.1:{free_port()}", user, 5.0, 20.0)
    with pytest.raises(EndpointConnectionError):
        objects.get(f"s3://{BUCKET}/x")


@pytest.mark.parametrize(
    ("region", "endpoint_url", "location", "url"),
    [
        ("eu-west-1", None, "s3://lake--table-s3/a b", "https://lake--table-s3.s3.eu-west-1.amazonaws.com/a%20b"),
        ("eu-west-1", None, "s3://with.dots/a", "https://s3.eu-west-1.amazonaws.com/with.dots/a"),
        ("cn-north-1", None, "s3://lake/a", "https://lake.s3.cn-north-1.amazonaws.com.cn/a"),
        ("eu-west-1", "http://localhost:1/", "s3://lake/a/b", "http://localhost:1/lake/a/b"),
    ],
)
def test_the_address_of_an_object(region: str, endpoint_url: str | None, location: str, url: str) -> None:
    assert S3Objects(region, endpoint_url, Credentials("a", "b"), 1.0, 1.0).url(location) == url


@pytest.mark.parametrize("location", ["s3://lake--table-s3/data/a b+c.parquet", "s3://with.dots/a"])
def test_an_address_is_that_of_an_sdk_client(location: str) -> None:
    bucket, _, key = location.removeprefix("s3://").partition("/")
    client = boto3.client("s3", region_name=REGION, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)
    url, _, _ = client.generate_presigned_url("get_object", {"Bucket": bucket, "Key": key}).partition("?")
    assert S3Objects(REGION, None, Credentials("a", "b"), 1.0, 1.0).url(location) in (
        url,
        # A presigned address may leave the region out.
        url.replace("s3.amazonaws.com", f"s3.{REGION}.amazonaws.com"),
    )


def test_requests_to_the_catalog_carry_a_valid_signature(endpoint: str, user: Credentials) -> None:
    bucket = boto3.client("s3tables", endpoint_url=endpoint, region_name=REGION)
    arn = bucket.create_table_bucket(name=f"lake-{uuid.uuid4().hex[:8]}")["arn"]
    config = CatalogConfig(
        CatalogKind.S3_TABLES,
        REGION,
        arn,
        endpoint_url=endpoint,
        access_key_id=user.access_key,
        secret_access_key=user.secret_key,
        read_timeout_seconds=20.0,
    )
    ensure_table(connect(config), "signed", "sales")
    assert connect(config).load_table(("signed", "sales")).schema().fields
    assert connect(config).list_tables("signed") == [("signed", "sales")]
    with pytest.raises(Exception, match="Signature"):
        connect(replace(config, secret_access_key="wrong")).load_table(("signed", "sales"))


def test_requests_to_dynamodb_and_sqs_carry_a_valid_signature(
    endpoint: str, user: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = boto3.client("sqs", endpoint_url=endpoint, region_name=REGION).create_queue(QueueName="letters")["QueueUrl"]
    names = ("guard", "projection")
    create_tables(boto3.client("dynamodb", endpoint_url=endpoint, region_name=REGION), *names)

    def ask() -> None:
        tables = DynamoDBRequests(REGION, endpoint, 5.0, 20.0, 1)
        found = tables.batch_get_item(RequestItems={"guard": {"Keys": [{"pk": {"S": "é"}, "sk": {"S": "b"}}]}})
        assert found["Responses"] == {"guard": []}
        queues = SQSRequests(REGION, endpoint, 5.0, 20.0, 1)
        answer = queues.send_message_batch(QueueUrl=queue, Entries=[{"Id": "0", "MessageBody": "é"}])
        assert [entry["Id"] for entry in answer["Successful"]] == ["0"]

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", user.secret_key)
    ask()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(ClientError, match="ignature"):
        ask()
