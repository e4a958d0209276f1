"""The redo journal of a file, and views of a file as its last writer meant it.

Nothing here knows what a bar is. Functions raise plain `OSError`; callers work within `csv_errors`.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from stockapi.services.durable import (
    FileState,
    fsync_directory,
    locked,
    make_newer,
    read_range,
    replace_file,
    write_range,
)

Identity = tuple[FileState, str]
"""Two states of a file, as readers see it, have different values. The text identifies its journal; "" for none."""

_JOURNAL_MAGIC: Final = b"journal-1"


@dataclass(frozen=True, slots=True)
class Journal:
    """The new bytes of a file from `offset` on.

    `inode`: of the file that the journal was made for. A journal never changes a file with another inode.
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
        """The journal in `data`; None when `data` is not exactly what `encode` returns."""
        head, _, tail = data.partition(b"\n")
        try:
            _, _, inode, offset = head.split(b" ")
            journal = cls(int(inode), int(offset), tail)
        except ValueError:
            return None
        return journal if journal.encode() == data else None

    @classmethod
    def load(cls, path: Path, target: os.stat_result) -> Self | None:
        """The journal at `path`; None when there is no file, when it is damaged, or when it was made for another file
        than `target`.
        """
        try:
            journal = cls.decode(path.read_bytes())
        except FileNotFoundError:
            return None
        fits = journal is not None and journal.inode == target.st_ino and journal.offset <= target.st_size
        return journal if fits else None


def journal_path(path: Path) -> Path:
    return path.with_name(f".{path.stem}.journal")


def replace_tail(path: Path, offset: int, tail: bytes) -> None:
    """Replaces the bytes from `offset` on by `tail`. After a crash the file has either all old bytes or all new ones.

    The cost is a few times the tail and does not depend on the size of the file. The new tail is valid from the rename
    of the journal on: until the bytes are in the file, readers take them from the journal.

    :raises CsvError: when the lock is not free in time. The journal stays, and the next writer finishes it.
    """
    journal = Journal(path.stat().st_ino, offset, tail)
    replace_file(journal_path(path), journal.encode())
    _work_in(path, journal)


def finish_journal(path: Path) -> bool:
    """Finishes a write that a crash interrupted. Returns whether there was one. Call it before every write.

    A journal that is damaged, or of another file, is only removed. The removal is durable before the next write.
    Otherwise the journal could come back after a power cut and match a later file with the same inode number.
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
    """Writes the journal into the file, then removes the journal. Doing it twice does no harm, so the removal need not
    be durable.

    The next write makes it durable: it replaces the journal or the file, and syncs the directory, before the file
    differs from the journal.
    """
    descriptor = os.open(path, os.O_WRONLY)
    try:
        with locked(path.parent, exclusive=True):
            before = os.fstat(descriptor)
            write_range(descriptor, journal.offset, journal.tail)
            os.ftruncate(descriptor, journal.offset + len(journal.tail))
            make_newer(descriptor, before)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    journal_path(path).unlink()


def identity_of(status: os.stat_result, journal: Journal | None = None) -> Identity:
    return FileState.of(status), "" if journal is None else journal.checksum


@dataclass(frozen=True, slots=True)
class FileView:
    """A file as its last writer meant it: its first `end` bytes, then the tail from a journal that is not yet in the
    file.
    """

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
    """The file for reading, complete even after a crash. It is valid while the lock of the directory is held.

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
