"""The options that give a query of queries/athena its parameters."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from carousel_sync.analysis.parameters import DEFAULTS, MIN_TENANTS

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"]

TenantOption = Annotated[str | None, typer.Option(help="Parameter: the tenant.", show_default=False)]
MonthOption = Annotated[str | None, typer.Option(help="Parameter: the month, such as 2025-12.", show_default=False)]
DaysOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=36_500, help=f"Parameter: a number of days. Default: {DEFAULTS['days']}.", show_default=False
    ),
]
TenantsOption = Annotated[
    int | None,
    typer.Option(
        "--k",
        min=MIN_TENANTS,
        max=1_000_000,
        help=f"Parameter: the least number of other tenants, from {MIN_TENANTS}. Default: {DEFAULTS['k']}.",
        show_default=False,
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option("--from", help="Parameter: the first month of the period, such as 2025-10.", show_default=False),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="Parameter: the last month of the period, such as 2025-12.", show_default=False),
]
AsOfOption = Annotated[
    datetime | None,
    typer.Option(formats=_TIMES, help="Parameter: an earlier point in time, in UTC.", show_default=False),
]
