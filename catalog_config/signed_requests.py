"""Requests to AWS services that are built and signed here: botocore's signature and HTTP session, without its clients.

A client of a service costs a cold start its model and its rules for endpoints, and each request a millisecond of CPU
time: what it does around a request is general, and the few requests here are known beforehand.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from catalog_config import aws

OK: Final = 200
# As the SDK's clients have it. Without, the end of a request waits until the other side tells that it has the beginning
# (Nagle's algorithm), which that side may put off for 40 ms.
SOCKET_OPTIONS: Final = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
USER_AGENT: Final = "carousel-sync"


@dataclass(frozen=True)
class Service:
    """A service in a region, or what stands for it at an address of one's own."""

    name: str
    region: str
    endpoint_url: str | None = None

    def url(self, prefix: str = "") -> str:
        """Return the address without a slash at its end; ``prefix`` goes before the host name of the region's own."""
        if self.endpoint_url is not None:
            return self.endpoint_url.rstrip("/")
        return f"https://{prefix}{self.name}.{self.region}.{aws.dns_suffix(self.region)}"


class SignedRequests:
    """Sends requests to one service, signed with Signature Version 4, over connections that stay open.

    May be used by many threads. Nothing is connected, and no credentials are looked for, before the first request. It
    repeats nothing by itself, and raises botocore's own errors: ConnectTimeoutError and its kind for what did not get
    an answer, NoCredentialsError. Every answer is returned, whatever its status.
    """

    def __init__(
        self,
        service: Service,
        connect_timeout_seconds: float,
        read_timeout_seconds: float,
        connections: int,
        credentials: Callable[[], Credentials] = aws.credentials,
        signature: type[SigV4Auth] = SigV4Auth,
    ) -> None:
        self._service = service
        self._find_credentials = credentials
        self._signature = signature
        # The types of its stubs are narrower than what it documents and a client gives it.
        session: Any = URLLib3Session
        self._http: URLLib3Session = session(
            verify=aws.ca_bundle() or True,
            proxies=get_environ_proxies(service.url()),
            timeout=(connect_timeout_seconds, read_timeout_seconds),
            max_pool_connections=connections,
            socket_options=SOCKET_OPTIONS,
        )

    def send(self, method: str, url: str, content: bytes, headers: Mapping[str, str] | None = None) -> AWSResponse:
        """Send one request, and read its whole answer. The signature covers the content."""
        request = AWSRequest(
            method=method, url=url, data=content, headers={"User-Agent": USER_AGENT, **(headers or {})}
        )
        frozen = self._credentials.get_frozen_credentials()
        self._signature(frozen, self._service.name, self._service.region).add_auth(request)
        answer: AWSResponse = self._http.send(request.prepare())
        return answer

    @cached_property
    def _credentials(self) -> Credentials:
        return self._find_credentials()
