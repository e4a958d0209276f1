"""The simulated market from day to day: one value a day and ticker, from the first day on.

A log price is a slow trend plus fluctuations that revert to it: the market's (times beta), the sector's, its own. Each
of them is a first-order autoregression whose volatility is itself one, so calm and wild weeks come in clusters.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Float
from stockapi.providers.simulated.universe import Instrument, Kind, Market

_LEVEL_PERSISTENCE: Final = 0.997
"""Half of a deviation is left after 231 days: trends last for years, yet the standard deviation is 13 days' shocks."""
_VOLATILITY_PERSISTENCE: Final = 0.97
_VOLATILITY_SHOCK: Final = 0.11
_ACTIVITY_PERSISTENCE: Final = 0.85
_ACTIVITY_SHOCK: Final = 0.18
_DAILY_LIMIT_PERCENT: Final = 7
_INTRADAY_SHARE: Final = 0.8
"""Of a day's volatility: how far prices wander within it, beside the way from open to close."""
_GAP_SHARE: Final = 0.3
"""Of the day's move: done before the opening."""
_GAP_NOISE: Final = 0.25
_DAYS_PER_YEAR: Final = 365.25
_WORDS_PER_DAY: Final = 4

Words = NDArray[np.uint64]


def random_words(address: tuple[object, ...], first: int, count: int) -> Words:
    """Words first .. first + count - 1 of the stream at that address: the same whenever they are read.

    Philox is counter-based, so a stream can be read from anywhere, and NumPy promises (NEP 19) to keep its raw output
    as it is, unlike that of its distributions.
    """
    digest = blake2b("/".join(map(str, address)).encode(), digest_size=16).digest()
    words_per_block = 4
    block, skipped = divmod(first, words_per_block)
    generator = np.random.Philox(key=int.from_bytes(digest, "little"), counter=block)
    words: Words = generator.random_raw(skipped + count)
    return words[skipped:]


def gaussian(words: Words) -> Float:
    """Nearly standard normal numbers, one a word: the sum of its four 16-bit lanes (Irwin-Hall), scaled.

    Integers up to the last step, so every machine gets the same; a logarithm or cosine may differ in the last digit.
    Never beyond 3.47: fat tails come from the changing volatility.
    """
    lanes = np.uint64(0x0000FFFF0000FFFF)
    pairs = (words & lanes) + ((words >> np.uint64(16)) & lanes)
    sums = (pairs + (pairs >> np.uint64(32))) & np.uint64(0x3FFFF)
    mean, deviation = 2 * 65_535, ((65_536**2 - 1) / 3) ** 0.5
    numbers: Float = (sums.astype(np.float64) - mean) / deviation
    return numbers


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A dividend or split, as a source of back-adjusted prices shows it.

    From `effective` on (Unix seconds, midnight UTC of the ex-date) the ticker trades at its price divided by `ratio`,
    and all older bars are answered divided by it too.
    """

    effective: int
    ratio: float

    def __post_init__(self) -> None:
        if self.effective % SECONDS_PER_DAY:
            raise ValueError(f"effective {self.effective} is not allowed; allowed: midnight UTC in Unix seconds")
        if not 0.0 < self.ratio < math.inf:
            raise ValueError(f"ratio {self.ratio} is not allowed; allowed: a number above 0")


@dataclass(frozen=True, slots=True, eq=False)
class DayPath:
    """One ticker, one entry a trading day. Prices are whole units of the last decimal, as float64.

    `lowest`, `highest`: what may be traded that day. `spread`: standard deviation of the day's wandering, in units.
    `lots`: expected volume.
    """

    open: Float
    close: Float
    lowest: Float
    highest: Float
    spread: Float
    lots: Float

    def take(self, days: slice) -> Self:
        return type(self)(*(getattr(self, column.name)[days] for column in fields(self)))


@dataclass(frozen=True, slots=True, eq=False)
class _Factor:
    """Something that moves log prices, one entry a trading day.

    `level`: fluctuation around 0. `volatility`: standard deviation of the day's step. `activity`: of log volume, around
    0. `surprise`: standard normal, for the opening.
    """

    level: Float
    volatility: Float
    activity: Float
    surprise: Float


class DailyMarket:
    """A market from its first day to `last_day` (days since 1970-01-01): pure in its arguments.

    Safe in several threads: two of them may compute the same path, and get the same.
    """

    def __init__(
        self, market: Market, seed: int, adjustments: Mapping[str, Sequence[Adjustment]], last_day: int
    ) -> None:
        self.market = market
        self.seed = seed
        self.last_day = last_day
        self.days = market.trading_days(last_day)
        self._adjustments = adjustments
        self._factors: dict[str, _Factor] = {}
        self._paths: dict[str, DayPath] = {}

    def path(self, ticker: str) -> DayPath:
        """:raises KeyError: for a ticker the market does not have."""
        if ticker not in self._paths:
            self._paths[ticker] = self._compute_path(ticker, self.market.instruments[ticker])
        return self._paths[ticker]

    def _compute_path(self, ticker: str, instrument: Instrument) -> DayPath:
        market = self.market
        common = self._factor("market", market.volatility)
        own = self._factor(f"ticker/{ticker}", instrument.volatility)
        moves = [(instrument.beta, common), (1.0, own)]
        if instrument.sector:
            moves.append((1.0, self._factor(f"sector/{instrument.sector}", market.sector_volatility)))

        years = (self.days - market.epoch) / _DAYS_PER_YEAR
        trend = math.log(instrument.first_price) + market.growth * years
        divisors = self._divisors(ticker)
        wanted = _exp(trend + _sum(weight * move.level for weight, move in moves)) / divisors
        reference, close, lowest, highest = _settle(instrument, wanted, divisors)

        volatility = np.sqrt(_sum((weight * move.volatility) ** 2 for weight, move in moves))
        spread = _INTRADAY_SHARE * volatility * reference
        opening = reference
        if market.session.auctions:
            gap = _GAP_SHARE * (close - reference) + _GAP_NOISE * spread * own.surprise
            opening = np.clip(instrument.round_to_tick(reference + gap), lowest, highest)
        excitement = np.minimum(np.abs(close / reference - 1.0) / market.volatility_of(instrument), 4.0) - 0.8
        usual_lots = instrument.daily_volume * 10**instrument.volume_decimals / instrument.lot
        lots = usual_lots * _exp(common.activity + own.activity + 0.3 * excitement)
        return DayPath(opening, close, lowest, highest, spread, lots)

    def _factor(self, name: str, volatility: float) -> _Factor:
        if name not in self._factors:
            address = (self.seed, self.market.mode.value, name, "days")
            words = random_words(address, 0, _WORDS_PER_DAY * len(self.days)).reshape(-1, _WORDS_PER_DAY)
            step, turbulence, activity, surprise = gaussian(words).T
            day_volatility = volatility * _exp(_autoregression(_VOLATILITY_PERSISTENCE, _VOLATILITY_SHOCK * turbulence))
            self._factors[name] = _Factor(
                _autoregression(_LEVEL_PERSISTENCE, day_volatility * step),
                day_volatility,
                _autoregression(_ACTIVITY_PERSISTENCE, _ACTIVITY_SHOCK * activity),
                surprise,
            )
        return self._factors[name]

    def _divisors(self, ticker: str) -> Float:
        """What the price is divided by on each trading day, for the adjustments effective by then."""
        divisors = np.ones(len(self.days))
        for each in self._adjustments.get(ticker, ()):
            divisors[self.days >= each.effective // SECONDS_PER_DAY] *= each.ratio
        return divisors


def _settle(instrument: Instrument, wanted: Float, divisors: Float) -> tuple[Float, Float, Float, Float]:
    """Reference, close, lowest and highest price of each day, in units.

    The close is the wanted price as far as the daily limit lets it go; what is left over moves the next days, so limit
    days come in rows as they do in the market. The reference is yesterday's close; on an ex-date, divided.
    """
    rows = []
    close, divisor = float(instrument.first_price), 1.0
    for target, day_divisor in zip(instrument.round_to_tick(wanted).tolist(), divisors.tolist(), strict=True):
        reference = close if day_divisor == divisor else _tradable(instrument, close * divisor / day_divisor)
        lowest, highest = _limits(instrument, int(reference))
        close, divisor = min(max(target, lowest), highest), day_divisor
        rows.append((reference, close, lowest, highest))
    reference_column, close_column, lowest_column, highest_column = np.array(rows, dtype=np.float64).T
    return reference_column, close_column, lowest_column, highest_column


def _tradable(instrument: Instrument, price: float) -> float:
    tick = instrument.tick(int(price))
    return float(max(round(price / tick), 1) * tick)


def _limits(instrument: Instrument, reference: int) -> tuple[float, float]:
    """The lowest and highest price of a day: within 7 % of the reference, on a tick. A coin only stays above 0."""
    if instrument.kind is Kind.COIN:
        return 1.0, math.inf
    bottom = -(-reference * (100 - _DAILY_LIMIT_PERCENT) // 100)
    top = reference * (100 + _DAILY_LIMIT_PERCENT) // 100
    bottom_tick, top_tick = instrument.tick(bottom), instrument.tick(top)
    return float(-(-bottom // bottom_tick) * bottom_tick), float(top // top_tick * top_tick)


def _autoregression(persistence: float, shocks: Float) -> Float:
    """level[i] = persistence * level[i - 1] + shocks[i], from 0."""
    level, levels = 0.0, []
    for shock in shocks.tolist():
        level = persistence * level + shock
        levels.append(level)
    return np.array(levels, dtype=np.float64)


def _exp(values: Float) -> Float:
    # One by one: NumPy's vectorised exp may round the same number differently at the end of an array, and a day must
    # come out the same whatever the length of the history. Between machines the last digit of exp may still differ;
    # rounding to ticks and lots absorbs that but for one value in some 10^12.
    return np.array([math.exp(value) for value in values.tolist()], dtype=np.float64)


def _sum(terms: Iterable[Float]) -> Float:
    return functools.reduce(np.add, terms)
