"""The volume profile of minute bars: how much was traded at each price.

A price is counted in ticks: its level is `round(price / tick)`. The volume of a bar is spread evenly over the levels
from its low to its high, both included. Bars without volume count only as minutes, and in the mean price that selects
the tick. When there are more levels than bins, the figures are those of the bins, as in the old API. The figures of the
levels are in `tick_level`. Definitions, ties and rounding: docs/indicators.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from stockapi.calc.indicators import round_price
from stockapi.constants import LARGEST_INT64
from stockapi.errors import TooManyRowsError
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.mode import Mode

MAX_LEVELS: Final = 1_000_000
"""The limit keeps memory below about 100 MB, even with a damaged bar. BTC from 20,000 to 120,000 dollars has 100,000
levels.
"""

_SHARE_DECIMALS: Final = 4

_UNITS: Final = 1 << 60
"""Volume is counted in whole units, about 2^60 for the total. Running sums of floats leave small residues at levels
without a bar, and depend on the order of the bars. Running sums of integers do not.
"""
_WEIGHT_BITS: Final = 20
"""The number of last bits that are ignored when steps are compared. Otherwise the rounding to units would decide
between two equal steps.
"""
_ALMOST_ALL: Final = 1 - 1e-9
"""A share counts as reached at this part of it: the rounded units of 40 and 30 percent may be one unit less than 70.
"""


@dataclass(frozen=True, slots=True)
class PriceRange:
    """The lowest low, the highest high, and their difference."""

    low: float
    high: float
    spread: float


@dataclass(frozen=True, slots=True)
class PointOfControl:
    """The bin, or level, with the most volume; the lowest one when several are equal."""

    price: float | None
    volume: float
    percentage: float


@dataclass(frozen=True, slots=True)
class ProfileOptions:
    """`bins`: the most bins of the profile. `value_area_pct`: the share of the volume in the value area, in percent."""

    bins: int
    value_area_pct: float


@dataclass(frozen=True, slots=True)
class ValueArea:
    """The lowest and the highest of the bins, or levels, around the point of control that hold the requested share."""

    low: float | None
    high: float | None
    volume: float
    percentage: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Adjacent levels. `price`: their middle. `cumulative_percentage`: the share of this bin and all bins below it."""

    price: float
    volume: float
    percentage: float
    cumulative_percentage: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of the prices of bins, or levels, weighted by volume. `skewness` is 0 for one price."""

    mean_price: float | None
    median_price: float | None
    std_deviation: float | None
    skewness: float | None


@dataclass(frozen=True, slots=True)
class TickLevel:
    """The figures of the price levels, `tick_size` apart, before any are put together in bins."""

    tick_size: float
    poc: PointOfControl
    value_area: ValueArea
    statistics: Statistics


@dataclass(frozen=True, slots=True)
class VolumeProfile:
    """The profile. Prices are rounded to the decimals of the market.

    Without any volume, the fields that need volume are None or empty. `total_volume`: a whole number when volumes are.
    `total_minutes`: the number of all bars. `price_range`: the range of the bars with volume, or of all bars when none
    has volume. `poc.price` is the price of a bin of `profile`.
    """

    symbol: str
    total_volume: int | float
    total_minutes: int
    price_range: PriceRange
    poc: PointOfControl
    value_area: ValueArea
    profile: list[Bin]
    statistics: Statistics
    tick_level: TickLevel


def volume_profile(symbol: str, minutes: Bars, mode: Mode, options: ProfileOptions, *, is_index: bool) -> VolumeProfile:
    """The profile of at least one minute bar, its bins ascending.

    :raises TooManyRowsError: when the prices span more than MAX_LEVELS, or the sum of the volumes is not finite.
    """
    traded = minutes.take(minutes.volume > 0)
    tick = tick_size(minutes, mode, is_index=is_index)
    if not len(traded):
        return _without_volume(symbol, minutes, mode, tick)
    levels = _Levels.of(symbol, traded, mode, tick)
    binned = _Steps.binned(levels, options.bins)
    poc, value_area, statistics = _figures(binned, options.value_area_pct)
    return VolumeProfile(
        symbol=symbol,
        total_volume=_whole_sum(traded) if traded.has_whole_volume else levels.volume(levels.all_units),
        total_minutes=len(minutes),
        price_range=_price_range(traded, mode),
        poc=poc,
        value_area=value_area,
        profile=_bins(binned),
        statistics=statistics,
        tick_level=TickLevel(tick, *_figures(_Steps.single(levels), options.value_area_pct)),
    )


def _whole_sum(traded: Bars) -> int:
    """As of aggregated bars: a sum that is larger becomes the largest int64."""
    exact: int = sum(traded.volume.tolist())
    return min(exact, LARGEST_INT64)


def _without_volume(symbol: str, minutes: Bars, mode: Mode, tick: float) -> VolumeProfile:
    nothing = PointOfControl(None, 0.0, 0.0), ValueArea(None, None, 0.0, 0.0), Statistics(None, None, None, None)
    poc, value_area, statistics = nothing
    return VolumeProfile(
        symbol=symbol,
        total_volume=0 if minutes.has_whole_volume else 0.0,
        total_minutes=len(minutes),
        price_range=_price_range(minutes, mode),
        poc=poc,
        value_area=value_area,
        profile=[],
        statistics=statistics,
        tick_level=TickLevel(tick, *nothing),
    )


def tick_size(bars: Bars, mode: Mode, *, is_index: bool) -> float:
    """The distance between levels. The mean of (high + low) / 2 of the bars, at least one, selects it."""
    market = market_of(mode)
    if is_index:
        return market.index_tick
    with np.errstate(over="ignore"):
        mean = float(np.mean((bars.high + bars.low) / 2))
    return next((tick for below, tick in market.ticks if mean < below), market.ticks[-1][1])


@dataclass(frozen=True, slots=True)
class _Levels:
    """Adjacent price levels and the volume at each, from the lowest low to the highest high.

    `units[i]`: the volume at level `lowest + i`, in units; `all_units` correspond to the volume `total`.
    """

    mode: Mode
    tick: float
    lowest: float
    units: Int
    all_units: int
    total: float

    @classmethod
    def of(cls, symbol: str, traded: Bars, mode: Mode, tick: float) -> Self:
        """:raises TooManyRowsError: as `volume_profile`."""
        # Some sources send bars whose high is below their low.
        low = np.rint(np.minimum(traded.low, traded.high) / tick)
        high = np.rint(np.maximum(traded.low, traded.high) / tick)
        lowest, highest = float(low.min()), float(high.max())
        volume = traded.volume.astype(np.float64)
        with np.errstate(over="ignore"):
            total = float(volume.sum())
        _require_countable(symbol, highest - lowest + 1, total)
        first, last = (low - lowest).astype(np.int64), (high - lowest).astype(np.int64)
        each = np.rint(volume / total * _UNITS / (last - first + 1)).astype(np.int64)
        steps = np.zeros(int(highest - lowest) + 2, dtype=np.int64)
        np.add.at(steps, first, each)
        np.add.at(steps, last + 1, -each)
        units = np.cumsum(steps[:-1])
        return cls(mode, tick, lowest, units, int(units.sum()), total)

    def price(self, offset: float) -> float:
        """The rounded price that is `offset` ticks above the lowest level."""
        return round_price((self.lowest + offset) * self.tick, self.mode)

    def volume(self, units: int) -> float:
        return _rounded(units / self.all_units * self.total, market_of(self.mode).profile_volume_decimals)

    def percentage(self, units: int) -> float:
        return _rounded(units / self.all_units * 100.0, _SHARE_DECIMALS)


@dataclass(frozen=True, slots=True)
class _Steps:
    """The levels, or bins of adjacent ones, ascending: how many ticks the middle of each is above the lowest level."""

    levels: _Levels
    offsets: Float
    units: Int

    @classmethod
    def single(cls, levels: _Levels) -> Self:
        """Each level for itself."""
        return cls(levels, np.arange(len(levels.units), dtype=np.float64), levels.units)

    @classmethod
    def binned(cls, levels: _Levels, most: int) -> Self:
        """Bins with an equal range of prices. Each has at least one level, so few levels give fewer bins."""
        count = min(most, len(levels.units))
        # All numbers are doubled, so that the middle of a level is a whole number.
        bin_of_level = (2 * np.arange(len(levels.units)) + 1) * count // (2 * len(levels.units))
        in_bin = np.add.reduceat(levels.units, np.searchsorted(bin_of_level, np.arange(count)))
        height = len(levels.units) / count
        return cls(levels, (np.arange(count, dtype=np.float64) + 0.5) * height - 0.5, in_bin)

    def weights(self) -> Int:
        """The volume of each step for comparisons. Steps that differ only by the rounding to units are equal."""
        weights: Int = (self.units + (1 << (_WEIGHT_BITS - 1))) >> _WEIGHT_BITS
        return weights

    def price(self, number: int) -> float:
        return self.levels.price(float(self.offsets[number]))

    def amount(self, which: slice) -> tuple[float, float]:
        """The volume and the percentage of adjacent steps."""
        units = int(self.units[which].sum())
        return self.levels.volume(units), self.levels.percentage(units)


def _require_countable(symbol: str, levels: float, total: float) -> None:
    if levels <= MAX_LEVELS and math.isfinite(total):
        return
    fault = f"add up to {total} of volume" if levels <= MAX_LEVELS else f"span more than {MAX_LEVELS} price levels"
    raise TooManyRowsError(
        f"the minute bars of {symbol} {fault}; ask for a shorter range, or for days without the damaged bar"
    )


def _figures(steps: _Steps, value_area_pct: float) -> tuple[PointOfControl, ValueArea, Statistics]:
    weights = steps.weights()
    poc = int(np.argmax(weights))
    first, last = _grown(weights.tolist(), poc, int(weights.sum()) * value_area_pct / 100.0 * _ALMOST_ALL)
    return (
        PointOfControl(steps.price(poc), *steps.amount(slice(poc, poc + 1))),
        ValueArea(steps.price(first), steps.price(last), *steps.amount(slice(first, last + 1))),
        _statistics(steps, weights),
    )


def _grown(weights: Sequence[int], start: int, target: float) -> tuple[int, int]:
    """The first and the last of the levels around `start` that hold the weight `target`, or of all levels.

    The range grows from `start`. Each step adds the neighbour with more volume; the higher price when both are equal.
    """
    first = last = start
    held = weights[start]
    while held < target:
        below = weights[first - 1] if first > 0 else -1
        above = weights[last + 1] if last + 1 < len(weights) else -1
        if above >= below:
            last += 1
            held += above
        else:
            first -= 1
            held += below
    return first, last


def _bins(steps: _Steps) -> list[Bin]:
    levels = steps.levels
    return [
        Bin(steps.price(number), levels.volume(units), levels.percentage(units), levels.percentage(until))
        for number, (units, until) in enumerate(zip(steps.units.tolist(), np.cumsum(steps.units).tolist(), strict=True))
    ]


def _statistics(steps: _Steps, weights: Int) -> Statistics:
    """The statistics, computed in ticks above the lowest level: so a single level has a deviation of exactly 0."""
    levels = steps.levels
    shares: Float = steps.units / levels.all_units
    mean = float(steps.offsets @ shares)
    reached = np.cumsum(weights)
    median = int(np.searchsorted(reached, reached[-1] / 2 * _ALMOST_ALL))
    deviations = steps.offsets - mean
    std = math.sqrt(float(deviations**2 @ shares))
    skewness = float(deviations**3 @ shares) / std**3 if std else 0.0
    return Statistics(
        mean_price=levels.price(mean),
        median_price=steps.price(median),
        std_deviation=round_price(std * levels.tick, levels.mode),
        skewness=_rounded(skewness, _SHARE_DECIMALS),
    )


def _price_range(bars: Bars, mode: Mode) -> PriceRange:
    low, high = float(min(bars.low.min(), bars.high.min())), float(max(bars.low.max(), bars.high.max()))
    return PriceRange(round_price(low, mode), round_price(high, mode), round_price(high - low, mode))


def _rounded(value: float, decimals: int) -> float:
    return round(value, decimals) + 0.0  # never -0.0
