"""Indicators against their definitions, computed one by one with `math.fsum` and `round`."""

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.indicators import (
    EMA_WARMUP_BARS,
    enhance,
    enhance_from,
    round_half_even,
    round_price,
    round_prices,
    with_exponential_averages,
)
from stockapi.calc.window_sums import window_sums
from stockapi.markets import market_of
from stockapi.models import Bars, Mode
from stockapi.models.bars import Float
from stockapi.models.fields import INDICATOR_FIELDS, MA_PERIODS, WARMUP_BARS

PRICES = st.one_of(
    st.floats(0.01, 1e6),
    st.integers(0, 10**9).map(lambda cents: cents / 100),
    st.floats(1e-8, 1e-3),
    st.sampled_from([0.0, 1e9, 1e12, 5e-324]),
)


def bars_of(closes: Sequence[float], volumes: Sequence[float] | None = None, mode: Mode = Mode.VN) -> Bars:
    count = len(closes)
    volume = np.array(volumes if volumes is not None else [100] * count)
    volume = volume.astype(np.int64 if mode is Mode.VN else np.float64)
    close = np.array(closes, dtype=np.float64)
    return Bars.of(np.arange(count, dtype=np.int64) * 86_400, np.vstack([close] * 4).reshape(4, count), volume)


def rounded_price(value: float, mode: Mode) -> float:
    """To the decimals of the market, more where those hold too few significant digits."""
    exponent = Decimal(value).adjusted() if value else 0
    return round(value, max(market_of(mode).price_decimals, market_of(mode).price_digits - 1 - exponent))


def defined(closes: Sequence[float], volumes: Sequence[float], mode: Mode, is_index: bool) -> list[dict[str, float]]:
    """The contract's table of definitions, bar by bar; absent indicators are absent."""
    answer = []
    for i, close in enumerate(closes):
        bar = {}
        for period in MA_PERIODS:
            if i + 1 >= period:
                mean = math.fsum(closes[i + 1 - period : i + 1]) / period
                bar[f"ma{period}"] = rounded_price(mean, mode)
                if mean != 0:
                    bar[f"ma{period}_score"] = round((close - mean) / mean * 100, 4)
        if i:
            if closes[i - 1] > 0:
                bar["close_changed"] = round((close - closes[i - 1]) / closes[i - 1] * 100, 4)
            if volumes[i - 1] > 0:
                bar["volume_changed"] = round((volumes[i] - volumes[i - 1]) / volumes[i - 1] * 100, 4)
            money = 0.0 if is_index else (close - closes[i - 1]) * volumes[i]
            bar["total_money_changed"] = round(money, market_of(mode).money_decimals)
        answer.append({name: value for name, value in bar.items() if math.isfinite(value)})
    return answer


def computed(bars: Bars) -> list[dict[str, float]]:
    columns = {name: bars.indicator(name).tolist() for name in INDICATOR_FIELDS}
    return [
        {name: values[i] for name, values in columns.items() if not math.isnan(values[i])} for i in range(len(bars))
    ]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("is_index", [False, True])
@settings(deadline=None)
@given(data=st.data())
def test_every_number_agrees_with_its_definition(mode: Mode, is_index: bool, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 230))
    closes = data.draw(st.lists(PRICES, min_size=count, max_size=count))
    volumes = data.draw(st.lists(st.integers(0, 10**10), min_size=count, max_size=count))
    enhanced = enhance(bars_of(closes, volumes, mode), mode, is_index=is_index)
    rounded = [rounded_price(close, mode) for close in closes]
    assert enhanced.close.tolist() == rounded
    assert computed(enhanced) == defined(rounded, volumes, mode, is_index)


@given(
    values=st.lists(st.one_of(PRICES, st.floats(-1e17, 1e17)), max_size=50), decimals=st.sampled_from([0, 2, 4, 8, 13])
)
def test_rounding_is_that_of_python(values: list[float], decimals: int) -> None:
    assert round_half_even(np.array(values, dtype=float), decimals).tolist() == [round(v, decimals) for v in values]


@pytest.mark.parametrize(
    ("value", "decimals", "expected"),
    [
        (2.675, 2, 2.67),  # a little less than the tie it looks like, which scaling first would miss
        (0.125, 2, 0.12),  # a true tie: to even
        (0.375, 2, 0.38),
        (2.5, 0, 2.0),
        (-0.001, 2, 0.0),  # and not -0.0
        (1e300, 2, 1e300),
    ],
)
def test_rounding_of_awkward_numbers(value: float, decimals: int, expected: float) -> None:
    result = round_half_even(np.array([value]), decimals)[0]
    assert result == expected
    assert not (result == 0 and math.copysign(1, result) < 0)


def test_rounding_keeps_nan_and_infinity() -> None:
    result = round_half_even(np.array([math.nan, math.inf, -math.inf]), 2).tolist()
    assert math.isnan(result[0])
    assert result[1:] == [math.inf, -math.inf]


@pytest.mark.parametrize(
    ("value", "mode", "expected"),
    [
        (12_345.678912345, Mode.CRYPTO, 12_345.67891234),
        (0.00123456789, Mode.CRYPTO, 0.00123457),  # six digits within eight decimals
        (0.000123456789, Mode.CRYPTO, 0.000123457),
        (0.0009999999, Mode.CRYPTO, 0.001),
        (4.4e-9, Mode.CRYPTO, 4.4e-9),
        (1.25e-9, Mode.CRYPTO, 1.25e-9),
        (1.2345678e-9, Mode.CRYPTO, 1.23457e-9),
        (1.2345678e-16, Mode.CRYPTO, 1.23457e-16),
        (1.2345678e-17, Mode.CRYPTO, 1.23457e-17),
        (1.2345678e-18, Mode.CRYPTO, 1.23457e-18),
        (1.2345678e-300, Mode.CRYPTO, 1.23457e-300),
        (5e-324, Mode.CRYPTO, 5e-324),
        (0.0, Mode.CRYPTO, 0.0),
        (60_300.126, Mode.VN, 60_300.13),
        (1.2345, Mode.VN, 1.23),
        (0.0123, Mode.VN, 0.01),
        (0.0049, Mode.VN, 0.005),
        (0.00000123, Mode.VN, 0.000001),
    ],
)
def test_a_small_price_keeps_significant_digits(value: float, mode: Mode, expected: float) -> None:
    assert round_prices(np.array([value]), mode).tolist() == [expected]


@pytest.mark.parametrize("mode", list(Mode))
@given(values=st.lists(st.one_of(PRICES, st.floats(0.0, 1e-3), st.floats(0.0, 1e9)), max_size=50))
def test_no_positive_price_becomes_zero_and_rounding_twice_changes_nothing(mode: Mode, values: list[float]) -> None:
    once = round_prices(np.array(values, dtype=float), mode)
    assert once.tolist() == [rounded_price(value, mode) for value in values]
    assert ((once > 0) == (np.array(values) > 0)).all()
    assert round_prices(once, mode).tolist() == once.tolist()
    assert [round_price(value, mode) for value in values] == once.tolist()


@given(closes=st.lists(st.floats(0.01, 1e7), min_size=200, max_size=260))
def test_window_sums_are_those_of_fsum(closes: list[float]) -> None:
    for period, sums in window_sums(np.array(closes)).items():
        assert sums.tolist() == [math.fsum(closes[i : i + period]) for i in range(len(closes) - period + 1)]


CLOSES = {
    "whole": np.random.default_rng(3).integers(1_000, 90_000, 3_000).astype(float),
    "cents": np.round(np.random.default_rng(3).uniform(10, 90_000, 3_000), 2),
    "all digits": np.random.default_rng(3).uniform(10, 90_000, 3_000),
    "a coin of eight decimals": np.round(np.exp(np.random.default_rng(3).normal(-9, 2, 1_000)), 8),
    "too far apart for running totals": np.tile([1e-9, 70_000.1, 3.3, 1e9], 100),
    "the smallest numbers": np.tile([5e-324, 1e-310], 110),
    "zeros": np.zeros(210),
}


@pytest.mark.parametrize("closes", CLOSES.values(), ids=CLOSES)
def test_sums_of_long_and_of_odd_series_are_those_of_fsum(closes: Float) -> None:
    exact = [math.fsum(closes[i : i + 200].tolist()) for i in range(len(closes) - 199)]
    assert window_sums(closes)[200].tolist() == exact


def test_one_running_total_would_not_do() -> None:
    """The exact sums are not for show: the plain cumulative sum gives other numbers."""
    running = np.cumsum(CLOSES["cents"])
    plain = (running[200:] - running[:-200]) / 200
    exact = window_sums(CLOSES["cents"])[200][1:] / 200
    assert (plain != exact).any()


def test_a_suffix_with_warm_up_gets_the_numbers_of_the_whole() -> None:
    closes = np.random.default_rng(4).uniform(10, 20, 700).tolist()
    whole = enhance(bars_of(closes), Mode.VN, is_index=False)
    for first in (0, 1, 150, WARMUP_BARS, 450, 699):
        part = enhance_from(bars_of(closes), first, Mode.VN, is_index=False)
        assert part.equals(whole.take(slice(first, None)))


@pytest.mark.parametrize(
    ("closes", "volumes"),
    [
        ([0.0] * 210, [0] * 210),  # averages of 0: no score, no changes
        ([1e308] * 210, [2**62] * 210),  # sums and products beyond the largest float64
        ([0.0, 5.0, 0.0, 7.0], [0, 5, 0, 7]),
    ],
)
def test_nan_and_infinity_stay_out(closes: list[float], volumes: list[int]) -> None:
    enhanced = enhance(bars_of(closes, volumes), Mode.VN, is_index=False)
    assert not np.isinf(enhanced.indicators).any()


def test_what_is_absent() -> None:
    enhanced = enhance(bars_of([10.0] * 200), Mode.VN, is_index=False)
    first_present = {name: np.flatnonzero(~np.isnan(enhanced.indicator(name)))[0] for name in INDICATOR_FIELDS}
    expected = {name: int(name.removeprefix("ma").removesuffix("_score")) - 1 for name in INDICATOR_FIELDS[:10]}
    assert first_present == expected | dict.fromkeys(INDICATOR_FIELDS[10:], 1)


@pytest.mark.parametrize(("is_index", "money"), [(True, 0.0), (False, 100.0)])
def test_an_index_has_no_money_flow(is_index: bool, money: float) -> None:
    assert enhance(bars_of([10.0, 11.0]), Mode.VN, is_index=is_index).indicator("total_money_changed")[1] == money


# Exponential averages


def exponential(closes: Sequence[float], mode: Mode = Mode.VN) -> Bars:
    return with_exponential_averages(enhance(bars_of(closes, mode=mode), mode, is_index=False), mode)


def exponential_by_definition(closes: Sequence[float], period: int) -> list[Fraction | None]:
    """Exact: seeded with the mean of the first N closes, then 2 / (N + 1) of each close."""
    part = Fraction(2, period + 1)
    averages: list[Fraction | None] = [None] * len(closes)
    for i in range(period - 1, len(closes)):
        before = averages[i - 1]
        first = sum(map(Fraction, closes[:period])) / period
        averages[i] = first if before is None else before + part * (Fraction(closes[i]) - before)
    return averages


@pytest.mark.parametrize("mode", list(Mode))
@settings(max_examples=20, deadline=None)
@given(closes=st.lists(st.integers(1, 10**7).map(lambda cents: cents / 100), max_size=260))
def test_exponential_averages_agree_with_their_definition(mode: Mode, closes: list[float]) -> None:
    bars = exponential(closes, mode)
    unit = 10.0 ** -market_of(mode).price_decimals
    for period in MA_PERIODS:
        exact = exponential_by_definition(closes, period)
        averages, scores = (bars.indicator(f"ma{period}{suffix}").tolist() for suffix in ("", "_score"))
        assert [math.isnan(average) for average in averages] == [average is None for average in exact]
        for close, average, score, right in zip(closes, averages, scores, exact, strict=True):
            if right is not None:
                assert average == pytest.approx(float(right), abs=0.501 * unit)
                assert score == pytest.approx(float((Fraction(close) - right) / right * 100), rel=1e-12, abs=0.501e-4)


def test_exponential_averages_of_a_short_series_by_hand() -> None:
    bars = exponential([10.0] * 10 + [21.0, 10.0])
    assert bars.indicator("ma10")[8:].tolist() == pytest.approx([math.nan, 10.0, 12.0, 11.64], nan_ok=True)
    assert bars.indicator("ma10_score")[9:].tolist() == [0.0, 75.0, round(100 * (10 - 128 / 11) / (128 / 11), 4)]


def test_all_but_averages_and_scores_stays() -> None:
    closes = np.random.default_rng(7).uniform(10, 20, 260).tolist()
    simple, other = enhance(bars_of(closes), Mode.VN, is_index=False), exponential(closes)
    assert not np.array_equal(simple.indicators[:10], other.indicators[:10], equal_nan=True)
    assert np.array_equal(np.isnan(simple.indicators), np.isnan(other.indicators))
    assert np.array_equal(simple.indicators[10:], other.indicators[10:], equal_nan=True)
    assert np.array_equal(simple.prices, other.prices)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), begins=st.lists(st.integers(0, 1_500), min_size=1, max_size=4))
def test_exponential_averages_do_not_depend_on_where_the_warm_up_begins(seed: int, begins: list[int]) -> None:
    """To the last bit, and for prices a thousand times apart: the seed is out of reach, not only of little weight."""
    closes = (60_000 * np.exp(np.random.default_rng(seed).normal(-0.001, 0.03, 6_000).cumsum())).tolist()
    whole = exponential(closes, Mode.CRYPTO)
    for begin in begins:
        part = exponential(closes[begin:], Mode.CRYPTO).take(slice(EMA_WARMUP_BARS, None))
        averages = slice(0, 2 * len(MA_PERIODS))
        assert np.array_equal(part.indicators[averages], whole.indicators[averages, begin + EMA_WARMUP_BARS :])


@pytest.mark.parametrize("closes", [[], [10.0], [0.0] * 210, [1e308] * 210, [0.0] * 100 + [1e308] * 300])
def test_nan_and_infinity_stay_out_of_exponential_averages(closes: list[float]) -> None:
    assert not np.isinf(exponential(closes).indicators).any()
