"""The deadline and the row budget of the current request."""

import time
from typing import cast

from flask import Flask, g

from stockapi.config import Settings
from stockapi.models.limits import Limits


def install(app: Flask, settings: Settings) -> None:
    """Start the limits of each request. Install it early: the time of earlier handlers does not count."""

    def begin() -> None:
        g.limits = Limits.begin(settings.query_deadline_ms, settings.max_response_rows, time.monotonic)

    app.before_request(begin)


def current() -> Limits:
    """The limits of the current request. Each call in a request returns the same object."""
    return cast(Limits, g.limits)
