"""Upkeep of a database file: is it sound, make it small and quick, copy it out, put a copy back."""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from stockapi.errors import StoreError, sqlite_errors
from stockapi.models.mode import Mode
from stockapi.services.csv_files import fsync_directory
from stockapi.services.database_manager import DatabaseManager, migrations, uri

_RECORD_MAINTENANCE = """
INSERT INTO maintenance (name, done_at, result) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at, result = excluded.result
"""
DATABASE_FILES = ("", "-wal", "-shm")
"""What is behind the name of each file of a database: its own, and those SQLite keeps beside it."""


@dataclass(frozen=True, slots=True)
class FileSizes:
    """Bytes on disk, and how many of the database's could be given back."""

    database: int
    write_ahead_log: int
    free: int


class DatabaseUtils:
    """Upkeep by the one writer; `sizes` and `backup` are for everybody. Every method raises StoreError on failure."""

    def __init__(self, db_manager: DatabaseManager) -> None:
        self._db = db_manager

    def check_integrity(self, mode: Mode, now: datetime) -> str:
        """`"ok"` or SQLite's first finding; recorded, so that /health can show it. Reads the whole file."""
        with self._db.maintenance_connection(mode) as connection:
            result = _integrity_of(connection)
        self._record(mode, "integrity_check", result, now)
        return result

    def optimize(self, mode: Mode, now: datetime) -> FileSizes:
        """Refresh the planner's statistics, empty the write-ahead log, give free pages back; the sizes afterwards."""
        with self._db.maintenance_connection(mode) as connection:
            connection.execute("ANALYZE")
            # It gives back one page each step and answers no columns, so `execute` would stop after the first.
            connection.executescript("PRAGMA incremental_vacuum")
        self._record(mode, "optimize", "ok", now)
        self._db.checkpoint(mode, "TRUNCATE")
        return self.sizes(mode)

    def sizes(self, mode: Mode) -> FileSizes:
        path = self._db.settings.database_path(mode)
        with self._db.snapshot(mode) as connection:
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            (free_pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        return FileSizes(_size(path), _size(beside(path, "-wal")), page_size * free_pages)

    def backup(self, mode: Mode, directory: Path) -> Path:
        """A consistent copy of the live database in `directory`, named `vn_data.db` or `crypto_data.db`.

        Readers and the writer go on meanwhile. The copy takes its name only once it is whole, checked and on disk; an
        older one of the same name is there until then.
        """
        source, target = self._db.settings.database_path(mode), _backup_path(mode, directory)
        if not source.is_file():
            raise StoreError(f"there is no database {source} to copy")
        self._require_not_live(target)
        with _store_errors():
            directory.mkdir(parents=True, exist_ok=True)
            _copy(source, target)
        return target

    def restore(self, modes: Collection[Mode], directory: Path, now: datetime) -> dict[Mode, Path | None]:
        """Put the copies that `backup` made in `directory` in the place of the live databases.

        The live ones are kept beside them; returned are their new names (None where there was none). Readers with an
        old file open finish on it and then open the new one. What a copy lacks, the next start brings over from CSV.

        :raises StoreError: when a copy is missing, damaged, of the other market or of another schema; nothing has
            changed then.
        """
        with _store_errors(), ExitStack() as leftovers:
            staged = {}
            for mode in modes:
                staged[mode] = self._stage(mode, directory)
                leftovers.callback(staged[mode].unlink, missing_ok=True)
            return {mode: self.swap_in(mode, path, f"before-restore-{_stamp(now)}") for mode, path in staged.items()}

    def _stage(self, mode: Mode, directory: Path) -> Path:
        """A checked copy of the backup, on the file system of the live database."""
        live, source = self._db.settings.database_path(mode), _backup_path(mode, directory)
        self._require_not_live(source)
        _require_restorable(source, mode)
        live.parent.mkdir(parents=True, exist_ok=True)
        staged = beside(live, ".restoring")
        _copy(source, staged)
        return staged

    def swap_in(self, mode: Mode, staged: Path, suffix: str) -> Path | None:
        """Put a closed, sound database in the place of the live one, which is kept under its name with the suffix.

        :returns: the name it is kept under; None when there was none.
        :raises OSError: when the files cannot be renamed.
        """
        live = self._db.settings.database_path(mode)
        self._db.close()
        aside = _unused(beside(live, f".{suffix}"))
        was_there = live.exists()
        # A log left behind, even that of a database which is gone, would be replayed into the restored one.
        for side in DATABASE_FILES:
            if beside(live, side).exists():
                beside(live, side).rename(beside(aside, side))
        staged.rename(live)
        fsync_directory(live.parent)
        self._db.upgrade(mode)
        return aside if was_there else None

    def _require_not_live(self, path: Path) -> None:
        if path.resolve() in {self._db.settings.database_path(mode).resolve() for mode in Mode}:
            raise StoreError(f"{path} is a live database; name the directory of a backup")

    def _record(self, mode: Mode, name: str, result: str, now: datetime) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_MAINTENANCE, (name, int(now.timestamp()), result))


@contextmanager
def _store_errors() -> Iterator[None]:
    """:raises StoreError: for what SQLite or the file system has against it."""
    try:
        with sqlite_errors():
            yield
    except OSError as exc:
        raise StoreError(f"{exc.filename}: {exc.strerror}") from exc


def _stamp(now: datetime) -> str:
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _backup_path(mode: Mode, directory: Path) -> Path:
    # Not the live file's name: two live files in two directories may have the same.
    return directory / f"{mode.value}_data.db"


def _copy(source: Path, target: Path) -> None:
    """Copy a database, live or not, into a file of one piece, check that, and give it its name."""
    partial = beside(target, ".partial")
    partial.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(uri(source, "ro"), uri=True)) as original,
            closing(sqlite3.connect(partial, isolation_level=None)) as copy,
        ):
            # All pages in one step, which is one snapshot: between steps each commit would make it begin anew.
            original.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # without a log beside it, it can be moved as one file
            result = _integrity_of(copy)
        if result != "ok":
            raise StoreError(f"{source} is damaged, its copy fails the integrity check: {result}")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.rename(target)
    except BaseException:
        for suffix in (*DATABASE_FILES, "-journal"):
            beside(partial, suffix).unlink(missing_ok=True)
        raise
    fsync_directory(target.parent)


def _require_restorable(source: Path, mode: Mode) -> None:
    """:raises StoreError: for a file that `backup` has not made from a database of this market and schema."""
    if not source.is_file():
        raise StoreError(f"there is no backup {source}")
    try:
        with closing(sqlite3.connect(uri(source, "ro"), uri=True)) as connection:
            (version,) = connection.execute("SELECT max(version) FROM schema_migrations").fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    except sqlite3.DatabaseError as exc:
        raise StoreError(f"{source} is not a backup of a {mode.value} database: {exc}") from exc
    if f"{mode.value}_daily" not in tables:
        raise StoreError(f"{source} is not a backup of a {mode.value} database")
    newest = migrations(mode)[-1].version
    if version != newest:
        raise StoreError(f"the backup {source} has schema version {version}; one of version {newest} is needed")


def _integrity_of(connection: sqlite3.Connection) -> str:
    (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return str(result)


def beside(path: Path, suffix: str) -> Path:
    """The file of the same name with `suffix` behind it."""
    return path.with_name(path.name + suffix)


def _unused(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3`, ... that does not exist."""
    if not path.exists():
        return path
    return next(other for number in count(2) if not (other := beside(path, f"-{number}")).exists())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
