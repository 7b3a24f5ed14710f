"""The charts of a report: small ones, so that a page of any width shows them side by side or one below the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final

import altair as alt

from carousel_sync.charts import COLOURS, INK, Chart, data, small_svg
from carousel_sync.report.sections import Section, Value

WIDTH: Final = 250
HEIGHT: Final = 170
ROW: Final = 24
CATEGORIES_SHOWN: Final = 8
BRANDS_SHOWN: Final = 15
_LABEL: Final = 110
# Room for names in fonts that are wider than those that the layout assumes.
_PADDING: Final = {"left": 22, "right": 10, "top": 4, "bottom": 4}
_OTHERS, _OWN, _MARKET = "others", "you", ""
_SIDES: Final = ((_OTHERS, "others_"), (_OWN, "own_"))
_COLOUR: Final = {_MARKET: COLOURS[0], _OTHERS: COLOURS[0], _OWN: COLOURS[4]}
_CURVE: Final = (7, 14, 30, 60, 90)

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Drawing:
    """A chart with the caption above it. ``category`` is None if it shows all of them."""

    caption: str
    category: str | None
    svg: str


def drawings(section: Section, key: str) -> list[Drawing]:
    """Return the charts of a section. The key is unique in the page. Sections without figures have no charts."""
    found = []
    for number, (caption, category, chart, description) in enumerate(_CHARTS[section.key](list(section.records()))):
        text = f"{caption}. {description} The table below has the numbers."
        found.append(Drawing(caption, category, small_svg(chart, f"{key}-{number}", text)))
    return found


_Named = tuple[str, str | None, Chart, str]


def _category_prices(records: Rows) -> Iterator[_Named]:
    rows = _long(records, "category", ["lower_quartile", "median", "upper_quartile"], CATEGORIES_SHOWN)
    if rows:
        description = "Bars from the lower to the upper quartile, with a line at the median."
        yield "Prices by category", None, _spread(rows, "category"), description


def _brand_prices(records: Rows) -> Iterator[_Named]:
    for category, of_category in _by_category(records):
        rows = _long(of_category, "brand", ["lower_quartile", "median", "upper_quartile"], BRANDS_SHOWN)
        if rows:
            description = "Bars from the lower to the upper quartile, with a line at the median."
            yield category, category, _spread(rows, "brand"), description


def _speed(records: Rows) -> Iterator[_Named]:
    named: Rows = [{**row, "name": f"{row['brand']}, {row['category']}"} for row in records]
    days = _long(named, "name", ["median_days"], BRANDS_SHOWN)
    if not days:
        return
    caption = "Median days to sell" + (f", the {BRANDS_SHOWN} fastest" if len(records) > BRANDS_SHOWN else "")
    yield caption, None, _bars(days, "name", "median_days", "days"), "One bar for each brand; shorter is faster."
    soon = _long(named, "name", ["sold_in_30_days"], BRANDS_SHOWN)
    yield "Sold within 30 days", None, _bars(soon, "name", "sold_in_30_days", "percent"), "One bar for each brand."


def _curves(records: Rows) -> Iterator[_Named]:
    names = [f"sold_in_{days}_days" for days in _CURVE]
    for category, of_category in _by_category(records):
        rows = [
            {"side": row["side"], "days": days, "percent": row[name]}
            for row in _long(of_category, "category", names, 1)
            for days, name in ((0, None), *zip(_CURVE, names, strict=True))
            if name is not None
        ]
        if rows:
            x = alt.X("days:Q", scale=alt.Scale(domain=[0, 90])).title("days").axis(values=[0, *_CURVE[1:]])
            y = alt.Y("percent:Q", scale=alt.Scale(domain=[0, 100])).title("percent sold")
            yield category, category, _line(rows, x, y), "The share that is sold after a number of days."


def _discounts(records: Rows) -> Iterator[_Named]:
    for name, caption, unit in (
        ("median_days", "Median days to sell", "days"),
        ("sold_in_30_days", "Sold within 30 days", "percent"),
    ):
        rows = _long(records, "discount", [name], len(records))
        if rows:
            yield caption, None, _bars(rows, "discount", name, unit), "One bar for each band of discounts."


def _weeks(records: Rows) -> Iterator[_Named]:
    for category, of_category in _by_category(records):
        points = _long(of_category, "week", ["median"], len(of_category))
        moving = _long(of_category, "week", ["moving_median"], len(of_category))
        if points:
            x = alt.X("week:T").title(None).axis(format="%b %y", tickCount=4, labelFlush=False)
            dots = (
                alt.Chart(data(points))
                .mark_circle(size=18, opacity=0.5)
                .encode(x=x, y=_price_axis("median"), color=_colour(points))
            )
            y = _price_axis("moving_median")
            lines = (
                alt.Chart(data(moving)).mark_line(strokeWidth=2).encode(x=x, y=y, color=_colour(points))
                if moving
                else None
            )
            chart = alt.layer(dots, lines) if lines is not None else alt.layer(dots)
            description = "A dot for the median price of each week, and a line for the moving median."
            yield category, category, chart.properties(width=WIDTH, height=HEIGHT), description


def _seasons(records: Rows) -> Iterator[_Named]:
    for category, of_category in _by_category(records):
        rows = _long(of_category, "season", ["median"], len(of_category))
        if rows:
            x = (
                alt.X("season:O")
                .title(None)
                .axis(labelAngle=0, labelExpr="[split(datum.label, ' ')[1], split(datum.label, ' ')[0]]")
            )
            yield category, category, _line(rows, x, _price_axis("median")), "The median price of each quarter."


def _changes(records: Rows) -> Iterator[_Named]:
    rows = _long(records, "category", ["price_change"], CATEGORIES_SHOWN)
    if rows:
        chart = _bars(rows, "category", "price_change", "percent")
        yield "Change of the median price", None, chart, "One bar for each category."


_CHARTS: Final[Mapping[str, Callable[[Rows], Iterator[_Named]]]] = {
    "category-prices": _category_prices,
    "brand-prices": _brand_prices,
    "speed": _speed,
    "curves": _curves,
    "discounts": _discounts,
    "weeks": _weeks,
    "seasons": _seasons,
    "changes": _changes,
}


def _by_category(records: Rows) -> Iterator[tuple[str, Rows]]:
    """Yield the first categories with their rows, in the order of the table."""
    names = list(dict.fromkeys(str(row["category"]) for row in records))
    for name in names[:CATEGORIES_SHOWN]:
        yield name, [row for row in records if row["category"] == name]


def _long(records: Rows, key: str, names: Sequence[str], limit: int) -> Rows:
    """Return one row for each side and key that has all the figures. ``limit`` is the number of keys."""
    rows = []
    for record in records:
        for side, prefix in _SIDES if f"own_{names[0]}" in record else ((_MARKET, ""),):
            values = {name: record[f"{prefix}{name}"] for name in names}
            if None not in values.values():
                rows.append({"side": side, key: _plain(record[key]), **{k: _plain(v) for k, v in values.items()}})
    kept = list(dict.fromkeys(row[key] for row in rows))[:limit]
    return [row for row in rows if row[key] in kept]


def _plain(value: Value) -> str | int | float | None:
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _colour(rows: Rows) -> Any:
    sides = [side for side in _COLOUR if any(row["side"] == side for row in rows)]
    scale = alt.Scale(domain=sides, range=[_COLOUR[side] for side in sides])
    legend = None if sides == [_MARKET] else alt.Legend(title=None, orient="top", labelColor=INK)
    return alt.Color("side:N", scale=scale, legend=legend)


def _names_axis(rows: Rows, key: str) -> Any:
    order = list(dict.fromkeys(row[key] for row in rows))
    return alt.Y(f"{key}:N", sort=order).title(None).axis(labelLimit=_LABEL, labelPadding=6)


def _price_axis(name: str) -> Any:
    return alt.Y(f"{name}:Q", scale=alt.Scale(zero=False)).title(None).axis(format="~s", tickCount=5)


def _row_height(rows: Rows) -> alt.Step:
    return alt.Step(ROW / 2 if len({row["side"] for row in rows}) > 1 else ROW)


def _spread(rows: Rows, key: str) -> Chart:
    wide = min(row["lower_quartile"] for row in rows) > 0 and _ratio(rows) > 20  # noqa: PLR2004
    scale = alt.Scale(type="log", nice=False, padding=8) if wide else alt.Scale(zero=True)
    axis = alt.Axis(format="~s", values=_steps(rows)) if wide else alt.Axis(format="~s", tickCount=4)
    x = alt.X("lower_quartile:Q", scale=scale, axis=axis).title("price, logarithmic scale" if wide else "price")
    y, offset = _names_axis(rows, key), alt.YOffset("side:N", sort=[_OTHERS, _OWN])
    base = alt.Chart(data(rows)).encode(y=y, yOffset=offset)
    bars = base.mark_bar(height=8, opacity=0.45).encode(x=x, x2="upper_quartile:Q", color=_colour(rows))
    medians = base.mark_tick(thickness=3, size=14).encode(x="median:Q", color=_colour(rows))
    chart = alt.layer(bars, medians)
    return chart.properties(width=WIDTH, height=_row_height(rows), padding=_PADDING)


def _ratio(rows: Rows) -> float:
    return float(max(row["upper_quartile"] for row in rows) / min(row["lower_quartile"] for row in rows))


def _steps(rows: Rows) -> list[int]:
    """Return the labels of a logarithmic scale: 1, 2 and 5 times each power of ten."""
    highest = max(row["upper_quartile"] for row in rows)
    lowest = min(row["lower_quartile"] for row in rows)
    steps = [digit * 10**power for power in range(16) for digit in (1, 2, 5)]
    return [step for step in steps if lowest / 2 <= step <= highest * 2]


def _bars(rows: Rows, key: str, name: str, title: str) -> Chart:
    y, offset = _names_axis(rows, key), alt.YOffset("side:N", sort=[_OTHERS, _OWN])
    base = alt.Chart(data(rows)).encode(y=y, yOffset=offset, x=alt.X(f"{name}:Q").title(title).axis(tickCount=4))
    bars = base.mark_bar(height=10).encode(color=_colour(rows))
    above = base.transform_filter(f"datum.{name} >= 0").mark_text(align="left", dx=4).encode(text=f"{name}:Q")
    # A number to the left of a bar would stand on the name of the row.
    below = base.transform_filter(f"datum.{name} < 0").mark_text(align="left", dx=4)
    numbers = below.encode(text=f"{name}:Q", x=alt.datum(0))
    chart = alt.layer(bars, above, numbers)
    return chart.properties(width=WIDTH, height=_row_height(rows), padding=_PADDING)


def _line(rows: Rows, x: Any, y: Any) -> Chart:
    line = alt.Chart(data(rows)).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=26))
    return alt.layer(line.encode(x=x, y=y, color=_colour(rows))).properties(width=WIDTH, height=HEIGHT)
