"""Rows of any moment as bars: which bar a moment lies in, and what several rows of one bar come to.

The same rule for sources and for files: rows of *equal* moments are corrections, of which the later one counts; rows of
*different* moments in one bar are parts of it, and are put together as those of an aggregated bar are.
"""

from dataclasses import dataclass

import numpy as np

from stockapi.calc.aggregator import combined
from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Int
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode


@dataclass(frozen=True, slots=True)
class Regular:
    """Bars on the grid of their interval, one for each time.

    `corrected`: rows whose moment a later row had, too. `merged`: rows that became a part of another one's bar.
    """

    bars: Bars
    corrected: int = 0
    merged: int = 0


def bar_start(moments: Int, interval: Interval, mode: Mode) -> Int:
    """The time of the bar that each moment (Unix seconds) lies in.

    A day is that where the market is, in Ho Chi Minh City or in UTC, whatever moment of it a row is stamped with. A
    midnight of UTC is a date that needs no more looking at: no market has a session that is of another day then.
    """
    if not interval.is_intraday:
        return np.where(moments % SECONDS_PER_DAY == 0, moments, market_of(mode).calendar.date_of(moments))
    starts: Int = moments - moments % interval.seconds
    return starts


def as_bars(rows: Bars, interval: Interval, mode: Mode) -> Regular:
    """`rows` may be in any order, at any moments, and more than one at a time; indicators are lost where rows merge."""
    is_ascending = (rows.time[1:] > rows.time[:-1]).all()
    ordered = rows if is_ascending else rows.take(slice(0)).merge(rows)
    corrected = len(rows) - len(ordered)
    starts = bar_start(ordered.time, interval, mode)
    if (starts[1:] > starts[:-1]).all():
        return Regular(Bars(starts, ordered.prices, ordered.volume, ordered.indicators), corrected)
    bars = combined(ordered, starts, mode)
    return Regular(bars, corrected, len(ordered) - len(bars))
