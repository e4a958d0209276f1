"""GET /metrics: counts and times of answers, and the state of the stores and workers, as Prometheus text."""

import logging
import time
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Final

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from prometheus_client.values import ValueClass

from stockapi.api.server.metrics_files import non_empty
from stockapi.errors import AppError
from stockapi.logs import key_values
from stockapi.services.durable import LockedError, locked

blueprint = Blueprint("metrics", __name__)
log = logging.getLogger(__name__)

_KEY = "stockapi_metrics"
_NO_ROUTE: Final = "none"
"""The route of all unknown paths. Clients choose paths, and each label value is kept for ever."""
_NO_SOURCE: Final = "none"
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_OTHER_METHOD: Final = "other"
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""In seconds: from an answer out of SQLite's cache to QUERY_DEADLINE_MS."""


class MetricsUnreadableError(AppError):
    """The files with the counts cannot be read, for example because there is no file descriptor left."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def public_message(self) -> str:
        return "the metrics cannot be read right now; try again shortly"


class _AllProcesses(MultiProcessCollector):
    """Reads the counts of all processes of one gunicorn."""

    def collect(self) -> Iterable[Metric]:
        """:raises OSError: also when the files cannot be listed. The original uses `glob`, which then finds no files:
        all counts would be missing, without an error.
        """
        directory = Path(self._path)
        with locked(directory, exclusive=False):  # else the counts of one that has just ended could be in two files
            files = [str(path) for path in non_empty(each for each in directory.iterdir() if each.suffix == ".db")]
            metrics: Iterable[Metric] = self.merge(files)  # type: ignore[no-untyped-call]
        return metrics


class _RequestMetrics:
    """Counts the requests of one application, in this process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._requests = Counter(
            "stockapi_http_requests",
            "Requests answered, by the store that the answer came from.",
            ("route", "method", "status", "source"),
            registry=registry,
        )
        self._durations = Histogram(
            "stockapi_http_request_duration_seconds",
            "From the request's being read to the answer's being ready to send.",
            ("route",),
            buckets=_BUCKETS_S,
            registry=registry,
        )
        self._in_progress = Gauge(
            "stockapi_http_requests_in_progress",
            "Requests being answered now; at most processes x threads.",
            multiprocess_mode="livesum",
            registry=registry,
        )

    def open_files(self) -> None:
        """Open the files of several processes now. They are opened with the first value, but there may be no file
        descriptor left when the first request comes.
        """
        self._requests.labels(_NO_ROUTE, "GET", str(HTTPStatus.NOT_FOUND.value), _NO_SOURCE)
        self._durations.labels(_NO_ROUTE)

    def begin(self) -> None:
        g.metrics_started = time.perf_counter()
        self._in_progress.inc()

    def record(self, response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else _NO_ROUTE
        method = request.method if request.method in _METHODS else _OTHER_METHOD
        source = response.headers.get("X-Data-Source", _NO_SOURCE)
        self._requests.labels(route, method, str(response.status_code), source).inc()
        self._durations.labels(route).observe(time.perf_counter() - g.metrics_started)
        return response

    def end(self, _error: BaseException | None) -> None:
        self._in_progress.dec()


def install(app: Flask, stores: Collector) -> None:
    """Count the requests of this application. Install it first, so that it measures the time of the other handlers.

    `stores`: a collector that adds its metrics at each scrape.
    """
    # They would double the series, to say when each began. Several processes together have none anyway.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    counted = CollectorRegistry()
    requests = _RequestMetrics(counted)
    app.before_request(requests.begin)
    app.after_request(requests.record)
    app.teardown_request(requests.end)
    registry = counted
    if ValueClass._multiprocess:  # then the counts of all processes are in files
        requests.open_files()
        registry = CollectorRegistry()
        try:
            _AllProcesses(registry)  # type: ignore[no-untyped-call]
        except ValueError as exc:
            log.error(key_values(event="metrics_of_one_process", error=exc))
            registry = counted
    registry.register(stores)
    app.extensions[_KEY] = registry


@blueprint.get("/metrics")
def metrics() -> Response:
    """For Prometheus in the own network. A proxy should hide it from others.

    :raises MetricsUnreadableError: 503, when not all counts can be read.
    """
    try:
        text = generate_latest(current_app.extensions[_KEY])
    except (OSError, LockedError) as exc:
        raise MetricsUnreadableError(f"the metrics cannot be read: {exc}") from exc
    response = Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response.cache_control.no_store = True
    return response
