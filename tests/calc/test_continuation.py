"""Whether a source may go on with the bars of another one."""

from collections.abc import Callable

import numpy as np
import pytest

from stockapi.calc.continuation import COMPARED_BARS, LEAST_BARS, Fit, are_comparable, fit_of
from stockapi.models import Bars

DAY = 86_400


def bars(count: int, first: int = 0) -> Bars:
    """Days whose prices are those of their number."""
    numbers = np.arange(first, first + count)
    prices = np.vstack([20_000.0 + 37 * (numbers % 100) + step for step in (0, 30, -30, 10)])
    return Bars.of(numbers * DAY, prices, 1_000 + numbers)


def with_price(change: float, *places: int, row: int = 3) -> Callable[[Bars], Bars]:
    def changed(given: Bars) -> Bars:
        prices = given.prices.copy()
        prices[row, list(places)] += change
        return Bars.of(given.time, prices, given.volume)

    return changed


def scaled(factor: float) -> Callable[[Bars], Bars]:
    return lambda given: Bars.of(given.time, given.prices * factor, given.volume)


def erratic(given: Bars) -> Bars:
    return Bars.of(given.time, given.prices * (1.0 + given.time // DAY * 37 % 101 / 500), given.volume)


def same(given: Bars) -> Bars:
    return given


STORED = bars(COMPARED_BARS)

CASES: list[tuple[str, Bars, Callable[[Bars], Bars], Fit]] = [
    ("the same", STORED, same, Fit.CONTINUES),
    ("the same, and newer ones", STORED, lambda given: bars(45), Fit.CONTINUES),
    ("other volumes", STORED, lambda given: Bars.of(given.time, given.prices, given.volume * 2), Fit.CONTINUES),
    ("a difference that rounding hides", STORED, with_price(0.004, 20), Fit.CONTINUES),
    ("the newest close", STORED, with_price(1.0, -1), Fit.DIFFERS),
    ("the oldest close", STORED, with_price(1.0, 0), Fit.DIFFERS),
    *[(f"a {name}", STORED, with_price(10.0, 20, row=row), Fit.DIFFERS) for row, name in enumerate("ohlc")],
    ("a cent", STORED, with_price(0.01, 20), Fit.DIFFERS),
    ("a hole", STORED, lambda given: given.take(np.arange(len(given)) != 20), Fit.DIFFERS),
    ("one more bar within", STORED.take(np.arange(len(STORED)) != 20), lambda given: STORED, Fit.DIFFERS),
    ("fewer at the beginning", STORED, lambda given: given.tail(39), Fit.DIFFERS),
    ("adjusted", STORED, scaled(1 / 1.05), Fit.DIFFERS),
    ("what lies before the compared ones", bars(60), with_price(500.0, 0, 5, 19), Fit.CONTINUES),
    ("the first of the compared ones", bars(60), with_price(500.0, 20), Fit.DIFFERS),
    ("as few as may be", bars(LEAST_BARS), same, Fit.CONTINUES),
    ("too few", bars(LEAST_BARS - 1), same, Fit.DIFFERS),
    ("none", bars(0), lambda given: bars(3), Fit.DIFFERS),
    ("it lacks the newest", STORED, lambda given: given.take(slice(-1)), Fit.IS_BEHIND),
    ("it has nothing", STORED, lambda given: given.take(slice(0)), Fit.IS_BEHIND),
    ("thousands where dong are due", STORED, scaled(1e-3), Fit.OTHER_UNIT),
    ("dong where thousands are due", STORED, scaled(1e3), Fit.OTHER_UNIT),
    ("another unit, and adjusted by a third", STORED, scaled(1e3 / 1.5), Fit.OTHER_UNIT),
    ("a split in a hundred is none", STORED, scaled(1e-2), Fit.DIFFERS),
]


@pytest.mark.parametrize(("why", "stored", "sent", "fit"), CASES, ids=[case[0] for case in CASES])
def test_how_bars_follow(why: str, stored: Bars, sent: Callable[[Bars], Bars], fit: Fit) -> None:
    assert fit_of(stored, sent(stored), price_decimals=2) is fit, why


@pytest.mark.parametrize(
    ("why", "given", "is_one"),
    [
        ("the same", STORED, True),
        ("a dividend", scaled(1 / 1.05)(STORED), True),
        ("a dividend before the last ten bars", Bars.concatenate([scaled(0.9)(bars(30)), bars(10, 30)]), True),
        ("a few corrections", with_price(170.0, 3, 9, 30)(STORED), True),
        ("no bar in both", bars(10, 500), False),
        ("one bar in both", bars(40, 39), False),
        (
            "another market",
            Bars.of(STORED.time, STORED.prices * (1 + STORED.time // DAY * 37 % 101 / 500), STORED.volume),
            False,
        ),
    ],
)
def test_what_only_one_has_can_be_brought_over_where_both_differ_by_adjustments(
    why: str, given: Bars, is_one: bool
) -> None:
    assert are_comparable(STORED, given) is is_one, why
