"""The clocks a worker goes by, together, so that a test can put others in their place."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from stockapi.clock import utc_now


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now`: the present moment, with a time zone. `monotonic` and `cpu_seconds` (of the thread) count seconds."""

    now: Callable[[], datetime] = utc_now
    monotonic: Callable[[], float] = time.monotonic
    cpu_seconds: Callable[[], float] = time.thread_time
