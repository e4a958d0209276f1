"""The container of services. The views, the commands and the workers of one process share it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import Flask, current_app

from stockapi.config import Settings
from stockapi.markets import cache_max_age_s
from stockapi.services.data_store import DataStore
from stockapi.services.data_store.changes import ChangesReader
from stockapi.services.data_store.coverage import CoverageReader
from stockapi.services.data_store.paging import Pager
from stockapi.services.data_store.query_cost import QueryCost
from stockapi.services.rotations import Rotations
from stockapi.services.snapshots import Snapshots
from stockapi.services.stores import Stores
from stockapi.services.symbols import Symbols

_KEY = "stockapi"


@dataclass(frozen=True, slots=True)
class Services:
    """The services that views and commands use. `create_app` makes them once.

    `clock`: the present moment, with a time zone.
    `started`: `time.monotonic()` when the application was made.
    """

    stores: Stores
    data_store: DataStore
    pager: Pager
    changes: ChangesReader
    coverage: CoverageReader
    symbols: Symbols
    snapshots: Snapshots
    rotations: Rotations
    query_cost: QueryCost
    clock: Callable[[], datetime]
    started: float

    @property
    def settings(self) -> Settings:
        return self.stores.settings

    def cache_max_age_s(self) -> int:
        """How many seconds a client may cache an answer with bars that is given now."""
        return cache_max_age_s(self.clock(), self.settings.markets)


def services_of(settings: Settings, clock: Callable[[], datetime]) -> Services:
    """New services. They open no connection. Each thread opens its own at its first query, and so after a fork."""
    stores = Stores.of(settings)
    data_store = DataStore(stores)
    return Services(
        stores=stores,
        data_store=data_store,
        pager=Pager(stores, data_store),
        changes=ChangesReader(stores, data_store),
        coverage=CoverageReader(stores),
        symbols=Symbols(stores, data_store),
        snapshots=Snapshots(data_store),
        rotations=Rotations(data_store),
        query_cost=QueryCost(stores),
        clock=clock,
        started=time.monotonic(),
    )


def install(app: Flask, services: Services) -> None:
    app.extensions[_KEY] = services


def services() -> Services:
    """The services of the application that answers the current request or runs the current command."""
    return cast(Services, current_app.extensions[_KEY])
