"""How much a query makes the stores read, told before anything of it is read."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from stockapi.errors import SqliteError
from stockapi.models.query import QueryParameters
from stockapi.services.data_store.read_plan import ReadPlan
from stockapi.services.stores import Stores

_MOST_TICKERS: Final = 10_000
"""More than any market here has: what is small even then is small without a look at the ledger."""


class QueryCost:
    """Estimates in rows of base bars, of which a process reads, renders and sends some 150,000 a second."""

    def __init__(self, stores: Stores) -> None:
        self._heavy_rows = stores.settings.heavy_query_rows
        self._sqlite = stores.sqlite_store
        self._csv = stores.csv_store

    def is_heavy(self, queries: Iterable[QueryParameters], now: datetime, deadline: float) -> bool:
        """Whether these together read HEAVY_QUERY_ROWS or more. Costs nothing for a few symbols and a few bars.

        :raises DeadlineError: when not even that could be told in time (`time.monotonic()`).
        """
        rows = 0
        for query in queries:
            rows += self._rows(query, now, self._heavy_rows - rows, deadline)
        return rows >= self._heavy_rows

    def _rows(self, query: QueryParameters, now: datetime, enough: int, deadline: float) -> int:
        """An upper bound where that is less than `enough`; else an estimate from what the ledger says is stored."""
        plan = ReadPlan.of(query)
        of_one = most_rows(plan, int(now.timestamp()))
        count = _MOST_TICKERS if query.symbols is None else len(query.symbols)
        if of_one * count < enough:
            return of_one * count
        try:
            return self._sqlite.about_rows(query.mode, plan.base, query.symbols, plan.window, deadline=deadline)
        except SqliteError:
            # CSV answers, or nobody. Then only the bound is known.
            return of_one * (len(self._csv.tickers(query.mode)) if query.symbols is None else count)


def most_rows(plan: ReadPlan, now: int) -> int:
    """At most so many rows of one ticker are read, whatever is stored of it. `now`: Unix seconds."""
    window = plan.window
    if window.start is None:
        return (window.limit or 0) + window.warmup
    end = now if window.end is None else min(window.end, now)
    return window.at_most(max(0, end - window.start) // plan.base.seconds + 1) + window.warmup
