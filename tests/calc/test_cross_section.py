import math

import numpy as np

from stockapi.calc.cross_section import CrossSection, or_none
from stockapi.models.bars import Bars


def series(*closes: float, first: int = 0) -> Bars:
    return Bars.of(
        np.arange(first, first + len(closes), dtype=np.int64),
        np.array([closes] * 4),
        np.arange(len(closes), dtype=np.int64),
        np.array([closes] * 13),
    )


def test_the_last_bar_of_each_in_the_order_given() -> None:
    each = {"A": series(1.0, 2.0, 3.0, first=7), "B": series(9.0), "C": series(4.0, 5.0)}
    section = CrossSection.of_last(each, whole_volume=True)
    found = section.bars
    assert section.symbols == ["A", "B", "C"]
    assert found.time.tolist() == [9, 0, 1], "as a cross-section it does not ascend"
    assert found.close.tolist() == found.indicator("ma10").tolist() == [3.0, 9.0, 5.0]
    assert (found.volume.tolist(), found.volume.dtype) == ([2, 0, 1], np.int64)


def test_of_none_there_is_none() -> None:
    section = CrossSection.of_last({}, whole_volume=True)
    assert (section.symbols, len(section.bars), section.newest_day) == ([], 0, None)
    assert section.keep(lambda _: True).symbols == []


def test_symbols_and_bars_stay_together() -> None:
    section = CrossSection.of_last({"A": series(1.0), "B": series(2.0), "C": series(3.0)}, whole_volume=True)
    kept = section.keep("AC".__contains__)
    assert (kept.symbols, kept.bars.close.tolist()) == (["A", "C"], [1.0, 3.0])
    turned = section.take(np.array([2, 0]))
    assert (turned.symbols, turned.bars.close.tolist()) == (["C", "A"], [3.0, 1.0])


def test_absent_numbers_are_none() -> None:
    assert or_none(np.array([1.5, math.nan, -0.0])) == [1.5, None, 0.0]
