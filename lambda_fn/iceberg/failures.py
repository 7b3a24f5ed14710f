"""The errors by which the catalog, its transport and the file storage report a failure. Any other is a defect here."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import pyarrow as pa
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError
from pyiceberg import exceptions
from urllib3.exceptions import HTTPError

from lambda_fn.errors import OutOfTime

FAILURES: Final[tuple[type[Exception], ...]] = (
    # The catalog: pyiceberg's own errors, which have no base class in common. An answer that is no table's metadata.
    *(
        error
        for error in vars(exceptions).values()
        if isinstance(error, type) and issubclass(error, Exception) and error is not exceptions.NotInstalledError
    ),
    ValidationError,
    # The transport: requests (all its errors are OSErrors), and urllib3, where an answer breaks off while it is read.
    OSError,
    HTTPError,
    # The storage: botocore, which also signs requests to a catalog. A file that is no Parquet file.
    BotoCoreError,
    ClientError,
    pa.ArrowException,
    # No request was sent, because no time is left.
    OutOfTime,
)
MAX_CHARACTERS: Final = 500

# Amazon S3 API Reference, "Error responses": these have the status 400.
_EXPIRED: Final = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")


def describe(error: Exception) -> str:
    """Return the error's class and message, cut to a length that fits into a log line."""
    return f"{type(error).__name__}: {error}"[:MAX_CHARACTERS]


def is_access_denied(error: Exception) -> bool:
    """Return whether the storage refused the credentials, for instance because they have expired."""
    if not isinstance(error, ClientError):
        return isinstance(error, PermissionError)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = error.response.get("Error", {}).get("Code")
    return status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or code in _EXPIRED
