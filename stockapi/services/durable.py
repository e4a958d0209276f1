"""Files that survive a crash: durable writes, renames and locks.

Nothing here knows what a bar is. Functions raise plain `OSError`; callers work within `csv_errors`.
"""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Self

from stockapi.errors import CsvError, os_errors

LOCK_TIMEOUT_S: Final = 5.0
_LOCK_RETRY_S: Final = 0.002
TEMPORARY_SUFFIX: Final = ".tmp"


class FileState(NamedTuple):
    """Differs between any two states of a file, and `file` between any two files that are there at one time."""

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
    """:raises CsvError: for every `OSError`, with the path and the cause."""
    return os_errors(CsvError, path)


def fsync_directory(directory: Path) -> None:
    """Makes the names in it durable: those created, renamed and removed."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(directory: Path) -> None:
    """Creates it, and the directories above it that are missing, durably."""
    if directory.is_dir():
        return
    make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    fsync_directory(directory.parent)


def replace_file(path: Path, data: bytes) -> None:
    """Puts `data` in place of the file, if any: after a crash it is the old one or the new one, whole.

    When anything fails before the rename, a full disk above all, the temporary file is removed and the old one stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}{TEMPORARY_SUFFIX}")
    try:
        # Not tempfile: it makes files that nobody but the owner may read, and the web may be another user.
        with open(temporary, "wb") as file:
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
    """Holds the lock of a directory: readers of its files share it, one who moves bytes in place has it alone.

    It is a lock on the directory itself, since files are replaced by others and no lock file has to be kept.

    :raises CsvError: when others hold it all the time until the timeout.
    :raises FileNotFoundError: when the directory does not exist.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if not try_lock(descriptor, exclusive=exclusive, timeout_s=timeout_s):
            holders = "readers or a writer" if exclusive else "a writer"
            raise CsvError(f"{directory} is locked by {holders}, for more than {timeout_s:g} s now")
        try:
            yield
        finally:
            # Closing is not enough: a child forked meanwhile has the same open file, and with it the lock.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, *, exclusive: bool, timeout_s: float) -> bool:
    """Whether the lock of an open file or directory was to be had in that time. It falls with the last descriptor."""
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


def read_range(descriptor: int, start: int, stop: int) -> bytes:
    """:raises OSError: when the file ends before `stop`."""
    parts = []
    while start < stop:
        part = os.pread(descriptor, stop - start, start)
        if not part:
            raise OSError(f"the file ends {stop - start} bytes early: it was cut off while it was read")
        parts.append(part)
        start += len(part)
    return b"".join(parts)


def make_newer(descriptor: int, before: os.stat_result) -> None:
    """Two writes within one tick of the kernel's clock (4 ms) would leave the same time of change.

    A new file may even get the inode of the last but one.
    """
    now = os.fstat(descriptor)
    if now.st_mtime_ns <= before.st_mtime_ns:
        os.utime(descriptor, ns=(now.st_atime_ns, before.st_mtime_ns + 1))


def write_range(descriptor: int, start: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, start)
        rest, start = rest[written:], start + written
