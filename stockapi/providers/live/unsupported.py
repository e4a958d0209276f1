"""Tickers of our list that a source does not have."""

import threading
from collections.abc import Iterable
from typing import Final

from stockapi.providers.live.timing import Timing

_ASK_AGAIN_AFTER_S: Final = 86_400.0
"""A coin that gets listed is picked up within a day, without a restart."""


class Unsupported:
    """Remembers who was unknown, so that a cycle reports and asks for each only once a day. For all threads."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, ticker: str) -> None:
        with self._lock:
            self._until[ticker] = self._timing.monotonic_s() + _ASK_AGAIN_AFTER_S

    def without(self, tickers: Iterable[str]) -> list[str]:
        """The tickers in their order, less those found unknown within the last day."""
        now = self._timing.monotonic_s()
        with self._lock:
            return [ticker for ticker in tickers if self._until.get(ticker, now) <= now]
