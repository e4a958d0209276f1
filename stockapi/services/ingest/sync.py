"""Bring one ticker up to date from its source: resume point, fetch, merge, enhance, save.

The workers and `flask data pull` call it.
"""

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from stockapi.calc.adjustments import PriceAdjustment, adjusted_union, find_adjustment
from stockapi.calc.indicators import enhance_from
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.bars import Bars
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.providers.base import Provider
from stockapi.services.csv_enhancer import OpenSeries, SaveResult, open_series, save_enhanced_csv_and_sqlite
from stockapi.services.stores import Stores

OVERLAP_S = {
    Interval.DAILY: 30 * SECONDS_PER_DAY,
    Interval.HOURLY: 3 * SECONDS_PER_DAY,
    Interval.MINUTE: SECONDS_PER_DAY // 4,
}
"""Seconds of stored bars that a resume fetches again: sources correct their newest bars, and the last stored bar was
incomplete.
"""

_SWAP_ORDER = (Interval.MINUTE, Interval.HOURLY, Interval.DAILY)


@dataclass(frozen=True, slots=True)
class SyncStats:
    """What one synchronisation did: bars fetched, bars new or changed, and what the save wrote.

    `adjustment`: the dividend or split that was found; None for none. For hours and minutes nothing is saved then.
    """

    fetched: int = 0
    changed: int = 0
    saved: SaveResult = field(default_factory=SaveResult)
    adjustment: PriceAdjustment | None = None


def sync_ticker(stores: Stores, provider: Provider, key: SeriesKey, now: datetime, *, full: bool = False) -> SyncStats:
    """Fetch the new bars of one series, and save to both stores from the first new or changed bar on.

    It fetches from the newest stored bar minus an overlap, even if that is long ago. With `full`, or when nothing is
    stored, it fetches from the beginning of the source's history. A stored bar that the source no longer sends stays.

    A back-adjusting source may show a dividend or split. Then the days fetch all three intervals anew, and hours and
    minutes wait for that: two versions of a history are never mixed.

    :raises ProviderError: when the source fails; then nothing has changed.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    seconds = int(now.timestamp())
    with open_series(stores, key, now) as series:
        sqlite_error = series.settle_if_out_of_step()
        newest = series.newest_time()
    if full or newest is None:
        start = provider.history_start(key.interval, seconds)
    else:
        start = newest - OVERLAP_S[key.interval]
    fetched = provider.fetch(key.ticker, key.interval, start, seconds)
    if not len(fetched):
        return SyncStats(saved=SaveResult().after(sqlite_error))
    with open_series(stores, key, now) as series:
        begin = int(fetched.time[0])
        held = series.read(Window(start=begin, warmup=WARMUP_BARS))
        stored = held.between(begin, None)
        adjustment = find_adjustment(stored, fetched) if provider.is_back_adjusted and not series.is_index else None
        if adjustment is None:
            part = _changed_part(series, held, fetched)
            saved = save_enhanced_csv_and_sqlite(stores, key, part, now)
            return SyncStats(len(fetched), len(part), saved.after(sqlite_error))
    if key.interval is Interval.DAILY:
        saved = _load_adjusted(stores, provider, key.ticker, adjustment, now)
        return SyncStats(len(fetched), saved.rows, saved, adjustment)
    return SyncStats(len(fetched), saved=SaveResult().after(sqlite_error), adjustment=adjustment)


def _load_adjusted(
    stores: Stores, provider: Provider, ticker: str, adjustment: PriceAdjustment, now: datetime
) -> SaveResult:
    """Fetch the adjusted history of all intervals. Replace the stored one only when the new one is complete.

    Until then the old history is served. The days are replaced last. If this is interrupted, the days are still the old
    ones, so the next synchronisation notices it and repeats the work.

    :raises ProviderError: when a part could not be fetched; then only the record of the adjustment has changed.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`, and when the adjustment cannot be recorded.
    """
    mode, seconds = provider.mode, int(now.timestamp())
    if stores.settings.sqlite_writes:
        stores.bookkeeping.record_adjustment(mode, ticker, adjustment.ex_time, adjustment.ratio, seconds)
    staged = {
        interval: provider.fetch(ticker, interval, provider.history_start(interval, seconds), seconds)
        for interval in _SWAP_ORDER
    }
    saved = SaveResult()
    for interval in _SWAP_ORDER:
        key = SeriesKey(mode, ticker, interval)
        with open_series(stores, key, now) as series:
            series.settle_if_out_of_step()
            bars = series.enhanced(adjusted_union(series.read(), staged[interval]))
            saved = save_enhanced_csv_and_sqlite(stores, key, bars, now, rewrite_all=True)
    if stores.settings.sqlite_writes:
        stores.bookkeeping.apply_adjustment(mode, ticker, adjustment.ex_time, seconds)
    return saved


def _changed_part(series: OpenSeries, held: Bars, fetched: Bars) -> Bars:
    """The enhanced bars from the first new or changed one on; empty when all are stored already.

    `held`: the stored bars from the first fetched time on, with their warm-up before them.
    """
    begin = int(fetched.time[0])
    if not len(held):  # nothing is stored from there on, but the bars before are still needed for warm-up
        held = series.read(Window(end=begin - 1, limit=WARMUP_BARS))
    earlier, stored = held.between(None, begin - 1), held.between(begin, None)
    enhanced = enhance_from(held.merge(fetched), len(earlier), series.key.mode, is_index=series.is_index)
    # `enhanced` holds every stored time and perhaps more. Up to the first new time, positions in both are the same.
    same = min(len(stored), len(enhanced))
    differs = np.append(enhanced.take(slice(same)).differing_from(stored.take(slice(same))), True)
    return enhanced.take(slice(int(differs.argmax()), None))
