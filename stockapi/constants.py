"""Names and numbers that the stores, the API and the documents share."""

from typing import Final

VERSION: Final = "1.0.0"
"""Of the program and of its API. docs/deployment.md says what is promised for it."""

FALLBACK_TO_CSV_ENV: Final = "FALLBACK_TO_CSV"
DEFAULT_FALLBACK_TO_CSV: Final = True
VN_DATABASE_PATH: Final = "vn_data.db"
CRYPTO_DATABASE_PATH: Final = "crypto_data.db"
SQLITE_BATCH_SIZE: Final = 1000
"""Rows in one `executemany`. When a series only grows, also rows in one transaction."""

DEFAULT_LIMIT: Final = 252
"""Bars of each symbol when the request has no start: as many as a year has trading days."""

MOST_REQUESTS_PER_MINUTE: Final = 1_000_000
"""The highest limit of requests that settings and files of keys may have."""

LEGACY_FACTOR: Final = 1000.0
"""Older clients use prices of stocks in thousands."""

LARGEST_INT64: Final = (1 << 63) - 1
"""The largest whole volume."""

SECONDS_PER_HOUR: Final = 3_600
SECONDS_PER_DAY: Final = 86_400
