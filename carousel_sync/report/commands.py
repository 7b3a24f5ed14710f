"""``carousel-sync report``: prices, trends and benchmarks of all tenants as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from carousel_sync.analysis.parameters import Given
from carousel_sync.command_line import console
from carousel_sync.command_line.stage import resolve
from carousel_sync.report.disclosure import DEFAULT_SHARE, DEFAULT_TENANTS, LEAST_TENANTS, Rules
from carousel_sync.report.page import html
from carousel_sync.report.period import period_of
from carousel_sync.report.produce import Wanted, produce, write_page

DEFAULT_PAGE: Final = Path("report.html")
MOST_TENANTS: Final = 1_000


def report(
    month: Annotated[str | None, typer.Option(help="The month, such as 2025-12.", show_default=False)] = None,
    first: Annotated[str | None, typer.Option("--from", help="The first month.", show_default=False)] = None,
    last: Annotated[str | None, typer.Option("--to", help="The last month.", show_default=False)] = None,
    tenant: Annotated[
        str | None,
        typer.Option(help="Make the view of this tenant: itself, and the others without names.", show_default=False),
    ] = None,
    name_tenants: Annotated[
        bool, typer.Option("--name-tenants", help="Add a table of the tenants by name, for the operator only.")
    ] = False,
    k: Annotated[
        int,
        typer.Option("--k", min=LEAST_TENANTS, max=MOST_TENANTS, help="Withhold figures of fewer tenants than this."),
    ] = DEFAULT_TENANTS,
    max_share: Annotated[
        int, typer.Option(min=1, max=99, help="Withhold figures if one tenant has more than this percentage.")
    ] = DEFAULT_SHARE,
    out: Annotated[
        Path | None, typer.Option(help=f"Where to write the page. Default: {DEFAULT_PAGE}.", show_default=False)
    ] = None,
    stage: console.StageOption = console.DEFAULT_STAGE,
    local: console.LocalOption = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every figure as JSON. The page is then written only with --out.")
    ] = False,
) -> None:
    """Write a page about the sales of all tenants in whole months: prices, brands, time to sell, discounts, trends.

    The page is one file and needs no network. Figures that would tell what one tenant sells are withheld, and the page
    says so. Reads the table, and changes nothing. Exit code 0: the report was made; 1: it was not.
    """
    with console.readable_errors():
        given = Given(tenant=tenant).values()
        wanted = Wanted(period_of(month, first, last), Rules(k, max_share), tenant if given else None, name_tenants)
        target = resolve(stage, local)
        with console.working_on("Making the report") as progress:
            made = produce(target, wanted, progress)
            path = out or (None if as_json else DEFAULT_PAGE)
            if path is not None:
                progress("Drawing the charts")
                write_page(path, html(made))
        if as_json:
            console.print_json(made.as_json())
        if path is not None:
            console.stderr.print(f"The report of {made.period} is in {path}", soft_wrap=True)
