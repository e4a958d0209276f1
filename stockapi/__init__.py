"""OHLCV bars of Vietnamese stocks and crypto coins over HTTP: SQLite first, CSV always."""

from collections.abc import Callable
from datetime import datetime

from flask import Flask

from stockapi import cli, context
from stockapi.api.http import access, admission, compression, error_handlers, headers, limits, path_prefix
from stockapi.api.openapi import document
from stockapi.api.openapi.operations import OPEN_ROUTES, OPERATOR_ROUTES
from stockapi.api.pages import assets, docs, explorer
from stockapi.api.routes import (
    adjustments,
    calendar,
    coverage,
    groups,
    health,
    mcp,
    screener,
    snapshot,
    start,
    symbols,
    tickers,
    udf,
)
from stockapi.api.routes import analysis as analysis_routes
from stockapi.clock import utc_now
from stockapi.config import Settings
from stockapi.logs import configure_logging
from stockapi.markets.tickers import groups_for

__all__ = ["create_app"]


def create_app(settings: Settings | None = None, *, clock: Callable[[], datetime] = utc_now) -> Flask:
    """The WSGI application.

    Without `settings`, a process starts: the settings come from the environment, and logging is configured. This
    function opens no connection. Each thread opens its own at its first query, and so after a fork.

    :raises ConfigError: for a setting that is not allowed, or when the file that a setting names is not.
    """
    # Import it here and not earlier. When it is imported, prometheus_client checks whether several processes count
    # together. Gunicorn sets that for its workers only after the master has imported this package.
    from stockapi.api.routes import metrics
    from stockapi.services.status.metrics import StoreCollector

    if settings is None:
        settings = Settings.load()
        configure_logging(settings.log_level)
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # it would redirect, but this API answers with an error
    for mode in settings.markets:
        groups_for(mode, settings)  # a list that cannot be read stops the start, and not a later request
    services = context.services_of(settings, clock)
    context.install(app, services)
    metrics.install(app, StoreCollector(services.stores, clock))
    access.install(app, settings, OPEN_ROUTES, OPERATOR_ROUTES)
    limits.install(app, settings)
    error_handlers.install(app)
    headers.install(
        app, settings.cors_origins, access.LIMIT_HEADERS if access.Protection.of(settings).is_limited else ()
    )
    compression.install(app)
    assets.install(app, docs.SWAGGER_UI, docs.OWN, explorer.LIBRARY, explorer.OWN)
    bars = (tickers, snapshot, symbols, groups, coverage, adjustments, calendar, analysis_routes, screener, udf)
    answering = (*bars, mcp, health, start, metrics)
    for module in (*answering, document, docs, explorer, assets):
        app.register_blueprint(module.blueprint)
    admission.install(app, settings.max_heavy_queries)
    path_prefix.install(app, settings)
    cli.register(app)
    return app
