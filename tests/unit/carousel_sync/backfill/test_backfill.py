"""Past sales in files: how records are read, and how batches, retries, rates and rejections are handled."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from carousel_sync import cli
from carousel_sync.backfill.commands import continuation
from carousel_sync.backfill.landing import PAUSES_SECONDS, Backfill, BackfillReport, rejected_file
from carousel_sync.backfill.records import RecordFile
from lambda_fn.errors import ConfigurationError
from lambda_fn.iceberg.rows import arrow_table
from lambda_fn.ports import Delivery, Reason, Rejection
from lambda_fn.process_deliveries import Outcome, Result
from lambda_fn.sale import Sale
from schemas.evolution.migration import current_schema
from tests.builders import EVENT_TIME, embedding, event, sale
from tests.fakes.clock import FakeClock

FULL: dict[str, Any] = {
    "condition": "like_new",
    "description": "Speedy 30",
    "vendor_id": "vendor-1",
    "image_s3_key": "s3://images/1.jpg",
    "embedding_id": "emb-1",
    "days_to_sell": 12,
    "embedding": embedding(8),
    "currency": "EUR",
}

# A row with the table's columns, as JSON.
ROW: dict[str, Any] = {
    "product_id": "product-1",
    "tenant_id": "tenant-1",
    "sale_id": "sale-1",
    "category": "handbags",
    "brand": "Louis Vuitton",
    "condition": None,
    "listed_price": 500,
    "sold_price": 450.5,
    "discount_percent": 99,
    "sold_date": "2026-03-14",
    "quarter": "Q1",
    "year": 2026,
    "month": 3,
    "season": "Q1",
    "embedding_dimension": 3,
    "source_system": "carousel",
    "ingestion_timestamp": EVENT_TIME,
}


def lines(path: Path, *records: object) -> Path:
    texts = [record if isinstance(record, str) else json.dumps(record) for record in records]
    path.write_text("".join(f"{text}\n" for text in texts))
    return path


def contents(path: Path, event_time: str | None = None) -> list[Sale | Rejection]:
    return [record.delivery.content for record in RecordFile(path, event_time).read()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sales"


# --- reading ---------------------------------------------------------------------------------------------------------


def test_an_event_a_detail_and_a_row_give_the_same_sale(path: Path) -> None:
    lines(path, event(), event()["detail"], ROW)
    assert contents(path, EVENT_TIME) == [sale()] * 3


def test_only_an_event_and_a_row_have_their_own_time(path: Path) -> None:
    lines(path, event(), event()["detail"], ROW)
    of_event, of_detail, of_row = contents(path)
    assert (of_event, of_row) == (sale(), sale())
    assert isinstance(of_detail, Rejection)
    assert of_detail.detail.startswith("time:")
    other = "2026-03-20T00:00:00Z"
    assert contents(path, other) == [sale(), sale(recorded_at=datetime(2026, 3, 20, tzinfo=UTC)), sale()]


@pytest.mark.parametrize("price", ["12345678901234.5678", "0.1000", "450.5e0"])
def test_prices_are_read_digit_by_digit(path: Path, price: str) -> None:
    of_row = json.dumps({**ROW, "sold_price": "?"}).replace('"?"', price)
    of_detail = json.dumps({**event()["detail"], "salePrice": "?"}).replace('"?"', price)
    lines(path, of_row, of_detail)
    expected = sale(sold_price=Decimal(price).quantize(Decimal("0.0001")))
    assert contents(path, EVENT_TIME) == [expected] * 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", Reason.INVALID_JSON),
        ('"\\ud800"', Reason.INVALID_JSON),
        ("[]", Reason.NOT_A_SALE),
        ('{"detail-type": "other", "detail": {}}', Reason.NOT_A_SALE),
        ("{}", Reason.INVALID_FIELD),
        (json.dumps({**ROW, "sold_price": "450"}), Reason.INVALID_FIELD),
        (json.dumps({**ROW, "ingestion_timestamp": 5}), Reason.INVALID_FIELD),
        (json.dumps({**ROW, "ingestion_timestamp": "2026-03-15T10:00:00"}), Reason.INVALID_FIELD),
    ],
)
def test_an_invalid_record_has_a_reason_and_keeps_its_text(path: Path, line: str, reason: Reason) -> None:
    (record,) = RecordFile(lines(path, line), EVENT_TIME).read()
    assert isinstance(record.delivery.content, Rejection)
    assert (record.delivery.content.reason, record.text) == (reason, line)


def test_bytes_that_are_not_utf_8_are_invalid(path: Path) -> None:
    path.write_bytes(json.dumps(event(brand="?")).encode().replace(b"?", b"\xff") + b"\n")
    (content,) = contents(path)
    assert isinstance(content, Rejection)
    assert content.reason is Reason.INVALID_JSON


def test_blank_lines_count_as_lines_and_not_as_records(path: Path) -> None:
    path.write_text(f"\n{json.dumps(event())}\r\n  \n{json.dumps(event(saleId='last'))}")
    file = RecordFile(path)
    assert (file.count(), [record.number for record in file.read()]) == (2, [2, 4])
    assert [record.number for record in file.read(skip=2)] == [4]


def test_a_parquet_file_of_the_table_gives_every_fact_back(path: Path) -> None:
    sales = [sale(**FULL), sale(sale_id="sale-2", sold_price=Decimal("12345678901234.5678"))]
    pq.write_table(arrow_table(sales, current_schema()), path)
    assert contents(path) == sales
    assert RecordFile(path).count() == 2
    assert [record.number for record in RecordFile(path).read(skip=1)] == [2]


def test_a_parquet_file_with_the_fields_of_the_event(path: Path) -> None:
    detail = {**event(embedding=[0.5, 1.25])["detail"], "soldDate": date(2026, 3, 14)}
    pq.write_table(pa.Table.from_pylist([detail]), path)
    (content,) = contents(path, EVENT_TIME)
    assert isinstance(content, Sale)
    assert content == sale(embedding=content.embedding)
    assert list(content.embedding or ()) == [0.5, 1.25]


def test_skipping_more_than_one_group_of_rows(path: Path) -> None:
    pq.write_table(arrow_table([sale(sale_id=f"{number}") for number in range(1, 1301)], current_schema()), path)
    records = list(RecordFile(path).read(skip=1200))
    assert [record.number for record in records] == list(range(1201, 1301))
    assert all(record.delivery.content == sale(sale_id=str(record.number)) for record in records)


def test_a_row_with_a_type_that_json_does_not_have(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{**ROW, "brand": b"bytes"}]), path)
    (content,) = contents(path)
    assert isinstance(content, Rejection)
    assert content.reason is Reason.INVALID_FIELD
    assert "bytes" in content.detail


def test_a_parquet_file_without_sales_is_refused(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"a": 1}]), path)
    with pytest.raises(ConfigurationError, match="neither the table's columns"):
        RecordFile(path)
    path.write_bytes(b"PAR1 and nothing more")
    with pytest.raises(ConfigurationError, match="can't be read"):
        RecordFile(path)


# --- landing ---------------------------------------------------------------------------------------------------------


class Landing:
    """A fake of the function: lands new sales, and gives back or rejects those that a test chooses."""

    def __init__(self) -> None:
        self.landed: set[str] = set()
        self.batches: list[int] = []
        self.give_back: dict[str, int] = {}
        self.conflicts: set[str] = set()

    def __call__(self, deliveries: Sequence[Delivery]) -> Mapping[str, Result]:
        self.batches.append(len(deliveries))
        return {delivery.delivery_id: self._result(delivery) for delivery in deliveries}

    def _result(self, delivery: Delivery) -> Result:
        assert isinstance(delivery.content, Sale)
        name = delivery.content.sale_id
        if self.give_back.get(name, 0):
            self.give_back[name] -= 1
            return Result(Outcome.GIVEN_BACK, cause="another attempt holds the sale")
        if name in self.conflicts:
            return Result(Outcome.REJECTED, Rejection(Reason.CONFLICTING_DUPLICATE, "other facts"))
        known = name in self.landed
        self.landed.add(name)
        return Result(Outcome.DUPLICATE if known else Outcome.COMMITTED)


def events(path: Path, number: int) -> RecordFile:
    return RecordFile(lines(path, *(event(saleId=f"sale-{count}") for count in range(1, number + 1))))


def test_batches_have_the_given_size(path: Path) -> None:
    landing = Landing()
    done = Backfill(landing, batch_size=4).run(events(path, 10).read())
    assert landing.batches == [4, 4, 2]
    assert (done.records, done.landed, done.settled, done.complete) == (10, 10, (path, 10), True)


def test_sales_that_are_given_back_are_tried_again_after_a_pause(path: Path) -> None:
    landing, clock = Landing(), FakeClock()
    landing.give_back = {"sale-2": 2}
    done = Backfill(landing, batch_size=5, clock=clock).run(events(path, 5).read())
    assert landing.batches == [5, 1, 1]
    assert clock.monotonic() == PAUSES_SECONDS[0] + PAUSES_SECONDS[1]
    assert (done.landed, done.given_back, done.complete) == (5, 0, True)


def test_tries_are_limited_and_other_sales_continue(path: Path) -> None:
    landing, clock = Landing(), FakeClock()
    landing.give_back = {"sale-2": 99}
    done = Backfill(landing, batch_size=2, clock=clock).run(events(path, 6).read())
    assert (done.landed, done.given_back, done.stopped, done.complete) == (5, 1, "", False)
    assert done.causes == {"another attempt holds the sale": 1}
    assert clock.monotonic() == sum(PAUSES_SECONDS)
    # Otherwise --skip would skip it.
    assert done.settled is None


def test_a_batch_that_is_given_back_as_a_whole_ends_the_backfill(path: Path) -> None:
    landing = Landing()
    landing.give_back = {"sale-3": 99, "sale-4": 99}
    done = Backfill(landing, batch_size=2, clock=FakeClock()).run(events(path, 6).read())
    assert (done.landed, done.given_back, done.settled) == (2, 2, (path, 2))
    assert "given back 5 times" in done.stopped
    assert not done.complete


def test_the_rate_limits_the_average(path: Path) -> None:
    clock = FakeClock()
    Backfill(Landing(), batch_size=3, rate=2.0, clock=clock).run(events(path, 12).read())
    assert clock.monotonic() == pytest.approx(6.0)
    unlimited = FakeClock()
    Backfill(Landing(), batch_size=3, clock=unlimited).run(events(path, 12).read())
    assert unlimited.monotonic() == 0


def test_rejected_lines_are_written_beside_the_file(path: Path) -> None:
    landing = Landing()
    landing.conflicts = {"sale-1"}
    lines(path, event(), "{", event(saleId="sale-2"), event(saleId="sale-3", brand=""))
    done = Backfill(landing, batch_size=10).run(RecordFile(path).read())
    assert done.rejected == {"CONFLICTING_DUPLICATE": 1, "INVALID_JSON": 1, "INVALID_FIELD": 1}
    kept = [json.loads(line) for line in rejected_file(path).read_text().splitlines()]
    assert [entry["line"] for entry in kept] == [1, 2, 4]
    original = path.read_text().splitlines()
    assert all(entry["text"] == original[entry["line"] - 1] for entry in kept)
    assert {entry["line"]: entry["reason"] for entry in kept}[2] == "INVALID_JSON"
    assert not done.complete


def test_a_check_counts_records_and_writes_nothing(path: Path) -> None:
    lines(path, event(), "{", {**event(shade="red")})
    done = Backfill(None, batch_size=10).run(RecordFile(path).read())
    assert (done.records, done.valid, done.landed, done.rejected) == (3, 2, 0, {"INVALID_JSON": 1})
    assert done.unknown_fields == {"shade": 1}
    assert sorted(path.parent.iterdir()) == [path]


def test_a_record_gives_the_same_sale_in_every_form(path: Path) -> None:
    """A sale that is loaded as an event and then as a row is a duplicate, not a conflict."""
    full = sale(**FULL)
    pq.write_table(arrow_table([full], current_schema()), path)
    (of_row,) = contents(path)
    assert isinstance(of_row, Sale)
    assert of_row.payload_hash == full.payload_hash != replace(full, brand="other").payload_hash


# --- the command without a stage -------------------------------------------------------------------------------------


def test_a_dry_run_needs_no_stage(path: Path) -> None:
    lines(path, event(), event(saleId="sale-2"))
    shown = CliRunner().invoke(cli.app, ["backfill", str(path), "--dry-run", "--json"])
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.stdout)["valid"] == 2
    lines(path, event()["detail"])
    shown = CliRunner().invoke(cli.app, ["backfill", str(path), "--dry-run"])
    assert shown.exit_code == 1
    assert "need --time" in shown.stdout
    assert CliRunner().invoke(cli.app, ["backfill", str(path), "--dry-run", "--time", EVENT_TIME]).exit_code == 0


@pytest.mark.parametrize(
    ("settled", "expected"),
    [
        (None, "repeat the command; stored sales are recognised as duplicates: load a b c from 0"),
        (
            (Path("a"), 7),
            "All records up to line 7 of a are stored or rejected. To continue: load a from 7, then load b",
        ),
        ((Path("c"), 1500), "line 1,500 of c are stored or rejected. To continue: load c from 1500"),
    ],
)
def test_the_commands_that_continue(settled: tuple[Path, int] | None, expected: str) -> None:
    files = [Path("a"), Path("b"), Path("c")]
    text = continuation(
        BackfillReport(settled=settled),
        files,
        lambda paths, lines: f"load {' '.join(map(str, paths))} from {lines}",
    )
    assert expected in text


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["no-such-file"],
        ["{file}", "{file}"],
        ["{file}", "--time", "yesterday"],
        ["{file}", "--time", "2026-03-15T10:00:00"],
        ["{file}", "--batch-size", "0"],
        ["{file}", "{other}", "--skip", "1"],
        ["{parquet}"],
    ],
)
def test_invalid_arguments_end_with_2(tmp_path: Path, arguments: list[str]) -> None:
    names = {name: lines(tmp_path / name, event()) for name in ("file", "other")}
    names["parquet"] = tmp_path / "parquet"
    pq.write_table(pa.Table.from_pylist([{"a": 1}]), names["parquet"])
    given = [argument.format(**names) for argument in arguments]
    assert CliRunner().invoke(cli.app, ["backfill", *given]).exit_code == 2
