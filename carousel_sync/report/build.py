"""From the cells of the queries to a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from carousel_sync.report import questions
from carousel_sync.report.cells import OTHERS, OWN, Cells, TenantRow
from carousel_sync.report.disclosure import Reason, Rules
from carousel_sync.report.groups import View, groups_of
from carousel_sync.report.period import Period
from carousel_sync.report.sections import Chapter, Report, Section

_KEY_QUESTIONS: Final = ("speed", "discounts", "changes", "category-prices")


def build_report(
    cells: Cells, period: Period, rules: Rules, tenant: str | None = None, tenants: Sequence[TenantRow] = ()
) -> Report:
    """Return the report of a period, with everything withheld that the rules do not let pass.

    A currency has a chapter if enough tenants sold in it, or the tenant whose view it is.
    """
    view = View(rules, tenant)
    totals = groups_of([cell for cell in cells.now if cell.category is None], rules, lambda cell: (cell.currency,))
    named = sorted((group for group in totals if group.is_named), key=lambda group: -group.order)
    chapters = []
    for group in named:
        (currency,) = group.key
        sides = questions.sides_of(cells, currency, view, period)
        sections = questions.sections_of(sides)
        sales = group.side(OWN if tenant is not None else OTHERS).sales
        chapters.append(Chapter(currency, _sales(sales), list(_glance(sections)), sections))
    return Report(period, rules, tenant, chapters, len(totals) - len(named), tenants)


def _sales(sales: str | Reason) -> str:
    return "withheld" if isinstance(sales, Reason) else sales


def _glance(sections: Sequence[Section]) -> Iterator[str]:
    by_key = {section.key: section for section in sections}
    for key in _KEY_QUESTIONS:
        yield f"{by_key[key].question} {by_key[key].answer}"
