"""Answers about a table: their sizes are reported, and answers to commits are shortened."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from requests import PreparedRequest, Request, Response
from requests.adapters import BaseAdapter

from catalog_config.table_answers import PastSnapshot, TableAnswers, history_in, shortened

TABLE_URL = "http://catalog/iceberg/v1/bucket/namespaces/n/tables/sales"


def metadata() -> dict[str, Any]:
    return {
        "table-uuid": "u",
        "refs": {"main": {"snapshot-id": 3, "type": "branch"}, "audit": {"snapshot-id": 1, "type": "tag"}},
        "snapshots": [{"snapshot-id": number, "manifest-list": f"s3://m{number}"} for number in (1, 2, 3)],
        "snapshot-log": [{"snapshot-id": 1}],
        "metadata-log": [{"metadata-file": "s3://old"}],
        "properties": {"some": "thing"},
        "current-schema-id": 1,
        "schemas": [{"schema-id": 0, "fields": []}, {"schema-id": 1, "fields": [{"id": 1}]}],
    }


class Answers(BaseAdapter):
    """Gives the same answer to every request."""

    def __init__(self, body: bytes, status: int = 200) -> None:
        super().__init__()
        self._body = body
        self._status = status

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        response = Response()
        response.status_code = self._status
        response.url = request.url or ""
        response.raw = Raw(self._body)
        return response

    def close(self) -> None:
        pass


class Raw(io.BytesIO):
    """A body as urllib3 returns it."""

    def read(self, size: int | None = -1, decode_content: bool = False) -> bytes:
        return super().read(size)


def asked(method: str, url: str, body: bytes, status: int = 200) -> tuple[bytes, list[int]]:
    sizes: list[int] = []
    adapter = TableAnswers(Answers(body, status), sizes.append)
    return adapter.send(Request(method, url).prepare()).content, sizes


def test_an_answer_to_a_commit_keeps_the_snapshots_that_are_referred_to() -> None:
    body = json.dumps({"metadata-location": "s3://new", "metadata": metadata()}).encode()
    content, sizes = asked("POST", TABLE_URL, body)
    short = json.loads(content)
    assert short["metadata-location"] == "s3://new"
    assert [snapshot["snapshot-id"] for snapshot in short["metadata"].pop("snapshots")] == [1, 3]
    assert (short["metadata"].pop("snapshot-log"), short["metadata"].pop("metadata-log")) == ([], [])
    assert short["metadata"].pop("schemas") == [{"schema-id": 1, "fields": [{"id": 1}]}]
    unchanged = ("table-uuid", "refs", "properties", "current-schema-id")
    assert short["metadata"] == {name: metadata()[name] for name in unchanged}
    assert sizes == [len(body)], "the size before the answer was shortened"


def test_an_answer_has_a_character_set() -> None:
    adapter = TableAnswers(Answers(b"{}"), lambda _size_bytes: None)
    assert adapter.send(Request("GET", TABLE_URL).prepare()).encoding == "utf-8"


@pytest.mark.parametrize("config", [{}, {"config": {"token": "t"}}])
def test_a_loaded_table_carries_its_history_in_short_form(config: dict[str, Any]) -> None:
    loaded = metadata()
    loaded["snapshots"][1] |= {"parent-snapshot-id": 1, "sequence-number": 2, "timestamp-ms": 1}
    properties = {"carousel.fenced-attempts": "7,8", "carousel.landed-attempts": "21,22"}
    loaded["snapshots"][1]["summary"] = {"operation": "append", **properties}
    body = json.dumps({"metadata": loaded, **config}).encode()
    content, sizes = asked("GET", TABLE_URL, body)
    short = json.loads(content)
    assert short["metadata"]["snapshots"] == [loaded["snapshots"][0], loaded["snapshots"][2]]
    history = history_in(short["config"])
    assert history is not None
    assert [past.snapshot_id for past in history] == [1, 2, 3]
    assert history[0] == PastSnapshot(1)
    assert (history[0].summary.fenced_attempts, history[0].summary.landed_attempts) == ("", "")
    assert (history[1].parent_snapshot_id, history[1].sequence_number) == (1, 2)
    assert (history[1].summary.fenced_attempts, history[1].summary.landed_attempts) == ("7,8", "21,22")
    assert config.get("config", {}).items() <= short["config"].items()
    assert sizes == [len(body)], "the size before the answer was shortened"


def test_a_table_whose_metadata_has_its_history_carries_no_other() -> None:
    assert history_in({"token": "t"}) is None
    assert history_in({"carousel.history": "[]"}) == []
    assert PastSnapshot(1).summary.fenced_attempts == ""


@pytest.mark.parametrize(("url", "status"), [("http://catalog/iceberg/v1/config", 200), (TABLE_URL, 409)])
def test_other_answers_are_unchanged(url: str, status: int) -> None:
    body = json.dumps({"metadata": metadata()}).encode()
    assert asked("POST", url, body, status) == (body, [])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"metadata": 1}', b'{"metadata": {"refs": {"main": 1}}}']
)
def test_an_answer_without_metadata_is_unchanged(body: bytes) -> None:
    assert shortened(body, with_history=True) == shortened(body, with_history=False) == body
