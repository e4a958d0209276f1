"""Where each list begins, so that a source that gives some answers and then refuses is asked for all in turn.

A list is what a worker, or `flask data pull`, goes through. Where its source ends it, it goes on at that series the
next time. The file `turns.json` in the CSV directory of the market keeps that for the next process:
`{"daily": {"interval": "1D", "ticker": "VCB"}}`. A list without an entry, or with one that is no series of it, begins
at its first series.
"""

import logging
from collections.abc import Sequence
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.market_file import Content, MarketFile

log = logging.getLogger(__name__)

FILE_NAME: Final = "turns.json"

Turn = dict[str, str]
"""The names of a series. Empty: the list was completed."""


class Turns:
    """The turns of all lists. No two threads have the same list."""

    def __init__(self, settings: Settings) -> None:
        self._file = MarketFile(settings, FILE_NAME)
        self._latest: dict[tuple[Mode, str], Turn] = {}
        """What this process knows. It counts even where the file could not be written."""

    def in_turn(self, mode: Mode, name: str, keys: Sequence[SeriesKey]) -> list[SeriesKey]:
        """The same series, from the one on at which the list has to begin; those before it come last."""
        turn = self._turn(mode, name)
        begin = next((number for number, key in enumerate(keys) if _turn_of(key) == turn), 0)
        return [*keys[begin:], *keys[:begin]]

    def broke_off(self, mode: Mode, name: str, keys: Sequence[SeriesKey], number: int) -> None:
        """The list ended before the series of this number (from 0) was done. `keys`: in the order of `in_turn`."""
        # One that is refused even as the first must not keep the others back.
        self._note(mode, name, _turn_of(keys[number or 1 % len(keys)]))

    def completed(self, mode: Mode, name: str) -> None:
        self._note(mode, name, {})

    def _turn(self, mode: Mode, name: str) -> Turn:
        if (mode, name) not in self._latest:
            self._latest[mode, name] = self._file.content(mode).get(name, {})
        return self._latest[mode, name]

    def _note(self, mode: Mode, name: str, turn: Turn) -> None:
        if turn == self._turn(mode, name):
            return
        self._latest[mode, name] = turn

        def changed(content: Content) -> Content:
            others = {other: each for other, each in content.items() if other != name}
            return {**others, name: dict(turn)} if turn else others

        try:
            self._file.change(mode, changed)
        except CsvError as exc:
            # The bars count, and not their order: where nothing can be written, no bar is saved anyway.
            log.warning("the next process begins %s at its first series: %s", name, exc)


def _turn_of(key: SeriesKey) -> Turn:
    return {"interval": key.interval.value, "ticker": key.ticker}
