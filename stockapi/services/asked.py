"""Which windows of each series its source has answered, so that nobody asks again each night for what it does not have.

A window is remembered for thirty days, in the file `asked.json` in the CSV directory of the market:
`{"1D": {"VCB": [[first, last, asked_at], ...]}}`, all in Unix seconds. Where bars were deleted, `asked_at` is null:
those windows are remembered for ever.
"""

from typing import Any, Final

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.market_file import Content, MarketFile

FILE_NAME: Final = "asked.json"
REMEMBERED_S: Final = 30 * SECONDS_PER_DAY
"""A source may get bars later, but seldom: it sends the newest ones again at each synchronisation anyway."""

Span = tuple[int, int]
"""First and last second, both included."""


class Asked:
    """The windows of all series."""

    def __init__(self, settings: Settings) -> None:
        self._file = MarketFile(settings, FILE_NAME)

    def spans(self, key: SeriesKey, now: int) -> list[Span]:
        """The windows that need not be asked for at `now` (Unix seconds), in the order of time. They do not touch."""
        spans: list[Span] = []
        for first, last, _ in sorted(self._held(key, now), key=lambda span: (span[0], span[1])):
            if spans and first <= spans[-1][1] + 1:
                spans[-1] = spans[-1][0], max(spans[-1][1], last)
            else:
                spans.append((first, last))
        return spans

    def record(self, key: SeriesKey, span: Span, now: int, *, forever: bool = False) -> None:
        """The source was asked for the window at `now` (Unix seconds).

        :param forever: its bars were deleted, and are not to come back by themselves.
        :raises CsvError: when the file cannot be written.
        """
        asked_at = None if forever else now
        self._file.put(key, _joined([*self._held(key, now), [*span, asked_at]]))

    def forget(self, key: SeriesKey) -> None:
        """:raises CsvError: when the file cannot be written."""
        self._file.forget(key)

    def forget_answers(self, key: SeriesKey) -> None:
        """Forget what the source of one series has answered, since another one continues. What was deleted is
        remembered.

        :raises CsvError: when the file cannot be written.
        """
        held = self._file.entry(key) or []
        deleted = [each for each in held if _is_span(each) and each[2] is None]
        if deleted != held:
            self._file.put(key, deleted)

    def forget_source(self, mode: Mode) -> None:
        """Forget what the source has answered, since another one continues. What was deleted is remembered.

        :raises CsvError: when the file cannot be written.
        """
        if self._file.content(mode):
            self._file.change(mode, _for_ever)

    def _held(self, key: SeriesKey, now: int) -> list[list[Any]]:
        held = self._file.entry(key) or []
        return [each for each in held if _is_span(each) and (each[2] is None or now - each[2] < REMEMBERED_S)]


def _for_ever(content: Content) -> Content:
    deleted = {
        name: {ticker: [each for each in spans if _is_span(each) and each[2] is None] for ticker, spans in held.items()}
        for name, held in content.items()
    }
    return {name: {ticker: spans for ticker, spans in held.items() if spans} for name, held in deleted.items()}


def _is_span(value: object) -> bool:
    if not (isinstance(value, list) and len(value) == 3):
        return False
    return all(type(each) is int for each in value[:2]) and (value[2] is None or type(value[2]) is int)


def _joined(spans: list[list[Any]]) -> list[list[Any]]:
    """The spans with those that touch as one, asked for when the older of them was. Those for ever stay as they are."""
    joined = [span for span in spans if span[2] is None]
    for span in sorted(span for span in spans if span[2] is not None):
        last = joined[-1] if joined else None
        if last is not None and last[2] is not None and span[0] <= last[1] + 1:
            joined[-1] = [last[0], max(last[1], span[1]), min(last[2], span[2])]
        else:
            joined.append(span)
    return joined
