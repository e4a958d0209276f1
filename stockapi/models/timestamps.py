"""Times of bars as text and as Unix seconds. Everything is UTC."""

import re
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.interval import AnyInterval

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIMESTAMP = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?", re.ASCII)


def parse_time(text: str) -> int:
    """Unix seconds of a date (midnight UTC) or a timestamp, RFC 3339 or with a space; without an offset it is UTC.

    A fraction of a second is cut off.

    :raises ValueError: for anything else, impossible dates included.
    """
    if not (_DATE.fullmatch(text) or _TIMESTAMP.fullmatch(text)):
        raise ValueError(f"{text!r} is not a time")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() // 1)


def parse_range_end(text: str) -> int:
    """The last second that `text` covers: a date covers its whole day.

    :raises ValueError: as `parse_time`.
    """
    seconds = parse_time(text)
    return seconds + SECONDS_PER_DAY - 1 if _DATE.fullmatch(text) else seconds


def format_times(time: NDArray[np.int64], interval: AnyInterval) -> list[str]:
    """`YYYY-MM-DD` for days and longer, `YYYY-MM-DDTHH:MM:SS` for intraday bars."""
    stamps: NDArray[np.datetime64] = time.astype("datetime64[s]")
    texts: list[str] = np.datetime_as_string(stamps, unit="s" if interval.is_intraday else "D").tolist()
    return texts


def format_time(seconds: int, interval: AnyInterval) -> str:
    return format_times(np.array([seconds], dtype=np.int64), interval)[0]
