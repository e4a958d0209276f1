"""The path under which a proxy serves this application, such as /markets. Links and redirects begin with it.

It is known from SCRIPT_NAME (of the environment, or of the WSGI server), or from the header X-Forwarded-Prefix of a
trusted proxy. The paths in the code have no prefix: WSGI keeps it apart, in SCRIPT_NAME.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from flask import Flask, Response, request

from stockapi.config import Settings
from stockapi.errors import QueryError
from stockapi.models.literals import ALLOWED_PATH_PREFIX, parse_path_prefix

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_HEADER: Final = "X-Forwarded-Prefix"
_VARIABLE: Final = "HTTP_X_FORWARDED_PREFIX"


class _PathPrefix:
    """WSGI middleware. It writes the prefix of a request into its SCRIPT_NAME, and takes it off the path."""

    def __init__(self, application: "WSGIApplication", script_name: str, *, trusts_header: bool) -> None:
        self._application = application
        self._script_name = script_name
        self._trusts_header = trusts_header

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if self._script_name:
            environ["SCRIPT_NAME"] = self._script_name
            # A proxy may leave the prefix in the path or take it away, and a health check may not know of it.
            path: str = environ.get("PATH_INFO", "")
            if f"{path}/".startswith(f"{self._script_name}/"):
                environ["PATH_INFO"] = path[len(self._script_name) :] or "/"
        if self._trusts_header and _VARIABLE in environ:
            with suppress(ValueError):  # `_require_prefix` answers with an error
                environ["SCRIPT_NAME"] = parse_path_prefix(environ[_VARIABLE])
        return self._application(environ, start_response)


def install(app: Flask, settings: Settings) -> None:
    """Let requests have a prefix. X-Forwarded-Prefix is read only with TRUST_FORWARDED_PREFIX."""
    is_trusted = settings.trust_forwarded_prefix
    app.wsgi_app = _PathPrefix(  # type: ignore[method-assign]  # as Flask's documentation has it
        app.wsgi_app, settings.script_name, trusts_header=is_trusted
    )
    if is_trusted:
        app.before_request(_require_prefix)
        app.after_request(_vary_by_prefix)


def path_prefix() -> str:
    """The prefix of the current request, as it stands in a URL: `/markets`; empty when there is none."""
    return quote(request.script_root, safe="/-._~").rstrip("/")


def _require_prefix() -> None:
    """:raises QueryError: for a header that is no prefix. A wrong link would be worse than an error."""
    text = request.headers.get(_HEADER, "")
    try:
        parse_path_prefix(text)
    except ValueError as exc:
        raise QueryError(f"{_HEADER} {text[:64]!r} is not allowed; allowed: {ALLOWED_PATH_PREFIX}") from exc


def _vary_by_prefix(response: Response) -> Response:
    """A cache must not give the links of one prefix to another."""
    response.vary.add(_HEADER)
    return response
