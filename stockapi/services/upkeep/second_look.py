"""Look again at a series that seems wrong: perhaps a writer was in the middle of a save."""

from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import series_lock

_MOST_COMPARISONS: Final = 5
_BETWEEN_COMPARISONS_S: Final = 0.5
"""A save writes both stores within milliseconds, a long rewrite within seconds."""

Found = TypeVar("Found")


def compare_again(
    key: SeriesKey, found: Found, look: Callable[[], Found], is_suspect: Callable[[Found], bool], stop: Event
) -> Found:
    """Confirm what a first look at a series, without its lock, has found. Returns the result of the last look.

    A suspect result is confirmed when two looks agree. Each look waits for a save of this process; a save of another
    process cannot be seen. Ends early when `stop` is set.
    """
    for _ in range(_MOST_COMPARISONS):
        if not is_suspect(found) or stop.wait(_BETWEEN_COMPARISONS_S):
            break
        earlier = found
        with series_lock(key):
            found = look()
        if found == earlier:
            break
    return found
