"""What the machine gives: files that are files, and memory."""

import errno
import json
import os
import resource
import stat
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_CGROUP_MEMBERSHIP = Path("/proc/self/cgroup")


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """The descriptor of a regular file. A pipe or a device in its place would make `open` or `read` wait for ever.

    :raises OSError: as `os.open`; also for anything that is not a regular file.
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK, mode)
    kind = os.fstat(descriptor).st_mode
    if stat.S_ISREG(kind):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def read_regular(path: Path) -> bytes:
    """The content of a regular file.

    :raises OSError: as `open_regular`.
    """
    with open(open_regular(path), "rb") as file:
        return file.read()


def real_path(path: Path) -> Path:
    """Where the path leads. As `Path.resolve`, which raises a RuntimeError for links that lead to themselves."""
    return Path(os.path.realpath(path))


def parse_json(text: str | bytes, **how: Any) -> Any:
    """As `json.loads`, with the same options.

    :raises ValueError: when it is not JSON, or nested more deeply than Python reads it.
    """
    try:
        return json.loads(text, **how)
    except RecursionError as exc:
        raise ValueError("it is nested too deeply") from exc


@cache
def memory_limit_bytes() -> int:
    """What the machine has, or less: the control group or the address space may be limited."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    limits = [physical, *cgroup_limits(_CGROUP_ROOT, _CGROUP_MEMBERSHIP)]
    return min(limits if address_space == resource.RLIM_INFINITY else [*limits, address_space])


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
