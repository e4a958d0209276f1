"""GET /tickers/coverage: the first and last stored bar of each ticker, and the gaps between them."""

import numpy as np
import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import admission, limits, responses
from stockapi.api.queries.schemas import parse_coverage_query
from stockapi.context import services
from stockapi.formats.analysis_tables import coverage_table
from stockapi.markets import market_of
from stockapi.models.interval import Interval
from stockapi.models.query import QueryParameters
from stockapi.models.timestamps import TimeStyle, written_times
from stockapi.services.data_store.coverage import TickerCoverage

blueprint = Blueprint("coverage", __name__)


@blueprint.get("/tickers/coverage")
def coverage() -> Response:
    """First bar, last bar, number of bars and gaps of each ticker. The parameters are in `schemas`."""
    query = parse_coverage_query(request.args, services().settings.markets)
    # It looks up a time of every day; from CSV it reads every bar.
    days = query.interval if query.symbols is None else Interval.DAILY
    admission.admit(QueryParameters(mode=query.mode, interval=days, symbols=query.symbols, start=0, limit=None))
    result = services().coverage.read(query.mode, query.interval, query.symbols, limits.current())
    lasts = np.array([each.last for each in result.tickers.values()], dtype=np.int64)
    idle = market_of(query.mode).calendar.idle_days(lasts, int(services().clock().timestamp()))
    entries = zip(result.tickers.items(), idle.tolist(), strict=True)
    body = {symbol: _entry(each, query.times, days) for (symbol, each), days in entries}
    if query.is_csv:
        response = responses.of_table(coverage_table(body), f"coverage_{query.interval.value}", result.source)
    else:
        response = responses.of_bars([orjson.dumps(body)], responses.JSON_TYPE, result.source)
    renamed = services().stores.renames.of(query.mode).old(query.symbols)
    return responses.with_names(response, sorted(renamed.items()))


def _entry(ticker: TickerCoverage, times: TimeStyle, idle_days: int) -> dict[str, object]:
    first, last = _written([ticker.first, ticker.last], times)
    # Always dates: a date as start_date or end_date means the whole day, but a midnight means only its first second.
    begins = _written([gap.first for gap in ticker.gaps], TimeStyle.DATE)
    ends = _written([gap.last for gap in ticker.gaps], TimeStyle.DATE)
    gaps = [
        {"first": begin, "last": end, "days": gap.days}
        for begin, end, gap in zip(begins, ends, ticker.gaps, strict=True)
    ]
    return {"first": first, "last": last, "count": ticker.count, "idle_days": idle_days, "gaps": gaps}


def _written(seconds: list[int], times: TimeStyle) -> list[str] | list[int]:
    return written_times(np.array(seconds, dtype=np.int64), times)
