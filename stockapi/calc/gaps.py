"""The first and last time of a series of bars, and the days between them that have no bar."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int


@dataclass(frozen=True, slots=True)
class Gap:
    """Consecutive trading days without a bar: the first, the last (Unix seconds of midnight UTC), and their number."""

    first: int
    last: int
    days: int


@dataclass(frozen=True, slots=True)
class Extent:
    """What is stored of one ticker and interval: the number of bars, and the first and last time in Unix seconds.

    `days`: the days (UTC) with at least one bar, ascending, as Unix seconds of midnight.
    """

    first: int
    last: int
    count: int
    days: Int

    def __len__(self) -> int:
        return self.count

    @classmethod
    def of_times(cls, time: Int) -> Self:
        """The extent of bars at these times. `time`: ascending, at least one."""
        return cls(int(time[0]), int(time[-1]), len(time), np.unique(midnights(time)))

    def gaps(self, trading_days: Int) -> list[Gap]:
        """The gaps between the day of the first and the day of the last bar, ascending; empty when there are none.

        `trading_days`: Unix seconds of midnight, ascending; they must cover all of `days`. Two trading days are
        consecutive when no trading day is between them. A bar on a day without trade does not affect the gaps.
        """
        if not len(self.days):
            return []
        start, stop = np.searchsorted(trading_days, self.days[[0, -1]])
        expected = trading_days[start:stop]
        missing = np.flatnonzero(self.days[np.searchsorted(self.days, expected)] != expected)
        if not len(missing):
            return []
        runs = np.split(expected[missing], np.flatnonzero(np.diff(missing) > 1) + 1)
        return [Gap(int(run[0]), int(run[-1]), len(run)) for run in runs]


def midnights(time: Int) -> Int:
    """The start of the day (UTC) of each time, in Unix seconds."""
    days: Int = time // SECONDS_PER_DAY * SECONDS_PER_DAY
    return days
