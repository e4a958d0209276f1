"""What the sources of coins have in common: their list of tickers, and how far back a first download goes."""

from collections.abc import Mapping
from typing import ClassVar

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets.tickers import tickers_for
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.live.timing import Timing
from stockapi.providers.live.unsupported import Unsupported


class CoinProvider:
    """The base of those sources. They page themselves, since each pages in another way.

    `first_day`: Unix seconds of the oldest daily bar. `history_days`: for the other intervals, the days before now.
    """

    mode = Mode.CRYPTO
    is_back_adjusted = False
    first_day: ClassVar[int]
    history_days: ClassVar[Mapping[Interval, int]]

    def __init__(self, settings: Settings, timing: Timing) -> None:
        self._settings = settings
        self._timing = timing
        self._unsupported = Unsupported(timing)

    def tickers(self) -> list[str]:
        """As `Provider.tickers`, without the tickers that were unknown within the last day."""
        return self._unsupported.without(tickers_for(self.mode, self._settings))

    def history_start(self, interval: Interval, now: int) -> int:
        days = self.history_days.get(interval)
        return self.first_day if days is None else now - days * SECONDS_PER_DAY
