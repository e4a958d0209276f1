"""The directory of backups: the names of its files, which file is the newest, which files may be removed."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Final

from stockapi.errors import StoreError
from stockapi.machine import open_regular
from stockapi.models.mode import Mode
from stockapi.models.timestamps import latest_possible, moment_in_name
from stockapi.services.durable import fsync_directory, try_lock

LOCK_FILE: Final = ".backup.lock"
_NAME = re.compile(r"([a-z]+)_data-([0-9]{8}T[0-9]{6}Z)(?:-([0-9]{1,6}))?\.db", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class _Backup:
    """A file with a name of this module. Ordered by the time it was made.

    `is_of_now`: False when its name is of a time to come. A clock that was ahead made it, nobody knows when: such a
    file counts as older than all others. Otherwise it would be the newest one until then.
    """

    is_of_now: bool
    stamp: str
    number: int
    path: Path = field(compare=False)


@contextmanager
def alone_in(directory: Path) -> Iterator[None]:
    """Only one process makes backups in a directory at a time. The lock is released when the process leaves the context
    or dies.

    This is a lock file; the CSV tree locks the directory itself. Backups belong on network file systems, and these lock
    only files that are open for writing.

    :raises StoreError: when another process holds the lock.
    """
    descriptor = open_regular(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o640)
    try:
        if not try_lock(descriptor, exclusive=True, timeout_s=0.0):
            raise StoreError(f"another backup into {directory} is being made; wait until it has finished")
        yield
    finally:
        os.close(descriptor)


def partial_file(directory: Path, mode: Mode) -> Path:
    """The name of a backup until it is complete and checked. The next backup overwrites one left by a crash."""
    return directory / f".{mode.value}_data.partial"


def new_file(directory: Path, mode: Mode, now: datetime) -> Path:
    """The name of a backup that is made now. Backups of the same second get a number."""
    stem = f"{mode.value}_data-{moment_in_name(now)}"
    names = (f"{stem}.db" if number == 1 else f"{stem}-{number}.db" for number in count(1))
    return next(path for name in names if not (path := directory / name).exists())


def newest_in(directory: Path, mode: Mode, now: datetime) -> Path:
    """:raises StoreError: when the directory holds no backup of the market."""
    found = _backups_in(directory, mode, now)
    if not found:
        raise StoreError(f"{directory} holds no backup of a {mode.value} database: no {mode.value}_data-<time>.db")
    return found[-1].path


def remove_older(directory: Path, mode: Mode, keep: int, made: Path, now: datetime) -> list[Path]:
    """Remove old backups of the market. `made` and the newest others stay, `keep` in all. No other file is touched.

    :returns: the removed files, oldest first; empty when there is none.
    """
    # Not the `keep` newest by name: after the clock was set back, `made` would be removed first.
    others = [each for each in _backups_in(directory, mode, now) if each.path != made]
    removed = [each.path for each in others[: max(0, len(others) - (keep - 1))]]
    for path in removed:
        path.unlink()
    if removed:
        fsync_directory(directory)
    return removed


def _backups_in(directory: Path, mode: Mode, now: datetime) -> list[_Backup]:
    """The backups of the market, oldest first. Only plain files with a name of `new_file` count."""
    latest = moment_in_name(datetime.fromtimestamp(latest_possible(now), UTC))
    matches = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    return sorted(
        _Backup(match[2] <= latest, match[2], int(match[3] or 1), path)
        for match, path in matches
        if match is not None and match[1] == mode.value and path.is_file() and not path.is_symlink()
    )
