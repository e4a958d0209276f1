"""Which source each series comes from, where a market has several, and which of them is asked now.

The file `sources.json` in the CSV directory of the market says it: `{"1D": {"VCB": ["vps", 1790000000]}}`, the source,
and the time (Unix seconds) from which on the bars are its own; those before came from another one. The name is empty
while the history is being replaced: then it is nobody's. A series that is not in the file is of the source that filled
the market. `asked` in the same file is what `services.ingest.preference` knows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from stockapi.config import Settings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.market_file import Content, MarketFile

FILE_NAME: Final = "sources.json"
_ASKED: Final = "asked"


@dataclass(frozen=True, slots=True)
class Origin:
    """`source`: "" for nobody. `since`: Unix seconds; 0: all bars are its own."""

    source: str
    since: int = 0


NOBODY: Final = Origin("")


class SeriesSources:
    """The origins of all series that have one of their own."""

    def __init__(self, settings: Settings) -> None:
        self._file = MarketFile(settings, FILE_NAME)

    def of(self, key: SeriesKey) -> Origin | None:
        return _parsed(self._file.entry(key))

    def all(self, mode: Mode) -> Iterator[tuple[SeriesKey, Origin]]:
        content = self._file.content(mode)
        for interval in Interval:
            for ticker, value in content.get(interval.value, {}).items():
                origin = _parsed(value)
                if origin is not None:
                    yield SeriesKey(mode, ticker, interval), origin

    def put(self, key: SeriesKey, origin: Origin) -> None:
        """:raises CsvError: when the file cannot be written."""
        self._file.put(key, [origin.source, origin.since])

    def forget(self, key: SeriesKey) -> None:
        """:raises CsvError: when the file cannot be written."""
        self._file.forget(key)

    def asked(self, mode: Mode) -> dict[str, Any]:
        return self._file.content(mode).get(_ASKED, {})

    def put_asked(self, mode: Mode, value: dict[str, Any]) -> None:
        """:raises CsvError: when the file cannot be written."""

        def changed(content: Content) -> Content:
            return {**content, _ASKED: value}

        self._file.change(mode, changed)


def _parsed(value: Any) -> Origin | None:
    match value:
        case [str(source), int(since)]:
            return Origin(source, since)
    return None
