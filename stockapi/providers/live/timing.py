"""What live sources need of the world beside the network: clocks, a way to wait, and chance."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Given to each source, so that tests need not wait and a stopping process need not either."""

    wait: Callable[[float], bool]
    """Waits so many seconds, at most until the process is to stop, and says whether it is: `Event.wait`."""
    monotonic_s: Callable[[], float] = time.monotonic
    unix_s: Callable[[], float] = time.time
    chance: Callable[[], float] = random.random
    """From 0 to below 1."""
