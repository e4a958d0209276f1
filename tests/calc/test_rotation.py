import math
from collections.abc import Sequence
from decimal import Decimal, localcontext
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.rotation import (
    JDK_CENTRE,
    Track,
    common_sessions,
    ending_on,
    jdk_tracks,
    quadrant,
    rotations,
    score_tracks,
    sessions_needed,
)
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.timestamps import TimeStyle

DAY = 86_400
NAN = math.nan


def bars(closes: Sequence[float], first: int = 0, days: Sequence[int] = (), volume: int = 7) -> Bars:
    """Daily bars from that day on, or on those days."""
    times = np.array(days or range(first, first + len(closes)), dtype=np.int64) * DAY
    return Bars.of(times, np.tile(np.array(closes, dtype=np.float64), (4, 1)), np.full(len(closes), volume))


def track(closes: Sequence[float], benchmark: Sequence[float], period: int = 4, trails: int = 1) -> Track | None:
    series = {"VCB": bars(closes)}
    found = jdk_tracks(series, bars(benchmark), period=period, trails=trails)
    return found[0] if found else None


# The definition, with 60 digits


def means(values: Sequence[Decimal], period: int) -> list[Decimal]:
    weights = range(1, period + 1)
    windows = [values[end - period : end] for end in range(period, len(values) + 1)]
    return [
        sum((weight * value for weight, value in zip(weights, window, strict=True)), Decimal(0)) / sum(weights)
        for window in windows
    ]


def scores(values: Sequence[Decimal], period: int) -> list[float]:
    found = []
    for end in range(period, len(values) + 1):
        window = values[end - period : end]
        mean = sum(window, Decimal(0)) / period
        deviation = (sum(((value - mean) ** 2 for value in window), Decimal(0)) / period).sqrt()
        found.append(100.0 if deviation < Decimal("1e-50") else float(100 + 10 * (window[-1] - mean) / deviation))
    return found


def by_definition(closes: Sequence[float], benchmark: Sequence[float], period: int) -> list[tuple[float, float]]:
    """All points, ascending."""
    with localcontext(prec=60):
        raw = [Decimal(own) / Decimal(other) for own, other in zip(closes, benchmark, strict=True)]
        smooth = means(means(raw, period), period)
        momenta = scores([(after - before) / before for before, after in pairwise(smooth)], period)
        return list(zip(scores(smooth, period)[-len(momenta) :], momenta, strict=True)) if momenta else []


PRICES = st.integers(100, 100_000).map(float)
WALKS = st.integers(4, 7).flatmap(
    lambda period: st.tuples(
        st.just(period),
        st.lists(st.tuples(PRICES, PRICES), min_size=3 * period - 1, max_size=3 * period + 12),
    )
)


@settings(max_examples=30)
@given(WALKS)
def test_points_are_those_of_the_definition(walk: tuple[int, list[tuple[float, float]]]) -> None:
    period, sessions = walk
    closes, benchmark = zip(*sessions, strict=True)
    expected = by_definition(closes, benchmark, period)
    found = track(closes, benchmark, period, trails=len(expected))
    assert found is not None
    assert found.raw_rs == closes[-1] / benchmark[-1]
    assert found.bars.time.tolist() == [day * DAY for day in range(len(closes) - len(expected), len(closes))]
    for ratio, momentum, (x, y) in zip(found.ratio, found.momentum, expected, strict=True):
        assert ratio == pytest.approx(x, abs=1e-4)
        assert momentum == pytest.approx(y, abs=1e-4)


@settings(max_examples=30)
@given(WALKS, st.integers(0, 40), st.integers(1, 12))
def test_a_point_does_not_depend_on_what_was_read_before_it(
    walk: tuple[int, list[tuple[float, float]]], more: int, trails: int
) -> None:
    period, sessions = walk
    closes, benchmark = (list(column) for column in zip(*sessions, strict=True))
    earlier = [1_000.0 + 7 * number for number in range(more)]
    alone = track(closes, benchmark, period)
    longer = track(earlier + closes, list(reversed(earlier)) + benchmark, period, trails)
    assert alone is not None
    assert longer is not None
    assert (longer.ratio[-1], longer.momentum[-1]) == (alone.ratio[-1], alone.momentum[-1])


@settings(max_examples=30)
@given(WALKS, st.integers(-3, 3))
def test_points_do_not_depend_on_the_unit_of_the_price(walk: tuple[int, list[tuple[float, float]]], power: int) -> None:
    period, sessions = walk
    closes, benchmark = zip(*sessions, strict=True)
    plain, scaled = track(closes, benchmark, period), track([close * 2.0**power for close in closes], benchmark, period)
    assert plain is not None
    assert scaled is not None
    assert (scaled.ratio.tolist(), scaled.momentum.tolist()) == (plain.ratio.tolist(), plain.momentum.tolist())


@settings(max_examples=30)
@given(WALKS)
def test_a_point_is_within_the_largest_score_that_there_is(walk: tuple[int, list[tuple[float, float]]]) -> None:
    """Of n values none is farther than the root of n - 1 deviations from their mean."""
    period, sessions = walk
    found = track(*zip(*sessions, strict=True), period, trails=20)
    assert found is not None
    most = 10 * math.sqrt(period - 1) + 1e-4
    assert max(abs(np.array([found.ratio, found.momentum]) - JDK_CENTRE).ravel()) <= most


def test_a_point_by_hand() -> None:
    # With period 2 the weights are 1/3 and 2/3. Sessions: 1 1 1 1 2, against 1.
    # once smoothed     1 1 1 5/3, twice 1 1 13/9; the scores of (1, 13/9) are -1 and 1.
    # changes           0 4/9; the score of 4/9 is 1.
    found = track([1, 1, 1, 1, 2], [1, 1, 1, 1, 1], period=2)
    assert found is not None
    assert (found.ratio.tolist(), found.momentum.tolist(), found.raw_rs) == ([110.0], [110.0], 2.0)


@pytest.mark.parametrize(
    ("closes", "benchmark"),
    [
        ([25_000.0] * 11, [1_100.0] * 11),
        ([1_100.1 * number * 3 for number in range(1, 12)], [1_100.1 * number for number in range(1, 12)]),
        ([0.1 * number for number in range(1, 12)], [0.3 * number for number in range(1, 12)]),
    ],
    ids=["nothing moves", "three times the benchmark", "a third of the benchmark"],
)
def test_who_moves_as_the_benchmark_is_in_the_centre(closes: list[float], benchmark: list[float]) -> None:
    found = track(closes, benchmark)
    assert found is not None
    assert (found.ratio[-1], found.momentum[-1]) == (100.0, 100.0)


def test_a_steady_rise_has_a_ratio_above_and_a_momentum_in_the_centre() -> None:
    found = track([1.01**number for number in range(11)], [1.0] * 11)
    assert found is not None
    assert found.ratio[-1] > 110
    assert found.momentum[-1] == 100.0


@pytest.mark.parametrize(("period", "trails", "count"), [(4, 0, 11), (4, 1, 11), (10, 10, 38), (50, 120, 268)])
def test_sessions_needed(period: int, trails: int, count: int) -> None:
    assert sessions_needed(period, trails) == count
    closes = [1_000.0 + number * number % 97 for number in range(count)]
    whole = track(closes, [1_000.0] * count, period, trails)
    assert whole is not None
    assert len(whole.ratio) == max(trails, 1)
    short = track(closes[max(trails, 1) :], [1_000.0] * (count - max(trails, 1)), period, trails)
    assert short is None


def test_a_close_of_zero_makes_no_number_that_is_none() -> None:
    assert track([0.0] * 20, [1_000.0] * 20) is None
    later = track([0.0] * 20 + [1_000.0 + number % 3 for number in range(14)], [1_000.0] * 34, trails=20)
    assert later is not None
    assert np.isfinite([later.ratio, later.momentum]).all()


# Which sessions


@pytest.mark.parametrize(
    ("days", "benchmark_days", "common"),
    [
        ([1, 2, 3], [1, 2, 3], [1, 2, 3]),
        ([1, 2, 3], [2, 3, 4], [2, 3]),
        ([1, 3, 5], [1, 2, 3, 4, 5], [1, 3, 5]),
        ([1, 2, 3, 4, 5], [2, 4], [2, 4]),
        ([1, 2], [3], []),
        ([3], [1, 2], []),
    ],
)
def test_only_sessions_of_both_count(days: list[int], benchmark_days: list[int], common: list[int]) -> None:
    found = common_sessions(bars([1.0] * len(days), days=days), bars([2.0] * len(benchmark_days), days=benchmark_days))
    assert (found.time // DAY).tolist() == common


def test_a_session_without_a_price_of_the_benchmark_does_not_count() -> None:
    assert (common_sessions(bars([1.0, 2.0, 3.0]), bars([5.0, 0.0, 5.0])).time // DAY).tolist() == [0, 2]


def test_a_hole_moves_the_sessions_together() -> None:
    closes, benchmark = (
        [1_000.0 + number * number % 97 for number in range(12)],
        [900.0 + number for number in range(12)],
    )
    where = [day for day in range(12) if day != 6]
    own = common_sessions(bars([closes[day] for day in where], days=where), bars(benchmark))
    (found,) = jdk_tracks({"VCB": own}, bars(benchmark), period=4, trails=1)
    expected = track([closes[day] for day in where], [benchmark[day] for day in where])
    assert expected is not None
    assert (found.ratio[-1], found.momentum[-1]) == (expected.ratio[-1], expected.momentum[-1])


def test_tracks_that_end_before_the_newest_day_are_left_out() -> None:
    tracks = [
        Track(symbol, bars([1.0], first=day), np.array([100.0]), np.array([100.0]), 1.0)
        for symbol, day in (("A", 9), ("B", 8), ("C", 9))
    ]
    assert [each.symbol for each in ending_on(tracks, 9 * DAY + 5)] == ["A", "C"]


# The scores against two averages


def scored(*points: tuple[float, float]) -> Bars:
    columns = np.full((len(INDICATOR_FIELDS), len(points)), NAN)
    for name, values in zip(("ma20_score", "ma100_score"), zip(*points, strict=True), strict=True):
        columns[INDICATOR_FIELDS.index(name)] = values
    plain = bars([12.5] * len(points))
    return Bars.of(plain.time, plain.prices, plain.volume, columns)


def test_scores_are_the_coordinates() -> None:
    (found,) = score_tracks(
        {"VCB": scored((NAN, NAN), (1.5, NAN), (2.5, -3.25), (0.0, -1.0)), "NEW": scored((1.0, NAN))}
    )
    assert (found.symbol, found.ratio.tolist(), found.momentum.tolist()) == ("VCB", [2.5, 0.0], [-3.25, -1.0])
    assert (found.bars.time // DAY).tolist() == [2, 3]
    assert found.raw_rs is None


# What is answered


@pytest.mark.parametrize(
    ("ratio", "momentum", "name"),
    [
        (100.0, 100.0, "leading"),
        (100.0, 99.9999, "weakening"),
        (99.9999, 99.9999, "lagging"),
        (99.9999, 100.0, "improving"),
    ],
)
def test_quadrants(ratio: float, momentum: float, name: str) -> None:
    assert quadrant(ratio, momentum, 100.0) == name
    assert quadrant(ratio - 100.0, momentum - 100.0, 0.0) == name


@pytest.mark.parametrize("with_trails", [True, False])
def test_an_answer(with_trails: bool) -> None:
    points = np.array([99.0, 101.5]), np.array([100.0, 98.25])
    found = rotations(
        [Track("VCB", bars([10.0, 12.5]), *points, 0.125)],
        {"VCB": "NGAN_HANG"},
        centre=100.0,
        with_trails=with_trails,
        times=TimeStyle.DATE,
    )
    trails = [
        {"time": "1970-01-01", "rs_ratio": 99.0, "rs_momentum": 100.0},
        {"time": "1970-01-02", "rs_ratio": 101.5, "rs_momentum": 98.25},
    ]
    assert found == [
        {
            "symbol": "VCB",
            "time": "1970-01-02",
            "close": 12.5,
            "volume": 7,
            "rs_ratio": 101.5,
            "rs_momentum": 98.25,
            "raw_rs": 0.125,
            "quadrant": "weakening",
            "sector": "NGAN_HANG",
            "trails": trails if with_trails else None,
        }
    ]
