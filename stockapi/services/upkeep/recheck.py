"""Check a series again that seems wrong: perhaps a writer was in the middle of a save."""

from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import series_lock

_MOST_CHECKS: Final = 5
_BETWEEN_CHECKS_S: Final = 0.5
"""A save writes both stores within milliseconds, a long rewrite within seconds."""

Result = TypeVar("Result")


def recheck_suspect(
    key: SeriesKey, result: Result, check: Callable[[], Result], is_suspect: Callable[[Result], bool], stop: Event
) -> Result:
    """Confirm the result of a first check, which was made without the lock of the series.

    A suspect result is confirmed when two checks agree. Each check waits for a save of this process; a save of another
    process cannot be seen. Ends early when `stop` is set.

    :returns: the result of the last check.
    """
    for _ in range(_MOST_CHECKS):
        if not is_suspect(result) or stop.wait(_BETWEEN_CHECKS_S):
            break
        earlier = result
        with series_lock(key):
            result = check()
        if result == earlier:
            break
    return result
