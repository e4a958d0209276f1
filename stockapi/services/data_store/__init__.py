"""Reading: from SQLite first, from CSV where SQLite fails or has nothing."""

from stockapi.services.data_store.fallback import DataSource
from stockapi.services.data_store.store import DataStore, QueryResult, RecentJson

__all__ = ["DataSource", "DataStore", "QueryResult", "RecentJson"]
