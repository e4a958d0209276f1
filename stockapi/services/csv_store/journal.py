"""The redo journal of a file, and views of a file as its last writer meant it.

Nothing here knows what a bar is. Functions raise plain `OSError`; callers work within `csv_errors`.
"""

import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from stockapi.machine import open_regular, read_regular
from stockapi.services.durable import (
    FileState,
    LockedError,
    fsync_directory,
    locked,
    make_newer,
    read_range,
    replace_file,
    write_range,
)

Identity = tuple[FileState, str]
"""Two states of a file, as readers see it, have different values. The text identifies its journal; "" for none."""

_JOURNAL_MAGIC: Final = b"journal-2"
_EARLIER_MAGIC: Final = b"journal-1"
_PROOF_BYTES: Final = 1 << 16

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Journal:
    """The new bytes of a file from `offset` on.

    `inode`: of the file that the journal was made for. `size`, `proof`: of that file before, and a checksum of its last
    bytes before `offset`. They tell a copy of the file, which has another inode, from another file. Journals of earlier
    versions have an empty proof: only the inode counts.
    """

    inode: int
    offset: int
    tail: bytes
    size: int = 0
    proof: str = ""

    @classmethod
    def of(cls, path: Path, offset: int, tail: bytes) -> Self:
        """The journal for the file as it is now."""
        descriptor = open_regular(path)
        try:
            status = os.fstat(descriptor)
            return cls(status.st_ino, offset, tail, status.st_size, _proof(descriptor, offset))
        finally:
            os.close(descriptor)

    def encode(self) -> bytes:
        magic = _JOURNAL_MAGIC if self.proof else _EARLIER_MAGIC
        return b"%s %s %s\n%s" % (magic, self.checksum.encode(), self._place, self.tail)

    @property
    def _place(self) -> bytes:
        place = b"%d %d" % (self.inode, self.offset)
        return b"%s %d %s" % (place, self.size, self.proof.encode()) if self.proof else place

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self._place + b"\n" + self.tail).hexdigest()

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """The journal in `data`; None when `data` is not exactly what `encode` returns."""
        head, _, tail = data.partition(b"\n")
        try:
            _, _, inode, offset, *more = head.split(b" ")
            size, proof = more or (b"0", b"")
            journal = cls(int(inode), int(offset), tail, int(size), proof.decode("ascii"))
        except ValueError:
            return None
        return journal if journal.encode() == data else None

    @classmethod
    def load(cls, path: Path, target: int) -> Self | None:
        """The journal at `path`; None when there is no file, when it is damaged, or when it was made for another file
        than the one with the descriptor `target`.
        """
        try:
            journal = cls.decode(read_regular(path))
        except FileNotFoundError:
            return None
        return journal if journal is not None and journal._fits(target) else None

    def _fits(self, descriptor: int) -> bool:
        status = os.fstat(descriptor)
        is_own = self.inode == status.st_ino
        if not self.offset <= status.st_size:
            return False
        if not self.proof:
            return is_own
        # A file that is longer than before and after has been written since: somebody has put an old journal back.
        if status.st_size > max(self.size, self.offset + len(self.tail)):
            return False
        # A copy has another inode, and is perhaps of a moment in mid-write.
        return is_own or _proof(descriptor, self.offset) == self.proof


def _proof(descriptor: int, offset: int) -> str:
    before = read_range(descriptor, max(0, offset - _PROOF_BYTES), offset)
    return hashlib.sha256(b"%d\n%s" % (offset, before)).hexdigest()[:32]


def journal_path(path: Path) -> Path:
    return path.with_name(f".{path.stem}.journal")


def replace_tail(path: Path, offset: int, tail: bytes) -> None:
    """Replaces the bytes from `offset` on by `tail`. After a crash the file has either all old bytes or all new ones.

    The cost is a few times the tail and does not depend on the size of the file. The new tail is valid from the rename
    of the journal on: until the bytes are in the file, readers take them from the journal.

    When the lock is not free in time, the file is replaced as a whole.
    """
    journal = Journal.of(path, offset, tail)
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
    journal = _journal_of(path)
    if journal is not None:
        _work_in(path, journal)
    else:
        log.warning("%s is removed: it is damaged, or of another file", leftover)
    leftover.unlink(missing_ok=True)
    fsync_directory(path.parent)
    return journal is not None


def _journal_of(path: Path) -> Journal | None:
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return None
    try:
        return Journal.load(journal_path(path), descriptor)
    finally:
        os.close(descriptor)


def _work_in(path: Path, journal: Journal) -> None:
    """Writes the journal into the file, then removes the journal. Doing it twice does no harm, so the removal need not
    be durable.

    The next write makes it durable: it replaces the journal or the file, and syncs the directory, before the file
    differs from the journal.
    """
    descriptor = open_regular(path, os.O_RDWR)
    try:
        if os.fstat(descriptor).st_nlink > 1:
            # Another name, of a copy by `cp -al` for example, must keep the bytes that it has.
            replace_file(path, read_range(descriptor, 0, journal.offset) + journal.tail)
            journal_path(path).unlink()
            return
        with locked(path.parent, exclusive=True):
            before = os.fstat(descriptor)
            write_range(descriptor, journal.offset, journal.tail)
            os.ftruncate(descriptor, journal.offset + len(journal.tail))
            make_newer(descriptor, before)
        os.fsync(descriptor)
    except LockedError as exc:
        # Any reader can hold the lock for ever, also one that is not of this program. A new file needs none.
        log.warning("%s is written anew as a whole: %s", path, exc)
        replace_file(path, read_range(descriptor, 0, journal.offset) + journal.tail)
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


def is_unchanged(path: Path, view: FileView) -> bool:
    """Whether the file of the view is as it was when it was opened: no byte of it has moved since."""
    return identity_of(os.fstat(view.descriptor), Journal.load(journal_path(path), view.descriptor)) == view.identity


@contextmanager
def opened(path: Path) -> Iterator[FileView]:
    """The file for reading, complete even after a crash. It is valid while the lock of the directory is held.

    :raises FileNotFoundError: when it does not exist.
    """
    descriptor = open_regular(path)
    try:
        status = os.fstat(descriptor)
        journal = Journal.load(journal_path(path), descriptor)
        end, tail = (status.st_size, b"") if journal is None else (journal.offset, journal.tail)
        yield FileView(descriptor, end, tail, identity_of(status, journal))
    finally:
        os.close(descriptor)
