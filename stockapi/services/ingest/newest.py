"""When the newest bar of a series closes, and whether it is known to be closed."""

from collections.abc import Sequence
from datetime import datetime

from stockapi.calc.closing import closes_at
from stockapi.models.bars import Bars
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.csv_enhancer import csv_alone_if_allowed
from stockapi.services.stores import Stores


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
    seconds = int(now.timestamp())
    if stores.settings.sqlite_writes and keys:
        with csv_alone_if_allowed(stores, keys[0].mode.value):
            ledger = stores.sqlite_store.ledger(keys[0].mode)
            times = {key: ledger[key].last_time for key in keys if key in ledger}
            return {key: time for key, time in times.items() if time <= seconds}
    window = Window(end=seconds, limit=1, indicators=False)
    bars = {key: stores.csv_store.read(key, window).bars for key in keys}
    return {key: int(newest.time[-1]) for key, newest in bars.items() if len(newest)}
