"""When a market trades: /calendar and /clock."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.config import Settings
from stockapi.markets import calendar
from tests.support.stores import environment


def client(directory: Path, now: str = "2026-11-20T05:00:00+00:00", **variables: str) -> FlaskClient:
    """No store is there: neither route asks one."""
    settings = Settings.from_mapping(environment(directory, **variables))
    return create_app(settings, clock=lambda: datetime.fromisoformat(now)).test_client()


def test_sessions_and_holidays_of_a_range(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/calendar?start_date=2026-11-20&end_date=2026-11-24")
    hours = [("02:00", "08:00", "04:30", "06:00")]
    assert answer.json == {
        "mode": "vn",
        "timezone": "Asia/Ho_Chi_Minh",
        "sessions": [
            {
                "date": day,
                "open": f"{day}T{opens}:00Z",
                "close": f"{day}T{closes}:00Z",
                "lunch_start": f"{day}T{start}:00Z",
                "lunch_end": f"{day}T{end}:00Z",
            }
            for day in ("2026-11-20", "2026-11-23")
            for opens, closes, start, end in hours
        ],
        "holidays": [{"date": "2026-11-24", "name": "Vietnam Cultural Day"}],
    }
    assert answer.headers["Cache-Control"] == "max-age=300"


def test_every_weekday_is_a_session_or_a_holiday(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/calendar?start_date=2015-01-01&end_date=2024-12-31").json
    assert answer
    found = sorted(each["date"] for each in [*answer["sessions"], *answer["holidays"]])
    days = [date(2015, 1, 1) + timedelta(days=number) for number in range(3_653)]
    assert found == [day.isoformat() for day in days if day.weekday() < 5]


def test_coins_trade_all_day_and_have_no_holidays(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/calendar?mode=crypto&start_date=2026-01-01&end_date=2026-01-01").json
    assert answer == {
        "mode": "crypto",
        "timezone": "UTC",
        "sessions": [
            {
                "date": "2026-01-01",
                "open": "2026-01-01T00:00:00Z",
                "close": "2026-01-02T00:00:00Z",
                "lunch_start": None,
                "lunch_end": None,
            }
        ],
        "holidays": [],
    }


@pytest.mark.parametrize(
    ("query", "now", "first", "last"),
    [
        # The default is 30 days from today on, by the market's own date.
        ("mode=crypto", "2026-11-20T05:00:00+00:00", "2026-11-20", "2026-12-19"),
        ("", "2026-11-19T17:00:00+00:00", "2026-11-20", "2026-12-18"),
        ("start_date=2026-1-5", "2026-11-20T05:00:00+00:00", "2026-01-05", "2026-02-03"),
        ("end_date=2026-11-20", "2026-11-20T05:00:00+00:00", "2026-11-20", "2026-11-20"),
        ("mode=crypto&start_date=2100-12-31", "2026-11-20T05:00:00+00:00", "2100-12-31", "2100-12-31"),
    ],
)
def test_the_range_that_is_meant(tmp_path: Path, query: str, now: str, first: str, last: str) -> None:
    answer = client(tmp_path, now).get(f"/calendar?{query}").json
    assert answer
    assert [answer["sessions"][end]["date"] for end in (0, -1)] == [first, last]


@pytest.mark.parametrize("start", ["0001-01-01", "1969-12-31", "2101-01-01", "9999-12-31"])
def test_a_start_outside_of_the_calendar_is_refused(tmp_path: Path, start: str) -> None:
    answer = client(tmp_path).get(f"/calendar?start_date={start}")
    assert answer.status_code == 400
    assert "is outside of the calendar; allowed: days from 1970-01-01 to 2100-12-31" in answer.text


def test_a_start_after_the_end_is_an_empty_range(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/calendar?start_date=2026-11-20&end_date=2026-11-19").json
    assert answer
    assert (answer["sessions"], answer["holidays"]) == ([], [])


def test_days_of_the_settings_count(tmp_path: Path) -> None:
    try:
        own = client(tmp_path, EXTRA_HOLIDAYS="2026-11-23", EXTRA_SESSIONS="2026-11-21,2026-11-24")
        answer = own.get("/calendar?start_date=2026-11-20&end_date=2026-11-24").json
    finally:
        calendar.correct_sessions([], [])
    assert answer
    assert [each["date"] for each in answer["sessions"]] == ["2026-11-20", "2026-11-21", "2026-11-24"]
    assert answer["holidays"] == [{"date": "2026-11-23", "name": None}]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-11-20T04:29:59.5+00:00", (True, False, "2026-11-20T06:00:00Z", "2026-11-20T04:30:00Z")),
        ("2026-11-20T05:00:00+00:00", (False, True, "2026-11-20T06:00:00Z", "2026-11-20T08:00:00Z")),
        ("2026-11-20T15:00:00+07:00", (False, False, "2026-11-23T02:00:00Z", "2026-11-23T04:30:00Z")),
    ],
)
def test_the_clock(tmp_path: Path, now: str, expected: tuple[bool, bool, str, str]) -> None:
    answer = client(tmp_path, now).get("/clock")
    is_open, is_lunch, next_open, next_close = expected
    moment = datetime.fromisoformat(now).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert answer.json == {
        "mode": "vn",
        "timezone": "Asia/Ho_Chi_Minh",
        "time": moment,
        "is_open": is_open,
        "is_lunch_break": is_lunch,
        "next_open": next_open,
        "next_close": next_close,
    }
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_clock_of_coins(tmp_path: Path) -> None:
    answer = client(tmp_path).get("/clock?mode=crypto").json
    assert answer
    assert (answer["is_open"], answer["next_open"], answer["next_close"]) == (True, None, None)
