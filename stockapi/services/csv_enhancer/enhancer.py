"""The dual write: bars with their indicators go to CSV, durably, and then to SQLite.

A stamp keeps the two in step. Each write of a CSV file changes the file's stamp (inode, size, time of change). The
ledger in SQLite holds the stamp of the file with the same bars. If anything happens between the two writes, the stamps
differ: a crash, a locked or full or missing database, a power cut that loses SQLite's last commits, an edit by hand.
The next save or start sees the difference and reconciles the series. No marker has to be set or cleared.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Final

from stockapi.errors import CsvError, SqliteError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import MIN_TIME
from stockapi.services.csv_enhancer.series import csv_alone_if_allowed, open_series
from stockapi.services.csv_enhancer.stats import EnhancementStats, SaveResult
from stockapi.services.stores import Stores

FROM_THE_BEGINNING: Final = MIN_TIME
"""A `cutoff_date` before every bar."""


def save_enhanced_csv_and_sqlite(
    stores: Stores,
    key: SeriesKey,
    bars: Bars,
    now: datetime,
    *,
    cutoff_date: int | None = None,
) -> SaveResult:
    """Save enhanced bars to both stores.

    The bars at or after `cutoff_date` (Unix seconds; None: the first of `bars`) replace the stored bars at or after it.
    They must include every stored time from there on. With FROM_THE_BEGINNING, `bars` replaces the whole series, whose
    times may go. No bars: nothing is written.

    :raises CsvError: when the CSV file could not be written, or a stored bar would be lost; then nothing has changed.
    :raises SqliteError: when SQLite failed and FALLBACK_TO_CSV is off; then CSV is newer until the next save or start.
    :raises StoreError: when the two sides hold different bars after the save.
    """
    part = bars.between(cutoff_date, None)
    if not len(part):
        return SaveResult()
    cutoff = int(part.time[0]) if cutoff_date is None else cutoff_date
    with open_series(stores, key, now) as series:
        return series.save(part, None if cutoff == FROM_THE_BEGINNING else cutoff)


def reconcile_series(
    stores: Stores, key: SeriesKey, now: datetime, *, rewrite: bool = False, prefer_possible: bool = False
) -> EnhancementStats:
    """Bring both stores to the same bars. The evidence decides which bars are right. Indicators are computed anew.

    Only the side that differs is written; with `rewrite`, the CSV file is always written. Before that, lines that are
    not bars go to the quarantine. So do bars that only one side has, if the ledger proves that they were never stored.

    :param prefer_possible: see `resolve`.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    with open_series(stores, key, now) as series:
        stats, _ = series.reconcile(rewrite=rewrite, prefer_possible=prefer_possible)
    return stats


def recover_to_csv(stores: Stores, key: SeriesKey, now: datetime) -> None:
    """Write to CSV the bars that a damaged database still has, where CSV lacks them or is wrong. The database is not
    written.

    :raises SqliteError: when the series cannot be read from the database, even if FALLBACK_TO_CSV is on.
    :raises CsvError: when the file cannot be read or written.
    """
    with open_series(stores, key, now) as series:
        series.recover_to_csv()


def reconcile_if_out_of_step(stores: Stores, key: SeriesKey, now: datetime) -> SqliteError | None:
    """Reconcile the series if the stamp of its CSV file is not the one in the ledger. Call it before work that uses the
    bars.

    :returns: SQLite's error when SQLite failed and the work may continue with CSV only; otherwise None.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    with open_series(stores, key, now) as series:
        return series.reconcile_if_out_of_step()


def enhance_interval_filtered_with_sqlite(
    stores: Stores, interval: Interval, mode: Mode, tickers_filter: Iterable[str] | None, now: datetime
) -> EnhancementStats:
    """Compute the indicators of every stored ticker anew (with a filter: of its tickers), and save the changes to both
    stores.

    :raises StoreError: as `save_enhanced_csv_and_sqlite`; the tickers before the failing one are already saved.
    """
    started = time.perf_counter()
    tickers = stored_tickers(stores, mode, interval)
    wanted = tickers if tickers_filter is None else sorted(set(tickers) & set(tickers_filter))
    total = EnhancementStats()
    for ticker in wanted:
        total += reconcile_series(stores, SeriesKey(mode, ticker, interval), now)
    return replace(total, duration=time.perf_counter() - started)


def stored_tickers(stores: Stores, mode: Mode, interval: Interval) -> list[str]:
    """The tickers with bars in CSV or in SQLite, in alphabetical order. When SQLite cannot be read: those in CSV.

    A ticker is included when its file is inaccessible. Work on it then fails, but the other tickers are not affected.

    :raises StoreError: when SQLite cannot be read and FALLBACK_TO_CSV is off.
    """
    in_csv = stores.csv_store.tickers(mode)
    tickers = {ticker for ticker in in_csv if _may_have_bars(stores, SeriesKey(mode, ticker, interval))}
    if stores.settings.sqlite_writes:
        with csv_alone_if_allowed(stores, f"{mode.value} {interval.value}"):
            tickers |= {key.ticker for key in stores.sqlite_store.ledger(mode) if key.interval is interval}
    return sorted(tickers)


def _may_have_bars(stores: Stores, key: SeriesKey) -> bool:
    try:
        return stores.csv_store.stamp(key) != ""
    except CsvError:  # not swallowed: the next work on the series raises it again
        return True
