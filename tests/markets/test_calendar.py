"""When the Vietnamese market is open, and what that means for caches."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.markets import VN, cache_max_age_s, calendar
from stockapi.markets.vn import HO_CHI_MINH
from stockapi.models import Mode

NEW_YORK_WINTER = timezone(timedelta(hours=-5))


def local(text: str) -> datetime:
    """A time in Ho Chi Minh City; 2025-06-02 is a Monday without a holiday near."""
    return datetime.fromisoformat(text).replace(tzinfo=HO_CHI_MINH)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        (local("2025-06-02T08:59:59.999999"), False),
        (local("2025-06-02T09:00:00"), True),
        (local("2025-06-02T11:29:59"), True),
        (local("2025-06-02T11:30:00"), True),  # lunch
        (local("2025-06-02T12:59:59"), True),
        (local("2025-06-02T14:59:59.999999"), True),
        (local("2025-06-02T15:00:00"), False),
        (local("2025-06-02T00:00:00"), False),
        (local("2025-06-06T10:00:00"), True),  # Friday
        (local("2025-06-07T10:00:00"), False),
        (local("2025-06-08T10:00:00"), False),
        (local("2025-04-30T10:00:00"), False),  # Reunification Day
        # The day and the hour are those of Ho Chi Minh City, wherever the clock stands.
        (datetime(2025, 6, 2, 2, 0, tzinfo=UTC), True),
        (datetime(2025, 6, 2, 1, 59, 59, tzinfo=UTC), False),
        (datetime(2025, 6, 2, 7, 59, 59, tzinfo=UTC), True),
        (datetime(2025, 6, 2, 8, 0, tzinfo=UTC), False),
        (datetime(2025, 1, 5, 21, 30, tzinfo=NEW_YORK_WINTER), True),  # there Sunday, here Monday 09:30
        (datetime(2025, 1, 10, 21, 30, tzinfo=NEW_YORK_WINTER), False),  # there Friday, here Saturday
    ],
)
def test_the_market_is_open_from_nine_to_three_on_working_days(now: datetime, is_open: bool) -> None:
    assert VN.calendar.is_trading_hours(now) is is_open
    assert cache_max_age_s(now, Mode) == (30 if is_open else 120)


@pytest.mark.parametrize("ask", [VN.calendar.is_trading_hours, lambda now: cache_max_age_s(now, Mode)])
def test_a_time_without_a_zone_is_refused(ask: Callable[[datetime], object]) -> None:
    with pytest.raises(ValueError, match="2025-06-02 10:00:00 has no time zone; give one"):
        ask(datetime(2025, 6, 2, 10, 0))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        ("2024-01-01", "2024-01-01", "New Year"),
        ("2024-02-08", "2024-02-14", "Tet, with days in lieu of its weekend"),
        ("2024-04-18", "2024-04-18", "Hung Kings' day, the 10th of the 3rd lunar month"),
        ("2024-04-29", "2024-05-01", "Reunification and Labour Day, the Monday exchanged for a Saturday"),
        ("2024-09-02", "2024-09-03", "National Day, two days since 2021"),
        ("2025-01-27", "2025-01-31", "Tet"),
        ("2025-04-07", "2025-04-07", "Hung Kings' day"),
        ("2025-05-01", "2025-05-02", "Labour Day, the Friday exchanged for a Saturday"),
        ("2025-09-01", "2025-09-02", "National Day"),
        ("2026-02-16", "2026-02-20", "Tet"),
        ("2026-04-27", "2026-04-27", "Monday in lieu: Hung Kings' day is a Sunday"),
        ("2030-02-01", "2030-02-06", "Tet on 2 February by the Vietnamese calendar, a day before the Chinese one"),
    ],
)
def test_the_market_is_closed_on_public_holidays_and_open_around_them(first: str, last: str, why: str) -> None:
    start, end = date.fromisoformat(first), date.fromisoformat(last)
    days = [start + timedelta(days=n) for n in range((end - start).days + 1)]
    assert not any(VN.calendar.is_trading_day(day) for day in days), why


@pytest.mark.parametrize(
    "day",
    ["2024-02-07", "2024-02-15", "2024-09-04", "2025-01-24", "2025-02-03", "2025-04-08", "2025-05-05", "2026-02-23"],
)
def test_the_market_is_open_next_to_holidays(day: str) -> None:
    assert VN.calendar.is_trading_day(date.fromisoformat(day))


@pytest.mark.parametrize("day", ["2024-05-04", "2025-04-26"])
def test_a_saturday_worked_in_exchange_has_no_session(day: str) -> None:
    assert not VN.calendar.is_trading_day(date.fromisoformat(day))


@pytest.mark.parametrize(
    ("year", "sessions"),
    # Sessions of the VN index in each year.
    [
        (2015, 248),
        (2016, 251),
        (2017, 250),
        (2018, 248),  # 250 bars of the index, two of them flat ones of days on which HOSE was closed
        (2019, 250),
        (2020, 252),
        (2021, 250),
        (2022, 249),
        (2023, 249),
        (2024, 250),
    ],
)
def test_a_year_has_as_many_trading_days_as_the_index_had_sessions(year: int, sessions: int) -> None:
    days = [date(year, 1, 1) + timedelta(days=n) for n in range(366)]
    assert sum(VN.calendar.is_trading_day(day) for day in days if day.year == year) == sessions


def seconds(day: date) -> int:
    """Midnight UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


@settings(max_examples=60, deadline=None)
@given(
    first=st.dates(date(1960, 1, 1), date(2060, 12, 31)),
    length=st.integers(0, 800),
    of_day=st.tuples(st.integers(0, 86_399), st.integers(0, 86_399)),
)
def test_the_trading_days_of_a_range_are_those_of_each_day(first: date, length: int, of_day: tuple[int, int]) -> None:
    """Both ends included, at whatever time of the day they are."""
    days = [first + timedelta(days=n) for n in range(length + 1)]
    found = VN.calendar.trading_days(seconds(days[0]) + of_day[0], seconds(days[-1]) + of_day[1])
    assert found.tolist() == [seconds(day) for day in days if VN.calendar.is_trading_day(day)]
    assert found.dtype == "int64"


@pytest.mark.parametrize(("first", "last"), [("2025-06-07", "2025-06-08"), ("2025-01-25", "2025-02-02")])
def test_a_range_without_a_session_has_no_trading_days(first: str, last: str) -> None:
    assert (
        VN.calendar.trading_days(seconds(date.fromisoformat(first)), seconds(date.fromisoformat(last))).tolist() == []
    )


def test_threads_that_ask_first_all_get_the_same_answer() -> None:
    calendar._public_holidays.cache_clear()
    days = [date(year, 9, 2) for year in range(1990, 2090)] * 8
    with ThreadPoolExecutor(8) as pool:
        assert not any(pool.map(VN.calendar.is_trading_day, days))


@pytest.mark.parametrize(
    ("day", "is_session"),
    [
        ("2026-01-02", False),
        ("2026-01-05", True),
        ("2026-01-06", True),
        ("2018-01-22", True),
        ("2018-01-23", False),
        ("2018-01-24", False),
        ("2018-01-25", True),
        ("2008-05-26", True),
        ("2008-05-27", False),
        ("2008-05-28", False),
        ("2008-05-29", False),
        ("2008-05-30", True),
    ],
)
def test_days_on_which_the_exchanges_did_otherwise(day: str, is_session: bool) -> None:
    assert VN.calendar.is_trading_day(date.fromisoformat(day)) is is_session
    midnight = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    assert (midnight in VN.calendar.trading_days(midnight - 86_400, midnight + 86_400)) is is_session


@pytest.mark.parametrize(("day", "as_set"), [("2026-06-10", False), ("2026-01-02", True), ("2026-06-13", True)])
def test_what_is_declared_late_is_a_setting(day: str, as_set: bool) -> None:
    """A holiday, a session on a day that the calendar takes for a holiday, and one on a Saturday."""
    which = date.fromisoformat(day)
    midnight = int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp())
    try:
        calendar.correct_sessions([] if as_set else [which], [which] if as_set else [])
        assert VN.calendar.is_trading_day(which) is as_set
        assert (midnight in VN.calendar.trading_days(midnight - 86_400, midnight + 86_400)) is as_set
    finally:
        calendar.correct_sessions([], [])
    assert VN.calendar.is_trading_day(which) is not as_set
