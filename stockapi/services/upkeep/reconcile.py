"""Bring the two stores in step: each series whose stamp shows a difference, or the whole database."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError, SqliteError, SqliteFault, cannot_open, os_errors
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import moment_in_name
from stockapi.services.csv_enhancer import (
    EnhancementStats,
    csv_alone_if_allowed,
    reconcile_series,
    recover_to_csv,
    stored_tickers,
)
from stockapi.services.csv_enhancer.conflict import Difference, Evidence
from stockapi.services.csv_enhancer.replicas import ReplicaPair, read_replicas
from stockapi.services.database_manager import NEVER
from stockapi.services.database_manager.migrations import known_migrations, newer_schema, newer_version
from stockapi.services.sqlite_store.ledger import LedgerEntry, describes
from stockapi.services.stores import Stores
from stockapi.services.upkeep.checked_copy import DATABASE_FILES, beside
from stockapi.services.upkeep.database_utils import REBUILDING, DatabaseUtils
from stockapi.services.upkeep.recheck import recheck_suspect
from stockapi.services.upkeep.table_recovery import recover_tables

log = logging.getLogger(__name__)

DAMAGE: Final = frozenset({SqliteFault.CORRUPT, SqliteFault.NOT_A_DATABASE, SqliteFault.WRONG_SCHEMA})
"""Faults that need a rebuild. A database that is busy, full or inaccessible recovers by itself."""


@dataclass(frozen=True, slots=True)
class SeriesReport:
    """The comparison of one series. `problems` is empty when both stores and the ledger agree.

    `evidence`: which side is right when they differ. `sqlite_fault`: why SQLite could not be read.
    """

    key: SeriesKey
    csv_rows: int
    sqlite_rows: int
    problems: tuple[str, ...]
    evidence: Evidence | None = None
    state: tuple[str, LedgerEntry | None] | None = None
    """Stamp of the file and entry of the ledger at the time of the comparison."""
    sqlite_fault: SqliteFault | None = None
    is_gone: bool = False
    """Only the ledger knows the series."""


def reconcile_out_of_step(
    stores: Stores, mode: Mode, now: datetime, stop: Event = NEVER
) -> dict[SeriesKey, EnhancementStats]:
    """Reconcile every series whose stamp is not the one in the ledger. A missing or damaged database is rebuilt.

    Stamps differ after a crash, a power cut, a failed write, a restored backup, or a time with SQLITE_WRITES off. When
    nothing has happened, the cost is one check of the stamp of each file. When `stop` is set, it ends after the current
    series; the next start does the rest.

    A series whose file cannot be read or written stays as it is, and the log names it.

    :raises StoreError: as `reconcile_series`, but not for such a file. When the rebuild fails: only if FALLBACK_TO_CSV
        is off.
    """
    if not stores.settings.sqlite_writes:
        return {}
    reconciled: dict[SeriesKey, EnhancementStats] = {}
    with csv_alone_if_allowed(stores, mode.value):
        reconciled, is_sound = _reconcile_what_is_there(stores, mode, now, stop)
        try:
            if not is_sound:
                reconciled |= rebuild(stores, mode, now, stop)
        except CsvError as exc:
            if not stores.settings.fallback_to_csv:
                raise
            log.error("the %s database is not filled anew, CSV goes on alone: %s", mode.value, exc)
    with csv_alone_if_allowed(stores, mode.value):
        stores.sqlite_store.fill_copies(mode, stop)
    return reconciled


def rebuild(stores: Stores, mode: Mode, now: datetime, stop: Event = NEVER) -> dict[SeriesKey, EnhancementStats]:
    """Fill a new database from CSV, check it, and replace the old one by it. The old one is kept beside it.

    First the old database is recovered: bars that it still has go to CSV, where CSV lacks them or is wrong by the
    evidence of the ledger. If the file of a series cannot be read or written, the series is copied from the old
    database to the new one; the ledger must prove that it is complete. Until the new database is complete, readers use
    the old one, or none. So no answer comes from a part of the bars. When `stop` is set, everything stays as it is.

    :raises SqliteError: when the rebuild fails; the old database is then still in place.
    :raises StoreError: as `reconcile_series`. Also for a series whose file cannot be read or written, when the ledger
        does not prove the bars of the old database, or when neither store can supply it and FALLBACK_TO_CSV is off.
    """
    _require_known_schema(stores, mode)
    live = stores.settings.database_path(mode)
    building = beside(live, REBUILDING)
    with _out_of_reach(live):
        is_there = live.exists()
        for suffix in DATABASE_FILES:
            beside(building, suffix).unlink(missing_ok=True)
    unsaved = _recover_each(stores, mode, now, stop) if is_there else []
    new = stores.with_settings(_elsewhere(stores.settings, mode, building))
    try:
        for each in unsaved:
            _copy_series(each, stores, new, now)
        reconciled = _reconcile_each(new, mode, now, stop, must_be_whole=not stores.settings.fallback_to_csv)
        if stop.is_set():
            log.warning("rebuilding the %s database was stopped; the next start begins anew", mode.value)
            return {}
        if is_there:
            recover_tables(mode, stores.db_manager, new.db_manager)
        result = DatabaseUtils(new.db_manager).check_integrity(mode, now, stop)
    finally:
        new.close()
    if result != "ok":
        raise SqliteError(f"the new database failed its integrity check: {result}", SqliteFault.CORRUPT)
    with _out_of_reach(live):
        aside = DatabaseUtils(stores.db_manager).swap_in(mode, building, f"damaged-{moment_in_name(now)}")
    rows = sum(stats.records for stats in reconciled.values())
    if aside is None:
        log.info("the %s database was made from %d series in CSV, %d bars", mode.value, len(reconciled), rows)
    else:
        log.warning("the %s database was filled anew from CSV, %d bars; %s is the old one", mode.value, rows, aside)
    # What other threads saved meanwhile went into the old one. Until it is here, too, CSV answers for those series.
    return reconciled | _reconcile_each(stores, mode, now, stop) if is_there else reconciled


def verify(
    stores: Stores, mode: Mode, intervals: Iterable[Interval], stop: Event = NEVER, *, others_write: bool = False
) -> Iterator[SeriesReport]:
    """Read every stored series from both stores and compare the bars.

    :param others_write: another process may be in the middle of a save: see `recheck_suspect`.
    :raises SqliteError: when the ledger cannot be read, so that nothing can be compared.
    """
    stores.sqlite_store.ledger(mode)
    for interval in intervals:
        for ticker in stored_tickers(stores, mode, interval):
            if stop.is_set():
                return
            key = SeriesKey(mode, ticker, interval)
            report = _compare(stores, key)
            if others_write:
                report = recheck_suspect(key, report, partial(_compare, stores, key), _has_problems, stop)
            yield report


def _has_problems(report: SeriesReport) -> bool:
    return bool(report.problems)


def _compare(stores: Stores, key: SeriesKey) -> SeriesReport:
    try:
        pair = read_replicas(stores, key)
    except SqliteError as exc:
        rows, problems = 0, [str(exc)]
        try:
            rows = len(stores.csv_store.read(key).bars)
        except CsvError as also:
            problems.append(str(also))
        return SeriesReport(key, rows, 0, tuple(problems), sqlite_fault=exc.fault)
    except CsvError as exc:
        return SeriesReport(key, 0, 0, (str(exc),))
    report = SeriesReport(key, len(pair.in_csv), len(pair.in_sqlite), tuple(_problems(pair)))
    if not report.problems:
        return report
    return replace(report, evidence=pair.resolution.evidence, state=pair.state, is_gone=pair.is_empty)


def _problems(pair: ReplicaPair) -> Iterator[str]:
    if pair.parsed.damaged:
        yield f"{len(pair.parsed.damaged)} damaged lines in the CSV file"
    if pair.entry is not None and pair.is_empty:
        yield f"the ledger tells of {pair.entry.rows} bars that neither store has"
        return
    difference = Difference.between(pair.in_csv, pair.in_sqlite)
    counts = (
        (difference.only_first, "only in CSV"),
        (difference.only_second, "only in SQLite"),
        (difference.differing, "with other values"),
    )
    yield from (f"{count} bars {what}" for count, what in counts if count)
    if pair.entry is None and len(pair.in_sqlite):
        yield "no ledger entry"
    elif not pair.is_described:
        yield "the ledger does not describe the rows"
    if not pair.has_true_blocks:
        yield "the blocks of columns are not those of the rows"
    if not pair.has_true_texts:
        yield "the pre-rendered answers are not those of the rows"


def _elsewhere(settings: Settings, mode: Mode, path: Path) -> Settings:
    """The settings with the database at `path`, and without the fallback: every failure is raised."""
    return replace(settings.with_database_path(mode, path), fallback_to_csv=False)


@dataclass(frozen=True, slots=True)
class _Unsaved:
    """A series of the old database, and why its file could not be read or written."""

    key: SeriesKey
    entry: LedgerEntry
    error: CsvError


def _recover_each(stores: Stores, mode: Mode, now: datetime, stop: Event) -> list[_Unsaved]:
    """Write to CSV the bars that the old database still has, where CSV lacks them or is wrong. The log names what
    cannot be read from it.

    :returns: the series whose file could not be read or written; empty when there is none.
    """
    try:
        ledger = stores.sqlite_store.ledger(mode)
    except SqliteError as exc:
        log.error("the old %s database gives nothing, all bars come from CSV: %s", mode.value, exc)
        return []
    unreadable: list[str] = []
    unsaved: list[_Unsaved] = []
    for key, entry in ledger.items():
        if stop.is_set():
            break
        try:
            recover_to_csv(stores, key, now)
        except SqliteError as exc:
            unreadable.append(f"{key}: {exc}")
        except CsvError as exc:
            unsaved.append(_Unsaved(key, entry, exc))
    if unreadable:
        log.error("the old %s database does not give %d series, like %s", mode.value, len(unreadable), unreadable[0])
    return unsaved


def _copy_series(series: _Unsaved, old: Stores, new: Stores, now: datetime) -> None:
    """Copy a series that could not be written to CSV, with its stamp, so that its file is compared later.

    :raises CsvError: the error of the file, when the ledger does not prove the bars of the old database. Without the
        file nobody knows which bars are right, and a copy would look proven.
    """
    key, entry = series.key, series.entry
    try:
        bars = old.sqlite_store.read(key)
    except SqliteError as exc:
        log.error("neither store gives %s, it is left out: %s", key, exc)
        return
    if not describes(entry, bars):
        raise series.error
    in_order = bars.take(bars.time.argsort())  # a damaged index returns them in another order
    seconds = int(now.timestamp())
    new.sqlite_store.replace(key, in_order, csv_stamp=entry.csv_stamp, now=seconds)
    log.warning("%s comes from the old database: %s", key, series.error)


def _reconcile_what_is_there(
    stores: Stores, mode: Mode, now: datetime, stop: Event
) -> tuple[dict[SeriesKey, EnhancementStats], bool]:
    """:returns: what was reconciled, and whether the database exists and no damage was seen in it."""
    path = stores.settings.database_path(mode)
    with _out_of_reach(path):
        if not path.exists():
            return {}, False
    try:
        reconciled = _reconcile_each(stores, mode, now, stop)
    except SqliteError as exc:
        if exc.fault not in DAMAGE:
            raise
        log.error("the %s database is damaged: %s", mode.value, exc)
        return {}, False
    return reconciled, DAMAGE.isdisjoint(fault for stats in reconciled.values() for fault in stats.sqlite_faults)


def _reconcile_each(
    stores: Stores, mode: Mode, now: datetime, stop: Event, *, must_be_whole: bool = False
) -> dict[SeriesKey, EnhancementStats]:
    """Reconcile every series whose stamp differs. A series whose file cannot be read or written is left out, and the
    log names it.

    :param must_be_whole: such a series is an error if the database lacks it too: no store could answer for it.
    :raises SqliteError: when the database as a whole is damaged, even if FALLBACK_TO_CSV is on.
    """
    ledger = _ledger_or_nothing(stores, mode)
    reconciled: dict[SeriesKey, EnhancementStats] = {}
    for interval in Interval:
        for ticker in stored_tickers(stores, mode, interval):
            if stop.is_set():
                return reconciled
            key = SeriesKey(mode, ticker, interval)
            entry = ledger.get(key)
            try:
                if entry is None or entry.csv_stamp != stores.csv_store.stamp(key):
                    reconciled[key] = reconcile_series(stores, key, now)
            except CsvError as exc:
                if must_be_whole and entry is None:
                    raise
                log.error("%s is left as it is: %s", key, exc)
    return reconciled


def _ledger_or_nothing(stores: Stores, mode: Mode) -> dict[SeriesKey, LedgerEntry]:
    store = stores.sqlite_store
    try:
        stores.db_manager.upgrade(mode)
        store.require_tables(mode)
        return store.ledger(mode)
    except SqliteError as exc:
        if exc.fault in DAMAGE:
            raise
        return {}  # `reconcile_series` tries each series, and raises or logs that SQLite does not work


def _require_known_schema(stores: Stores, mode: Mode) -> None:
    """:raises SqliteError: for the database of a newer program: it is not damaged, and never replaced."""
    newest = known_migrations(mode)[-1].version
    version: int | None = None
    with suppress(SqliteError), stores.db_manager.snapshot(mode) as connection:
        version = newer_version(connection, mode)
    if version is not None:
        raise newer_schema(version, newest)


def _out_of_reach(path: Path) -> AbstractContextManager[None]:
    return os_errors(cannot_open, f"{path} is out of reach")
