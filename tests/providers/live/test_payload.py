"""From rows to bars: what is a number, what is dropped, what makes a payload bad as a whole."""

import logging
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.errors import BadPayloadError, NoDataError
from stockapi.models import Bars, Interval, Mode
from stockapi.providers.live.payload import Payload, columns_of_rows, newest_of, oldest_of, parallel_columns

DAY = 86_400
MONDAY = 1_772_409_600
"""2026-03-02."""
ABOUT = "Source ABC 1D"
FOREVER = (0, 1 << 40)

GOOD: list[Any] = [MONDAY, 10.0, 12.0, 9.0, 11.0, 100]


def payload(mode: Mode = Mode.VN, interval: Interval = Interval.DAILY, **more: int) -> Payload:
    return Payload(ABOUT, mode, interval, **more)


def read(rows: list[list[Any]], mode: Mode = Mode.VN, interval: Interval = Interval.DAILY) -> Bars:
    """The rows as one page, in the widest window."""
    page = payload(mode, interval)
    return page.bars([page.page([list(column) for column in zip(*rows, strict=True)])], *FOREVER)


def with_value(column: int, value: object) -> list[Any]:
    return [*GOOD[:column], value, *GOOD[column + 1 :]]


def times(bars: Bars) -> list[int]:
    return bars.time.tolist()


# One value


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (11, 11.0),
        (11.25, 11.25),
        ("11.25", 11.25),
        ("0.00001234", 0.00001234),
        ("1.5e3", 1500.0),
        ("1E-3", 0.001),
        ("+7", 7.0),
        (".5", 0.5),
        ("5.", 5.0),
        (0, 0.0),
        ("0", 0.0),
        (-0.0, 0.0),
        (10**30, 1e30),
    ],
)
def test_numbers_come_as_numbers_or_as_text(value: object, number: float) -> None:
    bars = read([with_value(4, value)])
    assert bars.close.tolist() == [number]


NO_NUMBERS = [
    *[None, True, False, [], [1.0], {}, {"value": 1}],
    *[math.nan, math.inf, -math.inf, 10**400, -1, -1e-9],
    *["", " ", "x", "NaN", "nan", "inf", "-inf", "Infinity", "1e400", "-0.5"],
    *["1_000", "1,000", "0x10", "１２", " 1", "1 ", "1\n", "--1", "1e"],
]


@pytest.mark.parametrize("value", NO_NUMBERS, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("column", range(6))
def test_a_row_with_anything_else_is_dropped_alone(column: int, value: object) -> None:
    rest = [[MONDAY + number * DAY, *GOOD[1:]] for number in (1, 2)]
    assert times(read([with_value(column, value), *rest])) == [MONDAY + DAY, MONDAY + 2 * DAY]


@pytest.mark.parametrize(
    ("mode", "value", "volume"),
    [
        (Mode.VN, 12.0, 12),
        (Mode.VN, "12.0", 12),
        (Mode.VN, 12.7, 13),
        (Mode.VN, 12.5, 12),
        (Mode.VN, 13.5, 14),
        (Mode.VN, 3_079_603_369, 3_079_603_369),
        (Mode.CRYPTO, 12.7, 12.7),
        (Mode.CRYPTO, "0.00012", 0.00012),
        (Mode.CRYPTO, 7e30, 7e30),
    ],
)
def test_volumes_are_whole_for_vn_and_as_sent_for_crypto(mode: Mode, value: object, volume: float) -> None:
    bars = read([with_value(5, value)], mode)
    assert bars.volume.tolist() == [volume]
    assert bars.volume.dtype == (np.int64 if mode is Mode.VN else np.float64)


def test_a_vn_volume_past_63_bits_cannot_be_kept() -> None:
    assert times(read([with_value(5, 2.0**63), [MONDAY + DAY, *GOOD[1:]]])) == [MONDAY + DAY]


@pytest.mark.parametrize("row", [with_value(1, 0), with_value(4, 0.0), with_value(2, 1.0), with_value(3, 99.0)])
def test_odd_prices_are_bars(row: list[Any]) -> None:
    assert read([row]).prices[:, 0].tolist() == row[1:5]


# Times


@pytest.mark.parametrize(
    ("mode", "interval", "stamp", "time"),
    [
        # A VN day may be stamped with midnight UTC, with midnight, opening or closing in Ho Chi Minh City.
        (Mode.VN, Interval.DAILY, MONDAY, MONDAY),
        (Mode.VN, Interval.DAILY, MONDAY - 7 * 3_600, MONDAY),
        (Mode.VN, Interval.DAILY, MONDAY + 2 * 3_600, MONDAY),
        (Mode.VN, Interval.DAILY, MONDAY + 8 * 3_600, MONDAY),
        (Mode.VN, Interval.DAILY, MONDAY + 17 * 3_600 - 1, MONDAY),
        (Mode.VN, Interval.HOURLY, MONDAY + 2 * 3_600 + 15 * 60, MONDAY + 2 * 3_600),
        (Mode.VN, Interval.MINUTE, MONDAY + 59, MONDAY),
        (Mode.CRYPTO, Interval.DAILY, MONDAY + 20 * 3_600, MONDAY),
        (Mode.CRYPTO, Interval.HOURLY, MONDAY + 3_599, MONDAY),
        (Mode.VN, Interval.DAILY, str(MONDAY), MONDAY),
    ],
)
def test_a_bar_begins_with_its_interval(mode: Mode, interval: Interval, stamp: object, time: int) -> None:
    assert times(read([with_value(0, stamp)], mode, interval)) == [time]


def test_milliseconds_are_read_where_they_are_agreed_and_refused_where_not() -> None:
    columns = [[value] for value in with_value(0, MONDAY * 1_000)]
    page = payload(ticks_per_second=1_000)
    assert times(page.bars([page.page(columns)], *FOREVER)) == [MONDAY]
    with pytest.raises(BadPayloadError, match=r"none of 1 rows is a bar \(no time 1\)"):
        payload().page(columns)


@pytest.mark.parametrize("stamp", [0, 1, 86_400, "0", 31_535_999])
def test_a_time_of_1970_is_none(stamp: object) -> None:
    assert times(read([with_value(0, stamp), GOOD])) == [MONDAY]


@pytest.mark.parametrize(
    ("days", "oldest", "newest"),
    [([0], 0, 0), ([3, 1, 2], 1, 3), ([-300, 1, 2], 1, 2), ([1, 2, 300], 1, 2), ([0, 300], 300, 0), ([0, 14], 0, 14)],
)
def test_the_next_page_begins_beside_the_others(days: list[int], oldest: int, newest: int) -> None:
    columns = [list(column) for column in zip(*series(*((day, 1.0) for day in days)), strict=True)]
    page = payload().page(columns)
    assert [(time - MONDAY) // DAY for time in (oldest_of(page), newest_of(page))] == [oldest, newest]


# Order, duplicates, window


def series(*entries: tuple[int, float]) -> list[list[Any]]:
    """Rows from (day, close)."""
    return [[MONDAY + day * DAY, 1.0, 1.0, 1.0, close, 1] for day, close in entries]


def test_disorder_is_sorted_and_of_equal_times_the_later_row_wins() -> None:
    bars = read(series((2, 1.0), (0, 2.0), (2, 3.0), (1, 4.0), (0, 5.0)))
    assert times(bars) == [MONDAY, MONDAY + DAY, MONDAY + 2 * DAY]
    assert bars.close.tolist() == [5.0, 4.0, 3.0]


def test_of_equal_times_on_two_pages_the_later_page_wins() -> None:
    pages = payload()
    first, second = (
        pages.page([list(column) for column in zip(*rows, strict=True)])
        for rows in (series((1, 1.0), (2, 2.0)), series((0, 3.0), (1, 4.0)))
    )
    assert pages.bars([first, second], *FOREVER).close.tolist() == [3.0, 4.0, 2.0]


def test_rows_of_one_bar_on_two_pages_are_put_together_and_told(caplog: pytest.LogCaptureFixture) -> None:
    pages = payload(interval=Interval.MINUTE)
    parts = ([MONDAY + 10, 5.0, 6.0, 4.0, 5.5, 50], [MONDAY + 40, 5.5, 7.0, 5.0, 6.0, 2])
    newer, older = (pages.page([[value] for value in row]) for row in reversed(parts))
    with caplog.at_level(logging.WARNING):
        bars = pages.bars([newer, older], *FOREVER)
    assert times(bars) == [MONDAY]
    assert bars.prices[:, 0].tolist() == [5.0, 7.0, 4.0, 6.0]
    assert bars.volume.tolist() == [52]
    assert [record.getMessage() for record in caplog.records] == ['event=rows_merged series="Source ABC 1D" rows=1']


def test_what_is_outside_the_window_is_left_out() -> None:
    pages = payload()
    page = pages.page([list(column) for column in zip(*series(*((day, 1.0) for day in range(6))), strict=True)])
    bars = pages.bars([page], MONDAY + DAY, MONDAY + 3 * DAY)
    assert times(bars) == [MONDAY + DAY, MONDAY + 2 * DAY, MONDAY + 3 * DAY]
    # Bars that are all outside are no "no data": the source has answered.
    assert len(pages.bars([page], MONDAY + 60 * DAY, MONDAY + 90 * DAY)) == 0


@pytest.mark.parametrize("mode", Mode)
def test_no_bars_at_all_are_suspect(mode: Mode) -> None:
    pages = payload(mode)
    empty = pages.page([[]] * 6)
    for none in ([], [empty], [empty, empty]):
        with pytest.raises(NoDataError, match=rf"^{ABOUT}: an answer without bars"):
            pages.bars(none, *FOREVER)


# Counting


def test_dropped_rows_are_counted_by_reason_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    pages = payload()
    rows = [with_value(0, None), with_value(1, "NaN"), with_value(1, None), with_value(5, -1), GOOD, [None] * 6]
    page = pages.page([list(column) for column in zip(*rows, strict=True)])
    again = pages.page([[value] for value in GOOD])
    with caplog.at_level(logging.WARNING):
        pages.bars([page, again], *FOREVER)
    assert [record.getMessage() for record in caplog.records] == [
        'event=rows_dropped series="Source ABC 1D" rows=5 of=7 why="no time 2, no price 2, no volume 1"'
    ]


def test_good_rows_leave_no_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        read([GOOD])
    assert caplog.records == []


def test_a_page_without_a_single_bar_is_bad() -> None:
    columns = [list(column) for column in zip(with_value(1, None), with_value(0, "x"), strict=True)]
    with pytest.raises(BadPayloadError) as caught:
        payload().page(columns)
    assert str(caught.value) == f"{ABOUT}: none of 2 rows is a bar (no time 1, no price 1)"


# Shapes


@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        ([], [[], []]),
        ([[1, 2], [3, 4]], [[1, 3], [2, 4]]),
        ([[1], None, "ab", 7, [3, 4, 5], {}], [[1, None, "a", None, 3, None], [None, None, "b", None, 4, None]]),
    ],
)
def test_what_a_row_lacks_is_none(rows: object, columns: list[list[object]]) -> None:
    assert columns_of_rows(rows, (0, 1), ABOUT) == columns


def test_rows_may_be_objects() -> None:
    assert columns_of_rows([{"a": 1}, {"b": 2}, [1]], ("a", "b"), ABOUT) == [[1, None, None], [None, 2, None]]


@pytest.mark.parametrize("rows", [None, {}, {"a": []}, "text", 7, True, 1.5])
def test_rows_that_are_no_list_are_bad(rows: object) -> None:
    with pytest.raises(BadPayloadError, match=rf"^{ABOUT}: .* where a list of bars is due$"):
        columns_of_rows(rows, (0, 1), ABOUT)


def test_parallel_arrays() -> None:
    assert parallel_columns({"a": [1], "b": [2], "c": 3}, ("b", "a"), ABOUT) == [[2], [1]]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"a": [1, 2], "b": [1]}, "1 values in 'b', 2 in 'a'"),
        ({"a": [], "b": [1]}, "1 values in 'b', 0 in 'a'"),
        ({"a": [1]}, "nothing where the array 'b' is due"),
        ({"a": [1], "b": None}, "nothing where the array 'b' is due"),
        ({"a": "12", "b": [1, 2]}, "text where the array 'a' is due"),
        ({"a": {}, "b": []}, "an object where the array 'a' is due"),
    ],
)
def test_arrays_that_do_not_run_side_by_side_are_bad(entry: dict[str, object], message: str) -> None:
    with pytest.raises(BadPayloadError) as caught:
        parallel_columns(entry, ("a", "b"), ABOUT)
    assert str(caught.value) == f"{ABOUT}: {message}"


# Whatever comes

any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from([MONDAY, 1.5, "2"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(st.lists(any_json, max_size=7) | any_json, max_size=6), mode=st.sampled_from(Mode))
def test_whatever_comes_only_bars_come_out(rows: list[object], mode: Mode) -> None:
    pages = payload(mode)
    try:
        page = pages.page(columns_of_rows([*rows, GOOD], range(6), ABOUT))
    except BadPayloadError:
        pytest.fail("there was a good row")
    bars = pages.bars([page], *FOREVER)
    assert MONDAY in times(bars)
    assert np.isfinite(bars.prices).all()
    assert (bars.prices >= 0).all()
    assert np.isfinite(bars.volume).all()
    assert (bars.volume >= 0).all()
    assert (np.diff(bars.time) > 0).all()
    assert bars.volume.dtype == (np.int64 if mode is Mode.VN else np.float64)
    assert np.isnan(bars.indicators).all()
