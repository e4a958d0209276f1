"""The bars in SQLite: windows of them, their ledger, and the newest as ready JSON."""

from stockapi.services.sqlite_store.ready_answers import RecentText
from stockapi.services.sqlite_store.store import Recorded, SqliteStore

__all__ = ["RecentText", "Recorded", "SqliteStore"]
