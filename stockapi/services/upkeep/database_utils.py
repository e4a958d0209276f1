"""Upkeep of a database file: check it, make it small and quick, back it up, restore it."""

import os
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from threading import Event

from stockapi.errors import SqliteError, SqliteFault, StoreError, os_errors, sqlite_errors
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import moment_in_name
from stockapi.services.database_manager import NEVER, DatabaseManager, uri
from stockapi.services.database_manager.migrations import SCHEMA_VERSION, known_migrations
from stockapi.services.durable import fsync_directory, make_directory
from stockapi.services.sqlite_store.tables import TableInfo
from stockapi.services.upkeep import backup_files

_RECORD_MAINTENANCE = """
INSERT INTO maintenance (name, done_at, result) VALUES (?, ?, ?)
ON CONFLICT (name) DO UPDATE SET done_at = excluded.done_at, result = excluded.result
"""
DATABASE_FILES = ("", "-wal", "-shm")
"""The suffixes of the files of a database: the file itself, and those that SQLite keeps beside it."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a checked copy holds. `rows`: the bars of all series together."""

    schema_version: int
    rows: int


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
                return _integrity_of(connection)
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
                contents = _copy(source, backup_files.partial_file(directory, mode), target, mode)
                removed = backup_files.remove_older(directory, mode, keep, target)
        return Backup(target, contents, tuple(removed))

    def restore(self, modes: Collection[Mode], source: Path, now: datetime) -> dict[Mode, Restored]:
        """Replace the live databases by backups: the newest ones of a directory, or the file of one market.

        The live ones are kept beside them. A reader that has an old file open finishes with it, and then opens the new
        one. The next start of the worker copies what a backup lacks from CSV.

        :raises StoreError: when a backup is missing, damaged, of another market or of another schema; then nothing has
            changed.
        """
        with _store_errors(source), ExitStack() as leftovers:
            chosen = _chosen(modes, source)
            staged = {}
            for mode, path in chosen.items():
                staged[mode] = self._stage(mode, path)
                leftovers.callback(staged[mode].unlink, missing_ok=True)
            suffix = f"before-restore-{moment_in_name(now)}"
            return {mode: Restored(path, self.swap_in(mode, staged[mode], suffix)) for mode, path in chosen.items()}

    def _stage(self, mode: Mode, source: Path) -> Path:
        """A checked copy of the backup, on the file system of the live database."""
        live = self._db.settings.database_path(mode)
        self._require_not_live(source)
        _require_restorable(source, mode)
        live.parent.mkdir(parents=True, exist_ok=True)
        staged = beside(live, ".restoring")
        _copy(source, beside(staged, ".partial"), staged, mode)
        return staged

    def swap_in(self, mode: Mode, staged: Path, suffix: str) -> Path | None:
        """Replace the live database by a closed, sound one. The old one is kept under its name with the suffix.

        :returns: the path of the old one; None when there was none.
        :raises OSError: when the files cannot be renamed.
        """
        live = self._db.settings.database_path(mode)
        self._db.close()
        with self._db.out_of_use(mode):
            aside = _unused(beside(live, f".{suffix}"))
            was_there = live.exists()
            # SQLite would replay an old log into the restored database, even the log of a database that is gone.
            for side in DATABASE_FILES:
                if beside(live, side).exists():
                    beside(live, side).rename(beside(aside, side))
            staged.rename(live)
            fsync_directory(live.parent)
        self._db.upgrade(mode)
        return aside if was_there else None

    def _require_not_live(self, path: Path) -> None:
        if path.resolve() in self._live():
            raise StoreError(f"{path} is a live database; name a backup")

    def _require_apart(self, directory: Path) -> None:
        if directory.resolve() in {path.parent for path in self._live()}:
            raise StoreError(f"{directory} holds a live database; name another directory for backups")

    def _live(self) -> set[Path]:
        return {self._db.settings.database_path(mode).resolve() for mode in Mode}

    def record(self, mode: Mode, name: str, result: str, now: datetime) -> None:
        with self._db.transaction(mode) as connection:
            connection.execute(_RECORD_MAINTENANCE, (name, int(now.timestamp()), result))


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    """:raises StoreError: for an error of SQLite or of the file system."""
    with os_errors(StoreError, path, named=True), sqlite_errors():
        yield


def _chosen(modes: Collection[Mode], source: Path) -> dict[Mode, Path]:
    """The file to restore, for each market."""
    if source.is_dir():
        return {mode: backup_files.newest_in(source, mode) for mode in modes}
    if len(modes) != 1:
        choices = " or ".join(f"--mode {mode.value}" for mode in modes)
        raise StoreError(f"{source} is one file; say which market it is to be: {choices}")
    return dict.fromkeys(modes, source)


def _copy(source: Path, partial: Path, target: Path, mode: Mode) -> Contents:
    """Copy a database, live or not, into a single file, check the copy, and give it its name."""
    files = [beside(partial, suffix) for suffix in (*DATABASE_FILES, "-journal")]
    for file in files:
        file.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(uri(source, "ro"), uri=True)) as original,
            closing(sqlite3.connect(partial, isolation_level=None)) as copy,
        ):
            # All pages in one step, which is one snapshot: with more steps, each commit between them would restart the
            # copy.
            original.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # a file without a log can be moved alone
            contents = _checked(copy, mode, source)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.rename(target)
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise
    fsync_directory(target.parent)
    return contents


def _checked(copy: sqlite3.Connection, mode: Mode, source: Path) -> Contents:
    """What a copy of `source` holds.

    :raises StoreError: when it is damaged, has a schema that this program does not know, or the ledger gives another
        number of bars, first or last time than its rows. A series without a ledger entry is just being written for the
        first time.
    """
    result = _integrity_of(copy)
    if result != "ok":
        raise StoreError(f"{source} is damaged, its copy fails the integrity check: {result}")
    (version,) = copy.execute(SCHEMA_VERSION).fetchone()
    if version > (newest := known_migrations(mode)[-1].version):
        raise StoreError(f"{source} has schema version {version}, {_newer_than(newest)}")
    for interval in Interval:
        table = TableInfo.of(mode, interval)
        found = copy.execute(table.first_unlike_ledger, (interval.value,)).fetchone()
        if found is not None:
            ticker, expected, held = found
            raise StoreError(
                f"{source} is out of step with itself: {table.name} holds {held} rows of {ticker}, its ledger says "
                f"{expected}, or others; run flask data verify --mode {mode.value} --repair"
            )
    (rows,) = copy.execute("SELECT coalesce(sum(rows), 0) FROM ledger").fetchone()
    return Contents(version, rows)


def _require_restorable(source: Path, mode: Mode) -> None:
    """:raises StoreError: for a file that is not a backup of a database of this market and schema."""
    if not source.is_file():
        raise StoreError(f"there is no backup {source}")
    try:
        with closing(sqlite3.connect(uri(source, "ro"), uri=True)) as connection:
            (version,) = connection.execute(SCHEMA_VERSION).fetchone()
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    except sqlite3.DatabaseError as exc:
        raise StoreError(f"{source} is not a backup of a {mode.value} database: {exc}") from exc
    if f"{mode.value}_daily" not in tables:
        raise StoreError(f"{source} is not a backup of a {mode.value} database")
    newest = known_migrations(mode)[-1].version
    if version > newest:
        raise StoreError(f"the backup {source} has schema version {version}, {_newer_than(newest)}")
    if version < newest:
        raise StoreError(
            f"the backup {source} has schema version {version}, this program needs {newest}; bring it up first: "
            f"{mode.value.upper()}_DATABASE_PATH={source} flask db upgrade --mode {mode.value}"
        )


def _newer_than(newest: int) -> str:
    return f"this program knows up to {newest}; use the version of the program that made it, or a newer one"


def _integrity_of(connection: sqlite3.Connection) -> str:
    (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return str(result)


def beside(path: Path, suffix: str) -> Path:
    """The path with `suffix` added to the name."""
    return path.with_name(path.name + suffix)


def _unused(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3`, ... that does not exist."""
    if not path.exists():
        return path
    return next(other for number in count(2) if not (other := beside(path, f"-{number}")).exists())


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
