"""Binance over real HTTP: what it is asked, and how long histories page."""

from pathlib import Path
from typing import Any

import pytest

from stockapi.errors import (
    BadPayloadError,
    UnknownSymbolError,
)
from stockapi.models import Interval, Mode
from stockapi.providers.live.binance import BinanceProvider
from tests.fake_upstream import FakeTime, FakeUpstream
from tests.support.live_sources import DAY, MIDNIGHT, NAMES, NOW, MakeProvider, fetch, same, truth


def test_binance_is_asked_for_the_pair_with_the_dollar(make: MakeProvider, upstream: FakeUpstream) -> None:
    make("binance").fetch("BTC", Interval.HOURLY, MIDNIGHT - 1, NOW)
    assert upstream.requests[0].params == {
        "symbol": "BTCUSDT",
        "interval": "1h",
        "startTime": str(MIDNIGHT * 1_000),
        "endTime": str(NOW * 1_000),
        "limit": "1000",
    }
    assert "Authorization" not in upstream.requests[0].headers


@pytest.mark.parametrize(("ticker", "interval", "days"), [("BTC", Interval.DAILY, 2_900), ("ETH", Interval.MINUTE, 2)])
def test_binance_pages_forward(
    ticker: str, interval: Interval, days: int, make: MakeProvider, upstream: FakeUpstream
) -> None:
    bars = make("binance").fetch(ticker, interval, NOW - days * DAY, NOW)
    assert same(bars, upstream.market.bars(Mode.CRYPTO, ticker, interval, NOW - days * DAY, NOW))
    assert len(upstream.requests) == 3
    starts = [int(seen.params["startTime"]) for seen in upstream.requests]
    assert starts[1] == int(bars.time[999] + 1) * 1_000


def test_binance_begins_where_a_coin_was_listed(make: MakeProvider, upstream: FakeUpstream) -> None:
    provider = make("binance")
    bars = provider.fetch("SOL", Interval.DAILY, provider.history_start(Interval.DAILY, NOW), NOW)
    assert (bars.time[0], len(bars)) == (MIDNIGHT - 40 * DAY, 41)
    assert len(upstream.requests) == 1


def test_binance_that_sends_the_same_page_again_is_refused(
    make: MakeProvider, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = NOW - 2_900 * DAY
    oldest = truth(upstream, "binance", seconds=2_900 * DAY)
    monkeypatch.setattr(upstream.market, "bars", lambda *_: oldest)
    with pytest.raises(BadPayloadError, match=r"^Binance BTC 1D: a page from [0-9]+ on holds only older bars$"):
        make("binance").fetch("BTC", Interval.DAILY, start, NOW)
    assert len(upstream.requests) == 2


def test_coins_of_the_built_in_list_without_a_pair_are_not_asked_for(make: MakeProvider, tmp_path: Path) -> None:
    without = {"HYPE", "LEO", "MNT", "XMR", "HNT", "BSV", "BTT"}
    assert without.isdisjoint(make("binance").tickers())
    assert {"BTC", "GRAM", "POL", "BTTC", "CC"} <= set(make("binance").tickers()), "CC: it is not known whether"
    assert without <= set(make("cryptocompare").tickers())
    (tmp_path / "coins.json").write_text('["XMR", "BTC"]')
    assert make("binance", CRYPTO_LIST_FILE=str(tmp_path / "coins.json")).tickers() == ["XMR", "BTC"]


@pytest.mark.parametrize("source", ["binance", "cryptocompare"])
def test_a_coin_that_the_source_does_not_have_is_reported_once_a_day(
    source: str, make: MakeProvider, upstream: FakeUpstream, clock: FakeTime, tmp_path: Path
) -> None:
    file = tmp_path / "coins.json"
    file.write_text('["BTC", "LEO", "ETH"]')
    provider = make(source, CRYPTO_LIST_FILE=str(file))
    assert provider.tickers() == ["BTC", "LEO", "ETH"]
    with pytest.raises(UnknownSymbolError, match=rf"^{NAMES[source]} LEO 1D: not supported, "):
        fetch(provider, ticker="LEO")
    assert provider.tickers() == ["BTC", "ETH"]
    clock.now += DAY - 1
    assert provider.tickers() == ["BTC", "ETH"]
    clock.now += 1
    assert provider.tickers() == ["BTC", "LEO", "ETH"]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("used", "wait_s"),
    [(1, None), (4_799, None), (4_800, 60 - NOW % 60), (6_000, 60 - NOW % 60), ("x", None), ("", None)],
)
def test_binance_is_left_alone_until_the_minute_is_over_when_it_is_used_up(
    used: Any, wait_s: float | None, make: MakeProvider, upstream: FakeUpstream, clock: FakeTime
) -> None:
    upstream.used_weight = used
    provider = make("binance")
    fetch(provider)
    upstream.used_weight = None
    fetch(provider)
    assert clock.waits == ([] if wait_s is None else [wait_s])


def test_a_row_of_tomorrow_ends_no_history(
    make: MakeProvider, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = truth(upstream, "binance", Interval.MINUTE, 2 * DAY)
    asked = []

    def ask(self: object, ticker: str, interval: Interval, start: int, end: int, about: str) -> list[list[float]]:
        asked.append(start)
        rows = [[int(time) * 1_000, 1.0, 1.0, 1.0, 1.0, 1.0] for time in whole.between(start, None).time[:999]]
        return [*rows, [(NOW + DAY) * 1_000, 1.0, 1.0, 1.0, 1.0, 1.0]]

    monkeypatch.setattr(BinanceProvider, "_ask", ask)
    bars = make("binance").fetch("BTC", Interval.MINUTE, NOW - 2 * DAY, NOW)
    assert bars.time.tolist() == whole.time.tolist()
    assert len(asked) > 2
