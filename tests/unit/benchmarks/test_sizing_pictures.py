"""The pictures of cost and of metadata.json: drawn from the calculators, and well-formed."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmarks.sizing_pictures import EMBEDDING, main, metadata_by_commit_rate, month

SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: str) -> list[str]:
    return [str(element.text) for element in ElementTree.fromstring(picture).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_every_line_of_the_bill_is_in_the_picture_of_the_cost(tmp_path: Path) -> None:
    main(tmp_path)
    shown = texts((tmp_path / "cost-by-component.svg").read_text())
    bill = month(EMBEDDING)
    assert f"DynamoDB: ${bill.by_service['DynamoDB']:,.2f}" in shown
    assert {line.what for line in bill.lines} <= set(shown)
    assert (tmp_path / "metadata-size.svg").read_text() == metadata_by_commit_rate()


def test_each_retention_has_its_curve_and_the_limit_is_drawn() -> None:
    shown = texts(metadata_by_commit_rate())
    assert {"1 h", "6 h", "24 h", "120 h", "what S3 Tables refuses"} <= set(shown)
