"""Import a tree of files into both stores."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from stockapi.constants import LEGACY_FACTOR
from stockapi.errors import CsvError, LayoutError, os_errors
from stockapi.formats.csv_format import DamagedLine
from stockapi.formats.foreign.dialect import PassedOverError
from stockapi.formats.foreign.layouts import Layout
from stockapi.formats.foreign.reader import FileOfBars, Reading, read_bars
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.mode import Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import latest_possible
from stockapi.services.csv_enhancer import FROM_THE_BEGINNING, SaveResult, open_series, save_enhanced_csv_and_sqlite
from stockapi.services.ingest.import_tree import ImportFile, OpenedFile, PassedOver, reading, tables_of
from stockapi.services.ingest.newest import note_newest
from stockapi.services.stores import Stores

MOST_BARS: Final = 250_000
"""The number of bars that files of the same tickers may have until they are saved: some 40 MB."""


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How the files of one import are to be read.

    `legacy`: prices are in thousands, in a market that has such, those of indices apart.
    `layout`: the only one that a file may have; None: each is recognised.
    `zone`: of times without an offset; None: UTC.
    """

    mode: Mode
    legacy: bool = False
    layout: Layout | None = None
    zone: ZoneInfo | None = None

    @property
    def multiplies(self) -> bool:
        return self.legacy and market_of(self.mode).has_legacy_prices


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of one table.

    `saved`: of each of its series what was written, 0 rows where all bars were known; without any, `error` says why.
    Files of the same series are written together, and the last one of them has the rows.
    `bars`: how many were read. `damaged`: the lines that were quarantined. `notes`: what the user should know.
    `multiplied`: the tickers whose prices were.
    """

    source: str
    saved: dict[SeriesKey, SaveResult] = field(default_factory=dict)
    bars: int = 0
    damaged: tuple[DamagedLine, ...] = ()
    notes: tuple[str, ...] = ()
    multiplied: frozenset[str] = frozenset()
    error: str | None = None

    @property
    def rows(self) -> int:
        return sum(saved.rows for saved in self.saved.values())


def import_files(
    stores: Stores, files: list[ImportFile], now: datetime, options: ImportOptions
) -> Iterator[ImportResult | PassedOver]:
    """Merge the bars of all files into both stores. A file overwrites stored bars of the same time; other stored bars
    stay.

    Indicators in the files are ignored; they are computed from the bars. Lines that are not bars go to the quarantine,
    unless they are so many that the file is none of bars: then nothing of it is kept, and its result has the error.

    The results come in the order in which the files are saved. A new table of other tickers, or too many bars, let
    those before it be saved.

    :raises StoreError: as `save_enhanced_csv_and_sqlite`; the files whose results have come are imported.
    """
    factor = LEGACY_FACTOR if options.multiplies else 1.0
    how = Reading(options.mode, latest_possible(now), options.layout, options.zone, factor)
    group = _Group(stores, now, options)
    for file in files:
        for source, outcome in _tables(file, how):
            if isinstance(outcome, FileOfBars):
                table = group.prepared(source, outcome, _changed_at(file))
                if not group.takes(table):
                    yield from group.save()
                group.add(table)
            else:
                group.add(outcome)
    yield from group.save()


def _tables(file: ImportFile, how: Reading) -> Iterator[tuple[str, FileOfBars | ImportResult | PassedOver]]:
    """What each table of a file holds, or why it is not imported."""
    try:
        for table in tables_of(file):
            yield (table.source, _read(table, how)) if isinstance(table, OpenedFile) else (table.path, table)
    except CsvError as exc:
        yield str(file.path), ImportResult(str(file.path), error=str(exc))


def _read(table: OpenedFile, how: Reading) -> FileOfBars | ImportResult | PassedOver:
    try:
        with reading(table.source):
            return read_bars(table.stream, table.name, how)
    except PassedOverError as exc:
        return PassedOver(table.source, str(exc))
    except LayoutError as exc:
        return ImportResult(table.source, error=f"{table.source}: {exc}")
    except CsvError as exc:
        return ImportResult(table.source, error=str(exc))


class _Part(NamedTuple):
    """The bars of a series in one file, and when the file was last changed (Unix seconds)."""

    bars: Bars
    changed_at: int


class _Table(NamedTuple):
    """A table that has been read. `parts`: by the series as which each of its series is stored."""

    parts: dict[SeriesKey, _Part]
    result: ImportResult

    @property
    def tickers(self) -> set[str]:
        return {key.ticker for key in self.parts}

    @property
    def bars(self) -> int:
        return sum(len(part.bars) for part in self.parts.values())


class _Group:
    """Tables of the same tickers, one after the other, that are saved together: a series is written once for all its
    monthly files. They are at most MOST_BARS, or one table.
    """

    def __init__(self, stores: Stores, now: datetime, options: ImportOptions) -> None:
        self._stores = stores
        self._now = now
        self._options = options
        self._forget()

    def _forget(self) -> None:
        self._outcomes: list[_Table | ImportResult | PassedOver] = []  # of all files since the last save, in order
        self._tickers: set[str] = set()
        self._bars = 0

    def prepared(self, source: str, table: FileOfBars, changed_at: int) -> _Table:
        """The table with full prices, and under the names its series have now."""
        parts, multiplied = dict[SeriesKey, _Part](), set[str]()
        renamed = self._stores.renames.of(self._options.mode).old([key.ticker for key in table.series])
        for key, regular in table.series.items():
            bars = regular.bars
            if self._options.multiplies and not self._stores.settings.is_index(key.ticker, key.mode):
                bars = Bars.of(bars.time, bars.prices * LEGACY_FACTOR, bars.volume)
                multiplied.add(renamed.get(key.ticker, key.ticker))
            # Under its old name nobody would find it: requests for that are answered with the new one.
            now = key._replace(ticker=renamed.get(key.ticker, key.ticker))
            known = [parts[now].bars] if now in parts else []
            parts[now] = _Part(_in_one([*known, bars]), changed_at)
        notes = [*table.notes, *_doubts(table, self._options), *(f"{old} is {new} now" for old, new in renamed.items())]
        result = ImportResult(
            source,
            bars=sum(len(regular.bars) for regular in table.series.values()),
            damaged=table.damaged,
            notes=tuple(f"{source}: {note}" for note in notes),
            multiplied=frozenset(multiplied),
        )
        return _Table(parts, result)

    def takes(self, table: _Table) -> bool:
        """Whether the table goes to those that are here."""
        if not self._tickers:
            return True
        return not self._tickers.isdisjoint(table.tickers) and self._bars + table.bars <= MOST_BARS

    def add(self, outcome: _Table | ImportResult | PassedOver) -> None:
        self._outcomes.append(outcome)
        if isinstance(outcome, _Table):
            self._tickers |= outcome.tickers
            self._bars += outcome.bars

    def save(self) -> Iterator[ImportResult | PassedOver]:
        """Save all series, yield all outcomes, and forget them.

        :raises StoreError: as `import_files`.
        """
        outcomes = self._outcomes
        tables = [each for each in outcomes if isinstance(each, _Table)]
        self._forget()
        for table in tables:
            if table.result.damaged:
                self._stores.quarantine.add(self._options.mode, table.result.source, table.result.damaged, self._now)
        keys = dict.fromkeys(key for table in tables for key in table.parts)
        saved = {key: self._save(key, [each.parts[key] for each in tables if key in each.parts]) for key in keys}
        for table in reversed(tables):  # the last one of a series has what was written of it
            table.result.saved.update({key: saved.pop(key, SaveResult()) for key in table.parts})
        yield from (each.result if isinstance(each, _Table) else each for each in outcomes)

    def _save(self, key: SeriesKey, parts: list[_Part]) -> SaveResult:
        bars = _in_one([part.bars for part in parts])
        newest = int(bars.time[-1])
        changed_at = [part.changed_at for part in parts if int(part.bars.time[-1]) == newest][-1]
        return _merge_and_save(self._stores, key, bars, _When(self._now, changed_at))


def _in_one(parts: list[Bars]) -> Bars:
    """The bars of all parts, ascending. Of bars of the same time the last one wins."""
    if len(parts) == 1:
        return parts[0]
    return Bars.empty(whole_volume=parts[0].has_whole_volume).merge(Bars.concatenate(parts))


def _changed_at(file: ImportFile) -> int:
    """When the file was last changed, in Unix seconds."""
    with os_errors(CsvError, file.path):
        return int(file.path.stat().st_mtime)


class _When(NamedTuple):
    """`now`: of the import. `file_changed_at`: Unix seconds."""

    now: datetime
    file_changed_at: int

    def known_at(self, newest: int) -> int:
        """When the bars were as the file has them (Unix seconds): at its last change, since it may wait for its import.

        :param newest: the time of its newest bar. A change that seems to be before that bar, or after the import, says
            nothing: the file came from another machine, or its times were set.
        """
        seconds = int(self.now.timestamp())
        return self.file_changed_at if newest <= self.file_changed_at <= seconds else seconds


def _merge_and_save(stores: Stores, key: SeriesKey, bars: Bars, when: _When) -> SaveResult:
    with open_series(stores, key, when.now) as series:
        sqlite_error = series.reconcile_if_out_of_step()
        stored = series.read()
        merged = series.enhanced(stored.merge(bars))
        if merged.equals(stored):
            saved = SaveResult().after(sqlite_error)
        else:
            saved = save_enhanced_csv_and_sqlite(stores, key, merged, when.now, cutoff_date=FROM_THE_BEGINNING)
        note_newest(stores, key, stored, bars, when.known_at(int(bars.time[-1])))
        return saved


def _doubts(table: FileOfBars, options: ImportOptions) -> Iterator[str]:
    """Whether the times of a file are those of its market."""
    calendar = market_of(options.mode).calendar
    intraday = [regular.bars.time for key, regular in table.series.items() if key.interval.is_intraday]
    if calendar.session is None or not intraday:
        return
    times = np.concatenate(intraday)
    outside = int(calendar.is_outside_session(times).sum())
    if 2 * outside > len(times):
        way_out = (
            f"if they are local times, import the file with --timezone {calendar.zone_name}"
            if options.zone is None
            else f"look whether its times are those of {options.zone.key}"
        )
        yield f"{outside:,} of its {len(times):,} bars lie outside the session ({calendar.session_text}); {way_out}"
