"""The sources of one market, the one that is asked now, and the change from one to another."""

import logging
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from stockapi.calc.closing import closed_by
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import ProviderError
from stockapi.logs import key_values
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.providers.base import Provider
from stockapi.services.csv_enhancer import open_series
from stockapi.services.ingest.preference import Preference
from stockapi.services.stores import Stores

LOST_AFTER: Final = 10
"""Where there is another source, so many series in a row without an answer end a cycle: a source that is down lets each
request wait for seconds.
"""
_PROBED_TICKERS: Final = 3
_PROBED_S: Final = 14 * SECONDS_PER_DAY
"""A window of this length has bars, even after the longest holiday."""

log = logging.getLogger(__name__)


def preference_of(stores: Stores, mode: Mode) -> Preference:
    """Which source of the market is asked, and why."""
    settings = stores.settings
    known = stores.series_sources.asked(mode)
    return Preference.known(settings.sources(mode), settings.source_return_after_s, known)


class Sources:
    """The threads of a process share it. Every process that writes the market asks the source that it names."""

    def __init__(self, stores: Stores, providers: Sequence[Provider]) -> None:
        """:param providers: of one market, the preferred one first."""
        self.mode = providers[0].mode
        self._stores = stores
        self._providers = {provider.name: provider for provider in providers}
        self._lock = threading.Lock()
        self._known = preference_of(stores, self.mode) if len(providers) > 1 else None

    @classmethod
    def of(cls, stores: Stores, source: "Provider | Sources") -> "Sources":
        """A lone provider is asked whatever happens."""
        return source if isinstance(source, Sources) else cls(stores, [source])

    @property
    def current(self) -> Provider:
        """The source to ask now. Keep it for as long as what belongs together takes."""
        return next(iter(self._providers.values())) if self._known is None else self._providers[self._known.source]

    @property
    def has_others(self) -> bool:
        return self._known is not None

    def cycle_ended(self, worker: str, provider: Provider, error: str | None, now: datetime) -> bool:
        """Count the cycle, and change the source if that is due.

        :param error: why the provider gave less than half of the series; None when it gave them.
        :returns: whether another source is to be asked from now on.
        :raises CsvError: when it cannot be written down.
        """
        with self._lock:
            # Another thread may have given it up meanwhile.
            if self._known is None or self._known.source != provider.name:
                return self._known is not None
            return self._put(self._known.after_cycle(worker, error, int(now.timestamp())), now)

    def give_up(self, provider: Provider, error: str, now: datetime) -> bool:
        """Change the source at once.

        :returns: whether there is another one to ask.
        :raises CsvError: when it cannot be written down.
        """
        with self._lock:
            if self._known is None or self._known.source != provider.name:
                return False
            return self._put(self._known.without(error, int(now.timestamp())), now)

    def look_back(self, now: datetime) -> None:
        """Probe the sources that are preferred to the current one, if that is due, and return to one that is well.

        :raises StoreError: when the stored bars cannot be read, or the change cannot be written down.
        """
        seconds = int(now.timestamp())
        with self._lock:
            if self._known is None or not self._known.is_probe_due(seconds):
                return
            self._known = self._known.probed(seconds)
            better = self._known.better
        for name in better:
            is_well = self._is_well(self._providers[name], now)
            with self._lock:
                if name in self._known.better and self._put(self._known.after_probe(name, is_well, seconds), now):
                    return

    def _put(self, known: Preference, now: datetime) -> bool:
        """:returns: whether the source is another one now."""
        before, self._known = self._known, known
        if known == before or before is None:
            return False
        self._stores.series_sources.put_asked(self.mode, known.as_json())
        if known.source == before.source:
            return False
        log.warning(
            key_values(event="source_changed", mode=self.mode.value, source=known.source, at=now, why=known.why)
        )
        return True

    def _is_well(self, provider: Provider, now: datetime) -> bool:
        """Whether the source gives most of some tickers in each interval, with the newest bars that are stored."""
        try:
            tickers = provider.tickers()
        except ProviderError:
            return False
        chosen = tickers[:: max(1, (len(tickers) - 1) // (_PROBED_TICKERS - 1))][:_PROBED_TICKERS]
        for interval in Interval:
            given = [self._gives(provider, SeriesKey(self.mode, ticker, interval), now) for ticker in chosen]
            if 2 * sum(given) <= len(given):
                return False
        return True

    def _gives(self, provider: Provider, key: SeriesKey, now: datetime) -> bool:
        seconds = int(now.timestamp())
        try:
            fetched = provider.fetch(key.ticker, key.interval, seconds - _PROBED_S, seconds)
        except ProviderError as exc:
            log.info("%s: %s", key, exc)
            return False
        with open_series(self._stores, key, now) as series:
            newest = series.held(Window(end=seconds, limit=2, indicators=False))
        closed = closed_by(newest, key.interval, key.mode, seconds)
        return bool(len(fetched)) and (not len(closed) or bool(fetched.time[-1] >= closed.time[-1]))
