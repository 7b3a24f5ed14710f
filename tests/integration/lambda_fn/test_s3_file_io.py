"""Table files on the emulator's S3 and on an S3 server: contents, and the requests that reading and writing take."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from pyiceberg.io import InputStream

from catalog_config.config import CatalogConfig, CatalogKind
from catalog_config.connect import catalog_properties
from lambda_fn.aws.clients import s3_client
from lambda_fn.aws.s3_file_io import TAIL_BYTES, S3FileIO
from testbed.emulator import REGION
from testbed.server_process import free_port
from tests.engines.fixtures import make_bucket

CONTENT = bytes(range(256)) * 4 * 1024
KEYS = [
    "data/tenant_id=t1/year=2026/month=3/00.parquet",
    "data/tenant_id=a b+c%20d/é~ü.parquet",
    "'quoted'(*)!/x&y=1;z,@:$",
    "with?question=mark",
]


def file_io(endpoint: str, **properties: str) -> S3FileIO:
    config = CatalogConfig(CatalogKind.S3_TABLES, REGION, "warehouse", endpoint_url=endpoint)
    return S3FileIO({**catalog_properties(config), **properties})


@pytest.fixture(scope="module", params=["emulator", pytest.param("versitygw", marks=pytest.mark.engine)])
def endpoint(request: pytest.FixtureRequest) -> str:
    """Each S3 server in turn."""
    found: str = request.getfixturevalue(f"{request.param}_endpoint")
    return found


@pytest.fixture(scope="module")
def bucket(endpoint: str) -> str:
    name = f"files-{uuid.uuid4().hex[:12]}"
    make_bucket(endpoint, name)
    return name


@pytest.fixture
def files(endpoint: str) -> S3FileIO:
    return file_io(endpoint)


@pytest.fixture
def requests(endpoint: str) -> Iterator[list[str]]:
    """The requests that the client of S3 sends: the method, and the range for a GET of a part."""
    client = s3_client(REGION, endpoint, 1.0, 5.0, None, None, None)
    sent: list[str] = []

    def note(request: Any, **_: Any) -> None:
        byte_range = request.headers.get("Range", b"").decode()
        sent.append(f"{request.method} {byte_range}".strip())

    client.meta.events.register("before-send.s3", note)
    yield sent
    client.meta.events.unregister("before-send.s3", note)


def location(bucket: str, content: bytes | None = None, files: S3FileIO | None = None) -> str:
    """Return a new location, where the content is stored if there is any."""
    name = f"s3://{bucket}/{uuid.uuid4().hex}"
    if files is not None and content is not None:
        write(files, name, content)
    return name


def write(files: S3FileIO, name: str, content: bytes) -> None:
    with files.new_output(name).create(overwrite=True) as stream:
        stream.write(content)


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", KEYS)
def test_a_file_is_read_as_it_was_written(files: S3FileIO, bucket: str, endpoint: str, key: str) -> None:
    name = f"s3://{bucket}/{key}"
    write(files, name, CONTENT)
    source = files.new_input(name)
    assert source.open().read() == CONTENT
    assert len(source) == len(CONTENT)
    assert source.exists()
    sdk = boto3.client("s3", endpoint_url=endpoint, region_name=REGION)
    assert sdk.get_object(Bucket=bucket, Key=key)["Body"].read() == CONTENT


def test_a_key_may_have_empty_parts(emulator_endpoint: str) -> None:
    """On the emulator: versitygw keeps objects as files, whose paths have none."""
    make_bucket(emulator_endpoint, bucket := f"parts-{uuid.uuid4().hex[:12]}")
    name, files = f"s3://{bucket}///doubled//", file_io(emulator_endpoint)
    write(files, name, CONTENT)
    assert files.new_input(name).open().read() == CONTENT
    sdk = boto3.client("s3", endpoint_url=emulator_endpoint, region_name=REGION)
    assert sdk.get_object(Bucket=bucket, Key="//doubled//")["Body"].read() == CONTENT


def test_a_file_is_written_with_one_request(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    write(files, location(bucket), b"x" * 9_000_000)
    assert requests == ["PUT"]


def test_a_file_that_could_not_be_written_is_not_uploaded(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    stream = files.new_output(location(bucket)).create(overwrite=True)
    with pytest.raises(ValueError, match="broken"), stream:
        raise ValueError("broken")
    assert requests == []


def test_an_existing_file_is_overwritten_only_on_request(files: S3FileIO, bucket: str) -> None:
    name = location(bucket, b"old", files)
    target = files.new_output(name)
    with pytest.raises(FileExistsError):
        target.create()
    assert (target.exists(), len(target)) == (True, 3)
    write(files, name, b"new!")
    assert target.to_input_file().open().read() == b"new!"


def test_nothing_is_deleted(files: S3FileIO, bucket: str) -> None:
    name = location(bucket, b"kept", files)
    with pytest.raises(PermissionError, match="a writer deletes none"):
        files.delete(name)
    assert files.new_input(name).exists()


# --- reading ---------------------------------------------------------------------------------------------------------


def test_a_whole_file_is_one_request(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    stream = files.new_input(location(bucket, CONTENT, files)).open()
    requests.clear()
    assert stream.read() == CONTENT
    assert stream.read() == b""
    stream.seek(10)
    assert stream.read(5) == CONTENT[10:15]
    assert requests == ["GET"]


def test_ranges_are_read_where_the_reader_seeks(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    stream: Any = files.new_input(location(bucket, CONTENT, files)).open()
    requests.clear()
    assert stream.seek(1000) == 1000
    assert stream.read(10) == CONTENT[1000:1010]
    assert stream.tell() == 1010
    assert stream.seek(-5, io.SEEK_CUR) == 1005
    assert stream.read(3) == CONTENT[1005:1008]
    assert requests == ["GET bytes=1000-1009", "GET bytes=1005-1007"]


def test_the_end_of_a_file_is_one_request(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    stream = files.new_input(location(bucket, CONTENT, files)).open()
    requests.clear()
    assert stream.seek(0, io.SEEK_END) == len(CONTENT)
    stream.seek(-8, io.SEEK_END)
    assert stream.read(8) == CONTENT[-8:]
    stream.seek(-TAIL_BYTES, io.SEEK_END)
    assert stream.read(100) == CONTENT[-TAIL_BYTES:][:100]
    assert requests == [f"GET bytes=-{TAIL_BYTES}"]
    stream.seek(-TAIL_BYTES - 1, io.SEEK_END)
    assert stream.read(2) == CONTENT[-TAIL_BYTES - 1 :][:2]
    assert len(requests) == 2


def test_a_small_file_is_one_request_however_it_is_read(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    sink = io.BytesIO()
    pq.write_table(pa.table({"a": list(range(100)), "b": ["x"] * 100}), sink)
    stream = files.new_input(location(bucket, sink.getvalue(), files)).open()
    requests.clear()
    assert pq.read_table(stream, columns=["a"])["a"].to_pylist() == list(range(100))
    assert requests == [f"GET bytes=-{TAIL_BYTES}"]


def test_one_column_of_a_large_file_is_not_the_whole_file(files: S3FileIO, bucket: str, requests: list[str]) -> None:
    rows = 100_000
    sink = io.BytesIO()
    table = pa.table({"wide": [uuid.uuid4().hex for _ in range(rows)], "narrow": list(range(rows))})
    pq.write_table(table, sink, use_dictionary=False, compression="none")
    stream = files.new_input(location(bucket, sink.getvalue(), files)).open()
    requests.clear()
    assert pq.read_metadata(stream).num_rows == rows
    assert requests == [f"GET bytes=-{TAIL_BYTES}"], "the footer"
    assert pq.read_table(stream, columns=["narrow"])["narrow"].to_pylist() == list(range(rows))
    ranges = [request.removeprefix("GET bytes=").split("-") for request in requests[1:]]
    assert 1 <= len(ranges) <= 2
    assert sum(int(stop) - int(start) + 1 for start, stop in ranges) < 9 * rows < len(sink.getvalue()) / 4


@pytest.mark.parametrize("content", [b"", b"short"])
def test_reading_ends_at_the_end_of_the_file(files: S3FileIO, bucket: str, content: bytes) -> None:
    name = location(bucket, content, files)

    def opened() -> InputStream:
        return files.new_input(name).open()

    assert opened().read() == content
    assert opened().read(100) == content
    assert opened().seek(0, io.SEEK_END) == len(content)
    stream = opened()
    assert stream.seek(100) == 100
    assert stream.read(10) == stream.read() == b""
    assert stream.seek(0, io.SEEK_END) == len(content)
    with pytest.raises(ValueError, match="negative"):
        stream.seek(-100, io.SEEK_END)
    raw: Any = opened()
    buffered = io.BufferedReader(raw, 2)
    assert b"".join(iter(lambda: buffered.read(2), b"")) == content


# --- failures --------------------------------------------------------------------------------------------------------


def test_a_missing_file_or_bucket_is_not_found(files: S3FileIO, bucket: str) -> None:
    for name in (f"s3://{bucket}/nothing", "s3://no-bucket/nothing"):
        source = files.new_input(name)
        assert not source.exists()
        for read in (lambda it=source: it.open().read(), source.__len__):
            with pytest.raises(FileNotFoundError, match="nothing"):
                read()
    with pytest.raises(FileNotFoundError, match="no-bucket") as caught:
        write(files, "s3://no-bucket/new", CONTENT)
    assert isinstance(caught.value.__cause__, ClientError)
    assert caught.value.__cause__.response["Error"]["Code"] == "NoSuchBucket"


def test_a_refused_connection_is_the_sdks_error() -> None:
    with pytest.raises(EndpointConnectionError):
        file_io(f"http://127.0.0.1:{free_port()}").new_input("s3://lake/x").open().read()


# --- what a catalog vends --------------------------------------------------------------------------------------------


def test_an_endpoint_that_a_catalog_vends_is_not_used(bucket: str, endpoint: str) -> None:
    vended = file_io(endpoint, **{"s3.endpoint": f"http://127.0.0.1:{free_port()}"})
    assert vended.new_input(location(bucket, CONTENT, vended)).open().read() == CONTENT


def test_credentials_that_a_catalog_vends_are_used(emulator_endpoint: str) -> None:
    """On the emulator, which accepts any: versitygw refuses a token that it did not issue."""
    make_bucket(emulator_endpoint, bucket := f"vended-{uuid.uuid4().hex[:12]}")
    properties = {"s3.access-key-id": "vended", "s3.secret-access-key": "secret", "s3.session-token": "token"}
    vended = file_io(emulator_endpoint, **properties)
    client = s3_client(REGION, emulator_endpoint, 1.0, 5.0, "vended", "secret", "token")
    headers: list[Any] = []
    client.meta.events.register("before-send.s3", lambda request, **_: headers.append(request.headers))
    location(bucket, CONTENT, vended)
    (sent,) = headers
    assert b"Credential=vended/" in sent["Authorization"]
    assert sent["X-Amz-Security-Token"] == b"token"
