"""One ticker brought up to date from its source: resume point, fetch, merge, enhance, save.

The workers and `flask data pull` both come here.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from stockapi.calc.adjustments import PriceAdjustment, adjusted_union, find_adjustment
from stockapi.calc.indicators import enhance, enhance_from
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.base import Provider
from stockapi.services.csv_enhancer import SaveResult, save_enhanced_csv_and_sqlite, settle_if_out_of_step
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_manager.bookkeeping import Bookkeeping

OVERLAP_S = {
    Interval.DAILY: 30 * SECONDS_PER_DAY,
    Interval.HOURLY: 3 * SECONDS_PER_DAY,
    Interval.MINUTE: SECONDS_PER_DAY // 4,
}
"""How much of what is stored a resume asks for again: sources correct their newest bars, and the last one stored was
still forming."""

_SWAP_ORDER = (Interval.MINUTE, Interval.HOURLY, Interval.DAILY)


@dataclass(frozen=True, slots=True)
class SyncStats:
    """What bringing one ticker up to date took: bars fetched, bars new or changed, and what the save wrote.

    `adjustment`: the dividend or split that was found; for hours and minutes nothing else was done then.
    """

    fetched: int = 0
    changed: int = 0
    saved: SaveResult = field(default_factory=SaveResult)
    adjustment: PriceAdjustment | None = None


def sync_ticker(
    provider: Provider,
    ticker: str,
    interval: Interval,
    db_manager: DatabaseManager,
    csv_store: CsvStore,
    now: datetime,
    *,
    full: bool = False,
) -> SyncStats:
    """Fetch what is new of one ticker and save it to both stores, from the first bar on that is new or differs.

    Starts from the newest stored bar less an overlap, however long ago that is, or with `full` (and when nothing is
    stored) from the beginning of the source's history. A stored bar that the source no longer sends stays.

    When a back-adjusting source shows a dividend or split, the days load all three intervals anew, and hours and
    minutes wait for that: two versions of a history are never mixed.

    :raises ProviderError: when the source fails; nothing has changed then.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    mode = provider.mode
    sqlite_error = settle_if_out_of_step(ticker, interval, mode, db_manager, csv_store, now)
    newest = csv_store.read(mode, ticker, interval, limit=1).bars
    seconds = int(now.timestamp())
    if full or not len(newest):
        start = provider.history_start(interval, seconds)
    else:
        start = int(newest.time[0]) - OVERLAP_S[interval]
    fetched = provider.fetch(ticker, interval, start, seconds)
    if not len(fetched):
        return SyncStats(saved=SaveResult().after(sqlite_error))
    begin, is_index = int(fetched.time[0]), db_manager.settings.is_index(ticker, mode)
    stored = csv_store.read(mode, ticker, interval, start=begin).bars
    if provider.is_back_adjusted and not is_index:
        adjustment = find_adjustment(stored, fetched)
        if adjustment is not None and interval is Interval.DAILY:
            saved = _load_adjusted(provider, ticker, adjustment, db_manager, csv_store, now)
            return SyncStats(len(fetched), saved.rows, saved, adjustment)
        if adjustment is not None:
            return SyncStats(len(fetched), saved=SaveResult().after(sqlite_error), adjustment=adjustment)
    earlier = csv_store.read(mode, ticker, interval, end=begin - 1, limit=WARMUP_BARS).bars
    part = _changed_part(earlier, stored, fetched, mode, is_index=is_index)
    saved = save_enhanced_csv_and_sqlite(ticker, part, interval, None, False, mode, db_manager, csv_store, now)
    return SyncStats(len(fetched), len(part), saved.after(sqlite_error))


def _load_adjusted(
    provider: Provider,
    ticker: str,
    adjustment: PriceAdjustment,
    db_manager: DatabaseManager,
    csv_store: CsvStore,
    now: datetime,
) -> SaveResult:
    """Fetch the adjusted history of all intervals, and only when it is complete put it in the place of the stored one.

    Until then the old history is served. The days come last: as long as they are the old ones, whatever interrupts this
    is noticed at the next synchronisation and done again.

    :raises ProviderError: when a part could not be fetched; nothing but the record of the adjustment has changed then.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`, and when the adjustment cannot be recorded.
    """
    mode, seconds = provider.mode, int(now.timestamp())
    bookkeeping = Bookkeeping(db_manager)
    if db_manager.settings.sqlite_writes:
        bookkeeping.record_adjustment(mode, ticker, adjustment.ex_time, adjustment.ratio, seconds)
    staged = {
        interval: provider.fetch(ticker, interval, provider.history_start(interval, seconds), seconds)
        for interval in _SWAP_ORDER
    }
    is_index = db_manager.settings.is_index(ticker, mode)
    saved = SaveResult()
    for interval in _SWAP_ORDER:
        settle_if_out_of_step(ticker, interval, mode, db_manager, csv_store, now)
        stored = csv_store.read(mode, ticker, interval).bars
        bars = enhance(adjusted_union(stored, staged[interval]), mode, is_index=is_index)
        saved = save_enhanced_csv_and_sqlite(ticker, bars, interval, None, True, mode, db_manager, csv_store, now)
    if db_manager.settings.sqlite_writes:
        bookkeeping.apply_adjustment(mode, ticker, adjustment.ex_time, seconds)
    return saved


def _changed_part(earlier: Bars, stored: Bars, fetched: Bars, mode: Mode, *, is_index: bool) -> Bars:
    """The enhanced bars from the first one on that is not stored just so; empty when all are.

    `stored` are the bars from the first fetched one on, `earlier` the warm-up before them.
    """
    merged = Bars.concatenate([earlier, stored]).merge(fetched)
    enhanced = enhance_from(merged, len(earlier), mode, is_index=is_index)
    # `enhanced` holds every stored time and perhaps more: up to the first new time the two run side by side.
    same = min(len(stored), len(enhanced))
    differs = np.append(enhanced.take(slice(same)).differing_from(stored.take(slice(same))), True)
    return enhanced.take(slice(int(differs.argmax()), None))
