"""GET /tickers/group and /tickers/names: the groups of tickers, and the names of tickers."""

from collections import Counter

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import responses
from stockapi.api.queries.schemas import parse_group_query, parse_names_query
from stockapi.context import services
from stockapi.markets.tickers import names_for

blueprint = Blueprint("groups", __name__)

_MAX_AGE_S = 300
"""Groups are changed by hand, and seldom. It is enough if a browser learns of a change within minutes."""


@blueprint.get("/tickers/group")
def tickers_by_group() -> Response:
    """The groups of a market (`mode`), each a list of symbols in the order of its file."""
    # A configured list is read again: new entries need no restart, as in the workers.
    groups = services().stores.renames.groups(parse_group_query(request.args, services().settings.markets))
    return responses.conditional([orjson.dumps(groups)], responses.JSON_TYPE, _MAX_AGE_S)


@blueprint.get("/tickers/names")
@blueprint.get("/tickers/name")
def ticker_names() -> Response:
    """The name of the company or coin of each symbol of the markets (`mode`), in alphabetical order of the symbols.

    A symbol of two markets has the key `<market>:<symbol>`, as in /tickers.
    """
    settings = services().settings
    each = {mode: names_for(mode, settings) for mode in parse_names_query(request.args, settings.markets)}
    markets = Counter(symbol for names in each.values() for symbol in names)
    keyed = {
        f"{mode.value}:{symbol}" if markets[symbol] > 1 else symbol: name
        for mode, names in each.items()
        for symbol, name in names.items()
    }
    names = dict(sorted(keyed.items()))
    return responses.conditional([orjson.dumps(names)], responses.JSON_TYPE, _MAX_AGE_S)
