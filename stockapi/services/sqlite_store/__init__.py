"""The bars in SQLite: windows of them, their ledger, and the newest as pre-rendered JSON."""

from stockapi.services.sqlite_store.prerendered import PrerenderedText
from stockapi.services.sqlite_store.reader import Recorded, SqliteReader
from stockapi.services.sqlite_store.store import SqliteStore

__all__ = ["PrerenderedText", "Recorded", "SqliteReader", "SqliteStore"]
