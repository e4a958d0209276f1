"""Bars for a query: from SQLite first, and from CSV when SQLite fails or lacks a ticker."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import numpy as np

from stockapi.calc.aggregator import aggregate
from stockapi.calc.cross_section import CrossSection
from stockapi.calc.indicators import enhance, round_half_even, with_exponential_averages
from stockapi.calc.requested_indicators import with_requested
from stockapi.constants import LEGACY_FACTOR
from stockapi.errors import SqliteError, SqliteFault
from stockapi.formats.default_rows import TextForm
from stockapi.markets import market_of
from stockapi.models.bars import Bars, Float
from stockapi.models.fields import INDICATORS, Scale
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.mode import Mode
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.models.window import LastOfEach, Window
from stockapi.services.data_store.closed import ClosedBars
from stockapi.services.data_store.fallback import DataSource, Fallback
from stockapi.services.data_store.lag import Lag
from stockapi.services.data_store.query_cost import rows_of_bytes
from stockapi.services.data_store.read_plan import ReadPlan, first_wanted
from stockapi.services.sqlite_store import PrerenderedText, SqliteReader
from stockapi.services.stores import Stores

__all__ = ["DataSource", "DataStore", "LastBars", "PrerenderedText", "QueryResult"]

log = logging.getLogger(__name__)

_Rows_co = TypeVar("_Rows_co", bound=Bars | PrerenderedText, covariant=True)


@dataclass(frozen=True, slots=True)
class QueryResult(Generic[_Rows_co]):
    """Bars by symbol in alphabetical order, and the store that answered. Symbols without bars are left out.

    `timings_ms`: the wall time in milliseconds spent in each store, by its name.
    `renamed`: the old names among the symbols of the query, with their new names.
    """

    bars: Mapping[str, _Rows_co]
    source: DataSource
    timings_ms: dict[str, float]
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LastBars:
    """The last bar of each ticker that has one, and the store that answered."""

    section: CrossSection
    source: DataSource


class DataStore:
    """Answers queries. It only reads, and keeps no state between queries."""

    def __init__(self, stores: Stores) -> None:
        self._settings = stores.settings
        self._sqlite: SqliteReader = stores.sqlite_store
        self._csv = stores.csv_store
        self._fallback = Fallback(stores)
        self._lag = Lag(stores)
        self._renames = stores.renames
        self._closings = stores.closings

    def get_data_smart_sqlite(self, params: QueryParameters, limits: Limits) -> QueryResult[Bars]:
        """The bars of a query, from SQLite and CSV by the rules of `Fallback`. Old names have the bars of new ones.

        :param limits: the limits of the request. The rows of this answer are subtracted from the row budget.
        :raises DeadlineError: when the deadline passes.
        :raises StoreError: when neither store could answer.
        :raises TooManyRowsError: when the answer has more rows than the budget has left.
        """
        renamed = self._renames.of(params.mode).old(params.symbols)
        if not renamed or params.symbols is None:
            return self._find(params, limits)
        asked = sorted(params.symbols)
        now = dict.fromkeys(renamed.get(symbol, symbol) for symbol in asked)
        result = self._find(replace(params, symbols=tuple(now)), limits)
        bars = {symbol: result.bars.get(renamed.get(symbol, symbol)) for symbol in asked}
        return replace(result, bars={symbol: own for symbol, own in bars.items() if own is not None}, renamed=renamed)

    def _find(self, params: QueryParameters, limits: Limits) -> QueryResult[Bars]:
        closed = self._closed(params)
        found = self._fallback.find(
            params.mode,
            params.symbols,
            from_sqlite=lambda: self._query_from_sqlite(params, limits, closed),
            from_csv=lambda missing: self._query_from_csv(params, missing, limits, closed),
            use_sqlite=params.use_sqlite,
        )
        limits.row_budget.spend(sum(map(len, found.series.values())))
        return QueryResult(self.presented(found.series, params), found.source, found.timings_ms)

    def get_text_or_bars(
        self, form: TextForm, params: QueryParameters, limits: Limits
    ) -> QueryResult[Bars | PrerenderedText]:
        """As `get_data_smart_sqlite`, for an answer with all default fields: as text where SQLite has all of it so.

        :raises DeadlineError, StoreError, TooManyRowsError: as `get_data_smart_sqlite`.
        """
        return self.get_prerendered(form, params, limits) or self.get_data_smart_sqlite(params, limits)

    def get_prerendered(
        self, form: TextForm, params: QueryParameters, limits: Limits
    ) -> QueryResult[PrerenderedText] | None:
        """None when SQLite does not have all of the answer as text.

        :raises DeadlineError, TooManyRowsError: as `get_data_smart_sqlite`.
        """
        plan = ReadPlan.of(params)
        is_plain = params.indicators is Indicators.SIMPLE and plan.is_answer and not params.legacy
        if not (is_plain and params.closed_at is None and params.use_sqlite and self._fallback.uses_sqlite):
            return None
        if self._renames.of(params.mode).old(params.symbols):
            return None  # the texts have the new name
        started = time.perf_counter()
        try:
            comparison = self._lag.checked_within(limits)
            found = self._sqlite.prerendered(form, plan.selection(params), limits, comparison)
        except SqliteError as exc:
            log.warning("the pre-rendered answers of %s do not answer, the rows are asked: %s", params.mode.value, exc)
            return None
        if found is None or self._fallback.may_lack(params.mode, params.symbols, found):
            return None
        timings_ms = {DataSource.SQLITE.value: (time.perf_counter() - started) * 1000}
        texts = {symbol: each for symbol, each in found.items() if each.rows}
        limits.row_budget.spend(sum(each.rows for each in texts.values()))
        return QueryResult(texts, DataSource.SQLITE, timings_ms)

    def get_last_bars(self, which: LastOfEach, limits: Limits) -> LastBars:
        """The last bar of every ticker.

        :raises DeadlineError, StoreError, TooManyRowsError: as `get_data_smart_sqlite`.
        """
        mode = which.mode
        if self._fallback.uses_sqlite:
            try:
                section, without = self._sqlite.last_of_each(
                    which, deadline=limits.deadline, comparison=self._lag.checked_within(limits)
                )
            except SqliteError as exc:
                log.warning("the last bars of %s are asked for series by series: %s", mode.value, exc)
            else:
                if not self._fallback.may_lack(mode, None, {*section.symbols, *without}):
                    limits.row_budget.spend(len(section.symbols))
                    return LastBars(section, DataSource.SQLITE)
        indicators = Indicators.SIMPLE if which.indicators else Indicators.NONE
        params = QueryParameters(mode=mode, interval=which.interval, end=which.end, limit=1, indicators=indicators)
        result = self.get_data_smart_sqlite(params, limits)
        is_whole = market_of(mode).has_whole_volume
        return LastBars(CrossSection.of_last(result.bars, whole_volume=is_whole), result.source)

    def get_last_times(self, mode: Mode, interval: Interval, limits: Limits) -> dict[str, int]:
        """The time of the newest bar of every ticker, in Unix seconds. It reads no bars.

        :raises DeadlineError, StoreError: as `get_data_smart_sqlite`.
        """
        found = self._fallback.find(
            mode,
            None,
            from_sqlite=lambda: self._sqlite.last_times(
                mode, interval, deadline=limits.deadline, comparison=self._lag.checked_within(limits)
            ),
            from_csv=lambda missing: self._last_times_from_csv(mode, interval, missing, limits),
        )
        return {symbol: time for symbol, (time,) in found.series.items()}

    def _last_times_from_csv(
        self, mode: Mode, interval: Interval, symbols: Sequence[str], limits: Limits
    ) -> dict[str, tuple[int]]:
        window = Window(limit=1, indicators=False)
        bars = {
            symbol: self._csv.read(SeriesKey(mode, symbol, interval), window).bars
            for symbol in limits.within(symbols, "reading CSV files")
        }
        return {symbol: (int(each.time[-1]),) for symbol, each in bars.items() if len(each)}

    def get_tickers(self, mode: Mode, limits: Limits) -> frozenset[str]:
        """The tickers that have bars of any interval. From CSV alone: those that have files.

        :raises DeadlineError, StoreError: as `get_data_smart_sqlite`.
        """
        found = self._fallback.find(
            mode,
            None,
            from_sqlite=lambda: self._sqlite.tickers(mode, deadline=limits.deadline),
            from_csv=lambda missing: {ticker: ticker for ticker in missing},
        )
        return frozenset(found.series)

    def _closed(self, params: QueryParameters) -> ClosedBars | None:
        """None when all bars are wanted."""
        if params.closed_at is None:
            return None
        return ClosedBars(params, params.closed_at, self._closings.of(params.mode, params.interval.base))

    def _query_from_sqlite(self, params: QueryParameters, limits: Limits, closed: ClosedBars | None) -> dict[str, Bars]:
        """The bars by ticker. A ticker with an empty window has empty bars."""
        try:
            return self._read_sqlite(params, limits, closed, from_rows=False)
        except SqliteError as exc:
            if exc.fault not in (SqliteFault.CORRUPT, SqliteFault.WRONG_SCHEMA):
                raise
            log.warning("the blocks of %s do not answer, the rows are asked: %s", params.mode.value, exc)
            return self._read_sqlite(params, limits, closed, from_rows=True)

    def _read_sqlite(
        self, params: QueryParameters, limits: Limits, closed: ClosedBars | None, *, from_rows: bool
    ) -> dict[str, Bars]:
        plan, budget, newest = ReadPlan.of(params), self._budget(params, limits), dict[str, int]()
        if closed is not None:
            plan, budget = ReadPlan.of(closed.to_read), closed.budget(budget)
            newest = self._sqlite.newest_times(plan.selection(params), deadline=limits.deadline)
        held = self._sqlite.read_each(
            plan.selection(params),
            deadline=limits.deadline,
            # The rows of an aggregated answer are counted after the aggregation: it has far fewer rows than were read.
            row_budget=budget if plan.aggregated is None or budget.is_for_reading else None,
            from_rows=from_rows,
            comparison=self._lag.checked_within(limits),
        )
        with closing(held):  # closed at once and in this thread, because it uses a connection of this thread
            each = limits.within(_counted(held, budget), "working on what SQLite holds")
            if closed is None:
                return {symbol: self._finish(symbol, bars, plan, params) for symbol, bars in each}
            return {
                symbol: closed.of(symbol, self._finish(symbol, bars, plan, closed.to_read), bars, newest.get(symbol))
                for symbol, bars in each
            }

    def _query_from_csv(
        self, params: QueryParameters, symbols: Sequence[str], limits: Limits, closed: ClosedBars | None
    ) -> dict[str, Bars]:
        limits.admit(rows_of_bytes(self._csv.work_bytes(params.mode, ReadPlan.of(params).base, symbols)))
        found: dict[str, Bars] = {}
        budget, rows = self._budget(params, limits), 0
        for symbol in limits.within(symbols, "reading CSV files"):
            found[symbol], read = self._in_csv(symbol, params, closed)
            rows += read if budget.is_for_reading else len(found[symbol])
            budget.require(rows)
        return found

    def _in_csv(self, symbol: str, params: QueryParameters, closed: ClosedBars | None) -> tuple[Bars, int]:
        """The bars, and the number of stored bars that they were made of."""
        wanted = params if closed is None else closed.to_read
        plan = ReadPlan.of(wanted)
        key, newest = SeriesKey(params.mode, symbol, plan.base), None
        if closed is not None:
            last = self._csv.read(key, Window(end=closed.moment, limit=1, indicators=False)).bars
            newest = int(last.time[-1]) if len(last) else None
        base = self._read_csv(key, plan.window)
        bars = self._finish(symbol, base, plan, wanted)
        return bars if closed is None else closed.of(symbol, bars, base, newest), len(base)

    def _read_csv(self, key: SeriesKey, window: Window) -> Bars:
        """As SQLite reads the window, but bars of the warm-up may have indicators."""
        bars = self._csv.read(key, window).bars
        return bars if window.indicators else bars.without_indicators()

    def _finish(self, symbol: str, bars: Bars, plan: ReadPlan, params: QueryParameters) -> Bars:
        """Make the requested bars from the bars that were read: aggregate, add indicators, cut to range and limit."""
        if plan.is_answer or not len(bars):
            return bars
        if plan.aggregated is not None:
            bars = aggregate(bars, plan.aggregated, params.mode)
            if params.indicators is not Indicators.NONE:
                bars = enhance(bars, params.mode, is_index=self._is_index(symbol, params.mode))
        if params.indicators is Indicators.EXPONENTIAL:
            bars = with_exponential_averages(bars, params.mode)
        if params.requested:
            bars = with_requested(bars, params.requested, params.interval, params.mode)
        wanted = bars.between(first_wanted(params), params.end)
        wanted = wanted if params.limit is None else wanted.tail(params.limit)
        # Copied, because a slice would keep the warm-up in memory: 4,296 bars of each ticker.
        return wanted.take(np.arange(len(wanted)))

    def presented(self, found: dict[str, Bars], params: QueryParameters) -> dict[str, Bars]:
        """Stored bars with the prices that the query wants."""
        if not (params.legacy and market_of(params.mode).has_legacy_prices):
            return found
        return {
            symbol: bars if self._is_index(symbol, params.mode) else _in_thousands(bars, params)
            for symbol, bars in found.items()
        }

    def _budget(self, params: QueryParameters, limits: Limits) -> RowBudget:
        """The row budget of what is read: with requested indicators also the bars before the first one count, though an
        answer may be allowed fewer rows than the settings allow to read.
        """
        if not params.requested:
            return limits.row_budget
        return replace(limits.row_budget, limit=self._settings.max_response_rows, is_for_reading=True)

    def _is_index(self, symbol: str, mode: Mode) -> bool:
        return self._settings.is_index(symbol, mode)


def _counted(held: Iterable[tuple[str, Bars]], budget: RowBudget) -> Iterator[tuple[str, Bars]]:
    """The same series.

    :raises TooManyRowsError: when the budget is one for reading, and is exceeded.
    """
    read = 0
    for symbol, bars in held:
        read += len(bars)
        if budget.is_for_reading:
            budget.require(read)
        yield symbol, bars


def _in_thousands(bars: Bars, params: QueryParameters) -> Bars:
    """The bars with prices and averages divided by 1000, as the old API returned them; other values do not change."""
    decimals = market_of(params.mode).price_decimals + 3
    fields = (*INDICATORS, *(field for each in params.requested for field in each.fields))
    priced = [each.name for each in fields if each.scale is Scale.PRICE]
    averages = dict(zip(priced, _thousandth(bars.named(priced), decimals), strict=True))
    return replace(bars, prices=_thousandth(bars.prices, decimals)).with_indicators(averages)


def _thousandth(values: Float, decimals: int) -> Float:
    # One quotient in four is not the float nearest to the decimal: 15048.95 / 1000 is 15.048950000000001.
    return round_half_even(values / LEGACY_FACTOR, decimals)
