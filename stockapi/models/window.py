"""Which bars of a series a reader wants."""

from dataclasses import dataclass

import numpy as np

from stockapi.models.bars import Int

MIN_TIME, MAX_TIME = -(1 << 63), (1 << 63) - 1
"""Of what a time may be: Unix seconds in 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which bars of each ticker to read: start <= time <= end (Unix seconds, None open), of those the last `limit`.

    `warmup` bars before the first of them come along, without indicators. `indicators`: whether the others have theirs;
    a row is read in half the time without.
    """

    start: int | None = None
    end: int | None = None
    limit: int | None = None
    warmup: int = 0
    indicators: bool = True

    @property
    def bounds(self) -> tuple[int, int]:
        """First and last second, both inclusive."""
        return MIN_TIME if self.start is None else self.start, MAX_TIME if self.end is None else self.end

    def at_most(self, count: int) -> int:
        """How many of `count` bars in range are wanted."""
        return count if self.limit is None else min(count, self.limit)

    def positions(self, time: Int) -> slice:
        """Where the window and its warm-up stand in a whole series, whose ascending times these are."""
        first = 0 if self.start is None else int(np.searchsorted(time, self.start, side="left"))
        stop = len(time) if self.end is None else int(np.searchsorted(time, self.end, side="right"))
        first = stop - self.at_most(max(0, stop - first))
        return slice(max(0, first - self.warmup) if first < stop else first, stop)


WHOLE = Window()
"""All bars of a series."""
