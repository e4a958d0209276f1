"""Only one process at a time writes the data of a market. Another one that tries is told which process that is."""

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from stockapi.clock import utc_now
from stockapi.config import Settings
from stockapi.errors import CsvError, WriterLockedError
from stockapi.machine import open_regular, parse_json, real_path
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment
from stockapi.services.durable import csv_errors, make_directory, open_locked_by_us, try_lock

FILE_NAME: Final = ".writer.lock"
_PATIENCE_S: Final = 0.5  # `writer_of` holds the lock for a moment to see whether it is free
_MAX_NOTE_BYTES: Final = 4_096

_held: dict[int, Path] = {}


def _let_go_in_child() -> None:
    """Close the locks in a forked child. It has the parent's open files, and would keep the lock after its death."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def writer_lock(settings: Settings, modes: Iterable[Mode], clock: Callable[[], datetime] = utc_now) -> Iterator[None]:
    """Make this process the only writer of the markets until it leaves the context or dies, even if it is killed.

    Both the CSV tree and the database of a market are locked: another process may combine them in another way.

    :raises WriterLockedError: when another process, or another context of this one, writes. It says which one.
    :raises CsvError: when the lock file cannot be created.
    """
    with ExitStack() as stack:
        every = list(modes)
        trees, databases = ({of(settings, mode) for mode in every} for of in (_path, _database_path))
        # In the same order in every process. The trees come first: an operator knows the market by its tree.
        for path in [*sorted(trees), *sorted(databases - trees)]:
            stack.enter_context(_locked(path, clock))
        yield


def writer_of(settings: Settings, mode: Mode) -> str | None:
    """The process that writes the market now: its number, command line and start; None when there is none.

    :raises CsvError: when the lock file cannot be read.
    """
    path = _path(settings, mode)
    with csv_errors(path):
        try:
            descriptor = open_regular(path)
        except FileNotFoundError:
            return None
        try:
            return None if try_lock(descriptor, exclusive=False, timeout_s=0.0) else _holder(descriptor)
        finally:
            os.close(descriptor)


def require_held() -> None:
    """Call it before a write. A process without the lock, a test for example, passes.

    :raises CsvError: when a lock file of this process was removed or replaced: another process may write now.
    """
    for descriptor, path in list(_held.items()):
        if not _is_at(path, descriptor):
            raise CsvError(f"{path} was removed or replaced: this process does not write any more; start it anew")


def _is_at(path: Path, descriptor: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    return False


def _database_path(settings: Settings, mode: Mode) -> Path:
    path = real_path(settings.database_path(mode))  # SQLite follows links, too
    return path.with_name(f".{path.name}{FILE_NAME}")


def _path(settings: Settings, mode: Mode) -> Path:
    return settings.data_dir(mode) / FILE_NAME


@contextmanager
def _locked(path: Path, clock: Callable[[], datetime]) -> Iterator[None]:
    with csv_errors(path):
        make_directory(path.parent)
        descriptor = open_locked_by_us(path)
    _held[descriptor] = path
    try:
        if not try_lock(descriptor, exclusive=True, timeout_s=_PATIENCE_S) or not _is_at(path, descriptor):
            raise WriterLockedError(
                f"{path.parent} is being written by another process: {_holder(descriptor)};"
                f" wait until it has finished, or stop it"
            )
        with csv_errors(path):
            _leave_note(descriptor, clock())
        yield
    finally:
        # In a forked child the descriptor is closed already, and its number may now belong to another file.
        if descriptor in _held:
            del _held[descriptor]
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _leave_note(descriptor: int, now: datetime) -> None:
    started_at = format_moment(int(now.timestamp()))
    # The file is never removed: a process that removes it could remove one that another process has just locked.
    note = {"pid": os.getpid(), "command": shlex.join(sys.orig_argv)[:1_000], "started_at": started_at}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _holder(descriptor: int) -> str:
    """The process that holds the lock, in one line, from the note in the file; "unknown" when it is not written yet."""
    try:
        note = parse_json(os.pread(descriptor, _MAX_NOTE_BYTES, 0))
        return f"pid {note['pid']}, {' '.join(note['command'].split())}, since {note['started_at']}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return "unknown"
