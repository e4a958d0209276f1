"""Longer bars from stored ones, checked against a slow oracle that follows the calendar with `datetime`."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import groupby
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.aggregator import aggregate, base_bars_needed, bucket_bounds, bucket_start
from stockapi.models import AggregatedInterval, Bars, Mode
from stockapi.models.timestamps import parse_time

MIN_5, MIN_15, MIN_30 = AggregatedInterval.MIN_5, AggregatedInterval.MIN_15, AggregatedInterval.MIN_30
HOUR_2, HOUR_4 = AggregatedInterval.HOUR_2, AggregatedInterval.HOUR_4
WEEK_1, WEEK_2, MONTH_1 = AggregatedInterval.WEEK_1, AggregatedInterval.WEEK_2, AggregatedInterval.MONTH_1
VN, CRYPTO = Mode.VN, Mode.CRYPTO

intervals = st.sampled_from(AggregatedInterval)
modes = st.sampled_from(Mode)
# 1900 to 2200: before the epoch too, where rounding towards zero would go wrong.
moments = st.integers(-2_208_988_800, 7_258_118_399)


# The oracle


def utc(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def seconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)


def starts_a_bucket(moment: datetime, interval: AggregatedInterval, mode: Mode) -> bool:
    """Whether a whole minute is a bucket's first."""
    hour, minute = moment.hour, moment.minute
    is_monday_midnight = moment.isoweekday() == 1 and hour == minute == 0
    four_hours = (2, 6, 10, 14, 18, 22) if mode is VN else (0, 4, 8, 12, 16, 20)
    return {
        MIN_5: minute % 5 == 0,
        MIN_15: minute in (0, 15, 30, 45),
        MIN_30: minute in (0, 30),
        HOUR_2: minute == 0 and hour % 2 == 0,
        HOUR_4: minute == 0 and hour in four_hours,
        WEEK_1: is_monday_midnight,
        WEEK_2: is_monday_midnight and moment.isocalendar().week % 2 == 0,
        MONTH_1: moment.day == 1 and hour == minute == 0,
    }[interval]


def walk(moment: datetime, interval: AggregatedInterval, mode: Mode, direction: int) -> datetime:
    """The nearest start of a bucket one way or the other from a whole step, this one included."""
    step = direction * timedelta(seconds=60 if interval.is_intraday else 86_400)
    while not starts_a_bucket(moment, interval, mode):
        moment += step
    return moment


def slow_bounds(moment: int, interval: AggregatedInterval, mode: Mode) -> tuple[int, int]:
    now = utc(moment).replace(second=0)
    whole = now if interval.is_intraday else now.replace(hour=0, minute=0)
    one_on = whole + timedelta(seconds=60 if interval.is_intraday else 86_400)
    return seconds(walk(whole, interval, mode, -1)), seconds(walk(one_on, interval, mode, +1))


Row = tuple[int, float, float, float, float, float]


def slow_aggregate(rows: list[Row], interval: AggregatedInterval, mode: Mode) -> list[Row]:
    longer = []
    for start, group in groupby(rows, key=lambda row: slow_bounds(row[0], interval, mode)[0]):
        _, opens, highs, lows, closes, volumes = zip(*group, strict=True)
        volume = sum(volumes) if mode is VN else round(float(sum(map(Fraction, volumes))), 8)
        longer.append((start, opens[0], max(highs), min(lows), closes[-1], volume))
    return longer


# Bars to aggregate


def bars_of(rows: list[Row], mode: Mode) -> Bars:
    time, *prices, volume = np.array(rows, dtype=object).reshape(-1, 6).T
    volumes = volume.astype(np.int64) if mode is VN else volume.astype(np.float64)
    return Bars.of(time.astype(np.int64), np.array(prices, dtype=np.float64), volumes)


def rows_of(bars: Bars) -> list[Row]:
    columns = (bars.time, *bars.prices, bars.volume)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@st.composite
def series(draw: st.DrawFn) -> tuple[Bars, AggregatedInterval, Mode]:
    """Bars on the grid of a base interval, with gaps of all sizes; up to 250 of them."""
    interval, mode = draw(intervals), draw(modes)
    step = interval.base.seconds
    random = Random(draw(st.integers(0, 2**32)))
    keep = draw(st.sampled_from([0.05, 0.5, 0.95, 1.0]))
    start = draw(moments) // step * step
    kept = [n for n in range(draw(st.sampled_from([0, 1, 2, 30, 250]))) if random.random() < keep]
    rows = [
        (
            start + n * step,
            *(round(random.uniform(0, 100_000), 2) for _ in range(4)),
            random.randrange(10**12) if mode is VN else round(random.uniform(0, 10 ** random.randint(0, 9)), 8),
        )
        for n in kept
    ]
    return bars_of(rows, mode), interval, mode


# Where buckets begin and end


@pytest.mark.parametrize(
    ("interval", "mode", "moment", "start", "end"),
    [
        (MIN_5, VN, "2025-06-02T02:14:59", "2025-06-02T02:10:00", "2025-06-02T02:15:00"),
        (MIN_15, VN, "2025-06-02T02:15:00", "2025-06-02T02:15:00", "2025-06-02T02:30:00"),
        (MIN_30, CRYPTO, "2025-06-02T23:59:00", "2025-06-02T23:30:00", "2025-06-03T00:00:00"),
        # 2h of vn: 09:00, 11:00 and 13:00 in Ho Chi Minh City
        (HOUR_2, VN, "2025-06-02T02:00:00", "2025-06-02T02:00:00", "2025-06-02T04:00:00"),
        (HOUR_2, VN, "2025-06-02T04:00:00", "2025-06-02T04:00:00", "2025-06-02T06:00:00"),
        (HOUR_2, VN, "2025-06-02T07:59:59", "2025-06-02T06:00:00", "2025-06-02T08:00:00"),
        (HOUR_2, CRYPTO, "2025-06-02T23:00:00", "2025-06-02T22:00:00", "2025-06-03T00:00:00"),
        # 4h of vn: 09:00 and 13:00 in Ho Chi Minh City
        (HOUR_4, VN, "2025-06-02T02:00:00", "2025-06-02T02:00:00", "2025-06-02T06:00:00"),
        (HOUR_4, VN, "2025-06-02T05:59:59", "2025-06-02T02:00:00", "2025-06-02T06:00:00"),
        (HOUR_4, VN, "2025-06-02T07:00:00", "2025-06-02T06:00:00", "2025-06-02T10:00:00"),
        (HOUR_4, VN, "2025-06-02T01:00:00", "2025-06-01T22:00:00", "2025-06-02T02:00:00"),
        (HOUR_4, CRYPTO, "2025-06-02T02:00:00", "2025-06-02T00:00:00", "2025-06-02T04:00:00"),
        (HOUR_4, CRYPTO, "2025-06-02T23:00:00", "2025-06-02T20:00:00", "2025-06-03T00:00:00"),
        (WEEK_1, VN, "2025-06-02", "2025-06-02", "2025-06-09"),
        (WEEK_1, CRYPTO, "2025-06-01", "2025-05-26", "2025-06-02"),
        (WEEK_1, CRYPTO, "1970-01-01", "1969-12-29", "1970-01-05"),
        # 2W from an even ISO week on, whatever year it is in
        (WEEK_2, VN, "2025-06-08", "2025-05-26", "2025-06-09"),
        (WEEK_2, VN, "2025-01-01", "2024-12-23", "2025-01-06"),
        # 2020 and 2026 have 53 weeks: the bucket of week 52 lasts for 52, 53 and 1
        (WEEK_2, VN, "2020-12-20", "2020-12-07", "2020-12-21"),
        (WEEK_2, VN, "2020-12-21", "2020-12-21", "2021-01-11"),
        (WEEK_2, VN, "2020-12-28", "2020-12-21", "2021-01-11"),
        (WEEK_2, VN, "2021-01-10", "2020-12-21", "2021-01-11"),
        (WEEK_2, VN, "2021-01-11", "2021-01-11", "2021-01-25"),
        (WEEK_2, CRYPTO, "2026-12-31", "2026-12-21", "2027-01-11"),
        (WEEK_2, CRYPTO, "2027-01-10", "2026-12-21", "2027-01-11"),
        (WEEK_2, CRYPTO, "2027-01-11", "2027-01-11", "2027-01-25"),
        (MONTH_1, VN, "2024-02-29", "2024-02-01", "2024-03-01"),
        (MONTH_1, VN, "2025-01-31", "2025-01-01", "2025-02-01"),
        (MONTH_1, CRYPTO, "1969-12-31", "1969-12-01", "1970-01-01"),
    ],
)
def test_a_moment_lies_in_its_bucket(
    interval: AggregatedInterval, mode: Mode, moment: str, start: str, end: str
) -> None:
    assert bucket_bounds(parse_time(moment), interval, mode) == (parse_time(start), parse_time(end))


@settings(max_examples=300, deadline=None)
@given(moment=moments, interval=intervals, mode=modes)
def test_bounds_are_those_of_the_calendar(moment: int, interval: AggregatedInterval, mode: Mode) -> None:
    assert bucket_bounds(moment, interval, mode) == slow_bounds(moment, interval, mode)


@pytest.mark.parametrize("interval", [WEEK_1, WEEK_2, MONTH_1])
def test_every_day_of_two_centuries_falls_where_the_calendar_says(interval: AggregatedInterval) -> None:
    days = np.arange(parse_time("1900-01-01"), parse_time("2100-01-01"), 86_400)
    expected, start = [], slow_bounds(int(days[0]), interval, VN)[0]
    for day in days.tolist():
        start = day if starts_a_bucket(utc(day), interval, VN) else start
        expected.append(start)
    assert bucket_start(days, interval, VN).tolist() == expected


@settings(max_examples=100, deadline=None)
@given(at=st.lists(moments, max_size=20), interval=intervals, mode=modes)
def test_starts_of_many_moments_are_the_starts_of_each(at: list[int], interval: AggregatedInterval, mode: Mode) -> None:
    starts = bucket_start(np.array(at, dtype=np.int64), interval, mode)
    assert starts.dtype == np.int64
    assert starts.tolist() == [bucket_bounds(moment, interval, mode)[0] for moment in at]


@pytest.mark.parametrize("year", [1, 9999])
@pytest.mark.parametrize("interval", AggregatedInterval)
def test_the_ends_of_the_calendar_have_buckets_too(interval: AggregatedInterval, year: int) -> None:
    moment = seconds(datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC))
    start, end = bucket_bounds(moment, interval, VN)
    assert start <= moment < end


# What a bucket holds


def test_a_bar_opens_with_the_first_closes_with_the_last_and_spans_all() -> None:
    day = parse_time("2025-06-02T02:15:00")
    rows: list[Row] = [
        (day, 60.0, 61.0, 59.5, 60.5, 100),
        (day + 120, 60.5, 63.0, 60.5, 62.0, 50),
        (day + 240, 62.0, 62.5, 58.0, 58.5, 7),
        (day + 300, 58.5, 58.5, 58.5, 58.5, 1),
    ]
    assert rows_of(aggregate(bars_of(rows, VN), MIN_5, VN)) == [
        (day, 60.0, 63.0, 58.0, 58.5, 157),
        (day + 300, 58.5, 58.5, 58.5, 58.5, 1),
    ]


def test_a_bar_carries_the_start_of_its_bucket_though_the_first_base_bar_comes_later() -> None:
    wednesday = parse_time("2025-06-04")
    longer = aggregate(bars_of([(wednesday, 1.0, 1.0, 1.0, 1.0, 1)], VN), WEEK_1, VN)
    assert longer.time.tolist() == [parse_time("2025-06-02")]


@pytest.mark.parametrize(
    ("volumes", "total"),
    [
        ([0.1, 0.2], 0.3),
        ([0.1] * 5, 0.5),
        ([1e9, 0.00000001, 0.00000001], 1_000_000_000.00000002),
        ([123_456_789_012.5, 0.25], 123_456_789_012.75),
        ([0.0, 0.0], 0.0),
    ],
)
def test_fractions_of_a_coin_add_up_exactly(volumes: list[float], total: float) -> None:
    rows: list[Row] = [(60 * n, 1.0, 1.0, 1.0, 1.0, volume) for n, volume in enumerate(volumes)]
    for order in (1, -1):
        shuffled: list[Row] = [(*row[:5], volume) for row, volume in zip(rows, volumes[::order], strict=True)]
        assert aggregate(bars_of(shuffled, CRYPTO), MIN_5, CRYPTO).volume.tolist() == [total]


def test_whole_volumes_stay_whole_past_the_precision_of_a_float() -> None:
    rows: list[Row] = [(0, 1.0, 1.0, 1.0, 1.0, 2**53), (60, 1.0, 1.0, 1.0, 1.0, 1)]
    assert aggregate(bars_of(rows, VN), MIN_5, VN).volume.tolist() == [2**53 + 1]


@pytest.mark.parametrize(("mode", "kind"), [(VN, np.int64), (CRYPTO, np.float64)])
@pytest.mark.parametrize("is_empty", [True, False])
def test_volume_keeps_the_type_of_its_market(mode: Mode, kind: type, is_empty: bool) -> None:
    rows: list[Row] = [] if is_empty else [(0, 1.0, 1.0, 1.0, 1.0, 1)]
    longer = aggregate(bars_of(rows, mode), MONTH_1, mode)
    assert len(longer) == len(rows)
    assert longer.volume.dtype.type is kind


def test_indicators_of_the_base_bars_do_not_come_along() -> None:
    base = Bars.of(np.array([0, 60]), np.ones((4, 2)), np.array([1, 1]), np.ones((13, 2)))
    assert np.isnan(aggregate(base, MIN_5, VN).indicators).all()


@settings(max_examples=150, deadline=None)
@given(series())
def test_bars_are_those_of_the_slow_way(drawn: tuple[Bars, AggregatedInterval, Mode]) -> None:
    bars, interval, mode = drawn
    assert rows_of(aggregate(bars, interval, mode)) == slow_aggregate(rows_of(bars), interval, mode)


@settings(max_examples=100, deadline=None)
@given(series())
def test_no_volume_is_lost(drawn: tuple[Bars, AggregatedInterval, Mode]) -> None:
    bars, interval, mode = drawn
    total = sum(aggregate(bars, interval, mode).volume.tolist())
    assert total == pytest.approx(sum(bars.volume.tolist()), rel=0 if mode is VN else 1e-12)


# Any window gives the same bars


@settings(max_examples=150, deadline=None)
@given(drawn=series(), pick=st.randoms(use_true_random=False))
def test_whole_buckets_give_the_same_bars_as_the_whole_series(
    drawn: tuple[Bars, AggregatedInterval, Mode], pick: Random
) -> None:
    bars, interval, mode = drawn
    near = [int(bars.time[0]), int(bars.time[-1])] if len(bars) else [0, 0]
    start, end = sorted(pick.randint(near[0] - 10**6, near[1] + 10**6) for _ in range(2))
    whole = bars.between(bucket_bounds(start, interval, mode)[0], bucket_bounds(end, interval, mode)[1] - 1)
    assert (
        aggregate(whole, interval, mode).between(start, end).equals(aggregate(bars, interval, mode).between(start, end))
    )


def full_series(first: str, last: str, interval: AggregatedInterval) -> Bars:
    """A bar at each step of the base interval: as full as buckets get."""
    time = np.arange(parse_time(first), parse_time(last) + 1, interval.base.seconds)
    close = np.arange(len(time), dtype=np.float64)
    return Bars.of(time, np.array([close, close, close, close]), np.ones(len(time), dtype=np.int64))


@pytest.mark.parametrize(
    ("interval", "first", "last"),
    [
        (MIN_5, "2025-06-02", "2025-06-02T06:04:00"),
        (MIN_15, "2025-06-02", "2025-06-02T06:44:00"),
        (MIN_30, "2025-06-02", "2025-06-02T09:59:00"),
        (HOUR_2, "2025-06-02", "2025-06-09T21:00:00"),
        (HOUR_4, "2025-06-02", "2025-06-09T21:00:00"),
        (WEEK_1, "2024-01-01", "2025-06-01"),
        (WEEK_2, "2020-01-01", "2021-01-10"),
        (MONTH_1, "2023-01-01", "2025-08-31"),
    ],
)
@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_enough_base_bars_are_read_for_a_number_of_buckets(
    interval: AggregatedInterval, first: str, last: str, count: int
) -> None:
    bars = full_series(first, last, interval)
    newest = bars.tail(base_bars_needed(count, interval))
    assert aggregate(newest, interval, VN).tail(count).equals(aggregate(bars, interval, VN).tail(count))
    # The last bucket is a longest one, so the bound is the tightest there is.
    one_bucket = base_bars_needed(1, interval)
    assert aggregate(bars.tail(one_bucket), interval, VN).volume.tolist() == [one_bucket]


@settings(max_examples=150, deadline=None)
@given(drawn=series(), count=st.integers(1, 12))
def test_gaps_never_make_the_newest_buckets_incomplete(
    drawn: tuple[Bars, AggregatedInterval, Mode], count: int
) -> None:
    bars, interval, mode = drawn
    newest = bars.tail(base_bars_needed(count, interval))
    assert aggregate(newest, interval, mode).tail(count).equals(aggregate(bars, interval, mode).tail(count))


MOST = (1 << 63) - 1


@pytest.mark.parametrize(
    ("volumes", "expected"),
    [([MOST] * 10, MOST), ([MOST, 0], MOST), ([MOST - 5, 5], MOST), ([MOST - 5, 4], MOST - 1), ([1 << 62] * 3, MOST)],
)
def test_a_volume_beyond_what_a_number_holds_does_not_wrap(volumes: list[int], expected: int) -> None:
    time = parse_time("2024-01-01") + 86_400 * np.arange(len(volumes))
    bars = Bars.of(time, np.ones((4, len(volumes))), np.array(volumes, dtype=np.int64))
    assert aggregate(bars, MONTH_1, VN).volume.tolist() == [expected]
