"""Rows of CSV: exact on the way out, tolerant on the way in."""

import re
from collections.abc import Callable
from contextlib import suppress
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.calc.indicators import enhance
from stockapi.errors import LayoutError
from stockapi.formats import csv_format
from stockapi.formats.csv_format import HEADER, DamagedLine, ParsedCsv, format_rows, parse_rows
from stockapi.markets import market_of
from stockapi.models import AggregatedInterval, Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_times
from tests.support.csv_bars import DAY, START, any_bars, flat_bars, rounded, times

BASE_HEADER = "ticker,time,open,high,low,close,volume"
NAN = float("nan")


def vn(text: str, interval: Interval = Interval.DAILY) -> ParsedCsv:
    return parse_rows(text, SeriesKey(Mode.VN, "VCB", interval))


def crypto(text: str, interval: Interval = Interval.DAILY) -> ParsedCsv:
    return parse_rows(text, SeriesKey(Mode.CRYPTO, "BTC", interval))


def base_file(*rows: str) -> str:
    return "\n".join((BASE_HEADER, *rows, ""))


def day(number: int, close: str = "10", volume: str = "100") -> str:
    return f"VCB,2024-01-{number:02},10,10,10,{close},{volume}"


def closes(parsed: ParsedCsv) -> list[tuple[int, float]]:
    """(day of January 2024, close) of each bar."""
    bars = parsed.bars
    return [((time - START) // DAY + 1, close) for time, close in zip(bars.time.tolist(), bars.close, strict=True)]


# Writing


def test_the_header_is_that_of_the_contract() -> None:
    assert HEADER == (
        "ticker,time,open,high,low,close,volume,ma10,ma20,ma50,ma100,ma200,ma10_score,ma20_score,ma50_score,ma100_score,"
        "ma200_score,close_changed,volume_changed,total_money_changed"
    )


def test_vn_row() -> None:
    indicators = np.array([[60.5, 60.25, 60.0, NAN, NAN, 1.23456, 2.0, -3.5, NAN, NAN, 0.5, -10.0, -123456789.0]]).T
    bars = Bars(np.array([START]), np.array([[60300.0, 60400.0, 60200.0, 60350.55]]).T, np.array([1234567]), indicators)
    assert format_rows(SeriesKey(Mode.VN, "VCB", Interval.DAILY), rounded(bars, Mode.VN)) == (
        "VCB,2024-01-01,60300.00,60400.00,60200.00,60350.55,1234567,"
        "60.50,60.25,60.00,,,1.2346,2.0000,-3.5000,,,0.5000,-10.0000,-123456789\n"
    )


def test_crypto_row() -> None:
    indicators = np.array([[0.00001234, *[NAN] * 4, 1.0, *[NAN] * 4, 0.5, -10.0, -0.25]]).T
    prices = np.array([[0.00001234, 0.1, 0.00000001, 98765.4321]]).T
    bars = Bars(np.array([START + 90]), prices, np.array([0.00001]), indicators)
    assert format_rows(SeriesKey(Mode.CRYPTO, "PEPE", Interval.MINUTE), bars) == (
        "PEPE,2024-01-01T00:01:30,0.00001234,0.10000000,0.00000001,98765.43210000,0.00001,"
        "0.00001234,,,,,1.0000,,,,,0.5000,-10.0000,-0.25\n"
    )


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        (0.0, "0.0"),
        (1.5, "1.5"),
        (1e-7, "0.0000001"),
        (1e16, "10000000000000000"),
        (1.25e22, "12500000000000000000000"),
    ],
)
def test_crypto_volume_is_short_and_without_exponent(volume: float, text: str) -> None:
    bars = Bars.of(np.array([START]), np.ones((4, 1)), np.array([volume]))
    assert format_rows(SeriesKey(Mode.CRYPTO, "BTC", Interval.DAILY), bars).split(",")[6] == text


def test_a_value_that_fixed_decimals_would_change_is_written_in_full() -> None:
    bars = Bars.of(np.array([START]), np.array([[1e-7, 1 / 3, 2.0, 0.1]]).T, np.array([1]))
    row = format_rows(SeriesKey(Mode.VN, "VCB", Interval.DAILY), bars).split(",")
    assert row[2:6] == ["0.0000001", "0.3333333333333333", "2.00", "0.10"]


def test_no_bars_no_text() -> None:
    assert format_rows(SeriesKey(Mode.VN, "VCB", Interval.DAILY), Bars.empty(whole_volume=True)) == ""


@pytest.mark.parametrize(
    ("interval", "time"),
    [(AggregatedInterval.WEEK_1, "2024-01-01"), (AggregatedInterval.HOUR_4, "2024-01-01T00:00:00")],
)
def test_aggregated_bars_are_written_too(interval: AggregatedInterval, time: str) -> None:
    assert format_rows(SeriesKey(Mode.VN, "VCB", interval), flat_bars([START])).split(",")[1] == time


def test_long_series_are_written_in_order_across_blocks() -> None:
    bars = rounded(flat_bars(times(4_567)), Mode.VN)
    bars.indicators[:, 2_100] = NAN
    rows = format_rows(SeriesKey(Mode.VN, "VCB", Interval.MINUTE), bars)
    assert rows.count("\n") == len(bars)
    assert vn(f"{HEADER}\n{rows}", Interval.MINUTE).bars.equals(bars)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("interval", Interval)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_text_parses_back_to_the_same_floats(mode: Mode, interval: Interval, data: st.DataObject) -> None:
    bars = data.draw(any_bars(mode, interval))
    for each in (bars, rounded(bars, mode)):
        parsed = parse_rows(
            f"{HEADER}\n{format_rows(SeriesKey(mode, 'X', interval), each)}", SeriesKey(mode, "X", interval)
        )
        assert parsed.damaged == []
        assert parsed.bars.equals(each)


@pytest.mark.parametrize("mode", Mode)
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_rounded_numbers_have_the_decimals_of_the_market(mode: Mode, data: st.DataObject) -> None:
    bars = rounded(data.draw(any_bars(mode, Interval.DAILY)), mode)
    price, money = market_of(mode).price_decimals, market_of(mode).money_decimals
    decimals = [price] * 4 + [0] + [price] * 5 + [4] * 7 + [money]
    for row in format_rows(SeriesKey(mode, "X", Interval.DAILY), bars).splitlines():
        for column, (text, places) in enumerate(zip(row.split(",")[2:], decimals, strict=True)):
            if column == 4 and mode is Mode.CRYPTO:  # volume: as many as it takes
                assert re.fullmatch(r"\d+(\.\d+)?", text)
            elif len(text.partition(".")[2]) > places:  # a price too small for them: as many as its digits take
                assert places == market_of(mode).price_decimals
                assert re.fullmatch(rf"-?0\.0+[1-9]\d{{,{market_of(mode).price_digits - 1}}}(?<!0)", text)
            else:
                assert re.fullmatch(rf"-?\d+\.\d{{{places}}}" if places else r"-?\d+", text) or text == ""


# Both halves of the writer


@pytest.mark.parametrize("mode", Mode)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_writing_by_columns_agrees_with_writing_by_rows(mode: Mode, data: st.DataObject) -> None:
    interval = data.draw(st.sampled_from(Interval))
    bars = data.draw(any_bars(mode, interval))
    bars = rounded(bars, mode) if data.draw(st.booleans()) else bars
    key = SeriesKey(mode, "X-1.2_3", interval)
    by_columns, by_rows = (with_columns_from(rows, lambda: format_rows(key, bars)) for rows in (1, 1_000))
    assert by_columns == by_rows


@pytest.mark.parametrize("mode", Mode)
def test_market_like_numbers_are_written_by_columns(mode: Mode) -> None:
    random = np.random.default_rng(1)
    bars = Bars.of(times(300), random.uniform(1, 90_000, (4, 300)), random.integers(0, 10**8, 300))
    if not market_of(mode).has_whole_volume:
        bars = Bars.of(bars.time, bars.prices, bars.volume / 8)
    enhanced = enhance(bars, mode, is_index=False)
    with patch.object(csv_format, "_plain_lines", side_effect=AssertionError):
        by_columns = format_rows(SeriesKey(mode, "VCB", Interval.MINUTE), enhanced)
    assert by_columns == with_columns_from(
        1_000, lambda: format_rows(SeriesKey(mode, "VCB", Interval.MINUTE), enhanced)
    )


def with_columns_from(rows: int, write: Callable[[], str]) -> str:
    with patch.object(csv_format, "_FAST_FROM_ROWS", rows):
        return write()


# Reading: what the contract says readers accept


def test_seven_columns_have_no_indicators() -> None:
    bars = vn(base_file("VCB,2024-01-02,10.5,11,9.25,10,123")).bars
    assert bars.time.tolist() == [START + DAY]
    assert bars.prices[:, 0].tolist() == [10.5, 11.0, 9.25, 10.0]
    assert bars.volume.tolist() == [123]
    assert bars.volume.dtype == np.int64
    assert bars.indicators.shape == (13, 1)
    assert np.isnan(bars.indicators).all()


def test_twenty_columns_with_empty_fields() -> None:
    bars = vn(f"{HEADER}\nVCB,2024-01-02,1,2,3,4,5,6,,,,,7.5,,,,,-8,,9\n").bars
    expected = [6, NAN, NAN, NAN, NAN, 7.5, NAN, NAN, NAN, NAN, -8, NAN, 9]
    np.testing.assert_array_equal(bars.indicators[:, 0], expected)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(base_file(day(1), day(2), day(3)), id="plain"),
        pytest.param(base_file(day(3), day(1), day(2)), id="unsorted"),
        pytest.param(base_file(day(1), day(2, "99"), day(2), day(3)), id="duplicate time: the later row wins"),
        pytest.param(base_file(day(2, "99"), day(3), day(2), day(1)), id="duplicate time, unsorted"),
        pytest.param(base_file(day(1), day(2), day(3)).rstrip("\n"), id="no final newline"),
        pytest.param(base_file(day(1), day(2), day(3)).replace("\n", "\r\n"), id="CRLF"),
        pytest.param(base_file(day(1), day(2), day(3)).replace("\n", "\r\n").rstrip("\n"), id="CRLF cut in half"),
        pytest.param("\ufeff" + base_file(day(1), day(2), day(3)), id="byte order mark"),
        pytest.param("\n\n" + base_file(day(1), "", day(2), "  ", day(3), ""), id="blank lines"),
        pytest.param("\n".join((day(1), day(2), day(3))), id="no header"),
        pytest.param(base_file(day(1), day(2), day(3)).replace("ticker", "symbol"), id="header of an answer"),
        pytest.param(base_file(day(1), day(2), day(3)).replace("ticker,time", "Ticker, Time"), id="header by hand"),
        pytest.param(base_file(day(1), day(2), day(3)).replace("VCB", "vcb"), id="ticker in lower case"),
        pytest.param(base_file(day(1), day(2), day(3)).replace(",100\n", ",100.0\n"), id="whole volume as float"),
    ],
)
def test_readers_accept(text: str) -> None:
    parsed = vn(text)
    assert parsed.damaged == []
    assert closes(parsed) == [(1, 10.0), (2, 10.0), (3, 10.0)]
    assert parsed.bars.volume.tolist() == [100, 100, 100]


def test_columns_are_found_by_name() -> None:
    parsed = vn("close,note,volume,time,ma10,low,high,open,ticker\n4,hello,5,2024-01-01,6,3,2,1,VCB\n")
    assert parsed.damaged == []
    assert parsed.bars.prices[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert parsed.bars.volume.tolist() == [5]
    assert parsed.bars.indicator("ma10").tolist() == [6.0]
    assert np.isnan(parsed.bars.indicator("ma20")).all()


@pytest.mark.parametrize(
    ("interval", "text", "seconds"),
    [
        (Interval.DAILY, "2024-01-02", START + DAY),
        (Interval.DAILY, "2024-01-02T00:00:00", START + DAY),
        (Interval.DAILY, "2024-01-02 00:00:00", START + DAY),
        (Interval.DAILY, "2024-01-02T00:00:00Z", START + DAY),
        (Interval.DAILY, "2024-01-02T00:00:00+07:00", START + DAY),
        (Interval.DAILY, "2024-01-02T07:00:00+07:00", START + DAY),
        (Interval.DAILY, "2024-01-02t00:00:00z", START + DAY),
        # Days as sources stamp them: that of Ho Chi Minh City.
        (Interval.DAILY, "2024-01-02T09:00:00+07:00", START + DAY),
        (Interval.DAILY, "2024-01-01T17:00:00Z", START + DAY),
        (Interval.DAILY, "2024-01-02 16:59:59Z", START + DAY),
        (Interval.MINUTE, "2024-01-02", START + DAY),
        (Interval.MINUTE, "2024-01-02T03:04:05", START + DAY + 11_045),
        (Interval.MINUTE, "2024-01-02 03:04:05", START + DAY + 11_045),
        (Interval.MINUTE, "2024-01-02T03:04:05Z", START + DAY + 11_045),
        (Interval.MINUTE, "2024-01-02T10:04:05+07:00", START + DAY + 11_045),
        (Interval.HOURLY, "2024-01-02T03:00", START + DAY + 10_800),
        (Interval.DAILY, "0001-01-01", -62_135_596_800),
        (Interval.MINUTE, "9999-12-31T23:59:59", 253_402_300_799),
    ],
)
def test_times(interval: Interval, text: str, seconds: int) -> None:
    parsed = vn(base_file(f"VCB,{text},1,1,1,1,1"), interval)
    assert parsed.damaged == []
    assert parsed.bars.time.tolist() == [seconds]


@pytest.mark.parametrize(
    ("row", "prices"),
    [
        ("VCB,2024-01-01,0,0,0,0,0", [0, 0, 0, 0]),
        ("VCB,2024-01-01,5,1,9,5,1", [5, 1, 9, 5]),
        ("VCB,2024-01-01,5,6,4,100,1", [5, 6, 4, 100]),
        ("VCB,2024-01-01,1e3,.5,+4.,1e-05,1", [1000, 0.5, 4, 1e-05]),
    ],
)
def test_odd_rows_are_taken_as_they_are(row: str, prices: list[float]) -> None:
    parsed = vn(base_file(row))
    assert parsed.damaged == []
    assert parsed.bars.prices[:, 0].tolist() == prices


@pytest.mark.parametrize(
    ("volume", "value"),
    [
        ("123.0", 123),
        ("123.", 123),
        ("0123", 123),
        ("1e3", 1000),
        ("0", 0),
        ("-0.0", 0),
        ("0e99999999999999999999", 0),
        ("9007199254740993", (1 << 53) + 1),
        ("9007199254740993.00", (1 << 53) + 1),
        ("9223372036854775807", (1 << 63) - 1),
        ("9223372036854775807.00", (1 << 63) - 1),
        # Of histories adjusted for splits, as sources send them too: half to even.
        ("12.5", 12),
        ("13.5", 14),
        ("5e-1", 0),
        ("7.0000000000000000001", 7),
        ("9007199254740993.5", (1 << 53) + 2),
    ],
)
def test_whole_volumes(volume: str, value: int) -> None:
    assert vn(base_file(day(1, volume=volume))).bars.volume.tolist() == [value]


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", BASE_HEADER, HEADER + "\n", HEADER + "\r\n\r\n"])
@pytest.mark.parametrize("mode", Mode)
def test_nothing_in_the_file(text: str, mode: Mode) -> None:
    parsed = parse_rows(text, SeriesKey(mode, "VCB", Interval.DAILY))
    assert parsed.damaged == []
    assert len(parsed.bars) == 0
    assert parsed.bars.volume.dtype == (np.int64 if market_of(mode).has_whole_volume else np.float64)


# Reading: what is damaged


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("VCB,2024-01-02,1,1,1,1", "6 fields, a row has 7"),
        ("VCB,2024-01-02,1,1,1,1,1,1", "8 fields, a row has 7"),
        ("FPT,2024-01-02,1,1,1,1,1", "ticker 'FPT' is not VCB"),
        ("VCB,yesterday,1,1,1,1,1", "time 'yesterday' is not a time"),
        ("VCB,2024-02-30,1,1,1,1,1", "time '2024-02-30' is not a time"),
        ("VCB,0000-01-01,1,1,1,1,1", "time '0000-01-01' is not a time"),
        ("VCB,20240102,1,1,1,1,1", "time '20240102' is not a time"),
        ("VCB,2024-01-02T09:15:00,1,1,1,1,1", "time '2024-01-02T09:15:00' is not a day"),
        ("VCB,2024-01-02,nan,1,1,1,1", "open 'nan' is not a number"),
        ("VCB,2024-01-02,1,inf,1,1,1", "high 'inf' is not a number"),
        ("VCB,2024-01-02,1,Infinity,1,1,1", "high 'Infinity' is not a number"),
        ("VCB,2024-01-02,1,1e999,1,1,1", "high '1e999' is not finite"),
        ("VCB,2024-01-02,1,1,-1,1,1", "low '-1' is negative"),
        ("VCB,2024-01-02,1,1,1,,1", "close '' is not a number"),
        ("VCB,2024-01-02,1,1,1, 1,1", "close ' 1' is not a number"),
        ("VCB,2024-01-02,1,1,1,1_000,1", "close '1_000' is not a number"),
        ("VCB,2024-01-02,1,1,1,１２,1", "close '１２' is not a number"),
        ("VCB,2024-01-02,1,1,1,0x10,1", "close '0x10' is not a number"),
        ("VCB,2024-01-02,1,1,1,1,nan", "volume 'nan' is not a number"),
        ("VCB,2024-01-02,1,1,1,1,-5", "volume '-5' is negative"),
        ("VCB,2024-01-02,1,1,1,1,9223372036854775807.5", "volume '9223372036854775807.5' is beyond 63 bits"),
        ("VCB,2024-01-02,1,1,1,1,9223372036854775808", "volume '9223372036854775808' is beyond 63 bits"),
        ("VCB,2024-01-02,1,1,1,1,1e30", "volume '1e30' is beyond 63 bits"),
        ("VCB,2024-01-02,1,1,1,1,１", "volume '１' is not a number"),
    ],
)
def test_a_damaged_line_is_reported_and_the_others_are_kept(row: str, reason: str) -> None:
    parsed = vn(base_file(day(1), row, day(3)))
    assert parsed.damaged == [DamagedLine(3, reason, row)]
    assert closes(parsed) == [(1, 10.0), (3, 10.0)]


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+07:00", "9999-12-31T23:59:59-07:00"])
def test_a_time_that_could_not_be_written_again_is_damaged(time: str) -> None:
    parsed = vn(base_file(f"VCB,{time},1,1,1,1,1"), Interval.MINUTE)
    assert [line.reason for line in parsed.damaged] == [f"time '{time}' is not a time"]


def test_crypto_volume_may_be_large_and_fractional_but_must_be_finite() -> None:
    rows = ("BTC,2024-01-01,1,1,1,1,0.5", "BTC,2024-01-02,1,1,1,1,1e30", "BTC,2024-01-03,1,1,1,1,1e999")
    parsed = crypto(base_file(*rows))
    assert parsed.bars.volume.tolist() == [0.5, 1e30]
    assert [line.reason for line in parsed.damaged] == ["volume '1e999' is not finite"]


@pytest.mark.parametrize("separator", ["T", " "])
def test_a_file_of_minutes_is_not_taken_for_one_of_days(separator: str) -> None:
    rows = (f"VCB,2024-01-02{separator}09:{minute}:00,1,1,1,1,1" for minute in range(15, 20))
    parsed = vn(base_file(*rows))
    assert len(parsed.bars) == 0
    assert [line.number for line in parsed.damaged] == [2, 3, 4, 5, 6]


def test_a_torn_last_line_is_ignored_and_reported() -> None:
    whole = f"{HEADER}\n" + format_rows(SeriesKey(Mode.VN, "VCB", Interval.DAILY), flat_bars(times(3, Interval.DAILY)))
    torn = whole[:-20]
    parsed = vn(torn)
    assert closes(parsed) == [(1, 10.0), (2, 10.0)]
    assert parsed.damaged == [DamagedLine(4, "torn last line: 17 fields, a row has 20", torn.splitlines()[-1])]


@pytest.mark.parametrize("indicator", ["nan", "inf", "1e999", "x", "1_0", "-"])
def test_an_indicator_that_is_no_number_is_absent_and_the_bar_is_kept(indicator: str) -> None:
    parsed = vn(f"{HEADER}\nVCB,2024-01-01,1,1,1,1,1,{indicator}{',2' * 12}\n")
    assert parsed.damaged == []
    np.testing.assert_array_equal(parsed.bars.indicators[:, 0], [NAN, *[2.0] * 12])


def test_indicators_may_be_left_unread() -> None:
    text = f"{HEADER}\nVCB,2024-01-01,1,2,3,4,5{',6' * 13}\nVCB,2024-01-02,1,2,3,4,5{',x' * 13}\n"
    parsed = parse_rows(text, SeriesKey(Mode.VN, "VCB", Interval.DAILY), with_indicators=False)
    assert parsed.damaged == []
    assert parsed.bars.equals(vn(text).bars.without_indicators())


def test_lines_torn_among_unread_indicators_are_damaged() -> None:
    # Together the two have the twenty fields of a row.
    torn = ("VCB,2024-01-01,1,2,3,4,5,6,7", "x,2,3,4,5,6,7,8,9,10,11")
    text = "\n".join((HEADER, *torn, f"VCB,2024-01-02,1,2,3,4,5{',6' * 13}", ""))
    parsed = parse_rows(text, SeriesKey(Mode.VN, "VCB", Interval.DAILY), with_indicators=False)
    assert [(line.number, line.text) for line in parsed.damaged] == [(2, torn[0]), (3, torn[1])]
    assert len(parsed.bars) == 1


# Reading: which column is which


_ROWS = "VCB,2024-01-01,4,1,3,2,5\nVCB,2024-01-02,40,10,30,20,50\n"
_SWAPPED = "ticker,time,close,open,high,low,volume"


@pytest.mark.parametrize(
    ("above", "damaged"),
    [
        pytest.param("", 0, id="nothing"),
        pytest.param("\n  \n\r\n", 0, id="blank lines"),
        pytest.param("sep=,\n", 0, id="a separator for Excel"),
        pytest.param("VCB, all days\n", 1, id="a title"),
        pytest.param("# ticker, time\n# by hand\n\n", 2, id="comments"),
        pytest.param("\ufeff", 0, id="byte order mark"),
    ],
)
@pytest.mark.parametrize(
    "header",
    [
        pytest.param(_SWAPPED, id="plain"),
        pytest.param(_SWAPPED.upper(), id="capitals"),
        pytest.param('"ticker","time","close","open","high","low","volume"', id="quoted"),
        pytest.param("Ticker, Date, Close, Open, High, Low, Volume", id="blanks and other names"),
        pytest.param("<TICKER>,<DTYYYYMMDD>,<CLOSE>,<OPEN>,<HIGH>,<LOW>,<VOL>", id="angle brackets"),
    ],
)
def test_columns_go_by_the_names_of_a_header_wherever_it_is(header: str, above: str, damaged: int) -> None:
    parsed = vn(f"{above}{header}\n{_ROWS}")
    assert [line.reason for line in parsed.damaged] == ["before the header"] * damaged
    assert parsed.bars.prices.T.tolist() == [[1, 3, 2, 4], [10, 30, 20, 40]]


def test_a_second_header_in_mid_file_holds_for_what_follows() -> None:
    long = "".join(f"VCB,{date},1,3,2,4,5\n" for date in format_times(times(9_000, Interval.DAILY), Interval.DAILY))
    again = "VCB,2090-01-01,4,1,3,2,5\n" * 9_000
    parsed = vn(f"{BASE_HEADER}\n{long}{BASE_HEADER}\n{long}{_SWAPPED}\n{again}")
    assert parsed.damaged == []
    assert (parsed.bars.prices.T == [1, 3, 2, 4]).all()
    assert len(parsed.bars) == 9_001


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ticker,time,open,high,close,volume\n", "line 1: the header lacks low"),
        ("\ntitle\ntime,close\n", "line 3: the header lacks open, high, low, volume"),
        ("time,open,high,low,close,volume\n", "line 1: the header lacks ticker"),
        ("ticker,time,open,high,low,close,Close,volume\n", "line 1: the header names 'close' twice"),
        (f"{BASE_HEADER}\n{day(1)}\nticker,time,close\n", "line 3: the header lacks open, high, low, volume"),
        (f"a title\n{day(1)}\n{day(2)}\n", f"line 1 is neither a header such as {BASE_HEADER} nor a bar: 'a title'"),
        (f"sep=,\n{day(1)}\n{day(2)}\n", f"line 1 is neither a header such as {BASE_HEADER} nor a bar: 'sep=,'"),
        ("\n1,2,3,4,5,6,7\n", f"line 2 is neither a header such as {BASE_HEADER} nor a bar: '1,2,3,4,5,6,7'"),
    ],
)
def test_a_file_that_does_not_say_which_column_is_which_is_refused_as_a_whole(text: str, reason: str) -> None:
    with pytest.raises(LayoutError) as caught:
        vn(text)
    assert str(caught.value).startswith(reason)
    assert caught.value.text == text


def test_an_indicator_that_two_columns_have_is_absent() -> None:
    parsed = vn("ticker,time,open,high,low,close,volume,ma10,ma20,ma10\nVCB,2024-01-01,1,1,1,1,1,5,6,7\n")
    assert np.isnan(parsed.bars.indicator("ma10")).all()
    assert parsed.bars.indicator("ma20").tolist() == [6.0]


def test_a_damaged_line_is_cut_short() -> None:
    assert len(vn(base_file("x" * 10_000)).damaged[0].text) == 500


def test_numbers_of_damaged_lines_count_from_the_top_of_a_long_file() -> None:
    rows = format_rows(SeriesKey(Mode.VN, "VCB", Interval.MINUTE), flat_bars(times(3_000))).splitlines()
    rows[1_000], rows[2_999] = "x", "y"
    parsed = vn("\r\n".join(("", HEADER, *rows, "")), Interval.MINUTE)
    assert [(line.number, line.text) for line in parsed.damaged] == [(1_003, "x"), (3_002, "y")]
    assert len(parsed.bars) == 2_998


# Both halves of the reader


def row_by_row(text: str, mode: Mode, interval: Interval, *, with_indicators: bool) -> ParsedCsv:
    with patch.object(csv_format, "parse_plain", return_value=None):
        return parse_rows(text, SeriesKey(mode, "X1", interval), with_indicators=with_indicators)


_PIECES = st.sampled_from(
    [*"0123456789.,-+eE_ \n\r\tTZ:x", "nan", "inf", "１", "\x00", "", "X1,", "\nX1,", ",,", "e400"]
)


@pytest.mark.parametrize("mode", Mode)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_reading_by_columns_agrees_with_reading_row_by_row(mode: Mode, data: st.DataObject) -> None:
    interval = data.draw(st.sampled_from(Interval))
    bars = rounded(data.draw(any_bars(mode, interval, max_size=4)), mode)
    text = f"{HEADER}\n{format_rows(SeriesKey(mode, 'X1', interval), bars)}"
    if data.draw(st.booleans()):
        text = "\n".join(",".join(line.split(",")[:7]) for line in text.split("\n"))
    below_header = text.index("\n")
    for _ in range(data.draw(st.integers(0, 3))):
        position = data.draw(st.integers(below_header, len(text)))
        cut = data.draw(st.integers(0, 3))
        text = text[:position] + data.draw(_PIECES) + text[position + cut :]
    with_indicators = data.draw(st.booleans())
    try:
        by_rows = row_by_row(text, mode, interval, with_indicators=with_indicators)
    except LayoutError as exc:
        with pytest.raises(LayoutError, match=re.escape(str(exc))):
            parse_rows(text, SeriesKey(mode, "X1", interval), with_indicators=with_indicators)
        return
    by_columns = parse_rows(text, SeriesKey(mode, "X1", interval), with_indicators=with_indicators)
    assert by_columns.damaged == by_rows.damaged
    assert by_columns.bars.equals(by_rows.bars)
    assert by_columns.bars.volume.dtype == by_rows.bars.volume.dtype


@given(st.text(max_size=300))
@settings(max_examples=100, deadline=None)
def test_any_text_can_be_read_or_is_refused(text: str) -> None:
    lines = [line for line in text.removeprefix("\ufeff").split("\n") if line.strip()]
    with suppress(LayoutError):
        parsed = vn(text)
        assert len(parsed.damaged) + len(parsed.bars) <= len(lines)
