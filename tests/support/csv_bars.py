"""Bars for the tests of the CSV store: written by hand, and random."""

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from stockapi.calc.indicators import round_half_even, round_prices
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode
from stockapi.models.bars import Float
from stockapi.models.fields import INDICATORS, Field, Scale

DAY = 86_400
START = 1_704_067_200
"""2024-01-01T00:00:00Z"""


def step(interval: Interval) -> int:
    return interval.seconds


def times(count: int, interval: Interval = Interval.MINUTE, start: int = START) -> np.ndarray:
    return start + step(interval) * np.arange(count, dtype=np.int64)


def flat_bars(time: Sequence[int] | np.ndarray, price: float = 10.0, mode: Mode = Mode.VN) -> Bars:
    """Every price, indicator and volume of every bar is `price`."""
    count = len(time)
    volume = np.full(count, price).astype(np.int64 if market_of(mode).has_whole_volume else np.float64)
    return Bars(
        np.asarray(time, dtype=np.int64),
        np.full((4, count), price),
        volume,
        np.full((len(INDICATORS), count), price),
    )


def rounded(bars: Bars, mode: Mode) -> Bars:
    """Numbers as the enhancer makes them: rounded once, to the decimals of the market."""
    indicators = [_rounded_row(row, field, mode) for row, field in zip(bars.indicators, INDICATORS, strict=True)]
    return Bars(bars.time, round_prices(bars.prices, mode), bars.volume, np.array(indicators))


def _rounded_row(row: Float, field: Field, mode: Mode) -> Float:
    decimals = market_of(mode).decimals(field.scale)
    return round_prices(row, mode) if field.scale is Scale.PRICE else round_half_even(row, decimals)


_PRICE = st.one_of(
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e-6),
    st.floats(0.0, allow_infinity=False, allow_nan=False),
)
_INDICATOR = st.one_of(
    st.just(float("nan")),
    st.floats(-1e6, 1e6),
    st.floats(allow_infinity=False, allow_nan=False),
)


@st.composite
def any_bars(draw: st.DrawFn, mode: Mode, interval: Interval, max_size: int = 8) -> Bars:
    """Any bars that can be stored, not rounded, with any times of the years 1 to 9999."""
    low, high = -62_135_596_800 // step(interval), 253_402_300_799 // step(interval)
    near = START // step(interval)
    slots = st.one_of(st.integers(near, near + 20), st.integers(low + 1, high))
    time = np.array(sorted(draw(st.lists(slots, max_size=max_size, unique=True))), dtype=np.int64) * step(interval)
    count = len(time)
    prices = draw(st.lists(_PRICE, min_size=4 * count, max_size=4 * count))
    volume = st.integers(0, (1 << 63) - 1) if market_of(mode).has_whole_volume else _PRICE
    volumes = draw(st.lists(volume, min_size=count, max_size=count))
    size = len(INDICATORS) * count
    indicators = draw(st.lists(_INDICATOR, min_size=size, max_size=size))
    return Bars(
        time,
        np.array(prices, dtype=np.float64).reshape(4, count),
        np.array(volumes, dtype=np.int64 if market_of(mode).has_whole_volume else np.float64),
        np.array(indicators, dtype=np.float64).reshape(len(INDICATORS), count),
    )
