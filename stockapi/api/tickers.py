"""GET /tickers: bars as JSON or CSV."""

import logging
import time

from flask import Blueprint, Response, request

from stockapi.api import responses
from stockapi.api.context import services
from stockapi.api.schemas import Format, TickersQuery, parse_tickers_query
from stockapi.logs import key_values
from stockapi.services.data_store import QueryResult
from stockapi.services.trading_hours import cache_max_age_s

blueprint = Blueprint("tickers", __name__)
logger = logging.getLogger(__name__)


@blueprint.get("/tickers")
def tickers() -> Response:
    """Each symbol's bars; the parameters stand in `schemas`."""
    started = time.perf_counter()
    query = parse_tickers_query(request.args)
    result = services().data_store.get_data_smart_sqlite(query.parameters)
    body, content_type = _render(query, result)
    response = responses.conditional(body, content_type, cache_max_age_s(services().clock()))
    response.headers["X-Data-Source"] = result.source.value
    if query.format is Format.CSV:
        filename = f"tickers_{query.parameters.interval.value}.csv"
        response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    _log_performance(query, result, body, response, started)
    return response


def _render(query: TickersQuery, result: QueryResult) -> tuple[list[bytes], str]:
    interval, mode = query.parameters.interval, query.parameters.mode
    if query.format is Format.CSV:
        return responses.csv_body(result.bars, interval, mode), responses.CSV_TYPE
    return responses.json_body(result.bars, interval), responses.JSON_TYPE


def _log_performance(
    query: TickersQuery, result: QueryResult, body: list[bytes], response: Response, started: float
) -> None:
    """One line per answer. `bytes`: the body before compression; `ms`: from parsing to here, `<store>_ms` its part."""
    fields: dict[str, object] = {
        "endpoint": request.path,
        "status": response.status_code,
        "mode": query.parameters.mode.value,
        "interval": query.parameters.interval.value,
        "tickers": len(result.bars),
        "rows": sum(map(len, result.bars.values())),
        "bytes": sum(map(len, body)),
        "source": result.source.value,
        "ms": (time.perf_counter() - started) * 1000,
    }
    fields |= {f"{store}_ms": spent_ms for store, spent_ms in result.timings_ms.items()}
    logger.info(key_values(**fields))
