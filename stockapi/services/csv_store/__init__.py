"""The tree of CSV files: one file for each series. Writes are durable; a search does not parse the whole file."""

from stockapi.services.csv_store.store import FILE_NAMES, CsvStore, Recovery, changed_ns, is_older, is_storable

__all__ = ["FILE_NAMES", "CsvStore", "Recovery", "changed_ns", "is_older", "is_storable"]
