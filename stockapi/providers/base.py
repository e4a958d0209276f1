"""The protocol that every provider follows."""

from typing import Protocol

from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


class Provider(Protocol):
    """One source for one market. Several threads use it at once."""

    name: str
    mode: Mode
    is_back_adjusted: bool
    """Whether a dividend or split changes the prices of all earlier bars. If it does, a resume must not mix old and new
    prices.
    """

    def tickers(self) -> list[str]:
        """The symbols that this source is known to have. It may have others too.

        The live sources read the lists of tickers again at each call, so new entries need no restart.

        :raises ProviderError: when the source could not be asked.
        :raises ConfigError: when a configured list of tickers cannot be read.
        """
        ...

    def history_start(self, interval: Interval, now: int) -> int:
        """The time (Unix seconds) at which a first download begins. `now`: the present time, Unix seconds."""
        ...

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        """The bars with start <= time <= end (Unix seconds), ascending, without indicators, as they are known at `end`.

        A bar that is incomplete at `end` has the trades until then; a later fetch returns the rest. Bars of a live
        source that lie in the future are left out. Prices are not rounded.

        Empty bars are an answer, not an error. Neither empty bars nor an error means that stored bars are wrong.

        :raises UnknownSymbolError: when the source does not know the ticker.
        :raises NoDataError: when the answer of the source has no bar at all, inside or outside of the window.
        :raises ProviderDisabledError: when this configuration cannot reach the source.
        :raises ProviderError: for every other failure of the source; `stops_cycle` says whether the cycle ends.
        """
        ...
