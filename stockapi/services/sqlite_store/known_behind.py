"""The series of which this process knows that SQLite is behind: what there is to catch up with."""

import threading

from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey


class KnownBehind:
    """Kept in memory alone: it says when to begin. What has to be done, the stamps say. Thread-safe."""

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
        """Sorted by ticker and interval."""
        with self._lock:
            found = [key for key in self._keys if key.mode is mode]
        return sorted(found, key=lambda key: (key.ticker, key.interval.value))
