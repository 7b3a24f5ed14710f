"""``carousel-sync backfill`` on the embedded stack: one row for each sale, even if repeated or interrupted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from carousel_sync.backfill.landing import Backfill, BackfillReport, process_with, rejected_file
from carousel_sync.backfill.records import RecordFile
from carousel_sync.consistency.verify import verify_target
from carousel_sync.local_stack.stack import LocalStack
from carousel_sync.local_stack.state import STATE_DIR_VARIABLE
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.sale import Sale
from tests.builders import event, read
from tests.integration.carousel_sync.consistency.damage import Stores

COUNT = 12


@pytest.fixture
def tenant() -> str:
    return f"tenant-{uuid.uuid4().hex[:12]}"


def events_of(tenant: str, count: int = COUNT) -> list[dict[str, Any]]:
    """Return sales of this year; every third is older, so that its look-up item has expired."""
    return [
        event(
            tenantId=tenant,
            saleId=f"sale-{number}",
            soldDate="2019-05-17" if number % 3 == 0 else "2026-03-14",
            embedding=[0.5, 1.25],
        )
        for number in range(count)
    ]


def sales_of(events: Sequence[dict[str, Any]]) -> list[Sale]:
    sales = [read(given) for given in events]
    return [sale for sale in sales if isinstance(sale, Sale)]


def write_lines(path: Path, events: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(given)}\n" for given in events))
    return path


def write_parquet(stores: Stores, path: Path, events: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(arrow_table(sales_of(events), stores.target.load_table().schema()), path)
    return path


def rows(stores: Stores, tenant: str) -> Counter[str]:
    """Count the rows of each of the tenant's sales."""
    found = stores.target.load_table().scan(f"tenant_id = '{tenant}'", selected_fields=("tenant_id", "sale_id"))
    return Counter(found.to_arrow()["sale_id"].to_pylist())


def once(events: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter({given["detail"]["saleId"]: 1 for given in events})


def run(stack: LocalStack, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
    """Run the command without credentials in the environment, and return its JSON document."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment[STATE_DIR_VARIABLE] = str(stack.directory)
    program = Path(sys.executable).with_name("carousel-sync")
    done = subprocess.run(
        [program, "backfill", *map(str, arguments), "--local", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout + done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.parametrize("form", ["events", "details", "parquet"])
def test_repeating_a_file_stores_nothing_new(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path, form: str
) -> None:
    events, path = events_of(tenant), tmp_path / "history"
    options: list[object] = ["--batch-size", 5]
    if form == "parquet":
        write_parquet(stores, path, events)
    elif form == "details":
        write_lines(path, [given["detail"] for given in events])
        options += ["--time", events[0]["time"]]
    else:
        write_lines(path, events)
    first = run(own_stack, path, *options)
    assert (first["records"], first["landed"], first["duplicates"]) == (COUNT, COUNT, 0)
    assert rows(stores, tenant) == once(events)
    again = run(own_stack, path, *options)
    assert (again["records"], again["landed"], again["duplicates"]) == (COUNT, 0, COUNT)
    assert rows(stores, tenant) == once(events)
    rest = run(own_stack, path, *options, "--skip", COUNT - 2)
    assert rest["records"] == 2


def test_the_same_sales_in_another_form_are_duplicates(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path
) -> None:
    events = events_of(tenant)
    run(own_stack, write_lines(tmp_path / "lines", events[:8]), write_lines(tmp_path / "more", events[8:]))
    again = run(own_stack, write_parquet(stores, tmp_path / "rows", events))
    assert (again["landed"], again["duplicates"], again["rejected"]) == (0, COUNT, {})
    assert rows(stores, tenant) == once(events)


class Interrupted(Exception):
    """Raised in place of Ctrl-C."""


def test_an_interruption_after_a_batch_and_a_repeat(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path
) -> None:
    events = events_of(tenant)
    path = write_lines(tmp_path / "history", events)

    def interrupt(report: BackfillReport, _: str) -> None:
        if report.records == 5:
            raise Interrupted

    work = Backfill(process_with(stores.application()), batch_size=5)
    with pytest.raises(Interrupted):
        work.run(RecordFile(path).read(), interrupt)
    assert work.report.settled == (path, 5)
    assert rows(stores, tenant) == once(events[:5])
    again = run(own_stack, path, "--batch-size", 5)
    assert (again["landed"], again["duplicates"]) == (COUNT - 5, 5)
    assert rows(stores, tenant) == once(events)


def test_an_interruption_in_the_middle_of_a_batch(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path
) -> None:
    """It leaves the claim of a sale with a row and without an item, and the claim of a sale with neither."""
    events = events_of(tenant)
    landed, only_claimed = sales_of([events[1], events[4]])
    assert stores.deliver(stores.application(), [events[1]]) == []
    head = stores.target.load_table().current_snapshot()
    assert head is not None
    stores.client.delete_item(**stores.item_of(landed))
    stores.open_claim(landed, attempt=head.snapshot_id)
    stores.open_claim(only_claimed)
    done = run(own_stack, write_lines(tmp_path / "history", events))
    assert done["landed"] + done["duplicates"] == COUNT
    assert rows(stores, tenant) == once(events)


def test_a_dry_run_writes_nothing(own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "history", [*events_of(tenant), event(tenantId=tenant, brand="")])
    before = stores.everything()
    done = run(own_stack, path, "--dry-run", exit_code=1)
    assert (done["valid"], done["rejected"]) == (COUNT, {"INVALID_FIELD": 1})
    assert stores.everything() == before
    assert list(tmp_path.iterdir()) == [path]


def test_rejected_lines_are_kept_and_land_once_they_are_corrected(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path
) -> None:
    good, bad = events_of(tenant, 3), event(tenantId=tenant, saleId="bad", brand="")
    conflicting = event(tenantId=tenant, saleId="sale-1", salePrice=1)
    path = write_lines(tmp_path / "history", [good[0], bad, *good[1:]])
    with path.open("a") as file:
        file.write("no JSON\n" + json.dumps(conflicting) + "\n")
    for _ in range(2):
        done = run(own_stack, path, exit_code=1)
        assert done["rejected"] == {"INVALID_FIELD": 1, "INVALID_JSON": 1, "CONFLICTING_DUPLICATE": 1}
        assert done["rejected_files"] == [str(rejected_file(path))]
        kept = [json.loads(line) for line in rejected_file(path).read_text().splitlines()]
        assert {entry["line"]: entry["reason"] for entry in kept} == {
            2: "INVALID_FIELD",
            5: "INVALID_JSON",
            6: "CONFLICTING_DUPLICATE",
        }
    assert rows(stores, tenant) == once(good)
    (text,) = (entry["text"] for entry in kept if entry["line"] == 2)
    corrected = json.loads(text)
    corrected["detail"]["brand"] = "a brand"
    assert run(own_stack, write_lines(tmp_path / "corrected", [corrected]))["landed"] == 1
    assert rows(stores, tenant) == once([*good, bad])


def test_control_an_append_that_ignores_identity_doubles_rows(stores: Stores, tenant: str) -> None:
    """The same file is appended twice, as by a copy job: both counts show the doubled rows."""
    events = events_of(tenant, 2)
    sales = sales_of(events)
    for _ in range(2):
        for sale in sales:
            stores.append_row(sale)
    assert rows(stores, tenant) == Counter({"sale-0": 2, "sale-1": 2})
    assert set(verify_target(stores.target).doubled_rows) == {f"{tenant}/sale-0", f"{tenant}/sale-1"}
    for sale in sales:
        stores.delete_row(sale)
