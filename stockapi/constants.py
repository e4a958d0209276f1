"""Names and numbers that the stores, the API and the documents share."""

from typing import Final

FALLBACK_TO_CSV_ENV: Final = "FALLBACK_TO_CSV"
DEFAULT_FALLBACK_TO_CSV: Final = True
VN_DATABASE_PATH: Final = "vn_data.db"
CRYPTO_DATABASE_PATH: Final = "crypto_data.db"
SQLITE_BATCH_SIZE: Final = 1000
"""Rows per `executemany` and, while a series only grows, per transaction."""

DEFAULT_LIMIT: Final = 252
"""Bars per symbol when no start is asked for: a trading year of days."""

SECONDS_PER_HOUR: Final = 3_600
SECONDS_PER_DAY: Final = 86_400
