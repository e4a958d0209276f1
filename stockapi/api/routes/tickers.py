"""GET /tickers: bars as JSON, NDJSON or CSV."""

import logging
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from flask import Blueprint, Response, request

from stockapi.api.http import overload, responses
from stockapi.api.http.responses import Series
from stockapi.api.queries.schemas import Format, Shape, TickersQuery, parse_tickers_query
from stockapi.context import services
from stockapi.logs import key_values
from stockapi.models.mode import Mode
from stockapi.services.data_store import DataSource, QueryResult

blueprint = Blueprint("tickers", __name__)
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Answer:
    """A rendered body, in pieces, and what the log tells of it."""

    body: list[bytes]
    content_type: str
    source: DataSource
    tickers: int
    rows: int
    timings_ms: Mapping[str, float]


@blueprint.get("/tickers")
def tickers() -> Response:
    """Each symbol's bars; the parameters stand in `schemas`."""
    started = time.perf_counter()
    query = parse_tickers_query(request.args)
    every = [replace(query.parameters, mode=mode) for mode in Mode] if query.is_every_market else [query.parameters]
    overload.admit(*every)
    answer = _ready(query) or _rendered(query)
    response = responses.conditional(answer.body, answer.content_type, services().cache_max_age_s())
    response.headers["X-Data-Source"] = answer.source.value
    if query.format is Format.CSV:
        filename = f"tickers_{query.parameters.interval.value}.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    _log_performance(query, answer, response, started)
    return response


def _ready(query: TickersQuery) -> _Answer | None:
    """The answer that SQLite holds as text, if it does."""
    result = services().data_store.get_recent_json(query.parameters) if query.is_default_json else None
    if result is None:
        return None
    body = responses.json_text_body(result.texts)
    return _Answer(body, responses.JSON_TYPE, DataSource.SQLITE, len(result.texts), result.rows, result.timings_ms)


def _rendered(query: TickersQuery) -> _Answer:
    """The answer made of bars."""
    store = services().data_store
    if query.is_every_market:
        results = store.get_data_of_every_market(query.parameters)
    else:
        results = {query.parameters.mode: store.get_data_smart_sqlite(query.parameters)}
    series = _series(results)
    body, content_type = _render(query, series)
    timings_ms = Counter[str]()
    for result in results.values():
        timings_ms.update(result.timings_ms)
    source = DataSource.of_all(result.source for result in results.values())
    return _Answer(body, content_type, source, len(series), sum(len(each.bars) for each in series), timings_ms)


def _series(results: dict[Mode, QueryResult]) -> list[Series]:
    """By key: the symbol, or `<market>:<symbol>` for one that more than one market has bars of."""
    markets = Counter(symbol for result in results.values() for symbol in result.bars)
    series = [
        Series(symbol if markets[symbol] == 1 else f"{mode.value}:{symbol}", symbol, mode, bars)
        for mode, result in results.items()
        for symbol, bars in result.bars.items()
    ]
    return sorted(series, key=lambda each: each.key)


def _render(query: TickersQuery, series: list[Series]) -> tuple[list[bytes], str]:
    interval, fields = query.parameters.interval, query.fields
    # In lines, unlike in an object, a symbol of both markets stands where its name belongs.
    by_symbol = sorted(series, key=lambda each: each.symbol)
    match query.format, query.shape:
        case Format.CSV, _:
            return responses.csv_body(by_symbol, interval, fields), responses.CSV_TYPE
        case Format.NDJSON, _:
            return responses.ndjson_body(by_symbol, interval, fields), responses.NDJSON_TYPE
        case _, Shape.COLUMNS:
            return responses.json_columns_body(series, interval, fields), responses.JSON_TYPE
        case _:
            return responses.json_body(series, interval, fields), responses.JSON_TYPE


def _log_performance(query: TickersQuery, answer: _Answer, response: Response, started: float) -> None:
    """One line per answer. `bytes`: the body before compression; `ms`: from parsing to here, `<store>_ms` its part."""
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
