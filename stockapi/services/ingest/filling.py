"""Fill the holes of a series from its source, and bring older history than is stored.

A hole is what `/tickers/coverage` calls a gap: trading days without a bar. It is filled in windows, the newest first.
Each window is saved before the next one is asked for, so an interrupted filling goes on where it was. Windows in which
the source had nothing are remembered (`services/asked`).

A window reaches over some stored bars on both sides. They show that the source answers for that time at all, and that
its prices are of the same level as the stored ones. If they are not, the source has adjusted its history since, and the
whole history is loaded instead.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from stockapi.calc.adjustments import are_of_one_level
from stockapi.calc.closing import closed_by
from stockapi.calc.continuation import Fit, has_other_unit
from stockapi.calc.gaps import Extent
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import NoDataError, UnknownSymbolError
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Int
from stockapi.models.fields import WARMUP_BARS
from stockapi.models.interval import Interval
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.providers.base import Provider
from stockapi.services.asked import Span
from stockapi.services.csv_enhancer import SaveResult, open_series
from stockapi.services.ingest.history import load_history
from stockapi.services.ingest.sync import changed_part, does_not_continue
from stockapi.services.market_source import is_from_another
from stockapi.services.stores import Stores

_NEIGHBOURS: Final = 10
"""How many stored bars a window reaches over on each side."""
_LEAST_BARS: Final = 10_000
"""A window has room for so many bars: a request or two of a source."""
_SHARE: Final = 4
"""Or, if that is more, for a quarter of what is stored. A save writes all bars after the window anew, so windows of one
size would write the square of a long history.
"""


@dataclass(frozen=True, slots=True)
class Filled:
    """One window: what was asked for, how many bars it brought, and what the save wrote."""

    key: SeriesKey
    span: Span
    bars: int
    saved: SaveResult


def fill_series(
    stores: Stores, provider: Provider, key: SeriesKey, clock: Callable[[], datetime], start: int | None = None
) -> Iterator[Filled]:
    """Fill the holes of one series, window by window, and yield each when it is saved. Bars of another source are left
    alone: a synchronisation has to take them over first.

    :param start: bring also what is older than the first stored bar, from this time on (Unix seconds), and fill no
        older hole. No bar is of a time before 1970, so no source is asked for that. None: fill all holes, and bring
        nothing older.
    :raises ProviderError: when the source fails; the windows before are saved.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`.
    """
    empty_in_a_row = 0
    while not is_from_another(stores, key, provider.name):
        now = clock()
        times = _stored_times(stores, key, now)
        missing = holes(stores, key, times, int(now.timestamp()), start)
        if not missing:
            return
        # Far back there may be nothing for years.
        room = max(_LEAST_BARS, len(times) // _SHARE) << empty_in_a_row
        window = _newest_window(missing, _seconds_of(room, key))
        filled = _fill(stores, provider, key, window, times, now)
        empty_in_a_row = 0 if filled.bars else min(empty_in_a_row + 1, 16)
        yield filled


def holes(stores: Stores, key: SeriesKey, times: Int, now: int, start: int | None = None) -> list[Span]:
    """The windows that nothing is stored of and that the source was not asked for lately, in the order of time.

    :param times: of all stored bars up to `now`, ascending.
    :param start: as in `fill_series`.
    """
    if not len(times):
        return []
    expected = market_of(key.mode).calendar.trading_days(int(times[0]), int(times[-1]))
    gaps = [(gap.first, gap.last + SECONDS_PER_DAY - 1) for gap in Extent.of_times(times).gaps(expected)]
    if start is not None:
        start = max(start, 0)
        gaps = [(start, int(times[0]) - 1), *gaps]
        gaps = [(max(first, start), last) for first, last in gaps if last >= max(first, start)]
    asked = stores.asked.spans(key, now)
    return [part for gap in gaps for part in _without(_widened(gap, times, start), asked) if _meet(part, gap)]


def _stored_times(stores: Stores, key: SeriesKey, now: datetime) -> Int:
    with open_series(stores, key, now) as series:
        series.reconcile_if_out_of_step()
        return series.held(Window(end=int(now.timestamp()), indicators=False)).time


def _widened(gap: Span, times: Int, start: int | None) -> Span:
    """The gap, to the stored bars on both sides of it: the days there may have been cut within."""
    before, after = np.searchsorted(times, gap[0]), np.searchsorted(times, gap[1], side="right")
    first = int(times[before - 1]) + 1 if before else gap[0]
    return first if start is None else max(first, start), int(times[after]) - 1


def _meet(one: Span, other: Span) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _without(span: Span, asked: Sequence[Span]) -> Iterator[Span]:
    begin, last = span
    for asked_first, asked_last in asked:
        if asked_last < begin or asked_first > last:
            continue
        if asked_first > begin:
            yield begin, asked_first - 1
        begin = asked_last + 1
    if begin <= last:
        yield begin, last


def _newest_window(missing: Sequence[Span], length_s: int) -> list[Span]:
    """The newest hole, with the earlier ones that lie within that length: one request costs less than several."""
    earliest = missing[-1][1] - length_s + 1
    return [(max(first, earliest), last) for first, last in missing if last >= earliest]


def _seconds_of(bars: int, key: SeriesKey) -> int:
    """The length of time in which a series has about so many bars."""
    calendar = market_of(key.mode).calendar
    per_day = 1 if key.interval is Interval.DAILY else calendar.session_s / key.interval.seconds
    return max(1, int(bars / per_day * 7 / calendar.days_per_week)) * SECONDS_PER_DAY


def _fill(
    stores: Stores, provider: Provider, key: SeriesKey, window: Sequence[Span], times: Int, now: datetime
) -> Filled:
    """:param window: the holes to fill. What else the source has within that time is left out: it may be deleted."""
    span, seconds = (window[0][0], window[-1][1]), int(now.timestamp())
    fetched = _fetch(stores, provider, key, span, times, seconds)
    is_missing = [(fetched.time >= first) & (fetched.time <= last) for first, last in window]
    new = fetched.take(np.logical_or.reduce(is_missing) & ~np.isin(fetched.time, times))
    if len(new) and not _is_of_one_level(stores, provider, key, fetched, new, now):
        stats = load_history(stores, provider, key, now, ())
        filled = Filled(key, span, stats.fetched, stats.saved)
    elif len(new):
        filled = Filled(key, span, len(new), _save(stores, key, new, now))
    else:
        filled = Filled(key, span, 0, SaveResult())
    stores.asked.record(key, span, seconds)
    return filled


def _fetch(stores: Stores, provider: Provider, key: SeriesKey, span: Span, times: Int, now: int) -> Bars:
    """The window and its neighbours; no bars where the source has none of that time, though it answers for others.

    :raises UnknownSymbolError: when the source does not know the ticker; the window is remembered then.
    :raises NoDataError: when the source does not even have the newest stored bars. It may be blocking us.
    """
    begin, end = (int(position) for position in np.searchsorted(times, span))
    start = int(times[max(begin - _NEIGHBOURS, 0)]) if begin else span[0]
    until = int(times[min(end + _NEIGHBOURS, len(times)) - 1])
    try:
        # The last bar is asked for whole.
        fetched = provider.fetch(key.ticker, key.interval, start, min(until + key.interval.seconds, now))
    except UnknownSymbolError:
        stores.asked.record(key, span, now)
        raise
    except NoDataError:
        provider.fetch(key.ticker, key.interval, int(times[-1]), now)
        return Bars.empty(whole_volume=market_of(key.mode).has_whole_volume)
    return fetched.between(start, until)


def _is_of_one_level(
    stores: Stores, provider: Provider, key: SeriesKey, fetched: Bars, new: Bars, now: datetime
) -> bool:
    """Whether the fetched bars have the prices of the stored ones before the first and after the last new bar.

    :raises DoesNotContinueError: when they have another unit.
    """
    if not provider.is_back_adjusted:
        return True
    with open_series(stores, key, now) as series:
        is_index = series.is_index
        window = Window(start=int(fetched.time[0]), end=int(fetched.time[-1]), indicators=False)
        stored = closed_by(series.held(window), key.interval, key.mode, int(now.timestamp()))
    if has_other_unit(stored, fetched):
        raise does_not_continue(provider, key, Fit.OTHER_UNIT)
    if is_index:
        return True
    unit = 10.0 ** -market_of(key.mode).price_decimals
    sides = stored.between(None, int(new.time[0])), stored.between(int(new.time[-1]), None)
    return all(are_of_one_level(side, fetched, unit) for side in sides)


def _save(stores: Stores, key: SeriesKey, new: Bars, now: datetime) -> SaveResult:
    with open_series(stores, key, now) as series:
        held = series.held(Window(start=int(new.time[0]), warmup=WARMUP_BARS))
        part = changed_part(series, held, new)
        return series.save(part, int(part.time[0])) if len(part) else SaveResult()
