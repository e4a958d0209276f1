"""SQLite first, CSV where SQLite fails or lacks a ticker: the rules by which every query of series is answered."""

import logging
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from typing import Generic, Self, TypeVar

from stockapi.errors import CsvError, SqliteError
from stockapi.models.mode import Mode
from stockapi.services.durable import csv_errors
from stockapi.services.stores import Stores

log = logging.getLogger(__name__)

_T = TypeVar("_T", bound=Sized)


class DataSource(Enum):
    """Which store answered; the value stands in the X-Data-Source header."""

    SQLITE = "sqlite"
    CSV = "csv"
    MIXED = "mixed"

    @classmethod
    def of_all(cls, sources: Iterable[Self]) -> Self:
        """Of one answer out of several."""
        different = set(sources)
        return different.pop() if len(different) == 1 else cls.MIXED


@dataclass(frozen=True, slots=True)
class Found(Generic[_T]):
    """What was found by symbol, in alphabetical order, symbols without bars left out; and where it came from.

    `timings_ms`: wall time spent in each store that was asked, by its name.
    """

    series: dict[str, _T]
    source: DataSource
    timings_ms: dict[str, float]


class Fallback:
    """Puts a query to SQLite, and what SQLite does not answer to CSV.

    CSV answers for the tickers SQLite does not hold, and for all when SQLite fails, unless FALLBACK_TO_CSV is off.
    Without SQLITE_READS, or while SQLITE_WRITES is off and SQLite falls behind, CSV answers alone.

    Where all tickers are asked for, one whose CSV directory is beyond reach is left out, and the log says so: whoever
    names it gets the error. It keeps back no other ticker.
    """

    def __init__(self, stores: Stores) -> None:
        self._settings = stores.settings
        self._csv = stores.csv_store

    @property
    def uses_sqlite(self) -> bool:
        return self._settings.sqlite_reads and self._settings.sqlite_writes

    def find(
        self,
        mode: Mode,
        symbols: Sequence[str] | None,
        from_sqlite: Callable[[], dict[str, _T]],
        from_csv: Callable[[Sequence[str]], dict[str, _T]],
        *,
        use_sqlite: bool = True,
    ) -> Found[_T]:
        """What both readers find of the tickers asked for (None: all). Of no length is what has no bars.

        `from_sqlite` gives every ticker that SQLite holds, one without bars of no length; `from_csv` is asked for the
        others.

        :raises DeadlineError, TooManyRowsError: as the readers.
        :raises StoreError: when neither store could answer; one whose CSV directory is not there could not.
        """
        timings_ms: dict[str, float] = {}
        in_sqlite: dict[str, _T] | None = None
        in_csv: dict[str, _T] = {}
        asks_sqlite = use_sqlite and self.uses_sqlite
        if asks_sqlite:
            with _timed(timings_ms, DataSource.SQLITE):
                in_sqlite = self._unless_sqlite_fails(mode, from_sqlite)
        if self._settings.fallback_to_csv or not asks_sqlite:
            if in_sqlite is None:
                self._require_csv_tree(mode, must_hold=asks_sqlite)
            missing = self._missing(mode, symbols, in_sqlite or {})
            if missing:
                with _timed(timings_ms, DataSource.CSV):
                    in_csv = from_csv(missing)
        found = {symbol: series for symbol, series in sorted(((in_sqlite or {}) | in_csv).items()) if len(series)}
        return Found(found, _source(in_sqlite, in_csv), timings_ms)

    def _unless_sqlite_fails(self, mode: Mode, from_sqlite: Callable[[], dict[str, _T]]) -> dict[str, _T] | None:
        """None when SQLite failed and CSV may answer in its place."""
        try:
            return from_sqlite()
        except SqliteError as exc:
            if not self._settings.fallback_to_csv:
                raise
            log.warning("answering %s from CSV: %s", mode.value, exc)
            return None

    def _require_csv_tree(self, mode: Mode, *, must_hold: bool) -> None:
        """A directory that is gone, or a disk that is not mounted, must not pass for a market without bars.

        `must_hold`: an empty one must not, either. SQLite has failed, so nobody knows that there are no bars.

        :raises CsvError: when the directory does not exist, cannot be listed, or holds none of a ticker but must.
        """
        root = self._settings.data_dir(mode)
        with csv_errors(root), os.scandir(root) as entries:
            if must_hold and not any(map(_is_directory, entries)):
                raise CsvError(f"{root} holds no ticker")

    def may_lack(self, mode: Mode, symbols: Sequence[str] | None, in_sqlite: Container[str]) -> bool:
        """Whether CSV is to be asked although SQLite has answered for these tickers."""
        return self._settings.fallback_to_csv and bool(self._missing(mode, symbols, in_sqlite))

    def _missing(self, mode: Mode, symbols: Sequence[str] | None, in_sqlite: Container[str]) -> list[str]:
        if symbols is not None:
            return sorted(symbol for symbol in symbols if symbol not in in_sqlite)
        listed = self._csv.tickers(mode, besides=in_sqlite)
        missing = [ticker for ticker in listed if self._csv.is_within_reach(mode, ticker)]
        if len(missing) < len(listed):
            beyond = ", ".join(sorted(set(listed) - set(missing)))
            what = f"{self._settings.data_dir(mode)}: the directories of {beyond} cannot be looked into"
            if not missing and not in_sqlite:
                raise CsvError(what)  # an empty answer would pass for an empty market
            log.warning("answering all of %s without some: %s", mode.value, what)
        return missing


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    """Not what the system does not give: that holds nothing for this process."""
    with suppress(OSError):
        return entry.is_dir()
    return False


def _source(in_sqlite: dict[str, _T] | None, in_csv: dict[str, _T]) -> DataSource:
    if in_sqlite is None:
        return DataSource.CSV
    if not any(map(len, in_csv.values())):
        return DataSource.SQLITE
    return DataSource.MIXED if any(map(len, in_sqlite.values())) else DataSource.CSV


@contextmanager
def _timed(timings_ms: dict[str, float], source: DataSource) -> Iterator[None]:
    started = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[source.value] = (time.perf_counter() - started) * 1000
