"""GET /analysis/screener: the tickers whose last bar meets a condition."""

import numpy as np
import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import admission, limits, responses
from stockapi.api.queries.analysis_schemas import end_of_day, format_day
from stockapi.api.queries.screener_schemas import ScreenerQuery, parse_screener_query
from stockapi.calc.cross_section import CrossSection
from stockapi.calc.screener import columns_of, matching, may_match, rows
from stockapi.context import services
from stockapi.formats.csv_tables import Table
from stockapi.markets import market_of
from stockapi.markets.tickers import sector_of
from stockapi.models.query import QueryParameters
from stockapi.models.timestamps import TimeStyle
from stockapi.models.window import LastOfEach
from stockapi.services.data_store import DataSource, LastBars

blueprint = Blueprint("screener", __name__, url_prefix="/analysis")

_MOST_SYMBOLS = 10_000
"""More than a market has."""


@blueprint.get("/screener")
def screener() -> Response:
    """The tickers of a market that meet a condition, ranked."""
    query = parse_screener_query(request.args, services().settings.markets)
    end = _end(query)
    last = _last_bars(query, end)
    compared = _compared(query, last, end)
    found = matching(compared.section, query.screen)
    shown = found.take(np.arange(min(query.screen.limit, len(found.symbols))))
    sectors = sector_of(services().stores.renames.groups(query.mode))
    matches = rows(shown, sectors, query.mode, TimeStyle.of(query.interval, query.times))
    source = DataSource.of_all([last.source, compared.source])
    limits.current().check("an analysis")
    if query.is_csv:
        table = Table(columns_of(query.screen.requested), [tuple(each.values()) for each in matches])
        return responses.of_table(table, "screener", source)
    body = {
        "analysis_date": format_day(query.day),
        "analysis_type": "screener",
        "total_analyzed": len(last.section.symbols),
        "data": {"total": len(found.symbols), "matches": matches},
    }
    return responses.of_bars([orjson.dumps(body)], responses.JSON_TYPE, source)


def _end(query: ScreenerQuery) -> int:
    """The last second that counts."""
    now = int(services().clock().timestamp())
    return now if query.day is None else min(end_of_day(query.day), now)


def _last_bars(query: ScreenerQuery, end: int) -> LastBars:
    """The stored bars to begin with: of the market's newest day or few days more, without indices, of the symbols asked
    for.
    """
    own = services()
    last = own.data_store.get_last_bars(
        LastOfEach(mode=query.mode, interval=query.interval.base, end=end), limits.current()
    )
    section = last.section.of_newest_days(query.max_age_days)
    section = section.keep(lambda symbol: not own.settings.is_index(symbol, query.mode))
    if query.criteria is not None:
        _, found = own.symbols.search((query.mode,), query.criteria, _MOST_SYMBOLS, limits.current())
        wanted = frozenset(each.listing.symbol for each in found)
        section = section.keep(wanted.__contains__)
    return LastBars(section, last.source)


def _compared(query: ScreenerQuery, last: LastBars, end: int) -> LastBars:
    """The bars of the interval asked for, with all indicators. Only of tickers that may match: it takes many bars to
    compute an indicator.
    """
    is_stored = query.interval is query.interval.base
    if is_stored and not query.screen.requested:
        return last
    section = may_match(last.section, query.screen) if is_stored else last.section
    if not section.symbols:
        return LastBars(section, last.source)
    parameters = QueryParameters(
        mode=query.mode,
        interval=query.interval,
        symbols=tuple(section.symbols),
        end=end,
        limit=1,
        requested=query.screen.requested,
    )
    admission.admit(parameters)
    result = services().data_store.get_data_smart_sqlite(parameters, limits.current())
    is_whole = market_of(query.mode).has_whole_volume
    return LastBars(CrossSection.of_last(result.bars, whole_volume=is_whole), result.source)
