"""Stored series as files for other programs: `<directory>/<market>/<interval>/<TICKER>.parquet` or `.csv`.

The files are copies, and nothing of this program reads them. Each is complete, or it is the one of the last export.
"""

import io
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

import numpy as np

from stockapi.config import Settings
from stockapi.errors import QueryError, StoreError
from stockapi.formats import csv_answers
from stockapi.formats.arrow_answers import arrow_stream, kinds_of
from stockapi.formats.arrow_stream import Kind
from stockapi.formats.json_format import DEFAULT_FIELDS
from stockapi.machine import real_path
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.mode import Mode
from stockapi.models.query import QueryParameters, is_symbol
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import TimeStyle
from stockapi.services.data_store import DataStore
from stockapi.services.durable import csv_errors, make_directory, replace_file

_COLUMNS: Final = csv_answers.columns(DEFAULT_FIELDS)
_PARQUET_OPTIONS: Final = {
    # A dictionary of each column of numbers makes the files 1.7 times as large, and takes 1.7 times as long.
    "compression": "zstd(1)",
    "dictionary_enabled": False,
    "column_dictionary_enabled": {"symbol": True},
    # Without it the types of Parquet hold: names are texts, and files of several tickers are one table.
    "skip_arrow_metadata": True,
}
_NO_LIMITS: Final = Limits(math.inf, RowBudget(sys.maxsize), time.monotonic)
_FIRST_YEAR: Final = 1970


class FileFormat(Enum):
    """The format of the files. The value is their suffix."""

    PARQUET = "parquet"
    CSV = "csv"


@dataclass(frozen=True, slots=True)
class Target:
    """Where the files go, and how they are written. `is_yearly`: a file for each year of each ticker."""

    directory: Path
    format: FileFormat
    is_yearly: bool

    def folder(self, mode: Mode, interval: Interval) -> Path:
        """The directory of all files of a market and an interval."""
        return self.directory / mode.value / interval.value

    def parts(self, key: SeriesKey, bars: Bars) -> Iterator[tuple[Path, Bars]]:
        """The files of a series, and the bars in each. A year is a year of UTC.

        :raises StoreError: when the name of the ticker is not a symbol: it could lead anywhere.
        """
        if not is_symbol(key.ticker):
            raise StoreError(f"{key.ticker!r} is no symbol, so there is no name of a file for it")
        folder = self.folder(key.mode, key.interval)
        if not self.is_yearly:
            yield folder / f"{key.ticker}.{self.format.value}", bars
            return
        years = bars.time.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + _FIRST_YEAR
        for year in np.unique(years).tolist():
            path = folder / key.ticker / f"{year}.{self.format.value}"
            yield path, bars.take(slice(*np.searchsorted(years, [year, year + 1]).tolist()))


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written of one series."""

    paths: list[Path]
    bars: int
    bytes: int


def export_series(store: DataStore, settings: Settings, key: SeriesKey, target: Target) -> Exported:
    """Write the files of a series, durably. Its bars are read at once, so they are those of one moment.

    :raises StoreError: when the bars cannot be read, or a file not be written. Then the file of before stays.
    :raises QueryError: as `require_outside`.
    """
    parameters = QueryParameters(mode=key.mode, interval=key.interval, symbols=(key.ticker,), start=0, limit=None)
    bars = store.get_data_smart_sqlite(parameters, _NO_LIMITS).bars.get(key.ticker)
    paths, written = list[Path](), 0
    for path, part in target.parts(key, bars) if bars is not None else ():
        data = _RENDER[target.format](key, part)
        with csv_errors(path):
            make_directory(path.parent)
            require_outside(settings, path.parent)
            replace_file(path, data)
        paths.append(path)
        written += len(data)
    return Exported(paths, 0 if bars is None else len(bars), written)


def require_outside(settings: Settings, directory: Path) -> None:
    """:raises QueryError: when the directory is, has or is inside of a data directory, by links too."""
    real = real_path(directory)
    for mode in Mode:
        data = real_path(settings.data_dir(mode))
        if real.is_relative_to(data) or data.is_relative_to(real):
            raise QueryError(
                f"{directory} and the data directory {settings.data_dir(mode)} are one inside of the other; "
                "allowed: a directory apart from it"
            )


def require_layout(target: Target, mode: Mode, interval: Interval) -> None:
    """:raises QueryError: when there are files of the other layout: a glob would read those bars twice."""
    pattern = f"*.{target.format.value}" if target.is_yearly else f"*/*.{target.format.value}"
    other = next(target.folder(mode, interval).glob(pattern), None)
    if other is not None:
        allowed = "without --yearly" if target.is_yearly else "with --yearly"
        raise QueryError(f"{other} is there, from an export {allowed}; allowed: again {allowed}, or another directory")


def require_parquet() -> None:
    """:raises QueryError: when the package that writes Parquet is not installed."""
    try:
        _parquet()
    except ImportError as exc:
        raise QueryError(
            "Parquet is written by a package that is not installed; install it (pip install -r "
            "requirements-parquet.txt), or use --format csv"
        ) from exc


def _parquet() -> Any:
    """The package, which is optional. It is imported when it is needed: it takes memory, and not everybody has it."""
    from arro3 import io as parquet

    return parquet


def _as_parquet(key: SeriesKey, bars: Bars) -> bytes:
    # Parquet has no times in seconds: they would be read as plain numbers.
    kinds = kinds_of(has_whole_volume=bars.has_whole_volume, time=Kind.MILLISECONDS)
    stream = io.BytesIO(b"".join(arrow_stream([({"symbol": key.ticker}, bars)], _COLUMNS, kinds)))
    written = io.BytesIO()
    parquet = _parquet()
    parquet.write_parquet(parquet.read_ipc_stream(stream), written, **_PARQUET_OPTIONS)
    return written.getvalue()


def _as_csv(key: SeriesKey, bars: Bars) -> bytes:
    lines = csv_answers.csv_rows([({"symbol": key.ticker}, bars)], TimeStyle.of(key.interval), _COLUMNS)
    return b"".join([f"{','.join(_COLUMNS)}\n".encode(), *lines])


_RENDER: Final[dict[FileFormat, Callable[[SeriesKey, Bars], bytes]]] = {
    FileFormat.PARQUET: _as_parquet,
    FileFormat.CSV: _as_csv,
}
