"""The market behind the fake upstream: the simulated one, under as many names as wanted, at a time of one's choice."""

import math
import time
import zlib
from collections.abc import Mapping, Sequence

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode
from stockapi.providers.simulated.provider import Adjustment, SimulatedProvider

_BARS_PER_DAY = {
    Mode.VN: {Interval.DAILY: 1, Interval.HOURLY: 5, Interval.MINUTE: 226},
    Mode.CRYPTO: {Interval.DAILY: 1, Interval.HOURLY: 24, Interval.MINUTE: 1_440},
}
_EPOCH = {Mode.VN: 1_420_416_000, Mode.CRYPTO: 1_483_228_800}
"""2015-01-05 and 2017-01-01: the simulated markets begin."""
_BLOCK_S = {
    Interval.DAILY: 128 * SECONDS_PER_DAY,
    Interval.HOURLY: 64 * SECONDS_PER_DAY,
    Interval.MINUTE: 8 * SECONDS_PER_DAY,
}
"""The past is computed, and remembered, in blocks of this length."""


class FakeMarket:
    """`now` (Unix seconds) decides what is known; None is the real clock. `tickers`: what exists, per market.

    A ticker that the simulated market does not have borrows the series of one that it has, always the same.
    `listed`: when a ticker's history begins, if not with the market (Unix seconds, midnight UTC).
    """

    def __init__(
        self,
        now: int | None,
        tickers: Mapping[Mode, Sequence[str]] | None = None,
        listed: Mapping[str, int] | None = None,
        seed: int = 1,
    ) -> None:
        self.now = now
        self._seed = seed
        self._listed = dict(listed or {})
        self._markets = {mode: SimulatedProvider(mode, seed) for mode in Mode}
        self._tickers = {mode: list((tickers or {}).get(mode, self._markets[mode].tickers())) for mode in self._markets}
        self._adjustments: dict[str, tuple[Adjustment, ...]] = {}
        self._adjusted: dict[str, SimulatedProvider] = {}
        self._computed: dict[tuple[object, ...], Bars] = {}

    def tickers(self, mode: Mode) -> list[str]:
        return self._tickers[mode]

    def clock(self) -> int:
        return int(time.time()) if self.now is None else self.now

    def adjust(self, ticker: str, effective: int, ratio: float) -> None:
        """A dividend or split of a VN ticker: known, and worked into all of its history, once `now` is `effective`.

        `effective`: midnight UTC of the ex-date, Unix seconds.
        """
        self._adjustments[ticker] = (*self._adjustments.get(ticker, ()), Adjustment(effective, ratio))
        name = self._simulated(Mode.VN, ticker)
        self._adjusted[ticker] = SimulatedProvider(Mode.VN, self._seed, adjustments={name: self._adjustments[ticker]})

    def begin(self, mode: Mode, ticker: str) -> int:
        """When the ticker's history begins."""
        return self._listed.get(ticker, _EPOCH[mode])

    def bars(self, mode: Mode, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        """Bars with start <= time <= end as they are known now, the forming one included."""
        now = self.clock()
        start, end = max(start, self.begin(mode, ticker)), min(end, now)
        today = now // SECONDS_PER_DAY * SECONDS_PER_DAY
        block_s = _BLOCK_S[interval]
        blocks = range(start // block_s * block_s, min(end + 1, today), block_s)
        parts = [self._past(mode, ticker, interval, block, min(block + block_s, today)) for block in blocks]
        if end >= today:
            name = self._simulated(mode, ticker)
            parts.append(self._provider(mode, ticker).fetch(name, interval, max(start, today), now))
        empty = Bars.empty(whole_volume=market_of(mode).has_whole_volume)
        return Bars.concatenate([empty, *parts]).between(start, end)

    def last(self, mode: Mode, ticker: str, interval: Interval, before: int, count: int) -> Bars:
        """The newest `count` bars with time < before."""
        days = count / _BARS_PER_DAY[mode][interval] * 7 / 5 + 14
        while True:
            start = before - int(days) * SECONDS_PER_DAY
            bars = self.bars(mode, ticker, interval, start, before - 1)
            if len(bars) >= count or start < self.begin(mode, ticker):
                return bars.tail(count)
            days *= 2

    def _past(self, mode: Mode, ticker: str, interval: Interval, begin: int, end: int) -> Bars:
        """Bars with begin <= time < end, a time that is past: adjusted for all that has taken effect since."""
        name = self._simulated(mode, ticker)
        later = tuple(
            each
            for each in self._adjustments.get(ticker, ())
            if mode is Mode.VN and end <= each.effective <= self.clock()
        )
        key = (mode, name, self._adjusted.get(ticker), later, interval, begin, end)
        if key not in self._computed:
            bars = self._provider(mode, ticker).fetch(name, interval, begin, end - 1)
            divisor = math.prod(each.ratio for each in later)
            prices = np.round(bars.prices / divisor, market_of(mode).price_decimals)
            self._computed[key] = Bars.of(bars.time, prices, bars.volume)
        return self._computed[key]

    def _provider(self, mode: Mode, ticker: str) -> SimulatedProvider:
        return self._adjusted.get(ticker, self._markets[mode]) if mode is Mode.VN else self._markets[mode]

    def _simulated(self, mode: Mode, ticker: str) -> str:
        names = self._markets[mode].tickers()
        return ticker if ticker in names else names[zlib.crc32(ticker.encode()) % len(names)]
