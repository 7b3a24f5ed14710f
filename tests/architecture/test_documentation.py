"""README.md and the other pages: every relative link leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from carousel_sync.project import PROJECT_ROOT

PAGES = sorted(
    [*PROJECT_ROOT.glob("*.md"), *PROJECT_ROOT.glob("docs/*.md"), *PROJECT_ROOT.glob("queries/*.md")],
    key=str,
)
_CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: those that GitHub derives from its headings, and explicit ones."""
    text = _CODE.sub("", page.read_text())
    headings = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    derived = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    return derived | set(re.findall(r'<a id="([\w-]+)"></a>', text))


def links(page: Path) -> list[tuple[str, str]]:
    """Return the path and the anchor of each relative link; a path is empty for a link within the page."""
    return _LINK.findall(_CODE.sub("", page.read_text()))


def test_pages_and_links_are_found() -> None:
    assert {"README.md", "CONTRIBUTING.md", "exactly-once.md", "dynamodb.md"} <= {page.name for page in PAGES}
    assert len(links(PROJECT_ROOT / "README.md")) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_link_targets_exist(page: Path) -> None:
    broken = [path for path, _ in links(page) if not (page.parent / path).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_exist(page: Path) -> None:
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links(page) if anchor]
    broken = [f"{target.name}#{anchor}" for target, anchor in targets if anchor not in anchors(target)]
    assert broken == []
