"""What is new or has changed since a time or an earlier answer, for clients that keep a copy of a market."""

import time
from dataclasses import dataclass, replace

from stockapi.errors import ChangesError, SqliteError
from stockapi.models.bars import Bars
from stockapi.models.changes import ChangesRequest, Mark
from stockapi.models.limits import Limits
from stockapi.models.pages import Place
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.selection import Selection
from stockapi.models.window import Window
from stockapi.services.data_store.fallback import DataSource, Fallback
from stockapi.services.data_store.lag import Lag
from stockapi.services.data_store.store import DataStore, QueryResult
from stockapi.services.sqlite_store import SqliteReader
from stockapi.services.sqlite_store.changed_bars import ChangedBars
from stockapi.services.stores import Stores

EVERYTHING = "*"


@dataclass(frozen=True, slots=True)
class Changes:
    """The bars that are new or changed, and what else a copy needs to become equal.

    `until`: what the next request begins with. `last`: where a page ends; None when nothing follows.
    `replaced`: the symbols of which a copy must be dropped before it takes the bars: all that is left of them is here.
        `EVERYTHING` alone: drop all.
    `behind`: the symbols of which CSV has bars that are not here; a later answer has them. Both in alphabetical order.
    """

    result: QueryResult[Bars]
    until: Mark
    replaced: list[str]
    behind: list[str]
    last: Place | None


class ChangesReader:
    """Reads changes. Only SQLite knows them."""

    def __init__(self, stores: Stores, data_store: DataStore) -> None:
        self._sqlite: SqliteReader = stores.sqlite_store
        self._csv = stores.csv_store
        self._store = data_store
        self._fallback = Fallback(stores)
        self._lag = Lag(stores)
        self._renames = stores.renames

    def read(self, params: QueryParameters, request: ChangesRequest, limits: Limits) -> Changes:
        """The changes of the bars of a query of a stored interval, by present names: an old name that is asked for
        counts as the new one.

        :raises QueryError, TooManyRowsError, DeadlineError: as `read_changed`.
        :raises ChangesError: when SQLite does not answer.
        """
        started, names = time.perf_counter(), self._renames.of(params.mode)
        asked = names.old(params.symbols)
        symbols = params.symbols and tuple(sorted({*params.symbols, *asked.values()}))
        window = Window(start=params.start, end=params.end, indicators=params.indicators is not Indicators.NONE)
        selection = Selection(params.mode, params.interval.base, symbols, window)
        found, behind = self._changed(selection, replace(request, renamed=asked), limits)
        limits.row_budget.spend(sum(map(len, found.bars.values())))
        renamed = {**asked, **names.old(found.replaced)}
        replaced = found.replaced if not found.is_everything else [EVERYTHING] if request.after is None else []
        timings_ms = {DataSource.SQLITE.value: (time.perf_counter() - started) * 1000}
        result = QueryResult(self._store.presented(found.bars, params), DataSource.SQLITE, timings_ms, renamed)
        return Changes(result, found.until, replaced, behind, found.last)

    def _changed(self, selection: Selection, request: ChangesRequest, limits: Limits) -> tuple[ChangedBars, list[str]]:
        if not self._fallback.uses_sqlite:
            raise ChangesError("SQLite is not in use, and CSV does not tell what has changed")
        try:
            found, late = self._sqlite.changed(selection, request, limits, self._lag.checked_within(limits))
        except SqliteError as exc:
            raise ChangesError(f"CSV does not tell what has changed: {exc}") from exc
        if self._fallback.may_lack(selection.mode, selection.symbols, found.stored):
            missing = self._fallback.missing(selection.mode, selection.symbols, found.stored)
            late |= {ticker for ticker in missing if self._csv.stamp(selection.key(ticker))}
        return found, sorted(late)
