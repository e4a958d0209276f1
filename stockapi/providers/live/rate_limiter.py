"""Limit the requests of all threads to one source."""

import math
import threading
from collections import deque

from stockapi.providers.live.timing import Timing


class RateLimiter:
    """At most `limit` requests in any period of `period_s` seconds, first come, first served.

    A thread reserves a time under the lock and waits for it without the lock, so no thread overtakes another. If the
    process stops, a reserved time is lost. A token bucket would be simpler, but it allows twice the limit in the first
    period.
    """

    def __init__(self, limit: int, period_s: float, timing: Timing) -> None:
        self._period_s = period_s
        self._timing = timing
        self._lock = threading.Lock()
        self._turns: deque[float] = deque(maxlen=limit)
        self._paused_until = -math.inf

    def acquire(self) -> bool:
        """Wait until a request is allowed. Returns False when the process stops: then send no request."""
        while True:
            turn = self._reserve()
            if not self._wait_until(turn):
                return False
            with self._lock:
                # A pause that began meanwhile cancels the times that were reserved before it.
                if turn >= self._paused_until:
                    return True

    def pause(self, seconds: float) -> None:
        """Allow no request within the next `seconds`. It never shortens an earlier pause."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._timing.monotonic_s() + seconds)

    def _reserve(self) -> float:
        with self._lock:
            turn = max(self._timing.monotonic_s(), self._paused_until)
            if len(self._turns) == self._turns.maxlen:
                turn = max(turn, self._turns[0] + self._period_s)
            self._turns.append(turn)
            return turn

    def _wait_until(self, turn: float) -> bool:
        # It waits at least once, even for 0 seconds, to notice a stop.
        while not self._timing.wait(max(turn - self._timing.monotonic_s(), 0.0)):
            if self._timing.monotonic_s() >= turn:
                return True
        return False
