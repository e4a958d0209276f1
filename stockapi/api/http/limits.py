"""The deadline and the row budget of the current request, and whether its client has gone."""

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final, cast

from flask import Flask, g, request

from stockapi.api.server.abandoned import ClientWatch
from stockapi.config import Settings
from stockapi.models.limits import Limits

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_GIVEN: Final = "stockapi.limits"


def install(app: Flask, settings: Settings) -> None:
    """Start the limits of each request. Install it early: the time of earlier handlers does not count.

    A request that another one makes inside of this process has the limits of that one: `pass_on`.
    """

    def begin() -> None:
        given = request.environ.get(_GIVEN)
        if given is not None:
            g.limits = given
            return
        limits = Limits.begin(settings.query_deadline_ms, settings.max_response_rows, time.monotonic)
        connection = request.environ.get("gunicorn.socket")  # other servers have none
        g.limits = limits if connection is None else replace(limits, has_gone=ClientWatch(connection).has_gone)

    app.before_request(begin)


def pass_on(environ: "WSGIEnvironment", limits: Limits) -> None:
    """Give these limits to the request of this environment. A client cannot: headers have other names there."""
    environ[_GIVEN] = limits


def current() -> Limits:
    """The limits of the current request. Each call in a request returns the same object."""
    return cast(Limits, g.limits)
