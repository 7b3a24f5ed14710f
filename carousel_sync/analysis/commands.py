"""``carousel-sync athena``: the queries of queries/athena on Amazon Athena."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from carousel_sync.analysis.athena import Answer, find_place, run_on_athena
from carousel_sync.analysis.parameters import Given
from carousel_sync.analysis.query_file import query_named
from carousel_sync.command_line import console
from carousel_sync.command_line.console import DEFAULT_STAGE, JsonOption, LocalOption, StageOption
from carousel_sync.command_line.query_options import (
    AsOfOption,
    DaysOption,
    FromOption,
    MonthOption,
    TenantOption,
    TenantsOption,
    ToOption,
)
from carousel_sync.command_line.stage import resolve
from carousel_sync.explore.results import json_value, show
from lambda_fn.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True, help="Run the queries of queries/athena on Amazon Athena.")


@app.callback()
def athena() -> None:
    """Run the queries of queries/athena on Amazon Athena."""


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="The query's name (carousel-sync query --list).")],
    tenant: TenantOption = None,
    month: MonthOption = None,
    days: DaysOption = None,
    k: TenantsOption = None,
    as_of: AsOfOption = None,
    first_month: FromOption = None,
    last_month: ToOption = None,
    stage: StageOption = DEFAULT_STAGE,
    local: LocalOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a query in the stage's workgroup, and print its rows, the bytes that it scanned and its cost.

    The stage needs a workgroup (WithAthena=true). Ctrl-C stops the query. Exit code 0: the rows, if any, were printed;
    1: the query was not run, or failed; 130: interrupted.
    """
    with console.readable_errors():
        query = query_named(name)
        given = Given(
            tenant=tenant,
            month=month,
            days=days,
            k=k,
            as_of=as_of,
            first_month=first_month,
            last_month=last_month,
        )
        sql = query.sql(query.values(given.values()))
        if query.changes_the_table:
            raise ConfigurationError(
                f"{name} is not for a table in S3 Tables, which does this by itself. Nothing was run. "
                f"queries/athena/{name}.sql says more."
            )
        target = resolve(stage, local)
        place = find_place(target)
        try:
            with console.working_on(f"Athena: starting in workgroup {place.workgroup}") as report:
                answer = run_on_athena(target.client("athena"), place, sql, report)
        except KeyboardInterrupt:
            console.stderr.print("Interrupted. The query was stopped. Athena charges for what it had scanned.")
            raise typer.Exit(console.EXIT_INTERRUPTED) from None
        if as_json:
            console.print_json(_as_json(answer))
        else:
            _show(answer)


def _show(answer: Answer) -> None:
    show(answer.result, console.stdout)
    console.stderr.print(
        f"{answer.scanned_bytes:,} bytes scanned in {answer.milliseconds / 1000:.1f} s; about ${answer.cost_usd:.5f} "
        f"at the list price. Query {answer.execution_id}.",
        soft_wrap=True,
    )


def _as_json(answer: Answer) -> dict[str, Any]:
    columns = answer.result.columns
    return {
        "queryExecutionId": answer.execution_id,
        "scannedBytes": answer.scanned_bytes,
        "milliseconds": answer.milliseconds,
        "costUsd": answer.cost_usd,
        "rows": [
            {name: json_value(value) for name, value in zip(columns, row, strict=True)} for row in answer.result.rows
        ],
    }
