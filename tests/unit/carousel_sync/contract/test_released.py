"""The event's contract as JSON Schema: it has the rules of the code, and a change that breaks producers is reported."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from carousel_sync.contract.released import FOLDER, ContractBroken, check, event_schema, main, narrowed, write

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    schema = copy.deepcopy(event_schema(2))
    change(schema["properties"]["detail"])
    return schema


def optional(detail: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the rules of an optional field, without the alternative null."""
    (rules,) = (rules for rules in detail["properties"][name]["anyOf"] if rules != {"type": "null"})
    return rules  # type: ignore[no-any-return]


BREAKING: dict[str, tuple[Change, str]] = {
    "removed": (lambda detail: detail["properties"].pop("currency"), "event.detail.currency: removed"),
    "required": (lambda detail: detail["required"].append("saleId"), "event.detail.saleId: required"),
    "a smaller maximum length": (
        lambda detail: optional(detail, "description").update(maxLength=5000),
        "event.detail.description: maxLength 5000 instead of 10000",
    ),
    "a larger minimum length": (
        lambda detail: detail["properties"]["brand"].update(minLength=2),
        "event.detail.brand: minLength 2 instead of 1",
    ),
    "another type": (
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
    "null no longer allowed": (
        lambda detail: detail["properties"].update(vendorId={"type": "string"}),
        "event.detail.vendorId: type string instead of null",
    ),
    "one format less": (
        lambda detail: detail["properties"]["soldDate"].update(anyOf=[{"type": "string", "format": "date"}]),
        "event.detail.soldDate: format date instead of date-time",
    ),
}
HARMLESS: dict[str, Change] = {
    "nothing": lambda _: None,
    "a new optional field": lambda detail: detail["properties"].update(channel={"type": "string"}),
    "no longer required": lambda detail: detail["required"].remove("brand"),
    "a larger maximum length": lambda detail: optional(detail, "description").update(maxLength=20_000),
    "any length": lambda detail: optional(detail, "description").pop("maxLength"),
    "a number instead of an integer": lambda detail: optional(detail, "daysToSell").update(type="number"),
    "null allowed as well": lambda detail: detail["properties"].update(
        brand={"anyOf": [detail["properties"]["brand"], {"type": "null"}]}
    ),
    "another title": lambda detail: detail["properties"]["brand"].update(title="The brand"),
}


@pytest.mark.parametrize("name", BREAKING)
def test_a_change_that_breaks_producers_is_reported(name: str) -> None:
    change, complaint = BREAKING[name]
    assert list(narrowed(event_schema(2), changed(change))) == [complaint]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_harmless_change_passes(name: str) -> None:
    assert list(narrowed(event_schema(2), changed(HARMLESS[name]))) == []


def test_the_files_have_the_rules_of_the_code() -> None:
    assert main(["check"]) == 0
    first, second = (json.loads((FOLDER / f"carousel.product.sold.v{number}.json").read_text()) for number in (1, 2))
    assert list(narrowed(first, second)) == []
    assert list(narrowed(second, first)) == ["event.detail.currency: removed"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "RELEASED").write_text("2\n")
    return tmp_path


def release(folder: Path, schema: dict[str, Any]) -> None:
    (folder / "carousel.product.sold.v2.json").write_text(json.dumps(schema))


def test_a_removed_field_fails_the_check(folder: Path) -> None:
    release(folder, changed(lambda detail: detail["properties"].update(channel={"type": "string"})))
    with pytest.raises(ContractBroken, match=r"event\.detail\.channel: removed.*add a new field beside it"):
        check(folder)


def test_a_new_field_needs_a_new_version(folder: Path) -> None:
    release(folder, changed(lambda detail: detail["properties"].pop("currency")))
    with pytest.raises(ContractBroken, match=r"python -m carousel_sync\.contract\.released write"):
        check(folder)
    assert write(folder).name == "carousel.product.sold.v3.json"
    assert "v3.json has the rules of the code" in check(folder)


def test_without_a_change_there_is_no_new_version_and_the_released_file_is_not_touched(folder: Path) -> None:
    release(folder, changed(lambda detail: detail["properties"]["tenantId"].update(title="Tenantid")))
    content = (folder / "carousel.product.sold.v2.json").read_bytes()
    assert write(folder).name == "carousel.product.sold.v2.json"
    assert [path.name for path in folder.glob("*.json")] == ["carousel.product.sold.v2.json"]
    assert (folder / "carousel.product.sold.v2.json").read_bytes() == content


def test_new_versions_have_no_generated_titles() -> None:
    fields = event_schema(3)["properties"]["detail"]["properties"]
    assert not [name for name, rules in fields.items() if "title" in rules]


def test_a_changed_rule_is_not_mistaken_for_a_title(folder: Path) -> None:
    def add_a_field_called_title(detail: dict[str, Any]) -> None:
        detail["properties"]["title"] = {"anyOf": [{"type": "string"}, {"type": "null"}]}

    release(folder, event_schema(2))
    (folder / "carousel.product.sold.v3.json").write_text(json.dumps(changed(add_a_field_called_title)))
    with pytest.raises(ContractBroken, match="differs from the rules"):
        check(folder)


def test_a_release_without_a_file(folder: Path) -> None:
    with pytest.raises(ContractBroken, match="which has no file"):
        check(folder)


def test_other_arguments_print_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "carousel_sync.contract.released write" in capsys.readouterr().err
