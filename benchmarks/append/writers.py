"""Writers of single appends: the function's, pyiceberg's, and the floor that no writer can beat."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pyarrow as pa
import requests
from pyiceberg.catalog import load_catalog
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from requests.adapters import HTTPAdapter

from catalog_config import s3_tables
from catalog_config.connect import connect
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.iceberg.snapshots import next_sequence_number
from lambda_fn.ports import Landed
from lambda_fn.sale import Sale
from lambda_fn.wiring import new_attempt_id
from testbed.function import TableWriter
from testbed.latency_proxy import RecordedRequest
from testbed.proxied_emulator import ProxiedEmulator
from testbed.stores import Stores

FILES: Final = 3
"""Files of an append: data file, manifest, manifest list."""
_TIMEOUT_SECONDS: Final = 30.0

Append = Callable[[Sequence[Sale]], object]


def our_append(stores: Stores, endpoint: str) -> Append:
    """Return the function's append, which must land."""
    writer = TableWriter(stores.settings(endpoint))

    def append(sales: Sequence[Sale]) -> None:
        result = writer.append(sales)
        assert isinstance(result, Landed), result

    return append


def plain_table(stores: Stores, endpoint: str) -> Table:
    """Load the table with the properties that pyiceberg's documentation gives for S3 Tables.

    The emulator returns its own address as ``s3.endpoint``, which would bypass the proxy.
    """
    properties = s3_tables.properties(stores.settings(endpoint).catalog)
    table = load_catalog("plain", **properties).load_table(stores.identifier)
    table.io = load_file_io({**table.io.properties, "s3.endpoint": endpoint}, table.location())
    return table


def plain_rows(sales: Sequence[Sale], schema: Schema) -> pa.Table:
    """Return sales in the form that ``Table.append`` accepts."""
    return arrow_table(sales, schema).cast(schema_to_pyarrow(schema))


class Floor:
    """Three parallel uploads and one commit, as prepared requests.

    The bytes are those of one of the function's appends, recorded on the wire. Each append gets new ids and names,
    which are put in before the clock starts. Answers are received but not parsed.
    """

    def __init__(self, emulator: ProxiedEmulator, stores: Stores, recorded: Sequence[RecordedRequest]) -> None:
        self._uploads = [request for request in recorded if request.service == "s3"]
        (self._commit,) = [request for request in recorded if request.service == "catalog"]
        assert [request.action for request in self._uploads] == ["PUT"] * FILES
        self._url = emulator.proxy
        self._session = requests.Session()
        self._session.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=FILES))
        self._pool = ThreadPoolExecutor(FILES)
        self._table = connect(stores.settings().catalog).load_table(stores.identifier)

    def prepare(self) -> list[requests.PreparedRequest]:
        """Prepare the requests of one append to the table's head: the uploads, then the commit."""
        name = uuid.uuid4().hex
        uploads = [
            self._prepared("PUT", f"{upload.path.rpartition('/')[0]}/{name}-{number}", upload.body)
            for number, upload in enumerate(self._uploads)
        ]
        document = json.loads(self._commit.body)
        metadata = self._table.refresh().metadata
        attempt_id = new_attempt_id()
        for requirement in document["requirements"]:
            if requirement["type"] == "assert-ref-snapshot-id":
                requirement["snapshot-id"] = metadata.current_snapshot_id
        for update in document["updates"]:
            if update["action"] == "add-snapshot":
                update["snapshot"] |= {
                    "snapshot-id": attempt_id,
                    "parent-snapshot-id": metadata.current_snapshot_id,
                    "sequence-number": next_sequence_number(metadata),
                    "timestamp-ms": metadata.last_updated_ms,
                }
            elif update["action"] == "set-snapshot-ref":
                update["snapshot-id"] = attempt_id
        return [*uploads, self._prepared("POST", self._commit.path, json.dumps(document).encode())]

    def send(self, prepared: Sequence[requests.PreparedRequest]) -> None:
        """Send the requests of one append."""
        *uploads, commit = prepared
        for status in self._pool.map(self._send, uploads):
            assert status == requests.codes.ok
        assert self._send(commit) == requests.codes.ok

    def _send(self, request: requests.PreparedRequest) -> int:
        return self._session.send(request, timeout=_TIMEOUT_SECONDS).status_code

    def _prepared(self, method: str, path: str, body: bytes) -> requests.PreparedRequest:
        content_type = {"PUT": "application/octet-stream", "POST": "application/json"}[method]
        request = requests.Request(method, f"{self._url}{path}", {"Content-Type": content_type}, data=body)
        return self._session.prepare_request(request)
