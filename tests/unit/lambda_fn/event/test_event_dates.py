"""The sold date: a date or an instant, which counts as its UTC date, from 2000 to two days after the event."""

from __future__ import annotations

from datetime import date

import pytest

from lambda_fn.ports import Reason, Rejection
from lambda_fn.sale import Sale
from tests.builders import event, read

WRONG_FORMAT = Rejection(
    Reason.INVALID_FIELD, "detail.soldDate: must be a date YYYY-MM-DD, or an ISO 8601 instant with a time zone"
)


def sold(sold_date: object, time: str = "2026-03-15T10:00:00Z") -> Sale | Rejection:
    return read(event(soldDate=sold_date) | {"time": time})


def sold_date_of(content: Sale | Rejection) -> date:
    assert isinstance(content, Sale), content
    return content.sold_date


def assert_out_of_range(content: Sale | Rejection) -> None:
    assert isinstance(content, Rejection), content
    assert content.reason is Reason.INVALID_FIELD
    assert content.detail.startswith("detail.soldDate: must be from 2000-01-01 to 2 days after the event's time")


@pytest.mark.parametrize("text", ["2000-01-01", "2000-02-29", "2024-02-29", "2025-12-31", "2026-03-15"])
def test_a_plain_date_is_accepted(text: str) -> None:
    assert sold_date_of(sold(text)).isoformat() == text


@pytest.mark.parametrize(
    ("instant", "utc_date"),
    [
        ("2026-03-14T00:00:00Z", "2026-03-14"),
        ("2026-03-14T23:59:59.999999Z", "2026-03-14"),
        ("2026-03-14T12:00:00.1234567890Z", "2026-03-14"),
        ("2026-03-14T12:00:00,5Z", "2026-03-14"),
        ("2026-03-14T12:00Z", "2026-03-14"),
        ("2026-03-14T12Z", "2026-03-14"),
        ("20260314T120000Z", "2026-03-14"),
        ("2026-03-14T00:30:00+01:00", "2026-03-13"),
        ("2026-03-14T00:30:00+0100", "2026-03-13"),
        ("2026-03-14T00:30:00+01", "2026-03-13"),
        ("2026-03-14T23:30:00-01:00", "2026-03-15"),
        ("2026-03-14T12:00:00-00:00", "2026-03-14"),
        ("2026-03-14T12:00:00+14:00", "2026-03-13"),
        ("2026-03-14T12:00:00-12:00", "2026-03-15"),
        ("2026-03-14T12:00:00+23:59", "2026-03-13"),
        ("2026-03-14T00:00:00+00:00:01", "2026-03-13"),
        ("2024-02-29T23:59:59Z", "2024-02-29"),
        ("2024-03-01T00:30:00+01:00", "2024-02-29"),
        ("2025-03-01T00:30:00+01:00", "2025-02-28"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31"),
        ("2025-12-31T23:30:00-01:00", "2026-01-01"),
        ("2026-W01-1T00:00:00Z", "2025-12-29"),
        ("2020-W53-7T00:00:00Z", "2021-01-03"),
        ("1999-12-31T23:30:00-01:00", "2000-01-01"),
    ],
)
def test_an_instant_counts_as_its_utc_date(instant: str, utc_date: str) -> None:
    assert sold_date_of(sold(instant)).isoformat() == utc_date


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "T",
        "today",
        "2026",
        "2026-03",
        "2026-3-14",
        "26-03-14",
        "20260314",
        "2026/03/14",
        "14.03.2026",
        "14-03-2026",
        "2026-W11-6",
        "2026-073",
        "2026-073T00:00:00Z",
        "2026-00-10",
        "2026-13-01",
        "2026-02-30",
        "2026-02-29",
        "2025-02-29T12:00:00Z",
        "1900-02-29",
        "2026-04-31",
        "2026-03-00",
        "0000-01-01",
        "-2026-03-14",
        "+002026-03-14",
        "12026-03-14",
        "2026-03-14 ",
        " 2026-03-14",
        "2026-03-14\n",
        "2026-03-14T12:00:00Z\n",
        "2026-03-14\x00",
        "２０２６-03-14",
        "2026-03-14T12:00:00٠Z",
        "2026-03-14T",
        "2026-03-14T12:00:00",
        "2026-03-14T12:00:00.5",
        "2026-W11-6T12:00:00",
        "2026-03-14 12:00:00Z",
        "2026-03-14t12:00:00Z",
        "2026-03-14T12:00:00z",
        "2026-03-14T24:00:00Z",
        "2026-03-14T24:00Z",
        "2026-03-14T25:00:00Z",
        "2026-03-14T12:60:00Z",
        "2026-03-14T23:59:60Z",
        "2026-03-14T12:00:00+24:00",
        "2026-03-14T12:00:00 UTC",
        "2026-03-14T12:00:00 Europe/Berlin",
        "2026-03-14T12:00:00Z+01:00",
        "2026-W54-1T00:00:00Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:30:00-01:00",
        "2026-03-14T12:00:00Z" + "0" * 100_000,
        "9" * 100_000,
    ],
    ids=lambda text: repr(text[:30]),
)
def test_any_other_text_is_rejected(text: str) -> None:
    assert sold(text) == WRONG_FORMAT


@pytest.mark.parametrize(
    "text",
    ["1999-12-31", "1999-12-31T23:59:59Z", "2000-01-01T00:30:00+01:00", "1970-01-01", "0001-01-01", "9999-12-31"],
)
def test_dates_outside_the_range_are_rejected(text: str) -> None:
    assert_out_of_range(sold(text))


@pytest.mark.parametrize("time", ["2026-03-15T00:00:00Z", "2026-03-15T23:59:59Z", "2026-03-16T00:30:00+01:00"])
def test_the_sold_date_is_at_most_two_days_after_the_event(time: str) -> None:
    assert sold_date_of(sold("2026-03-17", time)) == date(2026, 3, 17)
    assert sold_date_of(sold("2026-03-17T23:59:59Z", time)) == date(2026, 3, 17)
    assert_out_of_range(sold("2026-03-18", time))
    assert_out_of_range(sold("2026-03-17T23:59:59-01:00", time))


def test_the_two_days_may_include_a_leap_day() -> None:
    assert sold_date_of(sold("2024-03-01", "2024-02-28T12:00:00Z")) == date(2024, 3, 1)
    assert_out_of_range(sold("2025-03-03", "2025-02-28T12:00:00Z"))
    assert sold_date_of(sold("2025-03-02", "2025-02-28T12:00:00Z")) == date(2025, 3, 2)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "1999-12-29T23:59:59Z"])
def test_an_early_event_cannot_report_a_later_sale(time: str) -> None:
    assert_out_of_range(sold("2000-01-01", time))


def test_a_sale_may_be_reported_years_later() -> None:
    assert sold_date_of(sold("2000-01-01", "9999-12-31T23:59:59Z")) == date(2000, 1, 1)


def test_the_last_date_leaves_room_for_the_expiry_of_the_item() -> None:
    latest = sold("9997-12-31", "9999-12-31T23:59:59Z")
    assert isinstance(latest, Sale)
    assert latest.projection_expires_at == 253_402_214_400  # 9999-12-31T00:00:00Z
    for text in ("9998-01-01", "9999-12-31", "9998-01-01T00:00:00Z"):
        assert_out_of_range(sold(text, "9999-12-31T23:59:59Z"))


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"])
def test_an_event_time_outside_the_calendar_in_utc_is_rejected(time: str) -> None:
    content = sold("2026-03-14", time)
    assert isinstance(content, Rejection)
    assert content.detail == "time: must be an ISO 8601 instant with a time zone"
