"""``carousel-sync evolve``: the Iceberg table's schema, which the template does not own."""

from __future__ import annotations

from dataclasses import asdict

import typer

from catalog_config.maintenance import ensure_maintenance
from catalog_config.provision import ProvisionError, ProvisionResult, ensure_table
from lambda_fn.errors import ConfigurationError
from ops.console import (
    DEFAULT_STAGE,
    JsonOption,
    LocalOption,
    StageOption,
    print_json,
    readable_errors,
    stdout,
    working_on,
)
from ops.target import CATALOG_FAILURES, Target, resolve

app = typer.Typer(no_args_is_help=True, help="Create the Iceberg table, and bring its schema up to date.")


@app.callback()
def evolve() -> None:
    """Create the Iceberg table, and bring its schema up to date."""


@app.command()
def apply(stage: StageOption = DEFAULT_STAGE, local: LocalOption = False, as_json: JsonOption = False) -> None:
    """Create the namespace, the table and its properties where they are missing.

    Safe to repeat, and for two people at once. It never drops or changes a column, and never touches data.
    """
    with readable_errors():
        target = resolve(stage, local)
        with working_on(f"Looking at the Iceberg table at {target}"):
            result = apply_to(target)
    if as_json:
        print_json({**asdict(result), "changed": result.changed})
    else:
        _describe(result)


def apply_to(target: Target) -> ProvisionResult:
    """Create what is missing of the target's table.

    Raises ConfigurationError when the table that is there does not fit, StoreUnavailable when the catalog can't be
    reached or refuses; what was made until then stays, and a repeat goes on from there.
    """
    settings = target.settings
    try:
        result = ensure_table(target.catalog(), settings.namespace, settings.table)
        ensure_maintenance(target.client("s3tables"), settings.catalog, settings.namespace, settings.table)
        return result
    except ProvisionError as error:
        raise ConfigurationError(str(error)) from error
    except CATALOG_FAILURES as error:
        raise target.catalog_unavailable(error) from error


def _describe(result: ProvisionResult) -> None:
    if result.namespace_created:
        stdout.print(f"Created the namespace of {result.table}")
    if result.table_created:
        stdout.print(f"Created the table {result.table} at {result.location}")
    if result.properties_set:
        stdout.print(f"Set {len(result.properties_set)} table properties")
    if not result.changed:
        stdout.print(f"The table {result.table} is up to date; nothing was changed")
