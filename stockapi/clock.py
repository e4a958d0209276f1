"""The clock that is used when a caller does not pass another one."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    return datetime.now(UTC)
