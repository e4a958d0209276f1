"""The key of a series: market, ticker and stored interval."""

from typing import NamedTuple

from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


class SeriesKey(NamedTuple):
    """The key of one series of stored bars. Two markets may have the same ticker, so all three parts are needed."""

    mode: Mode
    ticker: str
    interval: Interval

    def __str__(self) -> str:
        """The name in logs and commands: `vn VCB 1D`."""
        return f"{self.mode.value} {self.ticker} {self.interval.value}"
