"""GET /tickers/search and /tickers/info: find symbols, and what is known of one."""

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import limits, responses
from stockapi.api.queries.reference_schemas import parse_info_query, parse_search_query
from stockapi.context import services
from stockapi.errors import NotFoundError
from stockapi.markets.listings import Listing
from stockapi.models.interval import Interval
from stockapi.models.timestamps import format_time

blueprint = Blueprint("symbols", __name__)

_MAX_AGE_S = 300


@blueprint.get("/tickers/search")
def search() -> Response:
    """Symbols by words of their names, those with bars first."""
    query = parse_search_query(request.args, services().settings.markets)
    total, found = services().symbols.search(query.modes, query.criteria, query.limit, limits.current())
    shown = [{**_facts(each.listing), "has_bars": each.has_bars} for each in found]
    return responses.conditional([orjson.dumps({"total": total, "symbols": shown})], responses.JSON_TYPE, _MAX_AGE_S)


@blueprint.get("/tickers/info")
def info() -> Response:
    """What is known of a symbol, and its first and last daily bar.

    :raises NotFoundError: when it is neither listed, nor stored, nor in a list of the settings.
    """
    mode, symbol = parse_info_query(request.args, services().settings.markets)
    own = services()
    if not own.symbols.is_known(mode, symbol, limits.current()):
        raise NotFoundError(
            f"there is no symbol {symbol} (mode {mode.value}); allowed: a symbol that /tickers/search finds"
        )
    (listing,) = own.symbols.with_sectors([own.symbols.named(mode, symbol)])
    covered = own.coverage.read(mode, Interval.DAILY, (listing.symbol,), limits.current())
    bars = covered.tickers.get(listing.symbol)
    body = {
        **_facts(listing),
        "rank": listing.rank,
        "delisted": listing.delisted,
        "former_names": listing.former_names,
        "first_bar": None if bars is None else format_time(bars.first, Interval.DAILY),
        "last_bar": None if bars is None else format_time(bars.last, Interval.DAILY),
    }
    response = responses.of_bars([orjson.dumps(body)], responses.JSON_TYPE, covered.source)
    return responses.with_names(response, own.stores.renames.of(mode).old((symbol,)).items())


def _facts(listing: Listing) -> dict[str, object]:
    return {
        "symbol": listing.symbol,
        "mode": listing.mode.value,
        "name": listing.name,
        "short_name": listing.short_name,
        "name_vi": listing.name_vi,
        "exchange": listing.exchange,
        "type": listing.type,
        "sector": listing.sector,
        "industry": listing.industry,
        "indices": listing.indices,
        "currency": listing.currency,
        "status": listing.status,
    }
