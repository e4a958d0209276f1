"""Requested indicators against their definitions, bar by bar, and against TA-Lib where its definitions are the same."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean, pstdev

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.indicators import enhance
from stockapi.calc.requested_indicators import warmup_of, with_requested
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import AggregatedInterval, AnyInterval, Interval
from stockapi.models.mode import Mode
from stockapi.models.requested import SAMPLES, parse_requested

Values = Sequence[float | None]
DAY, HOUR, MINUTE = Interval
EVERY = (*SAMPLES, "rsi2", "rsi200", "macd(5,35,5)", "bb(7,2.5)", "atr3", "roc2", "stoch(5,3,3)", "bb200")


def bars_of(rows: Sequence[tuple[float, float, float, float]], interval: Interval = DAY, mode: Mode = Mode.VN) -> Bars:
    """`rows`: high, low, close, volume. The first bar is at 2024-01-31T02:00:00Z."""
    high, low, close, volume = np.array(rows, dtype=float).reshape(-1, 4).T
    time = 1_706_666_400 + np.arange(len(rows), dtype=np.int64) * interval.seconds
    volumes = volume.astype(np.int64) if mode is Mode.VN else volume
    return enhance(Bars.of(time, np.stack([close, high, low, close]), volumes), mode, is_index=False)


def walk(count: int, interval: Interval = DAY, mode: Mode = Mode.VN, seed: int = 1) -> Bars:
    random = np.random.default_rng(seed)
    close = np.round(30_000 * np.exp(np.cumsum(random.normal(0, 0.01, count))), -1)
    high, low = close + 10 * random.integers(0, 30, count), close - 10 * random.integers(0, 30, count)
    rows = np.stack([high, low, close, random.integers(0, 900_000, count)]).T
    if mode is Mode.CRYPTO:
        rows = rows * [1e-7, 1e-7, 1e-7, 1e-3]
    return bars_of([tuple(row) for row in rows.tolist()], interval, mode)


def computed(bars: Bars, *texts: str, interval: AnyInterval = DAY, mode: Mode = Mode.VN) -> dict[str, list[float]]:
    requested = tuple(sorted(map(parse_requested, texts)))
    found = with_requested(bars, requested, interval, mode)
    assert found.names[: len(INDICATOR_FIELDS)] == INDICATOR_FIELDS
    return {name: found.indicator(name).tolist() for name in found.names[len(INDICATOR_FIELDS) :]}


# By definition


def recursive(values: Sequence[float], period: int, part: float) -> Values:
    """Absent before value number `period`; then their mean; then nearer to each value by `part` of the difference."""
    averages: list[float | None] = [None] * len(values)
    for i in range(period - 1, len(values)):
        before = averages[i - 1]
        averages[i] = fmean(values[:period]) if before is None else before + part * (values[i] - before)
    return averages


def moving(values: Values, count: int) -> Values:
    windows = (values[max(0, i + 1 - count) : i + 1] for i in range(len(values)))
    return [None if len(each) < count or None in each else fmean(map(float, each)) for each in windows]  # type: ignore[arg-type]


def rsi(bars: Bars, period: int) -> dict[str, Values]:
    change = np.diff(bars.close).tolist()
    gains = recursive([max(each, 0.0) for each in change], period, 1 / period)
    losses = recursive([max(-each, 0.0) for each in change], period, 1 / period)
    values: list[float | None] = [None]
    for gain, loss in zip(gains, losses, strict=True):
        values.append(None if gain is None or loss is None or gain + loss == 0 else 100 * gain / (gain + loss))
    return {f"rsi{period}": values[: len(bars)]}


def macd(bars: Bars, fast: int, slow: int, signal: int) -> dict[str, Values]:
    close = bars.close.tolist()
    quick, calm = (recursive(close, period, 2 / (period + 1)) for period in (fast, slow))
    line = [None if a is None or b is None else a - b for a, b in zip(quick, calm, strict=True)]
    absent = min(slow - 1, len(close))
    average = [None] * absent + list(recursive([each for each in line if each is not None], signal, 2 / (signal + 1)))
    above = [None if a is None or b is None else a - b for a, b in zip(line, average, strict=True)]
    name = f"macd{fast}_{slow}_{signal}"
    return {name: line, f"{name}_signal": average, f"{name}_hist": above}


def bands(bars: Bars, period: int) -> dict[str, Values]:
    close = bars.close.tolist()
    windows = [close[i + 1 - period : i + 1] if i + 1 >= period else None for i in range(len(close))]
    found = {}
    for name, width in (("upper", 2.5), ("middle", 0.0), ("lower", -2.5)):
        found[f"bb{period}_2_5_{name}"] = [each and fmean(each) + width * pstdev(each) for each in windows]
    return found  # type: ignore[return-value]


def atr(bars: Bars, period: int) -> dict[str, Values]:
    high, low, close = bars.high.tolist(), bars.low.tolist(), bars.close.tolist()
    ranges = [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, len(bars))]
    return {f"atr{period}": [None, *recursive(ranges, period, 1 / period)][: len(bars)]}


def roc(bars: Bars, period: int) -> dict[str, Values]:
    close = bars.close.tolist()
    values = [
        100 * (close[i] - close[i - period]) / close[i - period] if i >= period and close[i - period] > 0 else None
        for i in range(len(close))
    ]
    return {f"roc{period}": values}


def stochastic(bars: Bars, period: int) -> dict[str, Values]:
    place: list[float | None] = []
    for i in range(len(bars)):
        window = slice(max(0, i + 1 - period), i + 1)
        highest, lowest = float(bars.high[window].max()), float(bars.low[window].min())
        is_defined = i + 1 >= period and highest > lowest
        place.append(100 * (float(bars.close[i]) - lowest) / (highest - lowest) if is_defined else None)
    k = moving(place, 3)
    return {f"stoch{period}_3_2_k": k, f"stoch{period}_3_2_d": moving(k, 2)}


def vwap(bars: Bars) -> dict[str, Values]:
    price = ((bars.high + bars.low + bars.close) / 3).tolist()
    volume = [float(each) for each in bars.volume.tolist()]
    days = (bars.time + 7 * 3_600) // 86_400
    values = []
    for i in range(len(bars)):
        own = [n for n in range(i + 1) if days[n] == days[i]]
        total = math.fsum(volume[n] for n in own)
        values.append(math.fsum(price[n] * volume[n] for n in own) / total if total else None)
    return {"vwap": values}


def obv(bars: Bars) -> dict[str, Values]:
    close, volume = bars.close.tolist(), bars.volume.tolist()
    total, values = 0.0, []
    for i in range(len(bars)):
        total += volume[i] * (1 if i == 0 else np.sign(close[i] - close[i - 1]))
        values.append(total)
    return {"obv": values}


DEFINITIONS: list[tuple[str, Callable[[Bars], dict[str, Values]]]] = [
    ("rsi3", lambda bars: rsi(bars, 3)),
    ("macd(2,4,3)", lambda bars: macd(bars, 2, 4, 3)),
    ("bb(4,2.5)", lambda bars: bands(bars, 4)),
    ("atr3", lambda bars: atr(bars, 3)),
    ("roc3", lambda bars: roc(bars, 3)),
    ("stoch(4,3,2)", lambda bars: stochastic(bars, 4)),
    ("vwap", vwap),
    ("obv", obv),
]
CELL = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1_000, 1_012), st.integers(0, 3))
ROWS = st.lists(CELL.map(lambda cell: (cell[2] + cell[0], cell[2] - cell[1], cell[2], cell[3] * 100)), max_size=40)


@pytest.mark.parametrize(("text", "definition"), DEFINITIONS, ids=[text for text, _ in DEFINITIONS])
@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_every_number_agrees_with_its_definition(
    text: str, definition: Callable[[Bars], dict[str, Values]], rows: list[tuple[float, float, float, float]]
) -> None:
    """With many equal prices, and bars without volume, without a range, and of the same price as before."""
    bars = bars_of(rows, HOUR)
    found = computed(bars, text, interval=HOUR)
    expected = definition(bars)
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name] == pytest.approx(
            [math.nan if each is None else each for each in values], abs=0.0051, nan_ok=True
        )


@pytest.mark.parametrize("mode", list(Mode))
def test_they_are_those_of_ta_lib(mode: Mode) -> None:
    """Its MACD begins the fast average later than at its own first bar, so that of the averages is compared."""
    bars = walk(900, mode=mode)
    high, low, close, volume = bars.high.copy(), bars.low.copy(), bars.close.copy(), bars.volume.astype(float)
    line = talib.EMA(close, 12) - talib.EMA(close, 26)
    signal = np.concatenate([np.full(25, np.nan), talib.EMA(line[25:], 9)])
    upper, middle, lower = talib.BBANDS(close, 20, 2.5, 2.5)
    k, d = talib.STOCH(high, low, close, 14, 3, 0, 3, 0)
    fast_k, fast_d = talib.STOCHF(high, low, close, 14, 3, 0)
    expected: dict[str, Float] = {
        "rsi14": talib.RSI(close, 14),
        "macd": line,
        "macd_signal": signal,
        "macd_hist": line - signal,
        "bb20_2_5_upper": upper,
        "bb20_2_5_middle": middle,
        "bb20_2_5_lower": lower,
        "atr14": talib.ATR(high, low, close, 14),
        "roc10": talib.ROC(close, 10),
        "stoch14_k": fast_k,
        "stoch14_d": fast_d,
        "stoch14_3_3_k": k,
        "stoch14_3_3_d": d,
        "obv": talib.OBV(close, volume),
    }
    texts = ["rsi14", "macd", "bb(20,2.5)", "atr14", "roc10", "stoch14", "stoch(14,3,3)", "obv"]
    found = computed(bars, *texts, mode=mode)
    assert list(found) == list(expected)
    for name, values in expected.items():
        own, theirs = np.array(found[name]), values
        if name.startswith("stoch"):  # TA-Lib has none where its average is not yet defined, ours has each by itself
            own = np.where(np.isnan(theirs), np.nan, own)
        unit = 1e-4 if name.startswith(("rsi", "roc", "stoch")) else 10.0 ** -market_of(mode).price_decimals
        np.testing.assert_allclose(own, theirs, rtol=1e-12, atol=0.51 * unit, err_msg=name)
    later = talib.MACD(close, 12, 26, 9)
    np.testing.assert_allclose(found["macd"][400:], later[0][400:], rtol=1e-4, atol=0.01)


# A part of a series


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("interval", [MINUTE, DAY], ids=lambda each: each.value)
def test_a_part_with_its_warm_up_has_the_bits_of_the_whole(mode: Mode, text: str, interval: Interval) -> None:
    bars = walk(9_000 if text == "rsi200" else 3_000, interval, mode)
    requested = (parse_requested(text),)
    whole = with_requested(bars, requested, interval, mode)
    warmup = warmup_of(requested, interval)
    if warmup is None:
        assert text == "obv"
        return
    for first in (warmup, warmup + 1, warmup + 77, len(bars) - 1):
        part = with_requested(bars.take(slice(first - warmup, None)), requested, interval, mode)
        assert part.take(slice(warmup, None)).equals(whole.take(slice(first, None)))
        begin = with_requested(bars.take(slice(0, first)), requested, interval, mode)
        assert begin.equals(whole.take(slice(0, first)))


@pytest.mark.parametrize(
    ("text", "interval", "bars"),
    [
        ("rsi14", DAY, 526),
        ("macd", DAY, 803),
        ("bb20", DAY, 19),
        ("atr14", DAY, 526),
        ("roc10", DAY, 10),
        ("stoch14", DAY, 15),
        ("vwap", DAY, 0),
        ("vwap", AggregatedInterval.WEEK_1, 0),
        ("vwap", MINUTE, 1_440),
        ("vwap", HOUR, 24),
        ("vwap", AggregatedInterval.MIN_5, 288),
        ("vwap", AggregatedInterval.HOUR_4, 6),
        ("obv", DAY, None),
    ],
)
def test_the_warm_up(text: str, interval: AnyInterval, bars: int | None) -> None:
    assert warmup_of([parse_requested(text)], interval) == bars
    assert warmup_of([parse_requested(text), parse_requested("roc2")], interval) == (
        bars if bars is None else max(bars, 2)
    )


# What is not defined


def test_when_each_begins() -> None:
    found = computed(walk(300), *SAMPLES)
    begins = {name: int(np.flatnonzero(~np.isnan(values))[0]) for name, values in found.items()}
    assert begins == {
        "rsi14": 14,
        "macd": 25,
        "macd_signal": 33,
        "macd_hist": 33,
        "bb20_upper": 19,
        "bb20_middle": 19,
        "bb20_lower": 19,
        "atr14": 14,
        "vwap": 0,
        "roc10": 10,
        "stoch14_k": 13,
        "stoch14_d": 15,
        "obv": 0,
    }


@pytest.mark.parametrize("count", [0, 1, 2, 3, 13, 14, 15, 33, 34, 199, 200, 201])
def test_short_series(count: int) -> None:
    whole, part = computed(walk(300), *EVERY), computed(walk(300).take(slice(0, count)), *EVERY)
    for name, values in part.items():
        np.testing.assert_array_equal(values, whole[name][:count], err_msg=name)


def test_prices_that_do_not_move() -> None:
    """No RSI and no stochastic, for both are 0 / 0; the others are what they are."""
    bars = bars_of([(123.45, 123.45, 123.45, 100.0)] * 1_200, MINUTE, Mode.CRYPTO)
    found = computed(bars, *EVERY, interval=MINUTE, mode=Mode.CRYPTO)
    last = {name: values[-1] for name, values in found.items()}
    undefined = {name for name in last if name.startswith(("rsi", "stoch"))}
    assert all(math.isnan(value) for name in undefined for value in found[name])
    prices = {name for name in last if name.startswith(("bb", "vwap"))}
    assert {name: last[name] for name in prices} == dict.fromkeys(prices, 123.45)
    others = {name for name in last if name not in undefined | prices}
    assert {name: last[name] for name in others} == dict.fromkeys(others, 0.0) | {"obv": 100.0}


def test_prices_that_move_in_one_direction() -> None:
    rising = bars_of([(1_000.0 + i, 1_000.0 + i, 1_000.0 + i, 5.0) for i in range(60)])
    found = computed(rising, "rsi14", "stoch14", "obv")
    assert (found["rsi14"][-1], found["stoch14_k"][-1], found["obv"][-1]) == (100.0, 100.0, 300.0)


def test_an_average_price_of_the_day_begins_anew_at_local_midnight_and_needs_volume() -> None:
    """17:00 UTC is midnight in Ho Chi Minh City."""
    hours = [(10.0 * (i + 1),) * 3 + (0.0 if i in (0, 1, 15) else 100.0,) for i in range(18)]
    found = computed(bars_of(hours, HOUR), "vwap", interval=HOUR)["vwap"]
    assert found[:4] == pytest.approx([math.nan, math.nan, 30.0, 35.0], nan_ok=True)
    assert found[14] == 90.0
    assert found[15:] == pytest.approx([math.nan, 170.0, 175.0], nan_ok=True)


def test_an_average_price_of_days_is_that_of_each_bar() -> None:
    bars = bars_of([(12.0, 9.0, 9.0, 100.0), (12.0, 9.0, 9.0, 0.0)])
    for interval in (DAY, AggregatedInterval.WEEK_1):
        assert computed(bars, "vwap", interval=interval)["vwap"] == pytest.approx([10.0, math.nan], nan_ok=True)


def test_a_bar_without_volume_changes_neither_the_balance_nor_the_average_price() -> None:
    bars = bars_of([(10.0, 10.0, 10.0, 50.0), (99.0, 99.0, 99.0, 0.0), (10.0, 10.0, 10.0, 0.0)], HOUR)
    found = computed(bars, "obv", "vwap", interval=HOUR)
    assert found == {"vwap": [10.0, 10.0, 10.0], "obv": [50.0, 50.0, 50.0]}


@pytest.mark.parametrize("price", [0.0, 1e308, 5e-324, 1e-12])
def test_nan_and_infinity_stay_out(price: float) -> None:
    rows = [(price * (1 + i % 3), price, price * (1 + i % 2), 2.0**62) for i in range(260)]
    found = computed(bars_of(rows, MINUTE, Mode.CRYPTO), *EVERY, interval=MINUTE, mode=Mode.CRYPTO)
    assert not any(math.isinf(value) for values in found.values() for value in values)


def test_the_middle_band_is_the_stored_average() -> None:
    bars = walk(600, mode=Mode.CRYPTO)
    for period in (10, 20, 50, 100, 200):
        middle = computed(bars, f"bb{period}", mode=Mode.CRYPTO)[f"bb{period}_middle"]
        np.testing.assert_array_equal(middle, bars.indicator(f"ma{period}"))
