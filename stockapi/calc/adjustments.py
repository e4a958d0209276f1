"""Dividends and splits: seen in the bars, and carried into those that the source does not send again.

A source that adjusts its history backwards divides all prices before the day of a dividend or split by a ratio. Stored
bars are then another version than those fetched now, and the two must not be mixed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars, Float

_LATEST_COMPARED = 20
_LEAST_DIFFERING = 5
_LEAST_RATIO = 1.03
"""A rule that worked in the field: corrected bars and roundings stay below it, dividends worth noticing above."""

_SAME_RATIO = 0.01

_RATIO_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class PriceAdjustment:
    """Prices before `ex_time` (Unix seconds, a day) are now `1 / ratio` of what was stored: 2.0 for a split in two."""

    ex_time: int
    ratio: float


def find_adjustment(stored: Bars, fetched: Bars) -> PriceAdjustment | None:
    """Whether the source has adjusted its history since `stored` was fetched.

    Of the last 20 bars in both, the newest left out (it may still be forming), at least 5 closes must differ by a ratio
    of 1.03 or more, either way. The ratio told is the median of those, to 6 decimals.
    """
    common, before, after = np.intersect1d(stored.time, fetched.time, return_indices=True)
    ratios = _ratios(stored.close[before], fetched.close[after])
    compared = ratios[-_LATEST_COMPARED - 1 : -1]
    differing = compared[_differs(compared)]
    if len(differing) < _LEAST_DIFFERING:
        return None
    ratio = float(np.median(differing))
    # The newest bar belongs to the old version if it differs just as the others do, and not if it was forming only.
    is_old = np.append(_differs(ratios[:-1]), abs(ratios[-1] / ratio - 1.0) < _SAME_RATIO)
    last_old = int(common[is_old][-1])
    later = fetched.time[fetched.time > last_old]
    ex_time = int(later[0]) if len(later) else last_old + SECONDS_PER_DAY
    return PriceAdjustment(ex_time, round(ratio, _RATIO_DECIMALS))


def adjusted_union(stored: Bars, staged: Bars) -> Bars:
    """The staged bars, and those stored ones that the source did not send, brought to the staged prices.

    The ratio comes from the bars in both, so bars that have been brought over already are left as they are. Volumes
    are not touched; indicators have to be computed anew.
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
    """stored / fetched; 1 where either is 0, which says nothing."""
    is_usable = (stored > 0.0) & (fetched > 0.0)
    return np.divide(stored, fetched, out=np.ones_like(stored), where=is_usable)
