"""The numbered SQL files under `migrations/`, and how a database gets those it lacks."""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stockapi.errors import SqliteError, SqliteFault, fault_of
from stockapi.models.mode import Mode

MIGRATIONS_DIR = Path(__file__).resolve().parents[3] / "migrations"
SCHEMA_VERSION = "SELECT max(version) FROM schema_migrations"
_CREATE_SCHEMA_MIGRATIONS = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL)
"""
_VERSIONS = "SELECT version FROM schema_migrations ORDER BY rowid"
_RECORD_MIGRATION = "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    name: str
    sql: str


def known_migrations(mode: Mode) -> list[Migration]:
    """The numbered SQL files, ascending. They differ between markets only in the names of tables."""
    paths = sorted(MIGRATIONS_DIR.glob("[0-9]*_*.sql"))
    return [Migration(int(path.name.split("_")[0]), path.stem, _sql_of(path, mode)) for path in paths]


def _sql_of(path: Path, mode: Mode) -> str:
    return path.read_text(encoding="utf-8").replace("{market}", mode.value)


def apply_missing(mode: Mode, connection: sqlite3.Connection) -> None:
    """Apply the migrations that the database lacks.

    :raises SqliteError: naming the migration that failed; those before it stay applied. Also when the database has more
        migrations than this program knows. As damage when the recorded versions are not 1, 2, 3 ..., or have lost their
        end: then what the migration makes is already there.
    """
    connection.execute(_CREATE_SCHEMA_MIGRATIONS)
    current = _current_version(connection)
    known = known_migrations(mode)
    if current > known[-1].version:
        raise newer_schema(current, known[-1].version)
    for migration in known:
        if migration.version > current:
            _apply(migration, connection)


def newer_schema(version: int, newest: int) -> SqliteError:
    """The error for a database of a newer program."""
    return SqliteError(
        f"the database has schema version {version}, this program knows up to {newest}; "
        "run a newer version of the program",
        SqliteFault.OTHER,
    )


def newer_version(connection: sqlite3.Connection, mode: Mode) -> int | None:
    """The schema version of a database of a newer program; None for any other.

    :raises SqliteError: as damage when the recorded versions are not 1, 2, 3 ...
    """
    version = _current_version(connection)
    return version if version > known_migrations(mode)[-1].version else None


def _current_version(connection: sqlite3.Connection) -> int:
    """The newest applied version; 0 for a new database.

    :raises SqliteError: as damage when a version is missing. A newer program's versions continue ours without a gap.
    """
    versions = [version for (version,) in connection.execute(_VERSIONS)]
    if versions != list(range(1, len(versions) + 1)):
        found = ", ".join(map(str, versions))
        raise SqliteError(f"schema_migrations holds {found}; allowed: 1, 2, 3 ... without a gap", SqliteFault.CORRUPT)
    return len(versions)


def _apply(migration: Migration, connection: sqlite3.Connection) -> None:
    """Apply one migration, and record it in the same transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(migration.sql):
            connection.execute(statement)
        connection.execute(_RECORD_MIGRATION, (migration.version, migration.name, int(time.time())))
        connection.execute("COMMIT")
    except sqlite3.Error as exc:
        connection.execute("ROLLBACK")
        raise SqliteError(f"migration {migration.name} failed: {exc}", fault_of(exc)) from exc


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one at a time: `executescript` would commit the transaction first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
