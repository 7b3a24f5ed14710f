"""``carousel-sync backfill`` on the embedded stack: one row for each sale, however often and however cut short."""

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

from carousel_sync.backfill.landing import Backfill, Backfilled, rejected_file, through
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
    """Return sales of this year and, every third, of one whose look-up items have expired."""
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
    sales = [read(one) for one in events]
    return [one for one in sales if isinstance(one, Sale)]


def write_lines(path: Path, events: Sequence[object]) -> Path:
    path.write_text("".join(f"{json.dumps(one)}\n" for one in events))
    return path


def write_parquet(stores: Stores, path: Path, events: Sequence[dict[str, Any]]) -> Path:
    pq.write_table(arrow_table(sales_of(events), stores.target.load_table().schema()), path)
    return path


def rows(stores: Stores, tenant: str) -> Counter[str]:
    """Return how many rows the table has of each of the tenant's sales."""
    found = stores.target.load_table().scan(f"tenant_id = '{tenant}'", selected_fields=("tenant_id", "sale_id"))
    return Counter(found.to_arrow()["sale_id"].to_pylist())


def once(events: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter({one["detail"]["saleId"]: 1 for one in events})


def run(stack: LocalStack, *arguments: object, exit_code: int = 0) -> dict[str, Any]:
    """Run the command as a person does, with no credentials in the shell, and return what it says as JSON."""
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


@pytest.mark.parametrize("kind", ["events", "details", "parquet"])
def test_a_file_is_loaded_once_however_often(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path, kind: str
) -> None:
    events, path = events_of(tenant), tmp_path / "history"
    options: list[object] = ["--batch-size", 5]
    if kind == "parquet":
        write_parquet(stores, path, events)
    elif kind == "details":
        write_lines(path, [one["detail"] for one in events])
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
    """Stands for Ctrl-C."""


def test_interrupted_after_a_batch_and_run_again(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path
) -> None:
    events = events_of(tenant)
    path = write_lines(tmp_path / "history", events)

    def interrupt(done: Backfilled, _: str) -> None:
        if done.records == 5:
            raise Interrupted

    work = Backfill(through(stores.application()), batch_size=5, told=interrupt)
    with pytest.raises(Interrupted):
        work.run(RecordFile(path).read())
    assert work.done.settled == (path, 5)
    assert rows(stores, tenant) == once(events[:5])
    again = run(own_stack, path, "--batch-size", 5)
    assert (again["landed"], again["duplicates"]) == (COUNT - 5, 5)
    assert rows(stores, tenant) == once(events)


def test_interrupted_in_the_middle_of_a_batch(
    own_stack: LocalStack, stores: Stores, tenant: str, tmp_path: Path
) -> None:
    """What it leaves: the claim of a sale that has its row and no item, and the claim of one that has neither."""
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


def test_rejected_lines_are_kept_and_land_when_they_are_corrected(
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
        assert {one["line"]: one["reason"] for one in kept} == {
            2: "INVALID_FIELD",
            5: "INVALID_JSON",
            6: "CONFLICTING_DUPLICATE",
        }
    assert rows(stores, tenant) == once(good)
    (text,) = (one["text"] for one in kept if one["line"] == 2)
    corrected = json.loads(text)
    corrected["detail"]["brand"] = "a brand"
    assert run(own_stack, write_lines(tmp_path / "corrected", [corrected]))["landed"] == 1
    assert rows(stores, tenant) == once([*good, bad])


def test_control_an_append_that_ignores_identity_is_noticed(stores: Stores, tenant: str) -> None:
    """The same file appended twice, as a copy job does it: both ways of counting see the doubled rows."""
    events = events_of(tenant, 2)
    sales = sales_of(events)
    for _ in range(2):
        for one in sales:
            stores.append_row(one)
    assert rows(stores, tenant) == Counter({"sale-0": 2, "sale-1": 2})
    assert set(verify_target(stores.target).doubled_rows) == {f"{tenant}/sale-0", f"{tenant}/sale-1"}
    for one in sales:
        stores.delete_row(one)
