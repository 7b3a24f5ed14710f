"""Reading and writing table files on Amazon S3: one request for a read, one for a write.

pyiceberg's own file access asks for a file's size before it reads it, and uploads in parts however small the file is:
13 requests for one append, nearly all in sequence. A table file that a writer of this size makes, or reads again, fits
into memory, so each is one GET or one PUT here. It is set through pyiceberg's ``py-io-impl`` property.
"""

from __future__ import annotations

import io
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from pyiceberg.io import (
    S3_ACCESS_KEY_ID,
    S3_SECRET_ACCESS_KEY,
    S3_SESSION_TOKEN,
    FileIO,
    InputFile,
    InputStream,
    OutputFile,
    OutputStream,
)
from pyiceberg.typedef import EMPTY_DICT, Properties

from catalog_config.connect import CONNECT_TIMEOUT, ENDPOINT_URL, READ_TIMEOUT, REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# As many as one commit sends at the same time, and room for a reader beside it.
POOL_CONNECTIONS: Final = 32
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class S3FileIO(FileIO):
    """pyiceberg's file access, by whole objects.

    The endpoint is the catalog configuration's or S3's own, never one that a catalog vends: an override of the AWS
    endpoint has to hold for every client. Credentials that a catalog vends with a table are used; else the SDK's.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._client = _client(
            properties.get(REGION),
            properties.get(ENDPOINT_URL),
            properties.get(S3_ACCESS_KEY_ID) or properties.get("client.access-key-id"),
            properties.get(S3_SECRET_ACCESS_KEY) or properties.get("client.secret-access-key"),
            properties.get(S3_SESSION_TOKEN) or properties.get("client.session-token"),
            float(properties.get(CONNECT_TIMEOUT, 2.0)),
            float(properties.get(READ_TIMEOUT, 10.0)),
        )

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        return _S3Object(location, self._client)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return _NewS3Object(location, self._client)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Refuse: a file whose commit is not known to have failed for good is never deleted by a writer."""
        raise PermissionError(f"{location}: S3 Tables deletes what is not referenced; a writer does not")


@lru_cache(maxsize=8)
def _client(
    region: str | None,
    endpoint_url: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
    session_token: str | None,
    connect_timeout_seconds: float,
    read_timeout_seconds: float,
) -> S3Client:
    """Return one client for each way of reaching S3: pyiceberg makes a new FileIO each time it loads the table."""
    session = boto3.Session(
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        aws_session_token=session_token,
        region_name=region,
    )
    config = Config(
        connect_timeout=connect_timeout_seconds,
        read_timeout=read_timeout_seconds,
        retries={"total_max_attempts": 1},
        max_pool_connections=POOL_CONNECTIONS,
        s3={"addressing_style": "path"} if endpoint_url else {},
    )
    return session.client("s3", endpoint_url=endpoint_url, config=config)


def _bucket_and_key(location: str) -> tuple[str, str]:
    parts = urlsplit(location, allow_fragments=False)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return parts.netloc, path.lstrip("/")


class _S3Object(InputFile):
    def __init__(self, location: str, client: S3Client) -> None:
        super().__init__(location)
        self._bucket, self._key = _bucket_and_key(location)
        self._client = client

    def __len__(self) -> int:
        return self._client.head_object(Bucket=self._bucket, Key=self._key)["ContentLength"]

    def exists(self) -> bool:
        try:
            len(self)
        except self._client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return False
            raise
        return True

    def open(self, seekable: bool = True) -> InputStream:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key)
        except self._client.exceptions.NoSuchKey as error:
            raise FileNotFoundError(self.location) from error
        return io.BytesIO(answer["Body"].read())


class _NewS3Object(OutputFile):
    def __init__(self, location: str, client: S3Client) -> None:
        super().__init__(location)
        self._bucket, self._key = _bucket_and_key(location)
        self._client = client

    def __len__(self) -> int:
        return len(self.to_input_file())

    def exists(self) -> bool:
        return self.to_input_file().exists()

    def to_input_file(self) -> InputFile:
        return _S3Object(self.location, self._client)

    def create(self, overwrite: bool = False) -> OutputStream:
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        return _Upload(self)

    def put(self, content: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._key, Body=content)


class _Upload(io.BytesIO):
    """Collects what is written, and sends it as one object when it is closed, unless writing it failed."""

    def __init__(self, target: _NewS3Object) -> None:
        super().__init__()
        self._target = target

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._target.put(content)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            super().close()
        else:
            self.close()
