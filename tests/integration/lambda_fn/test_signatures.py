"""Requests to an emulator that verifies signatures: DynamoDB, SQS, S3 and the catalog."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import catalog_properties, connect
from catalog_config.provision import ensure_table
from lambda_fn.aws.clients import dynamodb_client, sqs_client
from lambda_fn.aws.s3_file_io import S3FileIO
from lambda_fn.settings import FILE_IO
from testbed.dynamodb.tables import create_tables
from testbed.emulator import REGION, emulator
from tests.engines.fixtures import make_bucket
from tests.fakes.sdk_session import new_sdk_session
from tests.fakes.settings import client_settings

EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
BUCKET = "objects"


@dataclass(frozen=True)
class User:
    """Who may do everything, if the signature is right."""

    access_key_id: str
    secret_access_key: str


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with emulator(tmp_path_factory.mktemp("strict"), verifies_signatures=True) as process:
        make_bucket(process.url, BUCKET)
        yield process.url


@pytest.fixture(scope="module")
def user(endpoint: str) -> User:
    client = boto3.client("iam", endpoint_url=endpoint, region_name=REGION)
    client.create_user(UserName="writer")
    client.put_user_policy(UserName="writer", PolicyName="all", PolicyDocument=json.dumps(EVERYTHING))
    key = client.create_access_key(UserName="writer")["AccessKey"]
    return User(key["AccessKeyId"], key["SecretAccessKey"])


@pytest.fixture
def config(endpoint: str, user: User) -> CatalogConfig:
    """A new table bucket, with the user's key."""
    client = boto3.client("s3tables", endpoint_url=endpoint, region_name=REGION)
    return CatalogConfig(
        CatalogKind.S3_TABLES,
        REGION,
        client.create_table_bucket(name=f"lake-{uuid.uuid4().hex[:8]}")["arn"],
        endpoint_url=endpoint,
        access_key_id=user.access_key_id,
        secret_access_key=user.secret_access_key,
        read_timeout_seconds=20.0,
        file_io=FILE_IO,
    )


def test_requests_to_the_catalog_are_signed(config: CatalogConfig) -> None:
    ensure_table(connect(config), "signed", "sales")
    assert connect(config).load_table(("signed", "sales")).schema().fields
    assert connect(config).list_tables("signed") == [("signed", "sales")]
    with pytest.raises(Exception, match="Signature"):
        connect(replace(config, secret_access_key="wrong")).load_table(("signed", "sales"))


def test_requests_for_files_are_signed(config: CatalogConfig) -> None:
    location = f"s3://{BUCKET}/signed"
    files = S3FileIO(catalog_properties(config))
    with files.new_output(location).create(overwrite=True) as stream:
        stream.write(b"content")
    assert files.new_input(location).open().read() == b"content"
    forged = S3FileIO(catalog_properties(replace(config, secret_access_key="wrong")))
    with pytest.raises(ClientError, match="Signature") as caught:
        forged.new_input(location).open().read()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    with pytest.raises(ClientError, match="403"):
        len(forged.new_input(location))


def test_requests_to_dynamodb_and_sqs_are_signed(endpoint: str, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = boto3.client("sqs", endpoint_url=endpoint, region_name=REGION).create_queue(QueueName="letters")["QueueUrl"]
    create_tables(boto3.client("dynamodb", endpoint_url=endpoint, region_name=REGION), "guard", "projection")

    def send() -> None:
        settings = client_settings(endpoint, read_timeout_seconds=20.0)
        found = dynamodb_client(settings, 1).batch_get_item(
            RequestItems={"guard": {"Keys": [{"pk": {"S": "é"}, "sk": {"S": "b"}}]}}
        )
        assert found["Responses"] == {"guard": []}
        entries: list[Any] = [{"Id": "0", "MessageBody": "é"}]
        answer = sqs_client(settings, 1).send_message_batch(QueueUrl=queue, Entries=entries)
        assert [entry["Id"] for entry in answer["Successful"]] == ["0"]

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", user.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", user.secret_access_key)
    with new_sdk_session():
        send()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with new_sdk_session(), pytest.raises(ClientError, match="ignature"):
        send()
