"""``carousel-sync check``, and the page for producers whose rules it applies."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from carousel_sync.cli import app
from carousel_sync.project import PROJECT_ROOT
from lambda_fn.event import parse_event
from lambda_fn.fields import FACTS
from lambda_fn.ports import Reason
from lambda_fn.sale import Sale
from tests.builders import event

PAGE = (PROJECT_ROOT / "docs" / "producers.md").read_text()


def check(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "80"})


def written(folder: Path, *documents: Any) -> str:
    path = folder / "events.jsonl"
    path.write_text("".join(f"{json.dumps(document)}\n" for document in documents))
    return str(path)


def test_valid_events_and_details_are_accepted(tmp_path: Path) -> None:
    done = check(written(tmp_path, event(), event()["detail"]))
    assert done.exit_code == 0, done.output
    assert done.stdout == "2 of 2 events are valid.\n"


def test_an_invalid_event_is_named_with_its_reason_and_rule(tmp_path: Path) -> None:
    done = check(written(tmp_path, event(), event(salePrice="450")))
    assert done.exit_code == 1
    assert "2\tINVALID_FIELD\tdetail.salePrice: must be a number\n" in done.stdout
    assert "1 of 2 events are valid." in done.stdout


def test_json_has_every_rejection_and_the_fields_beyond_the_contract(tmp_path: Path) -> None:
    invalid = [event(soldDate=f"{number}") for number in range(30)]
    done = check(written(tmp_path, event(colour="red"), *invalid), "--json")
    found = json.loads(done.stdout)
    assert (found["events"], found["valid"], found["unknown_fields"]) == (31, 1, {"colour": 1})
    assert [entry["line"] for entry in found["rejected"]] == list(range(2, 32))
    assert {entry["reason"] for entry in found["rejected"]} == {"INVALID_FIELD"}


def test_names_of_fields_are_printed_without_control_characters(tmp_path: Path) -> None:
    done = check(written(tmp_path, event(**{"\x1b[31mred": 1})))
    assert done.exit_code == 0
    assert "\x1b[31mred" not in done.stdout
    assert "[31mred" in done.stdout


def test_a_file_that_cannot_be_read_is_exit_code_2(tmp_path: Path) -> None:
    done = check(str(tmp_path / "absent.jsonl"))
    assert done.exit_code == 2
    assert "absent.jsonlcan'tberead" in re.sub(r"[\s│]", "", done.stderr)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_has_every_field_and_whether_it_is_required() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, re.MULTILINE)
    optional = {"sale_id"}  # The function derives it.
    assert dict(rows) == {
        fact.event_name: "yes" if fact.required and fact.attribute not in optional else "no" for fact in FACTS
    }


def test_the_page_has_every_reason() -> None:
    section = PAGE.partition("## What is rejected")[2].partition("\n## ")[0]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.MULTILINE)) == {reason.value for reason in Reason}


def test_the_example_of_the_page_is_a_valid_sale(monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    put: list[dict[str, Any]] = []

    class Events:
        def put_events(self, Entries: list[dict[str, Any]]) -> dict[str, int]:  # noqa: N803 (boto3's name)
            put.extend(Entries)
            return {"FailedEntryCount": 0}

    monkeypatch.setattr("boto3.client", lambda service: Events())
    exec(code, {})  # noqa: S102
    (entry,) = put
    envelope = {
        "source": entry["Source"],
        "detail-type": entry["DetailType"],
        "time": "2025-12-30T12:00:00Z",
        "detail": json.loads(entry["Detail"]),
    }
    assert isinstance(parse_event("", envelope, "", "").content, Sale)
