"""Answer queries from SQLite first, and from CSV when SQLite fails or lacks a ticker."""

from stockapi.services.data_store.fallback import DataSource
from stockapi.services.data_store.store import DataStore, LastBars, PrerenderedText, QueryResult

__all__ = ["DataSource", "DataStore", "LastBars", "PrerenderedText", "QueryResult"]
