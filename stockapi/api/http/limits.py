"""The deadline and the row budget of the current request, and whether its client has gone."""

import time
from dataclasses import replace
from typing import cast

from flask import Flask, g, request

from stockapi.api.server.abandoned import ClientWatch
from stockapi.config import Settings
from stockapi.models.limits import Limits


def install(app: Flask, settings: Settings) -> None:
    """Start the limits of each request. Install it early: the time of earlier handlers does not count."""

    def begin() -> None:
        limits = Limits.begin(settings.query_deadline_ms, settings.max_response_rows, time.monotonic)
        connection = request.environ.get("gunicorn.socket")  # other servers have none
        g.limits = limits if connection is None else replace(limits, has_gone=ClientWatch(connection).has_gone)

    app.before_request(begin)


def current() -> Limits:
    """The limits of the current request. Each call in a request returns the same object."""
    return cast(Limits, g.limits)
