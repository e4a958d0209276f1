"""When a dividend or split is seen, what ratio, and what becomes of bars the source does not send again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.calc.adjustments import adjusted_union, find_adjustment
from stockapi.models import Bars
from tests.support.stores import make_bars


def divided(bars: Bars, ratio: float, before: int) -> Bars:
    """The bars as a source shows them after an adjustment on the bar at position `before`."""
    prices = bars.prices.copy()
    prices[:, :before] = np.round(prices[:, :before] / ratio, 2)
    return Bars.of(bars.time, prices, bars.volume)


@pytest.mark.parametrize("ratio", [1.031, 1.1, 1.5, 2.0, 10.0, 0.5, 0.97])
@pytest.mark.parametrize("ex_position", [6, 12, 20, 29])
def test_an_adjustment_is_found_with_its_day_and_ratio(ratio: float, ex_position: int) -> None:
    bars = make_bars(30)
    found = find_adjustment(bars, divided(bars, ratio, ex_position))
    overlap_begins = 30 - 21
    if ex_position - overlap_begins < 5:
        assert found is None, "fewer than five of the last twenty differ"
        return
    assert found is not None
    assert found.ex_time == bars.time[ex_position]
    assert found.ratio == pytest.approx(ratio, rel=1e-4)


def test_the_source_has_gone_on_since() -> None:
    """Stored up to the day before, fetched with the day itself: the usual case."""
    bars = make_bars(40)
    fetched = divided(bars, 1.25, 35).take(slice(10, None))
    for newest_fetched, ex_time in ((40, bars.time[35]), (35, bars.time[34] + 86_400)):
        found = find_adjustment(bars.take(slice(35)), fetched.take(slice(newest_fetched - 10)))
        assert found is not None
        assert (found.ex_time, found.ratio) == (ex_time, pytest.approx(1.25, rel=1e-4))


@pytest.mark.parametrize(
    ("why", "stored", "fetched"),
    [
        ("the same", make_bars(30), make_bars(30)),
        ("a dividend of less than 3 %", make_bars(30), divided(make_bars(30), 1.029, 25)),
        ("four corrected bars", make_bars(30), divided(make_bars(30), 1.2, 13).take(slice(9, None))),
        ("only the newest, which is still forming", make_bars(30), make_bars(30).take(slice(29, 30))),
        ("nothing in common", make_bars(30).take(slice(10)), make_bars(30).take(slice(20, 30))),
        ("nothing stored", make_bars(0), make_bars(30)),
        ("nothing fetched", make_bars(30), make_bars(0)),
        ("zero closes", Bars.of(make_bars(30).time, np.zeros((4, 30)), make_bars(30).volume), make_bars(30)),
    ],
)
def test_what_is_no_adjustment(why: str, stored: Bars, fetched: Bars) -> None:
    assert find_adjustment(stored, fetched) is None, why


@given(ratio=st.sampled_from([0.5, 1.05, 1.3, 2.0]), data=st.data())
def test_bars_that_the_source_does_not_send_are_adjusted_too(ratio: float, data: st.DataObject) -> None:
    bars = make_bars(60)
    expected = divided(bars, ratio, 40)
    sent = np.array(data.draw(st.lists(st.booleans(), min_size=60, max_size=60)))
    sent[[30, 39]] = True  # at least something to take the ratio from
    union = adjusted_union(bars, expected.take(sent))
    assert union.time.tolist() == bars.time.tolist()
    # The ratio is taken from prices of two decimals, so it is exact to some 6 digits.
    np.testing.assert_allclose(union.prices, expected.prices, rtol=1e-5)
    assert union.volume.tolist() == bars.volume.tolist()
    again = adjusted_union(union, expected.take(sent))
    np.testing.assert_allclose(again.prices, union.prices, rtol=0, err_msg="what has been brought over stays")


def test_all_sent_is_just_that() -> None:
    bars = make_bars(30)
    assert adjusted_union(make_bars(30, seed=2), bars) is bars
