"""Clocks, waiting and random numbers for live sources."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Each source gets one. So tests need not wait, and a process that stops need not wait either."""

    wait: Callable[[float], bool]
    """Wait this number of seconds, or until the process stops. Returns whether it stops, as `Event.wait`."""
    monotonic_s: Callable[[], float] = time.monotonic
    unix_s: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    """A random number, 0 <= x < 1."""
