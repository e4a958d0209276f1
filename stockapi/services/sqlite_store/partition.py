"""One series inside a write transaction: its rows, its ledger entry, its blocks and its pre-rendered rows."""

import sqlite3
from dataclasses import dataclass
from itertools import repeat

import numpy as np

from stockapi.errors import SqliteError
from stockapi.models.bars import Bars
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window
from stockapi.services.sqlite_store.blocks import BlockTable
from stockapi.services.sqlite_store.ledger import LedgerEntry, find_entry
from stockapi.services.sqlite_store.ready_answers import RecentTable
from stockapi.services.sqlite_store.tables import UPSERT_LEDGER, TableInfo, upserts
from stockapi.services.sqlite_store.windows import read_window


@dataclass(frozen=True, slots=True)
class Partition:
    """One series inside a write transaction. Every method raises SqliteError when SQLite fails."""

    connection: sqlite3.Connection
    key: SeriesKey
    now: int
    batch_size: int

    @property
    def table(self) -> TableInfo:
        return TableInfo.of(self.key.mode, self.key.interval)

    @property
    def blocks(self) -> BlockTable:
        return BlockTable.of(self.key.mode, self.key.interval)

    @property
    def texts(self) -> RecentTable:
        return RecentTable.of(self.key.mode, self.key.interval)

    def entry(self) -> LedgerEntry | None:
        return find_entry(self.connection, self.key)

    def bars(self, window: Window) -> Bars:
        return read_window(self.connection, self.key, window)

    def delete(self, bars: Bars) -> None:
        self.connection.executemany(self.table.delete, zip(repeat(self.key.ticker), bars.time.tolist()))
        self.texts.remove(self.connection, self.key.ticker, bars)

    def turn(self, stored: Bars, bars: Bars) -> None:
        """Replace `stored` by `bars`. All times of `stored` are in `bars`. Only new and changed rows are written.

        :raises SqliteError: when the table then holds other rows from the first time on. The caller must roll back.
        """
        changed = _changed(stored, bars)
        for begin in range(0, len(changed), self.batch_size):
            batch = changed.take(slice(begin, begin + self.batch_size))
            for statement, rows in upserts(self.table, self.key.ticker, batch, self.now):
                self.connection.executemany(statement, rows)
        if len(changed):
            self.texts.update(self.connection, self.key.ticker, changed)
        first, last = int(bars.time[0]), int(bars.time[-1])
        held = self.connection.execute(self.table.bounds_since, (self.key.ticker, first)).fetchone()
        if held != (len(bars), first, last):
            raise SqliteError(
                f"{self.table.name} holds (rows, first, last) {held} of {self.key.ticker} from {first} on, "
                f"where {(len(bars), first, last)} was written"
            )

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

    def forget_false_texts(self, bars: Bars) -> None:
        """Delete the pre-rendered rows if they do not agree with `bars`, all bars of the series."""
        if not self.texts.is_true_of(self.connection, self.key.ticker, bars):
            self.connection.execute(self.texts.clear, (self.key.ticker,))

    def record(self, entry: LedgerEntry, bars: Bars, *, are_all: bool = False) -> None:
        """Write the ledger entry and the blocks, at the end of a save or of a batch that is valid by itself.

        :param bars: all bars of the series from the first time of `bars` on; with `are_all`, all bars of the series.
        """
        self.texts.fill(self.connection, self.key.ticker, bars if are_all else None)
        has_blocks = self.blocks.exist(self.connection, self.key.ticker)
        is_recorded = has_blocks and entry == self.entry()
        if not are_all and not is_recorded:
            are_all = not (has_blocks and self.blocks.write(self.connection, self.key.ticker, bars, are_all=False))
            bars = self.bars(WHOLE) if are_all else bars
        if are_all:
            self.blocks.write(self.connection, self.key.ticker, bars, are_all=True)
        if is_recorded:
            return
        values = (entry.rows, entry.first_time, entry.last_time, entry.digest, entry.csv_stamp, self.now)
        self.connection.execute(UPSERT_LEDGER, (entry.ticker, entry.interval.value, *values))


def _changed(stored: Bars, bars: Bars) -> Bars:
    """The bars that are new or differ from `stored`. All times of `stored` are in `bars`."""
    if not len(stored):
        return bars
    is_stored = np.isin(bars.time, stored.time)
    changed = ~is_stored
    changed[is_stored] = bars.take(is_stored).differing_from(stored)
    return bars.take(changed)
