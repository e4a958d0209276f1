"""GET /: browsers go on to the explorer, programs get the list of endpoints. GET /llms.txt: a text for models.

https://llmstxt.org describes the form of the latter.
"""

from http import HTTPStatus
from typing import Final

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import responses
from stockapi.api.http.path_prefix import path_prefix
from stockapi.api.openapi.operations import OPERATIONS
from stockapi.context import services
from stockapi.markets import market_of

blueprint = Blueprint("start", __name__)

_MAX_AGE_S: Final = 300
_HTML: Final = "text/html"
_LLMS: Final = """\
# stockapi

> Market data over plain HTTP: OHLCV bars of {instruments}, with moving averages and their scores, rankings, volume \
profiles and relative rotation. Read-only; JSON, CSV or NDJSON.

Times are UTC. `mode` is the market ({modes}). Errors are one line: what was wrong, what is allowed. The newest day of
one symbol: `GET {prefix}/tickers?symbol={symbol}&limit=1`. Ask for few bars, and only for the fields that you need:
`columns=time,close&shape=columns`.

## Tools

- [MCP]({prefix}/mcp): the same as tools of the Model Context Protocol (Streamable HTTP, POST)

## Endpoints

{endpoints}

## Docs

- [OpenAPI]({prefix}/openapi.json): every parameter, field and error
- [Docs]({prefix}/docs): the same as a page to try it out
- [Explorer]({prefix}/explorer): charts and rankings for people
"""
_OF_DATA: Final = ("Bars", "Reference", "Analysis")
"""The tags of the endpoints that a language model may need."""


@blueprint.get("/")
def start() -> Response:
    """A redirect for who would rather have HTML; the paths of the API and what they answer for others, curl for one."""
    prefix = path_prefix()
    # For equal wishes, as in */*, the first one is taken.
    if request.accept_mimetypes.best_match([responses.JSON_TYPE, _HTML], default=responses.JSON_TYPE) == _HTML:
        response = Response(status=HTTPStatus.FOUND, headers={"Location": f"{prefix}/explorer"})
        response.cache_control.max_age = _MAX_AGE_S
    else:
        endpoints = {prefix + each.path: each.summary for each in OPERATIONS if not each.path_parameters}
        response = responses.conditional([orjson.dumps({"endpoints": endpoints})], responses.JSON_TYPE, _MAX_AGE_S)
    response.vary.add("Accept")
    return response


@blueprint.get("/llms.txt")
def for_language_models() -> Response:
    """What there is, as short Markdown."""
    prefix, modes = path_prefix(), services().settings.markets
    markets = [market_of(mode) for mode in modes]
    text = _LLMS.format(
        prefix=prefix,
        instruments=" and ".join(each.instruments for each in markets),
        modes=", ".join(mode.value for mode in modes),
        symbol=markets[0].sample_symbols[0],
        endpoints="\n".join(
            f"- [{each.path}]({prefix}{each.path}): {each.summary}" for each in OPERATIONS if each.tag in _OF_DATA
        ),
    )
    return responses.conditional([text.encode()], "text/plain; charset=utf-8", _MAX_AGE_S)
