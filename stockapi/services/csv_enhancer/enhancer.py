"""The dual write: bars with their indicators go to CSV, durably, and then to SQLite.

The two are kept in step by a stamp. Each write of a CSV file changes the file's stamp (inode, size, time of change),
and the ledger in SQLite says which stamp its bars are the same as. Whatever comes between the two writes - a crash, a
locked or full or missing database, a power cut that takes SQLite's last commits, an edit by hand - leaves the stamps
different, so the next save or start sees it and settles the series. There is no marker to forget.
"""

import time
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from stockapi.errors import CsvError, SqliteError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer.series import csv_alone_if_allowed, open_series
from stockapi.services.csv_enhancer.stats import EnhancementStats, SaveResult
from stockapi.services.stores import Stores


def save_enhanced_csv_and_sqlite(
    stores: Stores,
    key: SeriesKey,
    bars: Bars,
    now: datetime,
    *,
    cutoff_date: int | None = None,
    rewrite_all: bool = False,
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
    with open_series(stores, key, now) as series:
        return series.save(part, None if rewrite_all else cutoff)


def settle(
    stores: Stores, key: SeriesKey, now: datetime, *, rewrite: bool = False, prefer_possible: bool = False
) -> EnhancementStats:
    """Bring both stores to the same bars, the right ones by the evidence there is, indicators computed anew.

    Writes only the side that differs; with `rewrite` the CSV file in any case. Lines of the file that are no bars, and
    bars that only one side has although the ledger proves they were never stored, go to the quarantine first.

    :param prefer_possible: see `resolve`.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    with open_series(stores, key, now) as series:
        stats, _ = series.settle(rewrite=rewrite, prefer_possible=prefer_possible)
    return stats


def recover_to_csv(stores: Stores, key: SeriesKey, now: datetime) -> None:
    """Bring to CSV what a damaged database still has and CSV lacks or has wrong. The database is not written.

    :raises SqliteError: when the series cannot be read from it, whatever FALLBACK_TO_CSV says.
    :raises CsvError: when the file cannot be read or written.
    """
    with open_series(stores, key, now) as series:
        series.recover_to_csv()


def settle_if_out_of_step(stores: Stores, key: SeriesKey, now: datetime) -> SqliteError | None:
    """`settle` when the CSV file is not in the state SQLite's bars are the same as: before anything is built on it.

    :returns: SQLite's error when it failed and the work may go on with CSV alone.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    with open_series(stores, key, now) as series:
        return series.settle_if_out_of_step()


def enhance_interval_filtered_with_sqlite(
    stores: Stores, interval: Interval, mode: Mode, tickers_filter: Iterable[str] | None, now: datetime
) -> EnhancementStats:
    """Compute the indicators of every stored ticker (or those of the filter) anew and save what changed to both stores.

    :raises StoreError: as `save_enhanced_csv_and_sqlite`; tickers before the failing one are saved.
    """
    started = time.perf_counter()
    tickers = stored_tickers(stores, mode, interval)
    wanted = tickers if tickers_filter is None else sorted(set(tickers) & set(tickers_filter))
    total = EnhancementStats()
    for ticker in wanted:
        total += settle(stores, SeriesKey(mode, ticker, interval), now)
    return replace(total, duration=time.perf_counter() - started)


def stored_tickers(stores: Stores, mode: Mode, interval: Interval) -> list[str]:
    """The tickers either store has bars of, in alphabetical order; those of CSV alone when SQLite cannot be read.

    One whose file cannot even be looked at is among them: whatever is done to it fails, and nothing done to the others.

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
    except CsvError:  # not swallowed: whoever works on the series meets it again
        return True
