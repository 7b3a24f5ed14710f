"""pyiceberg's access to table files on Amazon S3: one PUT to write a file, ranged GETs to read one.

pyiceberg's own file access uploads in parts and asks for sizes first, however small a file is: 13 requests for one
append. It loads this class by the name in its ``py-io-impl`` property.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from pyiceberg.io import (
    AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
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
from lambda_fn.aws.clients import s3_client

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

TAIL_BYTES: Final = 256 * 1024
"""Read in one request when a reader seeks from the end: a Parquet footer, or the whole of a small file."""


class S3FileIO(FileIO):
    """Reads and writes files named ``s3://BUCKET/KEY``.

    The endpoint is the catalog configuration's or the SDK's own, never one that the catalog vends: an override of the
    endpoint has to hold for every client. Credentials that the catalog vends for a table are used; otherwise the
    SDK's.

    Every file operation raises FileNotFoundError where S3 answers 404, and otherwise botocore's own errors.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._client = s3_client(
            properties[REGION],
            properties.get(ENDPOINT_URL),
            float(properties[CONNECT_TIMEOUT]),
            float(properties[READ_TIMEOUT]),
            properties.get(S3_ACCESS_KEY_ID) or properties.get(AWS_ACCESS_KEY_ID),
            properties.get(S3_SECRET_ACCESS_KEY) or properties.get(AWS_SECRET_ACCESS_KEY),
            properties.get(S3_SESSION_TOKEN) or properties.get(AWS_SESSION_TOKEN),
        )

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        return _S3File(location, self._client)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return _S3File(location, self._client)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Refuse: a writer never deletes a file, because the commit that names it may still take effect."""
        raise PermissionError(f"{location}: S3 Tables deletes unreferenced files; a writer deletes none")


class _S3File(InputFile, OutputFile):
    """An object on S3, to be read or written."""

    def __init__(self, location: str, client: S3Client) -> None:
        super().__init__(location)
        self._client = client
        self._bucket, _, self._key = location.partition("://")[2].partition("/")

    def __len__(self) -> int:
        with self._errors():
            return self._client.head_object(Bucket=self._bucket, Key=self._key)["ContentLength"]

    def exists(self) -> bool:
        try:
            len(self)
        except FileNotFoundError:
            return False
        return True

    def to_input_file(self) -> InputFile:
        return self

    def open(self, seekable: bool = True) -> InputStream:
        return _S3Reader(self)

    def create(self, overwrite: bool = False) -> OutputStream:
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        return _S3Writer(self)

    def put(self, content: bytes) -> None:
        """Write the object with one request. After an error it may exist or not, but never in part."""
        with self._errors():
            self._client.put_object(Bucket=self._bucket, Key=self._key, Body=content)

    def get(self, byte_range: str | None = None) -> tuple[bytes, int]:
        """Return the content, or a range of it ("0-9", "5-", "-100"), and the size of the whole object in bytes."""
        ranged: Any = {"Range": f"bytes={byte_range}"} if byte_range else {}
        try:
            with self._errors():
                response = self._client.get_object(Bucket=self._bucket, Key=self._key, **ranged)
                content = response["Body"].read()
        except ClientError as error:
            if _status(error) == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # the range begins behind the end
                return b"", len(self)
            raise
        total = response.get("ContentRange", "").rpartition("/")[2]
        return content, int(total) if total else len(content)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if _status(error) == HTTPStatus.NOT_FOUND:
                raise FileNotFoundError(self.location) from error
            raise


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


class _S3Reader(io.RawIOBase):
    """Reads an object: all of it with one GET, or the ranges that are asked for.

    ``_end`` holds the last bytes of the object once they are known, and ``_size`` its size.
    """

    def __init__(self, file: _S3File) -> None:
        super().__init__()
        self._file = file
        self._position = 0
        self._size: int | None = None
        self._end = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence)
        position = (self._find_end() if start is None else start) + offset
        if position < 0:
            raise ValueError(f"negative seek position {position}")
        self._position = position
        return position

    def readall(self) -> bytes:
        if self._size is None and self._position == 0:
            self._end, self._size = self._file.get()
        return self._advance(self._read(self._position, self._find_end()))

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        content = self._advance(self._read(self._position, self._position + len(view)))
        view[: len(content)] = content
        return len(content)

    def _read(self, start: int, stop: int) -> bytes:
        if self._size is not None:
            stop = min(stop, self._size)
            end_start = self._size - len(self._end)
            if start >= end_start:
                return self._end[start - end_start : stop - end_start]
        if start >= stop:
            return b""
        content, self._size = self._file.get(f"{start}-{stop - 1}")
        return content

    def _find_end(self) -> int:
        if self._size is None:
            self._end, self._size = self._file.get(f"-{TAIL_BYTES}")
        return self._size

    def _advance(self, content: bytes) -> bytes:
        self._position += len(content)
        return content


class _S3Writer(io.BytesIO):
    """Collects what is written, and sends it as one object when it is closed, unless writing failed."""

    def __init__(self, file: _S3File) -> None:
        super().__init__()
        self._file = file

    def close(self) -> None:
        if not self.closed:
            content = self.getvalue()
            super().close()
            self._file.put(content)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            super().close()
        else:
            self.close()
