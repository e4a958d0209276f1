"""How much memory this process uses, and how much it may use."""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from stockapi.machine import memory_limit_bytes

_MEMORY_USE = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident bytes of this process, and the limit in bytes of the machine or the control group."""

    used_bytes: int
    limit_bytes: int


def measure_memory() -> Memory:
    return Memory(_resident_bytes(), memory_limit_bytes())


def _resident_bytes() -> int:
    try:
        resident_pages = int(_MEMORY_USE.read_text().split()[1])
    except FileNotFoundError:  # not Linux: only the peak is known, in KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return resident_pages * os.sysconf("SC_PAGE_SIZE")
