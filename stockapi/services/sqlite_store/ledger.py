"""The ledger: a catalog of the stored series. It changes in the same transaction as the bars."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stockapi.calc.digest import digest, replaced, to_text
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.damage import damage_in, has_types
from stockapi.services.sqlite_store.tables import (
    SELECT_HAS_COPIES,
    SELECT_LEDGER_ENTRY,
    SELECT_LEDGER_OF_INTERVAL,
    SELECT_ROWS,
)

_TYPES = (str, str, int, int, int, str, str)

UNFINISHED = "0:0:0"
"""The stamp while a save is under way: one of long ago, of no file."""


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What SQLite holds of one ticker and interval. Times are Unix seconds.

    `csv_stamp`: the stamp of the CSV file with the same bars; "" for none, `UNFINISHED` while a save
    is not finished.
    """

    ticker: str
    interval: Interval
    rows: int
    first_time: int
    last_time: int
    digest: str
    csv_stamp: str


def advanced(entry: LedgerEntry, stored: Bars, bars: Bars, csv_stamp: str) -> LedgerEntry:
    """The ledger entry after `stored`, a part of the series, is replaced by `bars`."""
    return LedgerEntry(
        entry.ticker,
        entry.interval,
        entry.rows - len(stored) + len(bars),
        min(entry.first_time, int(bars.time[0])),
        max(entry.last_time, int(bars.time[-1])),
        to_text(replaced(int(entry.digest, 16), digest(stored), digest(bars))),
        csv_stamp,
    )


def whole(key: SeriesKey, bars: Bars, csv_stamp: str) -> LedgerEntry:
    first, last = int(bars.time[0]), int(bars.time[-1])
    return LedgerEntry(key.ticker, key.interval, len(bars), first, last, to_text(digest(bars)), csv_stamp)


def describes(entry: LedgerEntry | None, bars: Bars) -> bool:
    """Whether the entry describes exactly these bars, to the last digit. None describes no bars."""
    if entry is None:
        return not len(bars)
    return (entry.rows, entry.digest) == (len(bars), to_text(digest(bars)))


def ledger_entries(
    connection: sqlite3.Connection, interval: Interval, symbols: Sequence[str] | None
) -> list[LedgerEntry]:
    if symbols is None:
        return [to_entry(row) for row in connection.execute(SELECT_LEDGER_OF_INTERVAL, (interval.value,)).fetchall()]
    entries = [_find(connection, symbol, interval) for symbol in sorted(symbols)]
    return [entry for entry in entries if entry is not None]


def rows_by_ticker(connection: sqlite3.Connection, interval: Interval, symbols: Sequence[str] | None) -> dict[str, int]:
    """The number of bars of each requested ticker (None: all) that the ledger knows. It takes an eighth of the time of
    the entries.

    :raises SqliteError: as damage, when a row is not one that this program writes.
    """
    with damage_in("a row of the ledger"):
        found = dict(connection.execute(SELECT_ROWS, (interval.value,)).fetchall())
        if not all(isinstance(rows, int) and is_symbol(ticker) for ticker, rows in found.items()):
            raise ValueError(repr(found))
    return found if symbols is None else {ticker: found[ticker] for ticker in symbols if ticker in found}


def find_entry(connection: sqlite3.Connection, key: SeriesKey) -> LedgerEntry | None:
    return _find(connection, key.ticker, key.interval)


def has_copies(connection: sqlite3.Connection, key: SeriesKey) -> bool:
    """Whether the blocks and texts of the series are valid: those of its rows, unless they are damaged."""
    row = connection.execute(SELECT_HAS_COPIES, (key.ticker, key.interval.value)).fetchone()
    return row is not None and bool(row[0])


def _find(connection: sqlite3.Connection, ticker: str, interval: Interval) -> LedgerEntry | None:
    row = connection.execute(SELECT_LEDGER_ENTRY, (ticker, interval.value)).fetchone()
    return None if row is None else to_entry(row)


def to_entry(row: tuple[Any, ...]) -> LedgerEntry:
    """:raises SqliteError: as damage, when the row is not one that this program writes."""
    ticker, interval, rows, first_time, last_time, text, stamp = row
    with damage_in("a row of the ledger"):
        if not has_types(row, _TYPES) or not is_symbol(ticker) or int(text, 16) < 0:
            raise ValueError(repr(row))
        return LedgerEntry(ticker, Interval(interval), rows, first_time, last_time, text, stamp)
