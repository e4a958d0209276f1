"""The three live sources in front of the fake upstream, and what they should answer."""

from collections.abc import Callable

from stockapi.models import Bars, Interval, Mode
from stockapi.providers.base import Provider
from stockapi.providers.live import binance, cryptocompare, vci
from tests.fake_upstream import FakeUpstream

DAY = 86_400
NOW = 1_772_427_617
"""2026-03-02T05:00:17Z, a Monday: noon in Ho Chi Minh City, after the morning's session."""
MIDNIGHT = NOW // DAY * DAY
TICKERS = {"vci": "VCB", "binance": "BTC", "cryptocompare": "BTC"}
MODES = {"vci": Mode.VN, "binance": Mode.CRYPTO, "cryptocompare": Mode.CRYPTO}
NAMES = {"vci": "VCI", "binance": "Binance", "cryptocompare": "CryptoCompare"}
PROVIDERS = {
    "vci": vci.VciProvider,
    "binance": binance.BinanceProvider,
    "cryptocompare": cryptocompare.CryptoCompareProvider,
}
WINDOWS = {Interval.DAILY: 60 * DAY, Interval.HOURLY: 10 * DAY, Interval.MINUTE: DAY // 2}
"""Each within one page of every source."""

MakeProvider = Callable[..., Provider]


def fetch(provider: Provider, interval: Interval = Interval.DAILY, ticker: str | None = None) -> Bars:
    return provider.fetch(ticker or TICKERS[provider.name], interval, NOW - WINDOWS[interval], NOW)


def truth(upstream: FakeUpstream, source: str, interval: Interval = Interval.DAILY, seconds: int | None = None) -> Bars:
    """What the market behind the fake upstream knows of that window."""
    start = NOW - (WINDOWS[interval] if seconds is None else seconds)
    return upstream.market.bars(MODES[source], TICKERS[source], interval, start, NOW)


def same(bars: Bars, expected: Bars) -> bool:
    return bars.equals(expected) and bars.volume.dtype == expected.volume.dtype


NO_BARS = "an answer without bars: an unknown ticker, or we are being blocked"
