"""How far a series of bars reaches, and the days between on which it has none."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of `days` trading days without a bar: the first and the last of them, Unix seconds of midnight UTC."""

    first: int
    last: int
    days: int


@dataclass(frozen=True, slots=True)
class Extent:
    """What is stored of one ticker and interval: `count` bars, the times of the first and last in Unix seconds.

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
        """That of bars at these times, which ascend and are at least one."""
        return cls(int(time[0]), int(time[-1]), len(time), np.unique(midnights(time)))

    def gaps(self, trading_days: Int) -> list[Gap]:
        """The runs of trading days, strictly between the first and the last bar's day, without a bar; ascending.

        `trading_days`: as `days`; they reach at least from the first to the last of them. Trading days are next to
        each other when no trading day is between them. A bar on any other day neither makes a gap nor divides one.
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
    """The midnight, UTC, that begins the day of each time."""
    days: Int = time // SECONDS_PER_DAY * SECONDS_PER_DAY
    return days
