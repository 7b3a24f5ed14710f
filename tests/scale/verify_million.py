"""``python -m tests.scale.verify_million``: time and memory of ``verify`` and its repair for a million sales.

The Iceberg table consists of real files behind a SQLite catalog. A client in memory generates DynamoDB's pages on
request, so that no emulator affects the figures. Each measurement runs in its own process. Its peak memory includes
the interpreter and all libraries.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, cast

from pyiceberg.table import Table

from carousel_sync.aws.target import Target
from carousel_sync.consistency.repair import Repair
from carousel_sync.consistency.verify import verify_target
from lambda_fn.guard.items import completed_item
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import Completion
from lambda_fn.projection.item import item_of
from lambda_fn.sale import Sale, derived_sale_id
from tests import builders
from tests.tables import TableUnderTest, provisioned, sqlite_config

SALES: Final = 1_000_000
LIMIT_BYTES: Final = 1024**3
SALES_A_COMMIT: Final = 50_000
ITEMS_A_PAGE: Final = 1_000
TENANTS: Final = 3
LATEST: Final = date(2026, 3, 14)
DAYS: Final = 360
SCENARIOS: Final = ("consistent", "projection lost")


def sale_number(number: int) -> Sale:
    """Return a sale with every field except an embedding. Its id is as long as one that the function derives."""
    tenant = f"carousel-labs-{number % TENANTS}"
    day = LATEST - timedelta(days=number // SALES_A_COMMIT * 18 % DAYS + number % 18)
    product = f"PROD-LV-{number:08d}"
    return builders.sale(
        tenant_id=tenant,
        product_id=product,
        sale_id=derived_sale_id(tenant, product, day),
        sold_date=day,
        condition="like_new",
        description="Louis Vuitton Speedy 30, monogram canvas, with lock and keys",
        vendor_id=f"VENDOR-{number % 1000}",
        image_s3_key=f"s3://carousel-images/products/{product}.jpg",
        days_to_sell=number % 90,
    )


class GeneratedDynamoDB:
    """A client whose guard has an item for each sale, and whose projection has an item for each sale or none."""

    exceptions: Any = type(
        "Exceptions", (), {"ResourceNotFoundException": KeyError, "ConditionalCheckFailedException": ValueError}
    )

    def __init__(self, count: int, *, projection_lost: bool) -> None:
        self._count = count
        self._lost = projection_lost
        self.written = 0

    def get_paginator(self, name: str) -> GeneratedDynamoDB:
        assert name == "scan"
        return self

    def paginate(self, *, TableName: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        generated: Callable[[Sale], dict[str, Any]] = item_of if TableName == "projection" else _claim
        if generated is item_of and self._lost:
            return
        for start in range(0, self._count, ITEMS_A_PAGE):
            numbers = range(start, min(start + ITEMS_A_PAGE, self._count))
            yield {"Items": [generated(sale_number(number)) for number in numbers]}

    def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803
        (name,) = RequestItems
        return {"Responses": {name: []}, "UnprocessedKeys": {}}

    def put_item(self, **_: Any) -> None:
        self.written += 1


def _claim(sale: Sale) -> dict[str, Any]:
    claim = completed_item(Completion(sale.key, sale.facts, None), 0.0)
    return {name: claim[name] for name in ("tenantId", "eventId", "status")}


class GeneratedTarget:
    """The part of a target that verify and repair use."""

    settings: Any = type("Settings", (), {"projection_table": "projection", "guard_table": "guard"})

    def __init__(self, table: TableUnderTest, client: GeneratedDynamoDB) -> None:
        self._table = table
        self._client = client

    def load_table(self) -> Table:
        return self._table.load()

    def client(self, service: str) -> GeneratedDynamoDB:
        assert service == "dynamodb"
        return self._client


@dataclass(frozen=True)
class Measurement:
    """The figures of one run."""

    scenario: str
    sales: int
    seconds: float
    peak_bytes: int
    consistent: bool
    repaired: int


def measure(folder: Path, namespace: str, count: int, scenario: str) -> Measurement:
    """Verify in this process. If the projection is lost, write every item again."""
    lost = scenario == SCENARIOS[1]
    table = TableUnderTest(sqlite_config(folder), namespace)
    target = cast("Target", GeneratedTarget(table, GeneratedDynamoDB(count, projection_lost=lost)))
    started = time.monotonic()
    report = verify_target(target)
    repaired = Repair(target, report, dry_run=False).run().changes if lost else 0
    seconds = time.monotonic() - started
    assert report.sales == report.rows == count
    assert (report.consistent, repaired) == (not lost, count if lost else 0)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measurement(scenario, count, round(seconds, 1), peak_bytes, report.consistent, repaired)


def build(folder: Path, count: int) -> str:
    """Create the table and return its namespace."""
    provisioned_table = provisioned(sqlite_config(folder))
    table = provisioned_table.load()
    for start in range(0, count, SALES_A_COMMIT):
        sales = [sale_number(number) for number in range(start, min(start + SALES_A_COMMIT, count))]
        table.append(arrow_table(sales, table.schema()))
    return provisioned_table.namespace


def run(count: int = SALES) -> Iterator[Measurement]:
    """Measure each scenario in its own process, one after the other."""
    with tempfile.TemporaryDirectory(prefix="verify-million-") as name:
        folder = Path(name)
        namespace = _child("build", folder, "", count)
        for scenario in SCENARIOS:
            yield Measurement(**json.loads(_child(scenario, folder, namespace, count)))


def _child(task: str, folder: Path, namespace: str, count: int) -> str:
    arguments = ["--in-child", task, str(folder), namespace, "--sales", str(count)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.scale.verify_million", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Run from the command line. The exit code is 1 if a run used more memory than documented."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=SALES)
    parser.add_argument("--in-child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_child:
        task, folder, namespace = options.in_child
        if task == "build":
            print(build(Path(folder), options.sales))  # noqa: T201
        else:
            print(json.dumps(asdict(measure(Path(folder), namespace, options.sales, task))))  # noqa: T201
        return 0
    too_much = False
    for figures in run(options.sales):
        mebibytes = figures.peak_bytes / 1024**2
        too_much |= figures.peak_bytes >= LIMIT_BYTES
        print(  # noqa: T201
            f"{figures.scenario}: {figures.sales:,} sales in {figures.seconds} s, peak memory {mebibytes:,.0f} MiB",
            flush=True,
        )
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
