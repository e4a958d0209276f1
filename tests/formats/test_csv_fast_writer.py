"""Columns of digits: the text that Python's own formatting gives."""

from collections.abc import Callable, Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.formats import csv_fast_writer, csv_format, digits
from stockapi.formats.csv_fast_reader import MAX_TIME, MIN_TIME
from stockapi.formats.digits import Text
from stockapi.formats.word_lines import Lines
from stockapi.models import Bars, Interval, Mode
from stockapi.models.bars import Float
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import TimeStyle, written_times

NAN = float("nan")


def lines(texts: Sequence[Text], rows: int) -> list[str]:
    """The columns with commas between."""
    columns = sum(len(text.columns) for text in texts)
    parts = [part for column in range(columns) for part in (b"," if column else b"", column)]
    return Lines((*parts, b"\n"), texts, rows).text().decode().splitlines()


def numbers(rows: Float, decimals: int) -> list[Text]:
    return digits.numbers(rows, range(len(rows)), csv_fast_writer._fixed(decimals))


def fixed(value: float, decimals: int) -> str:
    """The one number of one row."""
    return lines(numbers(np.array([[value]]), decimals), 1)[0]


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        (0.0, 0, "0"),
        (0.0, 2, "0.00"),
        (-0.0, 2, "-0.00"),
        (0.05, 2, "0.05"),
        (-0.0001, 4, "-0.0001"),
        (0.00001234, 8, "0.00001234"),
        (7.0, 2, "7.00"),
        (999.99, 2, "999.99"),
        (1000.0, 2, "1000.00"),
        (9999.0, 0, "9999"),
        (10000.0, 0, "10000"),
        (10000.0, 4, "10000.0000"),
        (60300.5, 2, "60300.50"),
        (10000001.0, 2, "10000001.00"),
        (-123456789.0, 0, "-123456789"),
        (1e12, 2, "1000000000000.00"),
        # Where these decimals would change the number it has more, and no zeros at their end.
        (0.001, 2, "0.001"),
        (-1e-9, 8, "-0.000000001"),
        (1.25e-9, 8, "0.00000000125"),
        (0.000123457, 8, "0.000123457"),
        (0.00012345, 8, "0.00012345"),
        (0.00000001000000000001, 8, "0.00000001000000000001"),
        (1.23457e-13, 8, "0.000000000000123457"),
        (60300.123, 2, "60300.123"),
    ],
)
def test_a_number_with_fixed_decimals(value: float, decimals: int, text: str) -> None:
    assert fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [
        pytest.param(1e-21, 8, "0.000000000000000000001", id="far more decimals"),
        pytest.param(1 / 3, 4, "0.3333333333333333", id="no end of decimals"),
        pytest.param(2.0**51, 0, "2251799813685248", id="too large to be sure of"),
        pytest.param(2.0**51 / 64, 2, "35184372088832.00", id="too large with its decimals"),
        pytest.param(1e300, 8, f"{1e300:.8f}", id="beyond the largest float with its decimals"),
    ],
)
def test_a_number_that_might_change_is_left_to_python(value: float, decimals: int, text: str) -> None:
    def others(values: Float, _columns: Sequence[int]) -> Text:
        raise LookupError(values[0].tolist())

    assert fixed(value, decimals) == text
    rows = np.array([[1.0, value]])
    with pytest.raises(LookupError):
        digits.numbers(rows, [0], csv_fast_writer._fixed(decimals)._replace(other=others))
    assert lines(numbers(rows, decimals), 2) == [f"{1:.{decimals}f}", text]


@given(units=st.lists(st.integers(0, 10**6), min_size=1, max_size=6), places=st.integers(4, 16))
@settings(max_examples=200, deadline=None)
def test_numbers_of_many_decimals_beside_those_of_few(units: list[int], places: int) -> None:
    values = [unit / 10**places for unit in units]
    exact = [format(Decimal(repr(value)), "f") for value in values]
    texts = [
        text if float(text := f"{value:.4f}") == value else full for value, full in zip(values, exact, strict=True)
    ]
    assert lines(numbers(np.array([values]), 4), len(values)) == texts


@pytest.mark.parametrize("decimals", [0, 2, 4, 8])
@given(units=st.lists(st.integers(-(2**51) + 1, 2**51 - 1), min_size=1, max_size=6))
@settings(max_examples=200, deadline=None)
def test_digits_are_those_of_pythons_formatting(decimals: int, units: list[int]) -> None:
    values = [unit / 10**decimals for unit in units]
    rows = np.array([values, values[::-1]])
    texts = [f"{value:.{decimals}f}" for value in values]
    assert lines(numbers(rows, decimals), len(values)) == [
        f"{one},{other}" for one, other in zip(texts, texts[::-1], strict=True)
    ]


@given(st.lists(st.integers(-1, 2**63 - 1), min_size=1, max_size=6))
def test_whole_numbers(values: list[int]) -> None:
    assert lines([digits.whole(np.array(values, dtype=np.int64), 0)], len(values)) == [*map(str, values)]


@pytest.mark.parametrize("style", TimeStyle)
@given(st.lists(st.integers(MIN_TIME, MAX_TIME), min_size=1, max_size=6))
def test_times_are_those_of_the_plain_way(style: TimeStyle, values: list[int]) -> None:
    column = np.array(values, dtype=np.int64)
    assert lines([digits.times(column, 0, style)], len(values)) == [*map(str, written_times(column, style))]


@given(st.lists(st.text("abc0.-", min_size=1, max_size=9), min_size=1, max_size=6))
def test_texts_stay_as_they_are(values: list[str]) -> None:
    texts = [digits.of_text(b"A", 0), digits.of_texts([value.encode() for value in values], 1)]
    assert lines(texts, len(values)) == [f"A,{value}" for value in values]


@pytest.mark.parametrize("write", [csv_fast_writer.lines, csv_format._plain_lines])
def test_columns_of_every_kind_make_a_row(write: Callable[..., str]) -> None:
    """`volume_changed` is absent from the first bar."""
    bars = Bars.of(np.array([0, 86_400]), np.array([[1.5, -20000.0]] * 4), np.array([7, 123456]))
    bars = bars.with_indicators({"volume_changed": np.array([NAN, 0.25])})
    key = SeriesKey(Mode.VN, "VCB", Interval.DAILY)
    assert write(key, bars).splitlines() == [
        f"VCB,1970-01-01,{','.join(['1.50'] * 4)},7{',' * 13}",
        f"VCB,1970-01-02,{','.join(['-20000.00'] * 4)},123456{',' * 12}0.2500,",
    ]
