"""What a report withholds: with adversarial sales, and as properties of whatever it publishes."""

from __future__ import annotations

import itertools
import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carousel_sync.report.cells import Contributors
from carousel_sync.report.disclosure import MIN_SALES, Reason, Rules, count_range
from carousel_sync.report.period import Period
from carousel_sync.report.sections import Report, Section
from lambda_fn.errors import ConfigurationError
from tests.unit.carousel_sync.report.market import TENANTS, Sold, busy_market, by_each, report_of

NOVEMBER = Period(date(2025, 11, 1), date(2025, 11, 30))
BOTH_MONTHS = Period(date(2025, 11, 1), date(2025, 12, 31))
RULES = Rules()
SLOW_MACHINE = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Figures that can't be added up or subtracted: quartiles, comparisons of medians, and shares of an unknown number.
NOT_ADDITIVE = re.compile(
    r"(lower_quartile|median|upper_quartile|moving_median|median_before|median_now|median_days|median_days_before|"
    r"median_days_now|against_category|price_change|sold_in_\d+_days)"
)
DESCRIBES = {"category", "brand", "week", "season", "discount", "withheld"}


def record(report: Report, key: str, currency: str = "EUR", **expected: Any) -> dict[str, Any]:
    """Return the only row of a section with these values."""
    (found,) = [each for each in records(report, key, currency) if expected.items() <= each.items()]
    return found


def records(report: Report, key: str, currency: str = "EUR") -> list[dict[str, Any]]:
    return [each for section in sections(report, currency) if section.key == key for each in section.records()]


def sections(report: Report, currency: str = "EUR") -> Sequence[Section]:
    return next((chapter.sections for chapter in report.chapters if chapter.currency == currency), ())


def text_of(report: Report) -> str:
    return json.dumps(report.as_json(), ensure_ascii=False, default=str)


@dataclass(frozen=True)
class Published:
    """A figure that a report shows, and the sales that it was computed from."""

    name: str
    value: Any
    sales: list[Sold]


def published(report: Report, sales: Iterable[Sold], tenant: str | None = None) -> Iterator[Published]:
    """Yield every figure of the others, with the sales of its cell as they are found without SQL."""
    prefix = "" if tenant is None else "others_"
    others = [each for each in sales if each.tenant != tenant]
    for chapter in report.chapters:
        in_currency = [each for each in others if (each.currency or "") == chapter.currency]
        for section in chapter.sections:
            for row in section.records():
                for name, value in row.items():
                    if value is None or name in DESCRIBES or not name.startswith(prefix):
                        continue
                    cell = [each for each in in_currency if belongs(each, row, name, report.period)]
                    timed = "days" in name or section.key == "discounts"
                    measured = [each for each in cell if each.days_to_sell is not None] if timed else cell
                    yield Published(f"{section.key} {name}", value, measured)


def belongs(sold: Sold, row: dict[str, Any], name: str, period: Period) -> bool:
    """Return whether a sale is in the cell of a row's figure."""
    if "week" in row:
        week: date = row["week"]
        first = week - timedelta(weeks=4) if "moving_median" in name else week
        in_time = first <= sold.day < week + timedelta(weeks=1) and sold.day <= period.last_day
        return in_time and sold.category == str(row["category"])
    if "season" in row:
        return (sold.category, f"{sold.day.year} Q{(sold.day.month + 2) // 3}") == (row["category"], row["season"])
    of = period.before if name.endswith("_before") else period
    if not of.first_day <= sold.day <= of.last_day:
        return False
    if "discount" in row:
        return sold.discount is not None and band(sold.discount) == row["discount"]
    return all(getattr(sold, key) == row[key] for key in ("category", "brand") if key in row)


def band(discount: float) -> str:
    lower = math.floor(discount / 10) * 10
    return "above the listed price" if lower < 0 else f"{lower} to {lower + 9} %"


def violations(sales: Sequence[Sold], rules: Rules) -> list[str]:
    """Check the rules again, without the code under test."""
    count: dict[str, int] = defaultdict(int)
    value: dict[str, Decimal] = defaultdict(Decimal)
    for each in sales:
        count[each.tenant] += 1
        value[each.tenant] += each.price
    found = []
    if len(count) < rules.tenants:
        found.append(f"{len(count)} tenants")
    if len(sales) < MIN_SALES:
        found.append(f"{len(sales)} sales")
    if count and max(count.values()) * 100 > len(sales) * rules.share:
        found.append("dominated by sales")
    if value and max(value.values()) * 100 > sum(value.values()) * rules.share:
        found.append("dominated by value")
    return found


def a_sale() -> st.SearchStrategy[Sold]:
    return st.builds(
        Sold,
        tenant=st.sampled_from([*TENANTS, TENANTS[0], TENANTS[0]]),
        category=st.sampled_from(["handbags", "watches"]),
        brand=st.sampled_from(["Chanel", "Omega"]),
        price=st.sampled_from([Decimal("10.0000"), Decimal("99.9950"), Decimal("100.0050"), Decimal("9000.0000")]),
        day=st.dates(date(2025, 11, 10), date(2025, 12, 31)),
        days_to_sell=st.sampled_from([None, 0, 7, 8, 30, 31, 200]),
        discount=st.sampled_from([None, -3.0, 0.0, 9.99, 10.0, 35.0]),
        currency=st.sampled_from(["EUR", "EUR", "EUR", None]),
    )


MARKETS = st.lists(a_sale(), min_size=12, max_size=120)


@SLOW_MACHINE
@given(sales=MARKETS, rules=st.builds(Rules, st.integers(3, 4), st.sampled_from([40, 60, 80])))
def test_every_published_figure_comes_from_enough_tenants_of_which_none_dominates(
    sales: list[Sold], rules: Rules
) -> None:
    for figure in published(report_of(sales, rules=rules), sales):
        assert violations(figure.sales, rules) == [], figure.name


@SLOW_MACHINE
@given(sales=MARKETS, tenant=st.sampled_from(TENANTS))
def test_in_a_tenants_view_the_others_satisfy_the_rules_without_it(sales: list[Sold], tenant: str) -> None:
    """Who takes its own figures away from what it sees has the figures of the others, and nothing else."""
    report = report_of(sales, tenant=tenant)
    for figure in published(report, sales, tenant):
        assert violations(figure.sales, RULES) == [], figure.name
    for name in set(TENANTS) - {tenant}:
        assert name not in text_of(report)


@SLOW_MACHINE
@given(sales=MARKETS)
def test_no_figure_of_the_market_can_be_added_up(sales: list[Sold]) -> None:
    for figure in published(report_of(sales), sales):
        name = figure.name.split()[1]
        if name == "sales":
            lower, upper = map(int, figure.value.split("-"))
            assert lower <= len(figure.sales) <= upper
        else:
            assert NOT_ADDITIVE.fullmatch(name), name


@SLOW_MACHINE
@given(sales=MARKETS, tenant=st.sampled_from(TENANTS))
def test_two_reports_do_not_tell_the_sales_of_a_tenant_that_only_one_of_them_covers(
    sales: list[Sold], tenant: str
) -> None:
    without = [each for each in sales if each.tenant != tenant]
    with_it = dict(ranges(report_of(sales)))
    for key, (lower, upper) in ranges(report_of(without)):
        if key in with_it:
            assert possible_differences(with_it[key], (lower, upper)) >= MIN_SALES


@SLOW_MACHINE
@given(sales=MARKETS)
def test_a_total_does_not_tell_the_sales_of_a_withheld_part(sales: list[Sold]) -> None:
    """Whatever published ranges are added up and taken away, at least ten numbers remain possible."""
    report = report_of(sales)
    totals = dict(ranges(report, "category-prices"))
    for category, total in totals.items():
        parts = [part for key, part in ranges(report, "brand-prices") if key[2] == category[2]]
        for some in itertools.chain.from_iterable(itertools.combinations(parts, n) for n in range(len(parts) + 1)):
            taken = (sum(low for low, _ in some), sum(high for _, high in some))
            assert possible_differences(total, taken) >= MIN_SALES


def ranges(report: Report, *keys: str) -> Iterator[tuple[tuple[Any, ...], tuple[int, int]]]:
    """Yield every published range of sales, by the row that has it."""
    for chapter in report.chapters:
        for section in chapter.sections:
            for row in section.records():
                if row.get("sales") is not None and (not keys or section.key in keys):
                    names = [value for name, value in row.items() if name in DESCRIBES - {"withheld"}]
                    lower, upper = str(row["sales"]).split("-")
                    yield (chapter.currency, section.key, *names), (int(lower), int(upper))


def possible_differences(whole: tuple[int, int], part: tuple[int, int]) -> int:
    """Return how many numbers of sales the difference of two ranges leaves possible."""
    return whole[1] - part[0] - max(0, whole[0] - part[1]) + 1


@given(count=st.integers(MIN_SALES, 10**9))
def test_a_range_covers_its_count_and_at_least_as_many_others_as_half_of_it(count: int) -> None:
    lower, upper = map(int, count_range(count).split("-"))
    assert lower <= count <= upper
    assert upper - lower + 1 >= max(MIN_SALES, lower)


def test_fewer_than_ten_sales_have_no_range() -> None:
    with pytest.raises(ValueError, match="9"):
        count_range(9)


def test_a_brand_of_one_tenant_is_not_named() -> None:
    sales = [*by_each(TENANTS, Sold(), 10), *by_each(TENANTS[:1], Sold(brand="House of one tenant"), 50)]
    report = report_of(sales)
    assert "House of one tenant" not in text_of(report)
    assert record(report, "brand-prices", brand="Chanel")["median"] is not None
    (section,) = [each for each in sections(report) if each.key == "brand-prices"]
    assert list(section.withheld) == ["1 of 2 brands (1 of them left out of the table): fewer than 3 tenants"]


def test_a_category_and_a_currency_of_one_tenant_are_not_named() -> None:
    lone = Sold(category="Secret category", day=date(2025, 12, 3))
    exotic = Sold(currency="XOF", category="Exotic")
    sales = [*by_each(TENANTS, Sold(), 10), *by_each(TENANTS[:1], lone, 30), *by_each(TENANTS[:2], exotic, 30)]
    report = report_of(sales)
    assert "Secret category" not in text_of(report)
    assert "XOF" not in text_of(report)
    assert "Exotic" not in text_of(report)
    assert report.unnamed_currencies == 1


def test_a_tenant_sees_its_own_brand_and_nothing_about_the_others_in_it() -> None:
    sales = [*by_each(TENANTS, Sold(), 10), *by_each(TENANTS[:2], Sold(brand="Two sell it"), 20)]
    row = record(report_of(sales, tenant=TENANTS[0]), "brand-prices", brand="Two sell it")
    assert row["own_sales"] == "20"
    assert row["own_median"] is not None
    assert {value for name, value in row.items() if name.startswith("others_")} == {None}
    assert row["withheld"] == "fewer than 3 tenants"


def test_that_nobody_else_sells_a_brand_is_not_told() -> None:
    alone = by_each(TENANTS[:1], Sold(brand="Mine"), 20)
    shared = [*alone, *by_each(TENANTS[1:2], Sold(brand="Mine"), 20)]
    base = by_each(TENANTS, Sold(), 10)
    first, second = (report_of([*base, *each], tenant=TENANTS[0]) for each in (alone, shared))
    assert record(first, "brand-prices", brand="Mine") == record(second, "brand-prices", brand="Mine")


@pytest.mark.parametrize(("price", "count"), [(Decimal(100), 31), (Decimal(3000), 10)], ids=["by sales", "by value"])
def test_one_tenant_that_dominates_withholds_the_figures(price: Decimal, count: int) -> None:
    sales = [*by_each(TENANTS[1:3], Sold(), 10), *by_each(TENANTS[:1], Sold(price=price), count)]
    row = record(report_of(sales), "category-prices", category="handbags")
    assert row["median"] is row["sales"] is None
    assert row["withheld"] == "one tenant has more than 60 % of the sales or of their value"


def test_a_share_of_exactly_the_limit_is_published() -> None:
    contributors = Contributors(3, 100, 60, Decimal(1000), Decimal(600))
    assert RULES.reason(contributors) is None
    assert RULES.reason(replace(contributors, top_sales=61)) is Reason.DOMINATED
    assert RULES.reason(replace(contributors, top_value=Decimal("600.0001"))) is Reason.DOMINATED


def test_a_month_with_one_sale_is_not_told_by_the_months_around_it() -> None:
    lone = Sold(tenant=TENANTS[1], price=Decimal(777), day=date(2025, 11, 15))
    december = by_each(TENANTS, Sold(), 12)
    two_months, one_month = report_of([lone, *december], BOTH_MONTHS), report_of([lone, *december])
    november = report_of([lone, *december], NOVEMBER)
    assert november.chapters == []
    assert november.unnamed_currencies == 1
    wide, narrow = (record(each, "category-prices", category="handbags") for each in (two_months, one_month))
    assert wide["sales"] == narrow["sales"] == "50-99"
    assert "777" not in text_of(two_months) + text_of(one_month)


def test_days_that_one_tenant_states_are_withheld_where_prices_are_not() -> None:
    silent = by_each(TENANTS[1:], Sold(days_to_sell=None), 10)
    report = report_of([*silent, *by_each(TENANTS[:1], Sold(days_to_sell=3), 12)])
    assert record(report, "category-prices", category="handbags")["median"] is not None
    assert record(report, "curves", category="handbags")["sold_in_30_days"] is None
    row = record(report, "seasons", category="handbags")
    assert (row["median_days"], row["withheld"]) == (None, "days to sell: fewer than 3 tenants")


def test_an_answer_mentions_no_withheld_brand() -> None:
    fast = by_each(TENANTS[:2], Sold(brand="Fast", days_to_sell=1), 40)
    answers = {each.key: each.answer for each in sections(report_of([*by_each(TENANTS, Sold(), 10), *fast]))}
    assert answers["speed"] == "Chanel (handbags) sells fastest: half of its sales took 10 days or less."


@pytest.mark.parametrize(
    "make", [lambda: Rules(tenants=2), lambda: Rules(share=0), lambda: Rules(share=100)], ids=["k", "none", "all"]
)
def test_rules_that_protect_nobody_are_refused(make: Callable[[], Rules]) -> None:
    with pytest.raises(ConfigurationError, match="Nothing was read"):
        make()


def test_a_busy_market_is_mostly_published() -> None:
    """The tests above would also pass if everything were withheld."""
    figures = list(published(report_of(busy_market()), busy_market()))
    assert len(figures) > 400
    assert {figure.name.split()[0] for figure in figures} >= {"speed", "curves", "discounts", "weeks", "changes"}
