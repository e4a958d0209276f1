"""Find dividends and splits in the bars, and apply them to stored bars that the source no longer sends.

A back-adjusting source divides all prices before the day of a dividend or split by a ratio. The stored bars are then an
older version than the fetched ones, and the two versions must not be mixed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars, Float

_LATEST_COMPARED = 20
_LEAST_DIFFERING = 5
_LEAST_RATIO = 1.03
"""The threshold comes from experience: corrected bars and rounding stay below it, relevant dividends are above it."""

_SAME_RATIO = 0.01

_RATIO_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class PriceAdjustment:
    """All prices before `ex_time` (Unix seconds, a day) are divided by `ratio`: 2.0 for a split in two."""

    ex_time: int
    ratio: float


def find_adjustment(stored: Bars, fetched: Bars) -> PriceAdjustment | None:
    """The adjustment that the source made after `stored` was fetched; None when it made none.

    It compares the last 20 bars that both have, without the newest one, which may be incomplete. At least 5 closes must
    differ by a ratio of 1.03 or more, up or down. The result is the median of these ratios, rounded to 6 decimals.
    """
    common, before, after = np.intersect1d(stored.time, fetched.time, return_indices=True)
    ratios = _ratios(stored.close[before], fetched.close[after])
    compared = ratios[-_LATEST_COMPARED - 1 : -1]
    differing = compared[_differs(compared)]
    if len(differing) < _LEAST_DIFFERING:
        return None
    ratio = float(np.median(differing))
    # The newest bar is of the old version if it differs by the same ratio. If it was incomplete, its ratio is another.
    is_old = np.append(_differs(ratios[:-1]), abs(ratios[-1] / ratio - 1.0) < _SAME_RATIO)
    last_old = int(common[is_old][-1])
    later = fetched.time[fetched.time > last_old]
    ex_time = int(later[0]) if len(later) else last_old + SECONDS_PER_DAY
    return PriceAdjustment(ex_time, round(ratio, _RATIO_DECIMALS))


def adjusted_union(stored: Bars, staged: Bars) -> Bars:
    """The staged bars, and the stored bars that the source did not send, adjusted to the staged prices.

    The ratio is computed from the bars that both have, so bars that are adjusted already do not change. Volumes do not
    change. The caller must compute the indicators again.
    """
    _, before, after = np.intersect1d(stored.time, staged.time, return_indices=True)
    missing = ~np.isin(stored.time, staged.time)
    if not missing.any():
        return staged
    rest = stored.take(missing)
    changed = _ratios(stored.close[before], staged.close[after])
    is_old = _differs(changed)
    if is_old.any():
        last_old = stored.time[before][is_old][-1]
        ratio = float(np.median(changed[is_old]))
        prices = np.where(rest.time <= last_old, rest.prices / ratio, rest.prices)
        rest = Bars.of(rest.time, prices, rest.volume)
    return rest.merge(staged)


def _differs(ratios: Float) -> NDArray[np.bool_]:
    return np.maximum(ratios, 1.0 / ratios) >= _LEAST_RATIO


def _ratios(stored: Float, fetched: Float) -> Float:
    """stored / fetched; 1 where one of them is 0, because 0 gives no ratio."""
    is_usable = (stored > 0.0) & (fetched > 0.0)
    return np.divide(stored, fetched, out=np.ones_like(stored), where=is_usable)
