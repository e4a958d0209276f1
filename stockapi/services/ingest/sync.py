"""Bring one ticker up to date from its source: resume point, fetch, merge, enhance, save.

The workers and `flask data pull` call it.
"""

from datetime import datetime
from enum import Enum

import numpy as np

from stockapi.calc.adjustments import agree, find_adjustments
from stockapi.calc.closing import closed_by
from stockapi.calc.continuation import COMPARED_BARS, Fit, fit_of, has_other_unit
from stockapi.calc.indicators import enhance_from
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import DoesNotContinueError
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.providers.base import Provider
from stockapi.services.csv_enhancer import OpenSeries, SaveResult, csv_alone_if_allowed, open_series
from stockapi.services.ingest.history import SyncStats, finish_adjustments, load_history
from stockapi.services.ingest.newest import note_newest
from stockapi.services.market_source import is_from_another, may_be_continued, record_series_source
from stockapi.services.stores import Stores

OVERLAP_BARS = {Interval.DAILY: 40, Interval.HOURLY: 72, Interval.MINUTE: 360}
"""How many of the newest stored bars a resume fetches again: sources correct their newest bars, the last stored bar was
incomplete, and the oldest of them show whether the source has changed its history. Bars and not days are counted: a
stock may trade once a week, or not for months.
"""

_AWAITED_S = 30 * SECONDS_PER_DAY
"""How long hours and minutes are expected to follow an adjustment of their days."""
_BARS_BEFORE_EX = 5


class Wanted(Enum):
    """Which bars a synchronisation fetches. Bars of NEW may still be forming; CLOSED leaves those out, so that none of
    them is stored."""

    NEW = "new"
    CLOSED = "closed"
    ALL = "all"


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
    history of all three intervals is loaded anew, so that two versions of a history are never mixed. The same is done
    for bars that come from another source, unless both agree in the newest ones (`fit_of`).

    :param since: a later beginning of the history (Unix seconds), when nothing is stored.
    :raises ProviderError: when the source fails, or does not fit; then nothing has changed.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    seconds = int(now.timestamp())
    is_other = is_from_another(stores, key, provider.name)
    with open_series(stores, key, now) as series:
        sqlite_error = series.reconcile_if_out_of_step()
        is_adjusted = provider.is_back_adjusted and not series.is_index
        newest = series.held(Window(end=seconds, limit=OVERLAP_BARS[key.interval] + is_other, indicators=False))
        resume = _resume_at(stores, series, newest, seconds) if is_adjusted else newest.time[:1].tolist()
    is_whole = wanted is Wanted.ALL or not len(newest)
    start = provider.history_start(key.interval, seconds) if is_whole else min(resume)
    start = max(start, since or start) if not len(newest) else start
    fetched = provider.fetch(key.ticker, key.interval, start, seconds)
    if wanted is Wanted.CLOSED:
        fetched = closed_by(fetched, key.interval, key.mode, seconds)
    if is_other and len(newest):
        continued = _continued(provider, key, newest, fetched, seconds)
        if continued is None or wanted is Wanted.ALL or not may_be_continued(stores, key, provider.name):
            return load_history(stores, provider, key, now, ())
        fetched = continued
    if not len(fetched):
        return SyncStats(saved=SaveResult().after(sqlite_error))
    with open_series(stores, key, now) as series:
        begin = int(fetched.time[0])
        held = series.held(Window(start=begin, warmup=WARMUP_BARS))
        stored = held.between(begin, None)
        if has_other_unit(stored, fetched):
            raise does_not_continue(provider, key, Fit.OTHER_UNIT)
        if is_other or not is_adjusted or agree(stored, fetched, 10.0 ** -market_of(key.mode).price_decimals):
            part = changed_part(series, held, fetched)
            saved = series.save(part, int(part.time[0])) if len(part) else SaveResult()
            # The days tell for all three: hours and minutes that have changed load all of them.
            is_told = is_adjusted and key.interval is Interval.DAILY
            waits_for = finish_adjustments(stores, key, now) if is_told else ()
            forming_until = note_newest(stores, key, newest, fetched, seconds)
            if is_other or not len(newest):
                record_series_source(stores, key, provider.name, begin if len(newest) else 0)
            if is_whole:
                stores.asked.record(key, (start, seconds), seconds)
            return SyncStats(
                len(fetched), len(part), saved.after(sqlite_error), waits_for=waits_for, forming_until=forming_until
            )
    seen = find_adjustments(stored, fetched) if key.interval is Interval.DAILY else ()
    return load_history(stores, provider, key, now, seen)


def _continued(provider: Provider, key: SeriesKey, newest: Bars, fetched: Bars, seconds: int) -> Bars | None:
    """The bars with which another source goes on, from the first compared one; None when its history must replace the
    stored one.

    :raises DoesNotContinueError: when it can do neither.
    """
    closed = closed_by(newest, key.interval, key.mode, seconds).tail(COMPARED_BARS)
    fit = fit_of(closed, fetched, market_of(key.mode).price_decimals)
    if fit in (Fit.IS_BEHIND, Fit.OTHER_UNIT):
        raise does_not_continue(provider, key, fit)
    return fetched.between(int(closed.time[0]), None) if fit is Fit.CONTINUES else None


def does_not_continue(provider: Provider, key: SeriesKey, fit: Fit) -> DoesNotContinueError:
    """The error that says why the bars of the source cannot follow the stored ones."""
    return DoesNotContinueError(f"{provider.name} {key.ticker} {key.interval.value}: {fit.value}; these stay")


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
