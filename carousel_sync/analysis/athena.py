"""Running SQL on Amazon Athena, in the workgroup that the template creates with WithAthena=true."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from carousel_sync.aws import cloudformation
from carousel_sync.aws.target import Target
from carousel_sync.explore.sql import QueryFailed, Result, Row
from lambda_fn.errors import ConfigurationError
from schemas.sales_history import NAMESPACE

WORKGROUP_OUTPUT: Final = "AthenaWorkGroup"
USD_PER_TB: Final = 5.0
LEAST_BYTES_BILLED: Final = 10_000_000
"""Amazon Athena pricing: $5 for each TB that a query scans, in most regions, and at least 10 MB."""
_LIVE: Final = frozenset({"QUEUED", "RUNNING"})
_FIRST_POLL_SECONDS: Final = 0.25
_LONGEST_POLL_SECONDS: Final = 2.0
_TYPES: Final[Mapping[str, Callable[[str], Any]]] = {
    "boolean": lambda text: text == "true",
    "tinyint": int,
    "smallint": int,
    "integer": int,
    "bigint": int,
    "float": float,
    "double": float,
    "decimal": Decimal,
    "date": date.fromisoformat,
}
"""How a value is read, by the type that Athena gives its column. Values of other types stay texts."""


@dataclass(frozen=True)
class Place:
    """Where queries run: a workgroup, and the catalog of the stage's table bucket."""

    workgroup: str
    catalog: str


@dataclass(frozen=True)
class Answer:
    """A query that has succeeded, with what it scanned."""

    execution_id: str
    result: Result
    scanned_bytes: int
    milliseconds: int

    @property
    def cost_usd(self) -> float:
        """The cost at the list price."""
        return max(self.scanned_bytes, LEAST_BYTES_BILLED) / 1e12 * USD_PER_TB


def find_place(target: Target) -> Place:
    """Return where the stage's queries run.

    Raises ConfigurationError when the stage has no workgroup, with what to do, and botocore's errors.
    """
    outputs = cloudformation.outputs(cloudformation.describe(target))
    workgroup = outputs.get(WORKGROUP_OUTPUT)
    if workgroup is None:
        create = "" if target.is_local else f"Create one: make deploy STAGE={target.stage} PARAMETERS=WithAthena=true. "
        raise ConfigurationError(
            f"Stage {target.stage!r} at {target} has no Athena workgroup. Nothing was run. {create}Without Athena, "
            f"DuckDB runs the same queries on this machine: carousel-sync query --name NAME {target.flags}"
        )
    bucket = outputs["TableBucketArn"].rpartition("/")[2]
    return Place(workgroup, f"s3tablescatalog/{bucket}")


def run_on_athena(
    client: Any,
    place: Place,
    sql: str,
    on_progress: Callable[[str], None] = lambda _: None,
    wait: Callable[[float], None] = time.sleep,
) -> Answer:
    """Run a query and wait for its result. When the waiting ends early (Ctrl-C), the query is stopped.

    ``on_progress`` receives a line each time that Athena was asked. Raises QueryFailed with Athena's reason, and
    botocore's errors.
    """
    execution_id = client.start_query_execution(
        QueryString=sql,
        WorkGroup=place.workgroup,
        QueryExecutionContext={"Catalog": place.catalog, "Database": NAMESPACE},
    )["QueryExecutionId"]
    try:
        execution = _finished(client, execution_id, on_progress, wait)
    except BaseException:
        # Nobody waits for it any more.
        with suppress(ClientError, BotoCoreError):
            client.stop_query_execution(QueryExecutionId=execution_id)
        raise
    status, statistics = execution["Status"], execution.get("Statistics", {})
    if status["State"] != "SUCCEEDED":
        reason = status.get("StateChangeReason", "Athena gives no reason.")
        raise QueryFailed(f"Athena: the query {execution_id} is {status['State']}: {reason}")
    return Answer(
        execution_id,
        _result(client, execution_id),
        int(statistics.get("DataScannedInBytes", 0)),
        int(statistics.get("TotalExecutionTimeInMillis", 0)),
    )


def _finished(
    client: Any, execution_id: str, on_progress: Callable[[str], None], wait: Callable[[float], None]
) -> dict[str, Any]:
    pause = _FIRST_POLL_SECONDS
    while True:
        execution: dict[str, Any] = client.get_query_execution(QueryExecutionId=execution_id)["QueryExecution"]
        state = execution["Status"]["State"]
        scanned = execution.get("Statistics", {}).get("DataScannedInBytes", 0)
        on_progress(f"Athena: {state.lower()}, {scanned:,} bytes scanned")
        if state not in _LIVE:
            return execution
        wait(pause)
        pause = min(2 * pause, _LONGEST_POLL_SECONDS)


def _result(client: Any, execution_id: str) -> Result:
    """Return the result. The first page is read at once, and the others as the rows are consumed."""
    pages = iter(client.get_paginator("get_query_results").paginate(QueryExecutionId=execution_id))
    first = next(pages)["ResultSet"]
    columns = first["ResultSetMetadata"]["ColumnInfo"]
    types = [column["Type"] for column in columns]

    def rows() -> Iterator[Row]:
        # The first row of a query's result has the names of the columns.
        yield from (_row(row, types) for row in first["Rows"][1:])
        for page in pages:
            yield from (_row(row, types) for row in page["ResultSet"]["Rows"])

    return Result([column["Name"] for column in columns], rows())


def _row(row: Mapping[str, Any], types: list[str]) -> Row:
    return tuple(_value(cell, type_name) for cell, type_name in zip(row["Data"], types, strict=True))


def _value(cell: Mapping[str, str], type_name: str) -> Any:
    text = cell.get("VarCharValue")
    return None if text is None else _TYPES.get(type_name, str)(text)
