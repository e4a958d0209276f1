"""Recover the small tables beside the bars from a damaged database, each as far as it can be read."""

import logging
from typing import Final

from stockapi.errors import StoreError
from stockapi.models.mode import Mode
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_manager.damage import has_types

log = logging.getLogger(__name__)

_TABLES: Final = ("worker_states", "adjustments", "verification", "market_source")
_TYPES: Final[dict[str, tuple[type, ...]]] = {"TEXT": (str,), "INTEGER": (int,), "REAL": (float, int)}

Row = tuple[object, ...]


def recover_tables(mode: Mode, damaged: DatabaseManager, new: DatabaseManager) -> dict[str, int]:
    """Copy the rows to the new database. Returns the number of recovered rows by table.

    A table that cannot be read starts empty, and the log says so.

    :raises SqliteError: when the new database cannot be written.
    """
    recovered = {}
    for table in _TABLES:
        types = _types_of(mode, new, table)
        try:
            rows = _read(mode, damaged, table, [*types])
        except StoreError as exc:
            log.error("%s %s: begins anew, the damaged database does not give it: %s", mode.value, table, exc)
            continue
        sound = [row for row in rows if has_types(row, [*types.values()])]
        if len(sound) < len(rows):
            log.error("%s %s: %d rows are damaged and were left out", mode.value, table, len(rows) - len(sound))
        _write(mode, new, table, [*types], sound)
        recovered[table] = len(sound)
    return recovered


def _types_of(mode: Mode, db_manager: DatabaseManager, table: str) -> dict[str, tuple[type, ...]]:
    """The types that each column may have, in the order of the table."""
    with db_manager.transaction(mode) as connection:
        columns = connection.execute('SELECT name, type, "notnull" FROM pragma_table_info(?)', (table,)).fetchall()
    return {name: (*_TYPES[kind], *(() if is_required else (type(None),))) for name, kind, is_required in columns}


def _read(mode: Mode, damaged: DatabaseManager, table: str, columns: list[str]) -> list[Row]:
    with damaged.snapshot(mode) as connection:
        return connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()  # noqa: S608


def _write(mode: Mode, new: DatabaseManager, table: str, columns: list[str], rows: list[Row]) -> None:
    holders = ", ".join("?" * len(columns))
    statement = f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({holders})"  # noqa: S608
    with new.transaction(mode) as connection:
        connection.executemany(statement, rows)
