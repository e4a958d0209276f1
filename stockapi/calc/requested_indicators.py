"""Compute the indicators that a request names, for a whole series at once. Definitions: docs/indicators.md.

Each number depends on its bar and at most `warmup_of` bars before it. So the last part of a series, with this warm-up
before it, gets exactly the same numbers as the whole series. The one that needs all bars (obv) has no such bound.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from stockapi.calc.aggregator import base_bars_needed
from stockapi.calc.indicators import round_half_even, round_prices
from stockapi.calc.smoothing import of_span, of_wilder, reach, smoothed
from stockapi.calc.window_sums import window_sums
from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import Scale
from stockapi.models.interval import AggregatedInterval, AnyInterval
from stockapi.models.mode import Mode
from stockapi.models.requested import Requested

_NOTHING: Final = 2.0**-40
"""A price that is a smaller part of the close than this is the rounding error of a difference, and becomes 0."""


class _Series(NamedTuple):
    bars: Bars
    mode: Mode
    interval: AnyInterval


class _Formula(NamedTuple):
    """`warmup`: the number of earlier bars by arguments and interval; None for all. `columns`: one for each field."""

    warmup: Callable[[Sequence[int], AnyInterval], int | None]
    columns: Callable[[_Series, Sequence[float]], Sequence[Float]]


def warmup_of(requested: Sequence[Requested], interval: AnyInterval) -> int | None:
    """How many bars have to be read before the first wanted bar, to make all these indicators exact; None: all."""
    each = [_FORMULAS[one.kind.name].warmup([int(value) for value in one.arguments], interval) for one in requested]
    return None if None in each else max((bars for bars in each if bars is not None), default=0)


def with_requested(bars: Bars, requested: Sequence[Requested], interval: AnyInterval, mode: Mode) -> Bars:
    """The same bars with the fields of these indicators after their own ones, rounded; NaN where not defined.

    Prices must be rounded already. The first bar counts as the first of the series. For a part of a series, the caller
    must add `warmup_of` earlier bars and cut them off afterwards.
    """
    series = _Series(bars, mode, interval)
    rows, names = [bars.indicators], list(bars.names)
    with np.errstate(all="ignore"):
        for one in requested:
            columns = _FORMULAS[one.kind.name].columns(series, one.arguments)
            for field, column in zip(one.fields, columns, strict=True):
                rows.append(_rounded(column, field.scale, series)[np.newaxis])
                names.append(field.name)
    return replace(bars, indicators=np.concatenate(rows), names=tuple(names))


def _rounded(values: Float, scale: Scale, series: _Series) -> Float:
    if scale is Scale.PRICE:
        rounded = round_prices(np.where(np.abs(values) < _NOTHING * series.bars.close, 0.0, values), series.mode)
    else:
        rounded = round_half_even(values, market_of(series.mode).decimals(scale))
    rounded[~np.isfinite(rounded)] = np.nan
    return rounded


def _later(values: Float, bars: int) -> Float:
    """The values with `bars` absent ones before them, along the last axis."""
    return np.concatenate([np.full((*values.shape[:-1], bars), np.nan), values], axis=-1)


def _rsi(series: _Series, arguments: Sequence[float]) -> Sequence[Float]:
    period = int(arguments[0])
    change = np.diff(series.bars.close)
    moves = np.stack([np.maximum(change, 0.0), np.maximum(-change, 0.0)])
    gain, loss = smoothed(moves, period, of_wilder(period))
    return [_later(100.0 * gain / (gain + loss), min(1, len(series.bars)))]


def _atr(series: _Series, arguments: Sequence[float]) -> Sequence[Float]:
    period, bars = int(arguments[0]), series.bars
    before, high, low = bars.close[:-1], bars.high[1:], bars.low[1:]
    ranges = np.maximum(np.maximum(high - low, np.abs(high - before)), np.abs(low - before))
    return [_later(smoothed(ranges, period, of_wilder(period)), min(1, len(bars)))]


def _macd(series: _Series, arguments: Sequence[float]) -> Sequence[Float]:
    fast, slow, signal = (int(value) for value in arguments)
    close = series.bars.close
    line = smoothed(close, fast, of_span(fast)) - smoothed(close, slow, of_span(slow))
    absent = min(slow - 1, len(close))
    average = _later(smoothed(line[absent:], signal, of_span(signal)), absent)
    return [line, average, line - average]


def _bands(series: _Series, arguments: Sequence[float]) -> Sequence[Float]:
    period, width, close = int(arguments[0]), arguments[1], series.bars.close
    absent = min(period - 1, len(close))
    middle = window_sums(close, (period,))[period] / period
    squares = np.zeros(len(middle))
    for back in range(period):  # one bar after the other, so that the order does not depend on the series
        squares += (close[back : back + len(middle)] - middle) ** 2
    deviation = width * np.sqrt(squares / period)
    return [_later(band, absent) for band in (middle + deviation, middle, middle - deviation)]


def _change(series: _Series, arguments: Sequence[float]) -> Sequence[Float]:
    period, close = int(arguments[0]), series.bars.close
    before = np.where(close[:-period] > 0.0, close[:-period], np.nan)
    return [_later((close[period:] - before) / before * 100.0, min(period, len(close)))]


def _stochastic(series: _Series, arguments: Sequence[float]) -> Sequence[Float]:
    period, smoothing, signal = (int(value) for value in arguments)
    bars = series.bars
    absent = min(period - 1, len(bars))
    highest, lowest = _extremes(bars.high, period, np.maximum), _extremes(bars.low, period, np.minimum)
    place = _later(100.0 * (bars.close[absent:] - lowest) / (highest - lowest), absent)
    k = _means(place, smoothing)
    return [k, _means(k, signal)]


def _extremes(values: Float, period: int, furthest: Callable[[Float, Float], Float]) -> Float:
    """The maximum or minimum of each `period` consecutive values: shape (len - period + 1,)."""
    found, done = values, 1
    while done < period:
        more = min(done, period - done)
        found, done = furthest(found[more:], found[: max(0, len(found) - more)]), done + more
    return found[: max(0, len(values) - period + 1)]


def _means(values: Float, count: int) -> Float:
    """The mean of the last `count` values; NaN where one of them is."""
    means = values.copy()
    for back in range(1, count):
        means[back:] += values[:-back]
    means[: count - 1] = np.nan
    return means / count


def _vwap(series: _Series, _: Sequence[float]) -> Sequence[Float]:
    bars = series.bars
    price, volume = (bars.high + bars.low + bars.close) / 3.0, bars.volume.astype(np.float64)
    if not series.interval.is_intraday:
        return [np.where(volume > 0.0, price, np.nan)]
    days = market_of(series.mode).calendar.date_of(bars.time)
    value, total = _sums_of_days(np.stack([price * volume, volume]), days)
    return [value / total]


def _sums_of_days(values: Float, days: Int) -> Float:
    """The sums since the first value of the day, along the last axis. `days`: of each value, ascending.

    By doubling, as `smoothed`: which values are added to each other depends on their place in the day only.
    """
    place = np.arange(len(days)) - np.searchsorted(days, days)
    sums, done = values, 1
    while done <= place.max(initial=0):
        longer = sums.copy()
        longer[:, done:] += np.where(place[done:] >= done, sums[:, :-done], 0.0)
        sums, done = longer, 2 * done
    return sums


def _obv(series: _Series, _: Sequence[float]) -> Sequence[Float]:
    close, volume = series.bars.close, series.bars.volume.astype(np.float64)
    signed = np.sign(np.diff(close)) * volume[1:]
    return [np.cumsum(np.concatenate([volume[:1], signed]))]


def _bars_a_day(_: Sequence[int], interval: AnyInterval) -> int:
    """At least the most bars of a day before its last one."""
    if not interval.is_intraday:
        return 0
    base_bars = base_bars_needed(1, interval) if isinstance(interval, AggregatedInterval) else 1
    return SECONDS_PER_DAY // (base_bars * interval.base.seconds)


def _wilder_warmup(arguments: Sequence[int], _: AnyInterval) -> int:
    return reach(of_wilder(arguments[0])) + arguments[0]


def _macd_warmup(arguments: Sequence[int], _: AnyInterval) -> int:
    _fast, slow, signal = arguments
    return reach(of_span(slow)) + slow + reach(of_span(signal)) + signal


_FORMULAS: Final = {
    "rsi": _Formula(_wilder_warmup, _rsi),
    "macd": _Formula(_macd_warmup, _macd),
    "bb": _Formula(lambda arguments, _: arguments[0] - 1, _bands),
    "atr": _Formula(_wilder_warmup, _atr),
    "vwap": _Formula(_bars_a_day, _vwap),
    "roc": _Formula(lambda arguments, _: arguments[0], _change),
    "stoch": _Formula(lambda arguments, _: sum(arguments) - 3, _stochastic),
    "obv": _Formula(lambda *_: None, _obv),
}
"""By the name of the kind."""
