"""Convert whole columns of numbers and times to text, four characters in a 32-bit word.

All texts of a column have the same number of words: as many as the longest text needs. NUL fills the rest: before the
first digit of a number, and after its last decimal.
"""

from bisect import bisect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.formats.csv_numbers import shortest
from stockapi.models.bars import Float, Int
from stockapi.models.timestamps import TimeStyle, numbered_times, written_times

Words = NDArray[np.uint32]
Flags = NDArray[np.bool_]

WORD_BYTES: Final = 4
_CHUNK: Final = 10**WORD_BYTES
_MOST: Final = 2.0**51
"""The limit in units of the last decimal. Below it, a float64 belongs to only one number with these decimals, so no
shorter text gives it back.
"""
_DATES: Final = 50_000
"""The number of days in the table of dates, from 1970 to 2106."""
_LONGEST: Final = 24
"""The number of characters of -2.2250738585072014e-308, the longest number."""


class Text(NamedTuple):
    """The text of some columns of a table. `words`: shape (words, columns, rows), with 1 for rows if all are equal."""

    columns: Sequence[int]
    words: Words


class Style(NamedTuple):
    """How numbers are written: with all their decimals, and without zeros at the end.

    `least`: the minimum number of decimals. A number without decimals has no point.
    `sizes`: the numbers of words of decimals to try, in this order. The first has room for `least`.
    `other`: writes the columns that have a number with more decimals, or a number too large for this method.
    """

    least: int
    sizes: Sequence[int]
    other: Callable[[Float, Sequence[int]], Text]


def _words(texts: Sequence[bytes]) -> Words:
    return np.array(texts, dtype=f"S{WORD_BYTES}").view(np.uint32)


def _digit_words(size: int, end: bytes, zero: bytes) -> Words:
    """For 0 <= i < 10^size: the digits of i, padded with zeros, and `end`. Then the same without the padding."""
    padded = [b"%0*d%b" % (size, i, end) for i in range(10**size)]
    bare = [zero + end, *(b"%d%b" % (i, end) for i in range(1, 10**size))]
    return _words([*padded, *(text.rjust(WORD_BYTES, b"\0") for text in bare)])


@cache
def _decimal_words(least: int) -> Words:
    """For 0 <= i < 10^4: the four digits without zeros at the end, but at least `least` digits. Then all four."""
    digits = [b"%04d" % i for i in range(_CHUNK)]
    return _words([*(text[:least] + text[least:].rstrip(b"0") for text in digits), *digits])


_WHOLE: Final = _digit_words(WORD_BYTES, b"", b"0")
_WHOLE_WITH_POINT: Final = _digit_words(WORD_BYTES - 1, b".", b"0")
_HIGHER: Final = _digit_words(WORD_BYTES, b"", b"")
_POINT, _MINUS, _TEE, _ZED = _words([b"\0\0\0.", b"\0\0\0-", b"\0\0\0T", b"Z"])
_LIMITS: Final = {False: (0.0, 1e4, 1e8, 1e12), True: (0.0, 1e3, 1e7, 1e11)}
"""At each of these limits a number needs one more word of whole digits. The key says whether the last word has a point.
"""
_FIRST_BYTES: Final = np.tril(np.full((_LONGEST + 1, _LONGEST), 0xFF, dtype=np.uint8), -1).view(np.uint32)


def numbers(values: Float, columns: Sequence[int], style: Style) -> list[Text]:
    """Write numbers in a style.

    :param values: one row for each column; no value is NaN.
    :param columns: the column number of each row.
    """
    texts = list[Text]()
    for size in style.sizes:
        written, others = _decimals(values, columns, style.least, size)
        texts += written
        if not others:
            return texts
        values, columns = values[others], [columns[row] for row in others]
    return [*texts, style.other(values, columns)]


def as_orjson(values: Float | Int, columns: Sequence[int]) -> Text:
    """Write any numbers as orjson does."""
    return _cut_out(_array(values), values, columns)


def each(write: Callable[[float], str], values: Float, columns: Sequence[int]) -> Text:
    """Write any numbers, one by one, with `write`."""
    words = of_texts([write(value).encode() for value in values.ravel().tolist()], 0).words
    return Text(columns, words.reshape(len(words), *values.shape))


def _as_shortest(values: Float, columns: Sequence[int]) -> Text:
    """Write any numbers as `csv_numbers.shortest` does."""
    text = _array(values)
    if b"e" in text:
        return each(shortest, values, columns)
    return _cut_out(text.replace(b".0,", b",").replace(b".0]", b"]"), values, columns)


def _array(values: Float | Int) -> bytes:
    return orjson.dumps(np.ascontiguousarray(values).ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _cut_out(text: bytes, values: Float | Int, columns: Sequence[int]) -> Text:
    """Cut the texts of the values out of a JSON array.

    :param text: the JSON array of the values, row after row.
    """
    symbols = np.frombuffer(text + bytes(_LONGEST), dtype=np.uint8)
    ends = np.flatnonzero(symbols == ord(","))
    starts = np.append(1, ends + 1)
    lengths = np.append(ends, len(text) - 1) - starts
    size = -(-int(lengths.max()) // WORD_BYTES)
    # It takes as many bytes of each number as the longest has, and sets the bytes after its end to NUL.
    windows = np.ndarray(len(text), f"V{size * WORD_BYTES}", symbols, strides=(1,))
    texts = windows[starts].view(np.uint32).reshape(-1, size) & _FIRST_BYTES[lengths, :size]
    return Text(columns, np.moveaxis(texts.reshape(*values.shape, size), -1, 0))


def whole(values: Int, column: int) -> Text:
    """Write whole numbers, without decimals."""
    row = values[np.newaxis]
    most = int(np.maximum.reduce(values.view(np.uint64)))  # as unsigned numbers, negative ones are the largest
    if most >= 1 << 63:
        return as_orjson(row, [column])
    words = np.empty((-(-len(str(most)) // WORD_BYTES), *row.shape), dtype=np.uint32)
    _write_whole(row, _WHOLE, words)
    return Text([column], words)


def times(values: Int, column: int, style: TimeStyle) -> Text:
    """Write Unix seconds as `written_times` does."""
    if style.is_number:
        return whole(numbered_times(values, style), column)
    days = values // SECONDS_PER_DAY
    if int(np.maximum.reduce(days.view(np.uint64))) >= _DATES:  # or before 1970
        return of_texts([str(text).encode() for text in written_times(values, style)], column)
    words = _dates().take(days, axis=0)
    if style is not TimeStyle.DATE:
        words[:, -1] += _TEE
        parts = [words, _clock().take(values - days * SECONDS_PER_DAY, axis=0)]
        if style is TimeStyle.CLOCK_WITH_Z:
            parts.append(np.full((len(values), 1), _ZED))
        words = np.concatenate(parts, axis=1)
    return Text([column], words.T[:, np.newaxis])


def of_texts(texts: Sequence[bytes], column: int) -> Text:
    """Texts without NUL, one for each row."""
    array = np.array(texts, dtype=np.bytes_)
    width = array.itemsize + -array.itemsize % WORD_BYTES
    return Text([column], _rows_of_words(array.astype(f"S{width}")).T[:, np.newaxis])


def of_text(text: bytes, column: int) -> Text:
    """The same text in all rows."""
    return Text([column], as_words(text)[:, np.newaxis, np.newaxis])


def as_words(text: bytes) -> Words:
    return np.frombuffer(text.ljust(len(text) + -len(text) % WORD_BYTES, b"\0"), dtype=np.uint32)


@cache
def _dates() -> Words:
    """Three words for each of `_DATES` days; the last byte is NUL."""
    return _rows_of_words(np.datetime_as_string(np.arange(_DATES).astype("datetime64[D]")).astype("S12"))


@cache
def _clock() -> Words:
    """Two words for each second of a day."""
    seconds = np.datetime_as_string(np.arange(SECONDS_PER_DAY).astype("datetime64[s]")).astype("S19")
    symbols = seconds.view(np.uint8).reshape(-1, 19)[:, -len("00:00:00") :]
    return _rows_of_words(np.ascontiguousarray(symbols))


def _rows_of_words(texts: NDArray[np.bytes_] | NDArray[np.uint8]) -> Words:
    return texts.view(np.uint32).reshape(len(texts), -1)


def _decimals(values: Float, columns: Sequence[int], least: int, size: int) -> tuple[list[Text], list[int]]:
    """The texts of the columns that need at most `size` words of decimals, and the row numbers of the other columns."""
    scale = float(_CHUNK**size)
    with np.errstate(over="ignore"):
        units = np.rint(values * scale)
    is_exact = np.logical_and.reduce(units / scale == values, axis=1).tolist()
    is_negative = np.signbit(units)
    has_negative = np.logical_or.reduce(is_negative, axis=1).tolist()
    np.abs(units, out=units)
    groups: dict[int, list[int]] = {}
    for row, most in enumerate(np.maximum.reduce(units, axis=1).tolist()):
        size_of_whole = bisect(_LIMITS[size > 0], most / scale) if is_exact[row] and most < _MOST else 0
        groups.setdefault(size_of_whole, []).append(row)
    others = groups.pop(0, [])
    texts = list[Text]()
    for size_of_whole, rows in groups.items():
        which = _as_index(rows)
        has_sign = any(has_negative[row] for row in rows)
        words = np.empty((has_sign + size_of_whole + size, len(rows), values.shape[1]), dtype=np.uint32)
        if has_sign:
            np.multiply(is_negative[which], _MINUS, out=words[0])
        _write_number(units[which].astype(np.int64), least, words[has_sign:], size)
        texts.append(Text([columns[row] for row in rows], words))
    return texts, others


def _write_number(units: Int, least: int, words: Words, size: int) -> None:
    """Write the digits of `units`, none of them negative, into `words`. `size`: how many of the words are decimals."""
    is_followed: Flags | None = None
    for place in reversed(range(size)):
        units, digits = _split(units, _CHUNK)
        shown = digits if is_followed is None else digits + is_followed * _CHUNK
        _look_up(_decimal_words(min(max(least - place * WORD_BYTES, 0), WORD_BYTES)), shown, words[place - size])
        if place or not least:
            is_followed = digits != 0 if is_followed is None else is_followed | (digits != 0)
    _write_whole(units, _WHOLE_WITH_POINT if size else _WHOLE, words[: len(words) - size])
    if is_followed is not None and not least:
        words[-size - 1] -= ~is_followed * _POINT


def _write_whole(values: Int, table: Words, words: Words) -> None:
    """Write the whole digits into `words`. `table`: the table for the last word, as `_digit_words` makes it."""
    chunk = len(table) // 2
    for number in range(len(words) - 1, 0, -1):
        values, digits = _split(values, chunk)
        # Padded with zeros when other digits are before them.
        _look_up(table, digits + (values == 0) * chunk, words[number])
        table, chunk = _HIGHER, _CHUNK
    _look_up(table[chunk:], values, words[0])


def _look_up(table: Words, positions: Int, words: Words) -> None:
    # No position is outside of the table. "clip" is faster, because "raise" makes a copy first.
    table.take(positions, out=words, mode="clip")


def _split(values: Int, by: int) -> tuple[Int, Int]:
    """Quotients and remainders of numbers that are not negative. It is twice as fast as `divmod`."""
    quotients = values // by
    return quotients, values - quotients * by


def _as_index(rows: list[int]) -> slice | list[int]:
    """A slice if the rows are consecutive, because a slice makes no copy."""
    is_run = rows[-1] - rows[0] == len(rows) - 1
    return slice(rows[0], rows[-1] + 1) if is_run else rows


JSON: Final = Style(1, (1,), as_orjson)
"""The style of orjson: at least one decimal, and exponents where orjson writes them."""
SHORTEST: Final = Style(0, (0, 1, 2), _as_shortest)
"""The style of `csv_numbers.shortest`."""
