"""A source that sends the bars it is told to, and changes its history when it is told to."""

from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from stockapi.constants import SECONDS_PER_DAY, SECONDS_PER_HOUR
from stockapi.errors import NoDataError
from stockapi.models import Bars, Interval, Mode

DAY, HOUR, MINUTE = Interval.DAILY, Interval.HOURLY, Interval.MINUTE
NOW = datetime(2026, 11, 27, 10, tzinfo=UTC)
TODAY = int(datetime(2026, 11, 27, tzinfo=UTC).timestamp())
SESSION_OPENS_S = 2 * SECONDS_PER_HOUR


class Source:
    """Sends what `bars` has, up to the end asked for; an interval that it lacks is a NoDataError."""

    name = "told"
    mode = Mode.VN
    is_back_adjusted = True

    def __init__(self, bars: Mapping[Interval, Bars]) -> None:
        self.bars = dict(bars)
        self.requests: list[tuple[Interval, int]] = []

    def tickers(self) -> list[str]:
        return ["VCB"]

    def history_start(self, interval: Interval, now: int) -> int:
        return 0

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        self.requests.append((interval, start))
        if interval not in self.bars:
            raise NoDataError(f"told: {ticker}: an answer without bars")
        return self.bars[interval].between(start, end)

    def divide(self, ratio: float, before: int, *intervals: Interval) -> None:
        """All prices before a time, rounded to whole dong."""
        for interval in intervals or Interval:
            bars = self.bars[interval]
            prices = np.where(bars.time < before, np.round(bars.prices / ratio), bars.prices)
            self.bars[interval] = Bars.of(bars.time, prices, bars.volume)


def flat(times: list[int], price: float = 20_000.0) -> Bars:
    time = np.array(times, dtype=np.int64)
    return Bars.of(time, np.full((4, len(time)), price), np.full(len(time), 1_000, dtype=np.int64))


def days(count: int, last: int = TODAY, every: int = 1) -> list[int]:
    return [last - back * every * SECONDS_PER_DAY for back in reversed(range(count))]


def within(dates: list[int], step_s: int, count: int) -> list[int]:
    return [date + SESSION_OPENS_S + number * step_s for date in dates for number in range(count)]


def market(count: int = 400) -> Source:
    dates = days(count)
    return Source(
        {DAY: flat(dates), HOUR: flat(within(dates[-100:], 3_600, 5)), MINUTE: flat(within(dates[-20:], 60, 50))}
    )
