"""An answer in pages. A page says where it ends, and the next one begins there: nothing is remembered between them."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from stockapi.calc.aggregator import bucket_bounds
from stockapi.errors import SqliteError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.pages import PageRequest, Place
from stockapi.models.query import QueryParameters
from stockapi.services.data_store.fallback import DataSource
from stockapi.services.data_store.store import DataStore, QueryResult
from stockapi.services.sqlite_store import SqliteReader
from stockapi.services.sqlite_store.ledger import LedgerEntry
from stockapi.services.stores import Stores

_WIDENED: Final = 4
"""How many times longer the next span is that is read, when one had too few bars."""


@dataclass(frozen=True, slots=True)
class Page:
    """The bars of a page. `last`: where it ends; None when no bar follows."""

    result: QueryResult[Bars]
    last: Place | None


@dataclass(slots=True)
class _Gathered:
    """What was read for a page: `wanted` bars, one more than it answers, show that another page follows."""

    wanted: int
    results: list[QueryResult[Bars]] = field(default_factory=list)
    rows: int = 0

    @property
    def lacking(self) -> int:
        return self.wanted - self.rows

    def add(self, result: QueryResult[Bars]) -> None:
        self.results.append(result)
        self.rows += sum(map(len, result.bars.values()))

    def page(self) -> Page:
        bars, left, last = dict[str, Bars](), self.wanted - 1, None
        for symbol, own in (pair for result in self.results for pair in result.bars.items()):
            if not left:
                break
            bars[symbol] = own.take(slice(left))
            left -= len(bars[symbol])
            last = Place(symbol, int(bars[symbol].time[-1]))
        timings = dict[str, float]()
        for store, spent_ms in (pair for result in self.results for pair in result.timings_ms.items()):
            timings[store] = timings.get(store, 0.0) + spent_ms
        renamed = {old: new for result in self.results for old, new in result.renamed.items() if old in bars}
        source = DataSource.of_all(result.source for result in self.results)
        return Page(QueryResult(bars, source, timings, renamed), None if self.lacking > 0 else last)


class Pager:
    """Reads pages, from SQLite or CSV: the next page may come from the other store.

    The order is that of the symbols, then of time. A page reads the series that it answers, so a later page costs no
    more than the first one. Bars that are added, corrected or deleted meanwhile move no other bar to another page.
    """

    def __init__(self, stores: Stores, data_store: DataStore) -> None:
        self._sqlite: SqliteReader = stores.sqlite_store
        self._store = data_store
        self._renames = stores.renames

    def read(self, params: QueryParameters, page: PageRequest, limits: Limits) -> Page:
        """A page of a query.

        :param params: the same for each page of an answer, with an `end`.
        :raises DeadlineError, StoreError, OverloadedError: as `DataStore.get_data_smart_sqlite`.
        :raises TooManyRowsError: when the row budget has no room for the page. More may be read than answered.
        """
        reading = replace(limits, row_budget=RowBudget(sys.maxsize))
        gathered = _Gathered(page.size + 1)
        for query, most in self._queries(params, page, limits):
            limits.admit(most if query.start is None else min(most, page.size))
            gathered.add(self._read(query, gathered.lacking, reading))
            if gathered.lacking <= 0:
                break
        if not gathered.results:
            gathered.add(self._store.get_data_smart_sqlite(replace(params, symbols=()), reading))
        found = gathered.page()
        limits.row_budget.spend(sum(map(len, found.result.bars.values())))
        return found

    def _queries(
        self, params: QueryParameters, page: PageRequest, limits: Limits
    ) -> Iterator[tuple[QueryParameters, int]]:
        """Queries that together have all bars of the page and after it, in order, each with the most bars that it may
        have by the ledger. One of several tickers has no more than the page.
        """
        after = page.after
        entries = self._entries(params, limits)
        if after is not None:
            # Also when the ticker has another name now, or no bars any more.
            rest = replace(params, start=_next_time(after.time, params), limit=None)
            yield _of([after.symbol], rest, entries), _most_rows(rest, entries.get(after.symbol))
        group, rows = list[str](), 0
        for symbol in self._symbols(params, page, limits):
            most = _most_rows(params, entries.get(symbol))
            if group and rows + most > page.size:
                yield _of(group, params, entries), rows
                group, rows = [], 0
            group.append(symbol)
            rows += most
        if group:
            yield _of(group, params, entries), rows

    def _symbols(self, params: QueryParameters, page: PageRequest, limits: Limits) -> list[str]:
        """Those that come after the ticker at which the page begins, in order.

        A ticker that was renamed meanwhile may have its new name among those of the pages before, which did not have
        its bars. Then it is answered where it was to come, under the old name.
        """
        after = page.after
        if params.symbols is not None:
            return sorted(each for each in params.symbols if after is None or each > after.symbol)
        symbols = self._store.get_tickers(params.mode, limits)
        if after is None:
            return sorted(symbols)
        renamed = self._renames.of(params.mode).renamed_since(page.begun_at or 0)
        missed = {old for old, new in renamed.items() if new <= after.symbol}
        return sorted(each for each in symbols | missed if each > after.symbol)

    def _entries(self, params: QueryParameters, limits: Limits) -> Mapping[str, LedgerEntry]:
        """What the ledger knows of each ticker; nothing when SQLite does not answer."""
        with suppress(SqliteError):
            return self._sqlite.entries(params.mode, params.interval.base, deadline=limits.deadline)
        return {}

    def _read(self, query: QueryParameters, lacking: int, limits: Limits) -> QueryResult[Bars]:
        """The bars of the query; of one ticker from a start on, perhaps only the first of them, but at least `lacking`.

        Then a span that has no more bars than are lacking is read first, and a longer one if trade was rare in it.
        """
        start, end = query.start, query.end
        if start is None or end is None or len(query.symbols or ()) != 1:
            return self._store.get_data_smart_sqlite(query, limits)
        span = lacking * _seconds_of(query)
        while True:
            until = min(end, _last_second(start + span, query))
            result = self._store.get_data_smart_sqlite(replace(query, end=until), limits)
            if until == end or sum(map(len, result.bars.values())) >= lacking:
                return result
            span *= _WIDENED


def _of(symbols: list[str], params: QueryParameters, entries: Mapping[str, LedgerEntry]) -> QueryParameters:
    """The query for these symbols; for a single one that the ledger knows, from its first bar on if that is later."""
    first = entries[symbols[0]].first_time if len(symbols) == 1 and symbols[0] in entries else None
    start = params.start if params.start is None or first is None else max(params.start, first)
    return replace(params, symbols=tuple(symbols), start=start)


def _most_rows(params: QueryParameters, entry: LedgerEntry | None) -> int:
    """No ticker has more bars in the range. `entry`: of the ledger, if that knows the ticker."""
    known = sys.maxsize if entry is None else entry.rows
    if params.start is None or params.end is None:
        return min(params.limit or 0, known)
    return min((params.end - params.start) // params.interval.base.seconds + 1, known)


def _seconds_of(params: QueryParameters) -> int:
    """The length of a bar; of one whose length varies, that of the first one."""
    if isinstance(params.interval, Interval):
        return params.interval.seconds
    start, end = bucket_bounds(params.start or 0, params.interval, params.mode)
    return end - start


def _last_second(moment: int, params: QueryParameters) -> int:
    """The last second of the bar at this moment: a range that ends with it cuts no bar."""
    if isinstance(params.interval, Interval):
        return moment
    return bucket_bounds(moment, params.interval, params.mode)[1] - 1


def _next_time(time: int, params: QueryParameters) -> int:
    """No bar after the one of this time begins earlier."""
    if isinstance(params.interval, Interval):
        return time + 1
    return bucket_bounds(time, params.interval, params.mode)[1]
