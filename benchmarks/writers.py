"""Writers of single appends: ours, pyiceberg's, and the floor beneath both."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import pyarrow as pa
import requests
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from requests.adapters import HTTPAdapter

from benchmarks.latency_proxy import Passed
from benchmarks.stand import Stand, Stores, body_of, quiet, wired
from catalog_config.connect import connect
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.iceberg.snapshots import next_sequence_number
from lambda_fn.ports import AppendResult, Landed, SalesTable
from lambda_fn.runtime.retry import Deadline, SystemClock
from lambda_fn.sale import Sale
from lambda_fn.settings import Settings
from lambda_fn.wiring import new_attempt_id

_INVOCATION_SECONDS: Final = 600.0
_TIMEOUT_SECONDS: Final = 30.0
_FILES: Final = 3


class Writer(Protocol):
    """Appends sales to a table, and has whatever the append before it taught it."""

    def append(self, sales: Sequence[Sale]) -> AppendResult | None:
        """Commit the sales as one snapshot."""
        ...


class OurWriter:
    """The function's own writer, wired as in the function, without the guard and the projection around it."""

    def __init__(self, settings: Settings) -> None:
        self._clock = SystemClock()
        self._table: SalesTable = wired(settings).process.sync_sales.table

    def append(self, sales: Sequence[Sale]) -> AppendResult:
        """Commit the sales as one snapshot; the answer tells whether they landed, and after how many conflicts.

        What the function does after its work is part of it: manifests are merged when it is this commit's turn.
        """
        deadline = Deadline.after(self._clock, _INVOCATION_SECONDS)
        with quiet():
            result = self._table.begin(new_attempt_id(), deadline).append(sales, (), deadline)
            self._table.merge_manifests(deadline)
        return result


class PlainWriter:
    """pyiceberg's ``Table.append``."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def append(self, sales: Sequence[Sale]) -> None:
        """Commit the sales as one snapshot."""
        self.append_rows(plain_rows(sales, self._table.schema()))

    def append_rows(self, rows: pa.Table) -> None:
        """Commit rows that are an Arrow table already."""
        self._table.append(rows)


class Floor:
    """Three uploads side by side and one commit, as prepared requests: what no writer can be faster than.

    The bytes are those of one of our appends, recorded on the wire; ids and names are new ones for each append, put
    in before the clock starts. Answers are received and not read.
    """

    def __init__(self, stand: Stand, stores: Stores, recorded: Sequence[Passed]) -> None:
        self._uploads = [passed for passed in recorded if passed.service == "s3"]
        (self._commit,) = [passed for passed in recorded if passed.service == "catalog"]
        assert [passed.action for passed in self._uploads] == ["PUT"] * _FILES
        self._url = stand.proxy
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=_FILES))
        self._pool = ThreadPoolExecutor(_FILES)
        self._table = connect(stand.settings(stores, stand.server).catalog).load_table(stores.identifier)

    def prepare(self) -> tuple[list[requests.PreparedRequest], requests.PreparedRequest]:
        """Prepare the requests of one append to the table's head."""
        name = uuid.uuid4().hex
        uploads = [
            self._prepared("PUT", f"{passed.path.rpartition('/')[0]}/{name}-{number}", body_of(passed))
            for number, passed in enumerate(self._uploads)
        ]
        document = json.loads(body_of(self._commit))
        metadata = self._table.refresh().metadata
        next_number = next_sequence_number(metadata)
        attempt_id = new_attempt_id()
        for requirement in document["requirements"]:
            if requirement["type"] == "assert-ref-snapshot-id":
                requirement["snapshot-id"] = metadata.current_snapshot_id
        for update in document["updates"]:
            if update["action"] == "add-snapshot":
                update["snapshot"] |= {
                    "snapshot-id": attempt_id,
                    "parent-snapshot-id": metadata.current_snapshot_id,
                    "sequence-number": next_number,
                    "timestamp-ms": metadata.last_updated_ms,
                }
            elif update["action"] == "set-snapshot-ref":
                update["snapshot-id"] = attempt_id
        return uploads, self._prepared("POST", self._commit.path, json.dumps(document).encode())

    def send(self, uploads: Sequence[requests.PreparedRequest], commit: requests.PreparedRequest) -> None:
        """Send them."""
        for status in self._pool.map(self._send, uploads):
            assert status == requests.codes.ok
        assert self._send(commit) == requests.codes.ok

    def _send(self, request: requests.PreparedRequest) -> int:
        return self._session.send(request, timeout=_TIMEOUT_SECONDS).status_code

    def _prepared(self, method: str, path: str, body: bytes) -> requests.PreparedRequest:
        content_type = {"PUT": "application/octet-stream", "POST": "application/json"}[method]
        request = requests.Request(method, f"{self._url}{path}", {"Content-Type": content_type}, data=body)
        return self._session.prepare_request(request)


def our_writer(stand: Stand, stores: Stores, endpoint: str | None = None) -> OurWriter:
    """Return our writer on a table, through the proxy unless another endpoint is given."""
    return OurWriter(stand.settings(stores, endpoint))


def plain_rows(sales: Sequence[Sale], schema: Schema) -> Any:
    """Return sales as what ``Table.append`` takes."""
    rows = arrow_table(sales, schema)
    return rows.cast(schema_to_pyarrow(schema))


def landed(result: AppendResult | None) -> bool:
    """Whether an append is known to have landed; pyiceberg's raises when it did not."""
    return result is None or isinstance(result, Landed)
