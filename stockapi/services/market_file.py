"""A small JSON file in the CSV directory of each market. Only the writing process changes it; others read it."""

import json
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.machine import parse_json, read_regular
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.durable import FileState, csv_errors, make_directory, replace_file

log = logging.getLogger(__name__)

Content = dict[str, dict[str, Any]]
"""By interval, then by ticker."""


class MarketFile:
    """What is known of each series, beside its bars. Thread-safe: what is read is never changed, but replaced.

    The file says what is certain, so to lose it, or an entry, makes nothing wrong: less is certain then.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self._settings = settings
        self._name = name
        self._lock = threading.Lock()
        self._read: dict[Mode, tuple[FileState, Content]] = {}

    def content(self, mode: Mode) -> Content:
        """Empty where there is no file, and, with a line in the log, where it cannot be read."""
        path = self._settings.data_dir(mode) / self._name
        try:
            with csv_errors(path), suppress(FileNotFoundError, NotADirectoryError):
                state = FileState.of(path.stat())
                known = self._read.get(mode)
                if known is None or known[0] != state:
                    self._read[mode] = known = state, _parsed(read_regular(path))
                return known[1]
        except (CsvError, ValueError) as exc:
            log.warning("%s is taken for empty: %s", path, exc)
        return {}

    def entry(self, key: SeriesKey) -> Any:
        """What is known of one series; None when nothing is."""
        return self.content(key.mode).get(key.interval.value, {}).get(key.ticker)

    def put(self, key: SeriesKey, value: object) -> None:
        """Replace what is known of one series, durably.

        :raises CsvError: when the file cannot be written.
        """
        self._replace(key, {key.ticker: value})

    def forget(self, key: SeriesKey) -> None:
        """Nothing is known of the series any more. The file is written only where something was.

        :raises CsvError: when the file cannot be written.
        """
        if self.entry(key) is not None:
            self._replace(key, {})

    def _replace(self, key: SeriesKey, entry: dict[str, object]) -> None:
        name = key.interval.value

        def changed(content: Content) -> Content:
            others = {ticker: each for ticker, each in content.get(name, {}).items() if ticker != key.ticker}
            return {**content, name: {**others, **entry}}

        self.change(key.mode, changed)

    def change(self, mode: Mode, change: Callable[[Content], Content]) -> None:
        """Replace the content, durably.

        :param change: returns the new content, and leaves the given one as it is.
        :raises CsvError: when the file cannot be written.
        """
        path = self._settings.data_dir(mode) / self._name
        with self._lock, csv_errors(path):
            text = json.dumps(change(self.content(mode)), sort_keys=True)
            make_directory(path.parent)
            replace_file(path, f"{text}\n".encode())


def _parsed(data: bytes) -> Content:
    """:raises ValueError: when it is not of that form."""
    content = parse_json(data)
    if not isinstance(content, dict) or not all(isinstance(each, dict) for each in content.values()):
        raise ValueError("it is no object of objects")
    return content
