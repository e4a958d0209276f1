"""GET /metrics: what was answered and how fast, and the state of the stores and workers, as Prometheus text."""

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

from stockapi.errors import AppError

blueprint = Blueprint("metrics", __name__)

_KEY = "stockapi_metrics"
_NO_ROUTE: Final = "none"
"""The route of every path that leads nowhere: paths are the clients' choice, and each label value is kept for good."""
_NO_SOURCE: Final = "none"
_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_OTHER_METHOD: Final = "other"
_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""From an answer out of SQLite's cache to QUERY_DEADLINE_MS."""


class MetricsUnreadableError(AppError):
    """The files in which the processes count cannot be read, as when there is no descriptor left."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    @property
    def public_message(self) -> str:
        return "the metrics cannot be read right now; try again shortly"


class _AllProcesses(MultiProcessCollector):
    """Reads what the processes of one gunicorn have counted."""

    def collect(self) -> Iterable[Metric]:
        """:raises OSError: also when the files cannot be listed: for `glob`, which it replaces, there are none then,
        and all that was counted would be missing from an answer like any other.
        """
        files = [str(path) for path in Path(self._path).iterdir() if path.suffix == ".db"]
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
        """For several processes together: a file is opened with the first series in it, and there may be no descriptor
        left when the first request comes.
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
    """Count this application's requests from now on. To be installed first, so that the time of the others counts.

    `stores`: asked at each scrape for what it has to add.
    """
    # As many series again, that say when each began to count; several processes together have none anyway.
    disable_created_metrics()  # type: ignore[no-untyped-call]
    counted = CollectorRegistry()
    requests = _RequestMetrics(counted)
    app.before_request(requests.begin)
    app.after_request(requests.record)
    app.teardown_request(requests.end)
    registry = counted
    if ValueClass._multiprocess:  # then what is counted stands in files, those of other processes among them
        requests.open_files()
        registry = CollectorRegistry()
        _AllProcesses(registry)  # type: ignore[no-untyped-call]
    registry.register(stores)
    app.extensions[_KEY] = registry


@blueprint.get("/metrics")
def metrics() -> Response:
    """For Prometheus, inside: a proxy should keep it from the outside.

    :raises MetricsUnreadableError: 503, rather than a part of them.
    """
    try:
        text = generate_latest(current_app.extensions[_KEY])
    except OSError as exc:
        raise MetricsUnreadableError(f"the metrics cannot be read: {exc}") from exc
    response = Response(text, content_type=CONTENT_TYPE_PLAIN_0_0_4)
    response.cache_control.no_store = True
    return response
