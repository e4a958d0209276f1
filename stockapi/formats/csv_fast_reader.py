"""The fast half of the CSV reader. It reads plain rows column by column.

It is about ten times faster than reading row by row: 1.7 instead of 18 microseconds for a row of 20 columns. After the
ticker and the time, a plain row has only numbers and commas. A JSON parser reads these three times as fast as `float`.
"""

from typing import Final, cast

import numpy as np
import orjson
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.fields import BASE_CSV_FIELDS, INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_time

MIN_TIME: Final = parse_time("0001-01-01")
MAX_TIME: Final = parse_time("9999-12-31T23:59:59")
"""The first and the last second that a four-digit year can name."""

_NUMBER_BYTES = b"0123456789.+-eE"
_TIME_SHAPES = {len(shape): np.frombuffer(shape, dtype=np.uint8) for shape in (b"0000-00-00", b"0000-00-00T00:00:00")}
_PRICES = len(PRICE_FIELDS)
_TIME, _VOLUME = 1, len(BASE_CSV_FIELDS) - 1

_Symbols = NDArray[np.uint8]
_Numbers = list[int | float | None]


def parse_plain(rows: str, width: int, key: SeriesKey, *, with_indicators: bool = True) -> Bars | None:
    """The bars of `rows`, in the same order; None when a row is not plain. Without `with_indicators` they are not read.

    A plain row has the `width` columns of one of `CSV_LAYOUTS`, the ticker of `key`, and a time without an offset; all
    times have the same width. Its numbers are finite and written as in JSON. Indicators may be absent. Every value can
    be stored.
    """
    data = rows.removesuffix("\n").encode("ascii", "replace") + b"\n"  # no plain row contains "?"
    symbols = np.frombuffer(data, dtype=np.uint8)
    ends = _ends_of_cells(symbols, width)
    if ends is None:
        return None
    time = _times(symbols, ends, key)
    last = ends[:, -1 if with_indicators else _VOLUME].tolist()
    values = _values([data[start:end] for start, end in zip((ends[:, _TIME] + 1).tolist(), last, strict=True)])
    if time is None or values is None:
        return None
    numbers = np.ascontiguousarray(np.array(values, dtype=np.float64).reshape(len(ends), -1).T)
    if not (numbers[: _PRICES + 1] >= 0.0).all() or np.isinf(numbers).any():
        return None
    volume: Int | Float | None = numbers[_PRICES]
    if market_of(key.mode).has_whole_volume:
        volume = _whole_numbers(values[_PRICES :: len(numbers)], data, ends)
    if volume is None:
        return None
    bars = Bars.of(time, numbers[:_PRICES], volume)
    indicators = dict(zip(INDICATOR_FIELDS, numbers[_PRICES + 1 :], strict=False))  # an older layout has fewer
    return bars.with_indicators(indicators) if indicators else bars


def _ends_of_cells(symbols: _Symbols, width: int) -> Int | None:
    """The positions of the comma or newline after each cell, shape (rows, width); None when a row has another width."""
    is_newline = symbols == ord("\n")
    where = np.flatnonzero(is_newline | (symbols == ord(",")))
    if len(where) % width:
        return None
    ends: Int = where.reshape(-1, width)
    is_end_of_row = is_newline[ends]
    return ends if is_end_of_row[:, -1].all() and not is_end_of_row[:, :-1].any() else None


def _times(symbols: _Symbols, ends: Int, key: SeriesKey) -> Int | None:
    name = np.frombuffer(f"{key.ticker},".encode(), dtype=np.uint8)
    starts = np.append(0, ends[:-1, -1] + 1)
    widths = ends[:, _TIME] - starts - len(name)
    shape = _TIME_SHAPES.get(int(widths[0]))
    if shape is None or (widths != len(shape)).any():
        return None
    heads = symbols[starts[:, np.newaxis] + np.arange(len(name) + len(shape))]
    texts = np.ascontiguousarray(heads[:, len(name) :])
    texts[texts == ord(" ")] = ord("T")
    is_digit = shape == ord("0")
    # The numbers are unsigned, so a character below "0" becomes a large number.
    if (texts[:, is_digit] - ord("0") > 9).any() or (texts[:, ~is_digit] != shape[~is_digit]).any():
        return None
    if (heads[:, : len(name)] != name).any():
        return None
    try:
        time: Int = texts.view(f"S{len(shape)}")[:, 0].astype("datetime64[s]").astype(np.int64)
    except ValueError:  # the 30th of February
        return None
    if time.min() < MIN_TIME or (not key.interval.is_intraday and (time % SECONDS_PER_DAY).any()):
        return None
    return time


def _values(rows: list[bytes]) -> _Numbers | None:
    """The numbers of all rows, with None for an empty cell; None when a cell is not a number."""
    cells = b",%b," % b",".join(rows)
    if cells.translate(None, _NUMBER_BYTES + b","):
        return None
    # Twice, because one pass replaces only every second of several empty cells in a row.
    cells = cells.replace(b",,", b",null,").replace(b",,", b",null,")
    try:
        return cast(_Numbers, orjson.loads(b"[%b]" % cells[1:-1]))
    except orjson.JSONDecodeError:
        return None


def _whole_numbers(values: _Numbers, data: bytes, ends: Int) -> Int | None:
    """The volumes as int, because a float has only 53 of the 63 bits; None when one is not a whole number."""
    try:
        if not all(type(value) is int for value in values):
            # 7.0 is whole. But 7.0000000000000000001 gives the same float, so the text decides.
            spans = zip((ends[:, _VOLUME - 1] + 1).tolist(), ends[:, _VOLUME].tolist(), strict=True)
            values = [int(data[start:end].removesuffix(b".0")) for start, end in spans]
        return np.array(values, dtype=np.int64)
    except (ValueError, OverflowError):
        return None
