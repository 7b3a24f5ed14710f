"""The pictures of the documentation: described in words, readable on light and dark pages, text inside its box."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pytest

from carousel_sync.project import PROJECT_ROOT

PICTURES = sorted((PROJECT_ROOT / "docs" / "pictures").glob("*.svg"))
DRAWN_BY_HAND = [picture for picture in PICTURES if "<style>" in picture.read_text()]
SVG = "{http://www.w3.org/2000/svg}"
PAGES = ("#ffffff", "#0d1117")
# WCAG 2.1, success criteria 1.4.3 and 1.4.11. Text outside boxes must suit two opposite pages, so 4.5 is out of reach.
MIN_CONTRAST_IN_BOX = 4.5
MIN_CONTRAST_ON_PAGE = 3.5
CHARACTER_WIDTH = 0.5
"""Mean width of a character of a sans-serif font, as a share of the font size."""


@dataclass(frozen=True)
class Text:
    content: str
    x: float
    y: float
    size: float
    colour: str
    anchor: str

    @property
    def left(self) -> float:
        width = CHARACTER_WIDTH * self.size * len(self.content)
        return self.x - {"start": 0.0, "middle": width / 2, "end": width}[self.anchor]

    @property
    def right(self) -> float:
        return self.left + CHARACTER_WIDTH * self.size * len(self.content)


@dataclass(frozen=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    colour: str

    def holds(self, text: Text) -> bool:
        return self.x <= text.x <= self.x + self.width and self.y <= text.y <= self.y + self.height


def root_of(picture: Path) -> ElementTree.Element:
    return ElementTree.fromstring(picture.read_text())  # noqa: S314 - our own


def texts(root: ElementTree.Element) -> Iterator[Text]:
    rules = dict(re.findall(r"\.(\w+) \{(.*?)\}", root.findtext(f"{SVG}style", ""), re.DOTALL))
    for element in root.iter(f"{SVG}text"):
        style = dict(re.findall(r"([\w-]+): ([^;]+);", rules.get(element.get("class", ""), ""))) | element.attrib
        size = float(str(style.get("font-size", root.get("font-size"))).removesuffix("px"))
        x, y, anchor = float(element.attrib["x"]), float(element.attrib["y"]), style.get("text-anchor", "start")
        yield Text(str(element.text), x, y, size, style["fill"], anchor)


def boxes(root: ElementTree.Element) -> list[Box]:
    return [
        Box(
            x=float(element.attrib["x"]),
            y=float(element.attrib["y"]),
            width=float(element.attrib["width"]),
            height=float(element.attrib["height"]),
            colour=element.attrib["fill"],
        )
        for element in root.iter(f"{SVG}rect")
        if element.get("fill") != "none"
    ]


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.1)."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_that_of_the_guideline() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_a_picture_is_described_and_has_no_background(picture: Path) -> None:
    root = root_of(picture)
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title")
    assert root.findtext(f"{SVG}desc")
    width, height = (float(number) for number in root.attrib["viewBox"].split()[2:])
    assert not [box for box in boxes(root) if box.width >= 0.9 * width and box.height >= 0.9 * height]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_a_picture_is_shown_on_a_page(picture: Path) -> None:
    pages = [PROJECT_ROOT / "README.md", *(PROJECT_ROOT / "docs").glob("*.md")]
    assert any(f"pictures/{picture.name}" in page.read_text() for page in pages)


@pytest.mark.parametrize("picture", DRAWN_BY_HAND, ids=lambda picture: picture.stem)
def test_text_is_readable_and_stays_inside_its_box(picture: Path) -> None:
    root = root_of(picture)
    found = list(texts(root))
    assert found
    for text in found:
        around = [box for box in boxes(root) if box.holds(text)]
        if not around:
            assert min(contrast(text.colour, page) for page in PAGES) >= MIN_CONTRAST_ON_PAGE, text
        for box in around:
            assert contrast(text.colour, box.colour) >= MIN_CONTRAST_IN_BOX, text
            assert box.x <= text.left <= text.right <= box.x + box.width, text


@pytest.mark.parametrize(
    "picture", [picture for picture in PICTURES if picture not in DRAWN_BY_HAND], ids=lambda picture: picture.stem
)
def test_the_text_of_a_chart_is_readable(picture: Path) -> None:
    colours = {element.attrib["fill"] for element in root_of(picture).iter(f"{SVG}text")}
    assert colours
    for colour in colours:
        assert min(contrast(colour, page) for page in PAGES) >= MIN_CONTRAST_ON_PAGE, colour
