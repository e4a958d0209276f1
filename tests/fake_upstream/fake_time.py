"""Time that passes only while somebody waits."""

import threading

from stockapi.providers.live.timing import Timing


class FakeTime:
    """`waits`: every wait of more than 0 seconds so far. `stopped`: what a wait says. `chance`: the dice, 0 to 1."""

    def __init__(self, now: int, *, chance: float = 1.0) -> None:
        self.now = float(now)
        self.chance = chance
        self.stopped = False
        self.waits: list[float] = []
        self._lock = threading.Lock()

    def timing(self) -> Timing:
        return Timing(wait=self.wait, monotonic_s=lambda: self.now, unix_s=lambda: self.now, chance=lambda: self.chance)

    def wait(self, seconds: float) -> bool:
        with self._lock:
            if seconds > 0 and not self.stopped:
                self.waits.append(seconds)
                self.now += seconds
        return self.stopped
