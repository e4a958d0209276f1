"""The first and last stored bar of each ticker, and the trading days between them that have no bar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stockapi.calc.gaps import Extent, Gap
from stockapi.markets import market_of
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.models.selection import Selection
from stockapi.models.series import SeriesKey
from stockapi.services.data_store.fallback import DataSource, Fallback
from stockapi.services.data_store.lag import Lag
from stockapi.services.data_store.query_cost import rows_of_bytes
from stockapi.services.sqlite_store import SqliteReader
from stockapi.services.stores import Stores


@dataclass(frozen=True, slots=True)
class TickerCoverage:
    """The number of bars, the times of the first and the last bar (Unix seconds), and the gaps, ascending."""

    first: int
    last: int
    count: int
    gaps: list[Gap]


@dataclass(frozen=True, slots=True)
class CoverageResult:
    """The coverage by symbol in alphabetical order, and the store that answered. Symbols without bars are left out."""

    tickers: dict[str, TickerCoverage]
    source: DataSource


class CoverageReader:
    """Answers what is stored. It only reads, and keeps no state between queries."""

    def __init__(self, stores: Stores) -> None:
        self._sqlite: SqliteReader = stores.sqlite_store
        self._csv = stores.csv_store
        self._fallback = Fallback(stores)
        self._lag = Lag(stores)
        self._renames = stores.renames

    def read(self, mode: Mode, interval: Interval, symbols: Sequence[str] | None, limits: Limits) -> CoverageResult:
        """The coverage of the requested tickers (None: all), from SQLite and CSV by the rules of `Fallback`.

        A gap consists of trading days of the market. Coins trade on every day of UTC.

        :raises DeadlineError, StoreError: as `Fallback.find`.
        """
        renamed = self._renames.of(mode).old(symbols)
        if not renamed or symbols is None:
            return self._read(mode, interval, symbols, limits)
        now = tuple(dict.fromkeys(renamed.get(symbol, symbol) for symbol in symbols))
        result = self._read(mode, interval, now, limits)
        each = {symbol: result.tickers.get(renamed.get(symbol, symbol)) for symbol in sorted(symbols)}
        return CoverageResult({symbol: own for symbol, own in each.items() if own is not None}, result.source)

    def _read(self, mode: Mode, interval: Interval, symbols: Sequence[str] | None, limits: Limits) -> CoverageResult:
        selection, lag = Selection(mode, interval, symbols), self._lag
        found = self._fallback.find(
            mode,
            symbols,
            from_sqlite=lambda: self._sqlite.extents(
                selection, deadline=limits.deadline, comparison=lag.checked_within(limits)
            ),
            from_csv=lambda missing: self._from_csv(mode, interval, missing, limits),
        )
        return CoverageResult(_covered(mode, found.series, limits), found.source)

    def _from_csv(self, mode: Mode, interval: Interval, symbols: Sequence[str], limits: Limits) -> dict[str, Extent]:
        extents: dict[str, Extent] = {}
        limits.admit(rows_of_bytes(self._csv.work_bytes(mode, interval, symbols, whole=True)))
        for symbol in limits.within(symbols, "reading CSV files"):
            bars = self._csv.read(SeriesKey(mode, symbol, interval)).bars
            if len(bars):
                extents[symbol] = Extent.of_times(bars.time)
        return extents


def _covered(mode: Mode, extents: Mapping[str, Extent], limits: Limits) -> dict[str, TickerCoverage]:
    if not extents:
        return {}
    first, last = min(each.first for each in extents.values()), max(each.last for each in extents.values())
    expected = market_of(mode).calendar.trading_days(first, last)
    return {
        symbol: TickerCoverage(each.first, each.last, each.count, each.gaps(expected))
        for symbol, each in limits.within(extents.items(), "looking for gaps")
    }
