"""Make bars from rows with times of any kind: to which bar a moment belongs, and how rows of one bar are merged.

Sources and files follow the same rule. If two rows have *equal* moments, the later row is a correction and counts. Rows
of *different* moments in one bar are parts of it. They are merged like the base bars of an aggregated bar.
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

    `corrected`: the number of rows that a later row of the same moment replaced. `merged`: the number of rows that were
    merged into the bar of another row.
    """

    bars: Bars
    corrected: int = 0
    merged: int = 0


def bar_start(moments: Int, interval: Interval, mode: Mode) -> Int:
    """For each moment (Unix seconds): the time of its bar.

    The day of a moment is its date in the time zone of the market, for example in Ho Chi Minh City. A midnight of UTC
    is taken as a date. That is right in every time zone, because no market has a session at that moment that belongs to
    another day.
    """
    if not interval.is_intraday:
        return np.where(moments % SECONDS_PER_DAY == 0, moments, market_of(mode).calendar.date_of(moments))
    starts: Int = moments - moments % interval.seconds
    return starts


def as_bars(rows: Bars, interval: Interval, mode: Mode) -> Regular:
    """Bars from rows in any order, at any moments, several at the same moment. Merged bars have no indicators."""
    is_ascending = (rows.time[1:] > rows.time[:-1]).all()
    ordered = rows if is_ascending else rows.take(slice(0)).merge(rows)
    corrected = len(rows) - len(ordered)
    starts = bar_start(ordered.time, interval, mode)
    if (starts[1:] > starts[:-1]).all():
        return Regular(Bars(starts, ordered.prices, ordered.volume, ordered.indicators), corrected)
    bars = combined(ordered, starts, mode)
    return Regular(bars, corrected, len(ordered) - len(bars))
