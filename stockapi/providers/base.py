"""What every source of bars offers."""

from typing import Protocol

from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


class Provider(Protocol):
    """One source for one market. Used by several threads at once."""

    name: str
    mode: Mode
    is_back_adjusted: bool
    """Whether a dividend or split changes the prices of all earlier bars: a resume alone would then mix two scales."""

    def tickers(self) -> list[str]:
        """The symbols this source is known to have; it may answer for others too.

        The live sources read the lists of tickers anew at each call, so that new entries need no restart.

        :raises ProviderError: when the source could not be asked.
        :raises ConfigError: when a list of one's own cannot be read.
        """
        ...

    def history_start(self, interval: Interval, now: int) -> int:
        """How far back a first download goes (Unix seconds), `now` being the present."""
        ...

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        """Bars with start <= time <= end (Unix seconds), ascending, indicators absent, as they are known at `end`.

        A bar still forming at `end` covers what has happened up to then; a later fetch has more of it. What a live
        source sends of times to come is left out. Prices are as sent, not rounded.

        No bars in the window is an answer, not an error. Neither it nor an error ever says that stored bars are wrong.

        :raises UnknownSymbolError: when the source does not know the ticker.
        :raises NoDataError: when the source answered without a single bar, inside the window or not.
        :raises ProviderDisabledError: when this configuration cannot reach the source.
        :raises ProviderError: for every other failure of the source; `stops_cycle` says whether to go on.
        """
        ...
