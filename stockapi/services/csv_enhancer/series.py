"""A series that is open for one operation. Its lock is held, and the stamp of its file is read once."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from stockapi.calc.indicators import enhance
from stockapi.errors import CsvError, SqliteError, StoreError
from stockapi.models.bars import Bars
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE, Window
from stockapi.services.csv_enhancer.conflict import Difference, Evidence
from stockapi.services.csv_enhancer.replicas import ReplicaPair, quarantine_rejected, read_replicas
from stockapi.services.csv_enhancer.stats import EnhancementStats, SaveResult
from stockapi.services.sqlite_store.ledger import LedgerEntry
from stockapi.services.stores import Stores

log = logging.getLogger(__name__)

_locks: dict[SeriesKey, threading.RLock] = {}


def series_lock(key: SeriesKey) -> threading.RLock:
    """The lock of a series in this process. Every save and repair holds it from the first store to the second."""
    return _locks.setdefault(key, threading.RLock())


@contextmanager
def open_series(stores: Stores, key: SeriesKey, now: datetime) -> Iterator["OpenSeries"]:
    """Open the series to read, compute and write in one step. No other thread saves it during that time.

    :raises CsvError: when what is done with it takes more memory than there is: that is of this series alone.
    """
    with series_lock(key):
        try:
            yield OpenSeries(stores, key, now)
        except MemoryError as exc:
            raise CsvError(f"{key} does not fit into memory") from exc


@contextmanager
def csv_alone_if_allowed(stores: Stores, what: object) -> Iterator[list[SqliteError]]:
    """The documented fallback of every write. SQLite's error goes to the log and into the list, and work continues.

    :raises SqliteError: when FALLBACK_TO_CSV is off.
    """
    errors: list[SqliteError] = []
    try:
        yield errors
    except SqliteError as exc:
        if not stores.settings.fallback_to_csv:
            raise
        errors.append(exc)
        log.error("%s goes on with CSV alone until SQLite works again: %s", what, exc)


class OpenSeries:
    """One series in both stores. `open_series` makes it; it is valid for one operation."""

    def __init__(self, stores: Stores, key: SeriesKey, now: datetime) -> None:
        self.key = key
        self._stores = stores
        self._settings = stores.settings
        self._now = now
        self._stamp: str | None = None
        self._entry: LedgerEntry | None = None
        """The entry of the ledger when it was last read."""

    @property
    def stamp(self) -> str:
        """The stamp of the CSV file, from the first request or the last write; "" when there is no file."""
        if self._stamp is None:
            self._stamp = self._stores.csv_store.stamp(self.key)
        return self._stamp

    def read(self, window: Window = WHOLE) -> Bars:
        """The bars of the window, from CSV."""
        return self._stores.csv_store.read(self.key, window).bars

    def held(self, window: Window) -> Bars:
        """The bars of the window: while the stores are in step, from the blocks of SQLite, in a fraction of the time
        that the file takes.

        :raises SqliteError: when SQLite fails and FALLBACK_TO_CSV is off.
        """
        if self._settings.sqlite_writes:
            with csv_alone_if_allowed(self._stores, self.key):
                if self._entry is None:
                    self._entry = self._stores.sqlite_store.entry(self.key)
                if self._entry is not None and self._entry.csv_stamp == self.stamp:
                    return self._stores.sqlite_store.read_fast(self.key, window)
        return self.read(window)

    def enhanced(self, bars: Bars) -> Bars:
        """`bars` with their indicators, computed from these bars only."""
        return enhance(bars, self.key.mode, is_index=self.is_index)

    @property
    def is_index(self) -> bool:
        return self._settings.is_index(self.key.ticker, self.key.mode)

    def save(self, part: Bars, cutoff: int | None) -> SaveResult:
        """Replace the bars at or after `cutoff` (Unix seconds; None: all bars) by `part`. It has indicators and is not
        empty.

        :raises StoreError: as `save_enhanced_csv_and_sqlite`.
        """
        before = self.stamp
        started = time.perf_counter()
        csv_bytes = self._write_csv(part, cutoff)
        csv_done = time.perf_counter()
        error = self._save_to_sqlite(part, before, rewrite_all=cutoff is None)
        sqlite_seconds = time.perf_counter() - csv_done
        return SaveResult(len(part), csv_bytes, csv_done - started, sqlite_seconds).without_sqlite(error)

    def reconcile_if_out_of_step(self) -> SqliteError | None:
        """`reconcile` if the stamp of the CSV file is not the one in the ledger.

        :returns: SQLite's error when SQLite failed and the work may continue with CSV only; otherwise None.
        :raises StoreError: as `save_enhanced_csv_and_sqlite`.
        """
        if not self._settings.sqlite_writes:
            return None
        with self._behind_unless_done() as errors:
            self._stores.db_manager.upgrade(self.key.mode)
            self._entry = self._stores.sqlite_store.entry(self.key)
            if ("" if self._entry is None else self._entry.csv_stamp) != self.stamp:
                _, error = self.reconcile()
                errors += [error] if error is not None else []
        return errors[0] if errors else None

    def reconcile(
        self, *, rewrite: bool = False, prefer_possible: bool = False
    ) -> tuple[EnhancementStats, SqliteError | None]:
        """Bring both stores to the right bars, with indicators computed anew: see `reconcile_series`.

        :returns: what it did, and SQLite's error when it continued without SQLite (otherwise None).
        """
        started = time.perf_counter()
        pair, error = self._read_replicas(prefer_possible=prefer_possible)
        read_done = time.perf_counter()
        bars = self.enhanced(pair.chosen(self._now))
        computed = time.perf_counter()
        csv_bytes = self._reconcile_csv(pair, bars, rewrite=rewrite)
        csv_done = time.perf_counter()
        # A database that could not be read must not be replaced: it may hold the only copy of a bar.
        if error is None and len(bars):
            error = self._save_to_sqlite(bars, "", rewrite_all=True)
        sqlite_done = time.perf_counter()
        has_written = error is None and self._settings.sqlite_writes
        stats = EnhancementStats(
            tickers=1,
            records=len(bars),
            duration=sqlite_done - started,
            indicator_seconds=computed - read_done,
            csv_seconds=csv_done - computed,
            sqlite_seconds=sqlite_done - csv_done,
            bytes_written=csv_bytes,
            csv_changed=Difference.between(pair.in_csv, bars).total,
            sqlite_changed=Difference.between(pair.in_sqlite, bars).total if has_written else 0,
            quarantined=len(pair.resolution.refused) + len(pair.unstorable) + len(pair.untimely(self._now)),
            evidence=() if pair.resolution.evidence is Evidence.SAME else (pair.resolution.evidence,),
            sqlite_faults=() if error is None else (error.fault,),
        )
        return stats, error

    def right_bars(self) -> tuple[Bars, SqliteError | None]:
        """The right bars of both stores. If SQLite cannot be read: those of CSV, and its error."""
        pair, error = self._pair_or_csv()
        return pair.resolution.bars, error

    def rewrite(self, make: Callable[[Bars], Bars]) -> None:
        """Replace the right bars of both stores by what `make` returns for them, perhaps none: then neither store knows
        the series any more. To do it twice does no harm.

        :raises SqliteError: when SQLite fails, even if FALLBACK_TO_CSV is on; CSV is written then.
        :raises CsvError: when CSV cannot be read or written.
        """
        pair, error = self._pair_or_csv()
        quarantine_rejected(self._stores, self.key, pair, self._now)
        bars = make(pair.resolution.bars)
        if len(bars):
            bars = self.enhanced(bars)
            self._write_csv(bars, None)
        else:
            self._stores.csv_store.remove(self.key)
        if error is not None:
            raise error
        seconds = int(self._now.timestamp())
        if self._has_database and len(bars):
            self._stores.sqlite_store.replace(self.key, bars, csv_stamp=self.stamp, now=seconds)
            self._compare_replicas(bars)
        elif self._has_database:
            self._stores.sqlite_store.remove(self.key, seconds)
        self._stores.behind.discard(self.key)

    @property
    def _has_database(self) -> bool:
        return self._settings.sqlite_writes and self._settings.database_path(self.key.mode).exists()

    def _pair_or_csv(self) -> tuple[ReplicaPair, SqliteError | None]:
        try:
            return read_replicas(self._stores, self.key, with_sqlite=self._has_database), None
        except SqliteError as exc:
            return read_replicas(self._stores, self.key, with_sqlite=False), exc

    def recover_to_csv(self) -> None:
        """Write to CSV the bars that SQLite has, where CSV lacks them or is wrong. SQLite is not written.

        :raises SqliteError: when SQLite cannot be read, even if FALLBACK_TO_CSV is on.
        """
        pair = read_replicas(self._stores, self.key)
        self._reconcile_csv(pair, self.enhanced(pair.chosen(self._now)), rewrite=False)

    def _write_csv(self, part: Bars, cutoff: int | None) -> int:
        """:returns: the bytes written."""
        self._stamp = None
        if cutoff is None:
            return self._stores.csv_store.write(self.key, part)
        return self._stores.csv_store.write_tail(self.key, part, cutoff)

    def _save_to_sqlite(self, part: Bars, stamp_before: str, *, rewrite_all: bool) -> SqliteError | None:
        """:returns: SQLite's error when the save continued without SQLite; otherwise None."""
        if not self._settings.sqlite_writes:
            return None
        sqlite, seconds = self._stores.sqlite_store, int(self._now.timestamp())
        with self._behind_unless_done() as errors:
            if rewrite_all:
                sqlite.replace(self.key, part, csv_stamp=self.stamp, now=seconds)
            elif not sqlite.save_tail(self.key, part, expected_stamp=stamp_before, csv_stamp=self.stamp, now=seconds):
                log.warning("%s was not the same in both stores; reconciling it", self.key)
                _, error = self.reconcile()
                errors += [error] if error is not None else []
            else:
                self._compare_replicas(part)
        return errors[0] if errors else None

    @contextmanager
    def _behind_unless_done(self) -> Iterator[list[SqliteError]]:
        """As `csv_alone_if_allowed`. Until the work has succeeded, SQLite is known to be behind in this series."""
        self._stores.behind.add(self.key)
        with csv_alone_if_allowed(self._stores, self.key) as errors:
            yield errors
            if not errors:
                self._stores.behind.discard(self.key)

    def _compare_replicas(self, part: Bars) -> None:
        """Read the saved bars back from both stores: at most the newest batch of them.

        :raises StoreError: when the stores differ; the next save or start reconciles the series.
        """
        window = Window(start=int(part.tail(self._settings.sqlite_batch_size).time[0]))
        if not self.read(window).equals(self._stores.sqlite_store.read(self.key, window)):
            self._stores.sqlite_store.set_csv_stamp(self.key, "")
            raise StoreError(f"{self.key} reads back differently from CSV and from SQLite")

    def _read_replicas(self, *, prefer_possible: bool) -> tuple[ReplicaPair, SqliteError | None]:
        """Both stores, or CSV only: when SQLite is not in use, or, with its error, when it cannot be read. Makes a
        missing database.
        """
        errors: list[SqliteError] = []
        if self._settings.sqlite_writes:
            with csv_alone_if_allowed(self._stores, self.key) as errors:
                self._stores.db_manager.upgrade(self.key.mode)
                return read_replicas(self._stores, self.key, prefer_possible=prefer_possible), None
        return read_replicas(self._stores, self.key, with_sqlite=False), errors[0] if errors else None

    def _reconcile_csv(self, pair: ReplicaPair, bars: Bars, *, rewrite: bool) -> int:
        """:returns: bytes written; 0 when the file already holds exactly `bars`."""
        quarantine_rejected(self._stores, self.key, pair, self._now)
        if not (rewrite or pair.parsed.damaged) and bars.equals(pair.in_csv):
            return 0
        return self._write_csv(bars, None)
