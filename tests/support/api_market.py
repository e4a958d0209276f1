"""A small part of the simulated market in both stores, for tests of the HTTP surface as a whole."""

from datetime import UTC, datetime
from pathlib import Path

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.providers.simulated.provider import SimulatedProvider
from tests.support.stores import Stores, environment

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
"""A Friday, 12:00 in Ho Chi Minh City."""
EXAMPLE_DAY = datetime(2024, 1, 31, tzinfo=UTC)
"""The date of the examples."""

TICKERS = {Mode.VN: ("VNINDEX", "VCB", "FPT", "HPG"), Mode.CRYPTO: ("BTC", "ETH")}
_DAY_S = 86_400
_DAYS = {Interval.DAILY: 1_100, Interval.HOURLY: 8, Interval.MINUTE: 1}


def fill(directory: Path) -> Settings:
    """The days since 2023, the hours of a week, and the minutes of two days: `EXAMPLE_DAY` and the day of `NOW`."""
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    for mode, tickers in TICKERS.items():
        provider = SimulatedProvider(mode, seed=1)
        for ticker in tickers:
            for interval in Interval:
                _fill_one(stores, provider, ticker, interval)
    stores.db_manager.close()
    return settings


def _fill_one(stores: Stores, provider: SimulatedProvider, ticker: str, interval: Interval) -> None:
    is_index = stores.settings.is_index(ticker, provider.mode)
    now, example = int(NOW.timestamp()), int(EXAMPLE_DAY.timestamp())
    bars = provider.fetch(ticker, interval, now - _DAYS[interval] * _DAY_S, now)
    if interval is Interval.MINUTE:
        bars = provider.fetch(ticker, interval, example, example + _DAY_S - 1).merge(bars)
    stores.save(ticker, enhance(bars, provider.mode, is_index=is_index), interval, provider.mode, now=NOW)
