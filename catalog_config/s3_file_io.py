"""Reading and writing table files on Amazon S3: one request for a read, one for a write.

pyiceberg's own file access asks for a file's size before it reads it, and uploads in parts however small the file is:
13 requests for one append, nearly all in sequence. A table file that a writer of this size makes, or reads again, fits
into memory, so each is one GET or one PUT here. It is set through pyiceberg's ``py-io-impl`` property.
"""

from __future__ import annotations

import io
from functools import lru_cache
from types import TracebackType

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

from catalog_config.aws import credentials
from catalog_config.connect import CONNECT_TIMEOUT, ENDPOINT_URL, READ_TIMEOUT, REGION
from catalog_config.s3_objects import S3Objects


class S3FileIO(FileIO):
    """pyiceberg's file access, by whole objects.

    The endpoint is the catalog configuration's or S3's own, never one that a catalog vends: an override of the AWS
    endpoint has to hold for every client. Credentials that a catalog vends with a table are used; else the SDK's.
    """

    def __init__(self, properties: Properties = EMPTY_DICT) -> None:
        super().__init__(properties)
        self._objects = _objects(
            properties[REGION],
            properties.get(ENDPOINT_URL),
            properties.get(S3_ACCESS_KEY_ID) or properties.get(AWS_ACCESS_KEY_ID),
            properties.get(S3_SECRET_ACCESS_KEY) or properties.get(AWS_SECRET_ACCESS_KEY),
            properties.get(S3_SESSION_TOKEN) or properties.get(AWS_SESSION_TOKEN),
            float(properties[CONNECT_TIMEOUT]),
            float(properties[READ_TIMEOUT]),
        )

    def new_input(self, location: str) -> InputFile:
        """Return a file to read."""
        return _S3Object(location, self._objects)

    def new_output(self, location: str) -> OutputFile:
        """Return a file to write."""
        return _NewS3Object(location, self._objects)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Refuse: a file whose commit is not known to have failed for good is never deleted by a writer."""
        raise PermissionError(f"{location}: S3 Tables deletes what is not referenced; a writer does not")


@lru_cache(maxsize=8)
def _objects(
    region: str,
    endpoint_url: str | None,
    access_key_id: str | None,
    secret_access_key: str | None,
    session_token: str | None,
    connect_timeout_seconds: float,
    read_timeout_seconds: float,
) -> S3Objects:
    """Return one pool of connections for each way of reaching S3: a table that is loaded anew has a new FileIO."""
    signing = credentials(access_key_id, secret_access_key, session_token)
    return S3Objects(region, endpoint_url, signing, connect_timeout_seconds, read_timeout_seconds)


class _S3Object(InputFile):
    def __init__(self, location: str, objects: S3Objects) -> None:
        super().__init__(location)
        self._objects = objects

    def __len__(self) -> int:
        return self._objects.size_bytes(self.location)

    def exists(self) -> bool:
        try:
            len(self)
        except FileNotFoundError:
            return False
        return True

    def open(self, seekable: bool = True) -> InputStream:
        return io.BytesIO(self._objects.get(self.location))


class _NewS3Object(OutputFile):
    def __init__(self, location: str, objects: S3Objects) -> None:
        super().__init__(location)
        self._objects = objects

    def __len__(self) -> int:
        return len(self.to_input_file())

    def exists(self) -> bool:
        return self.to_input_file().exists()

    def to_input_file(self) -> InputFile:
        return _S3Object(self.location, self._objects)

    def create(self, overwrite: bool = False) -> OutputStream:
        if not overwrite and self.exists():
            raise FileExistsError(self.location)
        return _Upload(self)

    def put(self, content: bytes) -> None:
        self._objects.put(self.location, content)


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
