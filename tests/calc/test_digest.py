"""The digest tells series apart, does not mind their order, and can be brought up to date."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.calc.digest import digest, replaced
from stockapi.models import Bars, Mode
from tests.support.stores import make_bars


@given(cut=st.integers(0, 40), other=st.integers(0, 40))
def test_replacing_a_part_gives_the_digest_of_the_whole(cut: int, other: int) -> None:
    bars, newer = make_bars(40), make_bars(40, seed=2)
    changed = Bars.concatenate([bars.take(slice(cut)), newer.take(slice(cut, None))])
    old_part, new_part = bars.take(slice(cut, None)), newer.take(slice(cut, None))
    assert replaced(digest(bars), digest(old_part), digest(new_part)) == digest(changed)
    assert digest(bars.take(slice(other))) + digest(bars.take(slice(other, None))) & (1 << 64) - 1 == digest(bars)


@pytest.mark.parametrize("mode", list(Mode))
def test_one_changed_value_changes_it(mode: Mode) -> None:
    bars = make_bars(250, mode=mode)
    seen = {digest(bars)}
    for row in range(4):
        prices = bars.prices.copy()
        prices[row, 7] = np.nextafter(prices[row, 7], np.inf)
        seen.add(digest(Bars(bars.time, prices, bars.volume, bars.indicators)))
    for row in range(len(bars.indicators)):
        indicators = bars.indicators.copy()
        indicators[row, 249] = np.nan
        seen.add(digest(Bars(bars.time, bars.prices, bars.volume, indicators)))
    volume = bars.volume.copy()
    volume[3] += 1
    seen.add(digest(Bars(bars.time, bars.prices, volume, bars.indicators)))
    seen.add(digest(Bars(bars.time + 60, bars.prices, bars.volume, bars.indicators)))
    assert len(seen) == 1 + 4 + 13 + 1 + 1


def test_swapping_two_values_changes_it() -> None:
    bars = make_bars(3)
    swapped = Bars(bars.time, bars.prices[[1, 0, 2, 3]], bars.volume, bars.indicators)
    assert digest(swapped) != digest(bars)


def test_every_nan_and_every_zero_is_one() -> None:
    bars = make_bars(2)
    odd_nan = np.frombuffer(np.uint64(0x7FF8_0000_0000_1234).tobytes(), dtype=np.float64)[0]
    indicators = np.where(np.isnan(bars.indicators), odd_nan, bars.indicators)
    assert digest(Bars(bars.time, bars.prices, bars.volume, indicators)) == digest(bars)
    zero, negative_zero = (Bars.of(bars.time, np.full((4, 2), value), bars.volume) for value in (0.0, -0.0))
    assert digest(zero) == digest(negative_zero)


def test_nothing_is_zero() -> None:
    assert digest(Bars.empty(whole_volume=True)) == 0
