"""Telling what is wrong with a series from what a writer in mid-save makes look wrong."""

from collections.abc import Callable
from threading import Event
from typing import Final, TypeVar

from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import series_lock

_MOST_COMPARISONS: Final = 5
_BETWEEN_COMPARISONS_S: Final = 0.5
"""A save has both stores done within milliseconds, a long rewrite within seconds."""

Found = TypeVar("Found")


def compare_again(
    key: SeriesKey, found: Found, look: Callable[[], Found], is_suspect: Callable[[Found], bool], stop: Event
) -> Found:
    """What there is about a series, when a first look, without its lock, has found `found`.

    What is suspect counts once two looks have found the same. A save of this process is waited for; of one in another
    process nobody knows. Ends early when `stop` is set.
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
