"""The key of a series: whose bars, of which market and stored interval."""

from typing import NamedTuple

from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


class SeriesKey(NamedTuple):
    """One series of stored bars. The same ticker may exist in two markets: no part of the key says another."""

    mode: Mode
    ticker: str
    interval: Interval

    def __str__(self) -> str:
        """As logs and commands name it: `vn VCB 1D`."""
        return f"{self.mode.value} {self.ticker} {self.interval.value}"
