"""The tree of CSV files: one file for each series. Writes are durable; a search does not parse the whole file."""

from stockapi.services.csv_store.stamps import changed_ns, is_older
from stockapi.services.csv_store.storable import is_storable
from stockapi.services.csv_store.store import CsvStore, Recovery
from stockapi.services.csv_store.tree import FILE_NAMES

__all__ = ["FILE_NAMES", "CsvStore", "Recovery", "changed_ns", "is_older", "is_storable"]
