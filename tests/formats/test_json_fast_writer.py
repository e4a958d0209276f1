"""JSON rows made of arrays: byte for byte what the plain writer makes of objects."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.indicators import enhance
from stockapi.formats import digits, json_fast_writer, json_format
from stockapi.formats.json_format import BAR_FIELDS, BARE_FIELDS, DEFAULT_FIELDS
from stockapi.models import Bars, Interval, Mode
from stockapi.models.bars import Float
from stockapi.models.timestamps import TimeForm, TimeStyle
from tests.formats.some_bars import some_bars
from tests.support.stores import make_bars

NAMES = {"symbol": "A.B-C_9", "mode": "vn"}
FIELDS = [
    DEFAULT_FIELDS,
    BAR_FIELDS,
    BARE_FIELDS,
    ("time", "close"),
    ("ma10",),
    ("ma10_score", "volume_changed"),
    ("volume",),
]


def plain(bars: Bars, times: TimeStyle, fields: tuple[str, ...]) -> bytes:
    return b",".join(json_format.json_rows(NAMES, bars, times, fields))


def fast(bars: Bars, times: TimeStyle, fields: tuple[str, ...]) -> bytes:
    return json_fast_writer.rows(NAMES, bars, times, fields)


@settings(max_examples=400)
@given(some_bars(), st.sampled_from(TimeStyle), st.sampled_from(FIELDS))
def test_it_writes_what_the_plain_writer_writes(bars: Bars, times: TimeStyle, fields: tuple[str, ...]) -> None:
    assert fast(bars, times, fields) == plain(bars, times, fields)


@pytest.mark.parametrize("fields", FIELDS, ids=" ".join)
@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("interval", list(Interval))
def test_a_series_from_its_first_bar_on(mode: Mode, interval: Interval, fields: tuple[str, ...]) -> None:
    """The first 200 bars lack one average after the other."""
    bars = make_bars(300, interval, mode)
    for form in TimeForm:
        times = TimeStyle.of(interval, form)
        assert fast(bars, times, fields) == plain(bars, times, fields)


@pytest.mark.parametrize("price", [0.00000000128, 1.25e-9, 123456.789, 9e12])
def test_prices_of_very_different_size_in_one_series(price: float) -> None:
    count = 260
    time = np.arange(count, dtype=np.int64) * 86_400
    close = price * (1 + np.arange(count) % 7)
    bars = enhance(Bars.of(time, np.tile(close, (4, 1)), np.linspace(0.1, 1e9, count)), Mode.CRYPTO, is_index=False)
    assert fast(bars, TimeStyle.DATE, DEFAULT_FIELDS) == plain(bars, TimeStyle.DATE, DEFAULT_FIELDS)


@pytest.mark.parametrize("count", [0, 1, 79, 80, 81, 4_095, 4_096, 4_097, 4_176, 4_200])
def test_whichever_writer_is_taken_the_text_is_the_same(count: int) -> None:
    bars = make_bars(count)
    rows = b",".join(json_fast_writer.json_rows(NAMES, bars, TimeStyle.DATE, DEFAULT_FIELDS))
    assert rows == plain(bars, TimeStyle.DATE, DEFAULT_FIELDS)


def test_without_a_look_at_the_exactness_of_the_decimals_the_text_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: every number is taken for one of four decimals, as prices of coins are not."""
    bars = make_bars(100, mode=Mode.CRYPTO)
    original = digits._decimals

    def careless(values: Float, *rest: Any) -> Any:
        return original(np.round(values, 4), *rest)

    monkeypatch.setattr(digits, "_decimals", careless)
    assert fast(bars, TimeStyle.DATE, DEFAULT_FIELDS) != plain(bars, TimeStyle.DATE, DEFAULT_FIELDS)
