"""Answers: bars as JSON, NDJSON or CSV, conditional requests, the one shape of an error."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from http import HTTPStatus

import numpy as np
import orjson
from flask import Response, request

from stockapi.api.compression import entity_tag
from stockapi.constants import INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.bars import Bars, Float, Int
from stockapi.models.interval import AnyInterval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_times
from stockapi.services.csv_format import format_fields

JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"
CSV_TYPE = "text/csv; charset=utf-8"

BARE_FIELDS = ("time", *PRICE_FIELDS, "volume", "symbol", "mode")
BAR_FIELDS = (*BARE_FIELDS, *INDICATOR_FIELDS)
"""Everything a bar may have, in the order of every answer; CSV rows begin with the `_NAMING_FIELDS`."""
_NAMING_FIELDS = ("symbol", "mode")
_INDICATOR_BITS = 1 << np.arange(len(INDICATOR_FIELDS))
_BARS_AT_ONCE = 4_096
"""Bars that exist as Python objects at one time: some 3 MB, where a million would take a gigabyte."""


@dataclass(frozen=True, slots=True)
class Series:
    """The bars of a ticker, ascending, and the key they stand under in an object."""

    key: str
    symbol: str
    mode: Mode
    bars: Bars

    @property
    def names(self) -> dict[str, str]:
        """The fields that are the same in all bars."""
        return {"symbol": self.symbol, "mode": self.mode.value}


def json_body(series: Iterable[Series], interval: AnyInterval, fields: Sequence[str]) -> list[bytes]:
    """An object of arrays of bars, in the order given; in pieces, to be sent in order.

    `fields`, here and below: some of BAR_FIELDS, in its order.
    """
    return _object(
        (each.key, [b"[", *_separated([text] for text in _json_rows(each, interval, fields)), b"]"]) for each in series
    )


def json_columns_body(series: Iterable[Series], interval: AnyInterval, fields: Sequence[str]) -> list[bytes]:
    """An object of objects of one array per field, null where absent, and the market as one text, first; in pieces."""
    return _object((each.key, _object(_columns(each, interval, fields))) for each in series)


def ndjson_body(series: Iterable[Series], interval: AnyInterval, fields: Sequence[str]) -> list[bytes]:
    """One object per bar and line, with the keys of `json_body`; in pieces, to be sent in order."""
    # No text of a row has a brace in it: they are times, markets and symbols.
    return [text.replace(b"},{", b"}\n{") + b"\n" for each in series for text in _json_rows(each, interval, fields)]


def csv_body(series: Iterable[Series], interval: AnyInterval, fields: Sequence[str]) -> list[bytes]:
    """The header and the bars, in the order given; in pieces, to be sent in order."""
    first = [name for name in _NAMING_FIELDS if name in fields]
    values = [name for name in fields if name not in _NAMING_FIELDS]
    chosen = frozenset(values)
    rows = (
        format_fields([each.names[name] for name in first], chosen, part, interval, each.mode).encode()
        for each in series
        for part in _parts(each.bars)
    )
    return [f"{','.join([*first, *values])}\n".encode(), *rows]


def _object(members: Iterable[tuple[str, list[bytes]]]) -> list[bytes]:
    return [b"{", *_separated([orjson.dumps(key), b":", *value] for key, value in members), b"}"]


def _separated(groups: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The pieces of all groups, a comma between two groups."""
    for number, group in enumerate(groups):
        if number:
            yield b","
        yield from group


def _parts(bars: Bars) -> Iterator[Bars]:
    return (bars.take(slice(start, start + _BARS_AT_ONCE)) for start in range(0, len(bars), _BARS_AT_ONCE))


def _json_rows(series: Series, interval: AnyInterval, fields: Sequence[str]) -> Iterator[bytes]:
    """Bars as objects with commas between, a part at a time."""
    return (orjson.dumps(_rows(series, part, interval, fields))[1:-1] for part in _parts(series.bars))


def _rows(series: Series, bars: Bars, interval: AnyInterval, fields: Sequence[str]) -> list[dict[str, object]]:
    """One dict per bar, without its absent indicators. 2.2 us per bar, orjson included."""
    patterns = _INDICATOR_BITS @ np.isnan(bars.indicators)
    different = set(patterns.tolist())
    if len(different) == 1:
        return _rows_without(different.pop(), series, bars, interval, fields)
    rows: list[dict[str, object]] = [{}] * len(bars)
    # Few sets of absent indicators occur in one series: build the rows of each set in one go.
    for pattern in different:
        where = np.flatnonzero(patterns == pattern)
        alike = _rows_without(pattern, series, bars.take(where), interval, fields)
        for position, row in zip(where.tolist(), alike, strict=True):
            rows[position] = row
    return rows


def _rows_without(
    pattern: int, series: Series, bars: Bars, interval: AnyInterval, fields: Sequence[str]
) -> list[dict[str, object]]:
    """`pattern` has bit i set where indicator i is absent from all of these bars."""
    absent = {name for bit, name in enumerate(INDICATOR_FIELDS) if pattern >> bit & 1} if pattern else ()
    keys = [name for name in fields if name not in absent]
    if not keys:
        return [{}] * len(bars)
    columns = [_values(name, series, bars, interval) for name in keys]
    return [dict(zip(keys, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(name: str, series: Series, bars: Bars, interval: AnyInterval) -> Sequence[object]:
    """One field of some bars of a series."""
    if name in _NAMING_FIELDS:
        return [series.names[name]] * len(bars)
    return format_times(bars.time, interval) if name == "time" else _numbers(name, bars).tolist()


def _numbers(name: str, bars: Bars) -> Int | Float:
    if name == "volume":
        return bars.volume
    return bars.prices[PRICE_FIELDS.index(name)] if name in PRICE_FIELDS else bars.indicator(name)


def _columns(series: Series, interval: AnyInterval, fields: Sequence[str]) -> Iterator[tuple[str, list[bytes]]]:
    if "mode" in fields:
        yield "mode", [orjson.dumps(series.mode.value)]
    for name in fields:
        if name == "time":
            yield name, [b"[", *_separated(_json_times(series.bars, interval)), b"]"]
        elif name not in _NAMING_FIELDS:
            # Straight from the array; orjson writes NaN as null.
            numbers = np.ascontiguousarray(_numbers(name, series.bars))
            yield name, [orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)]


def _json_times(bars: Bars, interval: AnyInterval) -> Iterator[list[bytes]]:
    return ([orjson.dumps(format_times(part.time, interval))[1:-1]] for part in _parts(bars))


def conditional(body: list[bytes], content_type: str, max_age_s: int) -> Response:
    """The body with its validator, or 304 without one when the client has it already."""
    size = sum(map(len, body))
    digest = blake2b(digest_size=16)
    for piece in body:
        digest.update(piece)
    tag = digest.hexdigest()
    selected = entity_tag(tag, size)
    if request.if_none_match.contains_weak(selected):
        response = Response(status=HTTPStatus.NOT_MODIFIED)
        response.set_etag(selected)
    else:
        response = Response(body, content_type=content_type)
        response.content_length = size
        response.set_etag(tag)
    response.cache_control.max_age = max_age_s
    return response


def uncached_json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A JSON answer that is only true of this moment."""
    response = Response(orjson.dumps(value), status, content_type=JSON_TYPE)
    response.cache_control.no_store = True
    return response


def error(status: HTTPStatus, text: str) -> Response:
    """The shape of every error."""
    return uncached_json({"error": text}, status)
