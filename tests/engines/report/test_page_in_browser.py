"""The page in headless Chromium: every width, light and dark, keyboard, downloads, the filter, and axe's checks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from carousel_sync.report.page import html
from carousel_sync.report.sections import Report
from tests.engines.java_engine import EngineUnavailable
from tests.engines.tools import tool
from tests.unit.carousel_sync.report.market import TENANTS, Sold, busy_market, by_each, report_of

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("browser")]

WIDTHS: Final = (360, 768, 1920)
SECONDS: Final = 240
HOSTILE: Final = "</script><script>alert(1)</script>"


@dataclass(frozen=True)
class Seen:
    """What Chromium showed of the page of a report."""

    report: Report
    looks: list[dict[str, Any]]
    used: dict[str, Any]
    plain: dict[str, int]


@pytest.fixture(scope="module", params=[None, TENANTS[2]], ids=["market", "tenant"])
def seen(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The market's page and a tenant's view. A category has a hostile name."""
    hostile = by_each(TENANTS, replace(Sold(), category=HOSTILE, brand='"><img src=x onerror=alert(1)>'), 12)
    report = report_of([*busy_market(count=6_000), *hostile], tenant=request.param)
    folder = tmp_path_factory.mktemp("browser")
    page = folder / "report.html"
    page.write_text(html(report), encoding="utf-8")
    try:
        found = _run(page, folder)
    except EngineUnavailable as error:
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    return Seen(report, found["seen"], found["used"], found["plain"])


def _run(page: Path, folder: Path) -> dict[str, Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise EngineUnavailable("Chromium was not found. Install it: apt-get install -y chromium")
    options = {
        "chromium": chromium,
        "axe": tool("browser", "axe.min.js"),
        "page": str(page),
        "folder": str(folder),
        "widths": WIDTHS,
    }
    script = Path(__file__).with_name("browser_script.py")
    done = subprocess.run(
        [tool("browser", "bin/python"), str(script), json.dumps(options)],
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4_000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_nothing_is_wider_than_the_window(seen: Seen) -> None:
    assert len(seen.looks) == 2 * len(WIDTHS)
    assert [(look["width"], look["content_width"]) for look in seen.looks] == [(w, w) for w in WIDTHS for _ in range(2)]


def test_the_page_follows_light_and_dark(seen: Seen) -> None:
    assert len({look["background"] for look in seen.looks if look["scheme"] == "light"}) == 1
    assert len({look["background"] for look in seen.looks}) == 2
    assert len({str(look["unlabelled_ink"]) for look in seen.looks}) == 2, "texts in charts have the colour of the page"


def test_no_message_on_the_console_and_no_request(seen: Seen) -> None:
    assert [message for look in seen.looks for message in look["messages"]] == []
    assert seen.used["messages"] == []


def test_axe_finds_no_violation_of_wcag_aa(seen: Seen) -> None:
    assert [violation for look in seen.looks for violation in look["violations"]] == []
    assert min(look["rules_passed"] for look in seen.looks) > 15


def test_downloads_have_the_rows_of_the_report(seen: Seen) -> None:
    (chapter,) = seen.report.chapters
    downloads = [(each["name"], each["text"]) for each in seen.used["downloads"]]
    expected = [(f"{section.key}.csv", section.csv().replace("\r\n", "\n")) for section in chapter.sections]
    assert [(name, text.replace("\r\n", "\n")) for name, text in downloads] == expected


def test_the_filter_shows_one_category(seen: Seen) -> None:
    (chapter,) = seen.report.chapters
    rows = Counter(
        str(record["category"])
        for section in chapter.sections
        for record in list(section.records())
        if "category" in record
    )
    assert seen.used["filtered"].keys() == rows.keys() | {"all"}
    assert HOSTILE in rows
    for name, found in seen.used["filtered"].items():
        if name == "all":
            assert found["said"] == ""
            assert set(found["shown"]) == rows.keys()
        else:
            assert set(found["shown"]) == {name}
            assert found["said"].startswith(f"{rows[name]} rows of this category.")


def test_tables_can_be_scrolled_with_the_keyboard_and_have_names(seen: Seen) -> None:
    assert seen.used["skip"] == "Skip to the report"
    assert {position for position, _ in seen.used["tables"]} == {0}
    assert len({name for _, name in seen.used["tables"]}) == len(seen.used["tables"]) == 8


def test_without_scripts_everything_but_the_filter_is_there(seen: Seen) -> None:
    assert seen.plain["table"] == 8
    assert seen.plain["svg"] > 15
    assert seen.plain["form"] == 0
    assert seen.plain["tbody tr"] > 100
