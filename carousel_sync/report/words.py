"""The answers in words, computed from the rows that a section shows. What is withheld is not part of an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Final

from carousel_sync.report.sections import Column, Value

NOTHING: Final = "Nothing can be published for this period."
ABOVE_LIST_PRICE: Final = "above the listed price"
_SMALL: Final = Decimal(1)
_MENTIONED: Final = 3

Rows = Sequence[Sequence[Value]]
Record = dict[str, Value]


def band(lower: int, width: int) -> str:
    """Name a band of discounts by its ends in percent."""
    if lower < 0:
        return ABOVE_LIST_PRICE
    return f"{lower} to {lower + width - 1} %" if lower + width < 100 else f"{lower} % or more"  # noqa: PLR2004


def money(price: Decimal) -> str:
    """Return a price for a sentence: without cents from 100 on."""
    return f"{price:,.0f}" if price >= 100 else f"{price:,.2f}"  # noqa: PLR2004


def category_prices(columns: Sequence[Column], rows: Rows) -> str:
    """Say which category is the dearest, and which is the cheapest."""
    found = sorted(_with(_records(columns, rows), "median"), key=lambda row: _price(row, "median"))
    if not found:
        return NOTHING
    dearest, cheapest = found[-1], found[0]
    texts = [f"The highest prices are in {_name(dearest)}: half of the sales are between {_middle_half(dearest)}."]
    if dearest is not cheapest:
        texts.append(f"The lowest are in {_name(cheapest)}: half are between {_middle_half(cheapest)}.")
    return " ".join(texts)


def brand_prices(columns: Sequence[Column], rows: Rows) -> str:
    """Say which brand is the furthest above the median of its category, and which the furthest below."""
    key = "against_category"
    found = sorted(_with(_records(columns, rows), key), key=lambda row: _price(row, key))
    if not found:
        return NOTHING
    highest, lowest = found[-1], found[0]
    texts = []
    if _price(highest, key) > 0:
        texts.append(f"{_brand(highest)} is {_price(highest, key):.0f} % above the median price of its category")
    if _price(lowest, key) < 0:
        texts.append(f"{_brand(lowest)} is {-_price(lowest, key):.0f} % below")
    return "; ".join(texts) + "." if texts else "Every published brand sells at the median price of its category."


def speed(columns: Sequence[Column], rows: Rows) -> str:
    """Say which brand sells fastest, and which slowest. The rows are in this order."""
    found = _with(_records(columns, rows), "median_days")
    if not found:
        return NOTHING
    fastest, slowest = found[0], found[-1]
    text = f"{_brand(fastest)} sells fastest: half of its sales took {_days(fastest)} or less."
    if fastest is slowest:
        return text
    return f"{text} {_brand(slowest)} is the slowest, with {_days(slowest)}."


def curves(columns: Sequence[Column], rows: Rows) -> str:
    """Say how much of the fastest and of the slowest category is sold within 30 days."""
    key = "sold_in_30_days"
    found = sorted(_with(_records(columns, rows), key), key=lambda row: _price(row, key))
    if not found:
        return NOTHING
    best, worst = found[-1], found[0]
    if best[_column(best, key)] == worst[_column(worst, key)]:
        return f"{_share(best, key)} of the sales in every published category took 30 days or less."
    return (
        f"In {_name(best)}, {_share(best, key)} of the sales took 30 days or less; in {_name(worst)}, "
        f"{_share(worst, key)}."
    )


def discounts(columns: Sequence[Column], rows: Rows) -> str:
    """Say how many days products with the highest discount sell faster than those with the lowest."""
    found = [row for row in _with(_records(columns, rows), "median_days") if row["discount"] != ABOVE_LIST_PRICE]
    if not found:
        return NOTHING
    low, high = found[0], found[-1]
    if low is high:
        return f"With a discount of {low['discount']}, half of the products sold in {_days(low)} or less."
    saved = _price(low, "median_days") - _price(high, "median_days")
    if not saved:
        return (
            f"Nothing that the median shows: it is {_days(low)} with a discount of {low['discount']}, and also with "
            f"{high['discount']}."
        )
    verb = "faster" if saved > 0 else "slower"
    return (
        f"With a discount of {high['discount']}, products sell {_counted(abs(saved))} {verb} than with "
        f"{low['discount']}: the median is {_days(high)} instead of {_days(low)}."
    )


def weeks(columns: Sequence[Column], rows: Rows) -> str:
    """Say which categories moved most between their first and their last moving median."""
    key = "moving_median"
    series: dict[str, list[Record]] = defaultdict(list)
    for row in _with(_records(columns, rows), key):
        series[_name(row)].append(row)
    moves = {
        name: 100 * (_price(found[-1], key) / _price(found[0], key) - 1)
        for name, found in series.items()
        if _price(found[0], key)
    }
    if not moves:
        return NOTHING
    largest = sorted(moves, key=lambda name: -abs(moves[name]))[:_MENTIONED]
    moved = ", ".join(f"{name} {_signed(moves[name])}" for name in largest)
    return f"The moving median changed most in: {moved}, from the first week shown to the last."


def seasons(columns: Sequence[Column], rows: Rows) -> str:
    """Say in which category the median price differs most between quarters."""
    series: dict[str, list[Record]] = defaultdict(list)
    for row in _with(_records(columns, rows), "median"):
        series[_name(row)].append(row)
    spreads: list[tuple[Decimal, str, Record, Record]] = []
    for name, found in series.items():
        low = min(found, key=lambda row: _price(row, "median"))
        high = max(found, key=lambda row: _price(row, "median"))
        if low is not high and _price(low, "median"):
            spreads.append((_price(high, "median") / _price(low, "median") - 1, name, low, high))
    if not spreads:
        return "Fewer than two quarters of a category can be published." if series else NOTHING
    spread, name, low, high = max(spreads, key=lambda each: each[0])
    return (
        f"Most in {name}: its median price was {100 * spread:.0f} % higher in {high['season']} "
        f"({money(_price(high, 'median'))}) than in {low['season']} ({money(_price(low, 'median'))})."
    )


def changes(columns: Sequence[Column], rows: Rows, before: str) -> str:
    """Say which categories became dearer, and which cheaper, by at least one percent."""
    key = "price_change"
    found = sorted(_with(_records(columns, rows), key), key=lambda row: -abs(_price(row, key)))
    if not found:
        return f"No category can be published both for this period and for {before}."
    dearer = [f"{_name(row)} {_signed(_price(row, key))}" for row in found if _price(row, key) >= _SMALL]
    cheaper = [f"{_name(row)} {_signed(_price(row, key))}" for row in found if _price(row, key) <= -_SMALL]
    texts = []
    if dearer:
        texts.append(f"Dearer: {', '.join(dearer[:_MENTIONED])}.")
    if cheaper:
        texts.append(f"Cheaper: {', '.join(cheaper[:_MENTIONED])}.")
    return " ".join(texts) or f"Median prices are within one percent of those of {before}."


def _records(columns: Sequence[Column], rows: Rows) -> Iterator[Record]:
    return (dict(zip((column.name for column in columns), row, strict=True)) for row in rows)


def _column(row: Record, key: str) -> str:
    """Return the column of the market: in a tenant's view, that of the others."""
    return key if key in row else f"others_{key}"


def _with(rows: Iterable[Record], key: str) -> list[Record]:
    return [row for row in rows if row[_column(row, key)] is not None]


def _price(row: Record, key: str) -> Decimal:
    return Decimal(str(row[_column(row, key)]))


def _middle_half(row: Record) -> str:
    return f"{money(_price(row, 'lower_quartile'))} and {money(_price(row, 'upper_quartile'))}"


def _share(row: Record, key: str) -> str:
    return f"{row[_column(row, key)]} %"


def _days(row: Record) -> str:
    return _counted(_price(row, "median_days"))


def _counted(days: Decimal) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _name(row: Record) -> str:
    return str(row["category"])


def _brand(row: Record) -> str:
    return f"{row['brand']} ({row['category']})"


def _signed(percent: Decimal) -> str:
    return f"{percent:+.0f} %".replace("-", "\N{MINUS SIGN}")
