"""The live sources in front of the fake upstream, and what they should answer."""

from collections.abc import Callable
from functools import partial

from stockapi.config import Settings
from stockapi.models import Bars, Interval, Mode
from stockapi.providers.base import Provider
from stockapi.providers.live import binance, cryptocompare, vci
from stockapi.providers.live.timing import Timing
from stockapi.providers.live.udf import BROKERS, UdfProvider
from tests.fake_upstream import FakeUpstream

DAY = 86_400
NOW = 1_772_427_617
"""2026-03-02T05:00:17Z, a Monday: noon in Ho Chi Minh City, after the morning's session."""
MIDNIGHT = NOW // DAY * DAY
UDF = tuple(broker.name for broker in BROKERS)
TICKERS = {"vci": "VCB", "binance": "BTC", "cryptocompare": "BTC", **dict.fromkeys(UDF, "VCB")}
MODES = {"vci": Mode.VN, "binance": Mode.CRYPTO, "cryptocompare": Mode.CRYPTO, **dict.fromkeys(UDF, Mode.VN)}
NAMES = {
    "vci": "VCI",
    "binance": "Binance",
    "cryptocompare": "CryptoCompare",
    **{broker.name: broker.title for broker in BROKERS},
}
PROVIDERS: dict[str, Callable[[Settings, Timing], Provider]] = {
    **{broker.name: partial(UdfProvider, broker) for broker in BROKERS},
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
