"""The simulated market from day to day: one value for each day and ticker, from the first day on.

A log price is a slow trend plus fluctuations that return to it: those of the market (times beta), of the sector, and of
the ticker. Each is a first-order autoregression. Its volatility is an autoregression too, so calm and wild weeks come
in clusters.
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
"""A deviation halves in 231 days. So trends last for years, but the standard deviation is that of 13 days' shocks."""
_VOLATILITY_PERSISTENCE: Final = 0.97
_VOLATILITY_SHOCK: Final = 0.11
_ACTIVITY_PERSISTENCE: Final = 0.85
_ACTIVITY_SHOCK: Final = 0.18
_DAILY_LIMIT_PERCENT: Final = 7
_INTRADAY_SHARE: Final = 0.8
"""The share of a day's volatility by which prices move within the day, apart from the move from open to close."""
_GAP_SHARE: Final = 0.3
"""The share of a day's move that happens before the opening."""
_GAP_NOISE: Final = 0.25
_DAYS_PER_YEAR: Final = 365.25
_WORDS_PER_DAY: Final = 4

Words = NDArray[np.uint64]


def random_words(address: tuple[object, ...], first: int, count: int) -> Words:
    """The words first .. first + count - 1 of the stream with this address. They are always the same.

    Philox is counter-based, so a stream can be read from any position. NumPy promises (NEP 19) that its raw output does
    not change; it does not promise that for its distributions.
    """
    digest = blake2b("/".join(map(str, address)).encode(), digest_size=16).digest()
    words_per_block = 4
    block, skipped = divmod(first, words_per_block)
    generator = np.random.Philox(key=int.from_bytes(digest, "little"), counter=block)
    words: Words = generator.random_raw(skipped + count)
    return words[skipped:]


def gaussian(words: Words) -> Float:
    """Nearly standard normal numbers, one for each word: the sum of its four 16-bit parts (Irwin-Hall), scaled.

    All steps but the last use integers, so every machine gets the same numbers; a logarithm or cosine may differ in the
    last digit. The numbers are within +-3.47. Larger moves come from the changing volatility.
    """
    lanes = np.uint64(0x0000FFFF0000FFFF)
    pairs = (words & lanes) + ((words >> np.uint64(16)) & lanes)
    sums = (pairs + (pairs >> np.uint64(32))) & np.uint64(0x3FFFF)
    mean, deviation = 2 * 65_535, ((65_536**2 - 1) / 3) ** 0.5
    numbers: Float = (sums.astype(np.float64) - mean) / deviation
    return numbers


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A dividend or split of a back-adjusting source.

    From `effective` on (Unix seconds, midnight UTC of the ex-date), the price of the ticker is divided by `ratio`. All
    older bars are then divided by it too.
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
    """The days of one ticker, one entry for each trading day. Prices are whole units of the last decimal, as float64.

    `lowest`, `highest`: the allowed prices of the day. `spread`: the standard deviation of the moves within the day, in
    units. `lots`: the expected volume.
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
    """A factor of log prices, one entry for each trading day.

    `level`: the fluctuation around 0. `volatility`: the standard deviation of the day's step. `activity`: the
    fluctuation of the log volume around 0. `surprise`: standard normal, for the opening.
    """

    level: Float
    volatility: Float
    activity: Float
    surprise: Float


class DailyMarket:
    """A market from its first day to `last_day` (days since 1970-01-01). The arguments determine it completely.

    Threads may share it. If two threads compute the same path, they get the same values.
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
        """The days of a ticker.

        :raises KeyError: for a ticker that the market does not have.
        """
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
        """The divisor of the price on each trading day: the product of the ratios that are effective by then."""
        divisors = np.ones(len(self.days))
        for each in self._adjustments.get(ticker, ()):
            divisors[self.days >= each.effective // SECONDS_PER_DAY] *= each.ratio
        return divisors


def _settle(instrument: Instrument, wanted: Float, divisors: Float) -> tuple[Float, Float, Float, Float]:
    """Reference, close, lowest and highest price of each day, in units.

    The close is the wanted price within the daily limit. The rest moves the price on the next days, so limit days come
    in rows, as in a real market. The reference is the close of the day before; on an ex-date, divided by the ratio.
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
    """The lowest and highest price of a day: within 7 % of the reference, on a tick. For a coin: only above 0."""
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
    # One by one: NumPy's vectorised exp may round the same number differently at the end of an array, but a day must
    # not depend on the length of the history. The last digit of exp may also differ between machines. Rounding to ticks
    # and lots hides that, except for about one value in 10^12.
    return np.array([math.exp(value) for value in values.tolist()], dtype=np.float64)


def _sum(terms: Iterable[Float]) -> Float:
    return functools.reduce(np.add, terms)
