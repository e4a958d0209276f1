"""Headers of every answer: what browsers may do with it, and pages of which other sites may read it."""

import re
from collections.abc import Sequence
from functools import cache

from flask import Flask, Response
from flask_cors import CORS

from stockapi.api.http.responses import MCP_PATH

EXPOSED_HEADERS = (
    *("ETag", "Link", "X-Data-Source", "X-Renamed", "Retry-After"),
    *("X-Updated-Until", "X-Replaced", "X-Behind"),
)
_PREFLIGHT_MAX_AGE_S = 600
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    # This is for pages that embed without CORS. A page that CORS allows can still read the answer.
    "Cross-Origin-Resource-Policy": "same-origin",
}


def install(app: Flask, cors_origins: Sequence[str], further_headers: Sequence[str] = ()) -> None:
    """`cors_origins`: sites such as https://example.org, or `*`. If empty, no page of another site may read answers.

    `further_headers`: that those pages may read, too.
    """
    app.after_request(_add_security_headers)
    if not cors_origins:
        return
    is_open = "*" in cors_origins
    CORS(
        app,
        origins="*" if is_open else [_pattern(origin) for origin in cors_origins],
        send_wildcard=is_open,
        resources={MCP_PATH: {"methods": ["POST", "OPTIONS"]}, r"/.*": {"methods": ["GET", "HEAD", "OPTIONS"]}},
        expose_headers=[*EXPOSED_HEADERS, *further_headers],
        max_age=_PREFLIGHT_MAX_AGE_S,
        vary_header=False,
    )
    if not is_open:
        app.after_request(_vary_by_origin)


def is_allowed_origin(origin: str, cors_origins: Sequence[str]) -> bool:
    """Whether a page of this origin may read answers. `cors_origins`: as in `install`."""
    return any(each == "*" or _pattern(each).match(origin) for each in cors_origins)


@cache
def _pattern(origin: str) -> re.Pattern[str]:
    """The origins of a setting: `*.` stands for one or more names of hosts, `:*` for any port, or none."""
    text = re.escape(origin.removesuffix(":*")).replace(r"\*\.", r"(?:[a-z0-9-]+\.)+")
    port = r"(?::[0-9]{1,5})?" if origin.endswith(":*") else ""
    return re.compile(rf"{text}{port}\Z", re.ASCII | re.IGNORECASE)


def _add_security_headers(response: Response) -> Response:
    # `setdefault` would search all headers each time: 11 us instead of 2.
    own = {name.lower() for name, _ in response.headers}
    for name, value in _SECURITY_HEADERS.items():
        if name.lower() not in own:
            response.headers.add(name, value)
    return response


def _vary_by_origin(response: Response) -> Response:
    """Add `Vary: Origin` to every answer. Flask-CORS adds it only for allowed sites, so a cache could serve an answer
    without CORS headers to an allowed site.
    """
    response.vary.add("Origin")
    return response
