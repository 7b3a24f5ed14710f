"""Whole objects on Amazon S3: one signed request each."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSResponse
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from catalog_config.signed_requests import OK, Service, SignedRequests

# As many as one commit sends at the same time, and room for a reader beside it.
POOL_CONNECTIONS: Final = 32

_NOT_FOUND: Final = 404
_CODE: Final = re.compile(rb"<Code>([^<]+)</Code>")
_MESSAGE: Final = re.compile(rb"<Message>([^<]+)</Message>")


class S3Objects:
    """Reads and writes objects that are named as ``s3://BUCKET/KEY``. May be used by many threads.

    Every request raises botocore's own errors: ClientError for what S3 refuses, ConnectTimeoutError and its kind for
    what did not get an answer. The signature covers the content, so S3 refuses what arrives damaged.
    """

    def __init__(
        self,
        region: str,
        endpoint_url: str | None,
        credentials: Credentials,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
    ) -> None:
        self._service = Service("s3", region, endpoint_url)
        self._requests = SignedRequests(
            self._service,
            connect_timeout_seconds,
            read_timeout_seconds,
            POOL_CONNECTIONS,
            credentials=lambda: credentials,
            signature=S3SigV4Auth,
        )

    def get(self, location: str) -> bytes:
        """Return an object. Raises FileNotFoundError when there is none."""
        return self._send("GetObject", "GET", location).content

    def put(self, location: str, content: bytes) -> None:
        """Write an object. After an error it may exist or not; it is never written in part."""
        self._send("PutObject", "PUT", location, content)

    def size_bytes(self, location: str) -> int:
        """Return the size of an object. Raises FileNotFoundError when there is none."""
        return int(self._send("HeadObject", "HEAD", location).headers["Content-Length"])

    def _send(self, operation: str, method: str, location: str, content: bytes = b"") -> AWSResponse:
        answer = self._requests.send(method, self.url(location), content)
        if answer.status_code == OK:
            return answer
        error = _error(operation, answer)
        if answer.status_code == _NOT_FOUND:
            raise FileNotFoundError(location) from error
        raise error

    def url(self, location: str) -> str:
        """Return the address of an object.

        The bucket is part of the host name, where it can be (Amazon S3 User Guide, "Virtual hosting of general purpose
        buckets": no certificate covers a name with dots), but not at an endpoint of one's own.
        """
        bucket, key = _bucket_and_key(location)
        path = quote(key, safe="/~")
        if self._service.endpoint_url is not None or "." in bucket:
            return f"{self._service.url()}/{bucket}/{path}"
        return f"{self._service.url(f'{bucket}.')}/{path}"


def _bucket_and_key(location: str) -> tuple[str, str]:
    parts = urlsplit(location, allow_fragments=False)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return parts.netloc, path.removeprefix("/")


def _error(operation: str, answer: AWSResponse) -> ClientError:
    """Read S3's refusal (Amazon S3 API Reference, "Error responses"); an answer to HEAD has no body."""
    code, message = (pattern.search(answer.content) for pattern in (_CODE, _MESSAGE))
    return ClientError(
        {
            "Error": {
                "Code": code[1].decode() if code else str(answer.status_code),
                "Message": message[1].decode() if message else "",
            },
            "ResponseMetadata": {"HTTPStatusCode": answer.status_code},  # type: ignore[typeddict-item]
        },
        operation,
    )
