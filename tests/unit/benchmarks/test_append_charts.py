"""The charts of appends show every request, and the last value of each curve."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from benchmarks.append_charts import draw
from benchmarks.measuring import ChartData
from testbed.latency_proxy import RecordedRequest


def texts(drawing: Path) -> list[str]:
    return [str(element.text) for element in ElementTree.parse(drawing).iter() if element.tag.endswith("text")]  # noqa: S314 - our own


def test_every_request_and_every_curve_is_drawn(tmp_path: Path) -> None:
    upload = RecordedRequest("s3", "PUT", "/a", arrived=10.0, answered=10.03)
    commit = RecordedRequest("catalog", "POST", "/b", arrived=10.03, answered=10.06)
    curves = {"ours": [(10, 5.0), (20, 6.0)], "plain": [(10, 50.0)]}
    requests, growth = draw(ChartData({"ours": [commit, upload, upload]}, curves), tmp_path)
    shown = texts(requests)
    assert "ours: 3 requests, 60 ms" in shown
    assert (shown.count("s3 PUT"), shown.count("catalog POST")) == (2, 1)
    assert {"ours: 6 ms", "plain: 50 ms"} <= set(texts(growth))


def test_nothing_is_drawn_without_measurements(tmp_path: Path) -> None:
    assert draw(ChartData(), tmp_path) == []
