"""When a market trades.

Public holidays come from the `holidays` package. For Vietnam it has Tet and the Hung Kings' day by the Vietnamese lunar
calendar, and days in lieu. From January 2015 to August 2025 its holidays are exactly the weekdays without a VNINDEX
bar. Where the exchanges did otherwise, `_NO_SESSION` has the day. For what is declared after a release there are the
settings EXTRA_HOLIDAYS and EXTRA_SESSIONS.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from holidays import country_holidays

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int

_SATURDAY: Final = 5
_LONGEST_BREAK: Final = timedelta(days=60)
"""No market is closed for so long. Tet takes nine days at most, with its weekends."""

_HOSE_FAILED: Final = "Failure of the trading system of HOSE"
_NO_SESSION: Final[Mapping[str, Mapping[date, str]]] = {
    "VN": {
        date(2008, 5, 27): _HOSE_FAILED,
        date(2008, 5, 28): _HOSE_FAILED,
        date(2008, 5, 29): _HOSE_FAILED,
        date(2018, 1, 23): _HOSE_FAILED,  # sources carry flat bars with volume 0
        date(2018, 1, 24): _HOSE_FAILED,
        # A late decree of the government. HNX and HOSE had their second session of the year on 6 January.
        date(2026, 1, 2): "Day off, exchanged for another working day",
    }
}
"""Days without a session that the package does not have, by country, each with its reason."""

_Days = frozenset[date]
_extra: tuple[_Days, _Days] = frozenset(), frozenset()
"""Holidays and sessions of the settings."""


def correct_sessions(holidays: Iterable[date], sessions: Iterable[date]) -> None:
    """Set the days of EXTRA_HOLIDAYS and EXTRA_SESSIONS for this process. They replace those set before."""
    global _extra
    _extra = frozenset(holidays), frozenset(sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session on Monday to Friday, except on the public holidays of a country. Times are local.

    `closes`: the first moment after the session. The whole session is within one day of UTC.
    `lunch`: the first moment of the break at noon, and the first after it; None without one.
    `country`: its code in ISO 3166.
    """

    opens: time
    closes: time
    lunch: tuple[time, time] | None
    country: str

    @property
    def seconds(self) -> int:
        return _second_of_day(self.closes) - _second_of_day(self.opens)


class Hours(NamedTuple):
    """When a market is open on one local date, in Unix seconds. The session ends before `close`, the break before
    `lunch_end`.
    """

    date: date
    open: int
    close: int
    lunch_start: int | None
    lunch_end: int | None

    @property
    def parts(self) -> list[tuple[int, int]]:
        """The parts of the session, each with its first moment and the first one after it."""
        if self.lunch_start is None or self.lunch_end is None:
            return [(self.open, self.close)]
        return [(self.open, self.lunch_start), (self.lunch_end, self.close)]


class Now(NamedTuple):
    """Whether a market is open, and when that changes, in Unix seconds; None for never.

    The lunch break counts as closed here.
    """

    is_open: bool
    is_lunch_break: bool
    next_open: int | None
    next_close: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The sessions of a market in its time zone. A market without a session is always open.

    `zone_name`: the name in the time zone database. `clock_name`: the usual name of local time.
    """

    zone: tzinfo
    zone_name: str
    clock_name: str
    session: Session | None

    @property
    def session_s(self) -> int:
        """The length of a session, in seconds."""
        return SECONDS_PER_DAY if self.session is None else self.session.seconds

    @property
    def days_per_week(self) -> int:
        """The number of trading days in a week without holidays."""
        return 7 if self.session is None else _SATURDAY

    def is_trading_hours(self, now: datetime) -> bool:
        """Whether the market is open. The lunch break counts as open: the bars of the day are not complete.

        :raises ValueError: for a time without a zone.
        """
        if now.tzinfo is None:
            raise ValueError(f"{now} has no time zone; give one, UTC for example")
        if self.session is None:
            return True
        local = now.astimezone(self.zone)
        return self.session.opens <= local.time() < self.session.closes and self.is_trading_day(local.date())

    def is_trading_day(self, day: date) -> bool:
        """Whether there is a session on that local date. A Saturday on which people work instead of another day has
        none.
        """
        if self.session is None:
            return True
        if day in _extra[1]:
            return True
        return day.weekday() < _SATURDAY and day not in _closed(self.session.country, day.year, _extra)

    def holidays(self, years: Iterable[int]) -> list[str]:
        """The dates of those years on which a session is missing, weekends not counted: ISO 8601, ascending."""
        return [day.isoformat() for day in self.named_holidays(years)]

    def named_holidays(self, years: Iterable[int]) -> dict[date, str | None]:
        """The reasons of the dates of `holidays`, ascending. None: a day of EXTRA_HOLIDAYS."""
        if self.session is None:
            return {}
        country = self.session.country
        days = sorted(day for year in years for day in _closed(country, year, _extra) if day.weekday() < _SATURDAY)
        names = _NO_SESSION.get(country, {})
        return {day: names.get(day) or _public_holidays(country, day.year).get(day) for day in days}

    def hours(self, first: date, last: date) -> Iterator[Hours]:
        """The hours of each day with a session, from the first date to the last. A market that is always open has days
        of 24 hours.
        """
        for number in range(first.toordinal(), last.toordinal() + 1):
            day = date.fromordinal(number)
            if self.is_trading_day(day):
                yield self._hours_of(day)

    def _hours_of(self, day: date) -> Hours:
        if self.session is None:
            midnight = self._moment(day, time())
            return Hours(day, midnight, midnight + SECONDS_PER_DAY, None, None)
        lunch = self.session.lunch or (None, None)
        begin, end = (None if clock is None else self._moment(day, clock) for clock in lunch)
        return Hours(day, self._moment(day, self.session.opens), self._moment(day, self.session.closes), begin, end)

    def _moment(self, day: date, clock: time) -> int:
        return int(datetime.combine(day, clock, self.zone).timestamp())

    def at(self, now: datetime) -> Now:
        """Whether the market is open at that moment (with a time zone)."""
        if self.session is None:
            return Now(is_open=True, is_lunch_break=False, next_open=None, next_close=None)
        second, today = now.timestamp(), now.astimezone(self.zone).date()
        days = list(self.hours(today, today + _LONGEST_BREAK))
        parts = [part for day in days for part in day.parts]
        return Now(
            is_open=any(begin <= second < end for begin, end in parts),
            is_lunch_break=any((day.lunch_start or 0) <= second < (day.lunch_end or 0) for day in days),
            next_open=next((begin for begin, _ in parts if begin > second), None),
            next_close=next((end for _, end in parts if end > second), None),
        )

    def trading_days(self, first: int, last: int) -> Int:
        """The days with a session, from the day of `first` to the day of `last` (Unix seconds), ascending.

        Each day is the Unix time of its midnight UTC, as in the time of a daily bar.
        """
        days = np.arange(first // SECONDS_PER_DAY, last // SECONDS_PER_DAY + 1, dtype=np.int64)
        if self.session is not None:
            days = days[_is_working_day(days, self.session.country)]
        return days * SECONDS_PER_DAY

    def closes(self, start: int, end: int) -> int:
        """The moment from which nothing is traded any more within `start` <= time < `end` (all in Unix seconds).

        It is the last close, or beginning of a lunch break, within that span. It is `end` where the session goes on
        then, or where there is none.
        """
        if self.session is None:
            return end
        first, last = (datetime.fromtimestamp(moment, self.zone).date().toordinal() for moment in (start, end - 1))
        for number in range(last, first - 1, -1):
            day = date.fromordinal(number)
            for begins, closes in reversed(self._hours_of(day).parts) if self.is_trading_day(day) else ():
                if begins < end and closes > start:
                    return min(closes, end)
        return end

    def idle_days(self, last: Int, now: int) -> Int:
        """For the last bar of each series (Unix seconds): how many trading days have ended since its day.

        The day of `now` has not ended.
        """
        if not len(last):
            return last
        today = int(self.date_of(np.array([now], dtype=np.int64))[0])
        ended = self.trading_days(int(last.min()), today - 1)
        idle: Int = len(ended) - np.searchsorted(ended, last, side="right").astype(np.int64)
        return idle

    def is_outside_session(self, moments: Int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each moment (Unix seconds) whether it lies outside every session. The lunch break lies inside."""
        if self.session is None:
            return np.zeros(len(moments), dtype=np.bool_)
        local = moments + self._offsets_s(moments)
        clock = local % SECONDS_PER_DAY
        opens, closes = _second_of_day(self.session.opens), _second_of_day(self.session.closes)
        is_open = (clock >= opens) & (clock < closes) & _is_working_day(local // SECONDS_PER_DAY, self.session.country)
        return np.asarray(~is_open)

    @property
    def session_text(self) -> str:
        """From when to when, by which clock; "" without a session."""
        if self.session is None:
            return ""
        return f"{self.session.opens:%H:%M} to {self.session.closes:%H:%M}, {self.clock_name}"

    def date_of(self, moment: Int) -> Int:
        """The local date of each moment (Unix seconds), as Unix seconds of midnight UTC."""
        local = moment + self._offsets_s(moment)
        dates: Int = local - local % SECONDS_PER_DAY
        return dates

    def _offsets_s(self, moment: Int) -> Int:
        """The difference of local time from UTC at each moment, in seconds. It is positive east of Greenwich."""
        always = self.zone.utcoffset(None)
        if always is not None:
            return np.full(len(moment), int(always.total_seconds()), dtype=np.int64)
        offsets = [datetime.fromtimestamp(each, self.zone).utcoffset() for each in moment.tolist()]
        return np.array([0 if each is None else each.total_seconds() for each in offsets], dtype=np.int64)


def _second_of_day(clock: time) -> int:
    return clock.hour * 3_600 + clock.minute * 60 + clock.second


def _is_working_day(days: Int, country: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    dates = days.astype("datetime64[D]")
    years = np.unique(dates.astype("datetime64[Y]")).astype(object)
    holidays = [day for year in years for day in _closed(country, year.year, _extra)]
    is_working = np.is_busday(dates, holidays=np.array(holidays, dtype="datetime64[D]"))
    return is_working | np.isin(dates, np.array([*_extra[1]], dtype="datetime64[D]"))


@lru_cache(maxsize=256)
def _closed(country: str, year: int, extra: tuple[_Days, _Days]) -> _Days:
    """The days of the year without a session, but for weekends."""
    known = frozenset(_public_holidays(country, year)).union(_NO_SESSION.get(country, {}), extra[0])
    return frozenset(day for day in known if day.year == year) - extra[1]


@lru_cache(maxsize=256)
def _public_holidays(country: str, year: int) -> Mapping[date, str]:
    """The public holidays of a year, with their English names."""
    # The object of the package changes when it is read, so threads must not share it. They may share a copy. Without a
    # language the names would be in the language of the machine.
    return dict(country_holidays(country, years=year, language="en_US"))
