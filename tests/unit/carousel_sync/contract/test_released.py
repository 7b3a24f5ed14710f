"""The event's contract as JSON Schema: it says what the code does, and a change that breaks producers is noticed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.contract.released import FOLDER, ContractBroken, check, event_schema, main, refused_more, write

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    schema = copy.deepcopy(event_schema(2))
    change(schema["properties"]["detail"])
    return schema


def optional(detail: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the rules of an optional field, null left out."""
    (rules,) = (one for one in detail["properties"][name]["anyOf"] if one != {"type": "null"})
    return rules  # type: ignore[no-any-return]


BREAKING: dict[str, tuple[Change, str]] = {
    "gone": (lambda detail: detail["properties"].pop("currency"), "event.detail.currency: gone"),
    "required": (lambda detail: detail["required"].append("saleId"), "event.detail.saleId: required"),
    "shorter": (
        lambda detail: optional(detail, "description").update(maxLength=5000),
        "event.detail.description: maxLength 5000 instead of 10000",
    ),
    "longer at least": (
        lambda detail: detail["properties"]["brand"].update(minLength=2),
        "event.detail.brand: minLength 2 instead of 1",
    ),
    "other type": (
        lambda detail: detail["properties"]["category"].update(type="integer"),
        "event.detail.category: type integer instead of string",
    ),
    "whole numbers only": (
        lambda detail: optional(detail, "embedding")["items"].update(type="integer"),
        "event.detail.embedding[]: type integer instead of number",
    ),
    "a new pattern": (
        lambda detail: detail["properties"]["brand"].update(pattern="^[a-z]+$"),
        "event.detail.brand: pattern ^[a-z]+$ instead of none",
    ),
    "fewer values": (
        lambda detail: optional(detail, "currency").update(enum=["EUR"]),
        "event.detail.currency: enum ['EUR'] instead of none",
    ),
    "no null": (
        lambda detail: detail["properties"].update(vendorId={"type": "string"}),
        "event.detail.vendorId: type string instead of null",
    ),
    "one spelling less": (
        lambda detail: detail["properties"]["soldDate"].update(anyOf=[{"type": "string", "format": "date"}]),
        "event.detail.soldDate: format date instead of date-time",
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda _: None,
    "a new optional field": lambda detail: detail["properties"].update(channel={"type": "string"}),
    "no longer required": lambda detail: detail["required"].remove("brand"),
    "longer": lambda detail: optional(detail, "description").update(maxLength=20_000),
    "any length": lambda detail: optional(detail, "description").pop("maxLength"),
    "a number instead of an integer": lambda detail: optional(detail, "daysToSell").update(type="number"),
    "null, too": lambda detail: detail["properties"].update(
        brand={"anyOf": [detail["properties"]["brand"], {"type": "null"}]}
    ),
    "other words": lambda detail: detail["properties"]["brand"].update(title="The brand"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_what_breaks_producers_is_noticed(name: str) -> None:
    change, complaint = BREAKING[name]
    assert list(refused_more(event_schema(2), changed(change))) == [complaint]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_breaks_nobody_passes(name: str) -> None:
    assert list(refused_more(event_schema(2), changed(HARMLESS[name]))) == []


def test_the_files_are_what_the_code_demands() -> None:
    assert main(["check"]) == 0
    first, second = (json.loads((FOLDER / f"carousel.product.sold.v{number}.json").read_text()) for number in (1, 2))
    assert list(refused_more(first, second)) == []
    assert list(refused_more(second, first)) == ["event.detail.currency: gone"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "RELEASED").write_text("2\n")
    return tmp_path


def released(folder: Path, schema: dict[str, Any]) -> None:
    (folder / "carousel.product.sold.v2.json").write_text(json.dumps(schema))


def test_a_field_that_the_code_no_longer_takes_fails_the_check(folder: Path) -> None:
    released(folder, changed(lambda detail: detail["properties"].update(channel={"type": "string"})))
    with pytest.raises(ContractBroken, match=r"event\.detail\.channel: gone.*add a new one beside it"):
        check(folder)


def test_a_new_field_asks_for_a_new_version(folder: Path) -> None:
    released(folder, changed(lambda detail: detail["properties"].pop("currency")))
    with pytest.raises(ContractBroken, match=r"python -m carousel_sync\.contract\.released write"):
        check(folder)
    assert write(folder).name == "carousel.product.sold.v3.json"
    assert "v3.json is what the code demands" in check(folder)


def test_without_a_change_there_is_no_new_version(folder: Path) -> None:
    released(folder, event_schema(2))
    assert write(folder).name == "carousel.product.sold.v2.json"


def test_a_release_without_file(folder: Path) -> None:
    with pytest.raises(ContractBroken, match="no file of it"):
        check(folder)


def test_what_it_can_do_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "carousel_sync.contract.released write" in capsys.readouterr().err
