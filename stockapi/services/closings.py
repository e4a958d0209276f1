"""Up to which moment each series is known to be complete.

The newest bar of a series may have been fetched before it was closed, and its values change until then. The values of
the bar do not tell. So the moment of the last fetch that brought the newest bar is remembered, in the file
`closed.json` in the CSV directory of the market: `{"1D": {"VCB": 1790000000}}`. Bars that closed up to that moment are
complete. It is written only when it makes a bar complete, not at every fetch.

A bar before the newest one is complete without it: a resume fetches the newest stored bars again.
"""

from collections.abc import Mapping
from typing import Final

from stockapi.config import Settings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.market_file import MarketFile

FILE_NAME: Final = "closed.json"


class Closings:
    """The moments of all series. Read them before the bars: the bars are then as complete as they say, or more."""

    def __init__(self, settings: Settings) -> None:
        self._file = MarketFile(settings, FILE_NAME)

    def of(self, mode: Mode, interval: Interval) -> Mapping[str, int]:
        """Unix seconds by ticker. A ticker of which nothing is known is not in it."""
        held = self._file.content(mode).get(interval.value, {})
        return {ticker: moment for ticker, moment in held.items() if type(moment) is int}

    def record(self, key: SeriesKey, moment: int, closed: int) -> None:
        """The newest bar, which closed at `closed`, was fetched at `moment`; both in Unix seconds.

        :raises CsvError: when the file cannot be written.
        """
        if closed <= self.of(key.mode, key.interval).get(key.ticker, -1):
            return
        self._file.put(key, moment)

    def forget(self, key: SeriesKey) -> None:
        """Nothing is known of the series any more.

        :raises CsvError: when the file cannot be written.
        """
        self._file.forget(key)
