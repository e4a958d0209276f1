"""Read bars and their ledger from SQLite. Nothing here writes, and no object of SQLite leaves this module."""

import sqlite3
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import orjson

from stockapi.calc.cross_section import CrossSection
from stockapi.calc.gaps import Extent
from stockapi.formats.default_rows import TextForm
from stockapi.models.bars import Bars
from stockapi.models.changes import ChangesRequest
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.mode import Mode
from stockapi.models.selection import Selection
from stockapi.models.series import SeriesKey
from stockapi.models.window import MAX_TIME, WHOLE, LastOfEach, Window
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.sqlite_store.behind import NO_COMPARISON, Comparison, behind
from stockapi.services.sqlite_store.blocks import BlockTable
from stockapi.services.sqlite_store.changed_bars import ChangedBars, read_changed
from stockapi.services.sqlite_store.ledger import (
    LedgerEntry,
    find_entry,
    ledger_entries,
    to_entry,
)
from stockapi.services.sqlite_store.partition import are_copies_true
from stockapi.services.sqlite_store.prerendered import PrerenderedTable, PrerenderedText
from stockapi.services.sqlite_store.tables import (
    ABOUT_ROWS,
    SELECT_LAST_TIMES,
    SELECT_LEDGER,
    SELECT_TICKERS,
    TableInfo,
)
from stockapi.services.sqlite_store.windows import check_budget, read_days, read_last_of_each, read_window


@dataclass(frozen=True, slots=True)
class Recorded:
    """One series in one state of the database.

    `entry`: the entry of the ledger; None when it has none. `bars`: the rows, ascending; empty when there are none.
    `has_true_blocks`, `has_true_texts`: the blocks, and the pre-rendered rows, agree with the rows or do not exist.
    """

    entry: LedgerEntry | None
    bars: Bars
    has_true_blocks: bool
    has_true_texts: bool


class SqliteReader:
    """The bars of all markets in SQLite, to read. It never writes."""

    def __init__(self, db_manager: DatabaseManager) -> None:
        self._db = db_manager

    def read_each(
        self,
        selection: Selection,
        *,
        deadline: float | None = None,
        row_budget: RowBudget | None = None,
        from_rows: bool = False,
        comparison: Comparison = NO_COMPARISON,
    ) -> Generator[tuple[str, Bars], None, None]:
        """Yield the window of each selected ticker that SQLite holds, in alphabetical order.

        All windows come from one state of the database. A ticker with an empty window is yielded with empty bars. A
        ticker of which SQLite is behind CSV is left out. The blocks are read first. The rows are read where a block is
        missing or damaged, or always with `from_rows`.

        :raises TooManyRowsError: before reading, when the rows without warm-up exceed the rest of the budget.
        :raises SqliteError, DeadlineError: at any step. The caller must then discard what was yielded before. SQLite
            checks the deadline too rarely while it reads blocks, so the caller must check it between two tickers.
        """
        mode, interval, symbols, window = selection.mode, selection.interval, selection.symbols, selection.window
        with self._db.snapshot(mode, deadline) as connection:
            if row_budget is not None:
                check_budget(connection, TableInfo.of(mode, interval), symbols, window, row_budget)
            left_out, comparison = self._left_out(connection, selection, comparison)
            if from_rows:
                found: Iterable[tuple[str, Bars | None]] = (
                    (each.ticker, None)
                    for each in ledger_entries(connection, interval, symbols)
                    if not comparison.is_behind(selection.key(each.ticker), each.csv_stamp, each.last_time)
                )
            else:
                found = BlockTable.of(mode, interval).read(connection, symbols, window, comparison)
            for ticker, bars in found:
                if ticker in left_out:
                    continue
                if bars is None:
                    bars = read_window(connection, selection.key(ticker), window)
                yield ticker, bars

    def prerendered(
        self,
        form: TextForm,
        selection: Selection,
        limits: Limits,
        comparison: Comparison = NO_COMPARISON,
    ) -> dict[str, PrerenderedText] | None:
        """As `read_each`, but the bars are text, with all fields of `json_format.DEFAULT_FIELDS`.

        Returns None when some of the bars are not pre-rendered. Tickers of which SQLite is behind are left out.

        :raises TooManyRowsError, SqliteError, DeadlineError: as `read_each`.
        """
        found: dict[str, PrerenderedText] = {}
        rows = 0
        with self._db.reading(selection.mode, limits.deadline) as connection:
            texts = PrerenderedTable.of(selection.mode, selection.interval)
            left_out, comparison = self._left_out(connection, selection, comparison)
            for ticker, text in texts.read(connection, form, selection.symbols, selection.window, comparison):
                if ticker in left_out:
                    continue
                if text is None:
                    return None
                rows += text.rows
                limits.row_budget.require(rows)
                found[ticker] = text
        return dict(sorted(found.items()))

    def last_of_each(
        self, which: LastOfEach, *, deadline: float, comparison: Comparison = NO_COMPARISON
    ) -> tuple[CrossSection, list[str]]:
        """The last bar of each stored ticker, and the tickers without one. Tickers of which SQLite is behind are in
        neither.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.snapshot(which.mode, deadline) as connection:
            left_out, _ = self._left_out(connection, Selection(which.mode, which.interval), comparison)
            section, without = read_last_of_each(connection, which)
        if not left_out:
            return section, without
        is_left_out = left_out.__contains__
        return section.keep(lambda symbol: not is_left_out(symbol)), [each for each in without if not is_left_out(each)]

    def read(self, key: SeriesKey, window: Window = WHOLE) -> Bars:
        """The rows of the series, also when the ledger does not know it; empty when there are none.

        :raises SqliteError: when the database cannot be read.
        """
        with self._db.snapshot(key.mode, deadline=float("inf")) as connection:
            return read_window(connection, key, window)

    def read_fast(self, key: SeriesKey, window: Window) -> Bars:
        """As `read`, of a series that the ledger knows, and from its blocks where those can answer.

        :raises SqliteError: when the database cannot be read.
        """
        selection = Selection(key.mode, key.interval, (key.ticker,), window)
        ((_, bars),) = self.read_each(selection, deadline=float("inf"))
        return bars

    def require_tables(self, mode: Mode) -> None:
        """Read the beginning of each table of bars. Damage further inside shows only when that part is read.

        :raises SqliteError: when a table cannot be read.
        """
        for interval in Interval:
            self.read(SeriesKey(mode, "", interval), Window(limit=1))  # no bar has this ticker

    def extents(
        self, selection: Selection, *, deadline: float, comparison: Comparison = NO_COMPARISON
    ) -> dict[str, Extent]:
        """What is stored of each selected ticker, in alphabetical order, from one state of the database. Tickers of
        which SQLite is behind are left out. The window of the selection does not matter.

        Counts and bounds come from the ledger. Only the times of bars are read, to find their days.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.snapshot(selection.mode, deadline) as connection:
            left_out, comparison = self._left_out(connection, selection, comparison)
            known = ledger_entries(connection, selection.interval, selection.symbols)
            entries = {selection.key(each.ticker): each for each in known}
            return {
                key.ticker: Extent(each.first_time, each.last_time, each.rows, read_days(connection, key))
                for key, each in entries.items()
                if key.ticker not in left_out and not comparison.is_behind(key, each.csv_stamp, each.last_time)
            }

    def tickers(self, mode: Mode, *, deadline: float) -> dict[str, str]:
        """The tickers that the ledger knows, in alphabetical order; each is its own value.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.reading(mode, deadline) as connection:
            return {ticker: ticker for (ticker,) in connection.execute(SELECT_TICKERS).fetchall()}

    def last_times(
        self, mode: Mode, interval: Interval, *, deadline: float, comparison: Comparison = NO_COMPARISON
    ) -> dict[str, tuple[int]]:
        """The time of the last bar of each ticker that the ledger knows, in alphabetical order. Tickers of which SQLite
        is behind are left out.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.snapshot(mode, deadline) as connection:
            left_out, _ = self._left_out(connection, Selection(mode, interval), comparison)
            rows = connection.execute(SELECT_LAST_TIMES, (interval.value,)).fetchall()
        return {ticker: (time,) for ticker, time in rows if ticker not in left_out}

    def ledger(self, mode: Mode) -> dict[SeriesKey, LedgerEntry]:
        """The ledger entries of all series of the market; empty when nothing is stored.

        :raises SqliteError: when the database cannot be read.
        """
        with self._db.snapshot(mode) as connection:
            entries = [to_entry(row) for row in connection.execute(SELECT_LEDGER).fetchall()]
        return {SeriesKey(mode, entry.ticker, entry.interval): entry for entry in entries}

    def about_rows(self, selection: Selection, *, deadline: float) -> int:
        """Estimate how many rows the selection has.

        The estimate assumes that the bars of a ticker are spread evenly in time. It reads only the ledger, which takes
        about 0.1 ms for 287 tickers.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        window, symbols = selection.window, selection.symbols
        start, end = window.bounds
        values = {
            "interval": selection.interval.value,
            "symbols": None if symbols is None else orjson.dumps(symbols).decode(),
            "start": start,
            "end": end,
            "limit": MAX_TIME if window.limit is None else window.limit,
            "warmup": window.warmup,
        }
        with self._db.reading(selection.mode, deadline) as connection:
            (rows,) = connection.execute(ABOUT_ROWS, values).fetchone()
        return int(rows)

    def _left_out(
        self, connection: sqlite3.Connection, selection: Selection, comparison: Comparison
    ) -> tuple[frozenset[str], Comparison]:
        """The tickers to leave out, and what to compare each of the other ones with.

        All tickers are compared at once here. Of few tickers, each is compared when its own row is read.
        """
        if selection.symbols is not None or comparison is NO_COMPARISON:
            return frozenset(), comparison
        mode, database = selection.mode, self._db.opened_file(selection.mode)
        return behind(connection, mode, selection.interval, comparison, database), NO_COMPARISON

    def changed(
        self, selection: Selection, request: ChangesRequest, limits: Limits, comparison: Comparison = NO_COMPARISON
    ) -> tuple[ChangedBars, frozenset[str]]:
        """The bars that are new or changed, and the selected tickers of which SQLite is behind CSV: what has changed in
        the files is not known of these yet.

        :raises QueryError, TooManyRowsError, SqliteError, DeadlineError: as `read_changed`.
        """
        mode, interval, symbols = selection.mode, selection.interval, selection.symbols
        with self._db.snapshot(mode, limits.deadline) as connection:
            file = self._db.opened_file(mode)
            if symbols is None:
                late = behind(connection, mode, interval, comparison, file)
            else:
                late = frozenset(
                    each.ticker
                    for each in ledger_entries(connection, interval, symbols)
                    if comparison.is_behind(selection.key(each.ticker), each.csv_stamp, each.last_time)
                )
            return read_changed(connection, selection, request, file[1], limits), late

    def entries(self, mode: Mode, interval: Interval, *, deadline: float) -> dict[str, LedgerEntry]:
        """The ledger entries of an interval, by ticker in alphabetical order.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.reading(mode, deadline) as connection:
            return {each.ticker: each for each in ledger_entries(connection, interval, None)}

    def newest_times(self, selection: Selection, *, deadline: float) -> dict[str, int]:
        """The time (Unix seconds) of the newest bar of each selected ticker that the ledger knows, whatever the window.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.reading(selection.mode, deadline) as connection:
            known = ledger_entries(connection, selection.interval, selection.symbols)
            return {each.ticker: each.last_time for each in known}

    def recorded(self, key: SeriesKey) -> Recorded:
        """Everything that is stored of the series, read in one transaction.

        :raises SqliteError: when the database cannot be read.
        """
        with self._db.snapshot(key.mode, deadline=float("inf")) as connection:
            bars = read_window(connection, key, WHOLE)
            return Recorded(find_entry(connection, key), bars, *are_copies_true(connection, key, bars))

    def entry(self, key: SeriesKey) -> LedgerEntry | None:
        """The ledger entry of the series; None when there is none.

        :raises SqliteError: when the database cannot be read.
        """
        with self._db.reading(key.mode) as connection:
            return find_entry(connection, key)
