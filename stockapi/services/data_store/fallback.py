"""The rules of every query of series: SQLite answers first; CSV answers when SQLite fails or lacks a ticker."""

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
        """The source of an answer that combines several: `MIXED` unless all are equal."""
        different = set(sources)
        return different.pop() if len(different) == 1 else cls.MIXED


@dataclass(frozen=True, slots=True)
class Found(Generic[_T]):
    """The series that were found, by symbol in alphabetical order, and the store that answered.

    Symbols without bars are left out. `timings_ms`: the wall time in milliseconds spent in each store, by its name.
    """

    series: dict[str, _T]
    source: DataSource
    timings_ms: dict[str, float]


class Fallback:
    """Asks SQLite first, and CSV for the rest.

    CSV answers for the tickers that SQLite lacks, and for all tickers when SQLite fails. With FALLBACK_TO_CSV off it
    answers neither. CSV answers alone when SQLITE_READS is off, or when SQLITE_WRITES is off and SQLite is out of date.

    A query of all tickers leaves out a ticker whose CSV directory cannot be read, and logs it; the other tickers are
    answered. A query that names such a ticker raises the error.
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
        """What both readers find of the requested tickers (None: all).

        :param from_sqlite: returns the series of every ticker that SQLite holds. A series without bars has length 0.
        :param from_csv: takes the other tickers, and returns their series in the same way.
        :raises DeadlineError, TooManyRowsError: as the readers.
        :raises StoreError: when neither store could answer. CSV could not answer when its directory does not exist.
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
            missing = self.missing(mode, symbols, in_sqlite or {})
            if missing:
                with _timed(timings_ms, DataSource.CSV):
                    in_csv = from_csv(missing)
        found = {symbol: series for symbol, series in sorted(((in_sqlite or {}) | in_csv).items()) if len(series)}
        return Found(found, _source(in_sqlite, in_csv), timings_ms)

    def _unless_sqlite_fails(self, mode: Mode, from_sqlite: Callable[[], dict[str, _T]]) -> dict[str, _T] | None:
        """What SQLite answers; None when SQLite fails and CSV may answer instead.

        :raises SqliteError: when SQLite fails and CSV may not answer.
        """
        try:
            return from_sqlite()
        except SqliteError as exc:
            if not self._settings.fallback_to_csv:
                raise
            log.warning("answering %s from CSV: %s", mode.value, exc)
            return None

    def _require_csv_tree(self, mode: Mode, *, must_hold: bool) -> None:
        """Check the CSV directory. A missing directory or an unmounted disk must not look like a market without bars.

        :param must_hold: an empty directory is an error too. It is set when SQLite has failed: then nothing proves that
            there are no bars.
        :raises CsvError: when the directory does not exist or cannot be listed, or when it must hold tickers and holds
            none.
        """
        root = self._settings.data_dir(mode)
        with csv_errors(root), os.scandir(root) as entries:
            if must_hold and not any(map(_is_directory, entries)):
                raise CsvError(f"{root} holds no ticker")

    def may_lack(self, mode: Mode, symbols: Sequence[str] | None, in_sqlite: Container[str]) -> bool:
        """Whether CSV may have some of the requested tickers (None: all) that SQLite lacks."""
        return self._settings.fallback_to_csv and bool(self.missing(mode, symbols, in_sqlite))

    def missing(self, mode: Mode, symbols: Sequence[str] | None, in_sqlite: Container[str]) -> list[str]:
        """The requested tickers (None: all) that SQLite lacks, in alphabetical order; CSV has bars of some of them."""
        if symbols is not None:
            return sorted(symbol for symbol in symbols if symbol not in in_sqlite)
        listed = self._csv.tickers(mode, besides=in_sqlite)
        missing = [ticker for ticker in listed if self._csv.is_within_reach(mode, ticker)]
        if len(missing) < len(listed):
            beyond = ", ".join(sorted(set(listed) - set(missing)))
            what = f"{self._settings.data_dir(mode)}: the directories of {beyond} cannot be looked into"
            if not missing and not in_sqlite:
                raise CsvError(what)  # an empty answer would look like an empty market
            log.warning("answering all of %s without some: %s", mode.value, what)
        return missing


def _is_directory(entry: "os.DirEntry[str]") -> bool:
    """False also when the operating system refuses to tell: then this process cannot read it either."""
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
