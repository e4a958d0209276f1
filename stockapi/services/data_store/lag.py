"""Of which series SQLite is behind CSV: those that CSV answers, though SQLite knows them."""

import logging
import os

from stockapi.errors import CsvError
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store import FILE_NAMES, changed_ns
from stockapi.services.data_store.query_cost import rows_of_bytes
from stockapi.services.sqlite_store.behind import NO_COMPARISON, Comparison, DatabaseFile
from stockapi.services.stores import Stores

log = logging.getLogger(__name__)


class Lag:
    """Compares the file of a series with the stamp in the ledger, at each query: one `stat`, 3 microseconds.

    It does not matter why SQLite is behind: a database that was locked, full or read-only, a rebuild, an old backup, a
    power cut, a killed writer, a time without SQLITE_WRITES. The comparison is made with the ledger that the same read
    transaction sees, so no swap of the database can come between.
    """

    def __init__(self, stores: Stores) -> None:
        self._csv = stores.csv_store
        self._is_used = stores.settings.fallback_to_csv
        self._roots = {mode: os.fspath(stores.settings.data_dir(mode)) for mode in Mode}
        self._in_step: dict[tuple[Mode, Interval], _State] = {}
        """The state in which all series of an interval were last found in step: for queries of all tickers, which would
        make a `stat` of each otherwise, a millisecond for 287.
        """

    def checked_within(self, limits: Limits) -> Comparison:
        """The comparison for one request; it ends at the deadline of that. Without FALLBACK_TO_CSV SQLite is never
        behind.
        """
        return _Within(self, limits) if self._is_used else NO_COMPARISON

    def may_be_behind(self, key: SeriesKey, csv_stamp: object) -> bool:
        """Whether the file has changed since the ledger recorded it. The inode does not count: a copy has another. A
        ledger without a stamp (an upgrade has reset it) says nothing.
        """
        recorded = changed_ns(str(csv_stamp))
        if recorded < 0:
            return False
        path = f"{self._roots[key.mode]}/{key.ticker}/{FILE_NAMES[key.interval]}"
        try:
            return os.stat(path).st_mtime_ns > recorded  # noqa: PTH116 - a `Path` of each would take twice as long
        except OSError:  # no file, or none that this process may see: CSV has nothing to answer with
            return False

    def is_ahead(self, key: SeriesKey, last_time: object) -> bool:
        """Whether the file may answer: it is whole, and no shorter. What others have left in it is for a repair."""
        try:
            newest = self._csv.newest_if_whole(key)
        except CsvError as exc:
            log.warning("%s: SQLite answers, though it may be behind CSV: %s", key, exc)
            return False
        return newest is not None and isinstance(last_time, int) and newest >= last_time

    def work_bytes(self, key: SeriesKey) -> int:
        """How many bytes `is_ahead` looks through."""
        return self._csv.work_bytes(key.mode, key.interval, [key.ticker])

    def state(self, mode: Mode, database: DatabaseFile) -> "_State | None":
        """None when files have never been written: then nothing can be remembered."""
        written = self._csv.written_ns(mode)
        return None if written is None else (database, written)

    def found(self, mode: Mode, interval: Interval) -> "_State | None":
        return self._in_step.get((mode, interval))

    def remember(self, mode: Mode, interval: Interval, state: "_State") -> None:
        self._in_step[mode, interval] = state


_State = tuple[DatabaseFile, int]
"""The database file, and when a CSV file of the market was last written."""


class _Within:
    """The comparison for one request."""

    def __init__(self, lag: Lag, limits: Limits) -> None:
        self._lag = lag
        self._limits = limits
        self._begun: _State | None = None
        self._work_bytes = 0

    def is_behind(self, key: SeriesKey, csv_stamp: object, last_time: object) -> bool:
        """:raises DeadlineError, AbandonedError, OverloadedError: as `Limits`."""
        if not self._lag.may_be_behind(key, csv_stamp):
            return False
        self._limits.check("comparing SQLite with CSV files")
        self._work_bytes += self._lag.work_bytes(key)
        self._limits.admit(rows_of_bytes(self._work_bytes))
        return self._lag.is_ahead(key, last_time)

    def are_in_step(self, mode: Mode, interval: Interval, database: DatabaseFile) -> bool:
        # Before the series are compared: what is written meanwhile must differ from this.
        self._begun = self._lag.state(mode, database)
        return self._begun is not None and self._begun == self._lag.found(mode, interval)

    def found_in_step(self, mode: Mode, interval: Interval, _database: DatabaseFile) -> None:
        if self._begun is not None:
            self._lag.remember(mode, interval, self._begun)
