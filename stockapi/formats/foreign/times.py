"""Read times of files of other programs: date, time of day and offset in one cell or two, or Unix time.

A text is read as `(seconds, offset)`: the shown time as seconds since 1970, and its offset from UTC. If the text has no
offset, it is `NO_OFFSET`, and the caller adds the offset by the time zone of the file. Dates and times of day repeat
within a file, so the parsed ones are remembered.
"""

import re
from datetime import UTC, date, datetime
from enum import Enum
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Int

NO_OFFSET: Final = 1 << 31
_MOST_REMEMBERED: Final = 50_000

_YEAR_FIRST: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})", re.ASCII)
_YEAR_LAST: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})", re.ASCII)
_COMPACT: Final = re.compile(r"((?:19|20)\d{2})(\d{2})(\d{2})", re.ASCII)
_COMPACT_WITH_CLOCK: Final = re.compile(r"((?:19|20)\d{6})(\d{4}(?:\d{2})?)", re.ASCII)
_DAY_AND_MONTH: Final = re.compile(r"(\d{1,2})[ -]([A-Za-z]{3,9})[ ,-]+(\d{4})", re.ASCII)
_MONTH_AND_DAY: Final = re.compile(r"([A-Za-z]{3,9}) (\d{1,2}),? (\d{4})", re.ASCII)
_CLOCK: Final = re.compile(
    r"(\d{1,2}):(\d{2})(?::(\d{2})(?:[.,]\d+)?)?(?: ?([AaPp][Mm]))?"
    r"(?: ?(Z|z|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?|UTC|GMT))?",
    re.ASCII,
)
_HOUR_ALONE: Final = re.compile(r"(\d{1,2})-([AaPp])[Mm]", re.ASCII)
_COMPACT_CLOCK: Final = re.compile(r"\d{1,6}", re.ASCII)
_OFFSET: Final = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2}):?(\d{2})?", re.ASCII)
_UNIX: Final = re.compile(r"\d{9,19}(?:\.\d*)?", re.ASCII)
_DATE_AND_CLOCK: Final = re.compile(
    r"(.*?\d{4}|\d{4}\D\d{1,2}\D\d{1,2}|\d{8})(?:[Tt]| +|, *)(\d{1,2}[:-].*|\d{4}|\d{6})", re.ASCII
)
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Moment = tuple[int, int]


class DateOrder(Enum):
    """Which of two numbers before a year is the day."""

    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"
    UNKNOWN = "unknown"


class TimeReader:
    """Reads the times of one file. `order`: of dates such as 05/11/2026."""

    def __init__(self, order: DateOrder = DateOrder.UNKNOWN) -> None:
        self.order = order
        self._days: dict[str, int] = {}
        self._clocks: dict[str, Moment] = {}

    def moment(self, text: str, clock: str | None = None) -> Moment:
        """The time in one cell, or in a date and a `clock` beside it.

        :raises ValueError: for a text that is no time.
        """
        if clock is not None:
            return self._joined(text, clock)
        if len(text) > 10 and text[10] in " T":
            return self._joined(text[:10], text[11:])
        if text.isascii() and _UNIX.fullmatch(text):
            compact = _COMPACT_WITH_CLOCK.fullmatch(text)
            return self._joined(*compact.groups()) if compact else (_unix_seconds(text), 0)
        parts = _DATE_AND_CLOCK.fullmatch(text)
        if parts is not None:
            return self._joined(parts[1], parts[2])
        return self._day(text), NO_OFFSET

    def _joined(self, day: str, clock: str) -> Moment:
        seconds, offset = self._clock(clock)
        return self._day(day) + seconds, offset

    def _day(self, text: str) -> int:
        seconds = self._days.get(text)
        if seconds is None:
            if len(self._days) >= _MOST_REMEMBERED:
                self._days.clear()
            seconds = self._days[text] = _parse_day(text.strip(), self.order)
        return seconds

    def _clock(self, text: str) -> Moment:
        moment = self._clocks.get(text)
        if moment is None:
            if len(self._clocks) >= _MOST_REMEMBERED:
                self._clocks.clear()
            moment = self._clocks[text] = _parse_clock(text.strip())
        return moment


def date_order(texts: list[str]) -> DateOrder | None:
    """The order of the dates in `texts`; None when they contradict each other, UNKNOWN when none of them shows it."""
    parts = list(filter(None, (_YEAR_LAST.match(text.strip()) for text in texts)))
    day_first = any(int(part[1]) > 12 or part[2] == "." for part in parts)
    month_first = any(int(part[3]) > 12 for part in parts)
    if day_first and month_first:
        return None
    return DateOrder.DAY_FIRST if day_first else DateOrder.MONTH_FIRST if month_first else DateOrder.UNKNOWN


def has_open_order(texts: list[str]) -> bool:
    """Whether a date in `texts` needs the order. 05.11.2026 does not: it is in November everywhere."""
    return any(found[2] != "." for text in texts if (found := _YEAR_LAST.match(text.strip())) is not None)


def is_clock(text: str) -> bool:
    """Whether `text` is a time of day without a date."""
    return bool(_CLOCK.fullmatch(text) or _COMPACT_CLOCK.fullmatch(text))


def offsets_of(zone: ZoneInfo, shown: Int) -> Int:
    """The offsets from UTC of a zone for these shown times. A time that is shown twice is the first of the two."""
    # Offsets change on the quarter of an hour.
    quarters, where = np.unique(shown // 900, return_inverse=True)
    offsets = [_offset_of(zone, quarter * 900) for quarter in quarters.tolist()]
    result: Int = np.array(offsets, dtype=np.int64)[where]
    return result


def _offset_of(zone: ZoneInfo, shown: int) -> int:
    offset = datetime.fromtimestamp(shown, UTC).replace(tzinfo=zone).utcoffset()
    return 0 if offset is None else int(offset.total_seconds())


def _unix_seconds(text: str) -> int:
    """Seconds, milliseconds, microseconds or nanoseconds, decided by the size of the number: times from 1973 to
    5138.
    """
    number = int(text.partition(".")[0])
    for limit in (10**11, 10**14, 10**17):
        if number < limit:
            return number // (limit // 10**11)
    return number // 10**9


def _parse_day(text: str, order: DateOrder) -> int:
    year, month, day = _parts_of_day(text, order)
    return (date(year, month, day) - date(1970, 1, 1)).days * SECONDS_PER_DAY


def _parts_of_day(text: str, order: DateOrder) -> tuple[int, int, int]:
    if found := _YEAR_FIRST.fullmatch(text):
        return int(found[1]), int(found[3]), int(found[4])
    if found := _COMPACT.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    if found := _YEAR_LAST.fullmatch(text):
        first, second, year = int(found[1]), int(found[3]), int(found[4])
        if found[2] == "." or order is DateOrder.DAY_FIRST:
            return year, second, first
        if order is DateOrder.UNKNOWN:
            raise ValueError(f"{text} may be of two days")
        return year, first, second
    if found := _DAY_AND_MONTH.fullmatch(text):
        return int(found[3]), _month(found[2]), int(found[1])
    if found := _MONTH_AND_DAY.fullmatch(text):
        return int(found[3]), _month(found[1]), int(found[2])
    raise ValueError(f"{text} is not a day")


def _month(name: str) -> int:
    return _MONTHS.index(name[:3].lower()) + 1


def _parse_clock(text: str) -> Moment:
    if _COMPACT_CLOCK.fullmatch(text):  # 0915, 091500, and 91500 as a spreadsheet leaves it
        digits = text.zfill(4).ljust(6, "0") if len(text) <= 4 else text.zfill(6)
        return _seconds_of_day(int(digits[:2]), int(digits[2:4]), int(digits[4:])), NO_OFFSET
    if found := _HOUR_ALONE.fullmatch(text):
        return _seconds_of_day(_hour(found[1], found[2]), 0, 0), NO_OFFSET
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is not a time of day")
    seconds = _seconds_of_day(_hour(found[1], found[4]), int(found[2]), int(found[3] or 0))
    return seconds, NO_OFFSET if found[5] is None else _parse_offset(found[5])


def _hour(text: str, half: str | None) -> int:
    """The hour of 24. With a `half` that begins with A or P, `hour` is one of 12."""
    hour = int(text)
    if half is None:
        return hour
    if not 1 <= hour <= 12:
        raise ValueError(f"{hour} is not one of twelve hours")
    return hour % 12 + (12 if half[0] in "Pp" else 0)


def _seconds_of_day(hour: int, minute: int, second: int) -> int:
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{hour}:{minute}:{second} is not a time of day")
    return hour * 3_600 + minute * 60 + second


def _parse_offset(text: str) -> int:
    found = _OFFSET.fullmatch(text)
    if found is None:
        return 0  # Z, UTC, GMT
    hours, minutes = int(found[2]), int(found[3] or 0)
    if hours > 23 or minutes > 59:
        raise ValueError(f"{text} is not an offset")
    return (hours * 3_600 + minutes * 60) * (-1 if found[1] == "-" else 1)
