"""Names and numbers that the stores, the API and the documents share."""

from typing import Final

FALLBACK_TO_CSV_ENV: Final = "FALLBACK_TO_CSV"
DEFAULT_FALLBACK_TO_CSV: Final = True
VN_DATABASE_PATH: Final = "vn_data.db"
CRYPTO_DATABASE_PATH: Final = "crypto_data.db"
SQLITE_BATCH_SIZE: Final = 1000
"""Rows per `executemany` and, while a series only grows, per transaction."""

PRICE_FIELDS: Final = ("open", "high", "low", "close")
MA_PERIODS: Final = (10, 20, 50, 100, 200)
MA_FIELDS: Final = tuple(f"ma{period}" for period in MA_PERIODS)
SCORE_FIELDS: Final = tuple(f"ma{period}_score" for period in MA_PERIODS)
CHANGE_FIELDS: Final = ("close_changed", "volume_changed")
MONEY_FIELD: Final = "total_money_changed"
INDICATOR_FIELDS: Final = (*MA_FIELDS, *SCORE_FIELDS, *CHANGE_FIELDS, MONEY_FIELD)
"""The 13 indicators, in the order of every file, table and answer."""

BASE_CSV_FIELDS: Final = ("ticker", "time", *PRICE_FIELDS, "volume")
CSV_FIELDS: Final = (*BASE_CSV_FIELDS, *INDICATOR_FIELDS)

WARMUP_BARS: Final = max(MA_PERIODS)
"""Bars to read before the first one wanted, so that every indicator of it is exact."""

DEFAULT_LIMIT: Final = 252
"""Bars per symbol when no start is asked for: a trading year of days."""

SECONDS_PER_DAY: Final = 86_400
VN_TIMEZONE: Final = "Asia/Ho_Chi_Minh"
