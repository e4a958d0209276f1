"""GET /tickers/group: which tickers belong together."""

import orjson
from flask import Blueprint, Response, request

from stockapi.api import responses
from stockapi.api.context import services
from stockapi.api.schemas import parse_group_query

blueprint = Blueprint("groups", __name__)

_MAX_AGE_S = 300
"""Groups change with a restart only, and a browser may as well learn of that within minutes."""


@blueprint.get("/tickers/group")
def tickers_by_group() -> Response:
    """The groups of a market (`mode`), each a list of symbols in the order of its file."""
    groups = services().groups[parse_group_query(request.args)]
    return responses.conditional([orjson.dumps(groups)], responses.JSON_TYPE, _MAX_AGE_S)
