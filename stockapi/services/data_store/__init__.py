"""Reading: from SQLite first, from CSV where SQLite fails or has nothing."""

from stockapi.services.data_store.fallback import DataSource
from stockapi.services.data_store.store import DataStore, JsonResult, QueryResult

__all__ = ["DataSource", "DataStore", "JsonResult", "QueryResult"]
