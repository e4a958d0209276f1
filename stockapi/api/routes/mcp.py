"""POST /mcp: the API as tools of the Model Context Protocol, over its Streamable HTTP transport, without state."""

import re
from http import HTTPStatus
from typing import Final

from flask import Blueprint, Response, request

from stockapi.api.http import responses
from stockapi.api.http.headers import is_allowed_origin
from stockapi.api.mcp import server
from stockapi.api.server.request_bodies import MAX_BODY_BYTES
from stockapi.context import services
from stockapi.errors import AppError

blueprint = Blueprint("mcp", __name__)

_LOOPBACK: Final = re.compile(r"https?://(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


class RefusedError(AppError):
    """A request that is refused before its message is looked at."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


@blueprint.post(responses.MCP_PATH)
def mcp() -> Response:
    """The answer to one message, or to several of a client of 2025-03-26.

    :raises RefusedError: 403, 406, 411, 413, 415.
    """
    _require_origin()
    _require_types()
    answer = server.reply(_body(), request.headers, services().settings.markets)
    response = Response(answer.body, answer.status, content_type=responses.JSON_TYPE)
    if not answer.body:
        del response.headers["Content-Type"]
    response.cache_control.no_store = True
    return response


def _require_origin() -> None:
    """Refuse pages of other sites: one that gives its own name the address of this machine could use it as if it were
    here (DNS rebinding). Its Host is no proof, as it is the one that the page chose.
    """
    origin = request.headers.get("Origin")
    if origin is None or _LOOPBACK.fullmatch(origin):
        return
    if not is_allowed_origin(origin, services().settings.cors_origins):
        raise RefusedError(
            HTTPStatus.FORBIDDEN,
            f"pages of {origin!r:.100} may not use this; allowed: those of this machine, and of CORS_ORIGINS",
        )


def _require_types() -> None:
    if request.mimetype != responses.JSON_TYPE:
        raise RefusedError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {request.mimetype!r:.60} is not allowed; allowed: {responses.JSON_TYPE}",
        )
    if request.accept_mimetypes and request.accept_mimetypes.best_match([responses.JSON_TYPE]) is None:
        raise RefusedError(HTTPStatus.NOT_ACCEPTABLE, f"answers are {responses.JSON_TYPE}; allowed: to accept that")


def _body() -> bytes:
    """The body of the request; see `request_bodies`."""
    if request.content_length is None:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "Content-Length is missing; allowed: the length of the body")
    if request.content_length > MAX_BODY_BYTES:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"the body has {request.content_length} bytes; allowed: at most {MAX_BODY_BYTES}",
        )
    return request.get_data(cache=False)
