"""The AWS SDK, as far as it is needed: one session, clients of a few services, and credentials to sign with.

A cold start pays for all of this, so it is botocore alone (boto3 would add its transfer manager), one session for
everything (each would read the SDK's data once more), and orjson for that data: the list of endpoints alone is 1.2 MB.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, Final

import orjson
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError
from botocore.loaders import JSONFileLoader, Loader
from botocore.session import Session

SERVICES: Final = ("dynamodb", "sqs")
"""The services whose clients are made here; the artefact carries the models of these and of no other."""

_DECODERS: Final[dict[str, Callable[[bytes], bytes]]] = {".json": bytes, ".json.gz": gzip.decompress}
# botocore's sessions may be used by many threads, but not made or asked for a client by many at the same time.
_lock: Final = Lock()


@lru_cache(maxsize=1)
def _session() -> Session:
    session = Session()
    session.register_component("data_loader", _DataLoader(file_loader=_FileLoader()))
    return session


def client(service: str, region: str, endpoint_url: str | None, config: Config) -> Any:
    """Make a client of one of SERVICES. Opens no connection."""
    with _lock:
        return _session().create_client(service, region, endpoint_url=endpoint_url, config=config)


def credentials(
    access_key_id: str | None = None, secret_access_key: str | None = None, session_token: str | None = None
) -> Credentials:
    """Return the credentials given, else those that the SDK's own chain finds.

    They may be renewed meanwhile: ask for ``get_frozen_credentials()`` at each request. Raises NoCredentialsError.
    """
    if access_key_id and secret_access_key:
        return Credentials(access_key_id, secret_access_key, session_token)
    with _lock:
        found = _session().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


def ca_bundle() -> str | None:
    """Return the certificates that the SDK is configured to trust (``AWS_CA_BUNDLE``); None means its own."""
    with _lock:
        bundle: str | None = _session().get_config_variable("ca_bundle")
    return bundle


class _FileLoader(JSONFileLoader):
    """Reads the SDK's data files ten times faster than botocore does."""

    def load_file(self, file_path: str) -> Any:
        for extension, decode in _DECODERS.items():
            path = Path(file_path + extension)
            if path.is_file():
                return orjson.loads(decode(path.read_bytes()))
        return None


class _DataLoader(Loader):
    """Knows which services there are without looking into a folder for each of the 400."""

    def list_available_services(self, type_name: str) -> list[str]:
        return list(SERVICES)
