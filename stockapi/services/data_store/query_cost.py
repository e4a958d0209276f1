"""Estimate how many rows a query reads, before it reads any."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from stockapi.errors import SqliteError
from stockapi.models.query import QueryParameters
from stockapi.services.data_store.read_plan import ReadPlan
from stockapi.services.sqlite_store import SqliteReader
from stockapi.services.stores import Stores

_MOST_TICKERS: Final = 10_000
"""More tickers than any market has. A query that is small with so many tickers is small without asking the ledger."""

_BYTES_OF_A_ROW: Final = 4_000
"""600 MB of files are checked in a second; 150,000 rows are read, rendered and sent."""


class QueryCost:
    """Estimates in rows of base bars. A process reads, renders and sends about 150,000 of them a second."""

    def __init__(self, stores: Stores) -> None:
        self._heavy_rows = stores.settings.heavy_query_rows
        self._sqlite: SqliteReader = stores.sqlite_store
        self._csv = stores.csv_store

    def is_large(self, queries: Iterable[QueryParameters], now: datetime, deadline: float) -> bool:
        """Whether these queries together read HEAVY_QUERY_ROWS or more. For few symbols and bars it asks no store.

        :raises DeadlineError: when the deadline (`time.monotonic()`) passes during the estimate.
        """
        rows = 0
        for query in queries:
            rows += self._rows(query, now, self._heavy_rows - rows, deadline)
        return rows >= self._heavy_rows

    def _rows(self, query: QueryParameters, now: datetime, enough: int, deadline: float) -> int:
        """An upper bound if it is less than `enough`; otherwise an estimate from the ledger."""
        plan = ReadPlan.of(query)
        of_one = most_rows(plan, int(now.timestamp()))
        count = _MOST_TICKERS if query.symbols is None else len(query.symbols)
        if of_one * count < enough:
            return of_one * count
        try:
            return self._sqlite.about_rows(plan.selection(query), deadline=deadline)
        except SqliteError:
            # CSV answers, or no store does. Only the upper bound is known.
            return of_one * (len(self._csv.tickers(query.mode)) if query.symbols is None else count)


def rows_of_bytes(work_bytes: int) -> int:
    """How many rows could be answered in the time that it takes to look through bytes of CSV files."""
    return work_bytes // _BYTES_OF_A_ROW


def most_rows(plan: ReadPlan, now: int) -> int:
    """The upper bound of the rows that are read for one ticker, whatever is stored. `now`: Unix seconds."""
    window = plan.window
    if window.start is None:
        return (window.limit or 0) + window.warmup
    end = now if window.end is None else min(window.end, now)
    return window.at_most(max(0, end - window.start) // plan.base.seconds + 1) + window.warmup
