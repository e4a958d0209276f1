"""A window: the bars of a series that a reader wants."""

from dataclasses import dataclass

import numpy as np

from stockapi.models.bars import Int
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode

MIN_TIME, MAX_TIME = -(1 << 63), (1 << 63) - 1
"""The limits of a time: Unix seconds in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The bars of each ticker to read: the last `limit` bars with start <= time <= end (Unix seconds). None: no limit.

    `warmup`: how many bars before the first one are read too, without indicators.
    `indicators`: whether the other bars have indicators. Without them, a row is read in half the time.
    """

    start: int | None = None
    end: int | None = None
    limit: int | None = None
    warmup: int = 0
    indicators: bool = True

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and the last second, both inclusive."""
        return MIN_TIME if self.start is None else self.start, MAX_TIME if self.end is None else self.end

    def at_most(self, count: int) -> int:
        """How many bars are wanted when `count` bars are in the range."""
        return count if self.limit is None else min(count, self.limit)

    def positions(self, time: Int) -> slice:
        """The positions of the window and its warm-up in a whole series with these ascending times."""
        first = 0 if self.start is None else int(np.searchsorted(time, self.start, side="left"))
        stop = len(time) if self.end is None else int(np.searchsorted(time, self.end, side="right"))
        first = stop - self.at_most(max(0, stop - first))
        return slice(max(0, first - self.warmup) if first < stop else first, stop)


WHOLE = Window()
"""The window of all bars of a series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastOfEach:
    """The last bar of every ticker of a market up to `end` (Unix seconds; None: the newest).

    `indicators`: whether the bars have indicators. Without them, a row is read in less time.
    """

    mode: Mode
    interval: Interval = Interval.DAILY
    end: int | None = None
    indicators: bool = True
