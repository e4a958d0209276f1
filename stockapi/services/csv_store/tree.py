"""Where the files of the series are: `<data directory>/<TICKER>/<interval>.csv`. It opens no file."""

import os
from collections.abc import Container
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from typing import Final

from stockapi.config import Settings
from stockapi.errors import CsvError, QueryError
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import ALLOWED_SYMBOL, is_symbol
from stockapi.models.series import SeriesKey
from stockapi.services.durable import csv_errors

FILE_NAMES: Final = {interval: f"{interval.value}.csv" for interval in Interval}
OLD_NAMES: Final = {Interval.HOURLY: "1h.csv"}
_ALL_NAMES: Final = (*FILE_NAMES.values(), *OLD_NAMES.values())


class CsvTree:
    """The directories of all markets. A name never leads out of the data directory."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._roots = {mode: os.fspath(settings.data_dir(mode)) for mode in Mode}

    def path(self, key: SeriesKey) -> Path:
        """The path of the file of the series, which need not exist.

        :raises QueryError: when its ticker is not a symbol.
        :raises CsvError: when a symbolic link leads out of the data directory, or to the file of another series: two
            series would overwrite each other.
        """
        if not is_symbol(key.ticker):
            raise QueryError(f"symbol {key.ticker!r} is not allowed; a symbol is {ALLOWED_SYMBOL}")
        # As texts: a save asks some eight times, and a `Path` of each part takes longer than the two looks at the disk.
        directory = f"{self._roots[key.mode]}/{key.ticker}"
        path = f"{directory}/{FILE_NAMES[key.interval]}"
        may_lead_out = "/" in key.ticker or key.ticker.startswith(".")  # no symbol does: a second look at the same
        if may_lead_out or os.path.islink(path) or os.path.islink(directory):  # noqa: PTH114
            self.require_inside(key.mode, Path(path))
            _require_own(path, f"/{key.ticker}/{FILE_NAMES[key.interval]}")
        return Path(path)

    def tickers(self, mode: Mode, *, besides: Container[str] = ()) -> list[str]:
        """The tickers that have at least one file, sorted. Those in `besides` are left out and not checked.

        A ticker whose directory is inaccessible is included: it may have files, and reading them fails. With 287
        tickers, listing the names takes 0.2 ms, and checking all directories 0.8 ms more.
        """
        return [entry.name for entry in self.directories(mode, besides) if _may_hold_a_file(entry.path)]

    def is_within_reach(self, mode: Mode, ticker: str) -> bool:
        """Whether this process may read the directory of the ticker, and it is its own. It needs no file descriptor."""
        directory = self._settings.data_dir(mode) / ticker
        if directory.is_symlink() and os.path.isdir(directory) and directory.resolve().name != ticker:  # noqa: PTH112
            return False
        return os.access(directory, os.R_OK | os.X_OK, effective_ids=True)

    def directories(self, mode: Mode, besides: Container[str] = ()) -> list["os.DirEntry[str]"]:
        """The directories with the name of a ticker, sorted. Links that lead out of the data directory are left out.

        A link that cannot be followed is included: it may lead to a directory.
        """
        root = self._settings.data_dir(mode)
        with csv_errors(root), suppress(FileNotFoundError), os.scandir(root) as entries:
            named = [entry for entry in entries if entry.name not in besides and is_symbol(entry.name)]
            return sorted((entry for entry in named if self._is_directory_inside(mode, entry)), key=attrgetter("name"))
        return []

    def _is_directory_inside(self, mode: Mode, entry: "os.DirEntry[str]") -> bool:
        # An entry that is not a link knows its type, without another access to the disk.
        if entry.is_symlink():
            return _may_be_directory(entry) and self._is_inside(mode, Path(entry))
        return entry.is_dir(follow_symlinks=False)

    def require_inside(self, mode: Mode, path: Path) -> None:
        if not self._is_inside(mode, path):
            raise CsvError(f"{path} leads out of {self._settings.data_dir(mode)}")

    def _is_inside(self, mode: Mode, path: Path) -> bool:
        root = os.path.realpath(self._settings.data_dir(mode))
        return os.path.realpath(path).startswith(root + os.sep)


def _require_own(path: str, end: str) -> None:
    """:raises CsvError: when links lead to a place whose last names are not `end`. What cannot be followed passes."""
    real = os.path.realpath(path)
    if os.path.isdir(os.path.dirname(real)) and not real.endswith(end):  # noqa: PTH112, PTH120
        raise CsvError(f"{path} leads to {real}, which is not its own; allowed: a path that ends in {end[1:]}")


def _may_be_directory(entry: "os.DirEntry[str]") -> bool:
    """Whether it is a directory, or a link that the system does not follow: for example one that leads to itself."""
    try:
        return entry.is_dir()
    except OSError:  # not swallowed: the next access raises it again
        return True


def _may_hold_a_file(directory: str) -> bool:
    """Whether the directory has an entry with the file name of a series, of any type, or is inaccessible."""
    for name in _ALL_NAMES:
        try:
            # As text: making a `Path` of each takes longer than the check.
            os.lstat(f"{directory}/{name}")
        except FileNotFoundError:
            continue
        except OSError:  # not swallowed: reading the series raises it again
            return True
        return True
    return False
