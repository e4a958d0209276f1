"""GET /: browsers go on to the explorer, programs get the list of endpoints."""

from http import HTTPStatus
from typing import Final

import orjson
from flask import Blueprint, Response, request

from stockapi.api.http import responses
from stockapi.api.http.path_prefix import path_prefix
from stockapi.api.openapi.operations import OPERATIONS

blueprint = Blueprint("start", __name__)

_MAX_AGE_S: Final = 300
_HTML: Final = "text/html"


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
