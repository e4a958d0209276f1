"""Copies of databases that get their name only after they were checked: backups, and what a restore puts in place."""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stockapi.errors import StoreError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import WHOLE
from stockapi.services.database_manager import uri
from stockapi.services.database_manager.migrations import SCHEMA_VERSION, known_migrations
from stockapi.services.durable import fsync_directory
from stockapi.services.sqlite_store.changes import begin_anew
from stockapi.services.sqlite_store.ledger import describes, ledger_entries
from stockapi.services.sqlite_store.partition import are_copies_true
from stockapi.services.sqlite_store.tables import TableInfo
from stockapi.services.sqlite_store.windows import read_window

DATABASE_FILES = ("", "-wal", "-shm")
"""The suffixes of the files of a database: the file itself, and those that SQLite keeps beside it."""
_FIRST_WITH_LEDGER: Final = 2


@dataclass(frozen=True, slots=True)
class Contents:
    """What a checked copy holds. `rows`: the bars of all series together."""

    schema_version: int
    rows: int


def copy_checked(source: Path, partial: Path, target: Path, mode: Mode) -> Contents:
    """Copy a database, live or not, into a single file, check the copy, and give it its name."""
    files = files_of(partial)
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

    :raises StoreError: when it is damaged, has a schema that this program does not know, or its ledger describes other
        rows. A series without a ledger entry is just being written for the first time. A database of schema 1 has no
        ledger.
    """
    result = integrity_of(copy)
    if result != "ok":
        raise StoreError(f"{source} is damaged, its copy fails the integrity check: {result}")
    (version,) = copy.execute(SCHEMA_VERSION).fetchone()
    if version > (newest := known_migrations(mode)[-1].version):
        raise StoreError(f"{source} has schema version {version}, {_newer_than(newest)}")
    tables = [TableInfo.of(mode, interval) for interval in Interval]
    if version < _FIRST_WITH_LEDGER:
        return Contents(version, sum(copy.execute(table.count).fetchone()[0] for table in tables))
    for table in tables:
        found = copy.execute(table.first_unlike_ledger, (table.interval.value,)).fetchone()
        if found is not None:
            ticker, expected, held = found
            raise _out_of_step(
                source, mode, f"{table.name} holds {held} rows of {ticker}, its ledger says {expected}, or others"
            )
    if version == newest:
        _require_digests(copy, mode, source)
    (rows,) = copy.execute("SELECT coalesce(sum(rows), 0) FROM ledger").fetchone()
    return Contents(version, rows)


def _require_digests(copy: sqlite3.Connection, mode: Mode, source: Path) -> None:
    """:raises StoreError: when the values of a series are not those of the ledger's digest, or its copies are not."""
    for interval in Interval:
        for entry in ledger_entries(copy, interval, None):
            if not entry.csv_stamp:
                continue  # an upgrade has added a field: the digest says nothing until the worker's start
            key = SeriesKey(mode, entry.ticker, interval)
            bars = read_window(copy, key, WHOLE)
            if not describes(entry, bars):
                raise _out_of_step(source, mode, f"the values of {key} are not those that its ledger recorded")
            if not all(are_copies_true(copy, key, bars)):
                raise _out_of_step(source, mode, f"the blocks or texts of {key} are not those of its rows")


def _out_of_step(source: Path, mode: Mode, what: str) -> StoreError:
    return StoreError(
        f"{source} is out of step with itself: {what}; run flask data verify --mode {mode.value} --repair"
    )


def require_restorable(source: Path, mode: Mode) -> None:
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


def forget_changes(database: Path, now: int) -> None:
    """Begin the record of changes of a single file anew, at `now` (Unix seconds). The file is of our schema."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        begin_anew(connection, now)


def _newer_than(newest: int) -> str:
    return f"this program knows up to {newest}; use the version of the program that made it, or a newer one"


def integrity_of(connection: sqlite3.Connection) -> str:
    (result,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    return str(result)


def beside(path: Path, suffix: str) -> Path:
    """The path with `suffix` added to the name."""
    return path.with_name(path.name + suffix)


def files_of(path: Path) -> list[Path]:
    """Every file that SQLite may make for a database at the path."""
    return [beside(path, suffix) for suffix in (*DATABASE_FILES, "-journal")]
