"""`python -m tests.bench.market DIR [--minutes N]`: a market of the real size, in both stores; made once and kept.

287 Vietnamese tickers and 100 coins: ten years of days (nine of coins), two years of hours (the last 5,000 of coins),
and the last minutes of two years of the Vietnamese ones, 24 million rows in all unless --minutes says otherwise. The
same bars whenever and wherever it is made. A directory that is complete already is left alone.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.markets.tickers import tickers_for
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_range_end
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.csv_enhancer import save_enhanced_csv_and_sqlite
from stockapi.services.stores import Stores
from tests.bench.machine import environment

FULL_MINUTES: Final = 24_000_000
QUICK_MINUTES: Final = 2_400_000
SIZES: Final = {Mode.VN: 287, Mode.CRYPTO: 100}
LAST_DAY: Final = "2025-12-31"
END: Final = parse_range_end(LAST_DAY)
DAYS: Final = {Interval.DAILY: 10 * 365, Interval.HOURLY: 2 * 365, Interval.MINUTE: 2 * 365}
MOST_HOURS: Final = {Mode.VN: 1 << 30, Mode.CRYPTO: 5_000}
_NOTE: Final = "market.json"


class WideMarket:
    """A provider with as many tickers as the real market: simulated ones of several seeds, under the real names."""

    def __init__(self, mode: Mode, size: int) -> None:
        self.name = "simulated"
        self.mode = mode
        self.is_back_adjusted = False
        base = SimulatedProvider(mode, 1).tickers()
        names = list(dict.fromkeys([*base, *tickers_for(mode, Settings.from_mapping({}))]))[:size]
        assert len(names) == size, f"only {len(names)} names of {mode.value} are known"
        # Beyond the simulated tickers the stocks come again, with another seed; indices do not.
        again = base[2:] if mode is Mode.VN else base
        extra = [(again[i % len(again)], 2 + i // len(again)) for i in range(max(0, size - len(base)))]
        self._sources = dict(zip(names, [*[(ticker, 1) for ticker in base], *extra], strict=False))
        self._markets = {seed: SimulatedProvider(mode, seed) for _, seed in self._sources.values()}

    def tickers(self) -> list[str]:
        return list(self._sources)

    def history_start(self, interval: Interval, now: int) -> int:
        return now - DAYS[interval] * SECONDS_PER_DAY

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        source, seed = self._sources[ticker]
        return self._markets[seed].fetch(source, interval, start, end)


@dataclass(frozen=True, slots=True)
class Market:
    """A directory with both stores, and its rows by interval."""

    directory: Path
    minutes: int
    rows: dict[str, int]
    build_seconds: float

    @classmethod
    def load(cls, directory: Path) -> "Market":
        """:raises FileNotFoundError: when there is none, or one that was not finished."""
        note = json.loads((directory / _NOTE).read_text())
        return cls(directory, note["minutes"], note["rows"], note["build_seconds"])

    def describe(self) -> str:
        counts = ", ".join(f"{rows:,} {label}" for label, rows in self.rows.items())
        return f"{counts} bars of 287 Vietnamese tickers and 100 coins, generated"


def build(directory: Path, minutes: int, share_of_tickers: float = 1.0) -> Market:
    """The market in `directory`, made if it is not there. Fewer tickers for a share of them, each as long.

    :raises SystemExit: when the directory holds another one.
    """
    try:
        market = Market.load(directory)
    except FileNotFoundError:
        return _make(directory, minutes, share_of_tickers)
    if market.minutes != minutes:
        sys.exit(f"bench: {directory} holds a market of {market.minutes} minutes; name another directory or remove it")
    _bring_up_to_date(directory)
    return market


def _bring_up_to_date(directory: Path) -> None:
    """As a worker of a newer version does when it starts."""
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    for mode in Mode:
        stores.db_manager.upgrade(mode)
        stores.sqlite_store.fill_copies(mode)
        stores.db_manager.checkpoint(mode, "TRUNCATE")
    stores.close()


def _make(directory: Path, minutes: int, share: float) -> Market:
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    started = time.perf_counter()
    rows = {interval.label: 0 for interval in Interval}
    for mode in Mode:
        stores.db_manager.upgrade(mode)
        provider = WideMarket(mode, max(1, round(SIZES[mode] * share)))
        for ticker, interval, bars in _series(provider, minutes // SIZES[Mode.VN]):
            enhanced = enhance(bars, mode, is_index=settings.is_index(ticker, mode))
            now = datetime.fromtimestamp(END, UTC)
            save_enhanced_csv_and_sqlite(stores, SeriesKey(mode, ticker, interval), enhanced, now, rewrite_all=True)
            rows[interval.label] += len(bars)
            if sys.stderr.isatty():
                sys.stderr.write(f"\r{mode.value} {ticker:<8}{sum(rows.values()):>12,} rows")
        stores.db_manager.checkpoint(mode, "TRUNCATE")
    stores.close()
    market = Market(directory, minutes, rows, time.perf_counter() - started)
    note = {"minutes": minutes, "rows": rows, "build_seconds": round(market.build_seconds, 1)}
    (directory / _NOTE).write_text(json.dumps(note))
    return market


def _series(provider: WideMarket, minutes_each: int) -> Iterator[tuple[str, Interval, Bars]]:
    most = {Interval.HOURLY: MOST_HOURS[provider.mode], Interval.MINUTE: minutes_each}
    for ticker in provider.tickers():
        for interval in Interval:
            if provider.mode is Mode.CRYPTO and interval is Interval.MINUTE:
                continue
            bars = provider.fetch(ticker, interval, provider.history_start(interval, END), END)
            yield ticker, interval, bars.tail(most.get(interval, len(bars)))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.market", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--minutes", type=int, default=FULL_MINUTES, help="minute bars in all (default 24 million)")
    arguments = parser.parse_args()
    market = build(arguments.directory, arguments.minutes)
    print(f"{market.describe()}, in {market.build_seconds:.0f} s")


if __name__ == "__main__":
    main()
