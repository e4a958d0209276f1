"""Whether a source may go on with bars that came from another one.

Sources adjust their histories by different rules, and round them differently. So two histories are joined only where
both have been the same for a while, to the last dong. Volumes are not compared: sources count different trades.
"""

from enum import Enum

import numpy as np

from stockapi.calc.adjustments import in_both, runs_of_one_ratio
from stockapi.models.bars import Bars

COMPARED_BARS = 40
"""Two months of days. An adjustment that only one of the sources has made shows within them, or lies before them."""
LEAST_BARS = 10
"""With fewer closed bars the whole history is one small request, and a stock that does not move could agree by chance.
"""
_OTHER_UNIT = 500.0
"""Sources send prices in dong or in thousands. A ratio between half of that and twice that is no split."""


class Fit(Enum):
    """How the bars of a source follow the stored ones."""

    CONTINUES = "continues"
    DIFFERS = "has other prices"
    IS_BEHIND = "lacks the newest stored bars"
    OTHER_UNIT = "has prices in another unit than the stored ones"


def fit_of(closed: Bars, fetched: Bars, price_decimals: int) -> Fit:
    """Compare the newest closed bars that are stored with what a source has sent for their time.

    They continue when the source has each of them with the same four prices, and no other bar between them. Less than
    LEAST_BARS never continue.

    :param closed: the newest stored bars that are closed, COMPARED_BARS of them or all.
    :param fetched: what the source has sent; it may begin later, and has bars that are newer.
    """
    compared = closed.tail(COMPARED_BARS)
    if len(compared) and (not len(fetched) or fetched.time[-1] < compared.time[-1]):
        return Fit.IS_BEHIND
    if has_other_unit(compared, fetched):
        return Fit.OTHER_UNIT
    if len(compared) < LEAST_BARS:
        return Fit.DIFFERS
    given = fetched.between(int(compared.time[0]), int(compared.time[-1]))
    is_same = np.array_equal(compared.time, given.time) and np.array_equal(
        np.round(compared.prices, price_decimals), np.round(given.prices, price_decimals)
    )
    return Fit.CONTINUES if is_same else Fit.DIFFERS


def has_other_unit(stored: Bars, fetched: Bars) -> bool:
    """Whether the prices of the bars in both are about a thousand times, or a thousandth, of each other."""
    _, before, after = in_both(stored, fetched)
    held, given = stored.close[before], fetched.close[after]
    is_usable = (held > 0.0) & (given > 0.0)
    if not is_usable.any():
        return False
    ratio = float(np.median(held[is_usable] / given[is_usable]))
    return not 1.0 / _OTHER_UNIT < ratio < _OTHER_UNIT


def are_comparable(stored: Bars, given: Bars) -> bool:
    """Whether two histories differ by dividends and splits alone: most of the bars in both lie in runs of one ratio.

    Then bars that only the first has can be brought to the prices of the second (`adjusted_union`). Without a bar in
    both they cannot.
    """
    compared = len(in_both(stored, given)[0]) - 1
    return compared > 0 and 2 * sum(run.count for run in runs_of_one_ratio(stored, given)) > compared
