"""What the catalog, its transport and the storage raise is a failure. Everything else is a defect and propagates."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import requests
import urllib3
from botocore.exceptions import ClientError, EndpointConnectionError, IncompleteReadError, NoCredentialsError
from pydantic import BaseModel, ValidationError
from pyiceberg import exceptions

from lambda_fn.errors import StoreUnavailable, TableMissing
from lambda_fn.iceberg.failures import MAX_CHARACTERS, describe, is_access_denied
from lambda_fn.iceberg.pyiceberg_store import PyIcebergStore
from tests.fakes.clock import FakeClock
from tests.fakes.parallel import InTurn


def client_error(status: int, code: str) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "PutObject",
    )


def not_a_table() -> ValidationError:
    class Answer(BaseModel):
        metadata: str

    with pytest.raises(ValidationError) as caught:
        Answer.model_validate_json("<html>")
    return caught.value


OF_PYICEBERG = [
    error for error in vars(exceptions).values() if isinstance(error, type) and issubclass(error, Exception)
]
FAILURES = [
    *(error("x") for error in OF_PYICEBERG if error is not exceptions.NotInstalledError),
    requests.exceptions.ReadTimeout("x"),
    requests.exceptions.ConnectionError("x"),
    requests.exceptions.ChunkedEncodingError("x"),
    requests.exceptions.JSONDecodeError("x", "", 0),
    urllib3.exceptions.ProtocolError("x"),
    urllib3.exceptions.ReadTimeoutError(urllib3.connectionpool.HTTPConnectionPool("h"), "u", "x"),
    EndpointConnectionError(endpoint_url="x"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
    NoCredentialsError(),
    client_error(503, "SlowDown"),
    FileNotFoundError("x"),
    TimeoutError("x"),
    pa.ArrowInvalid("no Parquet file"),
    not_a_table(),
]
DEFECTS = [
    ZeroDivisionError("x"),
    KeyError("x"),
    TypeError("x"),
    AttributeError("x"),
    exceptions.NotInstalledError("x"),
]


class Catalog:
    """A catalog that can't be asked for a table."""

    name = "catalog"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def load_table(self, _: Any) -> Any:
        raise self._error


def load(error: Exception) -> None:
    store = PyIcebergStore(lambda: Catalog(error), ("n", "t"), InTurn(), FakeClock(), 1.0)  # type: ignore[arg-type,return-value]
    store.load(None)


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_failure_is_reported_with_its_cause(error: Exception) -> None:
    with pytest.raises(StoreUnavailable) as caught:
        load(error)
    missing = isinstance(error, (exceptions.NoSuchTableError, exceptions.NoSuchNamespaceError))
    assert isinstance(caught.value, TableMissing) == missing
    assert missing or f"n.t could not be loaded: {type(error).__name__}: " in str(caught.value)


@pytest.mark.parametrize("error", DEFECTS, ids=lambda error: type(error).__name__)
def test_a_defect_propagates(error: Exception) -> None:
    with pytest.raises(type(error)):
        load(error)


def test_a_description_is_bounded() -> None:
    assert describe(OSError("x")) == "OSError: x"
    assert len(describe(OSError("x" * 10_000))) == MAX_CHARACTERS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (client_error(403, "AccessDenied"), True),
        (client_error(401, "Unauthorized"), True),
        (client_error(400, "ExpiredToken"), True),
        (PermissionError("x"), True),
        (client_error(400, "EntityTooLarge"), False),
        (client_error(503, "SlowDown"), False),
        (ClientError({}, "PutObject"), False),
        (OSError("x"), False),
    ],
)
def test_refused_credentials_are_recognised(error: Exception, expected: bool) -> None:
    assert is_access_denied(error) == expected
