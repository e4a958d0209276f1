"""A simulated market without a network: for first steps, for tests, and for work without a connection.

Every value is a function of (seed, ticker, time), so a bar does not depend on the window of the request. Days and hours
are aggregated from the same minutes that a caller can fetch.

    simulated_universe   what is traded, when, and in which ticks
    simulated_days       from day to day: closing prices, volatility, activity
    simulated_minutes    within the day: minutes that lead from open to close
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import UnknownSymbolError
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.simulated.days import Adjustment, DailyMarket
from stockapi.providers.simulated.minutes import Candles, trade_minutes
from stockapi.providers.simulated.universe import MARKETS, Instrument

__all__ = ["Adjustment", "SimulatedProvider"]

_CHUNK_MINUTES: Final = 32_768
"""The minutes that are generated at once. They need about 20 MB. The speed is the same from 8,192 to 131,072."""
_HORIZON_STEP_DAYS: Final = 366
"""The days that are computed in advance. After them the days are computed again, which takes 5 ms for each ticker."""


class SimulatedProvider:
    """One simulated market. Threads may share it; it keeps only computed values between calls.

    It can compute the future too: it answers all bars until `end`.
    """

    def __init__(self, mode: Mode, seed: int, *, adjustments: Mapping[str, Sequence[Adjustment]] | None = None) -> None:
        """:raises UnknownSymbolError: when `adjustments` has a ticker that the market does not have."""
        self.name = "simulated"
        self.mode = mode
        self._seed = seed
        self._market = MARKETS[mode]
        self.is_back_adjusted = self._market.is_back_adjusted
        self._adjustments = {ticker: tuple(each) for ticker, each in (adjustments or {}).items()}
        for ticker in self._adjustments:
            self._instrument(ticker)
        self._daily = self._daily_market(self._market.epoch)

    def tickers(self) -> list[str]:
        return list(self._market.instruments)

    def history_start(self, interval: Interval, now: int) -> int:
        return now - self._market.history_days[interval] * SECONDS_PER_DAY

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        """As `Provider.fetch`; prices are back-adjusted for every adjustment effective by `end`.

        :raises UnknownSymbolError: naming the ticker.
        """
        instrument = self._instrument(ticker)
        candles = self._candles(ticker, interval, start, end)
        prices = candles.prices / 10**instrument.price_decimals
        volume = candles.lots * instrument.lot
        is_whole = market_of(self.mode).has_whole_volume
        bars = Bars.of(
            candles.time,
            self._back_adjusted(ticker, candles, prices, end),
            volume.astype(np.int64) if is_whole else volume / 10**instrument.volume_decimals,
        )
        return bars.between(start, end)

    def _candles(self, ticker: str, interval: Interval, start: int, end: int) -> Candles:
        """The bars of all days that the window touches, as they are known at `end`."""
        daily = self._daily_until(end // SECONDS_PER_DAY)
        first = int(np.searchsorted(daily.days, start // SECONDS_PER_DAY, side="left"))
        last = int(np.searchsorted(daily.days, end // SECONDS_PER_DAY, side="right"))
        step = max(_CHUNK_MINUTES // len(self._market.session.offsets), 1)
        chunks = [slice(day, min(day + step, last)) for day in range(first, last, step)]
        parts = [
            trade_minutes(daily, ticker, days).known_at(end).aggregate(interval.seconds)
            for days in chunks or [slice(first, first)]
        ]
        return Candles.concatenate(parts)

    def _back_adjusted(self, ticker: str, candles: Candles, prices: Float, end: int) -> Float:
        divisor = np.ones(len(candles.time))
        for each in self._adjustments.get(ticker, ()):
            if each.effective <= end:
                divisor[candles.time < each.effective] *= each.ratio
        return np.round(prices / divisor, market_of(self.mode).price_decimals)

    def _instrument(self, ticker: str) -> Instrument:
        try:
            return self._market.instruments[ticker]
        except KeyError:
            raise UnknownSymbolError(
                f"{ticker!r} is not in the simulated {self.mode.value} market; it has {', '.join(self.tickers())}"
            ) from None

    def _daily_until(self, day: int) -> DailyMarket:
        # Two threads may replace it at the same time. Each uses its own one, and both have the same values.
        daily = self._daily
        if daily.last_day < day:
            daily = self._daily = self._daily_market(day)
        return daily

    def _daily_market(self, day: int) -> DailyMarket:
        last_day = day + _HORIZON_STEP_DAYS
        return DailyMarket(self._market, self._seed, self._adjustments, last_day)
