"""The tree of CSV files: one file for each series. Writes are durable; a search does not parse the whole file."""

from stockapi.services.csv_store.store import CsvStore, Recovery, is_older, is_storable

__all__ = ["CsvStore", "Recovery", "is_older", "is_storable"]
