"""Exact sums of windows of a series: the sum of `math.fsum`, for all windows at once."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from stockapi.models.bars import Float
from stockapi.models.fields import MA_PERIODS

EXACT_LIMIT: Final = float(1 << 52)
"""From here on a float64 has no fraction."""

# (size, newer part, older part): each window consists of two shorter ones, so nine additions give all averages.
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


def window_sums(values: Float, periods: Sequence[int] = MA_PERIODS) -> dict[int, Float]:
    """For each period N, the sums of N consecutive values: shape (len - N + 1,), first window first.

    Each sum equals `math.fsum` of its window. Running totals give it where they are exact; otherwise a second float64
    carries the rounding errors, and the pair is rounded to one float64 at the end.
    """
    totals = _exact_totals(values)
    if totals is not None:
        high, low = totals
        return {period: (high[period:] - high[:-period]) + (low[period:] - low[:-period]) for period in periods}
    windows: dict[int, tuple[Float, Float]] = {1: (values, np.zeros_like(values))}
    for size, newer, older in _WINDOW_CHAIN if periods == MA_PERIODS else _halves_of(periods):
        count = max(0, len(values) - size + 1)
        windows[size] = _add_pairs(
            (windows[newer][0][older : older + count], windows[newer][1][older : older + count]),
            (windows[older][0][:count], windows[older][1][:count]),
        )
    return {period: windows[period][0] for period in periods}


def _halves_of(periods: Sequence[int]) -> list[tuple[int, int, int]]:
    """As `_WINDOW_CHAIN`, for any periods: each window consists of its two halves."""
    sizes, open_sizes = set[int](), list(periods)
    while open_sizes:
        size = open_sizes.pop()
        if size > 1 and size not in sizes:
            sizes.add(size)
            open_sizes += [size // 2, size - size // 2]
    return [(size, size // 2, size - size // 2) for size in sorted(sizes)]


def _exact_totals(values: Float) -> Float | None:
    """Two running totals from 0.0 on, shape (2, len + 1): of the high part of each value, and of the low part. None
    when one of them would be rounded.

    The high parts are multiples of a power of two, and so large that no total needs more than 53 bits. The low parts
    are the rest. Their totals need no more than 53 bits if no value is much smaller than the largest one. So all
    totals and their differences are exact, and only the sum of a high and a low difference is rounded, once.
    """
    size = np.abs(values)
    most, least = float(size.max(initial=0.0)), float(size.min(initial=math.inf, where=size > 0.0))
    is_narrow = most * len(values) ** 2 <= least * EXACT_LIMIT < math.inf  # False for NaN
    unit = math.ldexp(1.0, math.frexp(most * len(values))[1] - 52) if is_narrow else 0.0
    if unit == 0.0:
        return None
    totals = np.zeros((2, len(values) + 1))
    high = np.rint(values / unit) * unit
    np.cumsum(high, out=totals[0, 1:])
    np.cumsum(values - high, out=totals[1, 1:])
    return totals
