"""The newest prices of a whole market: the last two days and the last minute of each ticker."""

from dataclasses import dataclass
from typing import NamedTuple

from stockapi.constants import SECONDS_PER_DAY
from stockapi.models.interval import Interval
from stockapi.models.limits import Limits
from stockapi.models.mode import Mode
from stockapi.models.query import Indicators, QueryParameters
from stockapi.models.window import LastOfEach
from stockapi.services.data_store import DataSource, DataStore


class Day(NamedTuple):
    """A daily bar; `time` in Unix seconds."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(slots=True)
class Newest:
    """The newest day of a ticker, the day before if there is one, and the time of its newest minute."""

    day: Day
    before: Day | None = None
    minute: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """By symbol in alphabetical order. `source`: the store that answered."""

    tickers: dict[str, Newest]
    source: DataSource


class Snapshots:
    """Answers the newest prices. It keeps no state between queries."""

    def __init__(self, data_store: DataStore) -> None:
        self._data_store = data_store

    def of_some(self, mode: Mode, symbols: tuple[str, ...], now: int, limits: Limits) -> Snapshot:
        """Those of the symbols that have daily bars. `now`: Unix seconds; later bars do not count.

        :raises DeadlineError, StoreError, TooManyRowsError: as `DataStore.get_data_smart_sqlite`.
        """
        days = self._data_store.get_data_smart_sqlite(_last(mode, Interval.DAILY, symbols, now, 2), limits)
        minutes = self._data_store.get_data_smart_sqlite(_last(mode, Interval.MINUTE, symbols, now, 1), limits)
        found = {}
        for symbol, bars in days.bars.items():
            columns = (bars.time, *bars.prices, bars.volume)
            rows = [Day(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
            minute = minutes.bars.get(symbol)
            before = rows[-2] if len(rows) > 1 else None
            found[symbol] = Newest(rows[-1], before, None if minute is None else int(minute.time[-1]))
        return Snapshot(found, DataSource.of_all([days.source, minutes.source]))

    def of_all(self, mode: Mode, now: int, limits: Limits) -> Snapshot:
        """Every ticker that has daily bars: the last bar of each, the one before, and the ledger of minutes.

        :raises DeadlineError, StoreError, TooManyRowsError: as `of_some`.
        """
        days, sources = self._days(mode, now, limits)
        found = {symbol: Newest(day) for symbol, day in days.items()}
        newest = max((day.time for day in days.values()), default=now)
        earlier, more = self._days(mode, newest - newest % SECONDS_PER_DAY - 1, limits)
        late = []
        for symbol, each in found.items():
            before = earlier.get(symbol)
            if before is not None and before.time == each.day.time:
                late.append(symbol)  # it did not trade on the newest day
            else:
                each.before = before
        rest = self.of_some(mode, tuple(late), now, limits) if late else None
        if rest is not None:
            found |= rest.tickers
        for symbol, time in self._data_store.get_last_times(mode, Interval.MINUTE, limits).items():
            if symbol in found:
                found[symbol].minute = time
        return Snapshot(found, DataSource.of_all([sources, more]))

    def _days(self, mode: Mode, end: int, limits: Limits) -> tuple[dict[str, Day], DataSource]:
        last = self._data_store.get_last_bars(LastOfEach(mode=mode, end=end, indicators=False), limits)
        bars = last.section.bars
        columns = (bars.time, *bars.prices, bars.volume)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {symbol: Day(*row) for symbol, row in zip(last.section.symbols, rows, strict=True)}, last.source


def _last(mode: Mode, interval: Interval, symbols: tuple[str, ...], end: int, count: int) -> QueryParameters:
    return QueryParameters(
        mode=mode, interval=interval, symbols=symbols, end=end, limit=count, indicators=Indicators.NONE
    )
