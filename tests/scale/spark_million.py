"""``python -m tests.scale.spark_million``: a million past sales through Spark, on two cores and the embedded emulator.

The sales are events of ten years in one JSON file, without embeddings, of three tenants, evenly over the days. The
years end a year and a half ago, when the events are supposed to have taken over: one sale in twenty is younger than two
years, and gets a claim, an item and a completion. At the end, the code of ``carousel-sync verify`` compares the three
stores. The measured time is that of the whole job, from spark-submit to its exit; making the file and verifying are
measured apart.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final, cast

import orjson
from pyiceberg.table import Table

from carousel_sync.aws.target import Target
from carousel_sync.consistency.verify import verify_target
from lambda_fn.event import EVENT_SOURCE
from lambda_fn.fields import FACTS
from lambda_fn.sale import EVENT_TYPE, Sale
from testbed.emulator import CLIENT_ENVIRONMENT, emulator
from testbed.stores import Stores, client, create_stores
from tests.engines.spark_jobs.job import Job, Wheel
from tests.scale.verify_million import sale_number
from tests.tables import TableUnderTest

SALES: Final = 1_000_000
DAYS: Final = 3652
ENDED_DAYS_AGO: Final = 547
LIMIT_SECONDS: Final = 600.0
OPTIONS: Final = {"spark.driver.memory": "2g"}


def line(number: int, last: date) -> bytes:
    """Return a sale as the line of an event."""
    sold_on = last - timedelta(days=number * 7919 % DAYS)
    sale: Sale = replace(sale_number(number), sold_date=sold_on, sale_id=f"SALE-{number:08d}")
    detail = {str(fact.event_name): getattr(sale, fact.attribute) for fact in FACTS}
    present = {name: value for name, value in detail.items() if value is not None}
    envelope = {"source": EVENT_SOURCE, "detail-type": EVENT_TYPE, "time": f"{sold_on}T23:00:00Z", "detail": present}
    return orjson.dumps(envelope, default=float, option=orjson.OPT_APPEND_NEWLINE)


class StoresTarget:
    """The part of a target that verify uses."""

    def __init__(self, stores: Stores) -> None:
        self._table = TableUnderTest(stores.catalog, stores.namespace)
        self._endpoint = stores.endpoint
        self.settings = stores.settings()

    def load_table(self) -> Table:
        """Load the Iceberg table."""
        return self._table.load()

    def client(self, service: str) -> Any:
        """Return a client of the emulator."""
        return client(service, self._endpoint)


def run(count: int, folder: Path, endpoint: str) -> bool:
    """Measure, print the figures, and return whether the target was met."""
    last = datetime.now(UTC).date() - timedelta(days=ENDED_DAYS_AGO)
    source = folder / "history.jsonl"
    with source.open("wb") as file:
        file.writelines(line(number, last) for number in range(count))
    show(
        f"{count:,} sales in {source.stat().st_size / 1e6:,.0f} MB of JSON lines; load average {os.getloadavg()[0]:.1f}"
    )
    stores = create_stores(endpoint)
    job = Job(Wheel.install(folder), stores, folder, options=OPTIONS)
    started, before = time.monotonic(), cpu_seconds()
    report = job.run(source)
    seconds, cpu = time.monotonic() - started, cpu_seconds() - before
    show(f"job: {seconds:,.0f} s, {cpu:,.0f} s of CPU; load average {os.getloadavg()[0]:.1f}; {report}")
    started = time.monotonic()
    found = verify_target(cast("Target", StoresTarget(stores)))
    show(f"verify: {time.monotonic() - started:,.0f} s, {found.rows:,} rows, {found.items:,} items")
    consistent = found.consistent and found.rows == found.sales == count
    show(f"consistent: {consistent}")
    return consistent and seconds <= LIMIT_SECONDS


def cpu_seconds() -> float:
    """Return the CPU time of all processes that this one has started and that have ended: the job, not the emulator."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def show(text: str) -> None:
    """Print at once."""
    print(text, flush=True)  # noqa: T201


def main() -> int:
    """Run from the command line. The exit code is 1 if the stores are not consistent, or the job took too long."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sales", type=int, default=SALES)
    options = parser.parse_args()
    os.environ.update(CLIENT_ENVIRONMENT)
    with tempfile.TemporaryDirectory(prefix="spark-million-") as name, emulator(Path(name)) as server:
        return int(not run(options.sales, Path(name), server.url))


if __name__ == "__main__":
    sys.exit(main())
