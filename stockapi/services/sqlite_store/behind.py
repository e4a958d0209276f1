"""Find the series in which SQLite is behind CSV, in the state of the database that a reader sees."""

import sqlite3
from typing import Protocol

from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.services.sqlite_store.tables import SELECT_STAMPS

DatabaseFile = tuple[int, int]
"""The device and inode of the database that a connection has open."""


class Comparison(Protocol):
    """Compares the ledger with the CSV files."""

    def is_behind(self, key: SeriesKey, csv_stamp: object, last_time: object) -> bool:
        """Whether SQLite is behind. `csv_stamp`, `last_time` (Unix seconds): the values of the ledger. In a damaged row
        they may have any type.
        """

    def are_in_step(self, mode: Mode, interval: Interval, database: DatabaseFile) -> bool:
        """Whether all series were in step at the last comparison, and no file was written after it."""

    def found_in_step(self, mode: Mode, interval: Interval, database: DatabaseFile) -> None:
        """Call it when a comparison of all series found them in step. `are_in_step` must be called before it."""


class NoComparison:
    """For readers that want the rows of SQLite, also when CSV is newer."""

    def is_behind(self, _key: SeriesKey, _csv_stamp: object, _last_time: object) -> bool:
        return False

    def are_in_step(self, _mode: Mode, _interval: Interval, _database: DatabaseFile) -> bool:
        return True

    def found_in_step(self, _mode: Mode, _interval: Interval, _database: DatabaseFile) -> None:
        pass


NO_COMPARISON = NoComparison()


def behind(
    connection: sqlite3.Connection,
    mode: Mode,
    interval: Interval,
    comparison: Comparison,
    database: DatabaseFile,
) -> frozenset[str]:
    """All tickers in which SQLite, in the state of this connection, is behind CSV."""
    if comparison.are_in_step(mode, interval, database):
        return frozenset()
    held = connection.execute(SELECT_STAMPS, (interval.value,)).fetchall()
    found = frozenset(
        ticker
        for ticker, stamp, last_time in held
        if is_symbol(str(ticker)) and comparison.is_behind(SeriesKey(mode, ticker, interval), stamp, last_time)
    )
    if not found:
        comparison.found_in_step(mode, interval, database)
    return found
