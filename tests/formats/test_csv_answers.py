"""Lines of CSV answers: numbers in their shortest form, the market last, and the same text by either writer."""

import csv
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.indicators import enhance
from stockapi.formats import csv_answers, digits
from stockapi.formats.csv_answers import Named
from stockapi.formats.csv_numbers import shortest
from stockapi.formats.json_format import BAR_FIELDS, BARE_FIELDS, DEFAULT_FIELDS
from stockapi.models import Bars, Interval, Mode
from stockapi.models.bars import Float
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.timestamps import TimeForm, TimeStyle
from tests.formats.some_bars import some_bars
from tests.support.stores import make_bars

NAMES = {"symbol": "A.B-C_9", "mode": "vn"}
NAN = float("nan")
FIELDS = [DEFAULT_FIELDS, BAR_FIELDS, BARE_FIELDS, ("time", "close"), ("ma10", "ma20"), ("volume", "mode")]


def plain(series: list[Named], times: TimeStyle, fields: tuple[str, ...]) -> bytes:
    return b"".join(csv_answers.plain_rows(names, bars, times, fields) for names, bars in series)


def rows(series: list[Named], fields: tuple[str, ...], times: TimeStyle = TimeStyle.DATE) -> bytes:
    return b"".join(csv_answers.csv_rows(series, times, csv_answers.columns(fields)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (79300.0, "79300"),
        (60350.55, "60350.55"),
        (0.0, "0"),
        (-0.0, "-0"),
        (-3.5, "-3.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1.25e-9, "0.00000000125"),
        (1e-7, "0.0000001"),
        (0.00001234, "0.00001234"),
        (2.0**53, "9007199254740992"),
        (1e16, "10000000000000000"),
        (1.25e22, "12500000000000000000000"),
        (5e-324, f"0.{'0' * 323}5"),
    ],
)
def test_a_number_is_written_in_its_shortest_form_and_never_with_an_exponent(value: float, text: str) -> None:
    assert shortest(value) == text
    for count in (1, 60):  # by either writer
        bars = Bars.of(np.arange(count), np.full((4, count), value), np.full(count, value))
        lines = rows([(NAMES, bars)], ("close", "volume")).decode().splitlines()
        assert set(lines) == {f"{text},{text}"}


@pytest.mark.parametrize(
    ("fields", "columns"),
    [
        (DEFAULT_FIELDS, ("symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS)),
        (BAR_FIELDS, ("symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS, "mode")),
        (("time", "symbol", "mode", "ma10"), ("symbol", "time", "ma10", "mode")),
        (("mode",), ("mode",)),
    ],
)
def test_the_symbol_comes_first_and_the_market_last(fields: tuple[str, ...], columns: tuple[str, ...]) -> None:
    assert csv_answers.columns(fields) == columns


@settings(max_examples=300, deadline=None)
@given(some_bars(), st.sampled_from(TimeStyle), st.sampled_from(FIELDS))
def test_both_writers_write_the_same(bars: Bars, times: TimeStyle, fields: tuple[str, ...]) -> None:
    columns = csv_answers.columns(fields)
    assert csv_answers.fast_rows([(NAMES, bars)], times, columns) == plain([(NAMES, bars)], times, columns)


@settings(max_examples=100, deadline=None)
@given(some_bars())
def test_every_number_comes_back_as_it_was(bars: Bars) -> None:
    columns = csv_answers.columns(DEFAULT_FIELDS)
    for text in (csv_answers.fast_rows([(NAMES, bars)], TimeStyle.CLOCK, columns), rows([(NAMES, bars)], columns)):
        for position, row in enumerate(csv.DictReader(io.StringIO(text.decode()), columns)):
            assert "e" not in text.decode().lower().replace("t", "")
            for name in ("open", "volume", *INDICATOR_FIELDS):
                value = bars.column(name)[position].item()
                assert row[name] == "" if value != value else type(value)(row[name]) == value


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("interval", list(Interval))
def test_a_series_from_its_first_bar_on(mode: Mode, interval: Interval) -> None:
    """The first 200 bars lack one average after the other."""
    series = [(NAMES, make_bars(300, interval, mode))]
    columns = csv_answers.columns(DEFAULT_FIELDS)
    for form in TimeForm:
        times = TimeStyle.of(interval, form)
        assert rows(series, DEFAULT_FIELDS, times) == plain(series, times, columns)


@pytest.mark.parametrize("price", [0.00000000128, 1.25e-9, 123456.789, 9e12])
def test_prices_of_very_different_size_in_one_series(price: float) -> None:
    time = np.arange(260, dtype=np.int64) * 86_400
    close = price * (1 + np.arange(260) % 7)
    bars = enhance(Bars.of(time, np.tile(close, (4, 1)), np.linspace(0.1, 1e9, 260)), Mode.CRYPTO, is_index=False)
    assert rows([(NAMES, bars)], DEFAULT_FIELDS) == plain(
        [(NAMES, bars)], TimeStyle.DATE, csv_answers.columns(DEFAULT_FIELDS)
    )


@pytest.mark.parametrize("counts", [(1,), (24,), (25,), (1, 30, 2), (4_095, 2), (4_096,), (4_097, 1, 4_200)])
def test_many_series_make_the_lines_of_each(counts: tuple[int, ...]) -> None:
    """Of both markets in turn, as with mode=all: volumes of one are whole numbers, of the other fractions."""
    modes = [*Mode] * len(counts)
    series: list[Named] = [
        ({"symbol": f"T{count}", "mode": mode.value}, make_bars(count, Interval.MINUTE, mode, seed=count))
        for mode, count in zip(modes, counts, strict=False)
    ]
    columns = csv_answers.columns(BAR_FIELDS)
    assert rows(series, BAR_FIELDS, TimeStyle.CLOCK) == plain(series, TimeStyle.CLOCK, columns)


@pytest.mark.parametrize("count", [1, 100])
def test_a_row_of_one_absent_field_is_no_empty_line(count: int) -> None:
    bars = Bars.of(np.arange(count), np.ones((4, count)), np.ones(count, dtype=np.int64))
    assert rows([(NAMES, bars)], ("ma10",)) == b'""\n' * count


def test_without_a_look_at_the_exactness_of_the_decimals_the_text_would_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: every number is taken for one of four decimals, as prices of coins are not."""
    bars = make_bars(100, mode=Mode.CRYPTO)
    original = digits._decimals
    columns = csv_answers.columns(DEFAULT_FIELDS)

    def careless(values: Float, *rest: Any) -> Any:
        return original(np.round(values, 4), *rest)

    monkeypatch.setattr(digits, "_decimals", careless)
    assert rows([(NAMES, bars)], DEFAULT_FIELDS) != plain([(NAMES, bars)], TimeStyle.DATE, columns)
