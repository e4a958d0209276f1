"""Gaps of a series, against the sets that define them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.gaps import Extent, Gap, midnights
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int


def midnights_of(*days: int) -> Int:
    """Numbers of days since 1970 as midnights."""
    return np.array(days, dtype=np.int64) * SECONDS_PER_DAY


def gaps(days: Int, trading_days: Int) -> list[tuple[int, int, int]]:
    """First, last, days, with numbers of days for midnights."""
    found = Extent(0, 0, 0, days).gaps(trading_days)
    return [(each.first // SECONDS_PER_DAY, each.last // SECONDS_PER_DAY, each.days) for each in found]


@pytest.mark.parametrize(
    ("days", "trading_days", "expected"),
    [
        ([], range(10), []),
        ([4], range(10), []),
        ([4, 5], range(10), []),
        (range(10), range(10), []),
        ([3, 5], range(10), [(4, 4, 1)]),
        ([3, 7], range(10), [(4, 6, 3)]),
        ([1, 3, 4, 7], range(10), [(2, 2, 1), (5, 6, 2)]),
        # Nothing is missing before the first or after the last.
        ([3, 4], range(100), []),
        # A weekend is no gap, nor does it divide one.
        ([1, 4], [0, 1, 4, 5], []),
        ([0, 6], [0, 1, 4, 5, 6], [(1, 5, 3)]),
        # A bar on a day without trading: at either end, within a gap, or where there is none.
        ([0, 3], [1, 2], [(1, 2, 2)]),
        ([0, 3, 6], [0, 1, 2, 4, 5, 6], [(1, 5, 4)]),
        ([0, 1, 2, 3], [0, 3], []),
        # A market that never traded.
        ([0, 9], [], []),
    ],
)
def test_gaps_are_runs_of_trading_days_without_a_bar(
    days: list[int], trading_days: list[int], expected: list[tuple[int, int, int]]
) -> None:
    assert gaps(midnights_of(*days), midnights_of(*trading_days)) == expected


def by_definition(days: set[int], trading_days: set[int]) -> list[tuple[int, int, int]]:
    """Day by day over the trading days between the first bar and the last."""
    runs: list[list[int]] = []
    is_in_run = False
    for day in sorted(each for each in trading_days if days and min(days) < each < max(days)):
        if day in days:
            is_in_run = False
        elif is_in_run:
            runs[-1].append(day)
        else:
            runs.append([day])
            is_in_run = True
    return [(run[0], run[-1], len(run)) for run in runs]


some_days = st.sets(st.integers(-20, 40))


@settings(max_examples=300, deadline=None)
@given(days=some_days, trading_days=some_days)
def test_gaps_are_those_of_the_definition(days: set[int], trading_days: set[int]) -> None:
    assert gaps(midnights_of(*sorted(days)), midnights_of(*sorted(trading_days))) == by_definition(days, trading_days)


@settings(max_examples=200, deadline=None)
@given(days=some_days.filter(bool), trading_days=some_days)
def test_bars_and_gaps_together_are_the_trading_days(days: set[int], trading_days: set[int]) -> None:
    """No trading day between the ends is lost or counted twice."""
    inside = {day for day in trading_days if min(days) < day < max(days)}
    found = gaps(midnights_of(*sorted(days)), midnights_of(*sorted(trading_days)))
    missing = [day for first, last, _ in found for day in sorted(inside) if first <= day <= last]
    assert sorted(missing + list(inside & days)) == sorted(inside)
    assert sum(count for _, _, count in found) == len(missing)


@settings(max_examples=200, deadline=None)
@given(times=st.sets(st.integers(-5 * SECONDS_PER_DAY, 5 * SECONDS_PER_DAY), min_size=1))
def test_the_extent_of_times(times: set[int]) -> None:
    extent = Extent.of_times(np.array(sorted(times), dtype=np.int64))
    assert (extent.first, extent.last, extent.count) == (min(times), max(times), len(times))
    assert extent.days.tolist() == sorted({(time // SECONDS_PER_DAY) * SECONDS_PER_DAY for time in times})
    assert len(extent) == len(times)


def test_a_gap_is_given_in_plain_numbers() -> None:
    """Not NumPy's, which no JSON writer takes."""
    (gap,) = Extent(0, 0, 2, midnights_of(1, 3)).gaps(midnights_of(1, 2, 3))
    assert gap == Gap(2 * SECONDS_PER_DAY, 2 * SECONDS_PER_DAY, 1)
    assert {type(value) for value in (gap.first, gap.last, gap.days)} == {int}


def test_a_day_begins_at_midnight_before_1970_too() -> None:
    assert midnights(np.array([-1, 0, 86_399, 86_400])).tolist() == [-86_400, 0, 0, 86_400]
