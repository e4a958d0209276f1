"""A market of which every version is known, to the last digit: what the stores and every answer are checked against.

Version v of a series has v bars more than version 0, and gives its newest bars other values than version v - 1 did, as
a source that corrects what it has sent. A bar says by its values in which version it was changed last, so an answer
that is cut off, torn, or made of two versions equals none of them.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from stockapi.calc.aggregator import aggregate, bucket_bounds
from stockapi.calc.indicators import enhance
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS, PRICE_FIELDS
from stockapi.models.interval import AggregatedInterval, AnyInterval

TICKERS = ("AAA", "BBB")
LARGE = "LARGE"
"""A ticker of 40,000 minutes, for what needs megabytes."""

FIRST = {Interval.DAILY: 946_857_600, Interval.HOURLY: 1_577_836_800, Interval.MINUTE: 1_704_067_200}
"""When the series begin, 2000-01-03, 2020-01-01, 2024-01-01: thousands of versions end before today."""
AT_FIRST = {Interval.DAILY: 250, Interval.HOURLY: 300, Interval.MINUTE: 600}
"""Bars of version 0."""
REVISED = {Interval.DAILY: 15, Interval.HOURLY: 40, Interval.MINUTE: 200}
"""How many of the newest bars each version changes; fewer than the overlap that a resume asks for again."""
MEMORY = 64

Series = tuple[str, Interval]
Row = dict[str, Any]


def all_series(tickers: Sequence[str] = TICKERS) -> list[Series]:
    return [(ticker, interval) for ticker in tickers for interval in Interval]


def version_of(ticker: str, interval: Interval, last_time: int) -> int:
    """Which version ends with the bar of that time."""
    return (last_time - FIRST[interval]) // interval.seconds + 1 - _at_first(ticker, interval)


def versions_of(ticker: str, interval: AnyInterval, last_time: int) -> range:
    """Which versions end with the bar of that time: of an aggregated one, all that end within its bucket."""
    if isinstance(interval, Interval):
        newest = version_of(ticker, interval, last_time)
        return range(max(0, newest), newest + 1)
    base = interval.base
    _, end = bucket_bounds(last_time, interval, Mode.VN)
    return range(max(0, version_of(ticker, base, last_time)), version_of(ticker, base, end - base.seconds) + 1)


def unchanging(ticker: str, interval: Interval) -> tuple[int, int]:
    """Times of the first and of the last bar that are the same in every version."""
    return FIRST[interval], FIRST[interval] + (_at_first(ticker, interval) - REVISED[interval] - 1) * interval.seconds


def as_sent(ticker: str, interval: Interval, version: int) -> Bars:
    """What the source has of a series in that version, without indicators."""
    count = _at_first(ticker, interval) + version
    index = np.arange(count, dtype=np.int64)
    changed = np.clip(np.minimum(version, index - (_at_first(ticker, interval) - REVISED[interval])), 0, None)
    close = 10_000.0 + (index * 7_919 + changed * 104_729 + len(ticker) * ord(ticker[0])) % 5_000
    prices = np.vstack([close - changed % 7, close + 10, close - 10, close])
    return Bars.of(FIRST[interval] + index * interval.seconds, prices, 1_000 + changed)


class Truth:
    """What the stores must hold of each version, indicators included, and what the API must say of it."""

    def __init__(self) -> None:
        self._bars: OrderedDict[tuple[str, AnyInterval, int], Bars] = OrderedDict()

    def bars(self, ticker: str, interval: AnyInterval, version: int) -> Bars:
        key = (ticker, interval, version)
        bars = self._bars.get(key)
        if bars is None:
            bars = as_sent(ticker, interval.base, version)
            if isinstance(interval, AggregatedInterval):
                bars = aggregate(bars, interval, Mode.VN)
            bars = self._bars[key] = enhance(bars, Mode.VN, is_index=False)
            while len(self._bars) > MEMORY:
                self._bars.popitem(last=False)
        return bars

    def rows(
        self,
        ticker: str,
        interval: AnyInterval,
        version: int,
        count: int | None,
        start: int | None = None,
        end: int | None = None,
    ) -> list[Row]:
        """The bars as the API gives them: of those from `start` to `end` (Unix seconds) the newest `count`."""
        bars = self.bars(ticker, interval, version).between(start, end)
        return [_row(ticker, interval, bar) for bar in _each(bars if count is None else bars.tail(count))]


class VersionedProvider:
    """The source of this market. It knows a version, whatever the clock says.

    `listed`: a file that names further tickers, once it is there.
    """

    name = "versioned"
    mode = Mode.VN
    is_back_adjusted = False

    def __init__(self, tickers: Sequence[str], listed: Path) -> None:
        self.version = 0
        self._tickers = list(tickers)
        self._listed = listed

    def tickers(self) -> list[str]:
        return [*self._tickers, *(self._listed.read_text().split() if self._listed.exists() else [])]

    def history_start(self, interval: Interval, now: int) -> int:
        return FIRST[interval]

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        return as_sent(ticker, interval, self.version).between(start, end)


def not_as_in(truth: Truth, series: Series, bars: Bars, least: int) -> int:
    """How many bars are missing, superfluous or not those of the version that `bars` ends with, at least `least`."""
    version = max(least, version_of(*series, int(bars.time[-1]))) if len(bars) else least
    expected = truth.bars(*series, version)
    both, of_bars, of_expected = np.intersect1d(bars.time, expected.time, return_indices=True)
    equal = len(both) - int(bars.take(of_bars).differing_from(expected.take(of_expected)).sum())
    return max(len(expected), len(bars)) - equal


@dataclass(frozen=True, slots=True)
class _Bar:
    time: int
    prices: list[float]
    volume: int
    indicators: list[float]


def _each(bars: Bars) -> list[_Bar]:
    columns = (bars.time.tolist(), bars.prices.T.tolist(), bars.volume.tolist(), bars.indicators.T.tolist())
    return [_Bar(*values) for values in zip(*columns, strict=True)]


def _row(ticker: str, interval: AnyInterval, bar: _Bar) -> Row:
    form = "%Y-%m-%dT%H:%M:%S" if interval.is_intraday else "%Y-%m-%d"
    row: Row = {"time": datetime.fromtimestamp(bar.time, UTC).strftime(form)}
    row |= dict(zip(PRICE_FIELDS, bar.prices, strict=True))
    row |= {"volume": bar.volume, "symbol": ticker}
    return row | {name: value for name, value in zip(INDICATOR_FIELDS, bar.indicators, strict=True) if value == value}


def _at_first(ticker: str, interval: Interval) -> int:
    return 40_000 if (ticker, interval) == (LARGE, Interval.MINUTE) else AT_FIRST[interval]
