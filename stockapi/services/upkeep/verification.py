"""Verify one market: check the database file, compare both stores, repair the differences."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event
from typing import Final

from stockapi.errors import DeadlineError, StoreError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import EnhancementStats, reconcile_series
from stockapi.services.database_manager import NEVER
from stockapi.services.database_manager.bookkeeping import Verification
from stockapi.services.stores import Stores
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import DAMAGE, SeriesReport, rebuild, verify

log = logging.getLogger(__name__)

Reports = Iterator[SeriesReport]
Watch = Callable[[Reports], Reports]


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the check of a market found. `integrity`: `ok`, or the first problem of SQLite's own check."""

    integrity: str
    reports: list[SeriesReport]

    @property
    def differing(self) -> list[SeriesReport]:
        return [report for report in self.reports if report.problems]

    @property
    def bars(self) -> int:
        return sum(max(report.csv_rows, report.sqlite_rows) for report in self.reports)

    @property
    def is_damaged(self) -> bool:
        """Whether the whole database has to be rebuilt: in a damaged file no series can be trusted."""
        return self.integrity != "ok" or any(report.sqlite_fault in DAMAGE for report in self.reports)


@dataclass(frozen=True, slots=True)
class Repair:
    """What the repair did.

    `reconciled`: what reconciling each series did, in a rebuild too. `gone`: series that were removed from the ledger,
    because neither store has bars of them, with the number of bars in the ledger. `failed`: why a series could not be
    reconciled.
    """

    is_rebuilt: bool = False
    reconciled: dict[SeriesKey, EnhancementStats] = field(default_factory=dict)
    gone: dict[SeriesKey, int] = field(default_factory=dict)
    failed: dict[SeriesKey, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """How a check runs beside other work.

    `stop`: the check ends when it is set. `others_write`: another process may be in the middle of a save.
    `watch`: gets the reports and yields them again, to show progress or to make pauses.
    """

    stop: Event = NEVER
    others_write: bool = False
    watch: Watch = iter


ALONE: Final = CheckOptions()
"""Nobody else writes, and the check runs to its end."""


def check(stores: Stores, mode: Mode, options: CheckOptions = ALONE) -> CheckReport:
    """Check the whole file, then compare every series. Readers and the writer continue.

    :raises SqliteError: when the database cannot be read at all.
    :raises DeadlineError: when `options.stop` is set.
    """
    integrity = DatabaseUtils(stores.db_manager).integrity(mode, options.stop)
    reports = options.watch(verify(stores, mode, Interval, options.stop, others_write=options.others_write))
    result = CheckReport(integrity, list(reports))
    if options.stop.is_set():
        raise DeadlineError(f"the verification of the {mode.value} market was stopped")
    return result


def repair(stores: Stores, mode: Mode, result: CheckReport, now: datetime, stop: Event = NEVER) -> Repair:
    """Reconcile the series that differ; rebuild a damaged database.

    :raises StoreError: when a rebuild fails; the old database is then still in place.
    """
    if result.is_damaged:
        return Repair(is_rebuilt=True, reconciled=rebuild(stores, mode, now, stop))
    done = Repair()
    for report in result.differing:
        if stop.is_set():
            break
        try:
            if report.is_gone:
                _forget(stores, report, done, int(now.timestamp()))
            else:
                done.reconciled[report.key] = reconcile_series(stores, report.key, now)
        except StoreError as exc:
            log.error("%s could not be reconciled: %s", report.key, exc)
            done.failed[report.key] = str(exc)
    return done


def _forget(stores: Stores, report: SeriesReport, done: Repair, now: int) -> None:
    entry = report.state[1] if report.state else None
    if entry is not None and stores.sqlite_store.forget(report.key, now):
        log.error("%s: %d bars are in neither store; taken out of the ledger", report.key, entry.rows)
        done.gone[report.key] = entry.rows


def verify_and_repair(
    stores: Stores, mode: Mode, clock: Callable[[], datetime], options: CheckOptions = ALONE
) -> tuple[CheckReport, Repair, CheckReport]:
    """Check, repair, check again, and record the result. The second report holds the differences that are left.

    :raises StoreError: as `check` and `repair`; then nothing is recorded.
    :raises DeadlineError: when `options.stop` is set; then nothing is recorded.
    """
    started = time.perf_counter()
    before = check(stores, mode, options)
    done, left = Repair(), before
    if before.is_damaged or before.differing:
        done = repair(stores, mode, before, clock(), options.stop)
        left = check(stores, mode, options)
    now = clock()
    verification = Verification(
        done_at=int(now.timestamp()),
        seconds=time.perf_counter() - started,
        integrity=left.integrity,
        series=len(left.reports),
        bars=left.bars,
        differing=len(before.differing),
        left=len(left.differing),
        is_rebuilt=done.is_rebuilt,
    )
    DatabaseUtils(stores.db_manager).record(mode, "integrity_check", left.integrity, now)
    stores.bookkeeping.record_verification(mode, verification)
    return before, done, left
