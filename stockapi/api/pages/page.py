"""The headers of HTML pages: how long a browser may keep them, and what it may do in them."""

from typing import Final

from flask import Response

from stockapi.api.http import responses

_HTML_TYPE: Final = "text/html; charset=utf-8"
_MAX_AGE_S: Final = 0
"""The browser must ask each time; the answer is mostly 304. After an update the page names new versions of its files,
and the old versions are gone.
"""
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
"""Scripts and styles come only from our files. Inline scripts and other hosts are not allowed.

Styles need no 'unsafe-inline': libraries set the style of elements through the object model, which is always allowed.
"""


REMEMBERED_PAGES: Final = 8
"""How many forms of a page are kept, one for each path prefix. There is mostly one."""


def page(html: bytes) -> Response:
    """The page, or 304, with the policy of all pages."""
    response = responses.conditional([html], _HTML_TYPE, _MAX_AGE_S)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
