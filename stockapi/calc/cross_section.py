"""The bars of one moment, one of each symbol: as a series `Bars` ascends in time, as a cross-section it does not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars, Float, Int


@dataclass(frozen=True, slots=True)
class CrossSection:
    """One bar of each symbol, at the position that the symbol has; the symbols in alphabetical order."""

    symbols: list[str]
    bars: Bars

    @classmethod
    def of_last(cls, series: Mapping[str, Bars], *, whole_volume: bool) -> Self:
        """The last bar of each symbol (alphabetical, no series empty).

        Meant for short series, which are joined first: 287 series of one bar take 0.1 ms, their `tail`s 0.5.
        """
        if not series:
            return cls([], Bars.empty(whole_volume=whole_volume))
        ends = np.cumsum([len(bars) for bars in series.values()])
        return cls(list(series), Bars.concatenate(list(series.values())).take(ends - 1))

    def take(self, where: Int) -> Self:
        """Those at these positions."""
        return type(self)([self.symbols[position] for position in where.tolist()], self.bars.take(where))

    def keep(self, is_wanted: Callable[[str], bool]) -> Self:
        return self.take(np.flatnonzero([is_wanted(symbol) for symbol in self.symbols]))

    @property
    def newest_day(self) -> int | None:
        """Unix seconds of the start of the day (UTC) that the newest bar is of; None when there is no bar."""
        if not self.symbols:
            return None
        newest = int(self.bars.time.max())
        return newest - newest % SECONDS_PER_DAY


def or_none(values: Float) -> list[float | None]:
    """NaN as None."""
    known: NDArray[np.bool_] = ~np.isnan(values)
    return [value if is_known else None for value, is_known in zip(values.tolist(), known.tolist(), strict=True)]
