"""The tree of CSV files: one file for each series, durable, searched without being parsed whole."""

from stockapi.services.csv_store.store import CsvStore, Recovery, is_older, is_storable

__all__ = ["CsvStore", "Recovery", "is_older", "is_storable"]
