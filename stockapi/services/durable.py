"""Files that survive a crash: durable writes, renames and locks.

This module knows nothing of bars. Its functions raise plain `OSError`; callers use them inside `csv_errors`.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self

from stockapi.errors import CsvError, os_errors
from stockapi.machine import open_regular

LOCK_TIMEOUT_S: Final = 5.0
_LOCK_RETRY_S: Final = 0.002
TEMPORARY_SUFFIX: Final = ".tmp"
_MODE: Final = 0o640


class LockedError(CsvError):
    """Others hold the lock of a directory for longer than is waited for."""


class FileState(NamedTuple):
    """Identifies one state of a file: two states of a file differ. `file` identifies the file among existing files."""

    device: int
    inode: int
    size: int
    changed_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    @property
    def file(self) -> tuple[int, int]:
        return self.device, self.inode


def csv_errors(path: Path) -> AbstractContextManager[None]:
    """A context that turns errors of files into errors of the CSV store.

    :raises CsvError: for every `OSError`, with the path and the cause.
    """
    return os_errors(CsvError, path)


def fsync_directory(directory: Path) -> None:
    """Make new, renamed and removed names in the directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: Path) -> None:
    """Create the directory and its missing parents, durably."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    fsync_directory(directory.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Create the file, or replace it by `data`. After a crash it is the old or the new one, and complete.

    If anything fails before the rename (for example a full disk), the temporary file is removed and the old one stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{TEMPORARY_SUFFIX}")
    try:
        # Not tempfile: only the owner may read its files, and the web process may run as another user.
        with open(open_regular(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "wb") as file:
            file.write(data)
            file.flush()
            if path.exists():
                make_newer(file.fileno(), path.stat())
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    # Without this a power cut may undo the rename.
    fsync_directory(path.parent)


@contextmanager
def locked(directory: Path, *, exclusive: bool, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold the lock of a directory. Readers of its files share it; a writer that changes bytes in place holds it alone.

    The directory itself is locked, because files are replaced, and because it needs no lock file.

    :raises LockedError: when others hold the lock until the timeout.
    :raises FileNotFoundError: when the directory does not exist.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not try_lock(descriptor, exclusive=exclusive, timeout_s=timeout_s):
            holders = "readers or a writer" if exclusive else "a writer"
            raise LockedError(f"{directory} is locked by {holders}, for more than {timeout_s:g} s now")
        try:
            yield
        finally:
            # Closing is not enough: a child that was forked meanwhile has the same open file, and so the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, exclusive: bool, timeout_s: float) -> bool:
    """Take the lock of an open file or directory. Returns False when others hold it until the timeout.

    The lock is released when the last descriptor is closed.
    """
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOCK_RETRY_S)
        else:
            return True


def open_locked_by_us(path: Path, flags: int = 0) -> int:
    """A file to be locked; it is made if it is missing. Not for others: whoever may open it, if only to read it, can
    take the lock and keep it.
    """
    descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | flags, _MODE)
    try:
        with suppress(PermissionError):  # it belongs to another user
            os.fchmod(descriptor, os.fstat(descriptor).st_mode & _MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_range(descriptor: int, start: int, stop: int) -> bytes:
    """The bytes from `start` to `stop` (exclusive).

    :raises OSError: when the file ends before `stop`.
    """
    parts = []
    while start < stop:
        part = os.pread(descriptor, stop - start, start)
        if not part:
            raise OSError(f"the file ends {stop - start} bytes early: it was cut off while it was read")
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def make_newer(descriptor: int, before: os.stat_result) -> None:
    """Give the file a later time of change than `before`.

    Two writes within one tick of the kernel's clock (4 ms) would otherwise have the same time of change. The inode does
    not tell them apart either: a new file may get the inode of a removed one.
    """
    now = os.fstat(descriptor)
    if now.st_mtime_ns <= before.st_mtime_ns:
        os.utime(descriptor, ns=(now.st_atime_ns, before.st_mtime_ns + 1))


def write_range(descriptor: int, start: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, start)
        rest, start = rest[written:], start + written
