"""Upkeep of a database file: check it, make it small and quick, back it up, restore it."""

import logging
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from threading import Event
from typing import Final

from stockapi.errors import SqliteError, SqliteFault, StoreError, cannot_open, os_errors, sqlite_errors
from stockapi.machine import real_path
from stockapi.models.mode import Mode
from stockapi.models.timestamps import moment_in_name
from stockapi.services.database_manager import NEVER, DatabaseManager
from stockapi.services.durable import fsync_directory, make_directory
from stockapi.services.upkeep import backup_files
from stockapi.services.upkeep.checked_copy import (
    DATABASE_FILES,
    Contents,
    beside,
    copy_checked,
    files_of,
    forget_changes,
    integrity_of,
    require_restorable,
)

log = logging.getLogger(__name__)

REBUILDING: Final = ".rebuilding"
_RESTORING: Final = ".restoring"
_PARTIAL: Final = ".partial"
_CHECKED: Final = ".checked"
"""Names of new databases beside the live one. A checked one takes its place next."""

_RECORD_MAINTENANCE = """
INSERT INTO maintenance (name, done_at, result) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at, result = excluded.result
"""


@dataclass(frozen=True, slots=True)
class Backup:
    """A new backup, and the older ones that were removed."""

    path: Path
    contents: Contents
    removed: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """The backup that is now the live database. `aside`: the database before it; None when there was none."""

    backup: Path
    aside: Path | None


@dataclass(frozen=True, slots=True)
class FileSizes:
    """Bytes on disk, and how many bytes of the database are free and could be released."""

    database: int
    write_ahead_log: int
    free: int


class DatabaseUtils:
    """Upkeep by the one writer; any process may call `sizes`, `integrity` and `backup`. Every method raises StoreError
    when it fails.
    """

    def __init__(self, db_manager: DatabaseManager) -> None:
        self._db = db_manager

    def check_integrity(self, mode: Mode, now: datetime, stop: Event = NEVER) -> str:
        """`"ok"`, or the first problem that SQLite finds. The result is recorded for /health. Reads the whole file.

        :raises DeadlineError: when `stop` is set.
        """
        result = self.integrity(mode, stop)
        self.record(mode, "integrity_check", result, now)
        return result

    def integrity(self, mode: Mode, stop: Event = NEVER) -> str:
        """As `check_integrity`, but the result is not recorded, so any process may call it. Readers and the writer
        continue.
        """
        try:
            with self._db.snapshot(mode, float("inf"), stop) as connection:
                return integrity_of(connection)
        except SqliteError as exc:
            if exc.fault is not SqliteFault.CORRUPT:
                raise
            return str(exc)

    def optimize(self, mode: Mode, now: datetime) -> FileSizes:
        """Refresh the planner's statistics, empty the write-ahead log, release free pages. Returns the sizes after
        that.
        """
        with self._db.maintenance_connection(mode) as connection:
            connection.execute("ANALYZE")
            # It releases one page a step and returns no columns, so `execute` would stop after the first page.
            connection.executescript("PRAGMA incremental_vacuum")
        self.record(mode, "optimize", "ok", now)
        self._db.checkpoint(mode, "TRUNCATE")
        return self.sizes(mode)

    def sizes(self, mode: Mode) -> FileSizes:
        path = self._db.settings.database_path(mode)
        with self._db.snapshot(mode) as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            (free_pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        return FileSizes(_size(path), _size(beside(path, "-wal")), page_size * free_pages)

    def backup(self, mode: Mode, directory: Path, now: datetime, keep: int) -> Backup:
        """Make a consistent copy of the live database, named after its market and the time, and remove older backups.

        Readers and the writer continue. The copy gets its name only when it is complete, checked and on disk. Only
        after that, older backups are removed until `keep` of this market are left. Other files are never touched.

        :raises StoreError: also when the live database is damaged or its ledger does not describe its rows.
        """
        source = self._db.settings.database_path(mode)
        if not source.is_file():
            raise StoreError(f"there is no database {source} to copy")
        self._require_apart(directory)
        with _store_errors(directory):
            make_directory(directory)
            with backup_files.alone_in(directory):
                target = backup_files.new_file(directory, mode, now)
                contents = copy_checked(source, backup_files.partial_file(directory, mode), target, mode)
                removed = backup_files.remove_older(directory, mode, keep, target, now)
        return Backup(target, contents, tuple(removed))

    def restore(self, modes: Collection[Mode], source: Path, now: datetime) -> dict[Mode, Restored]:
        """Replace the live databases by backups: the newest ones of a directory, or the file of one market.

        The live ones are kept beside them. A reader that has an old file open finishes with it, and then opens the new
        one. The next start of the worker copies what a backup lacks from CSV.

        :raises StoreError: when a backup is missing, damaged, of another market or of another schema; then nothing has
            changed.
        """
        with _store_errors(source), ExitStack() as leftovers:
            chosen = _chosen(modes, source, now)
            staged = {}
            for mode, path in chosen.items():
                staged[mode] = self._stage(mode, path, now)
                leftovers.callback(staged[mode].unlink, missing_ok=True)
            suffix = f"before-restore-{moment_in_name(now)}"
            return {mode: Restored(path, self.swap_in(mode, staged[mode], suffix)) for mode, path in chosen.items()}

    def _stage(self, mode: Mode, source: Path, now: datetime) -> Path:
        """A checked copy of the backup, on the file system of the live database. What has changed since the backup is
        not known in it, so its record of changes begins anew.
        """
        live = self._db.settings.database_path(mode)
        self._require_not_live(source)
        require_restorable(source, mode)
        live.parent.mkdir(parents=True, exist_ok=True)
        staged = beside(live, _RESTORING)
        copy_checked(source, beside(staged, _PARTIAL), staged, mode)
        forget_changes(staged, int(now.timestamp()))
        return staged

    def swap_in(self, mode: Mode, staged: Path, suffix: str) -> Path | None:
        """Replace the live database by a closed, sound one. The old one is kept under its name with the suffix.

        :returns: the path of the old one; None when there was none.
        :raises OSError: when the files cannot be renamed.
        """
        live = self._db.settings.database_path(mode)
        checked = beside(live, _CHECKED)
        self._db.close()
        with self._db.out_of_use(mode):
            staged.rename(checked)
            aside = _unused(beside(live, f".{suffix}"))
            was_there = live.exists()
            # SQLite would replay an old log into the restored database, even the log of a database that is gone.
            for side in DATABASE_FILES:
                if beside(live, side).exists():
                    beside(live, side).rename(beside(aside, side))
            checked.rename(live)
            fsync_directory(live.parent)
        self._db.upgrade(mode)
        return aside if was_there else None

    def clear_up(self, mode: Mode, now: datetime) -> None:
        """Finish, or undo, what a killed restore or rebuild has left unfinished. Only the one writer may call it.

        The databases that they keep under another name are not touched.

        :raises SqliteError: when the system refuses.
        """
        live = self._db.settings.database_path(mode)
        checked, staged = beside(live, _CHECKED), beside(live, _RESTORING)
        with os_errors(cannot_open, f"{live} is out of reach"):
            if checked.exists() and not live.exists():  # the old one has its other name already
                self.swap_in(mode, checked, f"before-restore-{moment_in_name(now)}")
                log.warning("%s is the new database that a killed process had checked", live)
            for new in (checked, staged, beside(staged, _PARTIAL), beside(live, REBUILDING)):
                for file in files_of(new):
                    if file.exists():
                        file.unlink()
                        log.warning("%s is removed: a killed process left it", file)

    def _require_not_live(self, path: Path) -> None:
        if real_path(path) in self._live():
            raise StoreError(f"{path} is a live database; name a backup")

    def _require_apart(self, directory: Path) -> None:
        if real_path(directory) in {path.parent for path in self._live()}:
            raise StoreError(f"{directory} holds a live database; name another directory for backups")

    def _live(self) -> set[Path]:
        return {real_path(self._db.settings.database_path(mode)) for mode in Mode}

    def record(self, mode: Mode, name: str, result: str, now: datetime) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_MAINTENANCE, (name, int(now.timestamp()), result))


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """:raises StoreError: for an error of SQLite or of the file system."""
    with os_errors(StoreError, path, named=True), sqlite_errors():
        yield


def _chosen(modes: Collection[Mode], source: Path, now: datetime) -> dict[Mode, Path]:
    """The file to restore, for each market."""
    if source.is_dir():
        return {mode: backup_files.newest_in(source, mode, now) for mode in modes}
    if len(modes) != 1:
        choices = " or ".join(f"--mode {mode.value}" for mode in modes)
        raise StoreError(f"{source} is one file; say which market it is to be: {choices}")
    return dict.fromkeys(modes, source)


def _unused(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3`, ... that does not exist."""
    if not path.exists():
        return path
    return next(other for number in count(2) if not (other := beside(path, f"-{number}")).exists())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
