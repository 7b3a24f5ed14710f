"""The report page is one self-contained file, and its chart shows every batch."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

from carousel_sync.bench.page import histogram, html
from tests.unit.carousel_sync.bench.runs import figures

SVG = "{http://www.w3.org/2000/svg}"


def texts(drawing: str) -> set[str]:
    """Return the texts of a drawing. Parsing it shows that it is well-formed."""
    root = ElementTree.fromstring(drawing)  # noqa: S314 - our own
    return {str(element.text) for element in root.iter() if element.tag in (f"{SVG}text", f"{SVG}title")}


class References(HTMLParser):
    """Collects every attribute that a browser would load something for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [name for name, _ in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]
        self.found += [tag] if tag in ("script", "link", "iframe") else []


def test_the_page_loads_nothing_from_elsewhere() -> None:
    references = References()
    page = html(figures(0.4, 0.2, 0.3), {})
    references.feed(page)
    assert references.found == []
    assert "@import" not in page
    assert "url(" not in page


def test_the_page_shows_the_facts_and_the_percentiles() -> None:
    page = html(figures(0.4, 0.2, 0.3), {"Events & more": "<10>"})
    assert "Events &amp; more" in page
    assert "&lt;10&gt;" in page
    drawing = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    assert {"p50 300 ms", "p99 400 ms", "max 400 ms", "3 batches by duration"} <= texts(drawing)


def test_every_batch_is_in_the_histogram() -> None:
    drawing = histogram([0.001 * number for number in range(1, 101)])
    counts = [int(count) for count in re.findall(r"; batches: (\d+)", drawing)]
    assert sum(counts) == 100
    assert len(counts) > 10
    assert histogram([0.5]).startswith("<svg")
