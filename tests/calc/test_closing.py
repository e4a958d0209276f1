"""When a bar is closed: by the clock for coins, with the session for Vietnamese stocks."""

from datetime import UTC, datetime

import pytest

from stockapi.calc.closing import closed_by, closes_at
from stockapi.models import Interval, Mode
from stockapi.models.interval import AnyInterval, parse_interval
from tests.support.stores import make_bars


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("mode", "interval", "time", "closes"),
    [
        ("crypto", "1m", "2026-11-27T23:59", "2026-11-28T00:00"),
        ("crypto", "1H", "2026-11-27T23:00", "2026-11-28T00:00"),
        ("crypto", "1D", "2026-11-28", "2026-11-29T00:00"),
        ("crypto", "15m", "2026-11-27T10:15", "2026-11-27T10:30"),
        ("crypto", "4h", "2026-11-27T08:00", "2026-11-27T12:00"),
        ("crypto", "1W", "2026-11-23", "2026-11-30T00:00"),
        ("crypto", "2W", "2026-11-23", "2026-12-07T00:00"),
        ("crypto", "1M", "2026-02-01", "2026-03-01T00:00"),
        ("vn", "1m", "2026-11-27T07:45", "2026-11-27T07:46"),
        ("vn", "1m", "2026-11-27T04:29", "2026-11-27T04:30"),  # the last one before lunch
        ("vn", "1H", "2026-11-27T02:00", "2026-11-27T03:00"),
        ("vn", "1H", "2026-11-27T07:00", "2026-11-27T08:00"),
        ("vn", "1H", "2026-11-27T08:00", "2026-11-27T09:00"),  # outside of the session: by the clock
        ("vn", "1D", "2026-11-27", "2026-11-27T08:00"),
        ("vn", "1D", "2026-11-28", "2026-11-29T00:00"),  # a Saturday, which has no session
        ("vn", "2h", "2026-11-27T06:00", "2026-11-27T08:00"),
        ("vn", "1H", "2026-11-27T04:00", "2026-11-27T04:30"),  # with the lunch break
        ("vn", "2h", "2026-11-27T04:00", "2026-11-27T04:30"),
        ("vn", "4h", "2026-11-27T02:00", "2026-11-27T04:30"),
        ("vn", "1H", "2026-11-27T05:00", "2026-11-27T06:00"),  # within the break: by the clock
        ("vn", "4h", "2026-11-27T06:00", "2026-11-27T08:00"),
        ("vn", "1W", "2026-11-23", "2026-11-27T08:00"),
        ("vn", "1W", "2026-08-31", "2026-09-04T08:00"),  # a holiday within the week
        ("vn", "1W", "2026-02-16", "2026-02-23T00:00"),  # Tet: no session at all
        ("vn", "2W", "2026-11-23", "2026-12-04T08:00"),
        ("vn", "1M", "2026-10-01", "2026-10-30T08:00"),  # the 31st is a Saturday
        ("vn", "1M", "2026-04-01", "2026-04-29T08:00"),  # the 30th is a holiday
    ],
)
def test_a_bar_closes_with_its_span_or_with_its_last_session(mode: str, interval: str, time: str, closes: str) -> None:
    assert closes_at(seconds(time), parse_interval(interval), Mode(mode)) == seconds(closes)


@pytest.mark.parametrize(
    ("mode", "interval", "seconds_after_last", "left_out"),
    [
        (Mode.CRYPTO, Interval.DAILY, 86_400, 0),
        (Mode.CRYPTO, Interval.DAILY, 86_399, 1),
        (Mode.CRYPTO, Interval.MINUTE, 0, 1),
        (Mode.CRYPTO, Interval.MINUTE, -60, 2),
        (Mode.CRYPTO, Interval.MINUTE, -10_000, 10),
    ],
)
def test_those_that_are_not_closed_are_cut_off(
    mode: Mode, interval: AnyInterval, seconds_after_last: int, left_out: int
) -> None:
    bars = make_bars(10, interval.base, mode)
    assert len(closed_by(bars, interval, mode, int(bars.time[-1]) + seconds_after_last)) == 10 - left_out
    assert len(closed_by(bars.take(slice(0)), interval, mode, 0)) == 0
