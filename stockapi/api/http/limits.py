"""The deadline and the row budget of the current request."""

import time
from typing import cast

from flask import Flask, g

from stockapi.config import Settings
from stockapi.models.limits import Limits


def install(app: Flask, settings: Settings) -> None:
    """To be installed early: the time of what is installed before does not count."""

    def begin() -> None:
        g.limits = Limits.begin(settings.query_deadline_ms, settings.max_response_rows, time.monotonic)

    app.before_request(begin)


def current() -> Limits:
    """The same ones, and what is left of them, whenever this is called within a request."""
    return cast(Limits, g.limits)
