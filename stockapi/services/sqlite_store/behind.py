"""Which series a reader takes from CSV, because SQLite is behind, asked for the state that its statement sees."""

import sqlite3
from collections.abc import Sequence
from typing import Protocol

import orjson

from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.services.sqlite_store.tables import SELECT_STAMPS

DatabaseFile = tuple[int, int]
"""Device and inode of the database that a connection has open."""


class Comparison(Protocol):
    """Compares the ledger with the CSV files."""

    def is_behind(self, key: SeriesKey, csv_stamp: object, last_time: object) -> bool:
        """Whether SQLite is behind, by the stamp and the last time (Unix seconds) of the ledger. Damage makes anything
        of the two.
        """

    def are_in_step(self, mode: Mode, interval: Interval, database: DatabaseFile) -> bool:
        """Whether all series were in step when they were last compared, and no file was written since."""

    def found_in_step(self, mode: Mode, interval: Interval, database: DatabaseFile) -> None:
        """To be told after all series were compared, which `are_in_step` began."""


class NoComparison:
    """For whoever wants what SQLite holds, whatever CSV has."""

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
    symbols: Sequence[str] | None,
    comparison: Comparison,
    database: DatabaseFile,
) -> frozenset[str]:
    """The tickers of those asked for (None: all) of which SQLite, as this connection sees it, is behind CSV."""
    if comparison is NO_COMPARISON or (symbols is None and comparison.are_in_step(mode, interval, database)):
        return frozenset()
    named = None if symbols is None else orjson.dumps(symbols).decode()
    held = connection.execute(SELECT_STAMPS, {"interval": interval.value, "symbols": named}).fetchall()
    found = frozenset(
        ticker
        for ticker, stamp, last_time in held
        if is_symbol(str(ticker)) and comparison.is_behind(SeriesKey(mode, ticker, interval), stamp, last_time)
    )
    if symbols is None and not found:
        comparison.found_in_step(mode, interval, database)
    return found
