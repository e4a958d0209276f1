"""The fast half of the CSV reader: rows with nothing to be tolerant about, column by column.

Some seven times faster than one row after the other: 2.6 instead of 18 microseconds for a row of 20 columns.
"""

from typing import Final

import numpy as np

from stockapi.constants import BASE_CSV_FIELDS, PRICE_FIELDS, SECONDS_PER_DAY
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import parse_time

MIN_TIME: Final = parse_time("0001-01-01")
MAX_TIME: Final = parse_time("9999-12-31T23:59:59")
"""The first and last second that the four-digit years of the files can name."""

_NUMBER_BYTES = b"0123456789.+-eE"
_TIME_SHAPES = {len(shape): np.frombuffer(shape, dtype=np.uint8) for shape in (b"0000-00-00", b"0000-00-00T00:00:00")}
_PRICES = len(PRICE_FIELDS)


def parse_plain(
    rows: str, width: int, ticker: str, interval: Interval, mode: Mode, *, with_indicators: bool = True
) -> Bars | None:
    """The bars of `rows`, in their order; None when any row is other than plain. Indicators may be left unread.

    Plain rows have the first `width` columns of a file in their order, the ticker as given, times of one width
    without an offset, finite numbers (indicators may be absent) and nothing that could not be stored.
    """
    rows = rows.removesuffix("\n")
    cells = rows.replace("\n", ",\n").split(",")
    count, rest = divmod(len(cells), width)
    # Every newline now begins a cell. When the tickers have one each, and there are no others, rows have their width.
    tickers = cells[::width]
    if rest or tickers[0] != ticker or not tickers.count(f"\n{ticker}") == rows.count("\n") == count - 1:
        return None
    time = _times(cells[1::width], interval)
    volume_texts = cells[len(BASE_CSV_FIELDS) - 1 :: width]
    if with_indicators:
        del cells[::width]
        del cells[:: width - 1]
    else:
        cells = _interleaved([cells[column::width] for column in range(2, len(BASE_CSV_FIELDS))])
        width = len(BASE_CSV_FIELDS)
    numbers = _numbers(cells, count)
    if time is None or numbers is None:
        return None
    volume = _whole_numbers(volume_texts) if mode.has_whole_volume else numbers[_PRICES]
    if volume is None:
        return None
    return Bars.of(time, numbers[:_PRICES], volume, numbers[_PRICES + 1 :] if width > len(BASE_CSV_FIELDS) else None)


def _interleaved(columns: list[list[str]]) -> list[str]:
    """The cells of the columns, row after row."""
    cells = [""] * (len(columns) * len(columns[0]))
    for position, column in enumerate(columns):
        cells[position :: len(columns)] = column
    return cells


def _times(texts: list[str], interval: Interval) -> Int | None:
    width = len(texts[0])
    joined = "".join(texts).replace(" ", "T")
    if width not in _TIME_SHAPES or not joined.isascii() or {*map(len, texts)} != {width}:
        return None
    shape = _TIME_SHAPES[width]
    symbols = np.frombuffer(joined.encode(), dtype=np.uint8).reshape(-1, width)
    is_digit = shape == ord("0")
    # Unsigned: what is below "0" wraps around to far above 9.
    if (symbols[:, is_digit] - ord("0") > 9).any() or (symbols[:, ~is_digit] != shape[~is_digit]).any():
        return None
    try:
        time: Int = symbols.view(f"S{width}")[:, 0].astype("datetime64[s]").astype(np.int64)
    except ValueError:  # the 30th of February
        return None
    if time.min() < MIN_TIME or (not interval.is_intraday and (time % SECONDS_PER_DAY).any()):
        return None
    return time


def _numbers(cells: list[str], count: int) -> Float | None:
    """Shape (columns, count): prices, volume, indicators."""
    joined = "".join(cells)
    # With these characters alone, float() has none of its leniency left: 1_000, blanks, nan, digits of other scripts.
    if not joined.isascii() or joined.encode().translate(None, _NUMBER_BYTES):
        return None
    if "" in cells:
        cells = [cell or "nan" for cell in cells]
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    numbers = np.ascontiguousarray(values.reshape(count, -1).T)
    is_storable = (numbers[: _PRICES + 1] >= 0.0).all() and not np.isinf(numbers).any()
    return numbers if is_storable else None


def _whole_numbers(texts: list[str]) -> Int | None:
    """By way of int(), since a float holds no more than 53 of the 63 bits."""
    try:
        return np.fromiter((int(text.removesuffix(".0")) for text in texts), np.int64, len(texts))
    except (ValueError, OverflowError):
        return None
