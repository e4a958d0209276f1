"""Dividends and splits: seen in the bars, and carried into those that the source does not send again.

A source that adjusts its history backwards divides all prices before the day of a dividend or split by a ratio. Stored
bars are then another version than the bars fetched now, and the two must not be mixed.

Two questions are kept apart. `agree` asks whether a resume may go on from the stored bars. The answer no costs a
download of the whole history, and never a wrong bar, so any difference that is no rounding counts.
`find_adjustments` asks what happened, for those who want to know: it tells a ratio only where all bars show it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars, Float, Int

_OLDEST_COMPARED = 5
_LEAST_RUN = 3
"""Bars in a row with one ratio. Fewer are corrected bars, unless there are no others."""
_MOST_CORRECTED = 9
"""Bars in a row with other ratios than both neighbours. More between two of one ratio are two adjustments that cancel
each other out: a split, and half a month later its opposite.
"""

_LEAST_OF_LEVEL = 5
_LEAST_STEP = 0.002
"""For steps of the level: closes of days and of minutes need not be the same to the last dong."""

_RATIO_DECIMALS = 6
_ROUNDED_TO = tuple(10.0**exponent for exponent in range(1, -13, -1))
"""A source rounds adjusted prices to one of these: to ten dong at most."""


@dataclass(frozen=True, slots=True)
class PriceAdjustment:
    """Prices before `ex_time` (Unix seconds, a day) are now `1 / ratio` of what was stored: 2.0 for a split in two."""

    ex_time: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Run:
    """Bars in a row whose stored closes are all one ratio of the fetched ones.

    `first`, `last`: their times. `low`, `high`: the ratios that the rounding of the prices allows.
    `stored`, `fetched`: the sums of their closes. `count`: how many bars.
    """

    first: int
    last: int
    low: float
    high: float
    stored: float
    fetched: float
    count: int

    @property
    def ratio(self) -> float:
        """1.0 where the difference may be rounding."""
        if self.low <= 1.0 <= self.high:
            return 1.0
        return min(max(self.stored / self.fetched, self.low), self.high)

    def joins(self, later: Self) -> bool:
        return max(self.low, later.low) <= min(self.high, later.high)

    def joined(self, later: Self) -> Self:
        return replace(
            self,
            last=later.last,
            low=max(self.low, later.low),
            high=min(self.high, later.high),
            stored=self.stored + later.stored,
            fetched=self.fetched + later.fetched,
            count=self.count + later.count,
        )


def agree(stored: Bars, fetched: Bars, unit: float) -> bool:
    """Whether the oldest bars in both have the same closes: then the source has not changed what lies before them.

    An adjustment changes all bars before a day, so it changes the oldest. Up to five of them are compared, and most of
    them must be the same, as a single bar may have been corrected. The newest bar in both is left out, as it may still
    be forming. Without any other bar in both, they agree.

    :param unit: the least distance of two stored prices. A difference of one unit is rounding.
    """
    _, before, after = in_both(stored, fetched)
    oldest = slice(0, min(_OLDEST_COMPARED, len(before) - 1)) if len(before) else slice(0)
    return _mostly_same(stored.close[before[oldest]], fetched.close[after[oldest]], unit)


def are_of_one_level(stored: Bars, fetched: Bars, unit: float) -> bool:
    """Whether the closed bars in both have the same closes, most of them at least; True where there is none in both.

    :param unit: as in `agree`.
    """
    _, before, after = in_both(stored, fetched)
    return _mostly_same(stored.close[before], fetched.close[after], unit)


def _mostly_same(stored: Float, fetched: Float, unit: float) -> bool:
    differs = np.abs(stored - fetched) > 1.5 * unit
    return 2 * int(differs.sum()) <= len(differs) - 1 or not len(differs)


def find_adjustments(stored: Bars, fetched: Bars) -> tuple[PriceAdjustment, ...]:
    """What the source has done to its history since `stored` was fetched: one entry for each dividend or split.

    The bars in both are cut into runs of one ratio each. A ratio is told from rounding by the rounding of the prices.
    Where the ratio changes, the day of the change is the first fetched bar of the newer run. A run of one or two bars
    is a correction, unless the whole comparison has no more. So are up to nine bars if those before and after them have
    one ratio: an adjustment would have changed those before them. The newest bar in both is left out, as it may be
    forming; only its open, which does not change any more, tells whether it belongs to the old version.

    :returns: in the order of time; () when nothing was adjusted. Ratios have 6 decimals.
    """
    runs = _without_corrections(runs_of_one_ratio(stored, fetched))
    found = []
    for run, newer in zip_longest(runs, runs[1:]):
        ratio = run.ratio / (1.0 if newer is None else newer.ratio)
        if round(ratio, _RATIO_DECIMALS) == 1.0:
            continue
        last_old = run.last if newer is not None else _last_old(run, stored, fetched)
        later = fetched.time[fetched.time > last_old]
        ex_time = int(later[0]) if len(later) else last_old + SECONDS_PER_DAY
        found.append(PriceAdjustment(ex_time, round(ratio, _RATIO_DECIMALS)))
    return tuple(found)


def adjusted_union(stored: Bars, staged: Bars) -> Bars:
    """The staged bars, and those stored ones that the source did not send, brought to the staged prices.

    The ratio of such a bar is that of the first bar in both at or after it. Bars newer than all in both, and all bars
    where none is in both, are left as they are. As the ratio comes from bars in both, bars that have been brought over
    already are left as they are, too. Volumes are not touched; indicators have to be computed anew.
    """
    missing = ~np.isin(stored.time, staged.time)
    if not missing.any():
        return staged
    rest = stored.take(missing)
    runs = runs_of_one_ratio(stored, staged)
    if any(run.ratio != 1.0 for run in runs):
        lasts = np.array([*(run.last for run in runs[:-1]), _last_old(runs[-1], stored, staged)], dtype=np.int64)
        ratios = np.array([*(run.ratio for run in runs), 1.0])
        rest = Bars.of(rest.time, rest.prices / ratios[np.searchsorted(lasts, rest.time)], rest.volume)
    return rest.merge(staged)


def at_level_of_days(
    intraday: Bars, staged: Bars, stored_days: Bars, days: Bars, dates_of: Callable[[Int], Int]
) -> Bars:
    """The intraday bars; those older than all staged ones are brought to the prices of the days, if they are not yet.

    An old piece may have no bar in both before a dividend, so that only the days tell its ratio. Nothing is done
    while the source's own intraday bars still have the prices from before it.

    :param intraday: the union of the stored and the staged bars. :param staged: what the source has sent of them.
    :param stored_days: the days before the adjustment. :param days: the days after it.
    :param dates_of: as in `is_of_one_level`.
    """
    runs = runs_of_one_ratio(stored_days, days)
    if not runs or not len(staged):
        return intraday
    lasts = np.array([*(run.last for run in runs[:-1]), _last_old(runs[-1], stored_days, days)], dtype=np.int64)
    ratios = np.array([*(run.ratio for run in runs), 1.0])
    of_bars, of_staged = (ratios[np.searchsorted(lasts, dates_of(bars.time))] for bars in (intraday, staged))
    is_old = intraday.time < staged.time[0]
    divisors = np.ones(len(intraday))
    for ratio in np.unique(ratios[ratios != 1.0]).tolist():
        if not is_of_one_level(days, staged.take(of_staged == ratio), dates_of, ratio):
            return intraday
        own = is_old & (of_bars == ratio)
        if not is_of_one_level(days, intraday.take(own), dates_of, ratio):
            divisors[own] = ratio
    return Bars.of(intraday.time, intraday.prices / divisors, intraday.volume)


def level_steps(days: Bars, intraday: Bars, dates_of: Callable[[Int], Int]) -> Int:
    """The dates at which the ratio of the day's close to the last intraday close changes by 0.2 % or more.

    A ratio counts where five dates in a row have it. So one level of prices has no step, and two have one.

    :param dates_of: as in `is_of_one_level`.
    """
    time, closes, lasts = _closes_by_date(days, intraday, dates_of)
    runs = [run for run in _with_neighbours_joined(_runs_of_one(time, closes, lasts)) if run.count >= _LEAST_OF_LEVEL]
    steps = [newer.first for run, newer in pairwise(runs) if abs(run.ratio / newer.ratio - 1.0) >= _LEAST_STEP]
    return np.array(steps, dtype=np.int64)


def is_of_one_level(days: Bars, intraday: Bars, dates_of: Callable[[Int], Int], ratio: float) -> bool:
    """Whether the last intraday close of each date is nearer to the day's close than to `ratio` times it, or its part.

    The median of the dates in both decides. Without a date in both there is nothing that could differ.

    :param dates_of: the local date of each time, as the time of its daily bar.
    """
    _, closes, lasts = _closes_by_date(days, intraday, dates_of)
    if not len(closes):
        return True
    apart = float(np.median(np.log(closes / lasts)))
    return abs(apart) <= abs(math.log(ratio)) / 2.0


def _closes_by_date(days: Bars, intraday: Bars, dates_of: Callable[[Int], Int]) -> tuple[Int, Float, Float]:
    """For each date in both: its time, the day's close, the last intraday close. A price of 0 says nothing."""
    dates = dates_of(intraday.time)
    is_last = np.append(dates[1:] != dates[:-1], True) if len(dates) else np.zeros(0, dtype=np.bool_)
    time, before, after = np.intersect1d(days.time, dates[is_last], assume_unique=True, return_indices=True)
    closes, lasts = days.close[before], intraday.close[is_last][after]
    is_usable = (closes > 0.0) & (lasts > 0.0)
    return time[is_usable], closes[is_usable], lasts[is_usable]


def runs_of_one_ratio(stored: Bars, fetched: Bars) -> list[Run]:
    """The closed bars in both, in order of time, corrections left out."""
    time, before, after = in_both(stored, fetched)
    closes = stored.close[before][:-1], fetched.close[after][:-1]
    is_usable = (closes[0] > 0.0) & (closes[1] > 0.0)
    each = _runs_of_one(time[:-1][is_usable], closes[0][is_usable], closes[1][is_usable])
    runs = _with_neighbours_joined(each)
    total = sum(run.count for run in runs)
    # The shortest first: what a correction has cut off belongs to the run before it.
    for least in range(2, _LEAST_RUN + 1):
        runs = _with_neighbours_joined([run for run in runs if run.count >= min(least, total)])
    return runs


def _without_corrections(runs: list[Run]) -> list[Run]:
    """The runs without up to nine bars between two of one ratio, which become one. After the newest bar it is 1.0."""
    kept: list[Run] = []
    for each in runs:
        before = _before_correction(kept, each.joins)
        kept = [*kept, each] if before is None else [*kept[:before], kept[before].joined(each)]
    before = _before_correction(kept, lambda run: run.ratio == 1.0)
    return kept if before is None else kept[: before + 1]


def _before_correction(runs: list[Run], is_same: Callable[[Run], bool]) -> int | None:
    """The position of the newest run that is the same, if up to nine bars come after it; None if none of them is."""
    corrected = 0
    for position in range(len(runs) - 1, 0, -1):
        corrected += runs[position].count
        if corrected > _MOST_CORRECTED:
            return None
        if is_same(runs[position - 1]):
            return position - 1
    return None


def _runs_of_one(time: Int, stored: Float, fetched: Float) -> list[Run]:
    """A run for each bar."""
    # A traded price is exact; an adjusted one was rounded, by a source to ten dong at most.
    error, fetched_error = min(_rounding(stored), 0.5), _rounding(fetched)
    low = (stored - error) / (fetched + fetched_error)
    with np.errstate(divide="ignore"):
        high = np.where(fetched > fetched_error, (stored + error) / (fetched - fetched_error), np.inf)
    columns = time, low * (1.0 - 1e-9), high * (1.0 + 1e-9), stored, fetched
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [Run(moment, moment, least, most, own, other, 1) for moment, least, most, own, other in rows]


def _with_neighbours_joined(runs: list[Run]) -> list[Run]:
    joined: list[Run] = []
    for run in runs:
        if joined and joined[-1].joins(run):
            joined[-1] = joined[-1].joined(run)
        else:
            joined.append(run)
    return joined


def _rounding(prices: Float) -> float:
    """Half of the coarsest unit that most of these prices are multiples of: how far each may be from its true value.

    One of five and 5 % of many may be no multiples: a corrected price may have more decimals.
    """
    for unit in _ROUNDED_TO:
        is_multiple = np.abs(prices - np.round(prices / unit) * unit) <= 1e-9 * np.maximum(prices, unit)
        if np.count_nonzero(~is_multiple) <= max(len(prices) // 20, min(len(prices) // 5, 1)):
            return unit / 2
    return 0.0


def _last_old(run: Run, stored: Bars, fetched: Bars) -> int:
    """The time of the newest stored bar of the old version: of the run's last bar or, by its open, of the next."""
    time, before, after = in_both(stored, fetched)
    opens = float(stored.open[before[-1]]), float(fetched.open[after[-1]])
    if min(opens) <= 0.0:
        return run.last
    ratio = opens[0] / opens[1]
    return int(time[-1]) if abs(ratio - run.ratio) < abs(ratio - 1.0) else run.last


def in_both(stored: Bars, fetched: Bars) -> tuple[Int, NDArray[np.intp], NDArray[np.intp]]:
    """The times in both, and their positions in each."""
    time, before, after = np.intersect1d(stored.time, fetched.time, assume_unique=True, return_indices=True)
    return time, before, after
