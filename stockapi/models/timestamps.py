"""Times of bars as text and as Unix seconds. All times are UTC."""

import re
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.interval import AnyInterval

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
# It is stricter than `datetime.fromisoformat`, which accepts an offset of +05:99 and, since Python 3.13, an hour 24.
_HOUR = r"(?:[01]\d|2[0-3])"
_TIMESTAMP = re.compile(
    rf"\d{{4}}-\d{{2}}-\d{{2}}[Tt ]{_HOUR}:\d{{2}}(?::\d{{2}}(?:\.\d+)?)?(?:[Zz]|[+-]{_HOUR}:[0-5]\d)?", re.ASCII
)

_SHORT_DATE = re.compile(r"^(\d{4})-(\d{1,2})-(\d{1,2})(?!\d)", re.ASCII)

MS_PER_SECOND: Final = 1_000


class TimeForm(Enum):
    """The form in which a client asks for the times of bars. The value is its name in requests.

    A day has a date in PLAIN and ISO; as a number it is its 00:00 UTC.
    """

    PLAIN = "plain"
    """The time of an intraday bar has no zone: 2024-01-31T02:15:00. It is UTC, but browsers take it for local time."""
    ISO = "iso"
    """The same with a Z."""
    UNIX = "unix"
    """Seconds since 1970-01-01T00:00:00Z."""
    MS = "ms"
    """Milliseconds since then."""


class TimeStyle(Enum):
    """How the times of the bars of an answer or a file are written: a form, for days or for intraday bars."""

    DATE = "2024-01-31"
    CLOCK = "2024-01-31T02:15:00"
    CLOCK_WITH_Z = "2024-01-31T02:15:00Z"
    SECONDS = "1706667300"
    MILLISECONDS = "1706667300000"

    @property
    def is_number(self) -> bool:
        return self in (TimeStyle.SECONDS, TimeStyle.MILLISECONDS)

    @classmethod
    def of(cls, interval: AnyInterval, form: TimeForm = TimeForm.PLAIN) -> "TimeStyle":
        if form is TimeForm.UNIX:
            return cls.SECONDS
        if form is TimeForm.MS:
            return cls.MILLISECONDS
        if not interval.is_intraday:
            return cls.DATE
        return cls.CLOCK if form is TimeForm.PLAIN else cls.CLOCK_WITH_Z


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
FIRST_SECOND = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _SECOND
LAST_SECOND = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _SECOND
"""The limits of the years 1 to 9999 of UTC, in Unix seconds."""


def parse_time(text: str) -> int:
    """Unix seconds of a date (its midnight UTC) or of a timestamp (RFC 3339, or with a space). Without an offset it is
    UTC.

    A fraction of a second is cut off.

    :raises ValueError: for other text, impossible dates, and times outside of the years 1 to 9999 in UTC.
    """
    if not (_DATE.fullmatch(text) or _TIMESTAMP.fullmatch(text)):
        raise ValueError(f"{text!r} is not a time")
    moment = datetime.fromisoformat(text.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # Only whole numbers: `timestamp()` is a float. In a late year it rounds 23:59:59.999999 up.
    seconds = (moment - _EPOCH) // _SECOND
    if not FIRST_SECOND <= seconds <= LAST_SECOND:
        raise ValueError(f"{text!r} is outside the years 1 to 9999 of UTC")
    return seconds


def parse_range_end(text: str) -> int:
    """The last second of the span in `text`, as Unix seconds. A date is its whole day.

    :raises ValueError: as `parse_time`.
    """
    seconds = parse_time(text)
    return seconds + SECONDS_PER_DAY - 1 if _DATE.fullmatch(text) else seconds


def latest_possible(now: datetime) -> int:
    """The latest time that a bar may have at `now`, in Unix seconds. A clock may be wrong, and a date be ahead."""
    return int(now.timestamp()) + SECONDS_PER_DAY


def is_possible(time: NDArray[np.int64], now: datetime) -> NDArray[np.bool_]:
    """For each time of a bar (Unix seconds): whether it is in 1970 or later, and not more than a day after `now`."""
    return (time >= 0) & (time <= latest_possible(now))


def with_two_digits(text: str) -> str:
    """The text of a date or timestamp with a 0 before a month or day of one digit: 2026-11-5 is 2026-11-05."""
    return _SHORT_DATE.sub(lambda parts: f"{parts[1]}-{parts[2]:0>2}-{parts[3]:0>2}", text)


def numbered_times(time: NDArray[np.int64], style: TimeStyle) -> NDArray[np.int64]:
    """The times (Unix seconds) as numbers of a style that `is_number`."""
    return time * MS_PER_SECOND if style is TimeStyle.MILLISECONDS else time


def written_times(time: NDArray[np.int64], style: TimeStyle) -> list[str] | list[int]:
    """The times (Unix seconds) in a style."""
    if style.is_number:
        numbers: list[int] = numbered_times(time, style).tolist()
        return numbers
    return _time_texts(time, style)


def _time_texts(time: NDArray[np.int64], style: TimeStyle) -> list[str]:
    stamps: NDArray[np.datetime64] = time.astype("datetime64[s]")
    texts: list[str] = np.datetime_as_string(stamps, unit="D" if style is TimeStyle.DATE else "s").tolist()
    return [f"{text}Z" for text in texts] if style is TimeStyle.CLOCK_WITH_Z else texts


def format_times(time: NDArray[np.int64], interval: AnyInterval) -> list[str]:
    """Texts `YYYY-MM-DD` for days and longer bars, `YYYY-MM-DDTHH:MM:SS` for intraday bars."""
    return _time_texts(time, TimeStyle.of(interval))


def format_moment(seconds: int) -> str:
    """The moment of an event as RFC 3339 in UTC, to the second. Not for times of bars."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_in_name(moment: datetime) -> str:
    """The moment (with a time zone) in UTC, only with characters that a file name may have."""
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def format_time(seconds: int, interval: AnyInterval) -> str:
    return format_times(np.array([seconds], dtype=np.int64), interval)[0]
