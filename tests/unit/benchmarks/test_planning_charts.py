"""The charts of cost and of metadata.json show what the calculators say, and the documentation shows these charts."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.planning_charts import EMBEDDING, draw, month
from carousel_sync.project import PROJECT_ROOT

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing: Path) -> list[str]:
    return [str(element.text) for element in ElementTree.parse(drawing).iter(f"{SVG}text")]  # noqa: S314 - our own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    drawn = tmp_path_factory.mktemp("charts")
    draw(drawn)
    return drawn


def test_every_line_of_the_bill_is_in_the_cost_chart(folder: Path) -> None:
    shown = texts(folder / "cost-by-component.svg")
    bill = month(EMBEDDING)
    assert f"DynamoDB: ${bill.by_service['DynamoDB']:,.2f}" in shown
    assert {line.what for line in bill.lines} <= set(shown)


def test_each_retention_period_and_the_limit_are_in_the_metadata_chart(folder: Path) -> None:
    assert {"1 h", "6 h", "24 h", "120 h", "S3 Tables refuses more"} <= set(texts(folder / "metadata-size.svg"))


@pytest.mark.parametrize("name", ["cost-by-component.svg", "metadata-size.svg"])
def test_the_documentation_shows_the_current_chart(folder: Path, name: str) -> None:
    """If this fails, draw the charts again: python -m benchmarks.planning_charts docs/pictures."""
    assert texts(PROJECT_ROOT / "docs" / "pictures" / name) == texts(folder / name)
