"""Files that survive a crash and readers that never see half a write: the mechanics beneath `csv_store`.

Nothing here knows what a bar is. Functions raise plain `OSError`; callers work within `csv_errors`.
"""

import fcntl
import hashlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from stockapi.errors import CsvError

LOCK_TIMEOUT_S: Final = 5.0
_LOCK_RETRY_S: Final = 0.002

Identity = tuple[int, int, int, int, str]

TEMPORARY_SUFFIX: Final = ".tmp"
_JOURNAL_MAGIC: Final = b"journal-1"


@contextmanager
def csv_errors(path: Path) -> Iterator[None]:
    """:raises CsvError: for every `OSError`, with the path and the cause."""
    try:
        yield
    except OSError as exc:
        raise CsvError(f"{path}: {exc.strerror or exc}") from exc


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
                _make_newer(file.fileno(), path.stat())
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


@dataclass(frozen=True, slots=True)
class Journal:
    """What the bytes of a file from `offset` on are to become.

    `inode` is that of the file it was made for: a file that has since been replaced is not touched by it.
    """

    inode: int
    offset: int
    tail: bytes

    def encode(self) -> bytes:
        return b"%s %s %d %d\n%s" % (_JOURNAL_MAGIC, self.checksum.encode(), self.inode, self.offset, self.tail)

    @property
    def checksum(self) -> str:
        return hashlib.sha256(b"%d %d\n%s" % (self.inode, self.offset, self.tail)).hexdigest()

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """None when `data` is not, to the last byte, what `encode` gave."""
        head, _, tail = data.partition(b"\n")
        try:
            _, _, inode, offset = head.split(b" ")
            journal = cls(int(inode), int(offset), tail)
        except ValueError:
            return None
        return journal if journal.encode() == data else None

    @classmethod
    def load(cls, path: Path, target: os.stat_result) -> Self | None:
        """The journal at `path`; None when there is none, or none that is sound and was made for `target`."""
        try:
            journal = cls.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        fits = journal is not None and journal.inode == target.st_ino and journal.offset <= target.st_size
        return journal if fits else None


def journal_path(path: Path) -> Path:
    return path.with_name(f".{path.stem}.journal")


def replace_tail(path: Path, offset: int, tail: bytes) -> None:
    """Puts `tail` in place of the bytes from `offset` on: after a crash they are the old ones or the new ones, whole.

    Costs a few times the tail, whatever the size of the file. From the rename of the journal on the new tail counts:
    readers that come before the bytes have moved read it from the journal.

    :raises CsvError: when the lock is not to be had. The journal stays, and whoever writes next finishes it.
    """
    journal = Journal(path.stat().st_ino, offset, tail)
    replace_file(journal_path(path), journal.encode())
    _work_in(path, journal)


def finish_journal(path: Path) -> bool:
    """Ends what a crash has interrupted, and says whether there was anything: to be called before every write.

    A journal that is damaged, or not this file's, is only removed. It goes durably before anything else is written,
    so that none can come back after a power cut and meet a later file with the same inode number.
    """
    leftover = journal_path(path)
    if not leftover.exists():
        return False
    journal = Journal.load(leftover, path.stat()) if path.exists() else None
    if journal is not None:
        _work_in(path, journal)
    leftover.unlink(missing_ok=True)
    fsync_directory(path.parent)
    return journal is not None


def _work_in(path: Path, journal: Journal) -> None:
    """Doing it twice does no harm, so the journal goes last, and not durably: that comes with the next write.

    That write either gives the journal's name to a new one or replaces the file, and syncs the directory for it,
    before the file differs from what the journal says.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        with locked(path.parent, exclusive=True):
            before = os.fstat(descriptor)
            _write_range(descriptor, journal.offset, journal.tail)
            os.ftruncate(descriptor, journal.offset + len(journal.tail))
            _make_newer(descriptor, before)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    journal_path(path).unlink()


def _make_newer(descriptor: int, before: os.stat_result) -> None:
    """Two writes within one tick of the kernel's clock (4 ms) would leave the same time of change.

    A new file may even get the inode of the last but one.
    """
    now = os.fstat(descriptor)
    if now.st_mtime_ns <= before.st_mtime_ns:
        os.utime(descriptor, ns=(now.st_atime_ns, before.st_mtime_ns + 1))


def _write_range(descriptor: int, start: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, start)
        rest, start = rest[written:], start + written


def identity_of(status: os.stat_result, journal: Journal | None = None) -> Identity:
    """Differs between any two states of a file: device, inode, size, time of change, and the journal over it."""
    checksum = "" if journal is None else journal.checksum
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, checksum


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as its last writer meant it: its first `end` bytes, then the tail of a journal not yet worked in."""

    descriptor: int
    end: int
    tail: bytes
    identity: Identity

    @property
    def size(self) -> int:
        return self.end + len(self.tail)

    def read(self, start: int, stop: int) -> bytes:
        head = read_range(self.descriptor, start, min(stop, self.end))
        return head + self.tail[max(0, start - self.end) : max(0, stop - self.end)]


@contextmanager
def opened(path: Path) -> Iterator[FileView]:
    """The file for reading, complete even after a crash. Good for as long as the directory's lock is held.

    :raises FileNotFoundError: when it does not exist.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        status = os.fstat(descriptor)
        journal = Journal.load(journal_path(path), status)
        end, tail = (status.st_size, b"") if journal is None else (journal.offset, journal.tail)
        yield FileView(descriptor, end, tail, identity_of(status, journal))
    finally:
        os.close(descriptor)
