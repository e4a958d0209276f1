"""The dual write: bars with their indicators go to CSV, durably, and then to SQLite.

The two are kept in step by a stamp. Each write of a CSV file changes the file's stamp (inode, size, time of change),
and the ledger in SQLite says which stamp its bars are the same as. Whatever comes between the two writes - a crash, a
locked or full or missing database, a power cut that takes SQLite's last commits, an edit by hand - leaves the stamps
different, so the next save or start sees it and settles the partition. There is no marker to forget.
"""

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

from stockapi.calc.indicators import enhance
from stockapi.errors import CsvError, SqliteError, StoreError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.window import Window
from stockapi.services.csv_enhancer.both_sides import Sides, read_sides, set_aside
from stockapi.services.csv_enhancer.evidence import Difference, Evidence
from stockapi.services.csv_enhancer.stats import EnhancementStats, SaveResult
from stockapi.services.csv_store import CsvStore
from stockapi.services.csv_store.quarantine import Quarantine
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.sqlite_store import SqliteStore

__all__ = [
    "EnhancementStats",
    "SaveResult",
    "csv_alone_if_allowed",
    "enhance_interval_filtered_with_sqlite",
    "rescue",
    "save_enhanced_csv_and_sqlite",
    "series_lock",
    "settle",
    "settle_if_out_of_step",
    "stored_tickers",
]

log = logging.getLogger(__name__)


def save_enhanced_csv_and_sqlite(
    ticker: str,
    bars: Bars,
    interval: Interval,
    cutoff_date: int | None,
    rewrite_all: bool,
    mode: Mode,
    db_manager: DatabaseManager,
    csv_store: CsvStore,
    now: datetime,
) -> SaveResult:
    """Save enhanced bars to both stores.

    With `rewrite_all`, `bars` becomes all there is. Otherwise the bars from `cutoff_date` on (Unix seconds; None: all
    of `bars`) take the place of the stored ones from there on, and must cover every stored time from there on. No
    bars, no change.

    :raises CsvError: when the CSV file could not be written, or a stored bar would be lost; nothing has changed then.
    :raises SqliteError: when SQLite failed and FALLBACK_TO_CSV is off; CSV is ahead until the next save or start.
    :raises StoreError: when the two sides hold different bars after the save.
    """
    part = bars if rewrite_all else bars.between(cutoff_date, None)
    if not len(part):
        return SaveResult()
    cutoff = int(part.time[0]) if cutoff_date is None else cutoff_date
    return _Partition(ticker, interval, mode, db_manager, csv_store, now).save(part, None if rewrite_all else cutoff)


def settle(
    ticker: str,
    interval: Interval,
    mode: Mode,
    db_manager: DatabaseManager,
    csv_store: CsvStore,
    now: datetime,
    *,
    rewrite: bool = False,
    prefer_possible: bool = False,
) -> EnhancementStats:
    """Bring both stores to the same bars, the right ones by the evidence there is, indicators computed anew.

    Writes only the side that differs; with `rewrite` the CSV file in any case. Lines of the file that are no bars, and
    bars that only one side has although the ledger proves they were never stored, go to the quarantine first.

    :param prefer_possible: see `choose`.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    stats, _ = _Partition(ticker, interval, mode, db_manager, csv_store, now, rewrite, prefer_possible).settle()
    return stats


def rescue(
    ticker: str, interval: Interval, mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore, now: datetime
) -> None:
    """Bring to CSV what a damaged database still has and CSV lacks or has wrong. The database is not written.

    :raises SqliteError: when the series cannot be read from it, whatever FALLBACK_TO_CSV says.
    :raises CsvError: when the file cannot be read or written.
    """
    _Partition(ticker, interval, mode, db_manager, csv_store, now).rescue()


def settle_if_out_of_step(
    ticker: str, interval: Interval, mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore, now: datetime
) -> SqliteError | None:
    """`settle` when the CSV file is not in the state SQLite's bars are the same as: before anything is built on it.

    :returns: SQLite's error when it failed and the work may go on with CSV alone.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    if not db_manager.settings.sqlite_writes:
        return None
    with csv_alone_if_allowed(db_manager, f"{mode.value} {ticker} {interval.value}") as errors:
        db_manager.upgrade(mode)
        in_sqlite = SqliteStore(db_manager).csv_stamp(mode, ticker, interval)
        if in_sqlite != csv_store.stamp(mode, ticker, interval):
            _, error = _Partition(ticker, interval, mode, db_manager, csv_store, now).settle()
            errors += [error] if error is not None else []
    return errors[0] if errors else None


def enhance_interval_filtered_with_sqlite(
    interval: Interval,
    mode: Mode,
    tickers_filter: Iterable[str] | None,
    db_manager: DatabaseManager,
    csv_store: CsvStore,
    now: datetime,
) -> EnhancementStats:
    """Compute the indicators of every stored ticker (or those of the filter) anew and save what changed to both stores.

    :raises StoreError: as `save_enhanced_csv_and_sqlite`; tickers before the failing one are saved.
    """
    started = time.perf_counter()
    tickers = stored_tickers(interval, mode, db_manager, csv_store)
    wanted = tickers if tickers_filter is None else sorted(set(tickers) & set(tickers_filter))
    total = EnhancementStats()
    for ticker in wanted:
        total += settle(ticker, interval, mode, db_manager, csv_store, now)
    return replace(total, duration=time.perf_counter() - started)


def stored_tickers(interval: Interval, mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore) -> list[str]:
    """The tickers either store has bars of, in alphabetical order; those of CSV alone when SQLite cannot be read.

    One whose file cannot even be looked at is among them: whatever is done to it fails, and nothing done to the others.

    :raises StoreError: when SQLite cannot be read and FALLBACK_TO_CSV is off.
    """
    tickers = {ticker for ticker in csv_store.tickers(mode) if _may_have_bars(mode, ticker, interval, csv_store)}
    if db_manager.settings.sqlite_writes:
        with csv_alone_if_allowed(db_manager, f"{mode.value} {interval.value}"):
            tickers |= {ticker for ticker, each in SqliteStore(db_manager).ledger(mode) if each is interval}
    return sorted(tickers)


def _may_have_bars(mode: Mode, ticker: str, interval: Interval, csv_store: CsvStore) -> bool:
    try:
        return csv_store.stamp(mode, ticker, interval) != ""
    except CsvError:  # not swallowed: whoever works on the series meets it again
        return True


@contextmanager
def csv_alone_if_allowed(db_manager: DatabaseManager, what: str) -> Iterator[list[SqliteError]]:
    """The documented fallback of every write: SQLite's error goes to the log and into the list, and work goes on.

    :raises SqliteError: when FALLBACK_TO_CSV is off.
    """
    errors: list[SqliteError] = []
    try:
        yield errors
    except SqliteError as exc:
        if not db_manager.settings.fallback_to_csv:
            raise
        errors.append(exc)
        log.error("%s goes on with CSV alone until SQLite works again: %s", what, exc)


_locks: dict[tuple[Mode, str, Interval], threading.RLock] = {}


def series_lock(mode: Mode, ticker: str, interval: Interval) -> threading.RLock:
    """Held through every save and repair of a series in this process, from the first store to the second."""
    return _locks.setdefault((mode, ticker, interval), threading.RLock())


@dataclass(frozen=True, slots=True)
class _Partition:
    """One ticker and interval in both stores."""

    ticker: str
    interval: Interval
    mode: Mode
    db_manager: DatabaseManager
    csv_store: CsvStore
    now: datetime
    rewrite: bool = False
    prefer_possible: bool = False

    def __str__(self) -> str:
        return f"{self.mode.value} {self.ticker} {self.interval.value}"

    @property
    def key(self) -> tuple[Mode, str, Interval]:
        return self.mode, self.ticker, self.interval

    @property
    def sqlite(self) -> SqliteStore:
        return SqliteStore(self.db_manager)

    def save(self, part: Bars, cutoff: int | None) -> SaveResult:
        """`part` takes the place of the bars from `cutoff` on; None: of all."""
        with series_lock(*self.key):
            before = self.csv_store.stamp(*self.key)
            started = time.perf_counter()
            if cutoff is None:
                csv_bytes = self.csv_store.write(*self.key, part)
            else:
                csv_bytes = self.csv_store.write_tail(*self.key, part, cutoff)
            csv_done = time.perf_counter()
            error = self.save_to_sqlite(part, before, rewrite_all=cutoff is None)
            sqlite_seconds = time.perf_counter() - csv_done
        return SaveResult(len(part), csv_bytes, csv_done - started, sqlite_seconds).without_sqlite(error)

    def save_to_sqlite(self, part: Bars, stamp_before: str, *, rewrite_all: bool) -> SqliteError | None:
        """:returns: SQLite's error when the save went on without it."""
        if not self.db_manager.settings.sqlite_writes:
            return None
        stamp, seconds = self.csv_store.stamp(*self.key), int(self.now.timestamp())
        with csv_alone_if_allowed(self.db_manager, str(self)) as errors:
            if rewrite_all:
                self.sqlite.replace(*self.key, part, csv_stamp=stamp, now=seconds)
            elif not self.sqlite.save_tail(*self.key, part, expected_stamp=stamp_before, csv_stamp=stamp, now=seconds):
                log.warning("%s was not the same in both stores; settling it", self)
                _, error = self.settle()
                return error
            self.compare_sides(part)
        return errors[0] if errors else None

    def compare_sides(self, part: Bars) -> None:
        """Read what was saved back from both sides, the newest batch of it at most.

        :raises StoreError: when they differ; the next save or start settles it.
        """
        newest = self.db_manager.settings.sqlite_batch_size
        start = int(part.tail(newest).time[0])
        in_csv = self.csv_store.read(*self.key, start=start).bars
        in_sqlite = self.sqlite.read(*self.key, Window(start=start))
        if not in_csv.equals(in_sqlite):
            self.sqlite.set_csv_stamp(*self.key, "")
            raise StoreError(f"{self} reads back differently from CSV and from SQLite")

    def settle(self) -> tuple[EnhancementStats, SqliteError | None]:
        """:returns: what it did, and SQLite's error when it went on without it."""
        with series_lock(*self.key):
            started = time.perf_counter()
            sides, error = self.read_sides()
            read_done = time.perf_counter()
            bars = self.enhanced(sides.choice.bars)
            computed = time.perf_counter()
            csv_bytes = self.settle_csv(sides, bars)
            csv_done = time.perf_counter()
            # What could not be read must not be replaced: it may hold the only copy of a bar.
            if error is None and len(bars):
                error = self.save_to_sqlite(bars, "", rewrite_all=True)
            sqlite_done = time.perf_counter()
        has_written = error is None and self.db_manager.settings.sqlite_writes
        stats = EnhancementStats(
            tickers=1,
            records=len(bars),
            duration=sqlite_done - started,
            indicator_seconds=computed - read_done,
            csv_seconds=csv_done - computed,
            sqlite_seconds=sqlite_done - csv_done,
            bytes_written=csv_bytes,
            csv_changed=Difference.between(sides.in_csv, bars).total,
            sqlite_changed=Difference.between(sides.in_sqlite, bars).total if has_written else 0,
            set_aside=len(sides.choice.refused) + len(sides.unstorable),
            evidence=() if sides.choice.evidence is Evidence.SAME else (sides.choice.evidence,),
            sqlite_faults=() if error is None else (error.fault,),
        )
        return stats, error

    def rescue(self) -> None:
        with series_lock(*self.key):
            sides = read_sides(*self.key, self.csv_store, self.sqlite)
            self.settle_csv(sides, self.enhanced(sides.choice.bars))

    def read_sides(self) -> tuple[Sides, SqliteError | None]:
        """CSV alone when SQLite is not in use, and with its error when it cannot be read. Makes a missing database."""
        errors: list[SqliteError] = []
        if self.db_manager.settings.sqlite_writes:
            with csv_alone_if_allowed(self.db_manager, str(self)) as errors:
                self.db_manager.upgrade(self.mode)
                return read_sides(*self.key, self.csv_store, self.sqlite, prefer_possible=self.prefer_possible), None
        return read_sides(*self.key, self.csv_store, None), errors[0] if errors else None

    def enhanced(self, bars: Bars) -> Bars:
        return enhance(bars, self.mode, is_index=self.db_manager.settings.is_index(self.ticker, self.mode))

    def settle_csv(self, sides: Sides, bars: Bars) -> int:
        """:returns: bytes written, 0 when the file holds just `bars` already."""
        quarantine = Quarantine(self.db_manager.settings)
        set_aside(sides, self.csv_store.path(*self.key), quarantine, *self.key, self.now)
        if not (self.rewrite or sides.parsed.damaged) and bars.equals(sides.in_csv):
            return 0
        return self.csv_store.write(*self.key, bars)
