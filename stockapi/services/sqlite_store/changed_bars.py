"""Read the bars that are new or changed since a time or a mark, from the rows and the record of changes."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from stockapi.errors import QueryError
from stockapi.models.bars import Bars
from stockapi.models.changes import ChangesRequest, Mark
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.models.pages import Place
from stockapi.models.selection import Selection
from stockapi.models.window import MAX_TIME, MIN_TIME
from stockapi.services.sqlite_store.changes import WHOLLY, Changed, ChangesLog, changes_after, position
from stockapi.services.sqlite_store.ledger import rows_by_ticker
from stockapi.services.sqlite_store.tables import TableInfo, to_bars

_MOST_REPLACED: Final = 400
"""The most symbols that an answer names: they stand in a header, and proxies take headers of some kilobytes."""
_ROWS_AT_ONCE: Final = 4_096


@dataclass(slots=True)
class ChangedBars:
    """What has changed. `bars`: by ticker in alphabetical order, those that are new or changed, and all of `replaced`.

    `stored`: the tickers of the market or of the query that the ledger knows, with the number of their bars.
    `replaced`: the tickers of which a copy must be dropped; those without bars here have none any more.
    `is_everything`: all copies must be dropped. `until`: how far this reaches. `last`: where the page ends; None when
    nothing follows.
    """

    until: Mark
    is_everything: bool
    stored: Mapping[str, int]
    bars: dict[str, Bars] = field(default_factory=dict)
    replaced: list[str] = field(default_factory=list)
    last: Place | None = None


class _Rows:
    """Rows of many tickers, ascending by ticker and time, converted to bars many at a time: one by one takes 25
    microseconds for each ticker.
    """

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._names: list[str] = []
        self._rows: list[Any] = []
        self._parts: dict[str, list[Bars]] = {}
        self.last: Place | None = None
        """The last bar that was added."""

    def add(self, ticker: str, rows: Sequence[Any]) -> None:
        if rows:
            self.last = Place(ticker, rows[-1][0])
        self._names += [ticker] * len(rows)
        self._rows += rows
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._convert()

    def bars(self) -> dict[str, Bars]:
        self._convert()
        return {
            ticker: parts[0] if len(parts) == 1 else Bars.concatenate(parts) for ticker, parts in self._parts.items()
        }

    def _convert(self) -> None:
        if not self._rows:
            return
        bars, begin = to_bars(self._rows, self._mode), 0
        for ticker, names in groupby(self._names):
            stop = begin + sum(1 for _ in names)
            self._parts.setdefault(ticker, []).append(bars.take(slice(begin, stop)))
            begin = stop
        self._names, self._rows = [], []


def read_changed(
    connection: sqlite3.Connection, selection: Selection, request: ChangesRequest, file: int, limits: Limits
) -> ChangedBars:
    """The changes in one state of the database.

    :param file: a number that another file in the place of this database does not have.
    :raises QueryError: when the page before was one of another database.
    :raises TooManyRowsError: when there are more than the budget has left, and no page is wanted.
    :raises SqliteError, DeadlineError, AbandonedError: at any step.
    """
    log = ChangesLog.of(connection)
    now = Mark(f"{log.log}{file:x}", log.seq, log.at)
    if request.until is not None and request.until.database != now.database:
        raise QueryError("the page before is of another state of the database; allowed: to begin again without cursor")
    known = position(connection, log, now.database, request.since)
    stored = rows_by_ticker(connection, selection.interval, selection.symbols)
    changed = {} if known is None else changes_after(connection, known[0], selection.interval, selection.symbols)
    # Who has a copy of a ticker under its old name lacks what the new name had before.
    changed |= {new: WHOLLY for old, new in request.renamed.items() if old in changed}
    is_long = request.size is None and sum(each.is_whole for each in changed.values()) > _MOST_REPLACED
    if known is None or is_long:
        changed = dict.fromkeys(stored, WHOLLY)
    rows = sum(stored.get(ticker, 0) for ticker, each in changed.items() if each.is_whole)
    limits.admit(rows if request.size is None else min(rows, request.size))
    return _Reading(connection, selection, request, limits).read(
        {ticker: (each, ticker in stored) for ticker, each in sorted(changed.items())},
        MIN_TIME if known is None else known[1],
        ChangedBars(request.until or now, known is None or is_long, stored),
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    connection: sqlite3.Connection
    selection: Selection
    request: ChangesRequest
    limits: Limits

    def read(self, changed: Mapping[str, tuple[Changed, bool]], at: int, found: ChangedBars) -> ChangedBars:
        """Read into `found`.

        :param changed: by ticker in alphabetical order, each with whether the ledger knows it.
        :param at: changed rows of a series that is not whole were written then or later.
        """
        rows, after, size = _Rows(self.selection.mode), self.request.after, self.request.size
        left, done = self._room, ""
        for ticker, (each, is_stored) in self.limits.within(changed.items(), "reading changed bars"):
            begun = None if after is None or ticker > after.symbol else after
            if begun is not None and (ticker < begun.symbol or begun.time == MAX_TIME):
                continue
            is_named = each.is_whole and begun is None and not found.is_everything
            if is_named and size is not None and len(found.replaced) == _MOST_REPLACED:
                found.last = Place(done, MAX_TIME)
                break
            written_since = MIN_TIME if each.is_whole else at
            count = self._take(rows, (ticker, *self._times(each, begun), written_since), left) if is_stored else 0
            if is_named and (left or not count):
                found.replaced.append(ticker)
            if count > left:
                self.limits.row_budget.require(0 if size is not None else self._room + 1)
                found.last = rows.last
                break
            left, done = left - count, ticker
        found.bars = rows.bars()
        return found

    @property
    def _room(self) -> int:
        """The most bars that may be answered."""
        budget = self.limits.row_budget
        most = budget.limit - budget.spent
        return most if self.request.size is None else min(self.request.size, most)

    def _times(self, each: Changed, begun: Place | None) -> tuple[int, int]:
        start, end = self.selection.window.bounds
        return max(each.first, start, MIN_TIME if begun is None else begun.time + 1), min(each.last, end)

    def _take(self, rows: _Rows, wanted: tuple[str, int, int, int], left: int) -> int:
        """Add at most `left` bars of a ticker. Returns how many there are; for more than that, one more."""
        table = TableInfo.of(self.selection.mode, self.selection.interval)
        statement = table.select_written[self.selection.window.indicators]
        cursor, count = self.connection.execute(statement, (*wanted, left + 1)), 0
        while part := cursor.fetchmany(_ROWS_AT_ONCE):
            rows.add(wanted[0], part[: max(0, left - count)])
            count += len(part)
        return count
