"""When a dividend or split is seen, what ratio, and what becomes of bars the source does not send again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.calc.adjustments import adjusted_union, agree, find_adjustments
from stockapi.models import Bars
from tests.support.stores import make_bars


def divided(bars: Bars, ratio: float, before: int) -> Bars:
    """The bars as a source shows them after an adjustment on the bar at position `before`."""
    prices = bars.prices.copy()
    prices[:, :before] = np.round(prices[:, :before] / ratio, 2)
    return Bars.of(bars.time, prices, bars.volume)


def corrected(bars: Bars, *positions: int, by: float = 1.2) -> Bars:
    prices = bars.prices.copy()
    prices[:, list(positions)] = np.round(prices[:, list(positions)] * by, 2)
    return Bars.of(bars.time, prices, bars.volume)


def summary(stored: Bars, fetched: Bars) -> list[tuple[int, float]]:
    return [(each.ex_time, each.ratio) for each in find_adjustments(stored, fetched)]


@pytest.mark.parametrize("ratio", [1.003, 1.01, 1.025, 1.1, 1.5, 2.0, 10.0, 100.0, 0.5, 0.97, 0.997])
@pytest.mark.parametrize("ex_position", [3, 6, 12, 20, 29])
def test_an_adjustment_is_found_with_its_day_and_ratio(ratio: float, ex_position: int) -> None:
    bars = make_bars(30)
    assert summary(bars, divided(bars, ratio, ex_position)) == [
        (bars.time[ex_position], pytest.approx(ratio, rel=1e-5))
    ]


@pytest.mark.parametrize("unit", [10.0, 1.0, 0.1, 0.01])
@pytest.mark.parametrize("ratio", [1.003, 1.025, 2.0, 0.9])
def test_a_ratio_is_told_from_the_rounding_of_the_source(unit: float, ratio: float) -> None:
    bars = make_bars(60)
    stored = Bars.of(bars.time, np.round(bars.prices / 125.0) * 50.0, bars.volume)  # some 20,000 dong
    prices = stored.prices.copy()
    prices[:, :50] = np.round(prices[:, :50] / ratio / unit) * unit
    fetched = Bars.of(bars.time, prices, bars.volume)
    ((ex_time, found),) = summary(stored, fetched)
    assert ex_time == bars.time[50]
    assert found == pytest.approx(ratio, abs=2e-4)


def test_the_source_has_gone_on_since() -> None:
    """Stored up to the day before, fetched with the day itself: the usual case."""
    bars = make_bars(40)
    for ratio in (1.003, 1.25):
        fetched = divided(bars, ratio, 35).take(slice(10, None))
        for newest_fetched, ex_time in ((40, bars.time[35]), (35, bars.time[34] + 86_400)):
            assert summary(bars.take(slice(35)), fetched.take(slice(newest_fetched - 10))) == [
                (ex_time, pytest.approx(ratio, rel=1e-5))
            ]


def test_two_dividends_are_two_steps() -> None:
    bars = make_bars(60)
    fetched = divided(divided(bars, 1.02, 50), 1.05, 30)
    assert summary(bars, fetched) == [
        (bars.time[30], pytest.approx(1.05, rel=1e-5)),
        (bars.time[50], pytest.approx(1.02, rel=1e-5)),
    ]


@pytest.mark.parametrize("count", [12, 60, 250])
@pytest.mark.parametrize("back", [3, 5])
@pytest.mark.parametrize("by", [1.04, 0.987654])
def test_a_corrected_price_with_more_decimals_makes_no_step(count: int, back: int, by: float) -> None:
    """It is `back` bars before the dividend, so it cuts off a run of two or four bars."""
    bars = make_bars(count)
    stored = Bars.of(bars.time, np.round(bars.prices / 125.0) * 50.0, bars.volume)
    ex_position = count - 3
    prices = stored.prices.copy()
    prices[:, :ex_position] = np.round(prices[:, :ex_position] / 1.025)
    fetched = corrected(Bars.of(bars.time, prices, bars.volume), ex_position - back, by=by)
    ((ex_time, ratio),) = summary(stored, fetched)
    assert (ex_time, ratio) == (bars.time[ex_position], pytest.approx(1.025, abs=2e-4))


def test_corrections_beside_it_do_not_hide_an_adjustment() -> None:
    bars = make_bars(60)
    fetched = corrected(divided(bars, 1.025, 50), 7, 20, 21, 55)
    assert summary(bars, fetched) == [(bars.time[50], pytest.approx(1.025, rel=1e-5))]


@pytest.mark.parametrize("days", [3, 5, 9])
@pytest.mark.parametrize("by", [1.2, 1.01, 0.5])
@pytest.mark.parametrize("back", [0, 1, 2, 3, 12, 30])
def test_corrected_days_in_a_row_are_no_adjustment(days: int, by: float, back: int) -> None:
    """`back`: so many closed bars after them are as they were."""
    bars = make_bars(60)
    assert summary(bars, corrected(bars, *range(59 - back - days, 59 - back), by=by)) == []


@pytest.mark.parametrize("first", [10, 40, 52])
def test_corrected_days_in_a_row_do_not_hide_an_adjustment(first: int) -> None:
    bars = make_bars(60)
    fetched = corrected(divided(bars, 1.025, 46), *range(first, first + 3))
    assert summary(bars, fetched) == [(bars.time[46], pytest.approx(1.025, rel=1e-5))]


def test_two_corrections_side_by_side_are_no_adjustment() -> None:
    bars = make_bars(60)
    assert summary(bars, corrected(corrected(bars, 20, 21, 22, by=1.1), 23, 24, 25, 26, by=1.3)) == []


def test_ten_days_between_two_of_one_ratio_are_a_split_and_its_opposite() -> None:
    bars = make_bars(60)
    assert [found for _, found in summary(bars, corrected(bars, *range(20, 30), by=2.0))] == [2.0, 0.5]


@pytest.mark.parametrize(("count", "ratio"), [(2, 2.0), (3, 1.01), (4, 100.0)])
def test_of_few_bars_all_must_show_it(count: int, ratio: float) -> None:
    """A stock that trades once a week: few bars are in both, the newest of them left out."""
    bars = make_bars(count)
    bars = Bars.of(bars.time * 7, bars.prices, bars.volume)
    assert [found for _, found in summary(bars, divided(bars, ratio, count))] == [pytest.approx(ratio, rel=1e-4)]
    if count > 2:
        assert summary(bars, divided(bars, ratio, 1)) == [], "one bar of several is a correction"


@pytest.mark.parametrize(
    ("why", "stored", "fetched"),
    [
        ("the same", make_bars(30), make_bars(30)),
        ("a corrected bar", make_bars(30), corrected(make_bars(30), 12)),
        ("a corrected bar at the beginning", make_bars(30), corrected(make_bars(30), 0)),
        ("only the newest, which is still forming", make_bars(30), make_bars(30).take(slice(29, 30))),
        ("nothing in common", make_bars(30).take(slice(10)), make_bars(30).take(slice(20, 30))),
        ("nothing stored", make_bars(0), make_bars(30)),
        ("nothing fetched", make_bars(30), make_bars(0)),
        ("zero closes", Bars.of(make_bars(30).time, np.zeros((4, 30)), make_bars(30).volume), make_bars(30)),
    ],
)
def test_what_is_no_adjustment(why: str, stored: Bars, fetched: Bars) -> None:
    assert find_adjustments(stored, fetched) == (), why


@pytest.mark.parametrize(
    ("why", "stored", "fetched", "expected"),
    [
        ("the same", make_bars(30), make_bars(30), True),
        ("rounding", make_bars(30), corrected(make_bars(30), *range(30), by=1.0 + 1e-7), True),
        ("a dividend of 0.3 %", make_bars(30), divided(make_bars(30), 1.003, 25), False),
        ("a split", make_bars(30), divided(make_bars(30), 2.0, 29), False),
        ("a corrected bar, the oldest", make_bars(30), corrected(make_bars(30), 0), True),
        ("ten corrected bars, the newest", make_bars(30), corrected(make_bars(30), *range(19, 29)), True),
        ("one bar in both, which may be forming", make_bars(30).tail(1), corrected(make_bars(30), 29), True),
        ("two bars in both", make_bars(30).tail(2), divided(make_bars(30), 1.1, 30), False),
        ("nothing stored", make_bars(0), make_bars(30), True),
        ("nothing in common", make_bars(30).take(slice(10)), make_bars(30).take(slice(20, 30)), True),
    ],
)
def test_whether_a_resume_may_go_on(why: str, stored: Bars, fetched: Bars, *, expected: bool) -> None:
    assert agree(stored, fetched, 0.01) is expected, why


@given(
    ratios=st.lists(st.floats(1.002, 3.0) | st.floats(0.3, 0.998), min_size=1, max_size=3),
    length=st.integers(10, 40),
    seed=st.integers(0, 100),
)
def test_any_steps_are_found(ratios: list[float], length: int, seed: int) -> None:
    """Ratios that cancel each other out would be no step to tell."""
    bars = make_bars(length * (len(ratios) + 1) + 1, seed=seed)
    stored = Bars.of(bars.time, np.round(bars.prices / 10.0) * 10.0, bars.volume)
    fetched = stored
    for number, ratio in enumerate(ratios, start=1):
        fetched = divided(fetched, ratio, number * length)
    found = find_adjustments(stored, fetched)
    assert [each.ex_time for each in found] == [bars.time[number * length] for number in range(1, len(ratios) + 1)]
    assert [each.ratio for each in found] == pytest.approx(ratios, rel=1e-3)
    positions = np.arange(len(bars))
    is_sent = (positions % 3 > 0) | (positions % length == length - 1)  # the last bar before each step among them
    union = adjusted_union(stored, fetched.take(is_sent))
    np.testing.assert_allclose(union.prices, fetched.prices, rtol=1e-3)


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
