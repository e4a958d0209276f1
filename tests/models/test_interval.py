"""Intervals: what text they take, and what they stand for."""

import pytest

from stockapi.errors import QueryError
from stockapi.models import AggregatedInterval, AnyInterval, Interval, parse_interval

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
