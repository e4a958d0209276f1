"""Replace the whole history of a ticker: after a dividend or split, or by that of another source."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from stockapi.calc.adjustments import (
    PriceAdjustment,
    adjusted_union,
    at_level_of_days,
    find_adjustments,
    is_of_one_level,
)
from stockapi.calc.closing import closed_by
from stockapi.calc.continuation import Fit, are_comparable, fit_of
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import NoDataError, UnknownSymbolError
from stockapi.markets import market_of
from stockapi.models.bars import Bars
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
from stockapi.services.ingest.newest import note_newest
from stockapi.services.market_source import is_from_another, record_series_source
from stockapi.services.series_sources import NOBODY
from stockapi.services.stores import Stores
from stockapi.services.upkeep.changes import archive

_SWAP_ORDER = (Interval.MINUTE, Interval.HOURLY, Interval.DAILY)
_COMPARED_DAYS_S = 14 * SECONDS_PER_DAY

log = logging.getLogger(__name__)


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


def load_history(
    stores: Stores, provider: Provider, key: SeriesKey, now: datetime, seen: tuple[PriceAdjustment, ...]
) -> SyncStats:
    """Fetch the history of all intervals. Replace the stored one only when the new one is complete.

    Until then the old history is served. The days are replaced last. If this is interrupted, the days are still the old
    ones, so the next synchronisation notices it and repeats the work.

    Bars that come from another source are replaced in the same way, but tell of no dividend. What that source lacks
    stays, brought to its prices, or is put aside (`_union`). An interval in which it is behind stays as it is.

    :param seen: what the newest days have shown. It is recorded at once, and taken back if the whole history does not
        show it.
    :raises ProviderError: when a part could not be fetched; then only the record of adjustments has changed.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`, and when an adjustment cannot be recorded.
    """
    log.warning("%s: the history of %s is another one than the stored: all of it is fetched", key, provider.name)
    seconds = int(now.timestamp())
    _record(stores, key, seen, now)
    staged = {interval: _history(provider, key, interval, now) for interval in _SWAP_ORDER}
    saved, changed, adjustments, forming_until = SaveResult(), 0, seen, None
    for interval in _SWAP_ORDER:
        own = key._replace(interval=interval)
        with open_series(stores, own, now) as series:
            series.reconcile_if_out_of_step()
            stored = series.read()
            is_other = is_from_another(stores, own, provider.name)
            if not len(staged[interval]) or (is_other and not _may_replace(own, stored, staged[interval], seconds)):
                continue
            if interval is Interval.DAILY and not is_other:
                adjustments = find_adjustments(_of_the_source(stores, own, stored), staged[interval])
                _record(stores, key, adjustments, now, instead_of=seen)
            bars = series.enhanced(_union(stores, series, stored, staged, now if is_other else None))
            if is_other:
                # If this is interrupted, neither source may take the bars for its own.
                stores.series_sources.put(own, NOBODY)
            saved = save_enhanced_csv_and_sqlite(stores, own, bars, now, cutoff_date=FROM_THE_BEGINNING)
            record_series_source(stores, own, provider.name)
            changed += len(bars)
            closes = note_newest(stores, own, stored, staged[interval], seconds)
            forming_until = closes if interval is key.interval else forming_until
            if is_other:
                stores.asked.forget_answers(own)
            stores.asked.record(own, (provider.history_start(interval, seconds), seconds), seconds)
    waits_for = finish_adjustments(stores, key, now)
    return SyncStats(len(staged[key.interval]), changed, saved, adjustments, waits_for, forming_until)


def _may_replace(key: SeriesKey, stored: Bars, given: Bars, seconds: int) -> bool:
    """Whether the history of another source has the newest stored bars, in the same unit."""
    closed = closed_by(stored, key.interval, key.mode, seconds)
    fit = fit_of(closed, given, market_of(key.mode).price_decimals)
    if fit in (Fit.CONTINUES, Fit.DIFFERS):
        return True
    log.warning("%s stays as it is: the other source %s", key, fit.value)
    return False


def _of_the_source(stores: Stores, key: SeriesKey, stored: Bars) -> Bars:
    """The stored bars, without those before that came from another source: their prices differ by no dividend."""
    origin = stores.series_sources.of(key)
    return stored if origin is None else stored.between(origin.since, None)


def _union(
    stores: Stores, series: OpenSeries, stored: Bars, staged: Mapping[Interval, Bars], put_aside_at: datetime | None
) -> Bars:
    """The new history of one series. The days that are stored are still those from before.

    :param put_aside_at: now, when the stored bars come from another source. If they differ by more than dividends and
        splits, those that the new source lacks cannot be brought to its prices. They are written to a file then, and
        left out.
    """
    key, given = series.key, staged[series.key.interval]
    days = stored
    if key.interval is not Interval.DAILY:
        days = stores.csv_store.read(key._replace(interval=Interval.DAILY), Window(indicators=False)).bars
    if put_aside_at is not None and not _is_one_market(stored, given, days, staged[Interval.DAILY]):
        _put_aside(stores, key, stored.take(~np.isin(stored.time, given.time)), put_aside_at)
        return given
    bars = adjusted_union(stored, given)
    if key.interval is Interval.DAILY:
        return bars
    new_days = adjusted_union(days, staged[Interval.DAILY])
    return at_level_of_days(bars, given, days, new_days, market_of(key.mode).calendar.date_of)


def _is_one_market(stored: Bars, given: Bars, days: Bars, given_days: Bars) -> bool:
    """Where none of the stored bars is in the new history, its days tell."""
    if np.isin(stored.time, given.time).any():
        return are_comparable(stored, given)
    return are_comparable(days, given_days)


def _put_aside(stores: Stores, key: SeriesKey, rest: Bars, now: datetime) -> None:
    """:raises CsvError: when the bars cannot be written; then nothing has changed."""
    if len(rest):
        path = archive(stores, key.mode, [(key, rest)], now)
        log.warning("%s: %d bars that the new source lacks have other prices, and are in %s now", key, len(rest), path)


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


def finish_adjustments(stores: Stores, key: SeriesKey, now: datetime) -> tuple[Interval, ...]:
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
