"""How often a source may be asked, by all threads together."""

import math
import threading
from collections import deque

from stockapi.providers.live.timing import Timing


class RateLimiter:
    """At most `limit` turns in any `period_s`, a sliding window, in the order in which they were asked for.

    A turn is a moment reserved under the lock and then waited for without it, so no thread overtakes another, and a
    turn given up by a process that stops is lost. A token bucket would be simpler, and lets through twice the limit in
    the first period.
    """

    def __init__(self, limit: int, period_s: float, timing: Timing) -> None:
        self._period_s = period_s
        self._timing = timing
        self._lock = threading.Lock()
        self._turns: deque[float] = deque(maxlen=limit)
        self._paused_until = -math.inf

    def acquire(self) -> bool:
        """Wait for a turn. False when the process is to stop: then nothing may be asked any more."""
        while True:
            turn = self._reserve()
            if not self._wait_until(turn):
                return False
            with self._lock:
                # A pause that began meanwhile voids the turns that were reserved before it.
                if turn >= self._paused_until:
                    return True

    def pause(self, seconds: float) -> None:
        """No turn for anybody before that time has passed; never shortens an earlier pause."""
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
        # Waits at least once, if only for 0 seconds: that is how a stop is noticed.
        while not self._timing.wait(max(turn - self._timing.monotonic_s(), 0.0)):
            if self._timing.monotonic_s() >= turn:
                return True
        return False
