"""The bars of one moment, one of each symbol: as a series `Bars` ascends in time, as a cross-section it does not."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from stockapi.models.bars import Bars, Float


def last_of_each(series: Collection[Bars]) -> Bars:
    """The last bar of each of these series, at least one and none empty, in their order.

    Meant for short ones, which are joined first: 287 series of one bar take 0.1 ms, their `tail`s 0.5.
    """
    ends = np.cumsum([len(bars) for bars in series])
    return Bars.concatenate(list(series)).take(ends - 1)


def or_none(values: Float) -> list[float | None]:
    """NaN as None."""
    known: NDArray[np.bool_] = ~np.isnan(values)
    return [value if is_known else None for value, is_known in zip(values.tolist(), known.tolist(), strict=True)]
