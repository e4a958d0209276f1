"""When a market trades.

Public holidays come from the `holidays` package. For Vietnam it has Tet and the Hung Kings' day by the Vietnamese lunar
calendar, days in lieu included; it names exactly the weekdays without a VNINDEX bar from January 2015 to August 2025.
A day that a government declares off after that package was released counts as a trading day: then bars are asked for
more often than needed, no more.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from functools import lru_cache
from typing import Final

import numpy as np
from holidays import country_holidays

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int

_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Monday to Friday, the public holidays of a country excepted. Local times.

    `closes`: the first moment after the session. All of it lies within one day of UTC.
    `country`: as ISO 3166 has it.
    """

    opens: time
    closes: time
    country: str

    @property
    def seconds(self) -> int:
        day = date.min
        return int((datetime.combine(day, self.closes) - datetime.combine(day, self.opens)).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The sessions of a market in its time zone; without a session it trades at any moment.

    `zone_name`: as the time zone database has it. `clock_name`: what people call local time.
    """

    zone: tzinfo
    zone_name: str
    clock_name: str
    session: Session | None

    @property
    def session_s(self) -> int:
        """Seconds from the open of a trading day to its close."""
        return SECONDS_PER_DAY if self.session is None else self.session.seconds

    @property
    def days_per_week(self) -> int:
        """On which it trades, holidays aside."""
        return 7 if self.session is None else _SATURDAY

    def is_trading_hours(self, now: datetime) -> bool:
        """Whether the market is open, or at lunch.

        :raises ValueError: for a time without a zone, which could be anywhere.
        """
        if now.tzinfo is None:
            raise ValueError(f"{now} has no time zone; give one, UTC for example")
        if self.session is None:
            return True
        local = now.astimezone(self.zone)
        return self.session.opens <= local.time() < self.session.closes and self.is_trading_day(local.date())

    def is_trading_day(self, day: date) -> bool:
        """Whether there is a session on that local date. Saturdays worked in exchange for a day off have none."""
        if self.session is None:
            return True
        return day.weekday() < _SATURDAY and day not in _public_holidays(self.session.country, day.year)

    def trading_days(self, first: int, last: int) -> Int:
        """The days with a session from the day of `first` to that of `last` (Unix seconds), ascending.

        Given as Unix seconds of midnight UTC, as the time of a daily bar.
        """
        days = np.arange(first // SECONDS_PER_DAY, last // SECONDS_PER_DAY + 1, dtype=np.int64)
        if self.session is not None:
            days = days[_is_working_day(days, self.session.country)]
        return days * SECONDS_PER_DAY

    def date_of(self, moment: Int) -> Int:
        """The local date of each moment (Unix seconds), as Unix seconds of midnight UTC."""
        local = moment + self._offsets_s(moment)
        dates: Int = local - local % SECONDS_PER_DAY
        return dates

    def _offsets_s(self, moment: Int) -> Int:
        """How far local time is ahead of UTC at each moment, in seconds."""
        always = self.zone.utcoffset(None)
        if always is not None:
            return np.full(len(moment), int(always.total_seconds()), dtype=np.int64)
        offsets = [datetime.fromtimestamp(each, self.zone).utcoffset() for each in moment.tolist()]
        return np.array([0 if each is None else each.total_seconds() for each in offsets], dtype=np.int64)


def _is_working_day(days: Int, country: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    dates = days.astype("datetime64[D]")
    years = np.unique(dates.astype("datetime64[Y]")).astype(object)
    holidays = [day for year in years for day in _public_holidays(country, year.year)]
    return np.is_busday(dates, holidays=np.array(holidays, dtype="datetime64[D]"))


@lru_cache(maxsize=256)
def _public_holidays(country: str, year: int) -> frozenset[date]:
    # The package's own object fills itself in while it is asked and must not be shared by threads; a frozen copy may.
    return frozenset(country_holidays(country, years=year))
