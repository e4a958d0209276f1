"""Compare the two stores, and bring them back in step."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from stockapi.config import Settings
from stockapi.errors import SqliteError, SqliteFault
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.csv_enhancer import EnhancementStats, csv_alone_if_allowed, settle, stored_tickers
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_utils import DATABASE_FILES, DatabaseUtils, beside
from stockapi.services.digest import digest, to_text
from stockapi.services.sqlite_store import LedgerEntry, SqliteStore, Window

log = logging.getLogger(__name__)

Series = tuple[str, Interval]

_DAMAGE: Final = frozenset({SqliteFault.CORRUPT, SqliteFault.NOT_A_DATABASE, SqliteFault.WRONG_SCHEMA})
"""What a database does not recover from. One that is busy, full or out of reach does."""


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """One ticker and interval compared bar by bar; `problems` is empty when both stores hold the same."""

    mode: Mode
    ticker: str
    interval: Interval
    csv_rows: int
    sqlite_rows: int
    problems: tuple[str, ...]


def verify(
    mode: Mode, intervals: Iterable[Interval], db_manager: DatabaseManager, csv_store: CsvStore
) -> Iterator[PartitionReport]:
    """Compare every partition that either store has, bar by bar, and SQLite's ledger with its rows.

    :raises SqliteError: when the database cannot be read: then there is nothing to compare.
    """
    store = SqliteStore(db_manager)
    ledger = store.ledger(mode)
    for interval in intervals:
        for ticker in stored_tickers(interval, mode, db_manager, csv_store):
            parsed = csv_store.read(mode, ticker, interval)
            in_sqlite = store.read(mode, ticker, interval)
            problems = [f"{len(parsed.damaged)} damaged lines in the CSV file"] if parsed.damaged else []
            problems += _differences(parsed.bars, in_sqlite)
            problems += _ledger_problems(ledger.get((ticker, interval)), in_sqlite)
            yield PartitionReport(mode, ticker, interval, len(parsed.bars), len(in_sqlite), tuple(problems))


def settle_out_of_step(
    mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore, now: datetime
) -> dict[Series, EnhancementStats]:
    """Settle every partition whose CSV file is not in the state SQLite's bars are the same as.

    What a crash, a power cut, a failed write, a restored backup or time with SQLITE_WRITES off has left. Costs one
    look at each file's stamp where nothing has happened. A database that is missing or damaged is rebuilt.

    :raises StoreError: as `settle`; when the rebuilding fails, only if FALLBACK_TO_CSV is off.
    """
    if not db_manager.settings.sqlite_writes:
        return {}
    settled: dict[Series, EnhancementStats] = {}
    with csv_alone_if_allowed(db_manager, mode.value):
        settled, is_sound = _settle_what_is_there(mode, db_manager, csv_store, now)
        if not is_sound:
            settled |= rebuild(mode, db_manager, csv_store, now)
    return settled


def rebuild(
    mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore, now: datetime
) -> dict[Series, EnhancementStats]:
    """Fill a new database from CSV, check it, and put it in the place of the one there is, which is kept beside it.

    Until it is complete readers have the old one, or none: an answer never comes from a part of the bars.

    :raises SqliteError: when it could not be done; the old one is then still in its place.
    :raises StoreError: as `settle`.
    """
    live = db_manager.settings.database_path(mode)
    building = beside(live, ".rebuilding")
    with _file_errors(live):
        for suffix in DATABASE_FILES:
            beside(building, suffix).unlink(missing_ok=True)
    new = DatabaseManager(_elsewhere(db_manager.settings, mode, building))
    try:
        settled = _settle_each(mode, new, csv_store, now)
        result = DatabaseUtils(new).check_integrity(mode, now)
    finally:
        new.close()
    if result != "ok":
        raise SqliteError(f"the new database failed its integrity check: {result}", SqliteFault.CORRUPT)
    with _file_errors(live):
        aside = DatabaseUtils(db_manager).swap_in(mode, building, f"damaged-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}")
    if aside is None:
        log.info("the %s database was made from %d series in CSV", mode.value, len(settled))
    else:
        log.warning("the %s database was filled anew from CSV; %s is the old one", mode.value, aside)
    return settled


def _elsewhere(settings: Settings, mode: Mode, path: Path) -> Settings:
    """Those of a database at `path`, of which no failure is passed over."""
    if mode is Mode.VN:
        return replace(settings, fallback_to_csv=False, vn_database_path=path)
    return replace(settings, fallback_to_csv=False, crypto_database_path=path)


def _settle_what_is_there(
    mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore, now: datetime
) -> tuple[dict[Series, EnhancementStats], bool]:
    """:returns: also whether the database is there and undamaged, as far as the settling has seen of it."""
    path = db_manager.settings.database_path(mode)
    with _file_errors(path):
        if not path.exists():
            return {}, False
    try:
        # Even of a damaged database: a bar that can be read and that CSV lacks comes back to CSV.
        settled = _settle_each(mode, db_manager, csv_store, now)
    except SqliteError as exc:
        if exc.fault not in _DAMAGE:
            raise
        log.error("the %s database is damaged: %s", mode.value, exc)
        return {}, False
    return settled, _DAMAGE.isdisjoint(fault for stats in settled.values() for fault in stats.sqlite_faults)


def _settle_each(
    mode: Mode, db_manager: DatabaseManager, csv_store: CsvStore, now: datetime
) -> dict[Series, EnhancementStats]:
    """:raises SqliteError: also with FALLBACK_TO_CSV, when the database is damaged as a whole."""
    ledger = _ledger_or_nothing(mode, db_manager)
    settled = {}
    for interval in Interval:
        for ticker in stored_tickers(interval, mode, db_manager, csv_store):
            entry = ledger.get((ticker, interval))
            if entry is None or entry.csv_stamp != csv_store.stamp(mode, ticker, interval):
                settled[ticker, interval] = settle(ticker, interval, mode, db_manager, csv_store, now)
    return settled


def _ledger_or_nothing(mode: Mode, db_manager: DatabaseManager) -> dict[Series, LedgerEntry]:
    store = SqliteStore(db_manager)
    try:
        db_manager.upgrade(mode)
        for interval in Interval:
            store.read(mode, "", interval, Window(limit=1))  # no bar has this ticker; that the table is there counts
        return store.ledger(mode)
    except SqliteError as exc:
        if exc.fault in _DAMAGE:
            raise
        return {}  # `settle` tries each partition, and raises or says for each that SQLite does not work


@contextmanager
def _file_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise SqliteError(f"{path} is out of reach: {exc.strerror}", SqliteFault.CANNOT_OPEN) from exc


def _differences(in_csv: Bars, in_sqlite: Bars) -> list[str]:
    only_csv = np.setdiff1d(in_csv.time, in_sqlite.time)
    only_sqlite = np.setdiff1d(in_sqlite.time, in_csv.time)
    both = np.intersect1d(in_csv.time, in_sqlite.time)
    differing = int(
        in_csv.take(np.isin(in_csv.time, both)).differing_from(in_sqlite.take(np.isin(in_sqlite.time, both))).sum()
    )
    counts = ((len(only_csv), "only in CSV"), (len(only_sqlite), "only in SQLite"), (differing, "with other values"))
    return [f"{count} bars {what}" for count, what in counts if count]


def _ledger_problems(entry: LedgerEntry | None, bars: Bars) -> list[str]:
    if entry is None:
        return ["no ledger entry"] if len(bars) else []
    if (entry.rows, entry.digest) != (len(bars), to_text(digest(bars))):
        return ["the ledger does not describe the rows"]
    return []
