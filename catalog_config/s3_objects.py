"""Whole objects on Amazon S3: one signed request each.

An SDK client of S3 would cost a cold start a tenth of its time (its model and its rules for endpoints are the largest
of all), and each upload a millisecond. What remains is small: an address, a signature by botocore, and botocore's HTTP
session, which raises the same errors as a client does.
"""

from __future__ import annotations

import re
import socket
from typing import Any, Final
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from catalog_config.aws import ca_bundle

# As many as one commit sends at the same time, and room for a reader beside it.
POOL_CONNECTIONS: Final = 32
# As the SDK's clients have it. Without, the end of a request waits until the other side tells that it has the beginning
# (Nagle's algorithm), which that side may put off for 40 ms.
SOCKET_OPTIONS: Final = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]

_OK: Final = 200
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
        self._region = region
        self._endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None
        self._credentials = credentials
        # The types of its stubs are narrower than what it documents and a client gives it.
        session: Any = URLLib3Session
        self._http: URLLib3Session = session(
            verify=ca_bundle() or True,
            proxies=get_environ_proxies(endpoint_url or self._regional_endpoint()),
            timeout=(connect_timeout_seconds, read_timeout_seconds),
            max_pool_connections=POOL_CONNECTIONS,
            socket_options=SOCKET_OPTIONS,
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
        request = AWSRequest(method=method, url=self.url(location), data=content)
        S3SigV4Auth(self._credentials.get_frozen_credentials(), "s3", self._region).add_auth(request)
        answer: AWSResponse = self._http.send(request.prepare())
        if answer.status_code == _OK:
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
        if self._endpoint_url is not None:
            return f"{self._endpoint_url}/{bucket}/{path}"
        if "." in bucket:
            return f"{self._regional_endpoint()}/{bucket}/{path}"
        return f"{self._regional_endpoint(f'{bucket}.')}/{path}"

    def _regional_endpoint(self, prefix: str = "") -> str:
        suffix = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
        return f"https://{prefix}s3.{self._region}.{suffix}"


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
