"""GET /tickers: bars as JSON, NDJSON, CSV or Arrow."""

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self, TypeVar

from flask import Blueprint, Response, request
from werkzeug.datastructures import MultiDict

from stockapi.api.http import admission, limits, responses
from stockapi.api.http.responses import KeyedBars
from stockapi.api.queries.continuing import sealed_mark
from stockapi.api.queries.schemas import Format, Shape, TickersQuery, parse_tickers_query
from stockapi.context import services
from stockapi.logs import key_values
from stockapi.models.bars import Bars
from stockapi.models.changes import Mark
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.models.pages import Place
from stockapi.services.data_store import DataSource, PrerenderedText, QueryResult
from stockapi.services.data_store.changes import Changes

blueprint = Blueprint("tickers", __name__)
logger = logging.getLogger(__name__)

_SUFFIXES: Final = {Format.CSV: "csv", Format.ARROW: "arrows"}
"""The suffixes of files, for the formats that people save in files."""

_Rows = TypeVar("_Rows", bound=Bars | PrerenderedText)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A rendered body, in pieces, and what the log tells of it."""

    body: list[bytes]
    content_type: str
    source: DataSource
    tickers: int
    rows: int
    timings_ms: Mapping[str, float]
    renamed: list[tuple[str, str]]
    last: Place | None = None
    """The bar after which the next page begins; None when there is none."""
    changes: Changes | None = None
    """What else an answer of changes tells."""

    @classmethod
    def of(
        cls,
        results: Collection[QueryResult[Bars | PrerenderedText]],
        pieces: Iterable[bytes],
        content_type: str,
        left: Limits,
    ) -> Self:
        """:param results: of each market."""
        timings_ms: dict[str, float] = {}
        for result in results:
            for store, spent_ms in result.timings_ms.items():
                timings_ms[store] = timings_ms.get(store, 0.0) + spent_ms
        return cls(
            body=[*left.within(pieces, "rendering")],
            content_type=content_type,
            source=DataSource.of_all(result.source for result in results),
            tickers=sum(len(result.bars) for result in results),
            rows=left.row_budget.spent,
            timings_ms=timings_ms,
            renamed=[pair for result in results for pair in sorted(result.renamed.items())],
        )


@blueprint.get("/tickers")
def tickers() -> Response:
    """Each symbol's bars; the parameters stand in `schemas`."""
    started = time.perf_counter()
    arguments, now = _arguments(), int(services().clock().timestamp())
    query = parse_tickers_query(arguments, services().settings.markets)
    answer = _answer(query.until(now), limits.current())
    response = responses.of_bars(answer.body, answer.content_type, answer.source)
    if query.format in _SUFFIXES:
        filename = f"tickers_{query.parameters.interval.value}.{_SUFFIXES[query.format]}"
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    if not request.args.get("format"):
        response.headers["Vary"] = "Accept"
    responses.with_names(response, answer.renamed)
    until = _tell_changes(response, answer.changes, query) if answer.changes else None
    if answer.last is not None:
        response.headers["Link"] = responses.next_link(arguments, query.cursor(now, answer.last, until))
    _log_performance(query, answer, response, started)
    return response


def _arguments() -> MultiDict[str, str]:
    """Those of the request. Without `format`, the header Accept may ask for Arrow: the only format of bars that some
    libraries name there by themselves.
    """
    if request.args.get("format") or responses.ARROW_TYPE not in request.headers.get("Accept", "").lower():
        return request.args
    # For equal wishes, as in */*, the first one is taken.
    if request.accept_mimetypes.best_match([responses.JSON_TYPE, responses.ARROW_TYPE]) != responses.ARROW_TYPE:
        return request.args
    arguments = MultiDict(request.args)
    arguments["format"] = Format.ARROW.value
    return arguments


def _tell_changes(response: Response, changes: Changes, query: TickersQuery) -> Mark:
    """Headers, since a CSV has no other place. They may differ where bodies are equal, so no cache may keep them."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Updated-Until"] = sealed_mark(changes.until, query.parameters.mode)
    for name, symbols in (("X-Replaced", changes.replaced), ("X-Behind", changes.behind)):
        if symbols:
            response.headers[name] = ", ".join(symbols)
    return changes.until


def _answer(query: TickersQuery, left: Limits) -> _Answer:
    store = services().data_store
    if query.changes is not None:
        changes = services().changes.read(query.parameters, query.changes, left)
        answer = _of_bars(query, {query.parameters.mode: changes.result}, left)
        return replace(answer, last=changes.last, changes=changes)
    if query.page is not None:
        request = query.page.request
        asked = replace(request, size=min(request.size, left.row_budget.limit))
        page = services().pager.read(query.parameters, asked, left)
        return replace(_of_bars(query, {query.parameters.mode: page.result}, left), last=page.last)
    admission.admit(*query.of_each_market)
    if query.text_form is not None:
        result = store.get_text_or_bars(query.text_form, query.parameters, left)
        pieces, content_type = _rows(query, _series({query.parameters.mode: result}))
        return _Answer.of([result], pieces, content_type, left)
    return _of_bars(query, {each.mode: store.get_data_smart_sqlite(each, left) for each in query.of_each_market}, left)


def _of_bars(query: TickersQuery, results: Mapping[Mode, QueryResult[Bars]], left: Limits) -> _Answer:
    series = _series(results)
    if query.format is Format.ARROW:
        pieces = responses.arrow_body(_in_lines(series), query.fields, has_whole_volume=query.has_whole_volume)
        return _Answer.of(results.values(), pieces, responses.ARROW_TYPE, left)
    if query.shape is Shape.COLUMNS:
        pieces = responses.json_columns_body(series, query.times, query.fields)
        return _Answer.of(results.values(), pieces, responses.JSON_TYPE, left)
    pieces, content_type = _rows(query, series)
    return _Answer.of(results.values(), pieces, content_type, left)


def _series(results: Mapping[Mode, QueryResult[_Rows]]) -> list[KeyedBars[_Rows]]:
    """By key: the symbol, or `<market>:<symbol>` for one that more than one market has bars of."""
    markets = Counter(symbol for result in results.values() for symbol in result.bars) if len(results) > 1 else {}
    series = [
        KeyedBars(f"{mode.value}:{symbol}" if markets.get(symbol, 1) > 1 else symbol, symbol, mode, bars)
        for mode, result in results.items()
        for symbol, bars in result.bars.items()
    ]
    return sorted(series, key=lambda each: each.key)


def _in_lines(series: Sequence[KeyedBars[_Rows]]) -> list[KeyedBars[_Rows]]:
    """By symbol: in lines, unlike in an object, a symbol of both markets stands where its name belongs."""
    return sorted(series, key=lambda each: each.symbol)


def _rows(query: TickersQuery, series: list[KeyedBars[_Rows]]) -> tuple[Iterator[bytes], str]:
    times, fields = query.times, query.fields
    match query.format:
        case Format.CSV:
            return responses.csv_body(_in_lines(series), times, fields), responses.CSV_TYPE
        case Format.NDJSON:
            return responses.ndjson_body(_in_lines(series), times, fields), responses.NDJSON_TYPE
        case _:
            return responses.json_body(series, times, fields), responses.JSON_TYPE


def _log_performance(query: TickersQuery, answer: _Answer, response: Response, started: float) -> None:
    """One line per answer. `bytes`: the body before compression; `ms`: from parsing to here, `<store>_ms` its part."""
    if not logger.isEnabledFor(logging.INFO):
        return
    fields: dict[str, object] = {
        "endpoint": request.path,
        "status": response.status_code,
        "mode": "all" if query.is_every_market else query.parameters.mode.value,
        "interval": query.parameters.interval.value,
        "tickers": answer.tickers,
        "rows": answer.rows,
        "bytes": sum(map(len, answer.body)),
        "source": answer.source.value,
        "ms": (time.perf_counter() - started) * 1000,
    }
    fields |= {f"{store}_ms": spent_ms for store, spent_ms in answer.timings_ms.items()}
    logger.info(key_values(**fields))
