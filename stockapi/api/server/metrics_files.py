"""The directory in which the processes of one gunicorn count together. gunicorn.conf.py uses it.

The master imports this module. prometheus_client may be imported only after the environment names the directory.

Metrics are an aside: where a file of counts finds no room, or cannot be opened at all, its process counts in its own
memory. The log says so once for each process.
"""

import atexit
import errno
import logging
import mmap
import os
import shutil
import stat
import tempfile
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import closing
from functools import cache
from io import BufferedRandom
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from stockapi.logs import key_values
from stockapi.services.durable import LockedError, locked, try_lock

log = logging.getLogger(__name__)

_PREFIX: Final = "stockapi-metrics-"
_MASTER_LOCK: Final = "master.lock"
"""A file that the master, and after it the last of its workers, holds locked: an unlocked directory is of the dead."""
_JUST_MADE_S: Final = 60.0
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_SUMMED: Final = ("counter", "histogram")
_OF_THE_DEAD: Final = "dead"


@cache
def metrics_directory(parent: str | None) -> Path:
    """A private directory in `parent` (None: the usual one for temporary files). It is removed when this process ends,
    or, if this process was killed, when the next one starts.

    Every load of the configuration gets the same directory, so the counts continue after a reload.

    :raises OSError: when it cannot be made.
    """
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    descriptor = os.open(directory / _MASTER_LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try_lock(descriptor, exclusive=True, timeout_s=0.0)  # never closed: the workers inherit it
    atexit.register(_remove, directory, os.getpid())
    _remove_those_of_the_dead(directory.parent, time.time())
    return directory


def _remove(directory: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker inherits this exit handler, and ends earlier
        shutil.rmtree(directory, ignore_errors=True)


def _remove_those_of_the_dead(parent: Path, now: float) -> None:
    """:param now: Unix seconds. A directory of the last minute may not be locked yet."""
    for directory in parent.glob(f"{_PREFIX}*"):
        try:
            status = directory.lstat()
            is_ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
            if is_ours and now - status.st_mtime > _JUST_MADE_S and not _is_locked(directory / _MASTER_LOCK):
                shutil.rmtree(directory)
        except OSError as exc:  # it takes some room, and nothing else
            log.warning("%s", key_values(event="metrics_left_behind", directory=directory, error=exc.strerror))


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, exclusive=True, timeout_s=0.0)
    finally:
        os.close(descriptor)


def count_without_room(directory: Path) -> None:
    """Let this process count in its own memory where a file of counts finds no room. Call it before the first count.

    prometheus_client maps files that have no blocks yet. Where the file system is full, and any local user may fill
    `/dev/shm`, the first count would be a SIGBUS, which ends the process.
    """
    _tell.cache_clear()
    try:
        directory.mkdir(mode=0o700, exist_ok=True)  # somebody may have cleaned up
    except OSError as exc:
        _tell(exc.strerror)
    from prometheus_client import mmap_dict

    mmap_dict.mmap = SimpleNamespace(  # type: ignore[assignment, attr-defined]
        mmap=_mapped, ACCESS_READ=mmap.ACCESS_READ, ACCESS_WRITE=mmap.ACCESS_WRITE, PAGESIZE=mmap.PAGESIZE
    )
    mmap_dict.open = _opened  # type: ignore[attr-defined]


@cache
def _tell(error: str) -> None:
    """Say once that the counts of this process are missing in /metrics."""
    log.error("%s", key_values(event="metrics_without_room", error=error))


def _opened(name: str, mode: str) -> Any:
    """As `open`; for a file of counts that cannot be opened or made, one in memory that no other process sees."""
    try:
        return open(name, mode)
    except OSError as exc:
        if "+" not in mode:
            raise
        _tell(exc.strerror)
        return os.fdopen(os.memfd_create("counts"), "r+b")


def _mapped(descriptor: int, size: int, access: int = mmap.ACCESS_WRITE) -> mmap.mmap:
    """As `mmap.mmap`, with all blocks of the file; without room, a copy that no other process sees."""
    if access == mmap.ACCESS_READ:
        return mmap.mmap(descriptor, size, access=access)
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as exc:
        if exc.errno not in _NO_ROOM:
            raise
        _tell(exc.strerror)
        alone = mmap.mmap(-1, size)
        written = os.pread(descriptor, size, 0)
        alone[: len(written)] = written
        return alone
    return mmap.mmap(descriptor, size, access=access)


def forget_workers(directory: Path, living: Collection[int]) -> None:
    """Call it when a worker has ended. Its requests are no longer in progress. Its counts stay, added to those of all
    that ended before it; else each death would leave its files for ever.

    Where that finds no room, or while somebody reads, the files stay until the next worker ends.

    :param living: the process numbers of the workers.
    """
    try:
        with locked(directory, exclusive=True, timeout_s=0.0):
            files = [path for path in directory.iterdir() if path.suffix == ".db" and _is_of_a_dead(path, living)]
            for path in files:
                if path.name.startswith("gauge_live"):
                    path.unlink()
            for kind in _SUMMED:
                _merge(
                    [path for path in files if path.name.startswith(f"{kind}_")],
                    directory / f"{kind}_{_OF_THE_DEAD}.db",
                )
    except LockedError:
        return
    except OSError as exc:
        _tell(exc.strerror)


def _is_of_a_dead(path: Path, living: Collection[int]) -> bool:
    _, _, pid = path.stem.rpartition("_")
    return pid.isdecimal() and int(pid) not in living


def _merge(files: Collection[Path], into: Path) -> None:
    """:raises OSError: when the system refuses; then the files are as before."""
    from prometheus_client.mmap_dict import MmapedDict

    if not files:
        return
    totals: defaultdict[str, float] = defaultdict(float)
    for path in non_empty([into, *files]):
        for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):  # type: ignore[no-untyped-call]
            totals[key] += value
    # Not in its place: where the file system is full, writing to a map of it would end this process.
    with (
        os.fdopen(os.memfd_create("counts"), "r+b") as memory,
        closing(MmapedDict(f"/proc/self/fd/{memory.fileno()}")) as sums,  # type: ignore[no-untyped-call]
    ):
        for key, value in totals.items():
            sums.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
        _replace(into, memory)
    for path in files:
        path.unlink()


def _replace(path: Path, content: BufferedRandom) -> None:
    temporary = path.with_suffix(".tmp")
    try:
        temporary.write_bytes(content.read())
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def non_empty(files: Iterable[Path]) -> list[Path]:
    """Those files that exist and have bytes. A process may be killed after it has made a file, and before its size."""
    return [path for path in files if path.exists() and path.stat().st_size]
