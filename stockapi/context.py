"""The container of services: what the views, the commands and the workers of one process share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import Flask, current_app

from stockapi.config import Settings
from stockapi.services.csv_store import CsvStore
from stockapi.services.data_store import DataStore
from stockapi.services.data_store.query_cost import QueryCost
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_manager.bookkeeping import Bookkeeping

_KEY = "stockapi"


@dataclass(frozen=True, slots=True)
class Services:
    """The collaborators of views and commands, built once by `create_app`.

    `clock`: the present moment, with a time zone.
    `started`: `time.monotonic()` when the application was made.
    """

    settings: Settings
    db_manager: DatabaseManager
    bookkeeping: Bookkeeping
    csv_store: CsvStore
    data_store: DataStore
    query_cost: QueryCost
    clock: Callable[[], datetime]
    started: float


def install(app: Flask, services: Services) -> None:
    app.extensions[_KEY] = services


def services() -> Services:
    """Those of the application that answers the current request, or runs the current command."""
    return cast(Services, current_app.extensions[_KEY])
