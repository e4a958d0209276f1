"""Series whose newest bar was not closed when it was fetched, and when each is fetched again."""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from stockapi.models.series import SeriesKey

_SOON_S: Final = 300
"""A job that runs at least so often brings its closed bars in time by itself."""
_SETTLES_IN_S: Final = 5.0
"""The wait after the close of a bar: a source may need a moment to write it down."""
_AGAIN_AFTER_S: Final = 60.0
"""The wait after a failure. It doubles with each further one."""


class FormingBars:
    """The series of one thread that wait for the close of their newest bar. Times are Unix seconds."""

    def __init__(self) -> None:
        self._at: dict[SeriesKey, float] = {}
        self._failures: Counter[SeriesKey] = Counter()

    def note(self, key: SeriesKey, closes: int | None, due_every_s: Callable[[datetime], int]) -> None:
        """The series was fetched. Its newest bar closes at `closes`; None: it was closed.

        :param due_every_s: of the job of the series. Nothing is noted when that job comes soon after the close anyway.
        """
        self.done(key)
        if closes is not None and due_every_s(datetime.fromtimestamp(closes, UTC)) > _SOON_S:
            self._at[key] = closes + _SETTLES_IN_S

    def take_due(self, now: float) -> list[SeriesKey]:
        """The series to fetch now. They do not wait any more."""
        due = [key for key, at in self._at.items() if at <= now]
        for key in due:
            del self._at[key]
        return due

    def done(self, key: SeriesKey) -> None:
        """The series was fetched, and its newest bar is closed."""
        self._at.pop(key, None)
        self._failures.pop(key, None)

    def put_back(self, keys: Sequence[SeriesKey], now: float) -> None:
        """These series could not be fetched."""
        for key in keys:
            self._at[key] = now + _AGAIN_AFTER_S * 2 ** self._failures[key]
            self._failures[key] += 1
