"""``python -m tests.scale.verify_million``: time and memory of ``verify`` and its repair over a million sales.

The Iceberg table is a real one, of real files, behind a SQLite catalog. DynamoDB's pages are made as they are asked
for, by a client in memory, so that what is measured is this program and not an emulator. Each measurement runs in a
process of its own, whose peak memory is that of the whole process, interpreter and libraries included.
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
from tests.builders import sale
from tests.tables import TableUnderTest, provisioned, sqlite_config

SALES: Final = 1_000_000
LIMIT_BYTES: Final = 1024**3
SALES_A_COMMIT: Final = 50_000
ITEMS_A_PAGE: Final = 1_000
TENANTS: Final = 3
LATEST: Final = date(2026, 3, 14)
DAYS: Final = 360
KINDS: Final = ("consistent", "projection lost")


def sale_number(number: int) -> Sale:
    """Return a sale with everything but an embedding; ids are as long as those that the function derives."""
    tenant = f"carousel-labs-{number % TENANTS}"
    day = LATEST - timedelta(days=number // SALES_A_COMMIT * 18 % DAYS + number % 18)
    product = f"PROD-LV-{number:08d}"
    return sale(
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


class MadeUpDynamoDB:
    """Answers for the projection and the guard as if every sale were there, or no item at all."""

    exceptions: Any = type(
        "Exceptions", (), {"ResourceNotFoundException": KeyError, "ConditionalCheckFailedException": ValueError}
    )

    def __init__(self, count: int, *, projection_lost: bool) -> None:
        self._count = count
        self._lost = projection_lost
        self.written = 0

    def get_paginator(self, name: str) -> MadeUpDynamoDB:
        assert name == "scan"
        return self

    def paginate(self, *, TableName: str, **_: Any) -> Iterator[dict[str, Any]]:  # noqa: N803
        made: Callable[[Sale], dict[str, Any]] = item_of if TableName == "projection" else _claim
        if made is item_of and self._lost:
            return
        for start in range(0, self._count, ITEMS_A_PAGE):
            numbers = range(start, min(start + ITEMS_A_PAGE, self._count))
            yield {"Items": [made(sale_number(number)) for number in numbers]}

    def batch_get_item(self, *, RequestItems: Any) -> dict[str, Any]:  # noqa: N803
        (name,) = RequestItems
        return {"Responses": {name: []}, "UnprocessedKeys": {}}

    def put_item(self, **_: Any) -> None:
        self.written += 1


def _claim(one: Sale) -> dict[str, Any]:
    claim = completed_item(Completion(one.key, one.payload_hash, None), 0.0)
    return {name: claim[name] for name in ("tenantId", "eventId", "status")}


class MadeUpTarget:
    """As much of a target as verify and repair ask for."""

    settings: Any = type("Settings", (), {"projection_table": "projection", "guard_table": "guard"})

    def __init__(self, table: TableUnderTest, client: MadeUpDynamoDB) -> None:
        self._table = table
        self._client = client

    def load_table(self) -> Table:
        return self._table.load()

    def client(self, service: str) -> MadeUpDynamoDB:
        assert service == "dynamodb"
        return self._client


@dataclass(frozen=True)
class Measured:
    """What one run took."""

    kind: str
    sales: int
    seconds: float
    peak_bytes: int
    consistent: bool
    mended: int


def measure(folder: Path, namespace: str, count: int, kind: str) -> Measured:
    """Verify, and when the projection is lost write every item again, in this process."""
    lost = kind == KINDS[1]
    table = TableUnderTest(sqlite_config(folder), namespace)
    target = cast("Target", MadeUpTarget(table, MadeUpDynamoDB(count, projection_lost=lost)))
    started = time.monotonic()
    report = verify_target(target)
    mended = Repair(target, report, dry_run=False).run().changes if lost else 0
    seconds = time.monotonic() - started
    assert report.sales == report.rows == count
    assert (report.consistent, mended) == (not lost, count if lost else 0)
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(kind, count, round(seconds, 1), peak_bytes, report.consistent, mended)


def build(folder: Path, count: int) -> str:
    """Make the table, and return its namespace."""
    made = provisioned(sqlite_config(folder))
    table = made.load()
    for start in range(0, count, SALES_A_COMMIT):
        sales = [sale_number(number) for number in range(start, min(start + SALES_A_COMMIT, count))]
        table.append(arrow_table(sales, table.schema()))
    return made.namespace


def run(count: int = SALES) -> Iterator[Measured]:
    """Measure each kind in a process of its own, one after the other."""
    with tempfile.TemporaryDirectory(prefix="verify-million-") as name:
        folder = Path(name)
        namespace = _child("build", folder, "", count)
        for kind in KINDS:
            yield Measured(**json.loads(_child(kind, folder, namespace, count)))


def _child(what: str, folder: Path, namespace: str, count: int) -> str:
    arguments = ["--in-child", what, str(folder), namespace, "--sales", str(count)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.scale.verify_million", *arguments], stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout.strip()


def main() -> int:
    """Run from the command line. Exit code 1 when more memory was used than promised."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=SALES)
    parser.add_argument("--in-child", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.in_child:
        what, folder, namespace = given.in_child
        if what == "build":
            print(build(Path(folder), given.sales))  # noqa: T201
        else:
            print(json.dumps(asdict(measure(Path(folder), namespace, given.sales, what))))  # noqa: T201
        return 0
    too_much = False
    for one in run(given.sales):
        mebibytes = one.peak_bytes / 1024**2
        too_much |= one.peak_bytes >= LIMIT_BYTES
        print(f"{one.kind}: {one.sales:,} sales in {one.seconds} s, peak memory {mebibytes:,.0f} MiB", flush=True)  # noqa: T201
    return int(too_much)


if __name__ == "__main__":
    sys.exit(main())
