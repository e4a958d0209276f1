"""Convert bars to the CSV text of the files, and back.

Writing is exact: every number is read back as the same float64. Reading is tolerant: a row that can be stored becomes a
bar, and a row that cannot is returned with the reason.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from operator import attrgetter
from typing import Final

import numpy as np

from stockapi.errors import LayoutError
from stockapi.formats import csv_fast_writer
from stockapi.formats.csv_fast_reader import parse_plain
from stockapi.formats.csv_lenient_reader import DamagedLine, ParsedCsv, find_first_row, parse_lines
from stockapi.formats.csv_numbers import fixed_or_in_full, in_full
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import CSV_FIELDS, INDICATORS
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_times

__all__ = ["HEADER", "DamagedLine", "ParsedCsv", "format_rows", "parse_rows"]

HEADER: Final = ",".join(CSV_FIELDS)
"""The first line of a file, without its line end."""

_Column = tuple[str, Sequence[object]]  # the format of its values, and the values
_WRITE_BLOCK_ROWS = 2_000
_FAST_FROM_ROWS = 50  # for fewer rows `%` is faster
_READ_BLOCK_CHARS = 1 << 17  # text split into fields takes about ten times its size, so a file is read in blocks


def format_rows(key: SeriesKey, bars: Bars) -> str:
    """One line for each bar, with a newline, in the columns of `HEADER`. An absent indicator is an empty field.

    Numbers have the decimals of the market. A number that is not rounded to these decimals is written in full. A crypto
    volume has no fixed decimals; it is the shortest text that is read back as the same number. Numbers have no
    exponents. Prices and volume must be finite.
    """
    blocks = (bars.take(slice(start, start + _WRITE_BLOCK_ROWS)) for start in range(0, len(bars), _WRITE_BLOCK_ROWS))
    return "".join(_format_block(key, block) for block in blocks)


def _format_block(key: SeriesKey, bars: Bars) -> str:
    write = csv_fast_writer.lines if len(bars) >= _FAST_FROM_ROWS else _plain_lines
    return write(key, bars)


def _plain_lines(key: SeriesKey, bars: Bars) -> str:
    """All rows by one `%` with one flat tuple. It takes half the time of one `%` for each row."""
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
    # There are few patterns of absent fields (one MA after the other warms up), so each pattern has a template.
    patterns = (absent.T @ (1 << np.arange(len(absent)))).tolist()
    templates = {pattern: _row_template(key.ticker, specs, count, pattern) for pattern in set(patterns)}
    present = tuple(cell for cell in cells if cell == cell)  # only NaN is not equal to itself
    return "".join([templates[pattern] for pattern in patterns]) % present


def _fixed_groups(bars: Bars, mode: Mode) -> list[tuple[Float, int]]:
    """The numbers with fixed decimals, and the number of decimals: first prices, then indicators by their scale."""
    groups = [(bars.prices, market_of(mode).price_decimals)]
    for scale, alike in groupby(INDICATORS, attrgetter("scale")):
        groups.append((bars.named([field.name for field in alike]), market_of(mode).decimals(scale)))
    return groups


def _row_template(ticker: str, specs: list[str], count: int = 0, absent: int = 0) -> str:
    """The template of a row. The first `count` specs are not indicators. Indicator i is empty if bit i of `absent` is
    set.
    """
    kept = ("" if i >= count and absent >> (i - count) & 1 else spec for i, spec in enumerate(specs))
    return f"{','.join((ticker, *kept))}\n"


def _fixed(rows: Float, decimals: int) -> list[_Column]:
    """The format and the values of each row of `rows`. The values are texts if fixed decimals would change a number.

    NaN stays NaN.
    """
    with np.errstate(over="ignore"):
        is_rounded = np.round(rows, decimals) == rows
    if (is_rounded | np.isnan(rows)).all():
        return [(f"%.{decimals}f", row) for row in rows.tolist()]
    # Only NaN is not equal to itself.
    texts = ([v if v != v else fixed_or_in_full(v, decimals) for v in row] for row in rows.tolist())
    return [("%s", row) for row in texts]


def parse_rows(text: str, key: SeriesKey, *, with_indicators: bool = True) -> ParsedCsv:
    """The bars of the text of a file, ascending. If several rows have the same time, the last one counts.

    The header names the columns, in any order. Unknown columns are ignored. Another header may follow later. A file
    without a header begins with a bar, and its rows have the columns of one of `CSV_LAYOUTS`. CRLF, a byte order mark,
    blank lines and a missing final newline are accepted. A row is damaged, and left out, when its ticker, time, price
    or volume cannot be stored. An indicator that is not a number counts as absent. Without `with_indicators` all are
    absent: not reading them halves the time.

    :raises LayoutError: when the columns are not known; it has the reason and the lines.
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
    start = find_first_row(text[:_READ_BLOCK_CHARS].split("\n"), key)
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
    """The text in blocks of complete lines."""
    first = 0
    while first < len(text):
        stop = text.find("\n", first + _READ_BLOCK_CHARS) + 1 or len(text)
        yield text[first:stop]
        first = stop


def _in_order(bars: Bars) -> Bars:
    if (bars.time[1:] > bars.time[:-1]).all():
        return bars
    return bars.take(slice(0)).merge(bars)
