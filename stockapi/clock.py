"""The clock that this project goes by, wherever a caller does not bring another."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
