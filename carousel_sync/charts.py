"""Altair charts as SVG that is readable on light and on dark pages, rendered offline."""

from __future__ import annotations

import re
from typing import Any, Final
from xml.sax.saxutils import escape

import altair as alt
import vl_convert

WIDTH: Final = 800
INK: Final = "#6b7c93"
COLOURS: Final = ("#3b82f6", "#ef4444", "#8b5cf6", "#059669", "#c2660a", "#0891b2", "#db2777")
"""Text and series. Each has a contrast of at least 3.6 to white and to GitHub's dark background (WCAG 2.1, 1.4.11)."""

ROW_HEADER: Final = alt.Header(
    labelAngle=0, labelOrient="top", labelAnchor="start", labelFontWeight="bold", labelFontSize=12, labelPadding=0
)
"""The heading above each row of a chart that is divided into rows."""

_FONT: Final = "system-ui, sans-serif"
_GRID: Final = {"gridColor": INK, "gridOpacity": 0.25, "domainColor": INK, "tickColor": INK}
_CONFIG: Final = {
    "background": "transparent",
    "font": _FONT,
    "view": {"stroke": None},
    "facet": {"spacing": 12},
    "axis": {"labelColor": INK, "titleColor": INK, "titleFontWeight": "normal", "titlePadding": 10, **_GRID},
    "axisX": {"tickCount": 8},
    "axisY": {"domain": False, "ticks": False, "tickCount": 6},
    "header": {"labelColor": INK},
    "text": {"color": INK, "fontSize": 11},
    "title": {"color": INK, "fontSize": 14, "anchor": "start", "offset": 16},
    "range": {"category": list(COLOURS)},
}

_TAG: Final = re.compile("<[a-z][^>]*>")
# Vega names a role for each group of marks. One picture with one description is what a screen reader can use.
_ROLES: Final = re.compile(r' (?:role|aria-[a-z]+)="[^"]*"')
_ID: Final = re.compile(r'(\bid="|\burl\(#|\bhref="#)')

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.VConcatChart


def svg(chart: Chart, title: str, description: str) -> str:
    """Return the chart as an SVG document. The title is its heading; both texts are read out by screen readers."""
    drawing: str = vl_convert.vegalite_to_svg(chart.properties(title=title).to_dict(), config=_CONFIG)
    opening, rest = drawing.split(">", 1)
    texts = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return f'{opening} role="img">{texts}{rest}\n'


def small_svg(chart: Chart, key: str, description: str) -> str:
    """Return a chart of a page as an SVG element, whose heading is part of the page.

    Screen readers read the description out. The key is unique in the page: it begins the ids in the drawing. Texts have
    the colour INK, which a style sheet can replace.
    """
    drawing: str = vl_convert.vegalite_to_svg(chart.to_dict(), config=_CONFIG)
    bare = _TAG.sub(lambda tag: _ROLES.sub("", tag[0]), drawing)
    opening, rest = _ID.sub(rf"\g<1>{key}-", bare).split(">", 1)
    return f'{opening} role="img"><title>{escape(description)}</title>{rest}'


def data(rows: list[dict[str, Any]]) -> alt.InlineData:
    """Return rows as a chart's data."""
    return alt.InlineData(values=rows)
