"""Times: what text they take, and how they are written."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.models import AggregatedInterval, AnyInterval, Interval
from stockapi.models.timestamps import format_time, format_times, parse_range_end, parse_time

DAY = 86_400


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


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
