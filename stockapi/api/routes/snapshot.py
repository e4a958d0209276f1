"""GET /tickers/snapshot: the newest prices of a whole market in one answer."""

from functools import lru_cache

import numpy as np
import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import limits, responses
from stockapi.api.queries.reference_schemas import parse_snapshot_query
from stockapi.calc.price_bands import PriceBand, price_band
from stockapi.context import services
from stockapi.markets import market_of
from stockapi.markets.listings import STOCK, listing
from stockapi.markets.market import Exchange, Market
from stockapi.markets.tickers import group_named
from stockapi.models.fields import SCORE_DECIMALS
from stockapi.models.interval import Interval
from stockapi.models.timestamps import TimeForm, TimeStyle, written_times
from stockapi.services.snapshots import Newest

blueprint = Blueprint("snapshot", __name__)


@blueprint.get("/tickers/snapshot")
def snapshot() -> Response:
    """Price, change, volume, the limits of the day, and times, of all tickers or of some."""
    query, own = parse_snapshot_query(request.args, services().settings.markets), services()
    now = own.clock()
    if query.symbols is None:
        found = own.snapshots.of_all(query.mode, int(now.timestamp()), limits.current())
    else:
        found = own.snapshots.of_some(query.mode, query.symbols, int(now.timestamp()), limits.current())
    tickers = found.tickers
    if query.sector is not None:
        groups = own.stores.renames.groups(query.mode)
        members = frozenset(groups.get(group_named(query.sector, groups, query.mode) or "", ()))
        tickers = {symbol: each for symbol, each in tickers.items() if symbol in members}
    market = market_of(query.mode)
    body = {
        "mode": query.mode.value,
        "is_open": market.calendar.at(now).is_open,
        "tickers": dict(zip(tickers, _rows(tickers, market, query.times), strict=True)),
    }
    limits.current().check("rendering")
    response = responses.of_bars([orjson.dumps(body)], responses.JSON_TYPE, found.source)
    return responses.with_names(response, own.stores.renames.of(query.mode).old(query.symbols).items())


def _rows(tickers: dict[str, Newest], market: Market, form: TimeForm) -> list[dict[str, object]]:
    of_days, of_minutes = TimeStyle.of(Interval.DAILY, form), TimeStyle.of(Interval.MINUTE, form)
    days = _written([each.day.time for each in tickers.values()], of_days)
    befores = _written([each.before.time if each.before else 0 for each in tickers.values()], of_days)
    minutes = _written([each.minute or 0 for each in tickers.values()], of_minutes)
    rows = []
    for (symbol, each), day, before, minute in zip(tickers.items(), days, befores, minutes, strict=True):
        row = _prices(symbol, each, market)
        row["newest_day"] = day
        row["previous_day"] = before if each.before else None
        row["newest_minute"] = None if each.minute is None else minute
        rows.append(row)
    return rows


@lru_cache(maxsize=4_096)
def _band(previous: float, exchange: Exchange) -> PriceBand:
    """Remembered, as it is the same for a whole day."""
    return price_band(previous, exchange)


def _prices(symbol: str, each: Newest, market: Market) -> dict[str, object]:
    day, previous = each.day, each.before.close if each.before else 0.0
    change = round(day.close - previous, market.price_decimals) if previous > 0 else None
    known = listing(market.mode, symbol)
    rules = market.exchanges.get(known.exchange or "") if known and known.type == STOCK else None
    reference, ceiling, floor = _band(previous, rules) if rules and previous > 0 else (None, None, None)
    return {
        "price": day.close,
        "change": change,
        "change_percent": None if change is None else round((day.close - previous) / previous * 100, SCORE_DECIMALS),
        "open": day.open,
        "high": day.high,
        "low": day.low,
        "volume": day.volume,
        "value": round(day.close * day.volume, market.money_decimals),
        "reference": reference,
        "ceiling": ceiling,
        "floor": floor,
    }


def _written(seconds: list[int], times: TimeStyle) -> list[str] | list[int]:
    return written_times(np.array(seconds, dtype=np.int64), times)
