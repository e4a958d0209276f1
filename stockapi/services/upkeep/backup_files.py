"""The directory of backups: what its files are called, which is the newest, and which may go."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Final

from stockapi.errors import StoreError
from stockapi.models.mode import Mode
from stockapi.models.timestamps import moment_in_name
from stockapi.services.durable import fsync_directory, try_lock

LOCK_FILE: Final = ".backup.lock"
_NAME = re.compile(r"([a-z]+)_data-([0-9]{8}T[0-9]{6}Z)(?:-([0-9]{1,6}))?\.db", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class _Backup:
    """A file that was named here. Ordered by when it was made."""

    stamp: str
    number: int
    path: Path = field(compare=False)


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Only one process makes backups in a directory at a time; the lock falls when it leaves or dies.

    A lock file, and not a lock on the directory as in the CSV tree: network file systems, where copies belong, take
    locks only on files that are open for writing.

    :raises StoreError: when another process is at it.
    """
    descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not try_lock(descriptor, exclusive=True, timeout_s=0.0):
            raise StoreError(f"another backup into {directory} is being made; wait until it has finished")
        yield
    finally:
        os.close(descriptor)


def partial_file(directory: Path, mode: Mode) -> Path:
    """What a backup is called until it is whole and checked. One that a crash has left is overwritten by the next."""
    return directory / f".{mode.value}_data.partial"


def new_file(directory: Path, mode: Mode, now: datetime) -> Path:
    """The name of a backup made now; a number tells apart those of one second."""
    stem = f"{mode.value}_data-{moment_in_name(now)}"
    names = (f"{stem}.db" if number == 1 else f"{stem}-{number}.db" for number in count(1))
    return next(path for name in names if not (path := directory / name).exists())


def newest_in(directory: Path, mode: Mode) -> Path:
    """:raises StoreError: when it holds no backup of the market."""
    found = _backups_in(directory, mode)
    if not found:
        raise StoreError(f"{directory} holds no backup of a {mode.value} database: no {mode.value}_data-<time>.db")
    return found[-1].path


def remove_older(directory: Path, mode: Mode, keep: int, made: Path) -> list[Path]:
    """Leave `made` and the newest others, `keep` in all; every other file in the directory stays.

    :returns: those removed, oldest first.
    """
    # Not the `keep` newest by name: after the clock was set back `made` would be the first to go.
    others = [each for each in _backups_in(directory, mode) if each.path != made]
    removed = [each.path for each in others[: max(0, len(others) - (keep - 1))]]
    for path in removed:
        path.unlink()
    if removed:
        fsync_directory(directory)
    return removed


def _backups_in(directory: Path, mode: Mode) -> list[_Backup]:
    """Those of the market, oldest first. Only plain files under names as `new_file` gives them count."""
    matches = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted(
        _Backup(match[2], int(match[3] or 1), path)
        for match, path in matches
        if match is not None and match[1] == mode.value and path.is_file() and not path.is_symlink()
    )
