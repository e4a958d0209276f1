"""The directory in which the processes of one gunicorn count together. gunicorn.conf.py uses it.

The master imports this module. prometheus_client may be imported only after the environment names the directory.
"""

import atexit
import errno
import logging
import mmap
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Final

from stockapi.logs import key_values

log = logging.getLogger(__name__)

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


@cache
def metrics_directory(parent: str | None) -> Path:
    """A private directory in `parent` (None: the usual one for temporary files). It is removed when this process ends.

    Every load of the configuration gets the same directory, so the counts continue after a reload.
    """
    directory = Path(tempfile.mkdtemp(prefix="stockapi-metrics-", dir=parent))
    atexit.register(_remove, directory, os.getpid())
    return directory


def count_without_room() -> None:
    """Let this process count in its own memory where a file of counts finds no room. Call it before the first count.

    prometheus_client maps files that have no blocks yet. Where the file system is full, and any local user may fill
    `/dev/shm`, the first count would be a SIGBUS, which ends the process.
    """
    from prometheus_client import mmap_dict

    mmap_dict.mmap = SimpleNamespace(  # type: ignore[assignment, attr-defined]
        mmap=_mapped, ACCESS_READ=mmap.ACCESS_READ, ACCESS_WRITE=mmap.ACCESS_WRITE, PAGESIZE=mmap.PAGESIZE
    )


def _mapped(descriptor: int, size: int, access: int = mmap.ACCESS_WRITE) -> mmap.mmap:
    """As `mmap.mmap`, with all blocks of the file; without room, a copy that no other process sees."""
    if access == mmap.ACCESS_READ:
        return mmap.mmap(descriptor, size, access=access)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        if exc.errno not in _NO_ROOM:
            raise
        log.error("%s", key_values(event="metrics_without_room", error=exc.strerror))
        alone = mmap.mmap(-1, size)
        written = os.pread(descriptor, size, 0)
        alone[: len(written)] = written
        return alone
    return mmap.mmap(descriptor, size, access=access)


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker inherits this exit handler, and ends earlier
        shutil.rmtree(directory, ignore_errors=True)


def forget_worker(directory: Path, pid: int) -> None:
    """Call it when a worker has ended. Its requests are no longer in progress; its counts stay."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid, str(directory))  # type: ignore[no-untyped-call]
