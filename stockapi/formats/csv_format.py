"""Bars as CSV text, and CSV text as bars: the rows of the files.

Writing is exact: every number parses back to the float64 it was. Reading is tolerant: whatever a row can still be
stored from is taken, whatever cannot is handed back with the reason.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Final

import numpy as np

from stockapi.errors import LayoutError
from stockapi.formats import csv_fast_writer
from stockapi.formats.csv_fast_reader import parse_plain
from stockapi.formats.csv_lenient_reader import DamagedLine, ParsedCsv, find_start, parse_lines
from stockapi.formats.csv_numbers import fixed_or_in_full, in_full
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import CSV_FIELDS, INDICATORS
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_times

__all__ = ["HEADER", "DamagedLine", "ParsedCsv", "format_rows", "parse_rows"]

HEADER: Final = ",".join(CSV_FIELDS)
"""First line of a file, without its line end."""

_Column = tuple[str, Sequence[object]]  # the format of its values, and these
_WRITE_BLOCK_ROWS = 2_000
_FAST_FROM_ROWS = 50  # for fewer rows `%` is faster
_READ_BLOCK_CHARS = 1 << 17  # split into fields, text takes some ten times its size: never a whole file of it


def format_rows(key: SeriesKey, bars: Bars) -> str:
    """One line per bar, in the columns of `HEADER`, each ended by a newline; an absent indicator is an empty field.

    Numbers have the decimals of the market, so values that were rounded to those come back unchanged. One that was
    not is written in full instead. A crypto volume, which has no fixed decimals, is the shortest text that gives it
    back. There are never exponents. Prices and volume must be finite.
    """
    blocks = (bars.take(slice(start, start + _WRITE_BLOCK_ROWS)) for start in range(0, len(bars), _WRITE_BLOCK_ROWS))
    return "".join(_format_block(key, block) for block in blocks)


def _format_block(key: SeriesKey, bars: Bars) -> str:
    write = csv_fast_writer.lines if len(bars) >= _FAST_FROM_ROWS else _plain_lines
    return write(key, bars)


def _plain_lines(key: SeriesKey, bars: Bars) -> str:
    """All rows by one `%` over one flat tuple, which takes half the time of one `%` per row."""
    prices, *indicators = (_fixed(*group) for group in _fixed_groups(bars, key.mode))
    is_whole, volumes = market_of(key.mode).has_whole_volume, bars.volume.tolist()
    volume: _Column = ("%d", volumes) if is_whole else ("%s", [in_full(each) for each in volumes])
    columns: list[_Column] = [("%s", format_times(bars.time, key.interval)), *prices, volume]
    count = len(columns)
    columns += chain(*indicators)
    cells: list[object] = [None] * (len(columns) * len(bars))
    for position, (_, values) in enumerate(columns):
        cells[position :: len(columns)] = values
    specs = [spec for spec, _ in columns]
    absent = np.isnan(bars.indicators)
    if not absent.any():
        return _row_template(key.ticker, specs) * len(bars) % tuple(cells)
    # Few patterns of absent fields exist (a series warms up MA by MA), so a template for each of them.
    patterns = (absent.T @ (1 << np.arange(len(absent)))).tolist()
    templates = {pattern: _row_template(key.ticker, specs, count, pattern) for pattern in set(patterns)}
    present = tuple(cell for cell in cells if cell == cell)  # only NaN differs from itself
    return "".join([templates[pattern] for pattern in patterns]) % present


def _fixed_groups(bars: Bars, mode: Mode) -> list[tuple[Float, int]]:
    """The numbers with fixed decimals, and how many: prices, which the volume follows, and indicators of one scale."""
    groups = [(bars.prices, market_of(mode).price_decimals)]
    for scale, alike in groupby(INDICATORS, attrgetter("scale")):
        groups.append((bars.named([field.name for field in alike]), market_of(mode).decimals(scale)))
    return groups


def _row_template(ticker: str, specs: list[str], count: int = 0, absent: int = 0) -> str:
    """`count` specs stand before those of indicators; `absent` has bit i set where indicator i is to be left empty."""
    kept = ("" if i >= count and absent >> (i - count) & 1 else spec for i, spec in enumerate(specs))
    return f"{','.join((ticker, *kept))}\n"


def _fixed(rows: Float, decimals: int) -> list[_Column]:
    """For each row of `rows` its format and its values (NaN stays NaN); text where fixed decimals would change one."""
    with np.errstate(over="ignore"):
        is_rounded = np.round(rows, decimals) == rows
    if (is_rounded | np.isnan(rows)).all():
        return [(f"%.{decimals}f", row) for row in rows.tolist()]
    # Only NaN differs from itself.
    texts = ([v if v != v else fixed_or_in_full(v, decimals) for v in row] for row in rows.tolist())
    return [("%s", row) for row in texts]


def parse_rows(text: str, key: SeriesKey, *, with_indicators: bool = True) -> ParsedCsv:
    """The bars of a file's text, ascending; of rows with the same time the last one counts.

    The header names the columns, in any order (unknown ones are passed over); another header may follow further down.
    Without one the first line that is not blank is a bar, and rows have the columns of one of `CSV_LAYOUTS`. Accepts
    CRLF, a byte order mark, blank lines and a missing final newline. A row is damaged, and left out, when its ticker,
    time, price or volume cannot be stored. An indicator that is no number is taken as absent: the bar is whole without
    it. Unless `with_indicators`, all are: to leave them unread halves the time.

    :raises LayoutError: when nothing tells which column is which; says why, and has the lines.
    """
    text = text.removeprefix("\ufeff")
    if "\r" in text:
        text = text.replace("\r\n", "\n").removesuffix("\r")
    try:
        parts, damaged = _parse_blocks(text, key, with_indicators=with_indicators)
    except LayoutError as exc:
        raise LayoutError(str(exc), text) from exc
    rows_in_order = Bars.concatenate(parts)
    bars = _in_order(rows_in_order)
    return ParsedCsv(bars, damaged, len(rows_in_order) - len(bars))


def _parse_blocks(text: str, key: SeriesKey, *, with_indicators: bool) -> tuple[list[Bars], list[DamagedLine]]:
    start = find_start(text[:_READ_BLOCK_CHARS].split("\n"), key)
    layouts, number, damaged = start.layouts, start.number, start.damaged
    parts = [Bars.empty(whole_volume=market_of(key.mode).has_whole_volume)]
    above_and_rows = text.split("\n", number - 1)
    for block in _blocks(above_and_rows[number - 1] if len(above_and_rows) == number else ""):
        bars = None
        if len(layouts) == 1 and layouts[0].in_order:
            bars = parse_plain(block, layouts[0].width, key, with_indicators=with_indicators)
        if bars is None:
            parsed, layouts = parse_lines(block, number, layouts, key)
            bars = parsed.bars if with_indicators else parsed.bars.without_indicators()
            damaged += parsed.damaged
        parts.append(bars)
        number += block.count("\n")
    return parts, damaged


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
