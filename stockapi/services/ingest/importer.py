"""Import a tree of CSV files into both stores."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stockapi.errors import CsvError, LayoutError, os_errors
from stockapi.formats.csv_format import DamagedLine, ParsedCsv, parse_rows
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.models.query import is_symbol
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import SaveResult, open_series, save_enhanced_csv_and_sqlite
from stockapi.services.stores import Stores

LEGACY_FACTOR = 1000.0

_INTERVAL_OF_FILE = {
    "1D.csv": Interval.DAILY,
    "1H.csv": Interval.HOURLY,
    "1h.csv": Interval.HOURLY,
    "1m.csv": Interval.MINUTE,
}


@dataclass(frozen=True, slots=True)
class ImportFile:
    """One file of the tree, and which series it holds."""

    path: Path
    ticker: str
    interval: Interval


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of one file: bars read, lines quarantined, and what was written (0 rows: all bars were known)."""

    file: ImportFile
    bars: int
    damaged: tuple[DamagedLine, ...]
    saved: SaveResult


def find_files(directory: Path) -> tuple[list[ImportFile], list[Path]]:
    """The files to import, `<TICKER>/1D.csv 1H.csv 1h.csv 1m.csv` and `<TICKER>.csv` (days), and other CSV files.

    If two files hold the same series, the later one overwrites the values of the earlier one. The file in the ticker's
    directory comes later, and `1H.csv` comes after the older name `1h.csv`.

    :raises CsvError: when the directory does not exist, or has no file to import.
    """
    if not directory.is_dir():
        raise CsvError(f"{directory} is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv files")
    found, ignored = [], []
    for path in directory.rglob("*.csv"):
        file = _as_import_file(path, directory)
        if file is None:
            ignored.append(path)
        else:
            found.append(file)
    if not found:
        raise CsvError(f"{directory} holds nothing to import; expected <TICKER>/1D.csv, 1H.csv, 1m.csv or <TICKER>.csv")
    return sorted(found, key=_order), sorted(ignored)


def _as_import_file(path: Path, directory: Path) -> ImportFile | None:
    *above, name = path.relative_to(directory).parts
    ticker = above[0] if above else path.stem
    interval = _INTERVAL_OF_FILE.get(name) if above else Interval.DAILY
    if len(above) > 1 or interval is None or not is_symbol(ticker) or not path.is_file():
        return None
    return ImportFile(path, ticker, interval)


def _order(file: ImportFile) -> tuple[str, bool, bool, Path]:
    return file.ticker, file.path.parent.name == file.ticker, file.path.name != "1h.csv", file.path


def import_files(
    stores: Stores, files: list[ImportFile], mode: Mode, now: datetime, *, legacy: bool = False
) -> Iterator[ImportResult]:
    """Merge the bars of each file into both stores. The file overwrites stored bars of the same time; other stored bars
    stay.

    `legacy` multiplies prices by 1000 in a market with legacy prices, but not the prices of indices. Indicators in the
    files are ignored; they are computed from the bars. Lines that are not bars go to the quarantine.

    :raises CsvError: when a file cannot be read.
    :raises StoreError: as `save_enhanced_csv_and_sqlite`; the files before it are already imported.
    """
    for file in files:
        key = SeriesKey(mode, file.ticker, file.interval)
        parsed = _parse(file.path, key)
        if parsed.damaged:
            stores.quarantine.add(mode, str(file.path), parsed.damaged, now)
        bars = parsed.bars
        if legacy and market_of(mode).has_legacy_prices and not stores.settings.is_index(file.ticker, mode):
            bars = Bars.of(bars.time, bars.prices * LEGACY_FACTOR, bars.volume)
        saved = _merge_and_save(stores, key, bars, now)
        yield ImportResult(file, len(bars), tuple(parsed.damaged), saved)


def _merge_and_save(stores: Stores, key: SeriesKey, bars: Bars, now: datetime) -> SaveResult:
    with open_series(stores, key, now) as series:
        sqlite_error = series.settle_if_out_of_step()
        stored = series.read()
        merged = series.enhanced(stored.merge(bars))
        if merged.equals(stored):
            return SaveResult().after(sqlite_error)
        return save_enhanced_csv_and_sqlite(stores, key, merged, now, rewrite_all=True)


def _parse(path: Path, key: SeriesKey) -> ParsedCsv:
    try:
        return parse_rows(_read_text(path), key, with_indicators=False)
    except LayoutError as exc:
        raise LayoutError(f"{path}: {exc}") from exc


def _read_text(path: Path) -> str:
    with os_errors(CsvError, f"{path} cannot be read"):
        # A byte that is not UTF-8 damages its own line, not the file.
        return path.read_bytes().decode("utf-8", errors="replace")
