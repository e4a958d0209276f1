"""When the Vietnamese market is open, and what that means for caches."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.markets import CRYPTO, VN, cache_max_age_s, calendar
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


# Hours, and what is next


def texts(now: datetime) -> tuple[bool, bool, str | None, str | None]:
    """The state of the Vietnamese market, with local times."""
    state = VN.calendar.at(now)
    assert state.next_open is not None
    assert state.next_close is not None
    moments = [datetime.fromtimestamp(each, HO_CHI_MINH) for each in (state.next_open, state.next_close)]
    opens, closes = (f"{each:%Y-%m-%d %H:%M:%S}" for each in moments)
    return state.is_open, state.is_lunch_break, opens, closes


@pytest.mark.parametrize(
    ("now", "is_open", "is_lunch", "next_open", "next_close"),
    [
        ("2025-06-02T08:59:59.9", False, False, "2025-06-02 09:00:00", "2025-06-02 11:30:00"),
        ("2025-06-02T09:00:00", True, False, "2025-06-02 13:00:00", "2025-06-02 11:30:00"),
        ("2025-06-02T11:29:59.9", True, False, "2025-06-02 13:00:00", "2025-06-02 11:30:00"),
        ("2025-06-02T11:30:00", False, True, "2025-06-02 13:00:00", "2025-06-02 15:00:00"),
        ("2025-06-02T12:59:59.9", False, True, "2025-06-02 13:00:00", "2025-06-02 15:00:00"),
        ("2025-06-02T13:00:00", True, False, "2025-06-03 09:00:00", "2025-06-02 15:00:00"),
        ("2025-06-02T15:00:00", False, False, "2025-06-03 09:00:00", "2025-06-03 11:30:00"),
        ("2025-06-06T20:00:00", False, False, "2025-06-09 09:00:00", "2025-06-09 11:30:00"),  # Friday evening
        ("2026-02-13T15:00:00", False, False, "2026-02-23 09:00:00", "2026-02-23 11:30:00"),  # over Tet
        ("2026-02-17T12:00:00", False, False, "2026-02-23 09:00:00", "2026-02-23 11:30:00"),  # noon of a holiday
    ],
)
def test_what_the_market_does_next(now: str, is_open: bool, is_lunch: bool, next_open: str, next_close: str) -> None:
    assert texts(local(now)) == (is_open, is_lunch, next_open, next_close)


def test_a_market_that_never_closes() -> None:
    assert CRYPTO.calendar.at(local("2026-02-17T12:00:00")) == (True, False, None, None)
    days = list(CRYPTO.calendar.hours(date(2024, 2, 28), date(2024, 3, 1)))
    assert [each.date.isoformat() for each in days] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert all(each.parts == [(seconds(each.date), seconds(each.date) + 86_400)] for each in days)
    assert CRYPTO.calendar.named_holidays([2024]) == {}


@settings(max_examples=100, deadline=None)
@given(st.datetimes(datetime(2010, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_state_changes_when_it_is_said_to_and_not_before(now: datetime) -> None:
    state = VN.calendar.at(now)
    assert state.next_open is not None
    assert state.next_close is not None
    assert not (state.is_open and state.is_lunch_break)
    assert min(state.next_open, state.next_close) > now.timestamp()
    assert (state.next_close < state.next_open) is state.is_open
    for moment, is_open in ((state.next_open, True), (state.next_close, False)):
        assert VN.calendar.at(datetime.fromtimestamp(moment, UTC)).is_open is is_open
        assert VN.calendar.at(datetime.fromtimestamp(moment - 1, UTC)).is_open is not is_open
    # Trading hours are the session with its lunch break.
    assert VN.calendar.is_trading_hours(now) is (state.is_open or state.is_lunch_break)


def test_hours_follow_daylight_saving_time() -> None:
    session = calendar.Session(opens=time(9, 30), closes=time(16), lunch=None, country="US")
    zone = ZoneInfo("America/New_York")
    new_york = calendar.Calendar(zone=zone, zone_name="America/New_York", clock_name="New York", session=session)
    hours = list(new_york.hours(date(2026, 3, 6), date(2026, 3, 9)))  # the clocks change on the 8th
    utc = [[datetime.fromtimestamp(each, UTC).hour for each in day[1:3]] for day in hours]
    assert utc == [[14, 21], [13, 20]]


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2026-01-01", "New Year's Day"),
        ("2026-02-17", "Lunar New Year"),
        ("2026-04-30", "Liberation Day/Reunification Day"),
        ("2018-01-23", "Failure of the trading system of HOSE"),
        ("2026-01-02", "Day off, exchanged for another working day"),
    ],
)
def test_a_holiday_has_its_name_in_english(day: str, name: str) -> None:
    found = date.fromisoformat(day)
    assert VN.calendar.named_holidays([found.year])[found] == name


def test_names_do_not_depend_on_the_language_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGUAGE", "vi")
    calendar._public_holidays.cache_clear()
    assert VN.calendar.named_holidays([2026])[date(2026, 1, 1)] == "New Year's Day"


def test_a_holiday_of_the_settings_has_no_name() -> None:
    try:
        calendar.correct_sessions([date(2026, 6, 10)], [])
        assert VN.calendar.named_holidays([2026])[date(2026, 6, 10)] is None
    finally:
        calendar.correct_sessions([], [])
    assert date(2026, 6, 10) not in VN.calendar.named_holidays([2026])
