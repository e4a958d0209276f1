"""Rows of any moment: corrections, and parts of one bar."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.calc.moments import as_bars, bar_start
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode

DAY = 86_400
MONDAY = 1_772_409_600
"""2026-03-02."""

Row = tuple[int, float, float, float, float, float]


def rows(*rows: Row, mode: Mode = Mode.CRYPTO) -> Bars:
    """Rows of (moment, open, high, low, close, volume)."""
    time, *prices, volume = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    volume = volume.astype(np.int64) if market_of(mode).has_whole_volume else volume
    return Bars.of(time.astype(np.int64), np.array(prices), volume)


def as_rows(bars: Bars) -> list[tuple[float, ...]]:
    return list(zip(bars.time.tolist(), *bars.prices.tolist(), bars.volume.tolist(), strict=True))


CASES: list[tuple[str, Interval, list[Row], list[Row], tuple[int, int]]] = [
    ("nothing", Interval.MINUTE, [], [], (0, 0)),
    (
        "seconds of one minute are put together",
        Interval.MINUTE,
        [(MONDAY + 10, 5, 6, 4, 5.5, 50), (MONDAY + 40, 5.5, 7, 5, 6, 0.2)],
        [(MONDAY, 5, 7, 4, 6, 50.2)],
        (0, 1),
    ),
    (
        "in order of time, whatever that of the rows",
        Interval.MINUTE,
        [(MONDAY + 40, 5.5, 7, 5, 6, 0.2), (MONDAY + 10, 5, 6, 4, 5.5, 50)],
        [(MONDAY, 5, 7, 4, 6, 50.2)],
        (0, 1),
    ),
    (
        "of equal moments the later row counts",
        Interval.MINUTE,
        [(MONDAY, 1, 1, 1, 1, 1), (MONDAY + 60, 2, 2, 2, 2, 2), (MONDAY, 3, 3, 3, 3, 3)],
        [(MONDAY, 3, 3, 3, 3, 3), (MONDAY + 60, 2, 2, 2, 2, 2)],
        (1, 0),
    ),
    (
        "corrections first, then parts",
        Interval.MINUTE,
        [(MONDAY + 10, 9, 9, 9, 9, 9), (MONDAY + 40, 5, 6, 5, 6, 1), (MONDAY + 10, 4, 5, 3, 5, 2)],
        [(MONDAY, 4, 6, 3, 6, 3)],
        (1, 1),
    ),
    (
        "half hours become hours",
        Interval.HOURLY,
        [(MONDAY + 7_200, 1, 2, 1, 2, 3), (MONDAY + 9_000, 2, 4, 0.5, 3, 4), (MONDAY + 10_800, 3, 3, 3, 3, 1)],
        [(MONDAY + 7_200, 1, 4, 0.5, 3, 7), (MONDAY + 10_800, 3, 3, 3, 3, 1)],
        (0, 1),
    ),
    (
        "stamps at the end of each minute stay one bar each",
        Interval.MINUTE,
        [(MONDAY + 59, 1, 1, 1, 1, 1.123456789), (MONDAY + 119, 2, 2, 2, 2, 2)],
        [(MONDAY, 1, 1, 1, 1, 1.123456789), (MONDAY + 60, 2, 2, 2, 2, 2)],
        (0, 0),
    ),
]


@pytest.mark.parametrize(
    ("interval", "given_rows", "expected", "counts"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_rows_become_bars(
    interval: Interval, given_rows: list[Row], expected: list[Row], counts: tuple[int, int]
) -> None:
    regular = as_bars(rows(*given_rows), interval, Mode.CRYPTO)
    assert as_rows(regular.bars) == expected
    assert (regular.corrected, regular.merged) == counts


@pytest.mark.parametrize(
    ("mode", "interval", "moment", "start"),
    [
        (Mode.VN, Interval.DAILY, MONDAY, MONDAY),
        (Mode.VN, Interval.DAILY, MONDAY - 7 * 3_600, MONDAY),
        (Mode.VN, Interval.DAILY, MONDAY - 7 * 3_600 - 1, MONDAY - DAY),
        (Mode.VN, Interval.DAILY, MONDAY + 17 * 3_600 - 1, MONDAY),
        (Mode.CRYPTO, Interval.DAILY, MONDAY - 1, MONDAY - DAY),
        (Mode.CRYPTO, Interval.DAILY, MONDAY + DAY - 1, MONDAY),
        (Mode.VN, Interval.HOURLY, MONDAY + 3_599, MONDAY),
        (Mode.VN, Interval.MINUTE, MONDAY + 61, MONDAY + 60),
        (Mode.VN, Interval.MINUTE, -1, -60),
    ],
)
def test_the_bar_of_a_moment(mode: Mode, interval: Interval, moment: int, start: int) -> None:
    assert bar_start(np.array([moment]), interval, mode).tolist() == [start]


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 9), st.integers(0, 5)), max_size=30))
def test_nothing_is_lost_but_corrected_rows(drawn: list[tuple[int, int, int]]) -> None:
    many = rows(*((MONDAY + at, price, price, price, price, volume) for at, price, volume in drawn), mode=Mode.VN)
    regular = as_bars(many, Interval.MINUTE, Mode.VN)
    kept = {at: (price, volume) for at, price, volume in drawn}
    assert len(regular.bars) + regular.merged + regular.corrected == len(drawn)
    assert regular.bars.time.tolist() == sorted({MONDAY + at - at % 60 for at in kept})
    assert regular.bars.volume.sum() == sum(volume for _, volume in kept.values())
    assert as_bars(regular.bars, Interval.MINUTE, Mode.VN).bars.equals(regular.bars)
