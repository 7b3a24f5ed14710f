"""The questions of a report: the table of each, and what is withheld in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from carousel_sync.report import groups, words
from carousel_sync.report.cells import Cell, Cells
from carousel_sync.report.disclosure import Prices, Reason
from carousel_sync.report.groups import Group, View, groups_of
from carousel_sync.report.period import Period
from carousel_sync.report.sections import Column, Kind, Section, Value

CURVE_DAYS: Final = (7, 14, 30, 60, 90)
SOLD_SOON: Final = 30
MOVING_WEEKS: Final = 5
LEAST_WEEKS: Final = 3
BAND: Final = 10

_CATEGORY: Final = Column("category", "Category")
_WITHHELD: Final = Column("withheld", "Withheld")


@dataclass(frozen=True)
class Sides:
    """The groups of one currency that the questions are about."""

    view: View
    period: Period
    categories: list[Group]
    brands: list[Group]
    earlier: list[Group]
    weeks: list[Group]
    seasons: list[Group]
    discounts: list[Group]


def sides_of(cells: Cells, currency: str, view: View, period: Period) -> Sides:
    """Group the cells of a currency. Categories that may not be named are left out of weeks and seasons."""

    def of(found: list[Cell]) -> list[Cell]:
        return [cell for cell in found if cell.currency == currency]

    rules = view.rules
    now = of(cells.now)
    categories = groups_of(_of_categories(now), rules, lambda cell: (cell.category,))
    earlier = groups_of(_of_categories(of(cells.before)), rules, lambda cell: (cell.category,))
    weeks = groups_of(of(cells.weeks), rules, lambda cell: (cell.category, cell.week))
    seasons = groups_of(of(cells.seasons), rules, lambda cell: (cell.category, cell.season))
    named = groups.named_categories([*categories, *earlier, *weeks, *seasons])
    return Sides(
        view=view,
        period=period,
        categories=sorted(categories, key=lambda group: (-group.order, group.key)),
        brands=groups_of(
            (cell for cell in now if cell.brand is not None), rules, lambda cell: (cell.category, cell.brand)
        ),
        earlier=earlier,
        weeks=[group for group in weeks if group.key[0] in named],
        seasons=[group for group in seasons if group.key[0] in named],
        discounts=groups_of(of(cells.discounts), rules, lambda cell: (cell.discount_from,)),
    )


def sections_of(sides: Sides) -> list[Section]:
    """Return all questions about a currency, in the order in which a report shows them."""
    return [
        category_prices(sides),
        brand_prices(sides),
        speed(sides),
        curves(sides),
        discounts(sides),
        weeks(sides),
        seasons(sides),
        changes(sides),
    ]


def category_prices(sides: Sides) -> Section:
    """Return the prices of each category, with their spread."""
    view = sides.view
    columns = [_CATEGORY, *_sales(view), *_quartiles(view), _WITHHELD]
    rows = [
        [*group.key, *groups.sales(group, view), *_quartile_values(group, view), _why(group, view, "prices")]
        for group in _named(sides.categories)
    ]
    return Section(
        "category-prices",
        "What does each category sell for?",
        words.category_prices(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.categories, view, "prices", ("category", "categories"))),
        "The bar spans the middle half of the prices; the line in it is the median.",
    )


def brand_prices(sides: Sides) -> Section:
    """Return the prices of each brand against the median of its category."""
    view = sides.view
    columns = [
        _CATEGORY,
        Column("brand", "Brand"),
        *_sales(view),
        *_quartiles(view),
        *view.columns("against_category", "Against category", Kind.PERCENT),
        _WITHHELD,
    ]
    of_category = {group.key[0]: groups.median(group, view) for group in sides.categories}
    rows = [
        [
            *group.key,
            *groups.sales(group, view),
            *_quartile_values(group, view),
            *map(change, of_category[group.key[0]], groups.median(group, view)),
            _why(group, view, "prices"),
        ]
        for group in _named(sides.brands)
    ]
    return Section(
        "brand-prices",
        "How do brands compare with their category?",
        words.brand_prices(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.brands, view, "prices", ("brand", "brands"))),
        "The last figure compares the brand's median price with the median of all brands in the category.",
    )


def speed(sides: Sides) -> Section:
    """Return how fast each brand sells, the fastest first."""
    view = sides.view
    columns = [
        Column("brand", "Brand"),
        _CATEGORY,
        *view.columns("median_days", "Median days to sell", Kind.DAYS),
        *view.columns("sold_in_30_days", "Sold in 30 days", Kind.PERCENT),
        _WITHHELD,
    ]
    rows: list[list[Value]] = [
        [
            group.key[1],
            group.key[0],
            *groups.median_days(group, view),
            *groups.within(group, view, SOLD_SOON),
            _why(group, view, "speed"),
        ]
        for group in _named(sides.brands)
    ]
    days, soon = 1 + len(view.sides), 1 + 2 * len(view.sides)
    rows.sort(key=lambda row: (row[days] is None, row[days] or 0, -_number(row[soon]), str(row[0]), str(row[1])))
    return Section(
        "speed",
        "Which brand sells fastest?",
        words.speed(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.brands, view, "speed", ("brand", "brands"))),
        "Days from the listing to the sale. Products that are still listed are not part of it.",
    )


def curves(sides: Sides) -> Section:
    """Return the share of each category that is sold within a number of days."""
    view = sides.view
    columns = [_CATEGORY, *view.columns("median_days", "Median days", Kind.DAYS)]
    for days in CURVE_DAYS:
        columns += view.columns(f"sold_in_{days}_days", f"In {days} days", Kind.PERCENT)
    columns.append(_WITHHELD)
    rows: list[list[Value]] = []
    for group in _named(sides.categories):
        shares = [share for days in CURVE_DAYS for share in groups.within(group, view, days)]
        rows.append([*group.key, *groups.median_days(group, view), *shares, _why(group, view, "speed")])
    return Section(
        "curves",
        "How long does a product take to sell?",
        words.curves(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.categories, view, "speed", ("category", "categories"))),
        "The share of the sales that took no longer than so many days.",
    )


def discounts(sides: Sides) -> Section:
    """Return how fast products sell at each discount."""
    view = sides.view
    columns = [
        Column("discount", "Discount"),
        *_sales(view),
        *view.columns("median_days", "Median days to sell", Kind.DAYS),
        *view.columns("sold_in_30_days", "Sold in 30 days", Kind.PERCENT),
        _WITHHELD,
    ]
    rows: list[list[Value]] = [
        [
            words.band(group.key[0], BAND),
            *groups.sales(group, view),
            *groups.median_days(group, view),
            *groups.within(group, view, SOLD_SOON),
            _why(group, view, "speed"),
        ]
        for group in _named(sides.discounts)
    ]
    return Section(
        "discounts",
        "What does a discount buy?",
        words.discounts(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.discounts, view, "speed", ("discount", "discounts"))),
        "All categories together. A difference between discounts need not be their effect: slow products are marked "
        "down.",
    )


def weeks(sides: Sides) -> Section:
    """Return the median price of each week and category, and the moving median of these."""
    view = sides.view
    columns = [
        _CATEGORY,
        Column("week", "Week from"),
        *_sales(view),
        *view.columns("median", "Median price", Kind.PRICE),
        *view.columns("moving_median", "Moving median", Kind.PRICE),
        _WITHHELD,
    ]
    medians = {group.key: groups.median(group, view) for group in sides.weeks}
    rows: list[list[Value]] = []
    for group in _named(sides.weeks):
        category, week = group.key
        recent = [medians.get((category, week - timedelta(weeks=back))) for back in range(MOVING_WEEKS)]
        moving = [_moving([of_week[side] for of_week in recent if of_week]) for side in range(len(view.sides))]
        values = [*groups.sales(group, view), *medians[group.key], *moving]
        rows.append([category, week, *values, _why(group, view, "prices")])
    return Section(
        "weeks",
        "Where are prices heading?",
        words.weeks(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.weeks, view, "prices", ("week of a category", "weeks of the categories"))),
        f"Dots are the median price of a week. The line is the median of {MOVING_WEEKS} such weeks, of which at least "
        f"{LEAST_WEEKS} are published. Weeks begin on Monday.",
    )


def seasons(sides: Sides) -> Section:
    """Return the prices and the days to sell of each category and quarter."""
    view = sides.view
    columns = [
        _CATEGORY,
        Column("season", "Quarter"),
        *_sales(view),
        *view.columns("median", "Median price", Kind.PRICE),
        *view.columns("median_days", "Median days to sell", Kind.DAYS),
        _WITHHELD,
    ]
    rows = [
        [
            *group.key,
            *groups.sales(group, view),
            *groups.median(group, view),
            *groups.median_days(group, view),
            _why(group, view, "prices", "speed"),
        ]
        for group in _named(sides.seasons)
    ]
    names = ("quarter of a category", "quarters of the categories")
    return Section(
        "seasons",
        "Does the season matter?",
        words.seasons(columns, rows),
        columns,
        rows,
        list(groups.withheld_in_words(sides.seasons, view, "prices", names)),
        "Quarters of the calendar year.",
    )


def changes(sides: Sides) -> Section:
    """Return the prices and the days to sell of each category against the period before."""
    view, before = sides.view, str(sides.period.before)
    columns = [_CATEGORY]
    for name, heading, kind in (("median", "Median price", Kind.PRICE), ("median_days", "Median days", Kind.DAYS)):
        columns += view.columns(f"{name}_before", f"{heading} before", kind)
        columns += view.columns(f"{name}_now", f"{heading} now", kind)
    columns += [*view.columns("price_change", "Price change", Kind.PERCENT), _WITHHELD]
    earlier = {group.key: group for group in sides.earlier}
    rows: list[list[Value]] = []
    for group in _named(sides.categories):
        then = earlier.get(group.key, Group(group.key))
        prices = [*groups.median(then, view), *groups.median(group, view)]
        days = [*groups.median_days(then, view), *groups.median_days(group, view)]
        changed = map(change, groups.median(then, view), groups.median(group, view))
        rows.append([*group.key, *prices, *days, *changed, _why_then_or_now(then, group, view)])
    left_out = len(sides.categories) - len(rows)
    reasons = Counter(str(row[-1]) for row in rows if row[-1])
    withheld = [f"{number} of {len(rows)} categories: {reason}" for reason, number in sorted(reasons.items())]
    if left_out:
        withheld.append(f"{left_out} more left out of the table: {view.rules.explained(Reason.FEW_TENANTS)}")
    return Section(
        "changes",
        f"What changed against {before}?",
        words.changes(columns, rows, before),
        columns,
        rows,
        withheld,
        "Median prices of each category, now and in the period before.",
    )


def change(before: Value, now: Value) -> Value:
    """Return by how many percent a price is above another one, with one decimal place. None without one of them."""
    if not isinstance(before, Decimal) or not isinstance(now, Decimal) or not before:
        return None
    return (100 * (now - before) / before).quantize(Decimal("0.1"))


def _of_categories(cells: Iterable[Cell]) -> Iterator[Cell]:
    return (cell for cell in cells if cell.category is not None and cell.brand is None)


def _named(found: Iterable[Group]) -> list[Group]:
    return [group for group in found if group.is_named]


def _sales(view: View) -> list[Column]:
    return view.columns("sales", "Sales", Kind.RANGE)


def _quartiles(view: View) -> list[Column]:
    return [
        *view.columns("lower_quartile", "Lower quartile", Kind.PRICE),
        *view.columns("median", "Median", Kind.PRICE),
        *view.columns("upper_quartile", "Upper quartile", Kind.PRICE),
    ]


def _quartile_values(group: Group, view: View) -> list[Value]:
    picks = (_lower, _median, _upper)
    return [value for pick in picks for value in groups.quartile(group, view, pick)]


def _lower(prices: Prices) -> Decimal:
    return prices.lower_quartile


def _median(prices: Prices) -> Decimal:
    return prices.median


def _upper(prices: Prices) -> Decimal:
    return prices.upper_quartile


def _why(group: Group, view: View, *what: str) -> str:
    return groups.why_withheld(group, view, what)


def _why_then_or_now(then: Group, now: Group, view: View) -> str:
    reasons = {"before": _why(then, view, "prices", "speed"), "now": _why(now, view, "prices", "speed")}
    if len(set(reasons.values())) == 1:
        return reasons["now"]
    return "; ".join(f"{when}: {reason}" for when, reason in reasons.items() if reason)


def _moving(prices: Sequence[Value]) -> Value:
    published = sorted(price for price in prices if isinstance(price, Decimal))
    return published[(len(published) - 1) // 2] if len(published) >= LEAST_WEEKS else None


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
