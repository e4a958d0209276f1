"""GET /udf/*: the same bars in the protocol of TradingView's charting library, its Universal Data Feed.

https://www.tradingview.com/charting-library-docs/latest/connecting_data/UDF. Errors have its form, with the statuses of
this API: `responses.error`.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Final

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import admission, limits, responses
from stockapi.api.queries.parameters import Markets
from stockapi.api.queries.udf_schemas import (
    RESOLUTIONS,
    UdfName,
    parse_history_query,
    parse_quotes_query,
    parse_symbols_query,
    parse_udf_search_query,
)
from stockapi.api.routes.udf_symbols import TYPES, exchange_of, full_name_of, symbol_info, type_of
from stockapi.context import services
from stockapi.errors import NotFoundError
from stockapi.formats.json_format import json_numbers
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.query import Indicators, QueryParameters
from stockapi.services.data_store import DataSource
from stockapi.services.symbols import Criteria, Symbol

blueprint = Blueprint("udf", __name__, url_prefix="/udf")

_MAX_AGE_S = 300
_COLUMNS: Final = {"t": "time", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


@blueprint.get("/config")
def config() -> Response:
    """What the feed can do, its exchanges and its types of symbols."""
    return responses.conditional([_config(services().settings.markets)], responses.JSON_TYPE, _MAX_AGE_S)


@blueprint.get("/time")
def time() -> Response:
    """The clock of the server in Unix seconds, as plain text."""
    response = Response(str(int(services().clock().timestamp())), content_type="text/plain; charset=utf-8")
    response.cache_control.no_store = True
    return response


@blueprint.get("/symbols")
def symbols() -> Response:
    """What a chart must know of a symbol.

    :raises NotFoundError: for a symbol that is neither listed nor stored.
    """
    found = _require(parse_symbols_query(request.args, services().settings.markets))
    newest = QueryParameters(mode=found.mode, symbols=(found.symbol,), limit=1, indicators=Indicators.NONE)
    result = services().data_store.get_data_smart_sqlite(newest, limits.current())
    bars = result.bars.get(found.symbol)
    is_index = services().settings.is_index(found.symbol, found.mode)
    info = symbol_info(
        services().symbols.named(*found),
        is_index=is_index,
        price=None if bars is None else float(bars.close[-1]),
        now=services().clock(),
    )
    return responses.of_bars([orjson.dumps(info)], responses.JSON_TYPE, result.source)


@blueprint.get("/search")
def search() -> Response:
    """Symbols by a part of their name, those with bars first."""
    query = parse_udf_search_query(request.args, services().settings.markets)
    prefix, _, text = query.text.rpartition(":")
    criteria = Criteria(
        text=text,
        exchange=query.exchange or prefix.strip() or None,
        types=TYPES.get(query.type.lower(), (query.type.lower(),)) if query.type else None,
    )
    _, found = services().symbols.search(services().settings.markets, criteria, query.limit, limits.current())
    body = [
        {
            "symbol": each.listing.symbol,
            "full_name": full_name_of(each.listing),
            "ticker": full_name_of(each.listing),
            "description": each.listing.name_vi or each.listing.name,
            "exchange": exchange_of(each.listing),
            "type": type_of(each.listing),
        }
        for each in found
    ]
    return responses.conditional([orjson.dumps(body)], responses.JSON_TYPE, services().cache_max_age_s())


@blueprint.get("/history")
def history() -> Response:
    """The bars of one symbol as columns.

    :raises NotFoundError: for a symbol that is neither listed nor stored.
    """
    query = parse_history_query(request.args, services().settings.markets)
    found = _require(query.name)
    wanted = query.bars_of(found.mode, found.symbol, int(services().clock().timestamp()))
    admission.admit(wanted)
    result = services().data_store.get_data_smart_sqlite(wanted, limits.current())
    bars = result.bars.get(found.symbol)
    body = [_no_data(wanted, found.symbol)] if bars is None else [*_columns(bars)]
    limits.current().check("rendering")
    return responses.of_bars(body, responses.JSON_TYPE, result.source)


@blueprint.get("/quotes")
def quotes() -> Response:
    """The newest prices of symbols. One that is not known, or has no bars, is an error of its own in the answer."""
    names = parse_quotes_query(request.args, services().settings.markets)
    found = {name: services().symbols.resolve(name.prefix, name.symbol, limits.current()) for name in names}
    bars: dict[Symbol, Bars] = {}
    sources: list[DataSource] = []
    for mode in dict.fromkeys(each.mode for each in found.values() if each is not None):
        asked = tuple(each.symbol for each in found.values() if each is not None and each.mode is mode)
        newest = QueryParameters(mode=mode, symbols=asked, limit=2, indicators=Indicators.NONE)
        result = services().data_store.get_data_smart_sqlite(newest, limits.current())
        bars |= {Symbol(mode, symbol): own for symbol, own in result.bars.items()}
        sources.append(result.source)
    body = {
        "s": "ok",
        "d": [_quote(name, symbol, bars.get(symbol) if symbol else None) for name, symbol in found.items()],
    }
    return responses.of_bars(
        [orjson.dumps(body)], responses.JSON_TYPE, DataSource.of_all(sources or [DataSource.SQLITE])
    )


@cache
def _config(markets: Markets) -> bytes:
    listed = [
        (name, market_of(mode).title) for mode in markets for name in market_of(mode).exchanges or (mode.value.upper(),)
    ]
    return orjson.dumps(
        {
            "supported_resolutions": list(RESOLUTIONS),
            "supports_search": True,
            "supports_group_request": False,
            "supports_marks": False,
            "supports_timescale_marks": False,
            "supports_time": True,
            "exchanges": [
                {"value": "", "name": "All exchanges", "desc": ""},
                *({"value": name, "name": name, "desc": title} for name, title in listed),
            ],
            "symbols_types": [
                {"value": "", "name": "All types"},
                *({"value": name, "name": name.capitalize()} for name in TYPES),
            ],
        }
    )


def _require(name: UdfName) -> Symbol:
    found = services().symbols.resolve(name.prefix, name.symbol, limits.current())
    if found is None:
        raise NotFoundError(f"unknown_symbol {name.text!r}; allowed: a symbol that /udf/search finds")
    return found


def _columns(bars: Bars) -> Iterator[bytes]:
    yield b'{"s":"ok"'
    for key, name in _COLUMNS.items():
        yield f',"{key}":'.encode() + json_numbers(name, bars)
    yield b"}"


def _no_data(wanted: QueryParameters, symbol: str) -> bytes:
    """With the time of the newest bar before the end, if there is one. It is before the start too."""
    newest = replace(wanted, start=None, limit=1)
    bars = services().data_store.get_data_smart_sqlite(newest, limits.current()).bars.get(symbol)
    return orjson.dumps({"s": "no_data"} if bars is None else {"s": "no_data", "nextTime": int(bars.time[-1])})


def _quote(name: UdfName, found: Symbol | None, bars: Bars | None) -> dict[str, object]:
    """`bars`: the last two days, or one."""
    if found is None or bars is None:
        return {"s": "error", "n": name.text, "v": {}}
    known = services().symbols.named(*found)
    day = {column: getattr(bars, column)[-1].item() for column in ("open", "high", "low", "close", "volume")}
    before = bars.close[-2].item() if len(bars) > 1 else None
    change = None if before is None else round(day["close"] - before, market_of(found.mode).price_decimals)
    values = {
        "short_name": known.symbol,
        "original_name": full_name_of(known),
        "exchange": exchange_of(known),
        "description": known.name_vi or known.name,
        "lp": day["close"],
        "ch": change,
        "chp": None if not before or change is None else round(change / before * 100, 2),
        "open_price": day["open"],
        "high_price": day["high"],
        "low_price": day["low"],
        "prev_close_price": before,
        "volume": day["volume"],
    }
    return {"s": "ok", "n": name.text, "v": values}
