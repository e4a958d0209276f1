"""Bars for a query: from SQLite first, from CSV where SQLite fails or has nothing."""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from stockapi.config import Settings
from stockapi.constants import MA_FIELDS, WARMUP_BARS
from stockapi.errors import CsvError, DeadlineError, SqliteError
from stockapi.models.bars import Bars, Float
from stockapi.models.interval import AggregatedInterval, Interval
from stockapi.models.mode import Mode
from stockapi.models.query import QueryParameters
from stockapi.services.aggregator import aggregate, base_bars_needed, bucket_bounds
from stockapi.services.csv_files import csv_errors
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.indicators import enhance, round_half_even
from stockapi.services.sqlite_store import SqliteStore, Window, too_many_rows

log = logging.getLogger(__name__)

_LEGACY_DIVISOR = 1000.0
_CSV_READ_ATTEMPTS = 5


class DataSource(Enum):
    """Which store answered; the value stands in the X-Data-Source header."""

    SQLITE = "sqlite"
    CSV = "csv"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True)
class QueryResult:
    """Bars by symbol in alphabetical order, symbols without bars left out; and where they came from.

    `timings_ms`: wall time spent in each store that was asked, by its name.
    """

    bars: dict[str, Bars]
    source: DataSource
    timings_ms: dict[str, float]


class DataStore:
    """Answers queries. Reads only, and keeps nothing between them."""

    def __init__(self, settings: Settings, db_manager: DatabaseManager, csv_store: CsvStore) -> None:
        self._settings = settings
        self._sqlite = SqliteStore(db_manager)
        self._csv = csv_store

    def get_data_smart_sqlite(self, params: QueryParameters) -> QueryResult:
        """The bars a query asks for.

        SQLite answers for every ticker it holds. CSV answers for the others, and for all when SQLite fails, unless
        FALLBACK_TO_CSV is off. Without SQLITE_READS, or while SQLITE_WRITES is off and SQLite falls behind, CSV
        answers alone.

        :raises DeadlineError: when the answer was not ready in time.
        :raises StoreError: when neither store could answer; one whose CSV directory is not there could not.
        :raises TooManyRowsError: past the row budget.
        """
        deadline = time.monotonic() + self._settings.query_deadline_ms / 1000
        timings_ms: dict[str, float] = {}
        in_sqlite: dict[str, Bars] | None = None
        in_csv: dict[str, Bars] = {}
        asks_sqlite = params.use_sqlite and self._settings.sqlite_reads and self._settings.sqlite_writes
        if asks_sqlite:
            with _timed(timings_ms, DataSource.SQLITE):
                in_sqlite = self._query_from_sqlite(params, deadline)
        if self._settings.fallback_to_csv or not asks_sqlite:
            if in_sqlite is None:
                self._require_csv_tree(params.mode)
            missing = self._missing(params, in_sqlite)
            if missing:
                with _timed(timings_ms, DataSource.CSV):
                    in_csv = self._query_from_csv(params, missing, deadline)
        found = {symbol: bars for symbol, bars in ((in_sqlite or {}) | in_csv).items() if len(bars)}
        if sum(map(len, found.values())) > self._settings.max_response_rows:
            raise too_many_rows(self._settings.max_response_rows)
        return QueryResult(self._presented(found, params), _source(in_sqlite, in_csv), timings_ms)

    def _query_from_sqlite(self, params: QueryParameters, deadline: float) -> dict[str, Bars] | None:
        """By ticker, those with an empty window included; None when SQLite failed and CSV may answer in its place."""
        plan = _Plan.of(params)
        # The rows of an aggregated answer are counted once they are aggregated: they are far fewer than those read.
        budget = self._settings.max_response_rows if plan.aggregated is None else None
        each = self._sqlite.read_each(
            params.mode, plan.base, params.symbols, plan.window, deadline=deadline, row_budget=budget
        )
        try:
            return {symbol: self._finish(symbol, bars, plan, params) for symbol, bars in each}
        except SqliteError as exc:
            if not self._settings.fallback_to_csv:
                raise
            log.warning("answering %s from CSV: %s", params.mode.value, exc)
            return None

    def _query_from_csv(self, params: QueryParameters, symbols: Sequence[str], deadline: float) -> dict[str, Bars]:
        plan = _Plan.of(params)
        found: dict[str, Bars] = {}
        rows = 0
        for symbol in symbols:
            if time.monotonic() > deadline:
                raise DeadlineError("reading CSV files was stopped at the deadline")
            bars = self._read_csv(params.mode, symbol, plan.base, plan.window)
            found[symbol] = self._finish(symbol, bars, plan, params)
            rows += len(found[symbol])
            if rows > self._settings.max_response_rows:
                raise too_many_rows(self._settings.max_response_rows)
        return found

    def _read_csv(self, mode: Mode, symbol: str, interval: Interval, window: Window) -> Bars:
        """:raises CsvError: also when the file kept changing between the two reads a warm-up takes."""
        if not window.warmup or window.start is None:
            return self._csv.read(mode, symbol, interval, start=window.start, end=window.end, limit=window.limit).bars
        for _ in range(_CSV_READ_ATTEMPTS):
            stamp = self._csv.stamp(mode, symbol, interval)
            wanted = self._csv.read(mode, symbol, interval, start=window.start, end=window.end).bars
            earlier = self._csv.read(mode, symbol, interval, end=window.start - 1, limit=window.warmup).bars
            if self._csv.stamp(mode, symbol, interval) == stamp:
                return Bars.concatenate([earlier, wanted])
        raise CsvError(f"the CSV file of {mode.value} {symbol} {interval.value} changes faster than it can be read")

    def _require_csv_tree(self, mode: Mode) -> None:
        """A directory that is gone, or a disk that is not mounted, must not pass for a market without bars.

        :raises CsvError: when the directory does not exist or cannot be listed.
        """
        root = self._settings.data_dir(mode)
        with csv_errors(root), os.scandir(root):
            pass

    def _missing(self, params: QueryParameters, in_sqlite: dict[str, Bars] | None) -> list[str]:
        known = self._csv.tickers(params.mode) if params.symbols is None else params.symbols
        return sorted(set(known) - (in_sqlite or {}).keys())

    def _finish(self, symbol: str, bars: Bars, plan: "_Plan", params: QueryParameters) -> Bars:
        """Aggregate base bars where that was asked for, and cut to the range and limit of the query."""
        if plan.aggregated is None or not len(bars):
            return bars
        longer = aggregate(bars, plan.aggregated, params.mode)
        enhanced = enhance(longer, params.mode, is_index=self._is_index(symbol, params.mode))
        wanted = enhanced.between(params.start, params.end)
        return wanted if params.limit is None else wanted.tail(params.limit)

    def _presented(self, found: dict[str, Bars], params: QueryParameters) -> dict[str, Bars]:
        is_legacy = params.legacy and params.mode is Mode.VN
        return {
            symbol: _in_thousands(bars) if is_legacy and not self._is_index(symbol, params.mode) else bars
            for symbol, bars in sorted(found.items())
        }

    def _is_index(self, symbol: str, mode: Mode) -> bool:
        return self._settings.is_index(symbol, mode)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Which base bars to read for a query."""

    base: Interval
    aggregated: AggregatedInterval | None
    window: Window

    @classmethod
    def of(cls, params: QueryParameters) -> "_Plan":
        """For an aggregated interval: whole buckets, and before them what the indicators of the first one need."""
        interval, start, end, limit = params.interval, params.start, params.end, params.limit
        if isinstance(interval, Interval):
            return cls(interval, None, Window(start=start, end=end, limit=limit))
        if end is not None:
            end = bucket_bounds(end, interval, params.mode)[1] - 1
        # One bucket more than the warm-up takes: the oldest may be cut by the number of bars read.
        if start is None:
            count = (limit or 0) + WARMUP_BARS + 1
            return cls(interval.base, interval, Window(end=end, limit=base_bars_needed(count, interval)))
        warmup = base_bars_needed(WARMUP_BARS + 1, interval)
        return cls(interval.base, interval, Window(start=start, end=end, warmup=warmup))


def _in_thousands(bars: Bars) -> Bars:
    """Prices and averages of VN divided by 1000, as the old API gave them; the rest as it is."""
    indicators = bars.indicators.copy()
    averages = slice(len(MA_FIELDS))
    indicators[averages] = _thousandth(indicators[averages])
    return Bars(bars.time, _thousandth(bars.prices), bars.volume, indicators)


def _thousandth(values: Float) -> Float:
    # Of one number in four the quotient alone is not the nearest float: 15048.95 / 1000 is 15.048950000000001.
    return round_half_even(values / _LEGACY_DIVISOR, Mode.VN.price_decimals + 3)


def _source(in_sqlite: dict[str, Bars] | None, in_csv: dict[str, Bars]) -> DataSource:
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
