"""The simulated market within the day: the minutes from the day's open to its close."""

import math
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Float, Int
from stockapi.providers.simulated.days import DailyMarket, DayPath, Words, gaussian, random_words
from stockapi.providers.simulated.universe import Instrument, Session

_WORDS_PER_MINUTE: Final = 3
_WICK: Final = 1.2
"""A wick is this number times the minute's standard deviation times the square of a uniform number: 0.4 deviations on
average. Two wicks and the body together have the range of a random walk, 1.6 deviations.
"""
_TRADES_PER_MINUTE: Final = 4


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Columns of equal length n, one entry for each bar with trades, ascending.

    `time`: Unix seconds of the start. `prices`: shape (4, n): open, high, low, close, in units of the last decimal.
    `lots`: volume. Prices and lots are whole numbers in float64.
    """

    time: Int
    prices: Float
    lots: Float

    @classmethod
    def concatenate(cls, parts: list[Self]) -> Self:
        return cls(
            np.concatenate([part.time for part in parts]),
            np.concatenate([part.prices for part in parts], axis=1),
            np.concatenate([part.lots for part in parts]),
        )

    def aggregate(self, seconds: int) -> Self:
        """Bars of this length: first open, highest high, lowest low, last close, sum of lots."""
        if not len(self.time):
            return self
        opened = self.time // seconds * seconds
        first = np.flatnonzero(np.append(True, opened[1:] != opened[:-1]))
        last = np.append(first[1:], len(opened)) - 1
        opens, highs, lows, closes = self.prices
        prices = np.stack(
            [opens[first], np.maximum.reduceat(highs, first), np.minimum.reduceat(lows, first), closes[last]]
        )
        return type(self)(opened[first], prices, np.add.reduceat(self.lots, first))

    def known_at(self, moment: int) -> Self:
        """The minutes that began until `moment` (Unix seconds). The last one has only its trades until then.

        A minute has four trades, 15 seconds apart: open, one extreme, the other extreme, close. A rising minute has its
        low first, a falling minute its high.
        """
        begun = int(np.searchsorted(self.time, moment, side="right"))
        time, prices, lots = self.time[:begun], self.prices[:, :begun].copy(), self.lots[:begun].copy()
        trades = 1 + (moment - int(time[-1])) * _TRADES_PER_MINUTE // 60 if begun else _TRADES_PER_MINUTE
        if trades < _TRADES_PER_MINUTE:
            opening, high, low, close = prices[:, -1].tolist()
            extremes = (low, high) if close >= opening else (high, low)
            so_far = (opening, *extremes)[:trades]
            prices[:, -1] = opening, max(so_far), min(so_far), so_far[-1]
            lots[-1] = max(lots[-1] * trades // _TRADES_PER_MINUTE, 1.0)
        return type(self)(time, prices, lots)


def trade_minutes(daily: DailyMarket, ticker: str, days: slice) -> Candles:
    """All minutes with a trade. `days`: the positions of the trading days in `daily.days`."""
    market = daily.market
    instrument, path = market.instruments[ticker], daily.path(ticker).take(days)
    minutes = len(market.session.offsets)
    day_count = days.stop - days.start

    def words(owner: str, words_per_day: int) -> Words:
        address = (daily.seed, market.mode.value, owner, "minutes")
        return random_words(address, days.start * words_per_day, day_count * words_per_day)

    common = words("market", minutes).reshape(day_count, minutes)
    own = words(f"ticker/{ticker}", minutes * _WORDS_PER_MINUTE).reshape(day_count, _WORDS_PER_MINUTE, minutes)
    follows = instrument.beta * market.volatility / market.volatility_of(instrument)
    steps = follows * gaussian(common) + math.sqrt(1.0 - follows**2) * gaussian(own[:, 0])

    prices = _prices(instrument, market.session, path, steps, own[:, 1])
    lots = _lots(market.session, path, steps, own[:, 2])
    time = daily.days[days, np.newaxis] * SECONDS_PER_DAY + market.session.offsets
    traded = lots > 0.0
    return Candles(time[traded], prices[:, traded], lots[traded])


def _prices(instrument: Instrument, session: Session, path: DayPath, steps: Float, words: Words) -> Float:
    """The prices, shape (4, days, minutes): a Brownian bridge from open to close of the day, with wicks, within its
    limits.
    """
    opening, closing = path.open[:, np.newaxis], path.close[:, np.newaxis]
    lowest, highest = path.lowest[:, np.newaxis], path.highest[:, np.newaxis]
    deviation = path.spread[:, np.newaxis] * np.sqrt(session.variance)
    elapsed = session.variance.cumsum()
    elapsed /= elapsed[-1]
    walk = (steps * deviation).cumsum(axis=1)
    walk -= elapsed * walk[:, -1:]
    walk += opening + (closing - opening) * elapsed

    prices = np.empty((4, *steps.shape))
    opens, highs, lows, closes = prices
    closes[:] = instrument.round_to_tick(np.clip(walk, lowest, highest))
    opens[:, :1], opens[:, 1:] = opening, closes[:, :-1]
    upper, lower = (_WICK * deviation * _uniform(words >> np.uint64(shift)) ** 2 for shift in (0, 16))
    highs[:] = instrument.round_to_tick(np.minimum(np.maximum(opens, closes) + upper, highest))
    lows[:] = instrument.round_to_tick(np.maximum(np.minimum(opens, closes) - lower, lowest))
    if session.auctions:
        prices[:3, :, -1] = closing[:, 0]
    return prices


def _lots(session: Session, path: DayPath, steps: Float, words: Words) -> Float:
    """The volume, shape (days, minutes); 0 where nothing is traded. The first and last minute always have trades."""
    expected = path.lots[:, np.newaxis] * session.volume
    # (1 + z/4)^4 is skewed as exp(z), but every machine computes the same value. Its mean is 1.386.
    luck = np.square(np.square(1.0 + gaussian(words) / 4.0)) / 1.386
    # The mean of |step| is 0.8, so the mean of this is 1.
    excitement = 0.25 + 0.9375 * np.abs(steps)
    lots: Float = np.rint(expected * luck * excitement)
    lots[:, [0, -1]] = np.maximum(lots[:, [0, -1]], 1.0)
    return lots


def _uniform(words: Words) -> Float:
    """Uniform numbers, 0 <= x < 1, from the lowest 16 bits."""
    numbers: Float = (words & np.uint64(0xFFFF)).astype(np.float64) / 65_536.0
    return numbers
