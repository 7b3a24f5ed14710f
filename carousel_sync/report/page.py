"""A report as one HTML page, which opens from a file and without a network.

Every text that comes from sales is escaped. The page's policy allows the script of the page and nothing else, so that a
mistake in that would still run nothing (W3C, "Content Security Policy Level 3").
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape
from importlib import resources
from itertools import islice
from typing import Final

from carousel_sync.report.cells import TenantRow
from carousel_sync.report.charts import drawings
from carousel_sync.report.disclosure import MIN_SALES, SHARE_STEP
from carousel_sync.report.sections import Chapter, Column, Kind, Report, Section, Value, cents

ROWS_SHOWN: Final = 200
_NUMERIC: Final = (Kind.RANGE, Kind.PRICE, Kind.DAYS, Kind.PERCENT)


def html(report: Report) -> str:
    """Return the page."""
    style, script = _file("page.css"), _file("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:; base-uri 'none'"
    )
    title = f"Prices and sales, {report.period}"
    body = "\n".join(_body(report))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n<style>\n{style}</style>\n</head>\n<body>\n'
        f"{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


def _body(report: Report) -> Iterator[str]:
    yield '<a class="skip" href="#report">Skip to the report</a>'
    yield from _header(report)
    yield '<main class="wrap" id="report">'
    if not report.chapters:
        yield f"<p>Nothing can be published for {report.period}: no currency has sales of enough tenants.</p>"
    for number, chapter in enumerate(report.chapters):
        yield from _chapter(chapter, f"c{number}-", report)
    yield from _tenants(report.tenants)
    yield from _withheld(report)
    yield "</main>"
    yield (
        '<footer class="wrap"><p>Quartiles: a quarter of the sales cost no more than the lower quartile, half no more '
        "than the median, three quarters no more than the upper quartile. Prices are in the currency of the sales; "
        "currencies are never mixed.</p></footer>"
    )


def _header(report: Report) -> Iterator[str]:
    who = "All tenants" if report.tenant is None else f"{report.tenant}, compared with the other tenants"
    yield f'<header class="wrap"><p class="eyebrow">Prices and sales</p><h1>{report.period}</h1>'
    yield f'<p class="lead">{escape(who)}. Compared with {report.period.before}.</p>'
    if report.tenants:
        yield '<p class="for">This page names tenants. It is for the operator, and not for any of the tenants.</p>'
    yield '<nav aria-label="Questions"><ul>'
    for number, chapter in enumerate(report.chapters):
        for section in chapter.sections:
            suffix = f" ({_currency(chapter)})" if len(report.chapters) > 1 else ""
            yield f'<li><a href="#c{number}-{section.key}">{escape(section.question + suffix)}</a></li>'
    yield '<li><a href="#withheld">What is withheld, and why?</a></li></ul></nav>'
    categories = sorted({category for chapter in report.chapters for category in _categories(chapter)})
    options = "".join(f"<option>{escape(name)}</option>" for name in categories)
    yield '<form class="filter" hidden><label for="category">Show category</label>'
    yield f'<select id="category"><option value="">all</option>{options}</select><output></output></form></header>'


def _chapter(chapter: Chapter, prefix: str, report: Report) -> Iterator[str]:
    sales = "Sales" if report.tenant is None else "Your sales"
    yield f'<section aria-labelledby="{prefix}title"><h2 id="{prefix}title">{escape(_currency(chapter))}</h2>'
    yield f'<p class="lead">{sales}: {escape(_dashes(chapter.sales))}. At a glance:</p><ul class="glance">'
    for text in chapter.at_a_glance:
        question, _, answer = text.partition("? ")
        yield f"<li><b>{escape(question)}?</b> {escape(answer)}</li>"
    yield "</ul><h2>Questions</h2>"
    for section in chapter.sections:
        yield from _section(section, prefix + section.key)
    yield "</section>"


def _section(section: Section, key: str) -> Iterator[str]:
    yield f'<article id="{key}" aria-labelledby="{key}-title"><h3 id="{key}-title">{escape(section.question)}</h3>'
    yield f'<p class="answer">{escape(section.answer)}</p><p class="note">{escape(section.note)}</p>'
    drawn = drawings(section, key)
    if drawn:
        yield '<div class="charts">'
        for drawing in drawn:
            of = "" if drawing.category is None else f' data-category="{escape(drawing.category)}"'
            yield f"<figure{of}><figcaption>{escape(drawing.caption)}</figcaption>{drawing.svg}</figure>"
        yield "</div>"
    yield from _table(section, key)
    yield "</article>"


def _table(section: Section, key: str) -> Iterator[str]:
    question = escape(section.question)
    yield f'<div class="table" role="region" tabindex="0" aria-label="Table: {question}">'
    columns = list(_columns_shown(section))
    heads = "".join(f'<th scope="col"{_class(column)}>{escape(column.heading)}</th>' for column in columns)
    yield f"<table><caption>{question}</caption><thead><tr>{heads}</tr></thead><tbody>"
    for record in islice(section.records(), ROWS_SHOWN):
        of = f' data-category="{escape(str(record["category"]))}"' if "category" in record else ""
        first, *rest = ((column, escape(_shown(column, record[column.name]))) for column in columns)
        cells = "".join(f"<td{_class(column)}>{text}</td>" for column, text in rest)
        yield f'<tr{of}><th scope="row">{first[1]}</th>{cells}</tr>'
    yield '</tbody></table></div><div class="foot">'
    if section.withheld:
        yield f"<ul>{''.join(f'<li>Withheld: {escape(each)}.</li>' for each in section.withheld)}</ul>"
    else:
        yield "<p>Nothing is withheld here.</p>"
    more = len(section.rows) - ROWS_SHOWN
    if more > 0:
        shown = f"the first {ROWS_SHOWN} of {len(section.rows):,} rows"
        yield f"<p>The table shows {shown}. The download has all of them.</p>"
    content = base64.b64encode(section.csv().encode("utf-8")).decode()
    yield (
        f'<a class="download" download="{key.partition("-")[2]}.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{content}">Download as CSV<span class="unseen">: {question}</span>'
        "</a></div>"
    )


def _tenants(rows: Sequence[TenantRow]) -> Iterator[str]:
    if not rows:
        return
    yield '<section aria-labelledby="tenants"><h2 id="tenants">Tenants by name</h2>'
    yield '<div class="table" role="region" tabindex="0" aria-label="Table: tenants by name"><table>'
    yield '<caption>Tenants by name</caption><thead><tr><th scope="col">Tenant</th><th scope="col">Currency</th>'
    yield "".join(f'<th scope="col" class="n">{name}</th>' for name in ("Sales", "Median price", "Median days to sell"))
    yield "</tr></thead><tbody>"
    for row in rows:
        days = "–" if row.median_days is None else str(row.median_days)
        numbers = (f"{row.sales:,}", f"{cents(row.median_price):,}", days)
        cells = "".join(f'<td class="n">{number}</td>' for number in numbers)
        name, currency = escape(row.tenant), escape(row.currency or "not stated")
        yield f'<tr><th scope="row">{name}</th><td>{currency}</td>{cells}</tr>'
    yield "</tbody></table></div></section>"


def _withheld(report: Report) -> Iterator[str]:
    yield '<section class="rules" aria-labelledby="withheld"><h2 id="withheld">What is withheld, and why?</h2>'
    yield (
        "<p>Tenants must not read each other's numbers. A figure is therefore published only if it comes from at least "
        f"{report.rules.tenants} tenants and {MIN_SALES} sales, and no tenant has more than {report.rules.share} % of "
        "the sales or of their value. Brands and categories of fewer tenants are not even named. Nothing that could "
        "be added up is published: sales are given as ranges, prices as quartiles, and shares in steps of "
        f"{SHARE_STEP} %.</p>"
    )
    if report.tenant is not None:
        yield "<p>Your own figures are exact. The rules hold for the others alone, without your sales.</p>"
    yield "<ul>"
    for chapter in report.chapters:
        for section in chapter.sections:
            suffix = f" ({_currency(chapter)})" if len(report.chapters) > 1 else ""
            for each in section.withheld:
                yield f"<li><b>{escape(section.question)}</b>{escape(suffix)} {escape(each)}.</li>"
    if report.unnamed_currencies:
        few = f"with sales of fewer than {report.rules.tenants} tenants"
        yield f"<li>Currencies that are left out, {few}: {report.unnamed_currencies}.</li>"
    if not report.unnamed_currencies and not any(s.withheld for chapter in report.chapters for s in chapter.sections):
        yield "<li>Nothing is withheld in this report.</li>"
    yield "</ul></section>"


def _columns_shown(section: Section) -> Iterator[Column]:
    """Yield the columns of the table on the page: the reasons only if something is withheld."""
    withheld = any(record["withheld"] for record in section.records())
    return (column for column in section.columns if withheld or column.name != "withheld")


def _currency(chapter: Chapter) -> str:
    return f"Sales in {chapter.currency}" if chapter.currency else "Sales without a stated currency"


def _categories(chapter: Chapter) -> Iterator[str]:
    for section in chapter.sections:
        for record in section.records():
            if "category" in record:
                yield str(record["category"])


def _class(column: Column) -> str:
    if column.kind in _NUMERIC:
        return ' class="n"'
    return ' class="why"' if column.name == "withheld" else ""


def _shown(column: Column, value: Value) -> str:
    if value is None:
        return "–"
    if column.kind is Kind.PRICE and isinstance(value, Decimal):
        return f"{cents(value):,}"
    if column.kind is Kind.PERCENT:
        return f"{value:+,} %".replace("-", "\N{MINUS SIGN}") if isinstance(value, Decimal) else f"{value} %"
    return _dashes(str(value)) if column.kind is Kind.RANGE else str(value)


def _dashes(text: str) -> str:
    """Return a range such as 10000-19999 as it is printed: 10,000–19,999."""
    return "–".join(f"{int(part):,}" if part.isdigit() else part for part in text.split("-"))


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
