"""Hours and minutes of the Vietnamese market: two jobs that know nothing of each other, each in its own thread."""

from collections.abc import Callable
from datetime import datetime

from stockapi.markets import VN
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from workers.loop import Job, all_tickers

HOURLY_EVERY_S = 60
MINUTE_EVERY_S = 5 * 60
EVERY_S_WHEN_CLOSED = 30 * 60


def _due_every_s(in_session_s: int) -> Callable[[datetime], int]:
    return lambda now: in_session_s if VN.calendar.is_trading_hours(now) else EVERY_S_WHEN_CLOSED


HOURLY = Job("hourly", Mode.VN, (Interval.HOURLY,), all_tickers, _due_every_s(HOURLY_EVERY_S))
MINUTE = Job("minute", Mode.VN, (Interval.MINUTE,), all_tickers, _due_every_s(MINUTE_EVERY_S))
