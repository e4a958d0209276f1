"""The dual write: bars with their indicators go to CSV, durably, and then to SQLite."""

from stockapi.services.csv_enhancer.enhancer import (
    FROM_THE_BEGINNING,
    enhance_interval_filtered_with_sqlite,
    reconcile_if_out_of_step,
    reconcile_series,
    recover_to_csv,
    save_enhanced_csv_and_sqlite,
    stored_tickers,
)
from stockapi.services.csv_enhancer.series import OpenSeries, csv_alone_if_allowed, open_series, series_lock
from stockapi.services.csv_enhancer.stats import EnhancementStats, SaveResult

__all__ = [
    "FROM_THE_BEGINNING",
    "EnhancementStats",
    "OpenSeries",
    "SaveResult",
    "csv_alone_if_allowed",
    "enhance_interval_filtered_with_sqlite",
    "open_series",
    "reconcile_if_out_of_step",
    "reconcile_series",
    "recover_to_csv",
    "save_enhanced_csv_and_sqlite",
    "series_lock",
    "stored_tickers",
]
