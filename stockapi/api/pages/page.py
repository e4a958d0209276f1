"""HTML pages: how long they may be kept, and what a browser may do in them."""

from typing import Final

from flask import Response

from stockapi.api.http import responses

_HTML_TYPE: Final = "text/html; charset=utf-8"
_MAX_AGE_S: Final = 0
"""Ask each time, for a 304 mostly: after an update the page names new versions of its files, and the old are gone."""
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
"""Scripts and styles from files of ours alone, none inline, and no other host.

Not even styles need 'unsafe-inline': what libraries set on single elements they set through the object model, which
the policy does not concern.
"""


def page(html: bytes) -> Response:
    """The page, or 304, under the policy of all pages."""
    response = responses.conditional([html], _HTML_TYPE, _MAX_AGE_S)
    response.headers["Content-Security-Policy"] = _POLICY
    return response
