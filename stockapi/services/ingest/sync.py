"""Bring one ticker up to date from its source: resume point, fetch, merge, enhance, save.

The workers and `flask data pull` call it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

import numpy as np

from stockapi.calc.adjustments import (
    PriceAdjustment,
    adjusted_union,
    agree,
    at_level_of_days,
    find_adjustments,
    is_of_one_level,
)
from stockapi.calc.closing import closed_by, closes_at
from stockapi.calc.indicators import enhance_from
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import NoDataError, UnknownSymbolError
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.providers.base import Provider
from stockapi.services.csv_enhancer import (
    FROM_THE_BEGINNING,
    OpenSeries,
    SaveResult,
    csv_alone_if_allowed,
    open_series,
    save_enhanced_csv_and_sqlite,
)
from stockapi.services.stores import Stores

OVERLAP_BARS = {Interval.DAILY: 40, Interval.HOURLY: 72, Interval.MINUTE: 360}
"""How many of the newest stored bars a resume fetches again: sources correct their newest bars, the last stored bar was
incomplete, and the oldest of them show whether the source has changed its history. Bars and not days are counted: a
stock may trade once a week, or not for months.
"""

_SWAP_ORDER = (Interval.MINUTE, Interval.HOURLY, Interval.DAILY)
_COMPARED_DAYS_S = 14 * SECONDS_PER_DAY
_AWAITED_S = 30 * SECONDS_PER_DAY
"""How long hours and minutes are expected to follow an adjustment of their days."""
_BARS_BEFORE_EX = 5

log = logging.getLogger(__name__)


class Wanted(Enum):
    """Which bars a synchronisation fetches. Bars of NEW may still be forming; CLOSED leaves those out, so that none of
    them is stored."""

    NEW = "new"
    CLOSED = "closed"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class SyncStats:
    """What one synchronisation did: bars fetched, bars new or changed, and what the save wrote.

    `adjustments`: the dividends or splits that the days showed; then all three intervals have been loaded anew.
    `waits_for`: the intervals whose prices are still those before an adjustment, as the source has them so.
    `forming_until`: when the newest bar closes (Unix seconds), if it was not closed when it was fetched.
    """

    fetched: int = 0
    changed: int = 0
    saved: SaveResult = field(default_factory=SaveResult)
    adjustments: tuple[PriceAdjustment, ...] = ()
    waits_for: tuple[Interval, ...] = ()
    forming_until: int | None = None

    @property
    def told_to_wait(self) -> str:
        """For the operator: what `waits_for` means."""
        names = " and ".join(interval.value for interval in self.waits_for)
        return f"the source still has prices from before a dividend or split in {names}; they follow when it has others"


def sync_ticker(
    stores: Stores,
    provider: Provider,
    key: SeriesKey,
    now: datetime,
    *,
    wanted: Wanted = Wanted.NEW,
    since: int | None = None,
) -> SyncStats:
    """Fetch the new bars of one series, and save to both stores from the first new or changed bar on.

    It fetches from the newest stored bars on, `OVERLAP_BARS` of them, even if they are long ago. When all are wanted,
    or nothing is stored, it fetches from the beginning of the source's history. A stored bar that the source no longer
    sends stays.

    A source that adjusts its history backwards may send other prices for the oldest of those bars. Then the whole
    history of all three intervals is loaded anew, so that two versions of a history are never mixed.

    :param since: a later beginning of the history (Unix seconds), when nothing is stored.
    :raises ProviderError: when the source fails; then nothing has changed.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    seconds = _seconds(now)
    with open_series(stores, key, now) as series:
        sqlite_error = series.reconcile_if_out_of_step()
        is_adjusted = provider.is_back_adjusted and not series.is_index
        newest = series.held(Window(end=seconds, limit=OVERLAP_BARS[key.interval], indicators=False))
        resume = _resume_at(stores, series, newest, seconds) if is_adjusted else newest.time[:1].tolist()
    is_whole = wanted is Wanted.ALL or not len(newest)
    start = provider.history_start(key.interval, seconds) if is_whole else min(resume)
    start = max(start, since or start) if not len(newest) else start
    fetched = provider.fetch(key.ticker, key.interval, start, seconds)
    if wanted is Wanted.CLOSED:
        fetched = closed_by(fetched, key.interval, key.mode, seconds)
    if not len(fetched):
        return SyncStats(saved=SaveResult().after(sqlite_error))
    with open_series(stores, key, now) as series:
        begin = int(fetched.time[0])
        held = series.held(Window(start=begin, warmup=WARMUP_BARS))
        stored = held.between(begin, None)
        if not is_adjusted or agree(stored, fetched, 10.0 ** -market_of(key.mode).price_decimals):
            part = changed_part(series, held, fetched)
            saved = series.save(part, int(part.time[0])) if len(part) else SaveResult()
            # The days tell for all three: hours and minutes that have changed load all of them.
            is_told = is_adjusted and key.interval is Interval.DAILY
            waits_for = _finish_adjustments(stores, key, now) if is_told else ()
            forming_until = note_newest(stores, key, newest, fetched, seconds)
            if is_whole:
                stores.asked.record(key, (start, seconds), seconds)
            return SyncStats(
                len(fetched), len(part), saved.after(sqlite_error), waits_for=waits_for, forming_until=forming_until
            )
    seen = find_adjustments(stored, fetched) if key.interval is Interval.DAILY else ()
    return load_history(stores, provider, key, now, seen)


def _resume_at(stores: Stores, series: OpenSeries, newest: Bars, seconds: int) -> list[int]:
    """The times from the least of which on bars are fetched: the first of the newest ones, and, for hours and minutes
    that have not followed an adjustment of the days yet, one before its day. Those after it tell nothing.
    """
    key = series.key
    times: list[int] = newest.time[:1].tolist()
    if key.interval is Interval.DAILY or not stores.settings.sqlite_writes or not times:
        return times
    with csv_alone_if_allowed(stores, key):
        for each in stores.bookkeeping.pending_adjustments(key.mode, key.ticker):
            if each.ex_time > seconds - _AWAITED_S:
                window = Window(end=each.ex_time - 1, limit=_BARS_BEFORE_EX, indicators=False)
                times += series.held(window).time[:1].tolist()
    return times


def load_history(
    stores: Stores, provider: Provider, key: SeriesKey, now: datetime, seen: tuple[PriceAdjustment, ...]
) -> SyncStats:
    """Fetch the history of all intervals. Replace the stored one only when the new one is complete.

    Until then the old history is served. The days are replaced last. If this is interrupted, the days are still the old
    ones, so the next synchronisation notices it and repeats the work.

    :param seen: what the newest days have shown. It is recorded at once, and taken back if the whole history does not
        show it.
    :raises ProviderError: when a part could not be fetched; then only the record of adjustments has changed.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`, and when an adjustment cannot be recorded.
    """
    log.warning("%s: the source has changed its history: all of it is fetched anew", key)
    _record(stores, key, seen, now)
    staged = {interval: _history(provider, key, interval, now) for interval in _SWAP_ORDER}
    saved, changed, adjustments, forming_until = SaveResult(), 0, seen, None
    for interval in _SWAP_ORDER:
        if not len(staged[interval]):
            continue
        with open_series(stores, key._replace(interval=interval), now) as series:
            series.reconcile_if_out_of_step()
            stored = series.read()
            if interval is Interval.DAILY:
                adjustments = find_adjustments(stored, staged[interval])
                _record(stores, key, adjustments, now, instead_of=seen)
            bars = series.enhanced(_union(stores, series, stored, staged))
            saved = save_enhanced_csv_and_sqlite(
                stores, key._replace(interval=interval), bars, now, cutoff_date=FROM_THE_BEGINNING
            )
            changed += len(bars)
            closes = note_newest(stores, key._replace(interval=interval), stored, staged[interval], _seconds(now))
            forming_until = closes if interval is key.interval else forming_until
            begin = provider.history_start(interval, _seconds(now))
            stores.asked.record(key._replace(interval=interval), (begin, _seconds(now)), _seconds(now))
    waits_for = _finish_adjustments(stores, key, now)
    return SyncStats(len(staged[key.interval]), changed, saved, adjustments, waits_for, forming_until)


def _union(stores: Stores, series: OpenSeries, stored: Bars, staged: Mapping[Interval, Bars]) -> Bars:
    """The new history of one series. The days that are stored are still those from before."""
    key, given = series.key, staged[series.key.interval]
    bars = adjusted_union(stored, given)
    if key.interval is Interval.DAILY:
        return bars
    days = stores.csv_store.read(key._replace(interval=Interval.DAILY), Window(indicators=False)).bars
    new_days = adjusted_union(days, staged[Interval.DAILY])
    return at_level_of_days(bars, given, days, new_days, market_of(key.mode).calendar.date_of)


def note_newest(stores: Stores, key: SeriesKey, stored: Bars, given: Bars, moment: int) -> int | None:
    """Remember that the newest bar of the series is closed, if it is. Call it when both stores have `given`.

    :param stored: the newest bars that were stored before. If `given` does not reach them, it does not tell.
    :param given: what a source or file has given, at least one bar, as it was known at `moment` (Unix seconds).
    :returns: when the newest bar closes (Unix seconds), if it was not closed at `moment`; otherwise None.
    :raises CsvError: when it cannot be written down.
    """
    last = int(given.time[-1])
    if len(stored) and last < int(stored.time[-1]):
        return None
    closes = closes_at(last, key.interval, key.mode)
    if closes > moment:
        return closes
    stores.closings.record(key, moment, closes)
    return None


def newest_closings(stores: Stores, keys: Sequence[SeriesKey], now: datetime) -> dict[SeriesKey, int]:
    """For those of the series whose newest bar is not known to be closed: when it closes or closed (Unix seconds).

    :param keys: of one market.
    :raises StoreError: when the newest bars cannot be told.
    """
    found = {}
    for key, newest in _newest_times(stores, keys, now).items():
        closes = closes_at(newest, key.interval, key.mode)
        if closes > stores.closings.of(key.mode, key.interval).get(key.ticker, -1):
            found[key] = closes
    return found


def _newest_times(stores: Stores, keys: Sequence[SeriesKey], now: datetime) -> dict[SeriesKey, int]:
    """The time of the newest bar up to `now` of the series that have one. Not from the files, if SQLite can tell: a
    process scans each of them when it sees it for the first time.
    """
    seconds = _seconds(now)
    if stores.settings.sqlite_writes and keys:
        with csv_alone_if_allowed(stores, keys[0].mode.value):
            ledger = stores.sqlite_store.ledger(keys[0].mode)
            times = {key: ledger[key].last_time for key in keys if key in ledger}
            return {key: time for key, time in times.items() if time <= seconds}
    window = Window(end=seconds, limit=1, indicators=False)
    bars = {key: stores.csv_store.read(key, window).bars for key in keys}
    return {key: int(newest.time[-1]) for key, newest in bars.items() if len(newest)}


def _seconds(now: datetime) -> int:
    return int(now.timestamp())


def _history(provider: Provider, key: SeriesKey, interval: Interval, now: datetime) -> Bars:
    """The source's whole history of one interval; no bars where it has none of an interval other than the key's.

    An interval that the source does not have must not keep the others from being brought up to date.
    """
    seconds = int(now.timestamp())
    try:
        return provider.fetch(key.ticker, interval, provider.history_start(interval, seconds), seconds)
    except (NoDataError, UnknownSymbolError) as exc:
        if interval is key.interval:
            raise
        log.warning("%s %s stays as it is: %s", key.ticker, interval.value, exc)
        return Bars.empty(whole_volume=market_of(key.mode).has_whole_volume)


def _record(
    stores: Stores,
    key: SeriesKey,
    adjustments: tuple[PriceAdjustment, ...],
    now: datetime,
    instead_of: tuple[PriceAdjustment, ...] = (),
) -> None:
    if not stores.settings.sqlite_writes:
        return
    for each in instead_of:
        if each.ex_time not in {other.ex_time for other in adjustments}:
            stores.bookkeeping.forget_adjustment(key.mode, key.ticker, each.ex_time)
    for each in adjustments:
        stores.bookkeeping.record_adjustment(key.mode, key.ticker, each.ex_time, each.ratio, int(now.timestamp()))


def _finish_adjustments(stores: Stores, key: SeriesKey, now: datetime) -> tuple[Interval, ...]:
    """Mark the recorded adjustments as applied once hours and minutes have the prices of the days.

    A source may adjust its days some time before its hours or minutes. Their next synchronisation notices that.

    :returns: the intervals that are still to come; () when no adjustment is waiting.
    """
    if not stores.settings.sqlite_writes:
        return ()
    behind: set[Interval] = set()
    with csv_alone_if_allowed(stores, key):
        for each in stores.bookkeeping.pending_adjustments(key.mode, key.ticker):
            left = _behind(stores, key, each.ex_time, each.ratio)
            if not left:
                stores.bookkeeping.apply_adjustment(key.mode, key.ticker, each.ex_time, int(now.timestamp()))
            behind |= left
    return tuple(interval for interval in Interval if interval in behind)


def _behind(stores: Stores, key: SeriesKey, ex_time: int, ratio: float) -> set[Interval]:
    """The intervals whose prices before `ex_time` are not those of the days of the same dates yet."""
    dates_of = market_of(key.mode).calendar.date_of
    found = set()
    for interval in (Interval.HOURLY, Interval.MINUTE):
        held = _last_before(stores, key._replace(interval=interval), ex_time)
        window = Window(start=int(dates_of(held.time[:1])[0]), end=ex_time - 1, indicators=False) if len(held) else None
        days = stores.csv_store.read(key._replace(interval=Interval.DAILY), window).bars if window else held
        if not is_of_one_level(days, held, dates_of, ratio):
            found.add(interval)
    return found


def _last_before(stores: Stores, key: SeriesKey, time: int) -> Bars:
    """The last two weeks of a series before that time, however long before it they are."""
    last = stores.csv_store.read(key, Window(end=time - 1, limit=1, indicators=False)).bars
    if not len(last):
        return last
    window = Window(start=int(last.time[0]) - _COMPARED_DAYS_S, end=time - 1, indicators=False)
    return stores.csv_store.read(key, window).bars


def changed_part(series: OpenSeries, held: Bars, fetched: Bars) -> Bars:
    """The enhanced bars from the first new or changed one on; empty when all are stored already.

    `held`: the stored bars from the first fetched time on, with their warm-up before them.
    """
    begin = int(fetched.time[0])
    if not len(held):  # nothing is stored from there on, but the bars before are still needed for warm-up
        held = series.held(Window(end=begin - 1, limit=WARMUP_BARS))
    earlier, stored = held.between(None, begin - 1), held.between(begin, None)
    enhanced = enhance_from(held.merge(fetched), len(earlier), series.key.mode, is_index=series.is_index)
    # `enhanced` holds every stored time and perhaps more. Up to the first new time, positions in both are the same.
    same = min(len(stored), len(enhanced))
    differs = np.append(enhanced.take(slice(same)).differing_from(stored.take(slice(same))), True)
    return enhanced.take(slice(int(differs.argmax()), None))
