"""The tolerant half of the CSV reader: rows one by one, whatever their columns and however a time is written.

Whatever a row can still be stored from is taken, whatever cannot is handed back with the reason.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

import numpy as np

from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import BASE_CSV_FIELDS, CSV_LAYOUTS, INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.interval import Interval
from stockapi.models.literals import is_number
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_time

_MAX_INTEGER: Final = (1 << 63) - 1
_SHOWN_CHARS: Final = 500

_OFFSET: Final = re.compile(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line no bar could be made of.

    `number` counts from 1, the header included; `text` is cut after 500 characters.
    """

    number: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class ParsedCsv:
    """`duplicates`: rows whose time a later row of the file has too."""

    bars: Bars
    damaged: list[DamagedLine]
    duplicates: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a row has its fields. `in_order`: it is one of `CSV_LAYOUTS`."""

    fields: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.fields)

    @property
    def in_order(self) -> bool:
        return self.fields in CSV_LAYOUTS

    @classmethod
    def of_header(cls, line: str) -> Self | None:
        """None when the line is no header: one that names at least the seven base columns, in any order or case."""
        names = tuple(name.strip().lower() for name in line.split(","))
        names = tuple("ticker" if name == "symbol" else name for name in names)  # as in our own CSV answers
        return cls(names) if set(BASE_CSV_FIELDS) <= set(names) else None


WITHOUT_HEADER = tuple(map(Layout, CSV_LAYOUTS))


def parse_lines(block: str, number: int, layouts: tuple[Layout, ...], key: SeriesKey) -> ParsedCsv:
    """The rows one by one; `number` is that of the first line, `layouts` are those a row may have."""
    rows, damaged = list[tuple[int, list[float], float, list[float]]](), list[DamagedLine]()
    lines = block.split("\n")
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(_parse_line(line, layouts, key))
        except ValueError as exc:
            is_torn = index == len(lines) - 1  # only the end of the file has no newline behind it
            reason = f"torn last line: {exc}" if is_torn else str(exc)
            damaged.append(DamagedLine(number + index, reason, line[:_SHOWN_CHARS]))
    if not rows:
        return ParsedCsv(Bars.empty(whole_volume=market_of(key.mode).has_whole_volume), damaged)
    time, prices, volumes, indicators = zip(*rows, strict=True)
    whole = market_of(key.mode).has_whole_volume
    volume: Int | Float = np.array(volumes, dtype=np.int64) if whole else np.array(volumes, dtype=np.float64)
    bars = Bars(np.array(time, dtype=np.int64), _columns(prices), volume, _columns(indicators))
    return ParsedCsv(bars, damaged)


def _columns(rows: Sequence[list[float]]) -> Float:
    return np.ascontiguousarray(np.array(rows, dtype=np.float64).T)


def _parse_line(line: str, layouts: tuple[Layout, ...], key: SeriesKey) -> tuple[int, list[float], float, list[float]]:
    """:raises ValueError: with the reason, when no bar can be made of the line."""
    cells = line.split(",")
    layout = next((each for each in layouts if each.width == len(cells)), None)
    if layout is None:
        allowed = " or ".join(str(each.width) for each in layouts)
        raise ValueError(f"{len(cells)} fields, a row has {allowed}")
    row = dict(zip(layout.fields, cells, strict=True))
    if row["ticker"].upper() != key.ticker:
        raise ValueError(f"ticker {_shown(row['ticker'])} is not {key.ticker}")
    volume = row["volume"]
    return (
        _parse_row_time(row["time"], key.interval),
        [_parse_number(name, row[name]) for name in PRICE_FIELDS],
        _parse_whole("volume", volume) if market_of(key.mode).has_whole_volume else _parse_number("volume", volume),
        [_parse_indicator(row.get(name, "")) for name in INDICATOR_FIELDS],
    )


def _parse_row_time(text: str, interval: Interval) -> int:
    """A day may also be written as its midnight, in UTC or in the offset beside it."""
    try:
        readings = parse_time(text), parse_time(_OFFSET.sub("", text))
    except ValueError:
        raise ValueError(f"time {_shown(text)} is not a time") from None
    step = 1 if interval.is_intraday else SECONDS_PER_DAY
    seconds = next((reading for reading in readings if reading % step == 0), None)
    if seconds is None:
        raise ValueError(f"time {_shown(text)} is not a day")
    return seconds


def _parse_number(name: str, text: str) -> float:
    if not is_number(text):
        raise ValueError(f"{name} {_shown(text)} is not a number")
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{name} {_shown(text)} is not finite")
    if number < 0.0:
        raise ValueError(f"{name} {_shown(text)} is negative")
    return number


def _parse_whole(name: str, text: str) -> int:
    number = _parse_number(name, text)
    if number > 2.0**63:
        raise ValueError(f"{name} {_shown(text)} is beyond 63 bits")
    # Decimal, since a float has 53 bits; zero apart, since it may have any exponent, and int() would write that out.
    exact = Decimal(text) if number else Decimal(0)
    if exact != exact.to_integral_value():
        raise ValueError(f"{name} {_shown(text)} is not a whole number")
    if exact > _MAX_INTEGER:
        raise ValueError(f"{name} {_shown(text)} is beyond 63 bits")
    return int(exact)


def _parse_indicator(text: str) -> float:
    number = float(text) if is_number(text) else math.nan
    return number if math.isfinite(number) else math.nan


def _shown(text: str) -> str:
    return repr(text[:40])
