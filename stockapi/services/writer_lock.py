"""One process writes market data at a time, and whoever else would is told who that is."""

import fcntl
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

from stockapi.clock import utc_now
from stockapi.config import Settings
from stockapi.errors import WriterLockedError
from stockapi.models.mode import Mode
from stockapi.models.timestamps import format_moment
from stockapi.services.durable import csv_errors, make_directory, try_lock

FILE_NAME: Final = ".writer.lock"
_PATIENCE_S: Final = 0.5  # `writer_of` holds the lock for an instant to see whether it is free
_MAX_NOTE_BYTES: Final = 4_096

_held: set[int] = set()


def _let_go_in_child() -> None:
    """A forked child has the parent's open files, and would keep the lock when the parent is gone."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def writer_lock(settings: Settings, modes: Iterable[Mode], clock: Callable[[], datetime] = utc_now) -> Iterator[None]:
    """Makes this process the only writer of the markets until it leaves the context or dies, however it dies.

    :raises WriterLockedError: when another process (or another context of this one) is; says which and what to do.
    :raises CsvError: when the lock file cannot be made.
    """
    with ExitStack() as stack:
        for path in sorted({_path(settings, mode) for mode in modes}):
            stack.enter_context(_locked(path, clock))
        yield


def writer_of(settings: Settings, mode: Mode) -> str | None:
    """Who writes the market now: process number, command line, since when; None when nobody does.

    :raises CsvError: when the lock file cannot be read.
    """
    path = _path(settings, mode)
    with csv_errors(path):
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            return None if try_lock(descriptor, exclusive=False, timeout_s=0.0) else _holder(descriptor)
        finally:
            os.close(descriptor)


def _path(settings: Settings, mode: Mode) -> Path:
    return settings.data_dir(mode) / FILE_NAME


@contextmanager
def _locked(path: Path, clock: Callable[[], datetime]) -> Iterator[None]:
    with csv_errors(path):
        make_directory(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    _held.add(descriptor)
    try:
        if not try_lock(descriptor, exclusive=True, timeout_s=_PATIENCE_S):
            raise WriterLockedError(
                f"{path.parent} is being written by another process: {_holder(descriptor)};"
                f" wait until it has finished, or stop it"
            )
        with csv_errors(path):
            _leave_note(descriptor, clock())
        yield
    finally:
        # In a forked child the number may be another file's by now: it has nothing to release.
        if descriptor in _held:
            _held.discard(descriptor)
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def _leave_note(descriptor: int, now: datetime) -> None:
    started_at = format_moment(int(now.timestamp()))
    # The file stays when the lock is released: whoever removed it could remove one that another has just locked.
    note = {"pid": os.getpid(), "command": shlex.join(sys.orig_argv)[:1_000], "started_at": started_at}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(note).encode(), 0)


def _holder(descriptor: int) -> str:
    """One line, from the note in the file; the note may be about to be written."""
    try:
        note = json.loads(os.pread(descriptor, _MAX_NOTE_BYTES, 0))
        return f"pid {note['pid']}, {' '.join(note['command'].split())}, since {note['started_at']}"
    except (ValueError, LookupError, TypeError, AttributeError):
        return "unknown"
