"""Which bars a file can hold, and which a tail may replace."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import CsvError
from stockapi.formats.csv_fast_reader import MAX_TIME, MIN_TIME
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval


def is_storable(bars: Bars, interval: Interval) -> NDArray[np.bool_]:
    """For each bar: whether it can be written to a file and read back."""
    step = 1 if interval.is_intraday else SECONDS_PER_DAY
    fits = (bars.time >= MIN_TIME) & (bars.time <= MAX_TIME) & (bars.time % step == 0)
    fits &= (np.isfinite(bars.prices) & (bars.prices >= 0.0)).all(axis=0)
    fits &= np.isfinite(bars.volume) & (bars.volume >= 0) & ~np.isinf(bars.indicators).any(axis=0)
    return np.asarray(fits)


def require_storable(path: Path, bars: Bars, interval: Interval) -> None:
    """:raises CsvError: for a bar that would be read back as a damaged line."""
    fits = is_storable(bars, interval)
    fits[1:] &= bars.time[1:] > bars.time[:-1]
    if not fits.all():
        first = int(np.flatnonzero(~fits)[0])
        raise CsvError(
            f"{path}: the bar at position {first}, time {bars.time[first]}, cannot be stored; times must ascend"
            f" (days: at midnight), prices and volume be finite and not negative, indicators finite or absent"
        )


def require_no_loss(path: Path, stored: Bars, bars: Bars) -> None:
    lost = np.setdiff1d(stored.time, bars.time)
    if len(lost):
        raise CsvError(
            f"{path}: {len(lost)} stored bars, the first at {lost[0]}, would be lost; to drop bars, write the series"
        )
