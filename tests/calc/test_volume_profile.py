import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.volume_profile import (
    MAX_LEVELS,
    Bin,
    PointOfControl,
    PriceRange,
    ProfileOptions,
    Statistics,
    TickLevel,
    ValueArea,
    VolumeProfile,
    tick_size,
    volume_profile,
)
from stockapi.errors import TooManyRowsError
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.mode import Mode

Bar = tuple[float, float, float]
"""Low, high, volume."""


def minutes(bars: Sequence[Bar], mode: Mode = Mode.VN) -> Bars:
    low, high, volume = (np.array(column, dtype=np.float64) for column in zip(*bars, strict=True))
    prices = np.vstack([low, high, low, high])
    times = np.arange(len(bars), dtype=np.int64) * 60
    return Bars.of(times, prices, volume.astype(np.int64) if market_of(mode).has_whole_volume else volume)


def profile_of(
    *bars: Bar, mode: Mode = Mode.VN, is_index: bool = False, bins: int = 50, pct: float = 70.0
) -> VolumeProfile:
    return volume_profile("VCB", minutes(bars, mode), mode, ProfileOptions(bins, pct), is_index=is_index)


def at(*volumes: float) -> list[Bar]:
    """A bar on each level from 5,000 on, ten dong apart."""
    return [(5_000.0 + 10 * number, 5_000.0 + 10 * number, volume) for number, volume in enumerate(volumes)]


def volumes(profile: VolumeProfile) -> dict[float, float]:
    return {each.price: each.volume for each in profile.profile}


# The whole of it, by hand


def test_a_profile_by_hand() -> None:
    # Levels 5000 5010 5020 5030 get 100, 100 + 200, 200 and nothing; 5040 gets 400.
    found = profile_of((5_000, 5_010, 200), (5_010, 5_020, 400), (5_040, 5_040, 400), (5_100, 4_000, 0))
    assert found == VolumeProfile(
        symbol="VCB",
        total_volume=1_000.0,
        total_minutes=4,
        price_range=PriceRange(5_000.0, 5_040.0, 40.0),
        poc=PointOfControl(5_040.0, 400.0, 40.0),
        value_area=ValueArea(5_010.0, 5_040.0, 900.0, 90.0),
        profile=[
            Bin(5_000.0, 100.0, 10.0, 10.0),
            Bin(5_010.0, 300.0, 30.0, 40.0),
            Bin(5_020.0, 200.0, 20.0, 60.0),
            Bin(5_030.0, 0.0, 0.0, 60.0),
            Bin(5_040.0, 400.0, 40.0, 100.0),
        ],
        # mean 5023; (23^2 * .1 + 13^2 * .3 + 3^2 * .2 + 17^2 * .4) = 221; cubes -1216.7 - 659.1 - 5.4 + 1965.2 = 84
        statistics=Statistics(5_023.0, 5_020.0, 14.87, round(84 / 221**1.5, 4)),
        # as many levels as bins: the same
        tick_level=TickLevel(
            10.0,
            PointOfControl(5_040.0, 400.0, 40.0),
            ValueArea(5_010.0, 5_040.0, 900.0, 90.0),
            Statistics(5_023.0, 5_020.0, 14.87, round(84 / 221**1.5, 4)),
        ),
    )
    assert type(found.total_volume) is int, "shares are whole"


def test_a_sum_of_volumes_beyond_63_bits_is_the_largest_number() -> None:
    bars = minutes([(100.0, 100.0, 0.0)] * 3)
    profile = volume_profile(
        "VCB",
        Bars.of(bars.time, bars.prices, np.array([2**63 - 1, 2**63 - 1, 7])),
        Mode.VN,
        ProfileOptions(50, 70.0),
        is_index=False,
    )
    assert profile.total_volume == 2**63 - 1


def test_one_price_has_no_deviation() -> None:
    found = profile_of((60_300, 60_300, 500), (60_300, 60_300, 300))
    assert found.price_range == PriceRange(60_300.0, 60_300.0, 0.0)
    assert found.poc == PointOfControl(60_300.0, 800.0, 100.0)
    assert found.value_area == ValueArea(60_300.0, 60_300.0, 800.0, 100.0)
    assert found.profile == [Bin(60_300.0, 800.0, 100.0, 100.0)]
    assert found.statistics == Statistics(60_300.0, 60_300.0, 0.0, 0.0)


def test_a_day_without_volume_has_minutes_and_a_range_only() -> None:
    found = profile_of((5_000, 5_010, 0), (4_990, 5_000, 0))
    assert found == VolumeProfile(
        symbol="VCB",
        total_volume=0.0,
        total_minutes=2,
        price_range=PriceRange(4_990.0, 5_010.0, 20.0),
        poc=PointOfControl(None, 0.0, 0.0),
        value_area=ValueArea(None, None, 0.0, 0.0),
        profile=[],
        statistics=Statistics(None, None, None, None),
        tick_level=TickLevel(
            10.0,
            PointOfControl(None, 0.0, 0.0),
            ValueArea(None, None, 0.0, 0.0),
            Statistics(None, None, None, None),
        ),
    )
    assert type(found.total_volume) is int, "shares are whole"


def test_a_high_below_the_low_is_taken_the_other_way_round() -> None:
    assert profile_of((5_030, 5_000, 400)) == profile_of((5_000, 5_030, 400))


# Ticks and levels


@pytest.mark.parametrize(
    ("mode", "is_index", "low", "high", "tick"),
    [
        (Mode.VN, False, 9_999.98, 10_000, 10.0),
        (Mode.VN, False, 10_000, 10_000, 50.0),
        (Mode.VN, False, 49_900, 50_000, 50.0),
        (Mode.VN, False, 50_000, 50_000, 100.0),
        (Mode.VN, True, 1_250, 1_260, 0.01),
        (Mode.CRYPTO, False, 1.2e-9, 1.3e-9, 1e-12),
        (Mode.CRYPTO, False, 1e-8, 1e-8, 1e-10),
        (Mode.CRYPTO, False, 0.000001, 0.000001, 1e-8),
        (Mode.CRYPTO, False, 0.00001234, 0.0001, 1e-8),
        (Mode.CRYPTO, False, 0.0001, 0.0001, 1e-6),
        (Mode.CRYPTO, False, 0.009, 0.01, 1e-6),
        (Mode.CRYPTO, False, 0.01, 0.01, 0.0001),
        (Mode.CRYPTO, False, 0.00001, 0.99999, 0.0001),
        (Mode.CRYPTO, False, 1, 1, 0.01),
        (Mode.CRYPTO, False, 99.9, 100, 0.01),
        (Mode.CRYPTO, False, 100, 100, 0.1),
        (Mode.CRYPTO, False, 999, 1_001, 1.0),
        (Mode.CRYPTO, False, 120_000, 120_000, 1.0),
        (Mode.VN, False, 1e308, 1.7e308, 100.0),
    ],
)
def test_the_tick_by_the_mean_price(mode: Mode, is_index: bool, low: float, high: float, tick: float) -> None:
    assert tick_size(minutes([(low, high, 1)], mode), mode, is_index=is_index) == tick


def test_the_mean_price_is_not_weighted_and_counts_bars_without_volume() -> None:
    assert tick_size(minutes([(8_000, 10_000, 1_000), (11_500, 11_500, 0)]), Mode.VN, is_index=False) == 50.0
    assert tick_size(minutes([(8_000, 10_000, 1_000), (10_500, 10_500, 0)]), Mode.VN, is_index=False) == 10.0


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((5_004, 5_006, 100), {5_000.0: 50.0, 5_010.0: 50.0}),
        ((5_005, 5_015, 100), {5_000.0: 33.33, 5_010.0: 33.33, 5_020.0: 33.33}),  # ties to even: levels 500 and 502
        ((5_006, 5_014, 100), {5_010.0: 100.0}),
    ],
)
def test_prices_go_to_the_nearest_level(bar: Bar, expected: dict[float, float]) -> None:
    assert volumes(profile_of(bar)) == expected


def test_a_coin_keeps_fractions_of_volume_and_price() -> None:
    found = profile_of((0.1, 0.1001, 0.3), (0.1001, 0.1003, 0.00000003), mode=Mode.CRYPTO)
    assert found.total_volume == 0.30000003
    assert found.price_range == PriceRange(0.1, 0.1003, 0.0003)
    assert volumes(found) == {0.1: 0.15, 0.1001: 0.15000001, 0.1002: 0.00000001, 0.1003: 0.00000001}


def test_a_coin_of_billionths_of_a_dollar_has_prices() -> None:
    found = profile_of((1.25e-9, 1.252e-9, 3.0), mode=Mode.CRYPTO)
    assert found.price_range == PriceRange(1.25e-9, 1.252e-9, 2e-12)
    assert volumes(found) == {1.25e-9: 1.0, 1.251e-9: 1.0, 1.252e-9: 1.0}


def test_a_level_between_bars_has_exactly_nothing() -> None:
    """Where floats are added up and taken off again, residues stay: of 0.1 three times over, for one."""
    found = profile_of(*[(1.5, 1.52, 0.1)] * 3, (1.53, 1.54, 1e12), (1.56, 1.56, 0.1), mode=Mode.CRYPTO)
    assert volumes(found)[1.55] == 0.0
    assert all(each.volume >= 0.0 for each in found.profile)


# Value area and ties


@pytest.mark.parametrize(
    ("bars", "pct", "expected"),
    [
        # each step to the neighbour with more volume
        (at(5, 30, 40, 20, 5), 70.0, (5_010.0, 5_020.0, 70.0)),
        (at(5, 20, 40, 30, 5), 70.0, (5_020.0, 5_030.0, 70.0)),
        (at(5, 30, 40, 20, 5), 70.1, (5_010.0, 5_030.0, 90.0)),
        # to the higher price where both have the same
        (at(10, 20, 40, 20, 10), 60.0, (5_020.0, 5_030.0, 60.0)),
        # past the end of one side only the other is left
        (at(60, 20, 10, 10), 90.0, (5_000.0, 5_020.0, 90.0)),
        (at(10, 10, 20, 60), 90.0, (5_010.0, 5_030.0, 90.0)),
        # the point of control alone
        (at(10, 80, 10), 80.0, (5_010.0, 5_010.0, 80.0)),
        # over a gap
        (at(50, 0, 0, 50), 70.0, (5_000.0, 5_030.0, 100.0)),
        # ten tenths: 0.1 seven times over is 70 percent, whatever floats make of it
        (at(*[10] * 10), 70.0, (5_000.0, 5_060.0, 70.0)),
        (at(*[7] * 10), 60.0, (5_000.0, 5_050.0, 60.0)),
    ],
)
def test_the_value_area(bars: list[Bar], pct: float, expected: tuple[float, float, float]) -> None:
    area = profile_of(*bars, pct=pct).value_area
    assert (area.low, area.high, area.percentage) == expected


def test_of_equal_levels_the_lowest_is_the_point_of_control() -> None:
    # A third and two thirds of 100, and 100: the same, however it came together.
    bars = [(5_000, 5_020, 100), (5_030, 5_050, 200), (5_000, 5_000, 200), (5_030, 5_030, 100)]
    third = profile_of(*bars, (5_010, 5_010, 0))
    assert third.poc == PointOfControl(5_000.0, 233.33, round(700 / 18, 4))
    assert profile_of(*at(1, 3, 3, 2)).poc.price == 5_010.0
    thirds = [(5_000, 5_020, 100), (5_000, 5_020, 100), (5_000, 5_020, 100), (5_030, 5_030, 100)]
    assert profile_of(*thirds).poc.price == 5_000.0


@pytest.mark.parametrize(
    ("bars", "median"),
    [
        (at(1, 1, 1), 5_010.0),
        (at(1, 1), 5_000.0),
        (at(1, 2), 5_010.0),
        (at(1, 0, 0, 1), 5_000.0),
        (at(5, 1), 5_000.0),
        # half of it is below the highest, but the parts of that, each rounded, add up to a little less
        (at(1, 1, 1, 3, 6), 5_030.0),
    ],
)
def test_the_median_is_the_lowest_level_by_which_half_is_reached(bars: list[Bar], median: float) -> None:
    assert profile_of(*bars).statistics.median_price == median


@pytest.mark.parametrize(("bars", "sign"), [(at(8, 1, 1), 1), (at(1, 1, 8), -1), (at(1, 8, 1), 0), (at(3, 0, 3), 0)])
def test_skewness_points_to_the_longer_tail(bars: list[Bar], sign: int) -> None:
    skewness = profile_of(*bars).statistics.skewness
    assert skewness is not None
    assert (skewness > 0) - (skewness < 0) == sign


# Bins


@pytest.mark.parametrize(
    ("levels", "bins", "prices", "held"),
    [
        (4, 2, [5_005.0, 5_025.0], [2.0, 2.0]),
        (4, 4, [5_000.0, 5_010.0, 5_020.0, 5_030.0], [1.0] * 4),
        # fewer levels than bins: one for each level, and none without
        (3, 50, [5_000.0, 5_010.0, 5_020.0], [1.0] * 3),
        (1, 2, [5_000.0], [1.0]),
        # bins of 12.5 dong over 4995 to 5045: the middle of each level says where it is
        (5, 4, [5_001.25, 5_013.75, 5_026.25, 5_038.75], [1.0, 1.0, 2.0, 1.0]),
    ],
)
def test_bins_are_of_equal_height(levels: int, bins: int, prices: list[float], held: list[float]) -> None:
    found = profile_of(*at(*[1.0] * levels), bins=bins).profile
    assert [each.price for each in found] == prices
    assert [each.volume for each in found] == held
    assert found[-1].cumulative_percentage == 100.0


def test_with_more_levels_than_bins_the_figures_are_those_of_the_bins() -> None:
    """Most of all levels has the second, most of all bins the third, which is made of the fifth level and the sixth."""
    found = profile_of(*at(5, 35, 5, 5, 25, 20, 3, 2), bins=4)
    assert volumes(found) == {5_005.0: 40.0, 5_025.0: 10.0, 5_045.0: 45.0, 5_065.0: 5.0}
    assert found.poc == PointOfControl(5_045.0, 45.0, 45.0)
    assert found.value_area == ValueArea(5_005.0, 5_045.0, 95.0, 95.0)
    # mean .4 * 5005 + .1 * 5025 + .45 * 5045 + .05 * 5065 = 5028; 23^2 * .4 + 3^2 * .1 + 17^2 * .45 + 37^2 * .05 = 411
    assert found.statistics == Statistics(5_028.0, 5_025.0, round(math.sqrt(411), 2), found.statistics.skewness)
    level = found.tick_level
    assert (level.tick_size, level.poc) == (10.0, PointOfControl(5_010.0, 35.0, 35.0))
    assert level.value_area == ValueArea(5_010.0, 5_040.0, 70.0, 70.0)
    assert level.statistics.median_price == 5_030.0


# Bounds


def test_as_many_levels_as_allowed_are_counted() -> None:
    """The bars without volume bring the mean price down to where the tick is ten dong."""
    found = profile_of((0, 10 * (MAX_LEVELS - 1), 1_000_000), *[(0, 0, 0)] * 1_000, bins=2)
    assert volumes(found) == {2_499_995.0: 500_000.0, 7_499_995.0: 500_000.0}


@pytest.mark.parametrize(
    ("bars", "mode", "fault"),
    [
        ([(5_000, 5_000, 100), (5_000, 1e9, 1)], Mode.VN, "span more than 1000000 price levels"),
        ([(5_000, 5_000, 100), (1e300, 1e300, 1)], Mode.VN, "span more than 1000000 price levels"),
        ([(0, 1.7e308, 100)], Mode.VN, "span more than 1000000 price levels"),
        ([(0, 100 * MAX_LEVELS, 100)], Mode.VN, "span more than 1000000 price levels"),
        ([(0.5, 0.5, 1e308), (0.5, 0.5, 1e308)], Mode.CRYPTO, "add up to inf of volume"),
    ],
)
def test_a_damaged_bar_is_refused_at_once_and_says_so(bars: list[Bar], mode: Mode, fault: str) -> None:
    started = time.perf_counter()
    with pytest.raises(TooManyRowsError) as refused:
        profile_of(*bars, mode=mode)
    advice = "ask for a shorter range, or for days without the damaged bar"
    assert str(refused.value) == f"the minute bars of VCB {fault}; {advice}"
    assert time.perf_counter() - started < 1.0


def test_a_damaged_bar_without_volume_harms_nothing() -> None:
    found = profile_of((5_000, 5_000, 100), (5_000, 1e12, 0))
    assert found.poc.price == 5_000.0


# Against a profile by exact fractions


def naive_levels(bars: Sequence[Bar], tick: float) -> dict[int, Fraction]:
    """Volume by level, without those that have none between others."""
    held: dict[int, Fraction] = {}
    for low, high, volume in bars:
        if volume:
            first, last = sorted((round(low / tick), round(high / tick)))
            for level in range(first, last + 1):
                held[level] = held.get(level, Fraction(0)) + Fraction(volume) / (last - first + 1)
    return held


def naive_area(held: dict[int, Fraction], start: int, pct: Fraction) -> tuple[int, int]:
    low, high = min(held), max(held)
    area = [start]
    while sum(held.get(level, 0) for level in area) < sum(held.values()) * pct / 100:
        neighbours = [level for level in (area[0] - 1, area[-1] + 1) if low <= level <= high]
        most = max(held.get(level, 0) for level in neighbours)
        area.append(max(level for level in neighbours if held.get(level, 0) == most))
        area.sort()
    return area[0], area[-1]


@st.composite
def days(draw: st.DrawFn) -> list[Bar]:
    cents = st.integers(500_000, 515_000).map(lambda value: value / 100)
    bars = draw(st.lists(st.tuples(cents, cents, st.integers(0, 1_000).map(float)), min_size=1, max_size=8))
    return bars if any(volume for _, _, volume in bars) else [*bars, (5_000.0, 5_000.0, 1.0)]


@settings(max_examples=150, deadline=None)
@given(bars=days(), bins=st.integers(2, 20), pct=st.integers(60, 90))
def test_against_exact_fractions(bars: list[Bar], bins: int, pct: int) -> None:
    found = profile_of(*bars, bins=bins, pct=float(pct))
    held = naive_levels(bars, 10.0)
    total = sum(held.values())
    low, high = min(held), max(held)

    poc = min(level for level, volume in held.items() if volume == max(held.values()))
    assert found.tick_level.poc == PointOfControl(poc * 10.0, *amounts(held[poc], total))
    first, last = naive_area(held, poc, Fraction(pct))
    inside = sum((volume for level, volume in held.items() if first <= level <= last), Fraction(0))
    assert found.tick_level.value_area == ValueArea(first * 10.0, last * 10.0, *amounts(inside, total))
    assert found.total_volume == float(total)

    count = min(bins, high - low + 1)
    height = Fraction(high - low + 1, count)
    edges = [low - Fraction(1, 2) + number * height for number in range(count + 1)]
    in_bins = [
        sum((volume for level, volume in held.items() if left <= level < right), Fraction(0))
        for left, right in pairwise(edges)
    ]
    assert [each.price for each in found.profile] == [
        pytest.approx(float((left + right) / 2 * 10), abs=0.0051) for left, right in pairwise(edges)
    ]
    assert [(each.volume, each.percentage) for each in found.profile] == [amounts(each, total) for each in in_bins]
    assert [each.cumulative_percentage for each in found.profile] == [
        pytest.approx(float(each / total * 100), abs=0.000051) for each in accumulate(in_bins)
    ]
    check_statistics(found.tick_level.statistics, held, total)
    check_bins(found, in_bins, Fraction(pct))


def check_bins(found: VolumeProfile, in_bins: list[Fraction], pct: Fraction) -> None:
    """The figures of the bins, counted as levels 0, 1, 2, ..."""
    held = {number: volume for number, volume in enumerate(in_bins) if volume}
    total = sum(held.values())
    prices = [each.price for each in found.profile]
    poc = min(number for number, volume in held.items() if volume == max(held.values()))
    assert found.poc == PointOfControl(prices[poc], *amounts(held[poc], total))
    first, last = naive_area(held | {0: in_bins[0], len(in_bins) - 1: in_bins[-1]}, poc, pct)
    assert (found.value_area.low, found.value_area.high) == (prices[first], prices[last])
    mean = sum(price * float(volume) for price, volume in zip(prices, in_bins, strict=True)) / float(total)
    assert found.statistics.mean_price == pytest.approx(mean, abs=0.011)
    assert found.statistics.median_price in prices


def amounts(volume: Fraction, total: Fraction | int) -> Any:
    """Volume and percentage as rounded; a tie may go either way."""
    return pytest.approx(float(volume), abs=0.0051), pytest.approx(float(volume / total * 100), abs=0.000051)


def check_statistics(found: Statistics, held: dict[int, Fraction], total: Fraction | int) -> None:
    mean = sum((level * 10 * volume for level, volume in held.items()), Fraction(0)) / total
    variance = sum(((level * 10 - mean) ** 2 * volume for level, volume in held.items()), Fraction(0)) / total
    third = sum(((level * 10 - mean) ** 3 * volume for level, volume in held.items()), Fraction(0)) / total
    std = math.sqrt(variance)
    median = next(
        level for level in sorted(held) if sum(volume for each, volume in held.items() if each <= level) * 2 >= total
    )
    assert found.mean_price == pytest.approx(float(mean), abs=0.0051)
    assert found.median_price == median * 10.0
    assert found.std_deviation == pytest.approx(std, abs=0.0051)
    assert found.skewness == pytest.approx(float(third) / std**3 if std else 0.0, abs=0.000051)


@settings(max_examples=150, deadline=None)
@given(
    bars=st.lists(
        st.tuples(
            st.floats(0, 1e12, allow_subnormal=True), st.floats(0, 1e12), st.one_of(st.just(0.0), st.floats(0, 1e300))
        ),
        min_size=1,
        max_size=6,
    ),
    is_near=st.booleans(),
    bins=st.integers(2, 200),
)
def test_whatever_the_bars_no_number_is_infinite_or_missing(bars: list[Bar], is_near: bool, bins: int) -> None:
    if is_near:
        bars = [(low % 7, high % 7, volume) for low, high, volume in bars]
    try:
        found = profile_of(*bars, mode=Mode.CRYPTO, bins=bins)
    except TooManyRowsError:
        assert not is_near
        return
    has_volume = any(volume > 0 for _, _, volume in bars)
    text = orjson.dumps(asdict(found))
    assert (b"null" in text) is not has_volume
    assert len(found.profile) <= bins
    if has_volume:
        assert found.profile[-1].cumulative_percentage == 100.0
        assert all(each.volume >= 0.0 for each in found.profile)


@settings(max_examples=50, deadline=None)
@given(bars=days(), seed=st.randoms(use_true_random=False))
def test_the_order_of_the_minutes_does_not_matter(bars: list[Bar], seed: Any) -> None:
    shuffled = list(bars)
    seed.shuffle(shuffled)
    assert profile_of(*shuffled) == profile_of(*bars)
