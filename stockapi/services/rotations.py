"""The bars that relative rotation is computed from: the days that tickers and their benchmark have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from stockapi.calc.rotation import common_sessions
from stockapi.errors import NotFoundError
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.timestamps import format_time
from stockapi.services.data_store import DataSource, DataStore, QueryResult

_WIDER: Final = 4
"""How many times as many sessions of the benchmark are looked through for a ticker that lacks some of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """The last `count` common sessions of the benchmark and each ticker of the market, up to `end` (Unix seconds)."""

    mode: Mode
    benchmark: str
    end: int
    count: int


@dataclass(frozen=True, slots=True)
class CommonSessions:
    """Bars by symbol in alphabetical order, each only of sessions that the benchmark has too; `count` of them at least
    where there are so many.

    `benchmark`: all its bars. `source`: the store that answered. `renamed`: the benchmark's old name, if it was asked
    for by that, with the new one.
    """

    series: Mapping[str, Bars]
    benchmark: Bars
    source: DataSource
    renamed: Mapping[str, str]


class Rotations:
    """It keeps no state between queries."""

    def __init__(self, data_store: DataStore) -> None:
        self._data_store = data_store

    def common_sessions(self, wanted: Sessions, limits: Limits) -> CommonSessions:
        """:raises NotFoundError: when there is no bar of the benchmark.
        :raises DeadlineError, StoreError, TooManyRowsError: as `DataStore.get_data_smart_sqlite`.
        """
        found = self._read(wanted, (wanted.benchmark,), 0, limits)
        benchmark = found.bars.get(wanted.benchmark)
        if benchmark is None:
            raise NotFoundError(
                f"there are no daily bars of the benchmark {wanted.benchmark} up to "
                f"{format_time(wanted.end, Interval.DAILY)} (mode {wanted.mode.value}); "
                "allowed: a symbol, and days since its first bar"
            )
        sources, series = [found.source], dict[str, Bars]()
        lacking: tuple[str, ...] | None = None  # every ticker
        count = wanted.count
        while lacking is None or lacking:
            first = max(0, len(benchmark) - count)
            result = self._read(wanted, lacking, int(benchmark.time[first]), limits)
            sources.append(result.source)
            series |= {symbol: common_sessions(bars, benchmark) for symbol, bars in result.bars.items()}
            # A ticker with holes has the sessions that it still needs before these, if at all.
            lacking = tuple(symbol for symbol in result.bars if first and len(series[symbol]) < wanted.count)
            count *= _WIDER
        kept = {symbol: series[symbol] for symbol in sorted(series) if len(series[symbol])}
        return CommonSessions(kept, benchmark, DataSource.of_all(sources), found.renamed)

    def _read(self, wanted: Sessions, symbols: tuple[str, ...] | None, start: int, limits: Limits) -> QueryResult[Bars]:
        return self._data_store.get_data_smart_sqlite(
            QueryParameters(
                mode=wanted.mode,
                symbols=symbols,
                start=start,
                end=wanted.end,
                limit=None,
                indicators=Indicators.NONE,
            ),
            limits,
        )
