"""Compute moving averages, their scores, and changes from bar to bar, for a whole series at once.

Each number depends on its bar and at most the `WARMUP_BARS` bars before it (exponential averages: `EMA_WARMUP_BARS`).
So the last part of a series, with this warm-up before it, gets exactly the same numbers as the whole series.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from operator import attrgetter

import numpy as np

from stockapi.calc.smoothing import of_span, reach, smoothed
from stockapi.calc.window_sums import EXACT_LIMIT, window_sums
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import (
    CLOSE_CHANGED,
    INDICATORS,
    MA_FIELDS,
    MA_PERIODS,
    MONEY_FIELD,
    PRICE_FIELDS,
    SCORE_FIELDS,
    VOLUME_CHANGED,
    WARMUP_BARS,
    Field,
    Scale,
)
from stockapi.models.mode import Mode

EMA_WARMUP_BARS = reach(of_span(max(MA_PERIODS))) + WARMUP_BARS
"""Bars to read before the first requested one, so that the start value of an exponential average has no weight."""

_EXACT_DECIMALS = 22
"""The largest power of ten that a float64 holds without rounding."""
_SPLITTER = float((1 << 27) + 1)
_NEGATIVE_POWERS = np.array([float(f"1e-{place}") for place in range(323, 0, -1)])


def round_half_even(values: Float, decimals: int) -> Float:
    """Each value rounded as Python's `round(value, decimals)`: by its exact binary value, ties to even.

    `numpy.round` multiplies first and rounds the product. So it treats 2.675 as a tie, but its binary value is a little
    less. Here the error of the product decides such cases (Dekker's exact product, 1971). The result is never -0.0. NaN
    and infinity do not change.
    """
    scale = 10.0**decimals
    with np.errstate(invalid="ignore", over="ignore"):
        product = values * scale
        rounded = np.rint(product)
        is_tie = np.abs(product - rounded) == 0.5
        if is_tie.any():
            error = _product_error(values[is_tie], scale, product[is_tie])
            tied = product[is_tie]
            rounded[is_tie] = np.where(error == 0.0, rounded[is_tie], np.floor(tied) + (error > 0.0))
        rounded /= scale
        rounded += 0.0
    # A product above 2^52 has no fraction to round by. Such numbers are rare, so Python rounds them one by one.
    is_large = ~(np.abs(product) < EXACT_LIMIT)
    if is_large.any():
        is_large &= np.isfinite(values)
        rounded[is_large] = [round(value, decimals) for value in values[is_large].tolist()]
    return rounded


def round_prices(values: Float, mode: Mode) -> Float:
    """`round_half_even` to the decimals of the market; small numbers get more decimals.

    If the decimals of the market show fewer than `Market.price_digits` significant digits, the number is rounded to
    that many significant digits. So no positive price becomes 0. Rounding a second time changes nothing.
    """
    market = market_of(mode)
    rounded = round_half_even(values, market.price_decimals)
    size = np.abs(values)
    is_small = (size > 0.0) & (size < float(f"1e{market.price_digits - 1 - market.price_decimals}"))
    if is_small.any():
        rounded[is_small] = _round_to_digits(values[is_small], market.price_digits)
    return rounded


def round_price(value: float, mode: Mode) -> float:
    """`round_prices` for one finite number. It takes a hundredth of the time."""
    market = market_of(mode)
    digits_before_point = Decimal(value).adjusted() + 1 if value else 1
    return round(value, max(market.price_decimals, market.price_digits - digits_before_point)) + 0.0


def _round_to_digits(values: Float, digits: int) -> Float:
    """Round to significant digits. `values`: below 1, not 0."""
    # It compares with the powers of ten, because the last bit of a logarithm may be wrong.
    places = len(_NEGATIVE_POWERS) - np.searchsorted(_NEGATIVE_POWERS, np.abs(values), side="right") + 1
    rounded = np.empty_like(values)
    for place in set(places.tolist()):
        where, decimals = places == place, place + digits - 1
        if decimals <= _EXACT_DECIMALS:
            rounded[where] = round_half_even(values[where], decimals)
        else:
            rounded[where] = [round(value, decimals) for value in values[where].tolist()]
    return rounded


def _product_error(values: Float, scale: float, product: Float) -> Float:
    """`values * scale - product`, without rounding error."""
    high, low = _halves(values)
    scale_high, scale_low = _halves(np.array(scale))
    error: Float = ((high * scale_high - product) + high * scale_low + low * scale_high) + low * scale_low
    return error


def _halves(values: Float) -> tuple[Float, Float]:
    """Split each value into two numbers of half as many bits. Their sum is the value."""
    wide = values * _SPLITTER
    high = wide - (wide - values)
    return high, values - high


def enhance(bars: Bars, mode: Mode, *, is_index: bool) -> Bars:
    """The same bars with prices rounded to the decimals of the market, and all indicators computed from these prices.

    Definitions and rounding: docs/indicators.md. An indicator that is not defined, or not finite, is NaN.
    The first bar counts as the first of the series. For a part of a series, the caller must add `WARMUP_BARS` earlier
    bars and cut them off afterwards.
    """
    prices = round_prices(bars.prices, mode)
    close = prices[PRICE_FIELDS.index("close")]
    with np.errstate(all="ignore"):
        values = {
            **_averages_and_scores(close, _moving_averages(close)),
            CLOSE_CHANGED: _percent_change(close),
            VOLUME_CHANGED: _percent_change(bars.volume.astype(np.float64)),
            MONEY_FIELD: _delta(close) * (0.0 if is_index else bars.volume),
        }
        return Bars.of(bars.time, prices, bars.volume, _rounded(values, INDICATORS, mode))


def with_exponential_averages(bars: Bars, mode: Mode) -> Bars:
    """The same bars with exponential averages, and scores against these; other fields do not change.

    Prices must be rounded already. The first bar counts as the first of the series. For a part of a series, the caller
    must add `EMA_WARMUP_BARS` earlier bars and cut them off afterwards.
    """
    with np.errstate(all="ignore"):
        values = _averages_and_scores(bars.close, _exponential_averages(bars.close))
        fields = [field for field in INDICATORS if field.name in values]
        rounded = _rounded(values, fields, mode)
        return bars.with_indicators(dict(zip([field.name for field in fields], rounded, strict=True)))


def enhance_from(bars: Bars, first: int, mode: Mode, *, is_index: bool) -> Bars:
    """As `enhance`, but only for the bars from position `first` on. It reads only these and their warm-up."""
    begin = max(0, first - WARMUP_BARS)
    enhanced = enhance(bars.take(slice(begin, None)), mode, is_index=is_index)
    return enhanced.take(slice(first - begin, None))


def _averages_and_scores(close: Float, averages: Float) -> dict[str, Float]:
    """The averages and their scores, not rounded. `averages`: shape (5, n), in the order of `MA_PERIODS`."""
    scores = (close - averages) / averages * 100.0
    return dict(zip((*MA_FIELDS, *SCORE_FIELDS), (*averages, *scores), strict=True))


def _rounded(values: Mapping[str, Float], fields: Sequence[Field], mode: Mode) -> Float:
    """One row for each field, rounded to the decimals of its scale; NaN where it is not finite."""
    rows = np.array([values[field.name] for field in fields])
    end = 0
    for scale, alike in groupby(fields, attrgetter("scale")):
        begin, end = end, end + len(list(alike))
        own = rows[begin:end]
        is_price = scale is Scale.PRICE
        own[...] = round_prices(own, mode) if is_price else round_half_even(own, market_of(mode).decimals(scale))
    rows[~np.isfinite(rows)] = np.nan
    return rows


def _moving_averages(close: Float) -> Float:
    """The arithmetic means of the last 10, 20, 50, 100, 200 closes, shape (5, n); NaN where there are fewer closes."""
    averages = np.full((len(MA_PERIODS), len(close)), np.nan)
    for row, (period, sums) in enumerate(window_sums(close).items()):
        averages[row, period - 1 :] = sums / period
    return averages


def _exponential_averages(close: Float) -> Float:
    """The exponential averages of N = 10, 20, 50, 100, 200 bars, shape (5, n).

    The first value, at the Nth bar, is the mean of the first N closes; before it is NaN. Each later value is
    `a * close + (1 - a) * value before`, with a = 2 / (N + 1).
    """
    return np.stack([smoothed(close, period, of_span(period)) for period in MA_PERIODS])


def _delta(values: Float) -> Float:
    """The difference from the value before; NaN for the first value."""
    return values - _previous(values)


def _percent_change(values: Float) -> Float:
    """(value - previous) / previous x 100; NaN for the first value, and where the previous value is zero or less."""
    previous = _previous(values)
    previous[previous <= 0.0] = np.nan
    return (values - previous) / previous * 100.0


def _previous(values: Float) -> Float:
    """The value before each value; NaN before the first."""
    previous = np.empty_like(values)
    previous[:1] = np.nan
    previous[1:] = values[:-1]
    return previous
