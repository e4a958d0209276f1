"""Days of the Vietnamese market."""

from datetime import datetime

from stockapi.markets import VN
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from workers.loop import Job, all_tickers

EVERY_S = 15
EVERY_S_WHEN_CLOSED = 5 * 60


def due_every_s(now: datetime) -> int:
    return EVERY_S if VN.calendar.is_trading_hours(now) else EVERY_S_WHEN_CLOSED


DAILY = Job("daily", Mode.VN, (Interval.DAILY,), all_tickers, due_every_s)
