"""Whole columns of numbers and times become text at once, four characters to a 32-bit word.

A text is as many words as the longest of its column needs. A word has NUL where it has no character: before the first
digit of a number, after its last decimal.
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
from stockapi.models.interval import AnyInterval
from stockapi.models.timestamps import format_times

Words = NDArray[np.uint32]
Flags = NDArray[np.bool_]

WORD_BYTES: Final = 4
_CHUNK: Final = 10**WORD_BYTES
_MOST: Final = 2.0**51
"""Units of the last decimal. Below this a float64 is nearer to its decimal number than to any other of as many
decimals, so no shorter text gives it back."""
_DATES: Final = 50_000
"""Days that stand in a table, from 1970 to 2106."""
_LONGEST: Final = 24
"""Characters of -2.2250738585072014e-308; no number has more."""


class Text(NamedTuple):
    """The text of some columns of a table: its words, shape (words, columns, rows); 1 for rows that are all alike."""

    columns: Sequence[int]
    words: Words


class Style(NamedTuple):
    """How numbers are written: with the decimals that give them back, and no zeros at their end.

    `least`: so many decimals there are at least. Without any there is no point, either.
    `sizes`: how many words of decimals to try, in this order. The first has room for `least`.
    `other`: writes the columns of which a number has more decimals than those, or is so large that nobody can be sure.
    """

    least: int
    sizes: Sequence[int]
    other: Callable[[Float, Sequence[int]], Text]


def _words(texts: Sequence[bytes]) -> Words:
    return np.array(texts, dtype=f"S{WORD_BYTES}").view(np.uint32)


def _digit_words(size: int, end: bytes, zero: bytes) -> Words:
    """For 0 <= i < 10^size the digits of i, padded with zeros, and `end`; then the same again without the padding."""
    padded = [b"%0*d%b" % (size, i, end) for i in range(10**size)]
    bare = [zero + end, *(b"%d%b" % (i, end) for i in range(1, 10**size))]
    return _words([*padded, *(text.rjust(WORD_BYTES, b"\0") for text in bare)])


@cache
def _decimal_words(least: int) -> Words:
    """For 0 <= i < 10^4 its four digits, less its zeros after the first `least`; then again with all four."""
    digits = [b"%04d" % i for i in range(_CHUNK)]
    return _words([*(text[:least] + text[least:].rstrip(b"0") for text in digits), *digits])


_WHOLE: Final = _digit_words(WORD_BYTES, b"", b"0")
_WHOLE_WITH_POINT: Final = _digit_words(WORD_BYTES - 1, b".", b"0")
_HIGHER: Final = _digit_words(WORD_BYTES, b"", b"")
_POINT, _MINUS, _TEE = _words([b"\0\0\0.", b"\0\0\0-", b"\0\0\0T"])
_LIMITS: Final = {False: (0.0, 1e4, 1e8, 1e12), True: (0.0, 1e3, 1e7, 1e11)}
"""Numbers from these on have one word of whole digits more; with a point in the last of them, or without."""
_FIRST_BYTES: Final = np.tril(np.full((_LONGEST + 1, _LONGEST), 0xFF, dtype=np.uint8), -1).view(np.uint32)


def numbers(values: Float, columns: Sequence[int], style: Style) -> list[Text]:
    """Numbers in a style.

    :param values: a column each row, none of them NaN.
    :param columns: what the rows are in the table.
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
    """As orjson writes them: numbers of any kind."""
    return _cut_out(_array(values), values, columns)


def each(write: Callable[[float], str], values: Float, columns: Sequence[int]) -> Text:
    """Numbers of any kind, one by one."""
    words = of_texts([write(value).encode() for value in values.ravel().tolist()], 0).words
    return Text(columns, words.reshape(len(words), *values.shape))


def _as_shortest(values: Float, columns: Sequence[int]) -> Text:
    """As `csv_numbers.shortest` writes them: numbers of any kind."""
    text = _array(values)
    if b"e" in text:
        return each(shortest, values, columns)
    return _cut_out(text.replace(b".0,", b",").replace(b".0]", b"]"), values, columns)


def _array(values: Float | Int) -> bytes:
    return orjson.dumps(np.ascontiguousarray(values).ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _cut_out(text: bytes, values: Float | Int, columns: Sequence[int]) -> Text:
    """:param text: the JSON array of the values, one row after the other."""
    symbols = np.frombuffer(text + bytes(_LONGEST), dtype=np.uint8)
    ends = np.flatnonzero(symbols == ord(","))
    starts = np.append(1, ends + 1)
    lengths = np.append(ends, len(text) - 1) - starts
    size = -(-int(lengths.max()) // WORD_BYTES)
    # Of each number as many bytes as the longest has, and of those what belongs to it.
    windows = np.ndarray(len(text), f"V{size * WORD_BYTES}", symbols, strides=(1,))
    texts = windows[starts].view(np.uint32).reshape(-1, size) & _FIRST_BYTES[lengths, :size]
    return Text(columns, np.moveaxis(texts.reshape(*values.shape, size), -1, 0))


def whole(values: Int, column: int) -> Text:
    """Whole numbers, without decimals."""
    row = values[np.newaxis]
    most = int(np.maximum.reduce(values.view(np.uint64)))  # those below zero are the largest here
    if most >= 1 << 63:
        return as_orjson(row, [column])
    words = np.empty((-(-len(str(most)) // WORD_BYTES), *row.shape), dtype=np.uint32)
    _write_whole(row, _WHOLE, words)
    return Text([column], words)


def times(values: Int, column: int, interval: AnyInterval) -> Text:
    """Unix seconds as `format_times` writes them."""
    days = values // SECONDS_PER_DAY
    if int(np.maximum.reduce(days.view(np.uint64))) >= _DATES:  # or before 1970
        return of_texts([text.encode() for text in format_times(values, interval)], column)
    words = _dates().take(days, axis=0)
    if interval.is_intraday:
        words[:, -1] += _TEE
        words = np.concatenate([words, _clock().take(values - days * SECONDS_PER_DAY, axis=0)], axis=1)
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
    """A row of three words for each of `_DATES` days; the last byte is NUL."""
    return _rows_of_words(np.datetime_as_string(np.arange(_DATES).astype("datetime64[D]")).astype("S12"))


@cache
def _clock() -> Words:
    """A row of two words for each second of a day."""
    seconds = np.datetime_as_string(np.arange(SECONDS_PER_DAY).astype("datetime64[s]")).astype("S19")
    symbols = seconds.view(np.uint8).reshape(-1, 19)[:, -len("00:00:00") :]
    return _rows_of_words(np.ascontiguousarray(symbols))


def _rows_of_words(texts: NDArray[np.bytes_] | NDArray[np.uint8]) -> Words:
    return texts.view(np.uint32).reshape(len(texts), -1)


def _decimals(values: Float, columns: Sequence[int], least: int, size: int) -> tuple[list[Text], list[int]]:
    """The texts of the columns that have at most `size` words of decimals, and the rows of the others."""
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
    """`units`: none is negative; `size`: how many of the words are decimals."""
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
    """`table`: of the last word, as `_digit_words` makes it."""
    chunk = len(table) // 2
    for number in range(len(words) - 1, 0, -1):
        values, digits = _split(values, chunk)
        # Padded where digits stand before them.
        _look_up(table, digits + (values == 0) * chunk, words[number])
        table, chunk = _HIGHER, _CHUNK
    _look_up(table[chunk:], values, words[0])


def _look_up(table: Words, positions: Int, words: Words) -> None:
    # No position is outside; "clip" leaves out the copy that "raise" makes for the case.
    table.take(positions, out=words, mode="clip")


def _split(values: Int, by: int) -> tuple[Int, Int]:
    """Quotients and remainders; twice as fast as `divmod`, which also minds signs."""
    quotients = values // by
    return quotients, values - quotients * by


def _as_index(rows: list[int]) -> slice | list[int]:
    """A slice, which does not copy, where they follow each other."""
    is_run = rows[-1] - rows[0] == len(rows) - 1
    return slice(rows[0], rows[-1] + 1) if is_run else rows


JSON: Final = Style(1, (1,), as_orjson)
"""As orjson writes numbers: at least one decimal, exponents where it has them."""
SHORTEST: Final = Style(0, (0, 1, 2), _as_shortest)
"""As `csv_numbers.shortest` writes them."""
