"""Relative rotation: whether a ticker is stronger than a benchmark, and whether it becomes stronger.

Each point depends on the last `sessions_needed` sessions only, and is computed from them in the same order whatever was
read before. So a point has the same numbers in every window. Definitions and their source: docs/indicators.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stockapi.calc.indicators import round_half_even
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import SCORE_DECIMALS, score_field
from stockapi.models.timestamps import TimeStyle, written_times

RATIO_SCORE, MOMENTUM_SCORE = score_field(20), score_field(100)
"""The two coordinates of the algorithm `mascore`."""

JDK_CENTRE: Final = 100.0
SCORE_CENTRE: Final = 0.0
"""Where the quadrants meet, on both axes."""

_POINT: Final = ("time", "rs_ratio", "rs_momentum")
_UNIT: Final = 10.0
"""One standard deviation."""
_LEAST_SPREAD: Final = 1e-12
"""A spread below this part of a value is rounding of float64, and counts as none."""


@dataclass(frozen=True, slots=True)
class Track:
    """The way of one ticker over the graph, ascending; at least one session.

    `bars`: its sessions. `ratio`, `momentum`: where it stood on each of them, rounded to 4 decimals.
    `raw_rs`: close / close of the benchmark on the last of them, not rounded; None where there is no benchmark.
    """

    symbol: str
    bars: Bars
    ratio: Float
    momentum: Float
    raw_rs: float | None


def sessions_needed(period: int, trails: int) -> int:
    """The number of common sessions that `trails` points of jdk are computed from; at least one point."""
    return 3 * period - 2 + max(trails, 1)


def common_sessions(bars: Bars, benchmark: Bars) -> Bars:
    """The bars on whose times the benchmark has a bar with a price. `benchmark`: not empty."""
    where = np.searchsorted(benchmark.time, bars.time)
    where[where == len(benchmark)] = 0
    return bars.take((benchmark.time[where] == bars.time) & (benchmark.close[where] > 0.0))


def jdk_tracks(series: Mapping[str, Bars], benchmark: Bars, *, period: int, trails: int) -> list[Track]:
    """The tracks of all tickers that have enough sessions, in the order given.

    `series`: sessions that the benchmark has too. A track has the last `trails` points, or fewer where the series is
    short.
    """
    count = sessions_needed(period, trails)
    raw_rs = np.full((len(series), count), np.nan)
    for row, bars in zip(raw_rs, series.values(), strict=True):
        last = bars.tail(count)
        row[count - len(last) :] = last.close / benchmark.close[np.searchsorted(benchmark.time, last.time)]
    ratios, momenta = _jdk(raw_rs, period)
    found = []
    for number, (symbol, bars) in enumerate(series.items()):
        points = _last_run(np.isfinite(ratios[number]) & np.isfinite(momenta[number]))
        if points:
            own = ratios[number, -points:], momenta[number, -points:]
            found.append(Track(symbol, bars.tail(points), *own, float(raw_rs[number, -1])))
    return found


def score_tracks(series: Mapping[str, Bars]) -> list[Track]:
    """The tracks of all tickers by their scores against two averages, in the order given. It needs no benchmark."""
    found = []
    for symbol, bars in series.items():
        ratio, momentum = bars.indicator(RATIO_SCORE), bars.indicator(MOMENTUM_SCORE)
        is_known = ~np.isnan(ratio) & ~np.isnan(momentum)
        if is_known[-1:].any():
            found.append(Track(symbol, bars.take(is_known), ratio[is_known], momentum[is_known], None))
    return found


def ending_on(tracks: Sequence[Track], newest: int) -> list[Track]:
    """Only tracks that end on the day of the newest bar of their market (Unix seconds). Others rotate no more."""
    return [each for each in tracks if each.bars.time[-1] // SECONDS_PER_DAY >= newest // SECONDS_PER_DAY]


def _jdk(raw_rs: Float, period: int) -> tuple[Float, Float]:
    """Ratio and momentum of each row: shape as `raw_rs`, NaN where they are not defined."""
    with np.errstate(all="ignore"):
        smooth = _weighted_means(_weighted_means(raw_rs, period), period)
        change = np.full_like(smooth, np.nan)
        change[:, 1:] = (smooth[:, 1:] - smooth[:, :-1]) / smooth[:, :-1]
        ratios = _standard_scores(smooth, period, _LEAST_SPREAD * smooth)
        momenta = _standard_scores(change, period, np.full_like(change, _LEAST_SPREAD))
    return round_half_even(ratios, SCORE_DECIMALS), round_half_even(momenta, SCORE_DECIMALS)


def _last_run(known: NDArray[np.bool_]) -> int:
    """How many values at the end are known."""
    return len(known) if known.all() else int(np.argmin(known[::-1]))


def _weighted_means(values: Float, period: int) -> Float:
    """The mean of each value and the `period` - 1 before it; the newest has the weight `period`, the oldest 1."""
    means = np.full_like(values, np.nan)
    total = np.zeros_like(values[:, period - 1 :])
    # Value by value, because a product of matrices adds in an order that depends on where a window begins.
    for age in range(period):
        total += (period - age) * _older(values, age, period)
    means[:, period - 1 :] = total / (period * (period + 1) / 2)
    return means


def _standard_scores(values: Float, period: int, least_spread: Float) -> Float:
    """`JDK_CENTRE` + `_UNIT` x (value - mean) / deviation, over each value and the `period` - 1 before it.

    The deviation is that of a population. Where it is at most `least_spread`, the score is `JDK_CENTRE`.
    """
    newest = values[:, period - 1 :]
    mean, variance = np.zeros_like(newest), np.zeros_like(newest)
    # Distances from the newest value are exactly 0 where all values are equal.
    for age in range(period):
        mean += (_older(values, age, period) - newest) / period
    for age in range(period):
        variance += (_older(values, age, period) - newest - mean) ** 2 / period
    spread = np.sqrt(variance)
    scores = np.full_like(values, np.nan)
    scores[:, period - 1 :] = JDK_CENTRE + _UNIT * np.where(
        spread <= least_spread[:, period - 1 :], 0.0, -mean / spread
    )
    return scores


def _older(values: Float, age: int, period: int) -> Float:
    """Of each window of `period` values, the one that is `age` values older than its newest."""
    first = period - 1 - age
    older: Float = values[:, first : values.shape[1] - age]
    return older


def rotations(
    tracks: Sequence[Track], sectors: Mapping[str, str], *, centre: float, with_trails: bool, times: TimeStyle
) -> list[dict[str, object]]:
    """The tracks as an answer has them. `centre`: JDK_CENTRE or SCORE_CENTRE."""
    return [_rotation(each, sectors.get(each.symbol), centre, with_trails=with_trails, times=times) for each in tracks]


def _rotation(
    track: Track, sector: str | None, centre: float, *, with_trails: bool, times: TimeStyle
) -> dict[str, object]:
    bars, written = track.bars, written_times(track.bars.time, times)
    ratios, momenta = track.ratio.tolist(), track.momentum.tolist()
    points = [dict(zip(_POINT, each, strict=True)) for each in zip(written, ratios, momenta, strict=True)]
    return {
        "symbol": track.symbol,
        "time": written[-1],
        "close": bars.close[-1].item(),
        "volume": bars.volume[-1].item(),
        "rs_ratio": ratios[-1],
        "rs_momentum": momenta[-1],
        "raw_rs": track.raw_rs,
        "quadrant": quadrant(ratios[-1], momenta[-1], centre),
        "sector": sector,
        "trails": points if with_trails else None,
    }


def quadrant(ratio: float, momentum: float, centre: float) -> str:
    """The name of the quarter of the graph; who is exactly on a line is above it."""
    if ratio >= centre:
        return "leading" if momentum >= centre else "weakening"
    return "improving" if momentum >= centre else "lagging"
