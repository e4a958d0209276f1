"""Answers: bars as JSON, NDJSON, CSV or Arrow, conditional requests, the one shape of an error."""

from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from itertools import chain, groupby
from typing import Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import orjson
from flask import Response, request
from werkzeug.datastructures import MultiDict
from werkzeug.http import quote_etag
from xxhash import xxh3_128

from stockapi.api.http.compression import entity_tag
from stockapi.api.http.path_prefix import path_prefix
from stockapi.context import services
from stockapi.formats import csv_answers
from stockapi.formats.arrow_answers import arrow_stream, kinds_of
from stockapi.formats.csv_tables import Table, csv_table
from stockapi.formats.json_fast_writer import json_rows
from stockapi.formats.json_format import NAMING_FIELDS, json_numbers, json_times
from stockapi.models.bars import Bars
from stockapi.models.mode import Mode
from stockapi.models.timestamps import TimeStyle
from stockapi.services.data_store import DataSource, PrerenderedText

JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"
CSV_TYPE = "text/csv; charset=utf-8"
ARROW_TYPE = "application/vnd.apache.arrow.stream"
UDF_PREFIX: Final = "/udf/"
MCP_PATH: Final = "/mcp"
RPC_INVALID_REQUEST: Final = -32600
RPC_INTERNAL_ERROR: Final = -32603
"""Codes of JSON-RPC."""

_WORTH_SENDING_BYTES: Final = 16_384
"""Each piece of a body is sent separately. Sending a piece takes as long as copying this number of bytes."""
_SENT_AT_ONCE_BYTES: Final = 262_144
"""Up to this size a body is sent as one piece. A year of one ticker (98 KB) went out in three, which took 5 % more
processor time.
A copy of a larger body would cost more memory than it saves time.
"""


_Rows_co = TypeVar("_Rows_co", bound=Bars | PrerenderedText, covariant=True)


class KeyedBars(NamedTuple, Generic[_Rows_co]):
    """The bars of a ticker, ascending, and their key in a JSON object."""

    key: str
    symbol: str
    mode: Mode
    bars: _Rows_co

    @property
    def names(self) -> dict[str, str]:
        """The fields that are the same in all bars."""
        return {"symbol": self.symbol, "mode": self.mode.value}


# A body is yielded in pieces, in their order. Each piece is made when it is needed.


Rows = Sequence[KeyedBars[Bars | PrerenderedText]]


def json_body(series: Rows, times: TimeStyle, fields: Sequence[str]) -> Iterator[bytes]:
    """An object of arrays of bars, in the order given.

    `fields`, here and below: some of `json_format.BAR_FIELDS`, in its order, and of the further indicators of the bars;
    what is text already has the default ones.
    """
    before = b"{"
    for each in series:  # few pieces, because for one bar of each ticker they are most of the work
        yield before + orjson.dumps(each.key) + b":["
        yield from _separated((text,) for text in _json_rows(each, times, fields))
        before = b"],"
    yield b"{}" if before == b"{" else b"]}"


def json_columns_body(series: Iterable[KeyedBars[Bars]], times: TimeStyle, fields: Sequence[str]) -> Iterator[bytes]:
    """An object of objects: an array for each field, with null where absent; before them the market as a text."""
    return _object((each.key, _object(_columns(each, times, fields))) for each in series)


def ndjson_body(series: Rows, times: TimeStyle, fields: Sequence[str]) -> Iterator[bytes]:
    """One line for each bar: an object with the fields of `json_body`."""
    # The texts in a row are times, markets and symbols; none of them contains a brace.
    return (text.replace(b"},{", b"}\n{") + b"\n" for each in series for text in _json_rows(each, times, fields))


def csv_body(series: Rows, times: TimeStyle, fields: Sequence[str]) -> Iterator[bytes]:
    """The header line, and the bars of the series in their order."""
    columns = csv_answers.columns(fields)
    yield f"{','.join(columns)}\n".encode()
    # In one answer either all series are pre-rendered, or none is.
    yield from (each.bars.text for each in series if isinstance(each.bars, PrerenderedText))
    bars = ((each.names, each.bars) for each in series if isinstance(each.bars, Bars))
    yield from csv_answers.csv_rows(bars, times, columns)


def arrow_body(series: Iterable[KeyedBars[Bars]], fields: Sequence[str], *, has_whole_volume: bool) -> Iterator[bytes]:
    """A stream of Arrow with the columns of `csv_body`, and a record batch for each series."""
    kinds = kinds_of(has_whole_volume=has_whole_volume)
    return arrow_stream([(each.names, each.bars) for each in series], csv_answers.columns(fields), kinds)


def _json_rows(series: KeyedBars[Bars | PrerenderedText], times: TimeStyle, fields: Sequence[str]) -> Iterable[bytes]:
    if isinstance(series.bars, PrerenderedText):
        return (series.bars.text,)
    return json_rows(series.names, series.bars, times, fields)


def _object(members: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    yield b"{"
    yield from _separated(chain((orjson.dumps(key), b":"), value) for key, value in members)
    yield b"}"


def _array(texts: Iterable[bytes]) -> Iterator[bytes]:
    """A JSON array. `texts`: items with commas between them."""
    yield b"["
    yield from _separated((text,) for text in texts)
    yield b"]"


def _separated(groups: Iterable[Iterable[bytes]]) -> Iterator[bytes]:
    """The pieces of all groups, with a comma between two groups."""
    for number, group in enumerate(groups):
        if number:
            yield b","
        yield from group


def _columns(series: KeyedBars[Bars], times: TimeStyle, fields: Sequence[str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    if "mode" in fields:
        yield "mode", [orjson.dumps(series.mode.value)]
    for name in fields:
        if name == "time":
            yield name, _array(json_times(series.bars, times))
        elif name not in NAMING_FIELDS:
            yield name, [json_numbers(name, series.bars)]


def of_bars(body: list[bytes], content_type: str, source: DataSource) -> Response:
    """As `conditional`, for an answer from stored bars: with the time it may be kept, and the store that answered."""
    response = conditional(body, content_type, services().cache_max_age_s())
    response.headers["X-Data-Source"] = source.value
    return response


def of_table(table: Table, name: str, source: DataSource) -> Response:
    """As `of_bars`, for a table in CSV. `name`: the name of a file to save it in, without its suffix."""
    response = of_bars([csv_table(table)], CSV_TYPE, source)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def with_names(response: Response, renamed: Iterable[tuple[str, str]]) -> Response:
    """The response; where old names were asked for, a header says which ones they are now: `MATIC=POL`."""
    texts = [f"{old}={new}" for old, new in renamed]
    if texts:
        response.headers["X-Renamed"] = ", ".join(texts)
    return response


def next_link(arguments: MultiDict[str, str], cursor: str) -> str:
    """The value of the header Link for the next page: this request, as a path of this server, with that cursor.

    Behind a proxy the server knows neither the scheme nor the name by which it was asked, but the path.
    """
    others = [(name, text) for name, text in arguments.items(multi=True) if name != "cursor"]
    return f'<{path_prefix()}{quote(request.path)}?{urlencode([*others, ("cursor", cursor)])}>; rel="next"'


def conditional(body: list[bytes], content_type: str, max_age_s: int) -> Response:
    """The body with its ETag; 304 without a body when the client has it already."""
    size = sum(map(len, body))
    body = [b"".join(body)] if size <= _SENT_AT_ONCE_BYTES else _worth_sending(body)
    # 2 us for 100 KB; blake2b takes 107 us. It need not be secure: nobody makes different answers with equal hashes.
    digest = xxh3_128()
    for piece in body:
        digest.update(piece)
    tag = digest.hexdigest()
    selected = entity_tag(tag, size)
    # Headers as texts: werkzeug needs 3 to 5 us for each header that it writes from a value.
    headers = {"Cache-Control": f"max-age={max_age_s}"}
    if request.if_none_match.contains_weak(selected):
        return Response(status=HTTPStatus.NOT_MODIFIED, headers={**headers, "ETag": quote_etag(selected)})
    headers |= {"ETag": quote_etag(tag), "Content-Length": str(size)}
    return Response(body, headers=headers, content_type=content_type)


def _worth_sending(pieces: Iterable[bytes]) -> list[bytes]:
    """The same bytes, with small neighbouring pieces joined."""
    groups = groupby(pieces, lambda piece: len(piece) >= _WORTH_SENDING_BYTES)
    return [piece for is_large, group in groups for piece in (group if is_large else [b"".join(group)])]


def uncached_json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """A JSON answer that must not be stored, because it is true only now."""
    response = Response(orjson.dumps(value), status, content_type=JSON_TYPE)
    response.cache_control.no_store = True
    return response


def error(status: HTTPStatus, text: str) -> Response:
    """An error. All errors have this form, but for those of the two protocols that have their own."""
    if request.path.startswith(UDF_PREFIX):
        return uncached_json({"s": "error", "errmsg": text}, status)
    if request.path.rstrip("/") == MCP_PATH:
        code = RPC_INTERNAL_ERROR if status is HTTPStatus.INTERNAL_SERVER_ERROR else RPC_INVALID_REQUEST
        return uncached_json({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}, status)
    return uncached_json({"error": text}, status)
