"""Markets, intervals, symbols, queries and times: what text they take, and what they stand for."""

import re
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.errors import QueryError
from stockapi.models import AggregatedInterval, AnyInterval, Interval, Mode, QueryParameters, parse_interval
from stockapi.models.fields import BASE_CSV_FIELDS, CSV_FIELDS, INDICATOR_FIELDS
from stockapi.models.query import is_symbol, parse_symbol
from stockapi.models.timestamps import format_time, format_times, parse_range_end, parse_time

DAY = 86_400


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


# Fields


def test_the_csv_header_is_the_one_of_the_contract() -> None:
    assert ",".join(CSV_FIELDS) == (
        "ticker,time,open,high,low,close,volume,ma10,ma20,ma50,ma100,ma200,"
        "ma10_score,ma20_score,ma50_score,ma100_score,ma200_score,close_changed,volume_changed,total_money_changed"
    )
    assert (len(BASE_CSV_FIELDS), len(INDICATOR_FIELDS)) == (7, 13)


# Intervals

INTERVALS: list[tuple[AnyInterval, Interval, bool, tuple[str, ...]]] = [
    (Interval.DAILY, Interval.DAILY, False, ("1D", "1d", "daily", "Daily", "DAILY")),
    (Interval.HOURLY, Interval.HOURLY, True, ("1H", "1h", "hourly", "HOURLY")),
    (Interval.MINUTE, Interval.MINUTE, True, ("1m", "minute", "MINUTE")),
    (AggregatedInterval.MIN_5, Interval.MINUTE, True, ("5m",)),
    (AggregatedInterval.MIN_15, Interval.MINUTE, True, ("15m",)),
    (AggregatedInterval.MIN_30, Interval.MINUTE, True, ("30m",)),
    (AggregatedInterval.HOUR_2, Interval.HOURLY, True, ("2h", "2H")),
    (AggregatedInterval.HOUR_4, Interval.HOURLY, True, ("4h", "4H")),
    (AggregatedInterval.WEEK_1, Interval.DAILY, False, ("1W", "1w")),
    (AggregatedInterval.WEEK_2, Interval.DAILY, False, ("2W", "2w")),
    (AggregatedInterval.MONTH_1, Interval.DAILY, False, ("1M",)),
]


def test_the_table_above_has_every_interval() -> None:
    assert [row[0] for row in INTERVALS] == [*Interval, *AggregatedInterval]


@pytest.mark.parametrize(
    ("text", "interval"), [(text, interval) for interval, _, _, texts in INTERVALS for text in texts]
)
def test_interval_names_keep_their_case_only_where_it_carries_meaning(text: str, interval: AnyInterval) -> None:
    assert parse_interval(text) is interval


@pytest.mark.parametrize(("interval", "base", "intraday", "texts"), INTERVALS)
def test_an_interval_knows_what_it_is_computed_from(
    interval: AnyInterval, base: Interval, intraday: bool, texts: tuple[str, ...]
) -> None:
    assert (interval.base, interval.is_intraday, interval.value) == (base, intraday, texts[0])


@pytest.mark.parametrize(
    ("interval", "label", "length"),
    [(Interval.DAILY, "daily", 86_400), (Interval.HOURLY, "hourly", 3600), (Interval.MINUTE, "minute", 60)],
)
def test_stored_intervals_have_a_label_and_a_length(interval: Interval, label: str, length: int) -> None:
    assert (interval.label, interval.seconds) == (label, length)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "1", "m", "M", "D", "1Y", "2D", "1 D", " 1D", "1D\n", "1D\0", "1D,1H", "weekly"),
        *("5M", "15M", "30M", "2M", "2m", "60m"),  # an M is a month, and there is one of them
        *("dailY\u0307", "１Ｄ", "1Ｍ", "1\u1e3f", "\u0661D"),
    ],
)
def test_other_intervals_are_refused_with_all_there_are(text: str) -> None:
    with pytest.raises(QueryError) as caught:
        parse_interval(text)
    assert str(caught.value) == (
        f"interval {text!r} is unknown; allowed: 1D, 1H, 1m, 5m, 15m, 30m, 2h, 4h, 1W, 2W, 1M "
        "(1m is a minute, 1M a month)"
    )


# Symbols


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("VCB", "VCB"),
        ("vcb", "VCB"),
        ("VnIndex", "VNINDEX"),
        ("1INCH", "1INCH"),
        ("0", "0"),
        ("BRK.B", "BRK.B"),
        ("a-b_c.d", "A-B_C.D"),
        ("A..", "A.."),
        ("A" * 20, "A" * 20),
    ],
)
def test_symbols_are_put_in_upper_case(text: str, symbol: str) -> None:
    assert parse_symbol(text) == symbol
    assert is_symbol(symbol)


NOT_SYMBOLS = [
    *("", " ", "A B", " A", "A ", "A\n", "\nA", "A\r\n", "A\t", "A\0", "\0"),
    *(".", "..", "...", ".A", "-A", "_A", "../A", "A/B", "A\\B", "/", "A/..", "%2e%2e", "A%00", "A:B"),
    "A" * 21,
    *("A,B", "A;B", "A'", 'A"', "=A", "+A", "@A", "A*", "A?", "$A", "A|B"),
    "ＶＣＢ",  # full-width letters
    "V\u0131",  # a dotless i, whose upper case is the ASCII I
    "\u017f",  # a long s, whose upper case is the ASCII S
    "\ufb01",  # the ligature fi, whose upper case is the two letters FI
    *("É", "Đ", "A\u200b", "A\u0301", "１", "\u0661", "\ud800"),
]


@pytest.mark.parametrize("text", NOT_SYMBOLS)
def test_what_could_not_be_a_symbol_is_refused_in_one_line(text: str) -> None:
    assert not is_symbol(text)
    with pytest.raises(QueryError) as caught:
        parse_symbol(text)
    message = str(caught.value)
    assert message == (
        f"symbol {text!r} is not allowed; a symbol is 1 to 20 of A-Z 0-9 . _ -, beginning with a letter or digit"
    )
    assert message.isprintable()


@pytest.mark.parametrize("text", ["vcb", "Vcb", "1inch"])
def test_a_stored_symbol_is_in_upper_case(text: str) -> None:
    assert not is_symbol(text)


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=24))
def test_only_what_the_contract_allows_ever_gets_through(text: str) -> None:
    try:
        symbol = parse_symbol(text)
    except QueryError:
        assert not re.fullmatch("[A-Za-z0-9][A-Za-z0-9._-]{0,19}", text)
    else:
        assert symbol == text.upper()
        assert re.fullmatch("[A-Z0-9][A-Z0-9._-]{0,19}", symbol)


# Queries


def test_a_query_asks_for_a_year_of_every_vn_ticker_unless_told_otherwise() -> None:
    query = QueryParameters()
    assert (query.mode, query.interval, query.symbols) == (Mode.VN, Interval.DAILY, None)
    assert (query.start, query.end, query.limit) == (None, None, 252)
    assert (query.legacy, query.use_sqlite) == (False, True)


@pytest.mark.parametrize(("start", "end"), [(5, 5), (5, 6), (-1, 0), (5, None), (6, 5)])
def test_a_start_replaces_the_limit(start: int, end: int | None) -> None:
    query = QueryParameters(start=start, end=end, limit=None)
    assert (query.start, query.end, query.limit) == (start, end, None)


@pytest.mark.parametrize(("start", "limit"), [(5, 10), (None, None)])
def test_a_limit_goes_with_an_open_start_and_only_with_one(start: int | None, limit: int | None) -> None:
    with pytest.raises(ValueError, match="limit"):
        QueryParameters(start=start, limit=limit)


# Times

TIMES = [
    ("1970-01-01", 0),
    ("2024-02-29", seconds("2024-02-29 00:00:00")),
    ("2024-01-02T03:04:05", seconds("2024-01-02 03:04:05")),
    ("2024-01-02 03:04:05", seconds("2024-01-02 03:04:05")),
    ("2024-01-02T03:04", seconds("2024-01-02 03:04:00")),
    ("2024-01-02T03:04:05Z", seconds("2024-01-02 03:04:05")),
    ("2024-01-02t03:04:05z", seconds("2024-01-02 03:04:05")),
    ("2024-01-02T03:04:05+00:00", seconds("2024-01-02 03:04:05")),
    ("2024-01-02T03:04:05-00:00", seconds("2024-01-02 03:04:05")),
    ("2024-01-02T03:04:05+07:00", seconds("2024-01-01 20:04:05")),
    ("2024-01-02 03:04-03:30", seconds("2024-01-02 06:34:00")),
    ("2024-01-02T03:04:05+23:59", seconds("2024-01-01 03:05:05")),
    ("2024-01-02T03:04:05.999999", seconds("2024-01-02 03:04:05")),
    ("2024-01-02T03:04:05.1Z", seconds("2024-01-02 03:04:05")),
    ("2024-01-02T03:04:05.123456789+07:00", seconds("2024-01-01 20:04:05")),
    ("1969-12-31T23:59:59.5Z", -1),
    ("1969-12-31", -DAY),
    ("0001-01-01", seconds("0001-01-01 00:00:00")),
    ("9999-12-31T23:59:59.999999Z", 253_402_300_799),
    ("9999-12-31T23:59:59-00:00", 253_402_300_799),
    ("0001-01-01T07:00:00+07:00", seconds("0001-01-01 00:00:00")),
]


@pytest.mark.parametrize(("text", "expected"), TIMES)
def test_times(text: str, expected: int) -> None:
    assert parse_time(text) == expected


NOT_TIMES = [
    *("", " ", "now", "2024", "2024-01", "20240102", "2024-1-2", "24-01-02", "02/01/2024", "1704153600", "2024-W01-1"),
    *("2023-02-29", "2024-02-30", "2024-13-01", "2024-00-01", "2024-01-00", "2024-04-31", "1900-02-29"),
    *("0000-01-01", "10000-01-01", "-2024-01-02", "+2024-01-02"),
    *("2024-01-02T", "2024-01-02T03", "2024-01-02T24:00", "2024-01-02T24:00:00", "2024-01-02T03:60", "2024-01-02T3:04"),
    *(
        "2024-01-02T03:04:60",
        "2024-01-02T03:04:5",
        "2024-01-02T03:04:05.",
        "2024-01-02T03:04:05,5",
        "2024-01-02T030405",
    ),
    *("2024-01-02T03:04+24:00", "2024-01-02T03:04+07:60", "2024-01-02T03:04+05:99", "2024-01-02T03:04+7"),
    *("2024-01-02T03:04+0700", "2024-01-02Z", "2024-01-02+07:00", "2024-01-02T03:04 +07:00", "2024-01-02T03:04ZZ"),
    *("2024-01-02\n", "\n2024-01-02", " 2024-01-02", "2024-01-02 ", "2024-01-02T03:04:05Z\n", "2024-01-02\0"),
    *("2024-01-02  03:04", "2024-01-02_03:04", "2024-01-02T03:04:05 UTC", "2024-01-02T03:04:05+07:00:30"),
    *("２０２４-01-02", "2024-01-0\u0662", "2024\u201101\u201102", "2024-01-02T03:04:0５"),
    *("0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01"),  # beyond the years that a bar's time can be written in
]


@pytest.mark.parametrize("text", NOT_TIMES)
def test_anything_else_is_not_a_time(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)
    with pytest.raises(ValueError):
        parse_range_end(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-02", seconds("2024-01-02 23:59:59")),
        ("9999-12-31", 253_402_300_799),
        ("2024-01-02T00:00:00", seconds("2024-01-02 00:00:00")),
        ("2024-01-02 10:30", seconds("2024-01-02 10:30:00")),
        ("2024-01-02T23:00:00+07:00", seconds("2024-01-02 16:00:00")),
    ],
)
def test_the_end_of_a_range_is_the_whole_day_of_a_date_and_the_second_of_a_timestamp(text: str, expected: int) -> None:
    assert parse_range_end(text) == expected


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        *[
            (interval, "2024-01-02")
            for interval in (
                Interval.DAILY,
                AggregatedInterval.WEEK_1,
                AggregatedInterval.WEEK_2,
                AggregatedInterval.MONTH_1,
            )
        ],
        *[
            (interval, "2024-01-02T03:04:00")
            for interval in (
                Interval.HOURLY,
                Interval.MINUTE,
                AggregatedInterval.MIN_5,
                AggregatedInterval.MIN_15,
                AggregatedInterval.MIN_30,
                AggregatedInterval.HOUR_4,
            )
        ],
    ],
)
def test_days_and_longer_are_written_as_dates_the_rest_with_the_time(interval: AnyInterval, text: str) -> None:
    assert format_time(seconds("2024-01-02 03:04:00"), interval) == text


def test_a_column_of_times_is_written_in_its_order() -> None:
    column = np.array([60, 0, -60], dtype=np.int64)
    assert format_times(column, Interval.MINUTE) == [
        "1970-01-01T00:01:00",
        "1970-01-01T00:00:00",
        "1969-12-31T23:59:00",
    ]
    assert format_times(column[:0], Interval.DAILY) == []


MOMENTS = st.integers(min_value=seconds("0001-01-01 00:00:00"), max_value=253_402_300_799)


@settings(deadline=None, max_examples=200)
@given(MOMENTS)
def test_what_is_written_reads_back(moment: int) -> None:
    assert parse_time(format_time(moment, Interval.MINUTE)) == moment
    assert parse_time(format_time(moment, Interval.DAILY)) == moment - moment % DAY
    assert format_time(moment, Interval.MINUTE) == (datetime(1970, 1, 1) + timedelta(seconds=moment)).isoformat()  # noqa: DTZ001


@settings(deadline=None, max_examples=200)
@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001
    st.integers(min_value=-(23 * 60 + 59), max_value=23 * 60 + 59),
    st.sampled_from("T t"),
)
def test_any_rfc_3339_time_is_read_exactly(naive: datetime, offset_minutes: int, separator: str) -> None:
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=offset_minutes)))
    whole = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    assert parse_time(moment.isoformat(separator)) == whole
