"""What every request to AWS needs: credentials to sign with, certificates to trust, and a region's domain.

A cold start pays for all of this. Where the environment has the answer, as it does in Lambda, the SDK's session, which
would look there first, is not even imported.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import botocore
import orjson
from botocore.credentials import Credentials, EnvProvider
from botocore.exceptions import NoCredentialsError

if TYPE_CHECKING:
    from botocore.session import Session

_PARTITIONS: Final = Path(botocore.BOTOCORE_ROOT) / "data" / "partitions.json"
_COMMERCIAL: Final = "amazonaws.com"
# botocore's sessions may be used by many threads, but not made or asked by many at the same time.
_lock: Final = Lock()


@lru_cache(maxsize=1)
def _session() -> Session:
    from botocore.session import Session  # noqa: PLC0415 - see above

    return Session()


def credentials(
    access_key_id: str | None = None, secret_access_key: str | None = None, session_token: str | None = None
) -> Credentials:
    """Return the credentials given, else those that the SDK's own chain finds, which begins with the environment.

    They may be renewed meanwhile: ask for ``get_frozen_credentials()`` at each request. Raises NoCredentialsError.
    """
    if access_key_id and secret_access_key:
        return Credentials(access_key_id, secret_access_key, session_token)
    found: Credentials | None = EnvProvider().load()
    if found is None:
        with _lock:
            found = _session().get_credentials()
    if found is None:
        raise NoCredentialsError
    return found


def ca_bundle() -> str | None:
    """Return the certificates that the SDK is configured to trust; None means its own.

    As a client has it: ``AWS_CA_BUNDLE``, the configuration file's ``ca_bundle``, ``REQUESTS_CA_BUNDLE``.
    """
    bundle: str | None = os.environ.get("AWS_CA_BUNDLE")
    # Not by pathlib, which raises where there is no home, or none that may be looked into.
    if bundle is None and os.path.isfile(os.path.expanduser(os.environ.get("AWS_CONFIG_FILE", "~/.aws/config"))):  # noqa: PTH
        with _lock:
            bundle = _session().get_config_variable("ca_bundle")
    return bundle or os.environ.get("REQUESTS_CA_BUNDLE")


@lru_cache(maxsize=8)
def dns_suffix(region: str) -> str:
    """Return the domain below which a region's services are, as the SDK's list of partitions has it."""
    partitions: list[Any] = orjson.loads(_PARTITIONS.read_bytes())["partitions"]
    return next(
        (
            str(partition["outputs"]["dnsSuffix"])
            for partition in partitions
            if region in partition["regions"] or re.match(partition["regionRegex"], region)
        ),
        _COMMERCIAL,
    )
