"""A selection: the bars of several series that a query reads."""

from collections.abc import Sequence
from dataclasses import dataclass

from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window


@dataclass(frozen=True, slots=True)
class Selection:
    """The bars in `window` of each ticker in `symbols` (None: of all tickers), in one market and stored interval."""

    mode: Mode
    interval: Interval
    symbols: Sequence[str] | None = None
    window: Window = WHOLE

    def key(self, ticker: str) -> SeriesKey:
        return SeriesKey(self.mode, ticker, self.interval)
