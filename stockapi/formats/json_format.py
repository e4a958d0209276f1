"""Bars as JSON objects. This module defines the form of a bar in an answer."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import orjson

from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.timestamps import TimeStyle, written_times

BARE_FIELDS = ("time", *PRICE_FIELDS, "volume", "symbol", "mode")
BAR_FIELDS = (*BARE_FIELDS, *INDICATOR_FIELDS)
"""All stored fields of a bar, in the order of every answer. Requested indicators come after them."""
NAMING_FIELDS = ("symbol", "mode")
"""The fields that are the same in all bars of a series."""
DEFAULT_FIELDS = tuple(name for name in BAR_FIELDS if name != "mode")
"""The fields of a bar in the answer to a query of one market without `fields`."""

_BITS = 1 << np.arange(63)
BARS_AT_ONCE = 4_096
"""The number of bars that are Python objects at one time: about 3 MB. A million bars would take a gigabyte."""


def parts(bars: Bars) -> Iterator[Bars]:
    """The bars in parts of at most `BARS_AT_ONCE`."""
    return (bars.take(slice(start, start + BARS_AT_ONCE)) for start in range(0, len(bars), BARS_AT_ONCE))


def json_rows(names: Mapping[str, str], bars: Bars, times: TimeStyle, fields: Sequence[str]) -> Iterator[bytes]:
    """Yield bars as JSON objects with commas between them, without absent indicators, one part at a time.

    :param names: the values of NAMING_FIELDS.
    :param times: how the field `time` is written.
    :param fields: some of BAR_FIELDS, in its order, and of the further indicators of the bars.
    """
    return (orjson.dumps(_rows(names, part, times, fields))[1:-1] for part in parts(bars))


def json_objects(names: Mapping[str, str], bars: Bars, times: TimeStyle, fields: Sequence[str]) -> list[str]:
    """As `json_rows`, one text for each bar."""
    return [orjson.dumps(row).decode() for row in _rows(names, bars, times, fields)]


def json_numbers(name: str, bars: Bars) -> bytes:
    """One field of all bars as a JSON array, with null where the value is absent."""
    # orjson reads the array directly, and writes NaN as null.
    return orjson.dumps(np.ascontiguousarray(bars.column(name)), option=orjson.OPT_SERIALIZE_NUMPY)


def json_times(bars: Bars, times: TimeStyle) -> Iterator[bytes]:
    """Yield the times as JSON strings or numbers with commas between them, one part at a time."""
    return (orjson.dumps(written_times(part.time, times))[1:-1] for part in parts(bars))


def _rows(names: Mapping[str, str], bars: Bars, times: TimeStyle, fields: Sequence[str]) -> list[dict[str, object]]:
    """One dict for each bar, without its absent indicators. With orjson it takes 2.2 microseconds a bar."""
    patterns = _BITS[: len(bars.names)] @ np.isnan(bars.indicators)
    different = set(patterns.tolist())
    if len(different) == 1:
        return _rows_without(different.pop(), names, bars, times, fields)
    rows: list[dict[str, object]] = [{}] * len(bars)
    # One series has few different sets of absent indicators, so the rows of each set are built together.
    for pattern in different:
        where = np.flatnonzero(patterns == pattern)
        alike = _rows_without(pattern, names, bars.take(where), times, fields)
        for position, row in zip(where.tolist(), alike, strict=True):
            rows[position] = row
    return rows


def _rows_without(
    pattern: int, names: Mapping[str, str], bars: Bars, times: TimeStyle, fields: Sequence[str]
) -> list[dict[str, object]]:
    """The rows of bars with the same absent indicators: indicator i is absent if bit i of `pattern` is set."""
    absent = {name for bit, name in enumerate(bars.names) if pattern >> bit & 1} if pattern else ()
    keys = [name for name in fields if name not in absent]
    if not keys:
        return [{}] * len(bars)
    columns = [_values(name, names, bars, times) for name in keys]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(name: str, names: Mapping[str, str], bars: Bars, times: TimeStyle) -> Sequence[object]:
    """One field of these bars of a series."""
    if name in NAMING_FIELDS:
        return [names[name]] * len(bars)
    return written_times(bars.time, times) if name == "time" else bars.column(name).tolist()
