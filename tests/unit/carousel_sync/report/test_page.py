"""The page: complete, escaped, and without anything from the network."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from carousel_sync.report.cells import TenantRow
from carousel_sync.report.page import ROWS_SHOWN, html
from carousel_sync.report.produce import write_page
from carousel_sync.report.sections import Report, Section
from lambda_fn.errors import ConfigurationError
from tests.unit.carousel_sync.report.market import TENANTS, Sold, busy_market, by_each, report_of

HOSTILE = "</script></style><script>alert(1)</script>"
FORMULA = '=HYPERLINK("x"),\'<img src=x onerror=alert(1)>'


@pytest.fixture(scope="module")
def report() -> Report:
    hostile = by_each(TENANTS, Sold(category=HOSTILE, brand=FORMULA), 12)
    return report_of([*busy_market(), *hostile, *(replace(each, currency=None) for each in busy_market(2))])


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return html(report)


class Elements(HTMLParser):
    """The elements of a page, the text of its tables, and its downloads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.cells: list[str] = []
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in {"meta", "link", "br"}:
            self.open.append(tag)
        if tag in {"td", "th"}:
            self.cells.append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th"}:
            self.cells[-1] += data


def downloads(elements: Elements) -> list[str]:
    prefix = "data:text/csv;charset=utf-8;base64,"
    found = [
        value or "" for _, name, value in elements.attributes if name == "href" and (value or "").startswith(prefix)
    ]
    return [base64.b64decode(each.removeprefix(prefix)).decode() for each in found]


def every_section(report: Report) -> list[Section]:
    return [section for chapter in report.chapters for section in chapter.sections]


def test_texts_of_sales_never_become_elements_or_attributes(page: str) -> None:
    elements = Elements(page)
    assert elements.open == []
    assert elements.names.count("script") == elements.names.count("style") == 1
    assert "img" not in elements.names
    assert not [name for _, name, _ in elements.attributes if name.startswith("on")]
    assert HOSTILE in elements.cells
    assert FORMULA in elements.cells


def test_the_page_refers_to_nothing_outside_of_it(page: str) -> None:
    for _, name, value in Elements(page).attributes:
        if name in {"href", "src", "xlink:href"}:
            assert (value or "").startswith(("#", "data:"))
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_script_of_the_page_alone(page: str) -> None:
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]+)"', page)
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy


def test_ids_are_unique_and_links_lead_to_them(page: str) -> None:
    attributes = Elements(page).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    anchors = {value[1:] for _, name, value in attributes if name == "href" and value and value.startswith("#")}
    assert anchors <= set(ids)
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)


def test_every_question_has_an_answer_charts_a_table_and_a_download(page: str, report: Report) -> None:
    elements = Elements(page)
    assert len(report.chapters) == 2
    assert elements.names.count("article") == len(every_section(report)) == 16
    assert elements.names.count("table") == len(downloads(elements)) == 16
    assert elements.names.count("svg") == elements.names.count("figure") > 40
    assert [name for tag, name, _ in elements.attributes if tag == "svg"].count("role") == elements.names.count("svg")


def test_a_download_has_the_rows_of_the_report(page: str, report: Report) -> None:
    for section, text in zip(every_section(report), downloads(Elements(page)), strict=True):
        rows = list(csv.DictReader(io.StringIO(text)))
        assert len(rows) == len(section.rows)
        for found, expected in zip(rows, section.records(), strict=True):
            for name, value in expected.items():
                if value is None:
                    assert found[name] == ""
                elif isinstance(value, Decimal):
                    assert Decimal(found[name]) == round(value, 2)
                elif str(value).startswith("="):
                    assert found[name] == f"'{value}"
                else:
                    assert found[name] == str(value)


def test_the_table_shows_what_the_download_has(page: str, report: Report) -> None:
    cells = Elements(page).cells
    for section in every_section(report):
        for row in section.rows[:ROWS_SHOWN]:
            for column, value in zip(section.columns, row, strict=True):
                if column.name == "median" and isinstance(value, Decimal):
                    assert f"{round(value, 2):,}" in cells


def test_names_of_tenants_appear_only_if_they_are_asked_for(page: str) -> None:
    assert not [name for name in TENANTS if name in page]
    report = report_of(by_each(TENANTS, Sold(), 10))
    rows = [TenantRow("<b>tenant", "EUR", 1234, Decimal("12.3450"), None)]
    named = html(replace(report, tenants=rows))
    assert "&lt;b&gt;tenant" in named
    assert "1,234" in named
    assert "It is for the operator" in named


def test_a_tenants_view_names_that_tenant_alone() -> None:
    page = html(report_of(by_each(TENANTS, Sold(), 10), tenant=TENANTS[1]))
    assert [name for name in TENANTS if name in page] == [TENANTS[1]]
    assert "Your own figures are exact" in page


def test_a_report_without_sales_says_so() -> None:
    page = html(report_of([]))
    assert "Nothing can be published for December 2025" in page
    assert Elements(page).open == []


def test_a_market_of_one_tenant_is_withheld_with_the_reason() -> None:
    page = html(report_of(by_each(TENANTS[:1], Sold(), 50)))
    assert "Currencies that are left out, with sales of fewer than 3 tenants: 1." in page
    assert "Chanel" not in page


def test_a_long_table_is_cut_on_the_page_and_complete_in_the_download() -> None:
    sales = [each for number in range(ROWS_SHOWN + 5) for each in by_each(TENANTS, Sold(brand=f"Brand {number}"), 2)]
    page = html(report_of(sales))
    assert f"The table shows the first {ROWS_SHOWN} of {ROWS_SHOWN + 5} rows." in page
    assert all(f"Brand {number}," in downloads(Elements(page))[1] for number in range(ROWS_SHOWN + 5))


def test_json_has_every_row(report: Report) -> None:
    document = report.as_json()
    questions = [question for currency in document["currencies"] for question in currency["questions"]]
    assert [len(question["rows"]) for question in questions] == [len(each.rows) for each in every_section(report)]
    assert document["rules"] == {"leastTenants": 3, "largestSharePercent": 60}
    assert document["comparedWith"] == {"from": "2025-11-01", "to": "2025-11-30"}


def test_zero_prices_are_drawn(tmp_path: Path) -> None:
    sales = by_each(TENANTS, Sold(price=Decimal(0), discount=100.0, day=date(2025, 12, 1)), 4)
    assert "<svg" in html(report_of([replace(each, price=Decimal(0)) for each in sales]))


def test_a_page_is_replaced_and_no_part_of_it_remains_after_a_failure(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_page(path, "first")
    write_page(path, "second")
    assert path.read_text() == "second"
    with pytest.raises(ConfigurationError, match=r"can't be written to .*Choose another file with --out"):
        write_page(tmp_path / "missing" / "report.html", "third")
    assert list(tmp_path.iterdir()) == [path]
