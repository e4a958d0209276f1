"""Moving averages, their scores, and changes from bar to bar, over whole series at once.

Every number depends on the bar itself and at most the `WARMUP_BARS` bars before it (exponential averages:
`EMA_WARMUP_BARS`), so a suffix of a series that begins that much earlier gets exactly the numbers the whole would.
"""

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import (
    CLOSE_CHANGED,
    INDICATORS,
    MA_FIELDS,
    MA_PERIODS,
    MONEY_FIELD,
    SCORE_FIELDS,
    VOLUME_CHANGED,
    WARMUP_BARS,
    Scale,
)
from stockapi.models.mode import Mode

_LEAST_WEIGHT = 2.0**-56
"""What closes beyond an exponential average's reach would weigh less than; a float64 resolves 2^-53."""
_EMA_REACH_BARS = 4_096
"""Closes that the longest exponential average takes in: (199 / 201) ^ 4096 is 2e-18, below `_LEAST_WEIGHT`."""
EMA_WARMUP_BARS = _EMA_REACH_BARS + WARMUP_BARS
"""Bars to read before the first one wanted, so that what an exponential average begins with is out of its reach."""

_EXACT_LIMIT = float(1 << 52)
_EXACT_DECIMALS = 22
"""Powers of ten are float64 without rounding up to this one."""
_SPLITTER = float((1 << 27) + 1)
_NEGATIVE_POWERS = np.array([float(f"1e-{place}") for place in range(323, 0, -1)])

# (size, newer part, older part): each window is two shorter ones side by side, so nine additions give all averages.
_WINDOW_CHAIN = (
    (2, 1, 1),
    (4, 2, 2),
    (5, 4, 1),
    (10, 5, 5),
    (20, 10, 10),
    (40, 20, 20),
    (50, 40, 10),
    (100, 50, 50),
    (200, 100, 100),
)


def round_half_even(values: Float, decimals: int) -> Float:
    """Each value as Python's `round(value, decimals)`: judged by its exact binary value, ties to even.

    `numpy.round` scales first and rounds the product, so it takes 2.675 (in binary a little less) for a tie. Here
    the error of the product decides such cases (Dekker's exact product, 1971). Never returns -0.0; NaN and infinity
    stay what they are.
    """
    scale = 10.0**decimals
    with np.errstate(invalid="ignore", over="ignore"):
        product = values * scale
        nearest = np.rint(product)
        is_tie = np.abs(product - nearest) == 0.5
        if is_tie.any():
            error = _product_error(values[is_tie], scale, product[is_tie])
            tied = product[is_tie]
            nearest[is_tie] = np.where(error == 0.0, nearest[is_tie], np.floor(tied) + (error > 0.0))
        rounded = nearest / scale
    # Past 2^52 the product has no fraction left to judge by. Such numbers are rare: let Python take them one by one.
    large = (np.abs(product) >= _EXACT_LIMIT) & np.isfinite(values)
    if large.any():
        rounded[large] = [round(value, decimals) for value in values[large].tolist()]
    return np.where(np.isfinite(values), rounded + 0.0, values)


def round_prices(values: Float, mode: Mode) -> Float:
    """`round_half_even` to the decimals of the market, or to more where those would show too few digits of a number.

    A number so small that they hold fewer than `Market.price_digits` significant ones keeps just that many. So no
    positive price becomes 0, and what was rounded once is not changed by being rounded again.
    """
    market = market_of(mode)
    rounded = round_half_even(values, market.price_decimals)
    size = np.abs(values)
    is_small = (size > 0.0) & (size < float(f"1e{market.price_digits - 1 - market.price_decimals}"))
    if is_small.any():
        rounded[is_small] = _round_to_digits(values[is_small], market.price_digits)
    return rounded


def round_price(value: float, mode: Mode) -> float:
    """`round_prices` of one finite number, in a hundredth of the time."""
    market = market_of(mode)
    digits_before_point = Decimal(value).adjusted() + 1 if value else 1
    return round(value, max(market.price_decimals, market.price_digits - digits_before_point)) + 0.0


def _round_to_digits(values: Float, digits: int) -> Float:
    """`values`: below 1 and not 0."""
    # By comparison with the powers of ten themselves: a logarithm may miss one by its last bit.
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
    """`values * scale - product`, exactly."""
    high, low = _halves(values)
    scale_high, scale_low = _halves(np.array(scale))
    error: Float = ((high * scale_high - product) + high * scale_low + low * scale_high) + low * scale_low
    return error


def _halves(values: Float) -> tuple[Float, Float]:
    """Two numbers of half as many bits whose sum each value is."""
    wide = values * _SPLITTER
    high = wide - (wide - values)
    return high, values - high


def _add_pairs(a: tuple[Float, Float], b: tuple[Float, Float]) -> tuple[Float, Float]:
    """Sum of two unevaluated pairs (high + low), about 106 bits: Knuth's two-sum on both parts."""
    high, error = _two_sum(a[0], b[0])
    low, rest = _two_sum(a[1], b[1])
    high, error = _fast_two_sum(high, error + low)
    return _fast_two_sum(high, error + rest)


def _two_sum(a: Float, b: Float) -> tuple[Float, Float]:
    total = a + b
    from_b = total - a
    return total, (a - (total - from_b)) + (b - from_b)


def _fast_two_sum(a: Float, b: Float) -> tuple[Float, Float]:
    total = a + b
    return total, b - (total - a)


def window_sums(values: Float) -> dict[int, Float]:
    """For every averaging period N, the sums of N consecutive values: shape (len - N + 1,), first window first.

    Each equals `math.fsum` of its window: the additions carry a second float64 of error terms, and the pair is
    rounded to one float64 at the end. A running total would drift, and would depend on where the series begins.
    """
    windows: dict[int, tuple[Float, Float]] = {1: (values, np.zeros_like(values))}
    for size, newer, older in _WINDOW_CHAIN:
        count = max(0, len(values) - size + 1)
        windows[size] = _add_pairs(
            (windows[newer][0][older : older + count], windows[newer][1][older : older + count]),
            (windows[older][0][:count], windows[older][1][:count]),
        )
    return {period: windows[period][0] for period in MA_PERIODS}


def enhance(bars: Bars, mode: Mode, *, is_index: bool) -> Bars:
    """The same bars with prices rounded as the market's are and all indicators computed from those.

    Definitions and rounding: docs/indicators.md. An indicator that is not defined, or not finite, is NaN.
    The first bar is taken for the first there is: give `WARMUP_BARS` earlier bars with a suffix, and cut them off.
    """
    prices = round_prices(bars.prices, mode)
    rounded = Bars.of(bars.time, prices, bars.volume)
    with np.errstate(all="ignore"):
        values = {
            **_averages_and_scores(rounded.close, _moving_averages(rounded.close)),
            CLOSE_CHANGED: _percent_change(rounded.close),
            VOLUME_CHANGED: _percent_change(bars.volume.astype(np.float64)),
            MONEY_FIELD: _delta(rounded.close) * (0.0 if is_index else bars.volume),
        }
        return rounded.with_indicators(_rounded(values, mode))


def with_exponential_averages(bars: Bars, mode: Mode) -> Bars:
    """The same bars, their averages exponential and scores against those; prices must be rounded. The rest stays.

    The first bar is taken for the first there is: give `EMA_WARMUP_BARS` earlier bars with a suffix, and cut them off.
    """
    with np.errstate(all="ignore"):
        values = _averages_and_scores(bars.close, _exponential_averages(bars.close))
        return bars.with_indicators(_rounded(values, mode))


def enhance_from(bars: Bars, first: int, mode: Mode, *, is_index: bool) -> Bars:
    """`enhance`, returning only the bars from position `first` on, and reading only the warm-up they need."""
    begin = max(0, first - WARMUP_BARS)
    enhanced = enhance(bars.take(slice(begin, None)), mode, is_index=is_index)
    return enhanced.take(slice(first - begin, None))


def _averages_and_scores(close: Float, averages: Float) -> dict[str, Float]:
    """Neither rounded yet. `averages`: shape (5, n), of the periods in `MA_PERIODS`."""
    scores = (close - averages) / averages * 100.0
    return dict(zip((*MA_FIELDS, *SCORE_FIELDS), (*averages, *scores), strict=True))


def _rounded(values: Mapping[str, Float], mode: Mode) -> dict[str, Float]:
    """Each indicator with the decimals of its scale; NaN where it is not finite."""
    result: dict[str, Float] = {}
    for scale in Scale:
        names = [field.name for field in INDICATORS if field.scale is scale and field.name in values]
        if names:
            rows = np.array([values[name] for name in names])
            decimals = market_of(mode).decimals(scale)
            rows = round_prices(rows, mode) if scale is Scale.PRICE else round_half_even(rows, decimals)
            rows[~np.isfinite(rows)] = np.nan
            result |= zip(names, rows, strict=True)
    return result


def _moving_averages(close: Float) -> Float:
    """Shape (5, n): arithmetic means of the last 10, 20, 50, 100, 200 closes; NaN before there are that many."""
    averages = np.full((len(MA_PERIODS), len(close)), np.nan)
    for row, (period, sums) in enumerate(window_sums(close).items()):
        averages[row, period - 1 :] = sums / period
    return averages


def _exponential_averages(close: Float) -> Float:
    """Shape (5, n), of 10, 20, 50, 100, 200 bars: NaN before there are N, then the mean of the first N closes, then
    a part 2 / (N + 1) of each close and the rest of the average before it.
    """
    averages = np.full((len(MA_PERIODS), len(close)), np.nan)
    for row, (period, sums) in enumerate(window_sums(close[: max(MA_PERIODS)]).items()):
        if len(close) >= period:
            decay = (period - 1) / (period + 1)
            # This difference is exact, so that the weights add up to 1; 2 / (period + 1) is rounded in another place.
            terms = (1.0 - decay) * close[period - 1 :]
            terms[0] = sums[0] / period
            averages[row, period - 1 :] = _decaying_sums(terms, decay)
    return averages


def _decaying_sums(terms: Float, decay: float) -> Float:
    """At each position i the sum of terms[i - k] * decay^k over k = 0, 1, ... until decay^k is below `_LEAST_WEIGHT`.

    By doubling: a sum of 2m terms is one of m terms and a weighted one of the m terms before. A recurrence from bar to
    bar takes 0.4 ms where this takes 0.06 (4,500 bars), and carries along the rounding errors of wherever it began;
    this way the same terms give the same bits.
    """
    sums, reach = terms, 1
    while decay**reach > _LEAST_WEIGHT and reach < len(terms):
        longer = sums.copy()
        longer[reach:] += decay**reach * sums[:-reach]
        sums, reach = longer, 2 * reach
    return sums


def _delta(values: Float) -> Float:
    return np.concatenate([np.full(min(1, len(values)), np.nan), np.diff(values)])


def _percent_change(values: Float) -> Float:
    """(value - previous) / previous x 100; NaN for the first, and after a value of zero or less."""
    previous = np.concatenate([np.full(min(1, len(values)), np.nan), values[:-1]])
    return np.where(previous > 0.0, (values - previous) / previous * 100.0, np.nan)
