"""Running a query on Athena, against a client that answers as Athena does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from typer.testing import CliRunner

from carousel_sync.analysis import commands
from carousel_sync.analysis.athena import Place, find_place, run_on_athena
from carousel_sync.aws.target import Target
from carousel_sync.explore.sql import QueryFailed
from lambda_fn.errors import ConfigurationError

PLACE = Place("carousel-sync-dev", "s3tablescatalog/carousel-dev-analytics")
COLUMNS = [("category", "varchar"), ("sales", "bigint"), ("price", "decimal"), ("week", "date"), ("share", "double")]


def row(*values: str | None) -> dict[str, Any]:
    return {"Data": [{} if value is None else {"VarCharValue": value} for value in values]}


@dataclass
class FakeAthena:
    """Athena as boto3's client shows it. ``states`` are those that the query goes through."""

    states: list[str]
    reason: str | None = None
    interrupted: bool = False
    started: list[dict[str, Any]] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)

    def start_query_execution(self, **request: Any) -> dict[str, Any]:
        self.started.append(request)
        return {"QueryExecutionId": "query-1"}

    def get_query_execution(self, **_: Any) -> dict[str, Any]:
        if self.interrupted:
            raise KeyboardInterrupt
        state = self.states.pop(0)
        status = {"State": state, **({"StateChangeReason": self.reason} if self.reason else {})}
        statistics = {} if state == "QUEUED" else {"DataScannedInBytes": 25_000_000, "TotalExecutionTimeInMillis": 1500}
        return {"QueryExecution": {"Status": status, "Statistics": statistics}}

    def stop_query_execution(self, **request: str) -> None:
        self.stopped.append(request["QueryExecutionId"])

    def get_paginator(self, _operation: str) -> FakeAthena:
        return self

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        columns = [{"Name": name, "Type": type_name} for name, type_name in COLUMNS]
        metadata = {"ColumnInfo": columns}
        header = row(*(name for name, _ in COLUMNS))
        first = row("handbags", "2", "410.50", "2025-12-01", "0.5")
        yield {"ResultSet": {"ResultSetMetadata": metadata, "Rows": [header, first]}}
        yield {"ResultSet": {"ResultSetMetadata": metadata, "Rows": [row(None, "1", None, None, None)]}}


def test_a_query_runs_in_the_workgroup_on_the_catalog_of_the_table_bucket() -> None:
    client = FakeAthena(["QUEUED", "RUNNING", "SUCCEEDED"])
    seen: list[str] = []
    waits: list[float] = []
    answer = run_on_athena(client, PLACE, "SELECT 1", seen.append, waits.append)
    assert client.started == [
        {
            "QueryString": "SELECT 1",
            "WorkGroup": "carousel-sync-dev",
            "QueryExecutionContext": {
                "Catalog": "s3tablescatalog/carousel-dev-analytics",
                "Database": "pricing_intelligence",
            },
        }
    ]
    assert list(answer.result.rows) == [
        ("handbags", 2, Decimal("410.50"), date(2025, 12, 1), 0.5),
        (None, 1, None, None, None),
    ]
    assert answer.result.columns == [name for name, _ in COLUMNS]
    assert (answer.scanned_bytes, answer.milliseconds, answer.execution_id) == (25_000_000, 1500, "query-1")
    assert seen == [
        "Athena: queued, 0 bytes scanned",
        "Athena: running, 25,000,000 bytes scanned",
        "Athena: succeeded, 25,000,000 bytes scanned",
    ]
    assert len(waits) == 2


@pytest.mark.parametrize(("scanned", "cost"), [(0, 0.00005), (10_000_000, 0.00005), (10**12, 5.0)])
def test_a_query_costs_at_least_what_ten_megabytes_cost(scanned: int, cost: float) -> None:
    answer = run_on_athena(FakeAthena(["SUCCEEDED"]), PLACE, "SELECT 1")
    assert type(answer)("id", answer.result, scanned, 1).cost_usd == pytest.approx(cost)


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_query_that_fails_is_reported_with_athenas_reason(state: str) -> None:
    client = FakeAthena(["RUNNING", state], reason="Bytes scanned limit was exceeded")
    with pytest.raises(QueryFailed, match=f"query-1 is {state}: Bytes scanned limit was exceeded"):
        run_on_athena(client, PLACE, "SELECT 1", wait=lambda _: None)


def test_an_interruption_stops_the_query() -> None:
    client = FakeAthena([], interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        run_on_athena(client, PLACE, "SELECT 1")
    assert client.stopped == ["query-1"]


def test_a_lost_connection_ends_the_query_and_is_reported_even_if_it_can_not_be_stopped() -> None:
    lost = EndpointConnectionError(endpoint_url="https://athena")

    class Unreachable(FakeAthena):
        def get_query_execution(self, **_: Any) -> dict[str, Any]:
            raise lost

        def stop_query_execution(self, **request: str) -> None:
            super().stop_query_execution(**request)
            raise lost

    client = Unreachable([])
    with pytest.raises(EndpointConnectionError):
        run_on_athena(client, PLACE, "SELECT 1")
    assert client.stopped == ["query-1"]


def stage_with(outputs: dict[str, str], *, local: bool = False) -> Target:
    """Return a stage whose stack has these outputs."""

    class CloudFormation:
        def describe_stacks(self, **_: str) -> dict[str, Any]:
            listed = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
            return {"Stacks": [{"Outputs": listed}]}

    class Stage(Target):
        def client(self, service: str) -> Any:
            assert service == "cloudformation"
            return CloudFormation()

    credentials = {"AWS_ACCESS_KEY_ID": "test"} if local else {}
    return Stage(stage="dev", region="eu-west-1", session=boto3.Session(), credentials=credentials)


def test_the_place_comes_from_the_outputs_of_the_stack() -> None:
    arn = "arn:aws:s3tables:eu-west-1:123456789012:bucket/carousel-dev-analytics"
    assert find_place(stage_with({"AthenaWorkGroup": "carousel-sync-dev", "TableBucketArn": arn})) == PLACE


def test_a_stage_without_a_workgroup_is_told_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError) as refused:
        find_place(stage_with({}))
    assert "has no Athena workgroup. Nothing was run." in str(refused.value)
    assert "make deploy STAGE=dev PARAMETERS=WithAthena=true" in str(refused.value)
    assert "carousel-sync query --name NAME --stage dev" in str(refused.value)


def test_the_embedded_stack_is_told_to_use_duckdb() -> None:
    with pytest.raises(ConfigurationError) as refused:
        find_place(stage_with({}, local=True))
    assert "make deploy" not in str(refused.value)
    assert "carousel-sync query --name NAME --stage dev --local" in str(refused.value)


class Stage(Target):
    """A stage with a workgroup, and a client of Athena."""

    athena: FakeAthena

    def client(self, service: str) -> Any:
        return (
            self.athena
            if service == "athena"
            else stage_with({"AthenaWorkGroup": "w", "TableBucketArn": "a/b"}).client(service)
        )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    found = Stage(stage="dev", region="eu-west-1", session=boto3.Session())
    found.athena = FakeAthena(["SUCCEEDED"])
    monkeypatch.setattr(commands, "resolve", lambda _stage, _local: found)
    return found


COMMAND = ["run", "average-price", "--tenant", "it's", "--month", "2025-12"]


def test_the_command_prints_rows_on_one_stream_and_the_cost_on_the_other(stage: Stage) -> None:
    done = CliRunner().invoke(commands.app, COMMAND)
    assert done.exit_code == 0, done.output
    assert "410.50" in done.stdout
    assert "25,000,000 bytes scanned in 1.5 s; about $0.00013 at the list price. Query query-1." in done.stderr
    (request,) = stage.athena.started
    assert "tenant_id = 'it''s'" in request["QueryString"]


def test_the_command_prints_json(stage: Stage) -> None:
    done = CliRunner().invoke(commands.app, [*COMMAND, "--json"])
    answer = json.loads(done.stdout)
    assert answer["scannedBytes"] == 25_000_000
    assert answer["costUsd"] == pytest.approx(0.000125)
    assert answer["rows"][0] == {
        "category": "handbags",
        "sales": 2,
        "price": 410.5,
        "week": "2025-12-01",
        "share": 0.5,
    }


def test_the_command_ends_with_130_when_it_is_interrupted(stage: Stage) -> None:
    stage.athena.interrupted = True
    done = CliRunner().invoke(commands.app, COMMAND)
    assert done.exit_code == 130
    assert "The query was stopped." in done.stderr


def test_the_command_ends_with_1_when_the_query_fails(stage: Stage) -> None:
    stage.athena.states, stage.athena.reason = ["FAILED"], "no such column"
    done = CliRunner().invoke(commands.app, COMMAND)
    assert done.exit_code == 1
    assert "no such column" in done.stderr
