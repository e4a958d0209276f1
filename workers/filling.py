"""Fill holes by itself, in the quiet hours of each market."""

import logging
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from stockapi.errors import AppError, ProviderError, ProviderStoppedError, StoreError
from stockapi.logs import key_values
from stockapi.markets import market_of
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.base import Provider
from stockapi.services.ingest.filling import Filled, fill_series
from stockapi.services.ingest.sources import Sources
from stockapi.services.stores import Stores
from workers.clocks import Clocks

log = logging.getLogger(__name__)

_LOOK_EVERY_S: Final = 60.0
_RETRY_AFTER_S: Final = 3_600.0
_QUIET_FOR: Final = timedelta(hours=4)
_PAUSE_TIMES: Final = 4
"""The pause after each window, as a multiple of its CPU time, as in the loop of the workers."""


def quiet_since(mode: Mode, now: datetime) -> datetime | None:
    """When the quiet hours began in which `now` lies; None outside of them."""
    quiet_from = market_of(mode).quiet_from
    local = now.astimezone(quiet_from.tzinfo)
    begun = datetime.combine(local.date(), quiet_from)
    if begun > local:
        begun -= timedelta(days=1)
    return begun if local - begun < _QUIET_FOR else None


class Filling:
    """The work of a thread: once a night it looks at all series of each market, until `stop` is set.

    Days come before hours and minutes, which take longer. If the quiet hours are too short, the next night goes on.
    """

    def __init__(
        self, stores: Stores, sources: Mapping[Mode, Provider | Sources], stop: threading.Event, clocks: Clocks
    ) -> None:
        self._stores = stores
        self._sources = {mode: Sources.of(stores, source) for mode, source in sources.items()}
        self._stop = stop
        self._clock = clocks.now
        self._monotonic = clocks.monotonic
        self._cpu_seconds = clocks.cpu_seconds
        self._not_before = dict.fromkeys(sources, float("-inf"))
        self._done: dict[Mode, datetime] = {}
        """The beginning of the quiet hours in which the market was looked at completely."""

    def run(self) -> None:
        try:
            while not self._stop.wait(_LOOK_EVERY_S):
                self.fill_due()
        finally:
            self._stores.db_manager.close_readers()

    def fill_due(self) -> None:
        """Fill the markets in which it is quiet. An error is logged. One of the whole source ends it for an hour."""
        for mode in self._sources:
            began = quiet_since(mode, self._clock())
            if began is None or self._done.get(mode) == began or self._monotonic() < self._not_before[mode]:
                continue
            try:
                self._fill_market(mode, began)
            except ProviderStoppedError:
                return
            except AppError as exc:
                self._not_before[mode] = self._monotonic() + _RETRY_AFTER_S
                log.warning(key_values(event="filling_failed", mode=mode.value, error=exc))
            except Exception:
                self._not_before[mode] = self._monotonic() + _RETRY_AFTER_S
                log.exception(key_values(event="filling_failed", mode=mode.value))

    def _fill_market(self, mode: Mode, began: datetime) -> None:
        """:raises AppError: when no other series can be filled now either."""
        windows, bars, failed = 0, 0, 0
        for key in self._keys(mode):
            try:
                for filled in self._fill_one(key):
                    windows, bars = windows + bool(filled), bars + (filled.bars if filled else 0)
                    if self._stop.is_set() or quiet_since(mode, self._clock()) != began:
                        return
            except (ProviderError, StoreError) as exc:
                if isinstance(exc, ProviderError) and exc.stops_cycle:
                    raise
                failed += 1
                log.warning("%s is not filled: %s", key, exc)
        self._done[mode] = began
        log.info(key_values(event="filled", mode=mode.value, windows=windows, bars=bars, failed=failed))

    def _keys(self, mode: Mode) -> Iterator[SeriesKey]:
        tickers = self._sources[mode].current.tickers()
        for interval in Interval:
            for ticker in tickers:
                yield SeriesKey(mode, ticker, interval)

    def _fill_one(self, key: SeriesKey) -> Iterator[Filled | None]:
        """Yield each window when it is saved, and None at the end, with a pause after each."""
        windows = fill_series(self._stores, self._sources[key.mode].current, key, self._clock)
        computed = self._cpu_seconds()
        for filled in chain(windows, [None]):
            self._stop.wait(_PAUSE_TIMES * (self._cpu_seconds() - computed))
            yield filled
            computed = self._cpu_seconds()
