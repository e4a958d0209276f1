"""Bars as CSV text, and CSV text as bars: the rows of the files and of CSV answers.

Writing is exact: every number parses back to the float64 it was. Reading is tolerant: whatever a row can still be
stored from is taken, whatever cannot is handed back with the reason.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Self

import numpy as np

from stockapi.constants import (
    BASE_CSV_FIELDS,
    CHANGE_FIELDS,
    CSV_FIELDS,
    INDICATOR_FIELDS,
    MA_FIELDS,
    MONEY_FIELD,
    PRICE_FIELDS,
    SCORE_FIELDS,
    SECONDS_PER_DAY,
)
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.interval import AnyInterval, Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_times, parse_time
from stockapi.services.csv_columns import parse_plain
from stockapi.services.indicators import SCORE_DECIMALS

HEADER: Final = ",".join(CSV_FIELDS)
"""First line of a file, without its line end."""
_VALUE_FIELDS: Final = frozenset(CSV_FIELDS[1:])

_PERCENT_FIELDS = (*SCORE_FIELDS, *CHANGE_FIELDS)
_EMPTY_FIELD = '""'
_Column = tuple[str, Sequence[object]]  # the format of its values, and these
_MAX_INTEGER = (1 << 63) - 1
_WRITE_BLOCK_ROWS = 2_000
_READ_BLOCK_CHARS = 1 << 17  # split into fields, text takes some ten times its size: never a whole file of it
_SHOWN_CHARS = 500

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_OFFSET = re.compile(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\Z", re.ASCII)


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


def format_rows(ticker: str, bars: Bars, interval: AnyInterval, mode: Mode) -> str:
    """One line per bar, in the columns of `HEADER`, each ended by a newline; an absent indicator is an empty field.

    Numbers have the decimals of the market, so values that were rounded to those come back unchanged. One that was
    not is written in full instead. A crypto volume, which has no fixed decimals, is the shortest text that gives it
    back. There are never exponents. Prices and volume must be finite.
    """
    return format_fields([ticker], _VALUE_FIELDS, bars, interval, mode)


def format_fields(first: Sequence[str], fields: frozenset[str], bars: Bars, interval: AnyInterval, mode: Mode) -> str:
    """One line per bar: the texts of `first`, the same in all, then those of `fields` in the order of `HEADER`.

    Otherwise as `format_rows`.
    """
    blocks = (bars.take(slice(start, start + _WRITE_BLOCK_ROWS)) for start in range(0, len(bars), _WRITE_BLOCK_ROWS))
    return "".join(_format_block(first, fields, block, interval, mode) for block in blocks)


def _format_block(first: Sequence[str], fields: frozenset[str], bars: Bars, interval: AnyInterval, mode: Mode) -> str:
    """All rows by one `%` over one flat tuple, which takes half the time of one `%` per row."""
    columns = _columns_before_indicators(fields, bars, interval, mode)
    count = len(columns)
    averages, rest = bars.indicators[: len(MA_FIELDS)], bars.indicators[len(MA_FIELDS) :]
    columns += _fixed(_named(averages, MA_FIELDS, fields), mode.price_decimals)
    columns += _fixed(_named(rest[:-1], _PERCENT_FIELDS, fields), SCORE_DECIMALS)
    columns += _fixed(rest[-1:] if MONEY_FIELD in fields else rest[:0], mode.money_decimals)
    cells: list[object] = [None] * (len(columns) * len(bars))
    for position, (_, values) in enumerate(columns):
        cells[position :: len(columns)] = values
    specs = [spec for spec, _ in columns]
    absent = np.isnan(_named(bars.indicators, INDICATOR_FIELDS, fields))
    if not absent.any():
        return _row_template(first, specs) * len(bars) % tuple(cells)
    # Few patterns of absent fields exist (a series warms up MA by MA), so a template for each of them.
    patterns = (absent.T @ (1 << np.arange(len(absent)))).tolist()
    templates = {pattern: _row_template(first, specs, count, pattern) for pattern in set(patterns)}
    present = tuple(cell for cell in cells if cell == cell)  # only NaN differs from itself
    return "".join([templates[pattern] for pattern in patterns]) % present


def _columns_before_indicators(fields: frozenset[str], bars: Bars, interval: AnyInterval, mode: Mode) -> list[_Column]:
    columns: list[_Column] = [("%s", format_times(bars.time, interval))] if "time" in fields else []
    columns += _fixed(_named(bars.prices, PRICE_FIELDS, fields), mode.price_decimals)
    if "volume" in fields:
        volume = bars.volume.tolist()
        columns.append(("%d", volume) if mode.has_whole_volume else ("%s", [*map(_shortest, volume)]))
    return columns


def _named(rows: Float, names: Sequence[str], fields: frozenset[str]) -> Float:
    """Of `rows`, which have these names, those that are among `fields`."""
    return rows if fields.issuperset(names) else rows[[name in fields for name in names]]


def _row_template(first: Sequence[str], specs: list[str], count: int = 0, absent: int = 0) -> str:
    """`count` specs stand before those of indicators; `absent` has bit i set where indicator i is to be left empty."""
    kept = ("" if i >= count and absent >> (i - count) & 1 else spec for i, spec in enumerate(specs))
    # A row of one empty field is quoted, as Python's csv writes it: readers pass over empty lines.
    return f"{','.join((*first, *kept)) or _EMPTY_FIELD}\n"


def _fixed(rows: Float, decimals: int) -> list[_Column]:
    """For each row of `rows` its format and its values (NaN stays NaN); text where fixed decimals would change one."""
    with np.errstate(over="ignore"):
        is_rounded = np.round(rows, decimals) == rows
    if (is_rounded | np.isnan(rows)).all():
        return [(f"%.{decimals}f", row) for row in rows.tolist()]
    return [("%s", [_fixed_or_shortest(value, decimals) for value in row]) for row in rows.tolist()]


def _fixed_or_shortest(value: float, decimals: int) -> object:
    if math.isnan(value):
        return value
    text = f"{value:.{decimals}f}"
    return text if float(text) == value else _shortest(value)


def _shortest(value: float) -> str:
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a row has its fields. `in_order`: as `CSV_FIELDS` has them, or the first 7 of those."""

    fields: tuple[str, ...]

    @property
    def width(self) -> int:
        return len(self.fields)

    @property
    def in_order(self) -> bool:
        return self.fields in (BASE_CSV_FIELDS, CSV_FIELDS)

    @classmethod
    def of_header(cls, line: str) -> Self | None:
        """None when the line is no header: one that names at least the seven base columns, in any order or case."""
        names = tuple(name.strip().lower() for name in line.split(","))
        names = tuple("ticker" if name == "symbol" else name for name in names)  # as in our own CSV answers
        return cls(names) if set(BASE_CSV_FIELDS) <= set(names) else None


_WITHOUT_HEADER = (_Layout(BASE_CSV_FIELDS), _Layout(CSV_FIELDS))


@dataclass(frozen=True, slots=True)
class _Series:
    """What the rows of one file have to agree with."""

    ticker: str
    interval: Interval
    mode: Mode


def parse_rows(text: str, ticker: str, interval: Interval, mode: Mode) -> ParsedCsv:
    """The bars of a file's text, ascending; of rows with the same time the last one counts.

    The header names the columns (unknown ones are passed over); without one, rows have the 7 or 20 columns of
    `HEADER`. Accepts CRLF, a byte order mark, blank lines and a missing final newline. A row is damaged, and left
    out, when its ticker, time, price or volume cannot be stored. An indicator that is no number is taken as absent:
    the bar is whole without it.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    rows = text.lstrip("\n")
    number = len(text) - len(rows) + 1
    header, _, below_header = rows.partition("\n")
    layout = _Layout.of_header(header)
    if layout is not None:
        rows, number = below_header, number + 1
    series = _Series(ticker, interval, mode)
    parts, damaged = [Bars.empty(whole_volume=mode.has_whole_volume)], list[DamagedLine]()
    for block in _blocks(rows):
        bars = parse_plain(block, layout.width, ticker, interval, mode) if layout and layout.in_order else None
        if bars is None:
            layouts = _WITHOUT_HEADER if layout is None else (layout,)
            parsed = _parse_lines(block, number, layouts, series)
            bars = parsed.bars
            damaged += parsed.damaged
        parts.append(bars)
        number += block.count("\n")
    rows_in_order = Bars.concatenate(parts)
    bars = _in_order(rows_in_order)
    return ParsedCsv(bars, damaged, len(rows_in_order) - len(bars))


def _blocks(text: str) -> Iterator[str]:
    """The text in pieces that end with a line."""
    first = 0
    while first < len(text):
        stop = text.find("\n", first + _READ_BLOCK_CHARS) + 1 or len(text)
        yield text[first:stop]
        first = stop


def _in_order(bars: Bars) -> Bars:
    if (bars.time[1:] > bars.time[:-1]).all():
        return bars
    return bars.take(slice(0)).merge(bars)


def _parse_lines(block: str, number: int, layouts: tuple[_Layout, ...], series: _Series) -> ParsedCsv:
    """The rows one by one; `number` is that of the first line, `layouts` are those a row may have."""
    rows, damaged = list[tuple[int, list[float], float, list[float]]](), list[DamagedLine]()
    lines = block.split("\n")
    for index, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            rows.append(_parse_line(line, layouts, series))
        except ValueError as exc:
            is_torn = index == len(lines) - 1  # only the end of the file has no newline behind it
            reason = f"torn last line: {exc}" if is_torn else str(exc)
            damaged.append(DamagedLine(number + index, reason, line[:_SHOWN_CHARS]))
    if not rows:
        return ParsedCsv(Bars.empty(whole_volume=series.mode.has_whole_volume), damaged)
    time, prices, volumes, indicators = zip(*rows, strict=True)
    whole = series.mode.has_whole_volume
    volume: Int | Float = np.array(volumes, dtype=np.int64) if whole else np.array(volumes, dtype=np.float64)
    bars = Bars(np.array(time, dtype=np.int64), _columns(prices), volume, _columns(indicators))
    return ParsedCsv(bars, damaged)


def _columns(rows: Sequence[list[float]]) -> Float:
    return np.ascontiguousarray(np.array(rows, dtype=np.float64).T)


def _parse_line(
    line: str, layouts: tuple[_Layout, ...], series: _Series
) -> tuple[int, list[float], float, list[float]]:
    """:raises ValueError: with the reason, when no bar can be made of the line."""
    cells = line.split(",")
    layout = next((each for each in layouts if each.width == len(cells)), None)
    if layout is None:
        allowed = " or ".join(str(each.width) for each in layouts)
        raise ValueError(f"{len(cells)} fields, a row has {allowed}")
    row = dict(zip(layout.fields, cells, strict=True))
    if row["ticker"].upper() != series.ticker:
        raise ValueError(f"ticker {_shown(row['ticker'])} is not {series.ticker}")
    volume = row["volume"]
    return (
        _parse_row_time(row["time"], series.interval),
        [_parse_number(name, row[name]) for name in PRICE_FIELDS],
        _parse_whole("volume", volume) if series.mode.has_whole_volume else _parse_number("volume", volume),
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
    if not _NUMBER.fullmatch(text):
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
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    return number if math.isfinite(number) else math.nan


def _shown(text: str) -> str:
    return repr(text[:40])
