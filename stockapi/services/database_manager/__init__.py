"""The database files: connections, transactions, migrations, bookkeeping."""

from stockapi.services.database_manager.manager import NEVER, DatabaseHealth, DatabaseManager, DatabaseStats, uri

__all__ = ["NEVER", "DatabaseHealth", "DatabaseManager", "DatabaseStats", "uri"]
