"""The series in which SQLite is behind, as far as this process knows. The workers catch up with them."""

import threading

from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey


class KnownBehind:
    """A set of series, only in memory. It says when to begin; the stamps say what to do. Threads may share it."""

    def __init__(self) -> None:
        self._keys: set[SeriesKey] = set()
        self._lock = threading.Lock()

    def add(self, key: SeriesKey) -> None:
        with self._lock:
            self._keys.add(key)

    def discard(self, key: SeriesKey) -> None:
        with self._lock:
            self._keys.discard(key)

    def of(self, mode: Mode) -> list[SeriesKey]:
        """The series of the market, in the order of ticker and interval; empty when there is none."""
        with self._lock:
            found = [key for key in self._keys if key.mode is mode]
        return sorted(found, key=lambda key: (key.ticker, key.interval.value))
