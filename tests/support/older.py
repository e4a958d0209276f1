"""A database as an older program had it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from stockapi.models import Mode
from stockapi.services.database_manager.migrations import known_migrations


def _columns_of(connection: sqlite3.Connection, schema: str, table: str) -> set[str]:
    return {row[1] for row in connection.execute(f"PRAGMA {schema}.table_info({table})")}


def put_older(database: Path, version: int) -> None:
    """The same bars as a program had them that knew the migrations up to this one."""
    current = database.rename(database.with_name("current.db"))
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute(
            "CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER)"
        )
        for migration in known_migrations(Mode.VN)[:version]:
            connection.executescript(migration.sql)
        connection.execute("ATTACH ? AS current", (str(current),))
        tables = [name for (name,) in connection.execute("SELECT name FROM main.sqlite_schema WHERE type = 'table'")]
        for table in tables:
            both = ", ".join(_columns_of(connection, "main", table) & _columns_of(connection, "current", table))
            if not both:
                continue  # one that a later migration has dropped
            connection.execute(f"INSERT OR REPLACE INTO main.{table} ({both}) SELECT {both} FROM current.{table}")
        connection.execute("DELETE FROM schema_migrations WHERE version > ?", (version,))
