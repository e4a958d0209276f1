"""Longer bars from stored ones: minutes into 5m 15m 30m, hours into 2h 4h, days into 1W 2W 1M.

The time of an aggregated bar is the start of its bucket. A query returns the bucket that contains its start, whole, and
all later ones up to its end. Base bars after the end do not count: the last bar is what was known at that time. The
reader of base bars must therefore begin at the start of a bucket (`bucket_bounds`), and read enough bars
(`base_bars_needed`). It cuts the result afterwards, with `Bars.between` or `Bars.tail`.

Where buckets start, in UTC:

* 5m, 15m, 30m: on the clock, 02:00, 02:05, ...
* 2h, 4h: counted from the market's `hour_grid_origin_s`. For crypto that is on the clock: 00:00, 04:00, ... For vn it
  is the open of both halves of the session: 02:00 and 06:00 (09:00 and 13:00 in Ho Chi Minh City). Bars outside the
  session use the same grid. A 2h bucket of vn that begins at 04:00 ends with the lunch break.
* 1W: Monday 00:00.
* 2W: Monday 00:00 of an even ISO week. A year of 53 weeks is followed by another odd week, 1. Weeks 53 and 1 then
  belong to the bucket that began in week 52, so it has three weeks (for example 2020-12-21 to 2021-01-10).
* 1M: the 1st, 00:00.
"""

from itertools import pairwise
from math import fsum
from typing import Final

import numpy as np

from stockapi.constants import LARGEST_INT64, SECONDS_PER_DAY
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import PRICE_FIELDS, VOLUME_DECIMALS
from stockapi.models.interval import AggregatedInterval, Interval
from stockapi.models.mode import Mode

_WEEK_S: Final = 7 * SECONDS_PER_DAY
_FIRST_MONDAY_S: Final = -3 * SECONDS_PER_DAY
"""1969-12-29: the Unix epoch was a Thursday."""

_MOST_BASE_BARS: Final = {
    AggregatedInterval.MIN_5: 5,
    AggregatedInterval.MIN_15: 15,
    AggregatedInterval.MIN_30: 30,
    AggregatedInterval.HOUR_2: 2,
    AggregatedInterval.HOUR_4: 4,
    AggregatedInterval.WEEK_1: 7,
    AggregatedInterval.WEEK_2: 21,
    AggregatedInterval.MONTH_1: 31,
}
"""The longest bucket of each interval, in base bars. A week has seven days for vn too, in case a feed sends a weekend
bar.
"""


def aggregate(bars: Bars, interval: AggregatedInterval, mode: Mode) -> Bars:
    """One bar for each bucket that has base bars, as `combined`. `bars`: the bars of `interval.base`."""
    return combined(bars, bucket_start(bars.time, interval, mode), mode)


def combined(bars: Bars, starts: Int, mode: Mode) -> Bars:
    """One bar for each run of equal `starts`: first open, highest high, lowest low, last close, summed volume.

    `starts`: for each bar the time of the combined bar it belongs to, ascending. The result has no indicators.
    Whole volumes are added as int64; a sum that is larger becomes the largest int64. Other volumes are added exactly
    and then rounded to 8 decimals. The sum therefore depends neither on the order nor on the processor, and
    0.1 + 0.2 is 0.3. The volume of a single bar does not change.
    """
    is_whole = market_of(mode).has_whole_volume
    if not len(bars):
        return Bars.empty(whole_volume=is_whole)
    changes = np.flatnonzero(starts[1:] != starts[:-1])
    first, last = np.append(0, changes + 1), np.append(changes, len(bars) - 1)
    prices = np.empty((len(PRICE_FIELDS), len(first)))
    prices[0], prices[3] = bars.open[first], bars.close[last]
    np.maximum.reduceat(bars.high, first, out=prices[1])
    np.minimum.reduceat(bars.low, first, out=prices[2])
    volume = _whole_sums(bars.volume, first) if is_whole else _exact_sums(bars.volume, first)
    return Bars.of(starts[first], prices, volume)


def _whole_sums(volume: Int | Float, first: Int) -> Int:
    sums: Int = np.add.reduceat(volume, first)
    if int(volume.max()) <= LARGEST_INT64 // len(volume):
        return sums
    stops = [*first[1:].tolist(), len(volume)]
    exact = [sum(volume[start:stop].tolist()) for start, stop in zip(first.tolist(), stops, strict=True)]
    return np.array([min(each, LARGEST_INT64) for each in exact], dtype=np.int64)


def bucket_start(time: Int, interval: AggregatedInterval, mode: Mode) -> Int:
    """The start of the bucket of each time, in Unix seconds; times before 1970 are allowed."""
    if interval is AggregatedInterval.MONTH_1:
        return time.astype("datetime64[s]").astype("datetime64[M]").astype("datetime64[s]").astype(np.int64)
    if interval is AggregatedInterval.WEEK_2:
        return _fortnight_start(time)
    origin, length = _grid_origin_s(interval, mode), _longest_bucket_s(interval)
    return (time - origin) // length * length + origin  # the remainder would take three times as long


def bucket_bounds(moment: int, interval: AggregatedInterval, mode: Mode) -> tuple[int, int]:
    """The start and the exclusive end of the bucket that contains `moment`, all in Unix seconds."""
    start = _bucket_start_of(moment, interval, mode)
    # A start plus the longest length is inside the next bucket, because two buckets together are longer than that.
    return start, _bucket_start_of(start + _longest_bucket_s(interval), interval, mode)


def base_bars_needed(count: int, interval: AggregatedInterval) -> int:
    """The number of newest base bars that surely contain the newest `count` buckets completely.

    It is an upper bound for the LIMIT of a query. If base bars are missing, more than `count` buckets are read, and the
    oldest may be incomplete. The caller must take the tail of the aggregated bars.
    """
    return count * _MOST_BASE_BARS[interval]


def _longest_bucket_s(interval: AggregatedInterval) -> int:
    return _MOST_BASE_BARS[interval] * interval.base.seconds


def _grid_origin_s(interval: AggregatedInterval, mode: Mode) -> int:
    if interval is AggregatedInterval.WEEK_1:
        return _FIRST_MONDAY_S
    return market_of(mode).hour_grid_origin_s if interval.base is Interval.HOURLY else 0


def _bucket_start_of(moment: int, interval: AggregatedInterval, mode: Mode) -> int:
    return int(bucket_start(np.array([moment], dtype=np.int64), interval, mode)[0])


def _fortnight_start(time: Int) -> Int:
    week = (time - _FIRST_MONDAY_S) // _WEEK_S
    is_even, follows_even = _iso_week(week) % 2 == 0, _iso_week(week - 1) % 2 == 0
    weeks_back = np.where(is_even, 0, np.where(follows_even, 1, 2))
    return (week - weeks_back) * _WEEK_S + _FIRST_MONDAY_S


def _iso_week(week: Int) -> Int:
    """The ISO 8601 week number, 1 to 53. `week`: the number of weeks after the week of the Unix epoch."""
    # A week belongs to the year of its Thursday, and the Unix epoch was a Thursday.
    thursday = (7 * week).astype("datetime64[D]")
    new_year = thursday.astype("datetime64[Y]").astype("datetime64[D]")
    day_of_year: Int = (thursday - new_year).astype(np.int64)
    return day_of_year // 7 + 1


def _exact_sums(volume: Int | Float, first: Int) -> Float:
    """The sum of each bucket. `first`: the position of the first bar of each bucket."""
    values = volume.tolist()
    edges = pairwise([*first.tolist(), len(values)])
    return np.array([_exact_sum(values[begin:end]) for begin, end in edges])


def _exact_sum(values: list[float]) -> float:
    return values[0] if len(values) == 1 else round(fsum(values), VOLUME_DECIMALS)
