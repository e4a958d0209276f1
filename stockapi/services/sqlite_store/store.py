"""Write bars in SQLite, with their ledger. `reader` has the reading half.

Callers give and get `Bars` and plain values; no object of SQLite leaves these two modules. Another SQL store would need
the public methods of `SqliteStore`, with those that it has from `SqliteReader`, and nothing else.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import numpy as np

from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window
from stockapi.services.database_manager import NEVER
from stockapi.services.sqlite_store import changes
from stockapi.services.sqlite_store.changes import WHOLLY, ChangesLog, span_of
from stockapi.services.sqlite_store.ledger import (
    UNFINISHED,
    LedgerEntry,
    advanced,
    describes,
    find_entry,
    whole,
)
from stockapi.services.sqlite_store.partition import Partition, clear_copies, write_copies
from stockapi.services.sqlite_store.reader import SqliteReader
from stockapi.services.sqlite_store.tables import (
    DELETE_LEDGER_ENTRY,
    SELECT_WITHOUT_COPIES,
    SET_CSV_STAMP,
    SET_HAS_COPIES,
)
from stockapi.services.sqlite_store.windows import read_window

log = logging.getLogger(__name__)

_LINES_OF_PROGRESS = 10


class SqliteStore(SqliteReader):
    """The bars of all markets in SQLite, to read and to write."""

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
                changed = span_of(partition.turn(stored, bars))
                partition.record(advanced(entry, stored, bars, csv_stamp), bars, changed)
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
                turned = partition.turn(stored.take(kept), bars)
                # Nobody is told which bars were deleted, and when most have changed it is simpler to send all. Without
                # an entry nobody was told of the rows that are there: they are of a save that a crash has ended.
                is_another = entry is None or not kept.all() or 2 * len(turned) >= len(bars)
                changed = WHOLLY if is_another else span_of(turned)
                partition.record(whole(key, bars, csv_stamp), bars, changed, are_all=True)
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

    def remove(self, key: SeriesKey, now: int) -> None:
        """Remove a series: rows, ledger, blocks and pre-rendered texts, in one transaction.

        :raises SqliteError: when SQLite cannot write; all is still there then.
        """
        with self._partition(key, now) as partition:
            stored = partition.bars(WHOLE)
            partition.delete(stored)
            _leave_ledger(partition, was_there=len(stored) > 0 or partition.entry() is not None)

    def forget(self, key: SeriesKey, now: int = 0) -> bool:
        """Remove a series from the ledger. Returns False, with nothing changed, when the series has bars.

        `now`: Unix seconds; 0 for the time of the last change.

        :raises SqliteError: when SQLite cannot write.
        """
        with self._partition(key, now) as partition:
            if len(partition.bars(Window(limit=1))):
                return False
            _leave_ledger(partition, was_there=partition.entry() is not None)
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
                    partition.record(entry, chunk, span_of(chunk))
                elif is_last:
                    partition.record(whole(key, bars, csv_stamp), bars, WHOLLY, are_all=True)

    @contextmanager
    def _partition(self, key: SeriesKey, now: int) -> Iterator[Partition]:
        with self._db.transaction(key.mode) as connection:
            # A clock that was set back must not give a change an earlier time than the one before it.
            moment = max(now, ChangesLog.of(connection).at)
            yield Partition(connection, key, moment, self._db.settings.sqlite_batch_size)


def _leave_ledger(partition: Partition, *, was_there: bool) -> None:
    """Forget a series that has no rows any more."""
    if was_there:
        changes.record(partition.connection, partition.key, WHOLLY, partition.now)
    partition.connection.execute(DELETE_LEDGER_ENTRY, (partition.key.ticker, partition.key.interval.value))
    clear_copies(partition.connection, partition.key)
