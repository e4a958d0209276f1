"""Convert every error to JSON: our errors, errors of routing, and unexpected ones."""

import logging
from http import HTTPStatus

from flask import Flask, Response, current_app, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from stockapi.api.http import responses
from stockapi.errors import AppError, TooManyRequestsError
from stockapi.logs import key_values

RETRY_AFTER_S = 5
"""The wait in seconds that an answer asks for. A large query, a lock or a repair has ended by then, or takes much
longer.
"""
RETRIED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
"""The errors that ask a client to come again."""

logger = logging.getLogger(__name__)


def install(app: Flask) -> None:
    app.register_error_handler(AppError, _app_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _app_error(exc: AppError) -> Response:
    if exc.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return _unexpected(exc)
    level = logging.ERROR if exc.status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
    logger.log(
        level,
        key_values(path=request.path, status=int(exc.status), kind=type(exc).__name__, error=str(exc)),
    )
    response = responses.error(exc.status, exc.public_message)
    if exc.status in RETRIED:
        wait_s = exc.retry_after_s if isinstance(exc, TooManyRequestsError) else RETRY_AFTER_S
        response.headers["Retry-After"] = str(wait_s)
    return response


def _http_error(exc: HTTPException) -> Response:
    """Errors of Flask itself. Their headers are kept, because a 405 must name the allowed methods."""
    status = HTTPStatus(exc.code or HTTPStatus.INTERNAL_SERVER_ERROR)
    response = responses.error(status, _text_of(exc, status))
    for name, value in exc.get_headers():
        if name.lower() != "content-type":
            response.headers[name] = value
    return response


def _text_of(exc: HTTPException, status: HTTPStatus) -> str:
    if isinstance(exc, NotFound):
        paths = sorted(rule.rule for rule in current_app.url_map.iter_rules() if not rule.arguments)
        return f"there is nothing at this path; allowed: {', '.join(paths)}"
    if isinstance(exc, MethodNotAllowed):
        return f"method {request.method!r} is not allowed here; allowed: {', '.join(sorted(exc.valid_methods or ()))}"
    return exc.description or status.phrase


def _unexpected(exc: Exception) -> Response:
    logger.error(key_values(path=request.path, status=500, kind=type(exc).__name__), exc_info=exc)
    return responses.error(HTTPStatus.INTERNAL_SERVER_ERROR, "something went wrong here; the operator can see what")
