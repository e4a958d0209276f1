"""Columns of digits: the text that Python's own formatting gives, or none."""

from decimal import Decimal
from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.formats import csv_fast_writer
from stockapi.formats.csv_fast_reader import MAX_TIME, MIN_TIME
from stockapi.models import AggregatedInterval, Interval
from stockapi.models.interval import AnyInterval
from stockapi.models.timestamps import format_times

NAN = float("nan")


def lines(columns: list[csv_fast_writer.Words] | None, first: tuple[str, ...] = ()) -> list[str] | None:
    return None if columns is None else csv_fast_writer.join(first, columns).decode().splitlines()


def fixed(value: float, decimals: int) -> str | None:
    """The one number of one row."""
    columns = csv_fast_writer.fixed_point(np.array([[value]]), decimals)
    return None if columns is None else csv_fast_writer.join([], columns).decode().removesuffix("\n")


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
        (NAN, 2, ""),
        (-NAN, 2, ""),
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
    ("value", "decimals"),
    [
        pytest.param(1e-21, 8, id="far more decimals"),
        pytest.param(1 / 3, 4, id="no end of decimals"),
        pytest.param(2.0**51, 0, id="too large to be sure of"),
        pytest.param(2.0**51 / 64, 2, id="too large with its decimals"),
        pytest.param(1e300, 8, id="beyond the largest float with its decimals"),
        pytest.param(float("inf"), 2, id="infinite"),
    ],
)
def test_a_number_that_might_change_is_not_taken_on(value: float, decimals: int) -> None:
    assert fixed(value, decimals) is None
    assert csv_fast_writer.fixed_point(np.array([[1.0, value, NAN]]), decimals) is None


@given(units=st.lists(st.integers(0, 10**6), min_size=1, max_size=6), places=st.integers(4, 16))
@settings(max_examples=200, deadline=None)
def test_numbers_of_many_decimals_beside_those_of_few(units: list[int], places: int) -> None:
    values = [unit / 10**places for unit in units]
    exact = [format(Decimal(repr(value)), "f") for value in values]
    texts = [
        text if float(text := f"{value:.4f}") == value else full for value, full in zip(values, exact, strict=True)
    ]
    assert lines(csv_fast_writer.fixed_point(np.array([values]), 4)) == texts


@pytest.mark.parametrize("decimals", [0, 2, 4, 8])
@given(units=st.lists(st.integers(-(2**51) + 1, 2**51 - 1), min_size=1, max_size=6), holes=st.integers(0, 63))
@settings(max_examples=200, deadline=None)
def test_digits_are_those_of_pythons_formatting(decimals: int, units: list[int], holes: int) -> None:
    values = [NAN if holes >> i & 1 else unit / 10**decimals for i, unit in enumerate(units)]
    columns = csv_fast_writer.fixed_point(np.array([values, values[::-1]]), decimals)
    texts = ["" if np.isnan(value) else f"{value:.{decimals}f}" for value in values]
    assert lines(columns, ("X",)) == [f"X,{one},{other}" for one, other in zip(texts, texts[::-1], strict=True)]


@given(st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=6))
def test_whole_numbers(values: list[int]) -> None:
    assert lines(csv_fast_writer.whole(np.array(values, dtype=np.int64))) == [*map(str, values)]


def test_whole_numbers_below_zero_are_not_taken_on() -> None:
    assert csv_fast_writer.whole(np.array([1, -1])) is None


@pytest.mark.parametrize("interval", [*Interval, *AggregatedInterval])
@given(st.lists(st.integers(MIN_TIME, MAX_TIME), min_size=1, max_size=6))
def test_times_are_those_of_the_plain_way(interval: AnyInterval, values: list[int]) -> None:
    column = np.array(values, dtype=np.int64)
    assert lines(csv_fast_writer.times(column, interval)) == format_times(column, interval)


@pytest.mark.parametrize("year", ["-0001-12-31T23:59:59", "10000-01-01"])
def test_a_year_without_four_digits_is_not_taken_on(year: str) -> None:
    column = np.array(["2024-01-01", year], dtype="datetime64[s]").astype(np.int64)
    assert csv_fast_writer.times(column, Interval.HOURLY) is None


@given(st.lists(st.text("abc0.-", min_size=1, max_size=9), min_size=1, max_size=6))
def test_texts_stay_as_they_are(values: list[str]) -> None:
    assert lines(csv_fast_writer.texts(values), ("A", "BCDE")) == [f"A,BCDE,{value}" for value in values]


def test_columns_of_every_kind_make_a_row() -> None:
    numbers = csv_fast_writer.fixed_point(np.array([[1.5, -20000.0], [NAN, 0.25]]), 2)
    volume = csv_fast_writer.whole(np.array([7, 123456]))
    assert numbers is not None
    assert volume is not None
    columns = list(chain(csv_fast_writer.texts(["2024-01-01", "2024-01-02"]), numbers, volume))
    assert lines(columns, ("VCB",)) == ["VCB,2024-01-01,1.50,,7", "VCB,2024-01-02,-20000.00,0.25,123456"]
    assert lines(columns) == ["2024-01-01,1.50,,7", "2024-01-02,-20000.00,0.25,123456"]
