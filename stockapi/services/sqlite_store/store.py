"""Read and write bars in SQLite, with their ledger.

Callers give and get `Bars` and plain values; no object of SQLite leaves this module. Another SQL store would need the
public methods of `SqliteStore`, and nothing else.
"""

import logging
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event

import numpy as np
import orjson

from stockapi.calc.cross_section import CrossSection
from stockapi.calc.gaps import Extent
from stockapi.formats.default_rows import TextForm
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import MAX_TIME, WHOLE, Window
from stockapi.services.database_manager import NEVER, DatabaseManager
from stockapi.services.sqlite_store.behind import NO_COMPARISON, Comparison, behind
from stockapi.services.sqlite_store.blocks import BlockTable
from stockapi.services.sqlite_store.ledger import (
    UNFINISHED,
    LedgerEntry,
    advanced,
    describes,
    find_entry,
    ledger_entries,
    to_entry,
    whole,
)
from stockapi.services.sqlite_store.partition import Partition, are_copies_true, clear_copies, write_copies
from stockapi.services.sqlite_store.prerendered import PrerenderedTable, PrerenderedText
from stockapi.services.sqlite_store.tables import (
    ABOUT_ROWS,
    DELETE_LEDGER_ENTRY,
    SELECT_LEDGER,
    SELECT_WITHOUT_COPIES,
    SET_CSV_STAMP,
    SET_HAS_COPIES,
    TableInfo,
)
from stockapi.services.sqlite_store.windows import check_budget, read_days, read_last_of_each, read_window

__all__ = ["Recorded", "SqliteStore"]

log = logging.getLogger(__name__)

_LINES_OF_PROGRESS = 10


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


class SqliteStore:
    """The bars of all markets in SQLite."""

    def __init__(self, db_manager: DatabaseManager) -> None:
        self._db = db_manager

    # Reading

    def read_each(
        self,
        mode: Mode,
        interval: Interval,
        symbols: Sequence[str] | None,
        window: Window,
        *,
        deadline: float | None = None,
        row_budget: RowBudget | None = None,
        from_rows: bool = False,
        comparison: Comparison = NO_COMPARISON,
    ) -> Generator[tuple[str, Bars], None, None]:
        """Yield the window of each requested ticker (None: all) that SQLite holds, in alphabetical order.

        All windows come from one state of the database. A ticker with an empty window is yielded with empty bars. A
        ticker of which SQLite is behind CSV is left out. The blocks are read first. The rows are read where a block is
        missing or damaged, or always with `from_rows`.

        :raises TooManyRowsError: before reading, when the rows without warm-up exceed the rest of the budget.
        :raises SqliteError, DeadlineError: at any step. The caller must then discard what was yielded before. SQLite
            checks the deadline too rarely while it reads blocks, so the caller must check it between two tickers.
        """
        table = TableInfo.of(mode, interval)
        with self._db.snapshot(mode, deadline) as connection:
            if row_budget is not None:
                check_budget(connection, table, symbols, window, row_budget)
            left_out, comparison = self._left_out(connection, mode, interval, symbols, comparison)
            if from_rows:
                found: Iterable[tuple[str, Bars | None]] = (
                    (each.ticker, None)
                    for each in ledger_entries(connection, interval, symbols)
                    if not comparison.is_behind(SeriesKey(mode, each.ticker, interval), each.csv_stamp, each.last_time)
                )
            else:
                found = BlockTable.of(mode, interval).read(connection, symbols, window, comparison)
            for ticker, bars in found:
                if ticker in left_out:
                    continue
                if bars is None:
                    bars = read_window(connection, SeriesKey(mode, ticker, interval), window)
                yield ticker, bars

    def prerendered(
        self,
        form: TextForm,
        mode: Mode,
        interval: Interval,
        symbols: Sequence[str] | None,
        window: Window,
        limits: Limits,
        comparison: Comparison = NO_COMPARISON,
    ) -> dict[str, PrerenderedText] | None:
        """As `read_each`, but the bars are text, with all fields of `json_format.DEFAULT_FIELDS`.

        Returns None when some of the bars are not pre-rendered. Tickers of which SQLite is behind are left out.

        :raises TooManyRowsError, SqliteError, DeadlineError: as `read_each`.
        """
        found: dict[str, PrerenderedText] = {}
        rows = 0
        with self._db.reading(mode, limits.deadline) as connection:
            texts = PrerenderedTable.of(mode, interval)
            left_out, comparison = self._left_out(connection, mode, interval, symbols, comparison)
            for ticker, text in texts.read(connection, form, symbols, window, comparison):
                if ticker in left_out:
                    continue
                if text is None:
                    return None
                rows += text.rows
                limits.row_budget.require(rows)
                found[ticker] = text
        return dict(sorted(found.items()))

    def last_of_each(
        self,
        mode: Mode,
        interval: Interval,
        end: int | None,
        *,
        deadline: float,
        comparison: Comparison = NO_COMPARISON,
    ) -> tuple[CrossSection, list[str]]:
        """The last bar up to `end` (Unix seconds; None: the newest) of each stored ticker, and the tickers without one.
        Tickers of which SQLite is behind are in neither.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.snapshot(mode, deadline) as connection:
            left_out, _ = self._left_out(connection, mode, interval, None, comparison)
            section, without = read_last_of_each(connection, mode, interval, MAX_TIME if end is None else end)
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
        ((_, bars),) = self.read_each(key.mode, key.interval, (key.ticker,), window, deadline=float("inf"))
        return bars

    def require_tables(self, mode: Mode) -> None:
        """Read the beginning of each table of bars. Damage further inside shows only when that part is read.

        :raises SqliteError: when a table cannot be read.
        """
        for interval in Interval:
            self.read(SeriesKey(mode, "", interval), Window(limit=1))  # no bar has this ticker

    def extents(
        self,
        mode: Mode,
        interval: Interval,
        symbols: Sequence[str] | None,
        *,
        deadline: float,
        comparison: Comparison = NO_COMPARISON,
    ) -> dict[str, Extent]:
        """What is stored of each requested ticker (None: all), in alphabetical order, from one state of the database.
        Tickers of which SQLite is behind are left out.

        Counts and bounds come from the ledger. Only the times of bars are read, to find their days.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.snapshot(mode, deadline) as connection:
            left_out, comparison = self._left_out(connection, mode, interval, symbols, comparison)
            entries = {
                SeriesKey(mode, each.ticker, interval): each for each in ledger_entries(connection, interval, symbols)
            }
            return {
                key.ticker: Extent(each.first_time, each.last_time, each.rows, read_days(connection, key))
                for key, each in entries.items()
                if key.ticker not in left_out and not comparison.is_behind(key, each.csv_stamp, each.last_time)
            }

    def ledger(self, mode: Mode) -> dict[SeriesKey, LedgerEntry]:
        """The ledger entries of all series of the market; empty when nothing is stored.

        :raises SqliteError: when the database cannot be read.
        """
        with self._db.snapshot(mode) as connection:
            entries = [to_entry(row) for row in connection.execute(SELECT_LEDGER).fetchall()]
        return {SeriesKey(mode, entry.ticker, entry.interval): entry for entry in entries}

    def about_rows(
        self, mode: Mode, interval: Interval, symbols: Sequence[str] | None, window: Window, *, deadline: float
    ) -> int:
        """Estimate how many rows the windows of these tickers (None: all) have.

        The estimate assumes that the bars of a ticker are spread evenly in time. It reads only the ledger, which takes
        about 0.1 ms for 287 tickers.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        start, end = window.bounds
        values = {
            "interval": interval.value,
            "symbols": None if symbols is None else orjson.dumps(symbols).decode(),
            "start": start,
            "end": end,
            "limit": MAX_TIME if window.limit is None else window.limit,
            "warmup": window.warmup,
        }
        with self._db.reading(mode, deadline) as connection:
            (rows,) = connection.execute(ABOUT_ROWS, values).fetchone()
        return int(rows)

    def _left_out(
        self,
        connection: sqlite3.Connection,
        mode: Mode,
        interval: Interval,
        symbols: Sequence[str] | None,
        comparison: Comparison,
    ) -> tuple[frozenset[str], Comparison]:
        """The tickers to leave out, and what to compare each of the other ones with.

        All tickers are compared at once here. Of few tickers, each is compared when its own row is read.
        """
        if symbols is not None or comparison is NO_COMPARISON:
            return frozenset(), comparison
        return behind(connection, mode, interval, comparison, self._db.opened_file(mode)), NO_COMPARISON

    def newest_times(
        self, mode: Mode, interval: Interval, symbols: Sequence[str] | None, *, deadline: float
    ) -> dict[str, int]:
        """The time (Unix seconds) of the newest bar of each requested ticker (None: all) that the ledger knows.

        :raises SqliteError: when the database cannot be read.
        :raises DeadlineError: when the deadline (`time.monotonic()`) passes.
        """
        with self._db.reading(mode, deadline) as connection:
            return {each.ticker: each.last_time for each in ledger_entries(connection, interval, symbols)}

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

    # Writing

    def save_tail(self, key: SeriesKey, bars: Bars, *, expected_stamp: str, csv_stamp: str, now: int) -> bool:
        """Replace the stored bars from the first time of `bars` on by `bars`; earlier bars stay.

        Returns False, with nothing changed, in two cases. SQLite is not in step with the CSV file before this save
        (`expected_stamp`, "" for no file). Or SQLite holds bars in this range that `bars` lacks.

        :raises SqliteError: when SQLite cannot write; what was not committed is rolled back.
        """
        with self._partition(key, now) as partition:
            entry = partition.entry()
            stored = partition.bars(Window(start=int(bars.time[0])))
            if (entry.csv_stamp if entry else "") != expected_stamp or not np.isin(stored.time, bars.time).all():
                return False
            if entry is not None and (len(stored) or len(bars) <= partition.batch_size):
                partition.turn(stored, bars)
                partition.record(advanced(entry, stored, bars, csv_stamp), bars)
                return True
        self._grow(key, entry, bars, csv_stamp, now)
        return True

    def replace(self, key: SeriesKey, bars: Bars, *, csv_stamp: str, now: int) -> None:
        """Replace all bars of the series by `bars`, in one transaction. Readers see either the old or the new bars.

        Equal rows are not touched. Changed rows keep their id and created_at.

        :raises SqliteError: when SQLite cannot write; then the old bars stay.
        """
        with self._partition(key, now) as partition:
            stored, entry = partition.bars(WHOLE), partition.entry()
            if len(stored):
                kept = np.isin(stored.time, bars.time)
                partition.delete(stored.take(~kept))
                partition.turn(stored.take(kept), bars)
                partition.record(whole(key, bars, csv_stamp), bars, are_all=True)
                return
            if entry is not None:  # of rows that are gone
                partition.connection.execute(DELETE_LEDGER_ENTRY, (key.ticker, key.interval.value))
        self._grow(key, None, bars, csv_stamp, now)

    def set_csv_stamp(self, key: SeriesKey, csv_stamp: str) -> None:
        """Record that the CSV file with this stamp holds the same bars.

        :raises SqliteError: when SQLite cannot write.
        """
        with self._db.transaction(key.mode) as connection:
            connection.execute(SET_CSV_STAMP, (csv_stamp, key.ticker, key.interval.value, csv_stamp))

    def remove(self, key: SeriesKey) -> None:
        """Remove a series: rows, ledger, blocks and pre-rendered texts, in one transaction.

        :raises SqliteError: when SQLite cannot write; all is still there then.
        """
        with self._partition(key, 0) as partition:
            partition.delete(partition.bars(WHOLE))
            partition.connection.execute(DELETE_LEDGER_ENTRY, (key.ticker, key.interval.value))
            clear_copies(partition.connection, key)

    def forget(self, key: SeriesKey) -> bool:
        """Remove a series from the ledger. Returns False, with nothing changed, when the series has bars.

        :raises SqliteError: when SQLite cannot write.
        """
        with self._db.transaction(key.mode) as connection:
            if len(read_window(connection, key, Window(limit=1))):
                return False
            connection.execute(DELETE_LEDGER_ENTRY, (key.ticker, key.interval.value))
            clear_copies(connection, key)
            return True

    def fill_copies(self, mode: Mode, stop: Event = NEVER) -> int:
        """Backfill the blocks and texts of each series that has none, as after the migration that added them.

        Progress is logged. When `stop` is set, it ends after the current series.

        :returns: the number of series that got them.
        :raises SqliteError: when SQLite cannot write; those of earlier series stay.
        """
        count = 0
        for interval in Interval:
            with self._db.snapshot(mode) as connection:
                lacking = connection.execute(SELECT_WITHOUT_COPIES, (interval.value,)).fetchall()
            for number, (ticker,) in enumerate(lacking, start=1):
                if stop.is_set():
                    return count
                count += self._fill_copies(SeriesKey(mode, ticker, interval))
                if number * _LINES_OF_PROGRESS // len(lacking) > (number - 1) * _LINES_OF_PROGRESS // len(lacking):
                    log.info(
                        "%s %s: blocks and texts of %d series of %d", mode.value, interval.value, number, len(lacking)
                    )
        return count

    def _fill_copies(self, key: SeriesKey) -> bool:
        """Returns False, with nothing written, when the ledger does not describe the rows: they need a repair first."""
        with self._db.transaction(key.mode) as connection:
            bars = read_window(connection, key, WHOLE)
            if not describes(find_entry(connection, key), bars):
                return False
            write_copies(connection, key, bars)
            connection.execute(SET_HAS_COPIES, (key.ticker, key.interval.value))
            return True

    def _grow(self, key: SeriesKey, entry: LedgerEntry | None, bars: Bars, csv_stamp: str, now: int) -> None:
        """Append bars, one transaction for each batch.

        After each batch, the ledger entry of an existing series describes the rows so far. A new series gets its
        ledger entry with the last batch, because readers must not take its first part for the whole series.
        """
        size = self._db.settings.sqlite_batch_size
        nothing = bars.take(slice(0))
        for begin in range(0, len(bars), size):
            chunk = bars.take(slice(begin, begin + size))
            is_last = begin + size >= len(bars)
            with self._partition(key, now) as partition:
                partition.require(entry, bars.take(slice(begin)))
                partition.turn(nothing, chunk)
                if entry is not None:
                    entry = advanced(entry, nothing, chunk, csv_stamp if is_last else UNFINISHED)
                    partition.record(entry, chunk)
                elif is_last:
                    partition.record(whole(key, bars, csv_stamp), bars, are_all=True)

    @contextmanager
    def _partition(self, key: SeriesKey, now: int) -> Iterator[Partition]:
        with self._db.transaction(key.mode) as connection:
            yield Partition(connection, key, now, self._db.settings.sqlite_batch_size)
