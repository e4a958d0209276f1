"""Answers: bars as JSON, NDJSON or CSV, conditional requests, the one shape of an error."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import chain, groupby
from typing import Final, Generic, NamedTuple, TypeVar

import orjson
from flask import Response, request
from werkzeug.http import quote_etag
from xxhash import xxh3_128

from stockapi.api.http.compression import entity_tag
from stockapi.context import services
from stockapi.formats import csv_answers
from stockapi.formats.json_fast_writer import json_rows
from stockapi.formats.json_format import NAMING_FIELDS, json_numbers, json_times
from stockapi.models.bars import Bars
from stockapi.models.interval import AnyInterval
from stockapi.models.mode import Mode
from stockapi.services.data_store import DataSource, RecentText

JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"
CSV_TYPE = "text/csv; charset=utf-8"

_WORTH_SENDING_BYTES: Final = 16_384
"""Each piece of a body is sent by itself, which takes as long as to copy so much."""


_Rows_co = TypeVar("_Rows_co", bound=Bars | RecentText, covariant=True)


class Series(NamedTuple, Generic[_Rows_co]):
    """The bars of a ticker, ascending, and the key they stand under in an object."""

    key: str
    symbol: str
    mode: Mode
    bars: _Rows_co

    @property
    def names(self) -> dict[str, str]:
        """The fields that are the same in all bars."""
        return {"symbol": self.symbol, "mode": self.mode.value}


# Each body comes in pieces, to be sent in order, and each piece is made when it is asked for.


Rows = Sequence[Series[Bars | RecentText]]


def json_body(series: Rows, interval: AnyInterval, fields: Sequence[str]) -> Iterator[bytes]:
    """An object of arrays of bars, in the order given.

    `fields`, here and below: some of `json_format.BAR_FIELDS`, in its order; what is text already has the default ones.
    """
    before = b"{"
    for each in series:  # in few pieces: of all tickers, a bar each, they are the larger part of the work
        yield before + orjson.dumps(each.key) + b":["
        yield from _separated((text,) for text in _json_rows(each, interval, fields))
        before = b"],"
    yield b"{}" if before == b"{" else b"]}"


def json_columns_body(series: Iterable[Series[Bars]], interval: AnyInterval, fields: Sequence[str]) -> Iterator[bytes]:
    """An object of objects of one array per field, null where absent, and the market as one text, first."""
    return _object((each.key, _object(_columns(each, interval, fields))) for each in series)


def ndjson_body(series: Rows, interval: AnyInterval, fields: Sequence[str]) -> Iterator[bytes]:
    """One object per bar and line, with the keys of `json_body`."""
    # No text of a row has a brace in it: they are times, markets and symbols.
    return (text.replace(b"},{", b"}\n{") + b"\n" for each in series for text in _json_rows(each, interval, fields))


def csv_body(series: Rows, interval: AnyInterval, fields: Sequence[str]) -> Iterator[bytes]:
    """The header and the bars, in the order given."""
    columns = csv_answers.columns(fields)
    yield f"{','.join(columns)}\n".encode()
    # Of one answer all series are text, or none is.
    yield from (each.bars.text for each in series if isinstance(each.bars, RecentText))
    bars = ((each.names, each.bars) for each in series if isinstance(each.bars, Bars))
    yield from csv_answers.csv_rows(bars, interval, columns)


def _json_rows(series: Series[Bars | RecentText], interval: AnyInterval, fields: Sequence[str]) -> Iterable[bytes]:
    if isinstance(series.bars, RecentText):
        return (series.bars.text,)
    return json_rows(series.names, series.bars, interval, fields)


def _object(members: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    yield b"{"
    yield from _separated(chain((orjson.dumps(key), b":"), value) for key, value in members)
    yield b"}"


def _array(texts: Iterable[bytes]) -> Iterator[bytes]:
    """Of texts that are items with commas between."""
    yield b"["
    yield from _separated((text,) for text in texts)
    yield b"]"


def _separated(groups: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The pieces of all groups, a comma between two groups."""
    for number, group in enumerate(groups):
        if number:
            yield b","
        yield from group


def _columns(
    series: Series[Bars], interval: AnyInterval, fields: Sequence[str]
) -> Iterator[tuple[str, Iterable[bytes]]]:
    if "mode" in fields:
        yield "mode", [orjson.dumps(series.mode.value)]
    for name in fields:
        if name == "time":
            yield name, _array(json_times(series.bars, interval))
        elif name not in NAMING_FIELDS:
            yield name, [json_numbers(name, series.bars)]


def of_bars(body: list[bytes], content_type: str, source: DataSource) -> Response:
    """As `conditional`, for what is made of stored bars: they say how long it may be kept, and which store has them."""
    response = conditional(body, content_type, services().cache_max_age_s())
    response.headers["X-Data-Source"] = source.value
    return response


def conditional(body: list[bytes], content_type: str, max_age_s: int) -> Response:
    """The body with its validator, or 304 without one when the client has it already."""
    body = _worth_sending(body)
    size = sum(map(len, body))
    # Of 100 KB in 2 us, where blake2b takes 107. No secret: it tells answers apart that nobody made to look alike.
    digest = xxh3_128()
    for piece in body:
        digest.update(piece)
    tag = digest.hexdigest()
    selected = entity_tag(tag, size)
    # Headers as they are sent: each that werkzeug writes from a value of its own costs 3 to 5 us.
    headers = {"Cache-Control": f"max-age={max_age_s}"}
    if request.if_none_match.contains_weak(selected):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers={**headers, "ETag": quote_etag(selected)})
    headers |= {"ETag": quote_etag(tag), "Content-Length": str(size)}
    return Response(body, headers=headers, content_type=content_type)


def _worth_sending(pieces: Iterable[bytes]) -> list[bytes]:
    """The same bytes, neighbours that are small put together."""
    groups = groupby(pieces, lambda piece: len(piece) >= _WORTH_SENDING_BYTES)
    return [piece for is_large, group in groups for piece in (group if is_large else [b"".join(group)])]


def uncached_json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A JSON answer that is only true of this moment."""
    response = Response(orjson.dumps(value), status, content_type=JSON_TYPE)
    response.cache_control.no_store = True
    return response


def error(status: HTTPStatus, text: str) -> Response:
    """The shape of every error."""
    return uncached_json({"error": text}, status)
