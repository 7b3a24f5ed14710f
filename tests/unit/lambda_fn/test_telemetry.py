"""Logs and metrics as CloudWatch receives them: one JSON object per line, allowed keys, and no fact of a sale."""

from __future__ import annotations

import io
import json
import logging
import random
import re
import threading
from array import array
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import pytest

from lambda_fn.aws.batch_requests import Batches
from lambda_fn.errors import StoreUnavailable
from lambda_fn.event import parse_message
from lambda_fn.guard.guard_table import DynamoDBGuard, guard_table
from lambda_fn.ports import (
    NO_SNAPSHOT,
    AppendResult,
    Claimed,
    DeadLetter,
    Delivery,
    Landed,
    LogKeys,
    Metric,
    Reason,
    Resolution,
)
from lambda_fn.process_deliveries import Outcome, ProcessDeliveries
from lambda_fn.projection.item import vector_json
from lambda_fn.projection.projection_table import DynamoDBProjection, projection_table
from lambda_fn.runtime.retry import Deadline, Retry
from lambda_fn.sale import Sale, SaleKey
from lambda_fn.sync_sales import SyncSales
from lambda_fn.telemetry import NAMESPACE, SERVICE, PowertoolsTelemetry
from tests.builders import FIRST_SEEN, body
from tests.fakes.clock import FakeClock
from tests.fakes.dynamodb import FakeDynamoDB
from tests.fakes.parallel import InTurn

Line = dict[str, Any]


class Output:
    """The function's output: log lines through its logger, metrics through its standard output."""

    def __init__(self, log: io.StringIO, capture: pytest.CaptureFixture[str]) -> None:
        self._log = log
        self._capture = capture

    def read(self) -> tuple[list[Line], list[Line], str]:
        """Return the log lines, the metrics, and all of it as text."""
        metrics = self._capture.readouterr().out
        log = self._log.getvalue()
        return [json.loads(x) for x in log.splitlines()], [json.loads(x) for x in metrics.splitlines()], log + metrics

    def lines(self) -> list[Line]:
        return self.read()[0]

    def metrics(self) -> list[Line]:
        return self.read()[1]


@pytest.fixture
def telemetry() -> PowertoolsTelemetry:
    made = PowertoolsTelemetry("dev")
    made.start("request-1")
    return made


@pytest.fixture
def output(telemetry: PowertoolsTelemetry, capsys: pytest.CaptureFixture[str]) -> Iterator[Output]:
    (handler,) = logging.getLogger(SERVICE).handlers
    assert isinstance(handler, logging.StreamHandler)
    log = io.StringIO()
    # Not setStream, which flushes the old stream: that may be an earlier test's, and closed.
    before, handler.stream = handler.stream, log
    yield Output(log, capsys)
    handler.stream = before


def test_a_line_has_its_text_its_keys_and_the_request_id(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.info("[CarouselSync] Processing product sale", count=2, sale_ids=["a", "b"])
    telemetry.warning("[CarouselSync] Failed to sync", cause="no time", delivery_ids=["m"])
    first, second = output.lines()
    assert (first["level"], first["message"]) == ("INFO", "[CarouselSync] Processing product sale")
    assert (first["count"], first["sale_ids"], first["request_id"]) == (2, ["a", "b"], "request-1")
    assert (second["level"], second["cause"], second["request_id"]) == ("WARNING", "no time", "request-1")


def test_a_line_names_its_caller(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.info("x")
    telemetry.warning("x")
    assert all("test_a_line_names_its_caller" in line["location"] for line in output.lines())


def test_every_allowed_key_is_written(telemetry: PowertoolsTelemetry, output: Output) -> None:
    keys: Any = {name: f"value of {name}" for name in LogKeys.__annotations__}
    telemetry.info("x", **keys)
    (line,) = output.lines()
    assert keys.items() <= line.items()


def test_no_other_key_is_written(telemetry: PowertoolsTelemetry, output: Output) -> None:
    keys: Any = dict.fromkeys(["description", "price", "salePrice", "embedding", "sale", "body", "event"], "canary")
    telemetry.info("x", count=1, **keys)
    telemetry.warning("x", count=1, **keys)
    lines, _, text = output.read()
    assert [line["count"] for line in lines] == [1, 1]
    assert "canary" not in text
    assert not any(line.keys() & keys.keys() for line in lines)


def test_the_allow_list_contains_no_fact_of_a_sale() -> None:
    facts = Sale.__dataclass_fields__.keys() - {"sale_id"}
    assert not facts & LogKeys.__annotations__.keys()
    assert LogKeys.__annotations__.keys() == {
        "attempt_id",
        "cause",
        "conflicts",
        "count",
        "delivery_ids",
        "detail",
        "event_ids",
        "group_size",
        "milliseconds",
        "reason",
        "sale_ids",
        "snapshot_id",
        "takeovers",
        "unknown_fields",
    }


def test_a_failure_is_logged_as_an_error_with_its_type(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.failure(StoreUnavailable("the table can't be read"))
    (line,) = output.lines()
    assert (line["level"], line["message"]) == ("ERROR", "[CarouselSync] Failed to sync")
    assert line["cause"] == "StoreUnavailable: the table can't be read"


def test_metrics_are_summed_and_written_once(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.measure(Metric.BATCH_SIZE, 10)
    telemetry.measure(Metric.TAKEOVERS, 1)
    telemetry.measure(Metric.TAKEOVERS, 2)
    telemetry.measure(Metric.COMMIT_MILLISECONDS, 250)
    telemetry.flush()
    (line,) = output.metrics()
    (definition,) = line["_aws"]["CloudWatchMetrics"]
    assert definition["Namespace"] == NAMESPACE
    assert definition["Dimensions"] == [["stage", "service"]]
    assert (line["stage"], line["service"]) == ("dev", SERVICE)
    assert line["BatchSize"] == [10]
    assert sum(line["Takeovers"]) == 3
    units = {metric["Name"]: metric["Unit"] for metric in definition["Metrics"]}
    assert units == {
        "ColdStarts": "Count",
        "DynamoDBThrottles": "Count",
        "BatchSize": "Count",
        "Takeovers": "Count",
        "CommitMilliseconds": "Milliseconds",
    }


def test_the_first_invocation_of_a_process_is_marked(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.info("x")
    telemetry.flush()
    telemetry.start("request-2")
    telemetry.info("x")
    telemetry.flush()
    lines, metrics, _ = output.read()
    assert [line["cold_start"] for line in lines] == [True, False]
    assert [line["ColdStarts"] for line in metrics] == [[1], [0]]


def test_throttled_requests_are_counted_from_any_thread(telemetry: PowertoolsTelemetry, output: Output) -> None:
    threads = [threading.Thread(target=telemetry.throttled, args=(2,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    telemetry.flush()
    (line,) = output.metrics()
    assert sum(line["DynamoDBThrottles"]) == 16


def test_the_next_invocation_starts_from_zero(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.measure(Metric.BATCH_SIZE, 10)
    telemetry.flush()
    telemetry.measure(Metric.BATCH_SIZE, 3)
    telemetry.flush()
    assert [line["BatchSize"] for line in output.metrics()] == [[10], [3]]


def test_a_rejected_event_counts_in_total_and_by_reason(telemetry: PowertoolsTelemetry, output: Output) -> None:
    telemetry.rejected(Reason.INVALID_JSON)
    telemetry.rejected(Reason.ITEM_TOO_LARGE)
    telemetry.flush()
    lines = output.metrics()
    assert [line.get("reason") for line in lines] == ["INVALID_JSON", "ITEM_TOO_LARGE", None]
    assert [sum(line["SalesRejected"]) for line in lines] == [1, 1, 2]
    dimensions = [line["_aws"]["CloudWatchMetrics"][0]["Dimensions"] for line in lines]
    assert [set(*found) for found in dimensions] == [{"stage", "service", "reason"}] * 2 + [{"stage", "service"}]


# --- no fact of a sale -----------------------------------------------------------------------------------------------


class Appends:
    """A table and its only attempt: everything that is appended lands."""

    attempt_id = 5
    pin = NO_SNAPSHOT

    def __init__(self) -> None:
        self.rows: list[Sale] = []

    def begin(self, attempt_id: int, deadline: Deadline) -> Appends:
        return self

    def columns_missing(self, sales: Sequence[Sale], deadline: Deadline) -> Mapping[SaleKey, Collection[str]]:
        return {}

    def resolve(self, taken_over: Sequence[Claimed], unvouched: Sequence[Sale], deadline: Deadline) -> Resolution:
        return Resolution()

    def merge_manifests(self, deadline: Deadline) -> None:
        """There are no manifests."""

    def stage(self, sales: Sequence[Sale]) -> None:
        """There is nothing to stage."""

    def prepare(self, sales: Sequence[Sale], deadline: Deadline) -> None:
        """There is nothing to upload."""

    def append(self, sales: Sequence[Sale], fenced: Collection[int], deadline: Deadline) -> AppendResult:
        self.rows.extend(sales)
        return Landed(self.attempt_id)


class Keeps:
    """A dead-letter queue that accepts every letter except that of the delivery ``refused``."""

    def keep(self, letters: Sequence[DeadLetter], request_id: str, deadline: Deadline) -> Collection[str]:
        return {letter.delivery.delivery_id for letter in letters} - {"refused"}


CANARY_VECTOR = array("f", [0.87654321, -98765.432, 3.1415927e-20])
CANARIES: dict[str, object] = {
    "productId": "canary-product",
    "category": "canary-category",
    "brand": "canary-brand",
    "condition": "canary-condition",
    "description": "canary-description \n\U0001f424",
    "vendorId": "canary-vendor",
    "imageS3Key": "s3://canary-image",
    "embeddingId": "canary-embedding",
    "listedPrice": 9182736455,
    "salePrice": 8271.6354,
    "soldDate": "2024-02-29",
    "daysToSell": 31_415,
    "embedding": list(CANARY_VECTOR),
    "shade": "canary-unknown",
    "canary field": "canary-unknown",
}
# How the values would look in a line.
TRACES = ["canary", "9182736455", "8271.6354", "2024-02-29", "31415", "0.8765432", "98765.43", "\U0001f424", "1f424"]


def deliveries_with_canaries() -> list[Delivery]:
    wrong: dict[str, object] = {
        "brand": {"canary": "canary"},
        "salePrice": "8271.6354",
        "listedPrice": 9182736455.00001,
        "soldDate": "canary-2024-02-29",
        "tenantId": "canary#canary",
        "daysToSell": 31415.5,
        "embedding": ["canary", 0.8765432],
        "condition": ["canary"],
    }
    bodies: dict[str, str] = {
        "good": body(**CANARIES),
        "again": body(**CANARIES),
        "old": body(**CANARIES | {"saleId": "old"}),
    }
    bodies["conflict"] = body(**CANARIES | {"brand": "canary-other"})
    bodies["refused"] = body(**CANARIES | {"saleId": "canary#"})
    bodies |= {f"wrong-{name}": body(**CANARIES | {name: value}) for name, value in wrong.items()}
    bodies["not-json"] = body(**CANARIES)[:-1]
    bodies["not-a-sale"] = body(**CANARIES).replace("carousel.product.sold", "canary.kind")
    bodies["too-large"] = body(**CANARIES | {"saleId": "large", "condition": "canary" * 70_000})
    return [parse_message(delivery_id, text, FIRST_SEEN) for delivery_id, text in bodies.items()]


def test_no_fact_of_a_sale_reaches_a_log(telemetry: PowertoolsTelemetry, output: Output) -> None:
    clock = FakeClock()
    retry = Retry(clock, random.SystemRandom())
    guards, items = guard_table("guard"), projection_table("projection")
    database: Any = FakeDynamoDB(guards, items)
    table = Appends()
    projection = DynamoDBProjection(Batches(database, items, retry, InTurn()))
    sync_sales = SyncSales(
        guard=DynamoDBGuard(Batches(database, guards, retry, InTurn()), clock, retry),
        table=table,
        projection=projection,
        telemetry=telemetry,
        clock=clock,
        retry=retry,
        parallel=InTurn(),
        new_attempt_id=lambda: 5,
    )
    process = ProcessDeliveries(sync_sales, projection, Keeps(), telemetry)
    deliveries = deliveries_with_canaries()
    for _ in range(2):
        results = process.process(deliveries, "request-1", Deadline.after(clock, 58))
        telemetry.flush()
    outcomes = {delivery_id: result.outcome for delivery_id, result in results.items()}
    given = {delivery.delivery_id for delivery in deliveries}
    assert {name for name in given if outcomes[name] is Outcome.DUPLICATE} == {"good", "again", "old"}
    assert {name for name in given if outcomes[name] is Outcome.GIVEN_BACK} == {"refused"}
    assert len(table.rows) == 2
    lines, metrics, text = output.read()
    assert len(lines) > 20
    assert len(metrics) > 20
    assert "sale-1" in text
    text = re.sub(r'"Timestamp": ?[0-9]+', "", text)
    assert [trace for trace in TRACES if trace in text] == []


def test_logged_values_would_leave_these_traces() -> None:
    everything = json.dumps(CANARIES) + body(**CANARIES) + vector_json(CANARY_VECTOR) + "\U0001f424\\U0001f424"
    assert [trace for trace in TRACES if trace not in everything] == []


def test_two_applications_in_one_process_count_separately(capsys: pytest.CaptureFixture[str]) -> None:
    one, other = PowertoolsTelemetry("one"), PowertoolsTelemetry("other")
    one.measure(Metric.DUPLICATES, 1)
    other.measure(Metric.DUPLICATES, 2)
    one.flush()
    other.flush()
    metrics = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["stage"], line["Duplicates"]) for line in metrics] == [("one", [1.0]), ("other", [2.0])]
