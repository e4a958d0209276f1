"""How much memory this process uses, and how much it may use."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")
_MEMORY_USE = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Memory:
    """The resident bytes of this process, and the limit in bytes of the machine or the control group."""

    used_bytes: int
    limit_bytes: int


def measure_memory() -> Memory:
    return Memory(_resident_bytes(), _memory_limit_bytes())


def _resident_bytes() -> int:
    try:
        resident_pages = int(_MEMORY_USE.read_text().split()[1])
    except FileNotFoundError:  # not Linux: only the peak is known, in KiB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return resident_pages * os.sysconf("SC_PAGE_SIZE")


@cache
def _memory_limit_bytes() -> int:
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *cgroup_limits(_CGROUP_ROOT, _CGROUP_MEMBERSHIP)])


def cgroup_limits(root: Path, membership: Path) -> Iterator[int]:
    """The memory limits in bytes of the control groups (version 1 or 2) of this process; empty when there are none.

    Inside a container the path of the membership may be that of the host. Then the limit is at the root.
    """
    lines = membership.read_text().splitlines() if membership.exists() else []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, name = root, "memory.max"
        elif "memory" in controllers.split(","):
            base, name = root / "memory", "memory.limit_in_bytes"
        else:
            continue
        inside = base / path.lstrip("/")
        for directory in (inside, *inside.parents):
            limit = directory / name
            if directory.is_relative_to(base) and limit.is_file() and (text := limit.read_text().strip()).isdigit():
                yield int(text)
