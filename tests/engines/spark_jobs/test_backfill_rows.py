"""The job stores the same rows, items and rejections as ``carousel-sync backfill``, from lines and from Parquet."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from contextlib import redirect_stdout
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from carousel_sync.backfill.landing import Backfill, process_with, rejected_file
from carousel_sync.backfill.records import RecordFile
from carousel_sync.events.generate import Recipe, generate
from testbed.stores import Stores, create_stores
from tests.engines.readers.fixtures import ONE_PROCESS
from tests.engines.spark_jobs.contents import Contents, old, write_lines, young
from tests.engines.spark_jobs.job import Job

pytestmark = [pytest.mark.engine, ONE_PROCESS]

TIME = "2026-11-01T00:00:00Z"


def history() -> list[object]:
    """Return records of every form, old and young, with embeddings, repeats, contradictions and invalid ones."""
    recipes = [
        Recipe(60, seed, until, tenants=2, duplicates=0.1, invalid=0.2, embedding=dimension)
        for seed, until, dimension in ((1, datetime.now(UTC).date(), 16), (2, date(2020, 3, 1), 0))
    ]
    events: list[Any] = [given.envelope for recipe in recipes for given in generate(recipe)]
    details = [given["detail"] for given in (old("detail-1"), old("detail-2", embedding=[0.5, -1.25, 1e-45]))]
    row = {"tenant_id": "tenant-9", "product_id": "p", "category": "c", "brand": "b", "listed_price": 0}
    rows = [
        {**row, "sold_price": "PRICE", "sold_date": day, "ingestion_timestamp": f"{day}T01:02:03.456789+02:00"}
        for day in ("2024-02-29", "2019-12-31")
    ]
    long_price = [json.dumps(given).replace('"PRICE"', "12345678901234.5678") for given in rows]
    texts = ["", "not JSON", '{"tenantId": 1}', json.dumps(young("big", description="x" * 10_001)), "\u00e9"]
    return [*events, *details, *long_price, *texts]


def load_with_the_command(stores: Stores, path: Path) -> list[dict[str, str]]:
    """Store a file with the code of ``carousel-sync backfill``, and return the rejected records, sorted."""
    contents = Contents(stores)
    with redirect_stdout(io.StringIO()):
        Backfill(process_with(contents.function()), batch_size=500).run(RecordFile(path, TIME).read())
    lines = [json.loads(line) for line in rejected_file(path).read_text().splitlines()]
    return sorted(({name: line[name] for name in ("reason", "detail", "text")} for line in lines), key=str)


def test_lines_become_what_the_command_makes_of_them(job: Job, emulator_endpoint: str, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "history.jsonl", history())
    expected = create_stores(emulator_endpoint)
    rejected = load_with_the_command(expected, path)
    wanted, found = Contents(expected), Contents(job.stores)

    report = job.run(path, "--time", TIME, "--sales-per-chunk", 50, exit_code=1)

    assert found.rows() == wanted.rows()
    assert found.items() == wanted.items()
    assert 0 < len(found.items()) < len(found.rows())
    assert job.rejected() == rejected
    assert found.verified().consistent
    counts = report["landed"], report["not_stored"], sum(report["rejected"].values())
    assert counts == (len(wanted.rows()), 0, len(rejected))
    assert not (job.output / "staged").exists()

    snapshots = found.snapshots()
    repeated = job.run(path, "--time", TIME, exit_code=1)
    assert (repeated["landed"], repeated["rejected"]) == (0, report["rejected"])
    assert repeated["duplicates"] == report["duplicates"] + report["landed"]
    assert (found.rows(), found.items(), found.snapshots()) == (wanted.rows(), wanted.items(), snapshots)
    assert job.rejected() == rejected


def test_rows_in_parquet_become_the_same_rows(job: Job, emulator_endpoint: str, tmp_path: Path) -> None:
    exported = Contents(create_stores(emulator_endpoint))
    events: Sequence[Any] = [
        *(young(f"young-{number}", embedding=[0.1, number / 3]) for number in range(5)),
        *(old(f"old-{number}", salePrice=number + 0.0001, currency="EUR") for number in range(5)),
    ]
    assert exported.deliver(exported.function(), events) == []
    path = tmp_path / "export.parquet"
    pq.write_table(exported.load_table().scan().to_arrow(), path)

    assert job.run(path, "--format", "parquet")["landed"] == len(events)

    found = Contents(job.stores)
    assert (found.rows(), found.items()) == (exported.rows(), exported.items())
    assert found.verified().consistent
