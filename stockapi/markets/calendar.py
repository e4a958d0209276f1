"""When the Vietnamese exchanges trade: 09:00 to 15:00, Monday to Friday, public holidays excepted.

The lunch break, 11:30 to 13:00, counts as trading hours: the day's bars are still growing. Public holidays come from
the `holidays` package, Tet and the Hung Kings' day by the Vietnamese lunar calendar and days in lieu included; it names
exactly the weekdays without a VNINDEX bar from January 2015 to August 2025. A day that the government declares off
after that package was released counts as a trading day: then bars are asked for more often than needed, no more.
"""

from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Final

import numpy as np
from holidays import country_holidays

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int

# Without daylight saving time since 1975: the fixed offset says the same as a time zone database, and needs none.
HO_CHI_MINH: Final = timezone(timedelta(hours=7))

SESSION_OPEN: Final = time(9)
SESSION_CLOSE: Final = time(15)
"""The first moment after the session."""

TRADING_MAX_AGE_S: Final = 30
CLOSED_MAX_AGE_S: Final = 120

_SATURDAY: Final = 5


def is_trading_hours(now: datetime) -> bool:
    """Whether the market is open, or at lunch.

    :raises ValueError: for a time without a zone, which could be anywhere.
    """
    if now.tzinfo is None:
        raise ValueError(f"{now} has no time zone; give one, UTC for example")
    local = now.astimezone(HO_CHI_MINH)
    return SESSION_OPEN <= local.time() < SESSION_CLOSE and is_trading_day(local.date())


def is_trading_day(day: date) -> bool:
    """Whether there is a session on that date, in Vietnam. Saturdays worked in exchange for a day off have none."""
    return day.weekday() < _SATURDAY and day not in _public_holidays(day.year)


def trading_days(first: int, last: int) -> Int:
    """The days with a session from the day of `first` to that of `last` (Unix seconds), ascending.

    Given as Unix seconds of midnight UTC, as the time of a daily bar; all sessions of a day are within that UTC day.
    """
    days = np.arange(first // SECONDS_PER_DAY, last // SECONDS_PER_DAY + 1).astype("datetime64[D]")
    years = np.unique(days.astype("datetime64[Y]")).astype(object)
    holidays = [day for year in years for day in _public_holidays(year.year)]
    sessions = days[np.is_busday(days, holidays=np.array(holidays, dtype="datetime64[D]"))]
    return sessions.astype("datetime64[s]").astype(np.int64)


def cache_max_age_s(now: datetime) -> int:
    """Seconds for which an answer given now may be kept.

    :raises ValueError: as `is_trading_hours`.
    """
    return TRADING_MAX_AGE_S if is_trading_hours(now) else CLOSED_MAX_AGE_S


@lru_cache(maxsize=256)
def _public_holidays(year: int) -> frozenset[date]:
    # The package's own object fills itself in while it is asked and must not be shared by threads; a frozen copy may.
    return frozenset(country_holidays("VN", years=year))
