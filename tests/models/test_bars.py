"""`Bars`: cutting, joining and comparing series, checked against a dictionary of bars by time."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.models import Bars
from stockapi.models.fields import INDICATOR_FIELDS

MODEST = settings(deadline=None, max_examples=100)


def bars_at(*times: int, version: int = 0, whole_volume: bool = True) -> Bars:
    """Bars whose every value tells their time and version: open is time + version / 8, and so on."""
    time = np.array(times, dtype=np.int64)
    prices = np.vstack([time + version / 8 + field / 100 for field in range(4)])
    volume = np.array([10 * at + version for at in times], dtype=np.int64 if whole_volume else np.float64)
    indicators = np.vstack([time + version / 8 + field for field in range(len(INDICATOR_FIELDS))])
    return Bars.of(time, prices, volume, indicators)


Row = tuple[Any, ...]


def as_dict(bars: Bars) -> dict[int, Row]:
    """Each bar as a tuple, by time; NaN as None so that it can be compared."""
    rows: dict[int, Row] = {}
    for at, moment in enumerate(bars.time.tolist()):
        indicators = (None if np.isnan(value) else float(value) for value in bars.indicators[:, at])
        rows[moment] = (*bars.prices[:, at].tolist(), bars.volume[at].item(), *indicators)
    assert list(rows) == bars.time.tolist(), "a time stands twice"
    return rows


SERIES = st.lists(st.integers(-1000, 1000), unique=True, max_size=30).map(sorted)


@st.composite
def series(draw: st.DrawFn, version: int = 0) -> Bars:
    bars = bars_at(*draw(SERIES), version=version)
    absent = draw(st.lists(st.booleans(), min_size=bars.indicators.size, max_size=bars.indicators.size))
    bars.indicators[np.array(absent, dtype=np.bool_).reshape(bars.indicators.shape)] = np.nan
    return bars


# Columns


def test_columns_have_their_names() -> None:
    bars = bars_at(5, 7)
    assert len(bars) == 2
    assert bars.open.tolist() == [5.0, 7.0]
    assert bars.high.tolist() == [5.01, 7.01]
    assert bars.low.tolist() == [5.02, 7.02]
    assert bars.close.tolist() == [5.03, 7.03]
    for row, name in enumerate(INDICATOR_FIELDS):
        assert bars.indicator(name).tolist() == [5.0 + row, 7.0 + row]


def test_an_unknown_indicator_is_a_mistake_of_the_code() -> None:
    with pytest.raises(KeyError):
        bars_at(5).indicator("ma30")


def test_indicators_are_absent_until_given() -> None:
    bars = Bars.of(np.array([1, 2], dtype=np.int64), np.ones((4, 2)), np.array([1, 2], dtype=np.int64))
    assert bars.indicators.shape == (13, 2)
    assert np.isnan(bars.indicators).all()


def test_all_but_the_indicators_may_be_kept() -> None:
    bars = bars_at(5, 7)
    bare = bars.without_indicators()
    assert bare.equals(Bars.of(bars.time, bars.prices, bars.volume))
    assert not np.isnan(bars.indicators).any()


@pytest.mark.parametrize(("whole_volume", "dtype"), [(True, np.int64), (False, np.float64)])
def test_an_empty_series_has_all_columns_of_the_right_kind(whole_volume: bool, dtype: type) -> None:
    bars = Bars.empty(whole_volume=whole_volume)
    assert len(bars) == 0
    assert (bars.time.dtype, bars.volume.dtype, bars.prices.dtype) == (np.int64, dtype, np.float64)
    assert (bars.prices.shape, bars.indicators.shape) == ((4, 0), (13, 0))


@pytest.mark.parametrize("whole_volume", [True, False])
def test_an_empty_series_takes_part_in_everything(whole_volume: bool) -> None:
    empty, some = Bars.empty(whole_volume=whole_volume), bars_at(5, 7, whole_volume=whole_volume)
    assert empty.equals(Bars.empty(whole_volume=whole_volume))
    assert not empty.equals(some)
    assert not some.equals(empty)
    assert len(empty.between(0, 10)) == len(empty.tail(3)) == len(empty.take(slice(None))) == 0
    assert len(empty.merge(empty)) == 0
    for joined in (empty.merge(some), some.merge(empty)):
        assert joined.equals(some)
        assert joined.volume.dtype == some.volume.dtype


# Cutting


@pytest.mark.parametrize(
    ("start", "end", "times"),
    [
        (None, None, [10, 20, 30]),
        (10, 30, [10, 20, 30]),
        (11, 29, [20]),
        (20, 20, [20]),
        (None, 20, [10, 20]),
        (20, None, [20, 30]),
        (21, 29, []),
        (31, None, []),
        (None, 9, []),
        (30, 10, []),
        (-(1 << 62), 1 << 62, [10, 20, 30]),
    ],
)
def test_between_takes_both_ends(start: int | None, end: int | None, times: list[int]) -> None:
    assert bars_at(10, 20, 30).between(start, end).time.tolist() == times


BOUND = st.one_of(st.none(), st.integers(-1100, 1100))


@MODEST
@given(series(), BOUND, BOUND)
def test_between_is_a_filter_by_time(bars: Bars, start: int | None, end: int | None) -> None:
    wanted = {
        time: row
        for time, row in as_dict(bars).items()
        if (start is None or time >= start) and (end is None or time <= end)
    }
    assert as_dict(bars.between(start, end)) == wanted


@MODEST
@given(series(), st.integers(0, 40))
def test_tail_is_the_newest_bars_in_their_order(bars: Bars, count: int) -> None:
    newest = sorted(as_dict(bars), reverse=True)[:count]
    assert as_dict(bars.tail(count)) == {time: row for time, row in as_dict(bars).items() if time in newest}


@pytest.mark.parametrize(
    ("which", "times"),
    [
        (slice(1, None), [20, 30]),
        (slice(None, None, 2), [10, 30]),
        (np.array([0, 2]), [10, 30]),
        (np.array([], dtype=np.int64), []),
        (np.array([False, True, False]), [20]),
        (np.array([False, False, False]), []),
    ],
)
def test_take_keeps_all_columns_of_a_bar_together(which: Any, times: list[int]) -> None:
    bars = bars_at(10, 20, 30)
    assert as_dict(bars.take(which)) == {time: as_dict(bars)[time] for time in times}


# Joining


def test_where_both_have_a_time_the_newer_bar_wins_whole() -> None:
    old, new = bars_at(10, 20, 30), bars_at(20, 40, version=1)
    new.indicators[:, 0] = np.nan  # even its absent values replace those that were there
    merged = old.merge(new)
    assert as_dict(merged) == {
        10: as_dict(old)[10],
        20: as_dict(new)[20],
        30: as_dict(old)[30],
        40: as_dict(new)[40],
    }


@MODEST
@given(series(version=0), series(version=1))
def test_merge_is_an_update_of_one_dictionary_by_the_other(old: Bars, new: Bars) -> None:
    merged = old.merge(new)
    assert as_dict(merged) == dict(sorted((as_dict(old) | as_dict(new)).items()))
    assert merged.volume.dtype == np.int64


@MODEST
@given(series(version=0), series(version=1))
def test_merge_leaves_both_sides_as_they_were(old: Bars, new: Bars) -> None:
    before = as_dict(old), as_dict(new)
    merged = old.merge(new)
    for column in (merged.time, merged.prices, merged.volume, merged.indicators):
        column[...] = 0
    assert (as_dict(old), as_dict(new)) == before


@MODEST
@given(series())
def test_merging_a_series_into_itself_changes_nothing(bars: Bars) -> None:
    assert bars.merge(bars).equals(bars)


@MODEST
@given(series(version=0), series(version=1), series(version=2))
def test_it_does_not_matter_in_how_many_steps_news_arrive(first: Bars, second: Bars, third: Bars) -> None:
    assert first.merge(second).merge(third).equals(first.merge(second.merge(third)))


@MODEST
@given(series(), st.integers(0, 30))
def test_the_parts_of_a_series_one_after_the_other_are_the_series(bars: Bars, cut: int) -> None:
    joined = Bars.concatenate([bars.take(slice(None, cut)), bars.take(slice(cut, None))])
    assert joined.equals(bars)
    assert joined.volume.dtype == bars.volume.dtype


# Comparing


def test_bars_without_indicators_are_equal_though_nan_is_not() -> None:
    one, other = (Bars.of(b.time, b.prices, b.volume) for b in (bars_at(10, 20), bars_at(10, 20)))
    assert one.equals(other)
    assert one.differing_from(other).tolist() == [False, False]


@pytest.mark.parametrize("column", ["time", "prices", "volume", "indicators"])
@pytest.mark.parametrize("row", [0, 1, 2, 3])
def test_any_differing_value_is_noticed(column: str, row: int) -> None:
    one, other = bars_at(10, 20, 30), bars_at(10, 20, 30)
    values = getattr(other, column)
    values[(row, 1) if values.ndim == 2 else 1] += 1
    assert one.differing_from(other).tolist() == [False, True, False]
    assert not one.equals(other)


def test_the_smallest_difference_counts() -> None:
    one, other = bars_at(10, 20), bars_at(10, 20)
    other.prices[3, 0] = np.nextafter(other.prices[3, 0], np.inf)
    assert one.differing_from(other).tolist() == [True, False]


@pytest.mark.parametrize("name", INDICATOR_FIELDS)
def test_a_value_that_only_one_side_has_is_a_difference(name: str) -> None:
    one, other = bars_at(10, 20), bars_at(10, 20)
    other.indicator(name)[0] = np.nan
    assert one.differing_from(other).tolist() == other.differing_from(one).tolist() == [True, False]


def test_series_of_other_lengths_are_not_equal() -> None:
    assert not bars_at(10, 20).equals(bars_at(10))
    assert not bars_at(10).equals(bars_at(10, 20))


@MODEST
@given(series(), series())
def test_equal_means_the_same_bars(one: Bars, other: Bars) -> None:
    assert one.equals(one.take(slice(None)))
    assert one.equals(other) == (as_dict(one) == as_dict(other))
