"""The bench's parts: how payloads are packed, requests counted, latencies summed up and shown."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from carousel_sync.bench.figures import Figures, Outcome, Setup, latencies, percentile
from carousel_sync.bench.load import Course
from carousel_sync.bench.payloads import Payload, delivered_again, prepare
from carousel_sync.bench.report import histogram, html
from carousel_sync.bench.wire import RequestCounter, name_of_request
from carousel_sync.bench.worker import Invocation, metric_in
from carousel_sync.consistency.compare import Findings, Report
from carousel_sync.events.generate import Recipe
from carousel_sync.planning.capacity import INVOCATION_LIMIT_BYTES
from lambda_fn.ports import Metric

ARN = "arn:aws:sqs:eu-west-1:000000000000:queue"
RECIPE = Recipe(25, seed=3, until=date(2026, 1, 1), duplicates=0.0, invalid=0.0, embedding=4)
TWO = frozenset({"t#1", "t#2"})
AGREED = Report(2, 2, 2, [], [], [], [], [], [], Findings(frozenset(), frozenset(), frozenset(), {}, frozenset()))


def records(payload: Payload) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(payload.path.read_text())["Records"]
    return found


def elements(picture: str, name: str) -> Iterator[ElementTree.Element]:
    """Return the elements of a picture; reading it shows that it is well-formed."""
    return ElementTree.fromstring(picture).iter(f"{{http://www.w3.org/2000/svg}}{name}")  # noqa: S314 - our own


def figures(*seconds: float, outcome: Outcome | None = None) -> Figures:
    invocations = [
        Invocation(one, cpu_seconds=one / 2, first=not number, requests={"s3 PUT": 3}, conflicts=number)
        for number, one in enumerate(seconds)
    ]
    course = Course(invocations, delivered=10, settled=10, seconds=4.0)
    return Figures(
        Setup(10, 2, 5, 4, 0.0, 1),
        course,
        outcome or Outcome(TWO, AGREED, commits=2, data_files=3, snapshot_bytes=630.0),
    )


def test_batches_hold_every_event_once(tmp_path: Path) -> None:
    written: list[int] = []
    prepared = prepare(RECIPE, 10, ARN, tmp_path, written.append)
    assert written == [10, 10, 5]
    assert [payload.messages for payload in prepared.payloads] == written
    ids = [record["messageId"] for payload in prepared.payloads for record in records(payload)]
    assert len(set(ids)) == 25
    assert len(prepared.sales) == 25


def test_duplicates_are_the_same_sale(tmp_path: Path) -> None:
    prepared = prepare(replace(RECIPE, duplicates=0.2), 100, ARN, tmp_path)
    assert sum(payload.messages for payload in prepared.payloads) == 25
    assert len(prepared.sales) == 20


def test_no_batch_is_larger_than_an_invocation_carries(tmp_path: Path) -> None:
    prepared = prepare(replace(RECIPE, count=300, embedding=4096), 300, ARN, tmp_path)
    sizes = [payload.path.stat().st_size for payload in prepared.payloads]
    assert sum(payload.messages for payload in prepared.payloads) == 300
    assert max(sizes) <= INVOCATION_LIMIT_BYTES
    assert len(sizes) == 3
    # As full as it goes: one more would not have fitted.
    assert min(sizes[:-1]) > INVOCATION_LIMIT_BYTES - 60_000


def test_what_is_given_back_comes_again_later_and_later(tmp_path: Path) -> None:
    first = prepare(RECIPE, 10, ARN, tmp_path).payloads[0]
    ids = [str(record["messageId"]) for record in records(first)]
    second, wait = delivered_again(first, {ids[3], ids[7]})
    assert [record["messageId"] for record in records(second)] == [ids[3], ids[7]]
    assert (second.messages, second.deliveries, wait) == (2, 2, 10)
    third, wait = delivered_again(second, None)
    assert (third.messages, third.deliveries, wait) == (2, 3, 20)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(1, 11)]
    assert [percentile(values, percent) for percent in (50, 90, 99, 100)] == [5, 9, 10, 10]
    assert percentile([7.0], 50) == 7
    assert latencies([1.0, 2.0, 3.0]) == {"p50": 2.0, "p90": 3.0, "p99": 3.0, "max": 3.0}


def test_figures_are_summed_up_over_all_handlers() -> None:
    found = figures(0.4, 0.2, 0.3)
    assert found.seconds == [0.2, 0.3, 0.4]
    assert found.events_per_second == 2.5
    assert found.conflicts == 3
    assert found.requests == {"s3 PUT": 9}
    # The first invocation of a process makes its clients: it is not typical.
    assert found.cpu_milliseconds_per_batch == pytest.approx(125)
    assert found.sales_per_commit == 1
    assert found.as_json()["batch_milliseconds"] == {"p50": 300, "p90": 400, "p99": 400, "max": 400}


@pytest.mark.parametrize(
    ("outcome", "once"),
    [
        (Outcome(TWO, AGREED, 1, 1, 0.0), True),
        (Outcome(TWO | {"t#3"}, AGREED, 1, 1, 0.0), False),
        (Outcome(TWO, replace(AGREED, rows=3), 1, 1, 0.0), False),
        (Outcome(TWO, replace(AGREED, items=1), 1, 1, 0.0), False),
        (Outcome(TWO, replace(AGREED, doubled_rows=["t/s"]), 1, 1, 0.0), False),
        (Outcome(TWO, replace(AGREED, open_claims=["t/s"]), 1, 1, 0.0), False),
    ],
)
def test_exactly_once_is_one_row_and_one_item_each(outcome: Outcome, once: bool) -> None:
    assert outcome.exactly_once is once
    assert figures(0.1, outcome=outcome).as_json()["exactly_once"] is once


def test_conflicts_are_read_from_the_metrics_in_the_log() -> None:
    line = '{"_aws":{},"CommitConflicts":[2.0,1.0],"stage":"dev"}'
    log = f'{{"message":"CommitConflicts 7"}}\n{line}\nnot json\n{{"_aws":{{}},"CommitConflicts":4}}\n'
    assert metric_in(log, Metric.COMMIT_CONFLICTS) == 7
    assert metric_in("", Metric.COMMIT_CONFLICTS) == 0


@pytest.mark.parametrize(
    ("request_text", "name"),
    [
        ("POST / HTTP/1.1\r\nX-Amz-Target: DynamoDB_20120810.BatchGetItem\r\n\r\n{}", "dynamodb BatchGetItem"),
        ("POST / HTTP/1.1\r\nx-amz-target: AmazonSQS.SendMessageBatch\r\n\r\n", "sqs SendMessageBatch"),
        ("POST /iceberg/v1/namespaces/n/tables/t HTTP/1.1\r\nHost: h\r\n\r\n", "catalog POST"),
        ("PUT /bucket/data/a.parquet HTTP/1.1\r\nHost: h\r\n\r\n", "s3 PUT"),
        ("POST /bucket/key?uploadId=1 HTTP/1.1\r\nHost: h\r\n\r\n", "s3 POST multipart"),
    ],
)
def test_a_request_is_named_by_its_service_and_action(request_text: str, name: str) -> None:
    assert name_of_request(request_text.encode()) == name


def test_each_request_is_counted_once_whatever_its_body() -> None:
    counter = RequestCounter()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _ = server.accept()
                with connection, connection.makefile("rb") as stream:
                    length = 0
                    while (line := stream.readline()) != b"\r\n":
                        if line.lower().startswith(b"content-length:"):
                            length = int(line.split(b":")[1])
                    stream.read(length)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        for body in (b"PUT / in a body", None):
            connection = http.client.HTTPConnection("127.0.0.1", server.getsockname()[1], timeout=10)
            connection.request("PUT" if body else "GET", "/bucket/key", body)
            connection.getresponse().read()
            connection.close()
        thread.join()
    assert counter.taken() == {"s3 PUT": 1, "s3 GET": 1}
    assert counter.taken() == {}


def test_the_report_is_one_file_with_its_picture_inside() -> None:
    page = html(figures(0.4, 0.2, 0.3), {"Events & more": "<10>"})
    assert "Events &amp; more" in page
    assert "&lt;10&gt;" in page
    assert "src=" not in page
    assert "href=" not in page
    picture = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    texts = {element.text for element in elements(picture, "text")}
    assert {"p50 300 ms", "p99 400 ms", "max 400 ms", "3 batches by the time that they took"} <= texts


def test_every_batch_is_in_the_distribution() -> None:
    picture = histogram([0.001 * number for number in range(1, 101)])
    bars = [element for element in elements(picture, "rect") if element.get("rx")]
    heights = [float(str(bar.get("height"))) for bar in bars]
    unit = 100 / sum(heights)
    assert sum(round(height * unit) for height in heights) == 100
    assert histogram([0.5]).startswith("<svg")
