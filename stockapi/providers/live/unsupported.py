"""The tickers of our list that a source does not have."""

import threading
from collections.abc import Iterable
from typing import Final

from stockapi.providers.live.timing import Timing

_ASK_AGAIN_AFTER_S: Final = 86_400.0
"""The source is asked again after a day, so a new coin needs no restart."""


class Unsupported:
    """Remembers unknown tickers, so that each is requested and reported only once a day. Threads share it."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._until: dict[str, float] = {}
        self._lock = threading.Lock()

    def add(self, ticker: str) -> None:
        with self._lock:
            self._until[ticker] = self._timing.monotonic_s() + _ASK_AGAIN_AFTER_S

    def without(self, tickers: Iterable[str]) -> list[str]:
        """The tickers in the same order, without those that were unknown within the last day."""
        now = self._timing.monotonic_s()
        with self._lock:
            return [ticker for ticker in tickers if self._until.get(ticker, now) <= now]
