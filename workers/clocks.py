"""The clocks of a worker in one object, so that a test can replace them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from stockapi.clock import utc_now


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now`: the present time, with a time zone. `monotonic`: seconds. `cpu_seconds`: the CPU time of the thread."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    cpu_seconds: Callable[[], float] = time.thread_time
