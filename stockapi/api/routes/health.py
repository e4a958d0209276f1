"""GET /health, /livez, /readyz: the state of the service."""

import time
from http import HTTPStatus

from flask import Blueprint, Response

from stockapi.api.http import responses
from stockapi.api.http.access import may_see_details
from stockapi.context import services
from stockapi.services.status.health import OPEN_FIELDS, health_report, troubled_workers, unready_reason
from stockapi.services.status.memory import measure_memory

blueprint = Blueprint("health", __name__)


@blueprint.get("/health")
def health() -> Response:
    """The long report; without an operator's key, where one is needed, a part of it. The status is always 200."""
    own = services()
    uptime_s = time.monotonic() - own.started
    report = health_report(own.stores, measure_memory(), own.clock(), uptime_s)
    if not may_see_details():
        report = {name: report[name] for name in OPEN_FIELDS}
    return responses.uncached_json(report)


@blueprint.get("/livez")
def livez() -> Response:
    """The process is alive. It checks nothing else."""
    return responses.uncached_json({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    """Whether queries of all markets can be answered; 503 with the reason when not.

    It names stale and dead workers, but they do not change the status: answers become old, but they are given.
    """
    own = services()
    reason = unready_reason(own.stores)
    if reason is not None:
        return responses.error(HTTPStatus.SERVICE_UNAVAILABLE, reason)
    troubled = troubled_workers(own.stores, own.clock())
    return responses.uncached_json({"status": "ready"} | ({"workers": troubled} if troubled else {}))
