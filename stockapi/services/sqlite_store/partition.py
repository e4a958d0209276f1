"""One series inside a write transaction: its rows, its ledger entry, its blocks and its pre-rendered rows."""

import sqlite3
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from stockapi.errors import SqliteError
from stockapi.models.bars import Bars
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window
from stockapi.services.sqlite_store import changes
from stockapi.services.sqlite_store.blocks import BlockTable
from stockapi.services.sqlite_store.changes import Changed
from stockapi.services.sqlite_store.ledger import LedgerEntry, find_entry, has_copies
from stockapi.services.sqlite_store.prerendered import PrerenderedTable
from stockapi.services.sqlite_store.tables import UPSERT_LEDGER, TableInfo, upserts
from stockapi.services.sqlite_store.windows import read_window


@dataclass(frozen=True, slots=True)
class Partition:
    """One series inside a write transaction. Every method raises SqliteError when SQLite fails.

    `now`: Unix seconds, not before the last change that is recorded.
    """

    connection: sqlite3.Connection
    key: SeriesKey
    now: int
    batch_size: int

    @property
    def table(self) -> TableInfo:
        return TableInfo.of(self.key.mode, self.key.interval)

    def entry(self) -> LedgerEntry | None:
        return find_entry(self.connection, self.key)

    def bars(self, window: Window) -> Bars:
        return read_window(self.connection, self.key, window)

    def delete(self, bars: Bars) -> None:
        self.connection.executemany(self.table.delete, zip(repeat(self.key.ticker), bars.time.tolist()))

    def turn(self, stored: Bars, bars: Bars) -> Bars:
        """Replace `stored` by `bars`. All times of `stored` are in `bars`. Only new and changed rows are written.

        :returns: the bars of these rows.
        :raises SqliteError: when the table then holds other rows from the first time on. The caller must roll back.
        """
        changed = _changed(stored, bars)
        for begin in range(0, len(changed), self.batch_size):
            batch = changed.take(slice(begin, begin + self.batch_size))
            for statement, rows in upserts(self.table, self.key.ticker, batch, self.now):
                self.connection.executemany(statement, rows)
        first, last = int(bars.time[0]), int(bars.time[-1])
        held = self.connection.execute(self.table.bounds_since, (self.key.ticker, first)).fetchone()
        if held != (len(bars), first, last):
            raise SqliteError(
                f"{self.table.name} holds (rows, first, last) {held} of {self.key.ticker} from {first} on, "
                f"where {(len(bars), first, last)} was written"
            )
        return changed

    def require(self, entry: LedgerEntry | None, written: Bars) -> None:
        """That a save in several transactions goes on where it was: another database may have come in between.

        :param written: what it has written so far.
        :raises SqliteError: when the ledger or the table is not as it was left.
        """
        is_there = True
        if len(written):
            first, last = int(written.time[0]), int(written.time[-1])
            held = self.connection.execute(self.table.bounds_since, (self.key.ticker, first)).fetchone()
            is_there = held == (len(written), first, last)
        if not is_there or self.entry() != entry:
            raise SqliteError(f"the save of {self.key} met another database than it began with")

    def record(self, entry: LedgerEntry, bars: Bars, changed: Changed | None, *, are_all: bool = False) -> None:
        """Write the ledger entry, the copies and the change, at the end of a save or of a batch that is valid
        by itself.

        :param bars: all bars of the series from the first time of `bars` on; with `are_all`, all bars of the series.
        :param changed: what clients do not know yet; None for nothing.
        """
        if changed is not None:
            changes.record(self.connection, self.key, changed, self.now)
        has_true_copies = has_copies(self.connection, self.key)
        is_recorded = has_true_copies and entry == self.entry()
        if are_all:
            write_copies(self.connection, self.key, bars)
        elif not is_recorded and not (has_true_copies and self._write_newest_copies(bars)):
            write_copies(self.connection, self.key, self.bars(WHOLE))
        if is_recorded:
            return
        values = (entry.rows, entry.first_time, entry.last_time, entry.digest, entry.csv_stamp, self.now)
        self.connection.execute(UPSERT_LEDGER, (entry.ticker, entry.interval.value, *values))

    def _write_newest_copies(self, bars: Bars) -> bool:
        """Returns False when the block before `bars` is damaged: then all copies have to be written."""
        blocks, texts = _copies(self.key)
        if not blocks.write(self.connection, self.key.ticker, bars, are_all=False):
            return False
        texts.write(self.connection, self.key, bars, are_all=False)
        return True


def write_copies(connection: sqlite3.Connection, key: SeriesKey, bars: Bars) -> None:
    """Make blocks and texts those of `bars`, all bars of the series. Equal ones are not touched."""
    blocks, texts = _copies(key)
    blocks.write(connection, key.ticker, bars, are_all=True)
    texts.write(connection, key, bars, are_all=True)


def are_copies_true(connection: sqlite3.Connection, key: SeriesKey, bars: Bars) -> tuple[bool, bool]:
    """Whether the blocks, and the texts, are those of `bars`, all bars of the series. Both True when there are none."""
    if not has_copies(connection, key):
        return True, True
    blocks, texts = _copies(key)
    return blocks.are_true_of(connection, key.ticker, bars), texts.are_true_of(connection, key, bars)


def clear_copies(connection: sqlite3.Connection, key: SeriesKey) -> None:
    for table in _copies(key):
        connection.execute(table.clear, (key.ticker,))


def _copies(key: SeriesKey) -> tuple[BlockTable, PrerenderedTable]:
    return BlockTable.of(key.mode, key.interval), PrerenderedTable.of(key.mode, key.interval)


def _changed(stored: Bars, bars: Bars) -> Bars:
    """The bars that are new or differ from `stored`. All times of `stored` are in `bars`."""
    if not len(stored):
        return bars
    is_stored = np.isin(bars.time, stored.time)
    changed = ~is_stored
    changed[is_stored] = bars.take(is_stored).differing_from(stored)
    return bars.take(changed)
