"""The tolerant half of the CSV reader. It reads rows one by one, with any columns and any form of time.

A row that can be stored becomes a bar. A row that cannot is returned with the reason.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Self

import numpy as np

from stockapi.calc.moments import bar_start
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import LayoutError
from stockapi.formats.csv_header import Header, is_separator_line
from stockapi.formats.csv_numbers import parse_number, parse_whole, shown
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import BASE_CSV_FIELDS, CSV_LAYOUTS, INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.literals import is_number
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_time

SHOWN_CHARS: Final = 500

_OFFSET: Final = re.compile(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line that gives no bar.

    `number`: counted from 1, with the header. `text`: the line, cut after 500 characters.
    """

    number: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class ParsedCsv:
    """The result of reading. `duplicates`: the number of rows whose time a later row of the file repeats."""

    bars: Bars
    damaged: list[DamagedLine]
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a row. `in_order`: whether it is one of `CSV_LAYOUTS`."""

    fields: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.fields)

    @property
    def in_order(self) -> bool:
        return self.fields in CSV_LAYOUTS

    @classmethod
    def of_header(cls, line: str, number: int) -> Self | None:
        """The layout that a header names; None when the line is not a header. `number`: the number of the line.

        :raises LayoutError: when the header lacks a column of `BASE_CSV_FIELDS`, or names one twice.
        """
        if (fields := tuple(line.split(","))) in CSV_LAYOUTS:
            return cls(fields)
        header = Header.of(line.split(","))
        if header is None:
            return None
        if not header.is_whole:
            raise LayoutError(f"line {number}: the header {header.fault}")
        if "ticker" not in header.places:
            raise LayoutError(f"line {number}: the header lacks ticker")
        # If two columns have the same indicator, both are ignored and it is computed again.
        once = (name.replace(" ", "_") if header.names.count(name) == 1 else "" for name in header.names)
        roles = {place: role for role, place in header.places.items()}
        return cls(tuple(roles.get(place, name) for place, name in enumerate(once)))


WITHOUT_HEADER: Final = tuple(map(Layout, CSV_LAYOUTS))
_HEADER_WITHIN_LINES: Final = 50


@dataclass(frozen=True, slots=True)
class FirstRow:
    """Where the rows of a file begin: the number of the line, counted from 1, and the layouts that a row may have.

    `damaged`: the lines before the header.
    """

    number: int
    layouts: tuple[Layout, ...]
    damaged: list[DamagedLine]


def find_first_row(lines: Sequence[str], key: SeriesKey) -> FirstRow:
    """Find the first row of a file. `lines`: the first lines of the file.

    If the first line that is not blank is a bar, the file has no header. Otherwise the header may follow titles,
    comments and blank lines.

    :raises LayoutError: when there is no header, or it is incomplete.
    """
    not_blank = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
    numbered = list(islice(not_blank, _HEADER_WITHIN_LINES))
    if not numbered:
        return FirstRow(1, WITHOUT_HEADER, [])
    before = list[DamagedLine]()
    for number, line in numbered:
        layout = Layout.of_header(line, number)
        if layout is not None:
            return FirstRow(number + 1, (layout,), before)
        if number == numbered[0][0] and _is_bar(line, key):
            return FirstRow(number, WITHOUT_HEADER, [])
        if not is_separator_line(line):
            before.append(DamagedLine(number, "before the header", line[:SHOWN_CHARS]))
    number, line = numbered[0]
    raise LayoutError(f"line {number} is neither a header such as {','.join(BASE_CSV_FIELDS)} nor a bar: {shown(line)}")


def _is_bar(line: str, key: SeriesKey) -> bool:
    try:
        _parse_line(line, WITHOUT_HEADER, key)
    except ValueError:
        return False
    return True


def parse_lines(
    block: str, number: int, layouts: tuple[Layout, ...], key: SeriesKey
) -> tuple[ParsedCsv, tuple[Layout, ...]]:
    """Parse the rows one by one. `number`: the number of the first line. `layouts`: the layouts that a row may have.

    :returns: the result, and the layouts for the next block: a header inside the block changes them.
    :raises LayoutError: for an incomplete header inside the block.
    """
    rows, damaged = list[tuple[int, list[float], float, list[float]]](), list[DamagedLine]()
    lines = block.split("\n")
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(_parse_line(line, layouts, key))
        except ValueError as exc:
            layout = Layout.of_header(line, number + index)
            if layout is not None:
                layouts = (layout,)
                continue
            is_torn = index == len(lines) - 1  # only the last line of the file has no newline
            reason = f"torn last line: {exc}" if is_torn else str(exc)
            damaged.append(DamagedLine(number + index, reason, line[:SHOWN_CHARS]))
    if not rows:
        return ParsedCsv(Bars.empty(whole_volume=market_of(key.mode).has_whole_volume), damaged), layouts
    time, prices, volumes, indicators = zip(*rows, strict=True)
    whole = market_of(key.mode).has_whole_volume
    volume: Int | Float = np.array(volumes, dtype=np.int64) if whole else np.array(volumes, dtype=np.float64)
    bars = Bars(np.array(time, dtype=np.int64), _columns(prices), volume, _columns(indicators))
    return ParsedCsv(bars, damaged), layouts


def _columns(rows: Sequence[list[float]]) -> Float:
    return np.ascontiguousarray(np.array(rows, dtype=np.float64).T)


def _parse_line(line: str, layouts: tuple[Layout, ...], key: SeriesKey) -> tuple[int, list[float], float, list[float]]:
    """Time, prices, volume and indicators of a line.

    :raises ValueError: with the reason, when the line gives no bar.
    """
    cells = line.split(",")
    layout = next((each for each in layouts if each.width == len(cells)), None)
    if layout is None:
        allowed = " or ".join(str(each.width) for each in layouts)
        raise ValueError(f"{len(cells)} fields, a row has {allowed}")
    row = dict(zip(layout.fields, cells, strict=True))
    if row["ticker"].upper() != key.ticker:
        raise ValueError(f"ticker {shown(row['ticker'])} is not {key.ticker}")
    volume, time = row["volume"], f"{row['time']} {row['clock']}" if "clock" in row else row["time"]
    return (
        _parse_row_time(time, key),
        [parse_number(name, row[name]) for name in PRICE_FIELDS],
        parse_whole("volume", volume) if market_of(key.mode).has_whole_volume else parse_number("volume", volume),
        [_parse_indicator(row.get(name, "")) for name in INDICATOR_FIELDS],
    )


def _parse_row_time(text: str, key: SeriesKey) -> int:
    """The time of a row, Unix seconds. A day may be a date, its midnight in UTC or with an offset, or any time with an
    offset.

    :raises ValueError: with the reason, when it is not a time of the interval.
    """
    try:
        readings = parse_time(text), parse_time(_OFFSET.sub("", text))
    except ValueError:
        raise ValueError(f"time {shown(text)} is not a time") from None
    if key.interval.is_intraday:
        return readings[0]
    midnight = next((reading for reading in readings if reading % SECONDS_PER_DAY == 0), None)
    if midnight is not None:
        return midnight
    if not _OFFSET.search(text):  # for example a line of a file of minutes
        raise ValueError(f"time {shown(text)} is not a day")
    return int(bar_start(np.array(readings[:1]), key.interval, key.mode)[0])


def _parse_indicator(text: str) -> float:
    number = float(text) if is_number(text) else math.nan
    return number if math.isfinite(number) else math.nan
