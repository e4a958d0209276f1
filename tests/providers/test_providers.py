"""The three live sources over real HTTP: what they ask, what becomes of every answer, and how long histories page."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stockapi.config import Settings
from stockapi.errors import (
    BadPayloadError,
    ConfigError,
    NoDataError,
    ProviderBannedError,
    ProviderDisabledError,
    ProviderError,
    ProviderStoppedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    UnknownSymbolError,
)
from stockapi.models import Bars, Interval, Mode
from stockapi.providers.base import Provider
from stockapi.providers.live import binance, cryptocompare, vci
from stockapi.providers.registry import provider_for
from tests.fake_upstream import FakeTime, FakeUpstream, Fault, Reply

DAY = 86_400
NOW = 1_772_427_617
"""2026-03-02T05:00:17Z, a Monday: noon in Ho Chi Minh City, after the morning's session."""
MIDNIGHT = NOW // DAY * DAY

SOURCES = ("vci", "binance", "cryptocompare")
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


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    with FakeUpstream(NOW, listed={"SOL": MIDNIGHT - 40 * DAY, "FPT": MIDNIGHT - 40 * DAY}) as upstream:
        yield upstream


@pytest.fixture
def upstream(server: FakeUpstream) -> FakeUpstream:
    server.repair()
    server.forget_requests()
    server.now = NOW
    server.used_weight = None
    return server


@pytest.fixture
def clock() -> FakeTime:
    return FakeTime(NOW)


@pytest.fixture
def make(upstream: FakeUpstream, clock: FakeTime) -> MakeProvider:
    """A source by name, in front of the fake upstream; with settings."""

    def make(source: str, **variables: str) -> Provider:
        settings = Settings.from_mapping(upstream.variables() | {"VCI_REQUESTS_PER_MINUTE": "1000"} | variables)
        return PROVIDERS[source](settings, clock.timing())

    return make


def fetch(provider: Provider, interval: Interval = Interval.DAILY, ticker: str | None = None) -> Bars:
    return provider.fetch(ticker or TICKERS[provider.name], interval, NOW - WINDOWS[interval], NOW)


def truth(upstream: FakeUpstream, source: str, interval: Interval = Interval.DAILY, seconds: int | None = None) -> Bars:
    """What the market behind the fake upstream knows of that window."""
    start = NOW - (WINDOWS[interval] if seconds is None else seconds)
    return upstream.market.bars(MODES[source], TICKERS[source], interval, start, NOW)


def same(bars: Bars, expected: Bars) -> bool:
    return bars.equals(expected) and bars.volume.dtype == expected.volume.dtype


# A source that works


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("source", SOURCES)
def test_a_fetch_is_what_the_market_knows(
    source: str, interval: Interval, make: MakeProvider, upstream: FakeUpstream
) -> None:
    bars = fetch(make(source), interval)
    expected = truth(upstream, source, interval)
    assert len(expected) >= 30
    assert same(bars, expected)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("source", SOURCES)
def test_the_forming_bar_is_included_and_grows(source: str, make: MakeProvider, upstream: FakeUpstream) -> None:
    provider = make(source)
    early, late = NOW, NOW + 4 * 3_600
    morning = provider.fetch(TICKERS[source], Interval.DAILY, MIDNIGHT, early)
    assert morning.time.tolist() == [MIDNIGHT]
    upstream.now = late
    provider = PROVIDERS[source](Settings.from_mapping(upstream.variables()), FakeTime(late).timing())
    evening = provider.fetch(TICKERS[source], Interval.DAILY, MIDNIGHT, late)
    assert evening.time.tolist() == [MIDNIGHT]
    assert evening.volume[0] > morning.volume[0]


@pytest.mark.parametrize("source", SOURCES)
def test_what_lies_in_the_future_is_left_out(source: str, make: MakeProvider, upstream: FakeUpstream) -> None:
    upstream.now = NOW + 10 * DAY
    bars = make(source).fetch(TICKERS[source], Interval.DAILY, NOW - 20 * DAY, NOW + 10 * DAY)
    assert bars.time[-1] == MIDNIGHT


@pytest.mark.parametrize("source", SOURCES)
def test_a_window_without_a_bar_is_no_error(source: str, make: MakeProvider) -> None:
    # Between two hours; and, for VN, at night.
    assert len(make(source).fetch(TICKERS[source], Interval.HOURLY, MIDNIGHT + 1_000, MIDNIGHT + 2_000)) == 0


@pytest.mark.parametrize("source", SOURCES)
def test_capabilities(source: str, make: MakeProvider) -> None:
    provider = make(source)
    assert (provider.name, provider.mode) == (source, MODES[source])
    assert provider.is_back_adjusted is (source == "vci")


@pytest.mark.parametrize(
    ("source", "interval", "start"),
    [
        ("vci", Interval.DAILY, 1_420_070_400),  # 2015-01-01
        ("vci", Interval.HOURLY, 1_693_526_400),  # 2023-09-01
        ("vci", Interval.MINUTE, 1_693_526_400),
        ("binance", Interval.DAILY, 1_502_928_000),  # 2017-08-17
        ("binance", Interval.HOURLY, NOW - 732 * DAY),
        ("binance", Interval.MINUTE, NOW - 90 * DAY),
        ("cryptocompare", Interval.DAILY, 1_279_324_800),  # 2010-07-17
        ("cryptocompare", Interval.HOURLY, NOW - 732 * DAY),
        ("cryptocompare", Interval.MINUTE, NOW - 7 * DAY),
    ],
)
def test_where_a_first_download_begins(source: str, interval: Interval, start: int, make: MakeProvider) -> None:
    assert make(source).history_start(interval, NOW) == start


@pytest.mark.parametrize(
    ("source", "variable", "before", "after", "expected"),
    [
        ("vci", "TICKER_GROUPS_FILE", {"A": ["VCB", "FPT"]}, {"A": ["VCB", "FPT"], "B": ["FPT", "HPG"]}, "VCB FPT HPG"),
        ("binance", "CRYPTO_LIST_FILE", ["BTC"], ["ETH", "BTC"], "ETH BTC"),
        ("cryptocompare", "CRYPTO_LIST_FILE", ["BTC"], ["ETH", "BTC"], "ETH BTC"),
    ],
)
def test_new_entries_of_the_list_are_found_without_a_restart(
    source: str, variable: str, before: object, after: object, expected: str, make: MakeProvider, tmp_path: Path
) -> None:
    file = tmp_path / "list.json"
    file.write_text(json.dumps(before))
    provider = make(source, **{variable: str(file)})
    assert provider.tickers() == expected.split()[:2] if source == "vci" else ["BTC"]
    file.write_text(json.dumps(after))
    assert provider.tickers() == expected.split()
    file.write_text("{")
    with pytest.raises(ConfigError, match=variable):
        provider.tickers()


# What is asked


def test_vci_is_asked_for_more_bars_than_there_can_be(make: MakeProvider, upstream: FakeUpstream) -> None:
    provider = make("vci")
    # Ten weekdays, Monday to Friday of the week after.
    start, end = MIDNIGHT - 14 * DAY, MIDNIGHT - 3 * DAY
    for interval in Interval:
        provider.fetch("VCB", interval, start, end)
    assert [seen.params for seen in upstream.requests] == [
        {"timeFrame": frame, "symbols": ["VCB"], "to": end + DAY, "countBack": count}
        for frame, count in (("ONE_DAY", 10 + 100), ("ONE_HOUR", 65 + 100), ("ONE_MINUTE", 3_900 + 100))
    ]


def test_vci_is_asked_like_a_browser_asks(make: MakeProvider, upstream: FakeUpstream) -> None:
    fetch(make("vci"))
    headers = upstream.requests[0].headers
    assert headers["User-Agent"].startswith("Mozilla/5.0")
    assert headers["Origin"] == "https://trading.vietcap.com.vn"
    assert headers["Referer"] == "https://trading.vietcap.com.vn/"


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


def test_cryptocompare_is_asked_with_the_key(make: MakeProvider, upstream: FakeUpstream) -> None:
    make("cryptocompare").fetch("BTC", Interval.HOURLY, MIDNIGHT, NOW)
    assert upstream.requests[0].params == {
        "fsym": "BTC",
        "tsym": "USD",
        "tryConversion": "false",
        "toTs": str(NOW),
        "limit": "6",
    }
    assert upstream.requests[0].headers["Authorization"] == "Apikey a-key-of-the-fake-upstream"


# Rows that are not as they should be


def without_every_third(bars: Bars) -> Bars:
    return bars.take(np.arange(len(bars)) % 3 != 1)


BAD_ROWS = [
    Fault.NULLS,
    Fault.NULL_TIMES,
    Fault.NANS,
    Fault.NAN_TEXTS,
    Fault.INFINITIES,
    Fault.BOOLEANS,
    Fault.NEGATIVES,
]


@pytest.mark.parametrize("fault", BAD_ROWS, ids=lambda fault: fault.name)
@pytest.mark.parametrize("source", SOURCES)
def test_bad_rows_are_dropped_and_counted_and_good_ones_kept(
    source: str, fault: Fault, make: MakeProvider, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.fail(fault)
    with caplog.at_level(logging.WARNING):
        bars = fetch(make(source))
    assert 20 < len(bars) < len(truth(upstream, source)) * 0.8
    # Which third is missing depends on where the answer began, but all that is there is true.
    expected = truth(upstream, source)
    assert same(bars, expected.take(np.isin(expected.time, bars.time)))
    (record,) = caplog.records
    series = f"{NAMES[source]} {TICKERS[source]} 1D"
    assert record.getMessage().startswith(f'event=rows_dropped series="{series}" rows=')


@pytest.mark.parametrize(
    "fault", [Fault.DUPLICATES, Fault.DISORDER, Fault.STRINGS, Fault.OUTSIDE], ids=lambda fault: fault.name
)
@pytest.mark.parametrize("source", SOURCES)
def test_what_can_be_put_right_is(
    source: str, fault: Fault, make: MakeProvider, upstream: FakeUpstream, caplog: pytest.LogCaptureFixture
) -> None:
    upstream.fail(fault)
    with caplog.at_level(logging.WARNING):
        assert same(fetch(make(source)), truth(upstream, source))
    assert caplog.records == []


def test_fractions_of_shares_are_rounded_fractions_of_coins_kept(make: MakeProvider, upstream: FakeUpstream) -> None:
    for source in SOURCES:
        upstream.fail(Fault.FRACTIONS)
        more = 1 if source == "vci" else 0.7
        assert fetch(make(source)).volume.tolist() == (truth(upstream, source).volume + more).tolist()


# Payloads that are bad as a whole, and failures

NO_BARS = "an answer without bars: an unknown ticker, or we are being blocked"

# fault, its details, error, what the message says after source and ticker (a regular expression)
FAILURES_OF_ALL: list[tuple[Fault, dict[str, Any], type[ProviderError], str]] = [
    (Fault.TOO_MANY_REQUESTS, {}, RateLimitedError, r"too many requests \(429\)"),
    (Fault.BANNED, {"retry_after": "9"}, ProviderBannedError, r"turned away \(418\)"),
    (Fault.FORBIDDEN, {}, ProviderBannedError, r"turned away \(403\)"),
    (Fault.UNAVAILABLE, {}, ProviderUnavailableError, "answered 503"),
    (Fault.NOT_FOUND, {}, BadPayloadError, "answered 404, not 200"),
    (Fault.REDIRECT, {}, BadPayloadError, "answered 302, a redirect; .*base URL"),
    (Fault.RESET, {}, ProviderUnavailableError, "Connection reset by peer"),
    (Fault.SLOW, {"seconds": 0.2}, ProviderTimeoutError, "no answer in time .*"),
    (Fault.CUT_OFF, {}, ProviderUnavailableError, "IncompleteRead.*"),
    (Fault.HALF_JSON, {}, BadPayloadError, "answered 200 with [0-9]+ bytes, no JSON"),
    (Fault.NO_JSON, {}, BadPayloadError, "answered 200 with 37 bytes, no JSON"),
    (Fault.ALL_BAD, {}, BadPayloadError, r"none of [0-9]+ rows is a bar \(no price [0-9]+\)"),
    (Fault.EMPTY, {}, NoDataError, NO_BARS),
]

# The same, source first.
FAILURES: list[tuple[str, Fault, dict[str, Any], type[ProviderError], str]] = [
    *[(source, *failure) for source in SOURCES for failure in FAILURES_OF_ALL],
    ("vci", Fault.MISSING_SYMBOL, {}, NoDataError, NO_BARS),
    ("vci", Fault.LENGTHS, {}, BadPayloadError, "[0-9]+ values in 'v', [0-9]+ in 't'"),
    ("vci", Fault.NO_SERIES, {}, BadPayloadError, "the answer is no list of series"),
    ("vci", Fault.ERROR_WITH_200, {}, BadPayloadError, "the answer is no list of series"),
    ("binance", Fault.NO_SERIES, {}, BadPayloadError, "nothing where a list of bars is due"),
    ("binance", Fault.ERROR_WITH_200, {}, BadPayloadError, "an object where a list of bars is due"),
    ("cryptocompare", Fault.NO_SERIES, {}, BadPayloadError, "nothing where a list of bars is due"),
    ("cryptocompare", Fault.ERROR_WITH_200, {}, RateLimitedError, "You are over your rate limit please upgrade .*"),
    (
        "cryptocompare",
        Fault.UNAUTHORIZED,
        {},
        ProviderDisabledError,
        r"the key is refused \(.*key \*\*\* is not valid.*\); check CRYPTOCOMPARE_API_KEY",
    ),
]


@pytest.mark.parametrize(
    ("source", "fault", "details", "error", "text"),
    FAILURES,
    ids=[f"{row[0]}-{row[1].name}" for row in FAILURES],
)
def test_every_failure_is_a_provider_error_in_one_line(
    source: str,
    fault: Fault,
    details: dict[str, Any],
    error: type[ProviderError],
    text: str,
    make: MakeProvider,
    upstream: FakeUpstream,
) -> None:
    slow = {"PROVIDER_READ_TIMEOUT_MS": "50"} if fault is Fault.SLOW else {}
    provider = make(source, PROVIDER_RETRIES="1", **slow)
    upstream.fail(fault, times=None, **details)
    with pytest.raises(error, match=rf"^{NAMES[source]} {TICKERS[source]} 1D: {text}$") as caught:
        fetch(provider)
    assert type(caught.value) is error
    assert str(caught.value).isprintable()
    assert "a-key-of-the-fake-upstream" not in str(caught.value)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fault", [Fault.HALF_JSON, Fault.EMPTY, Fault.RESET, Fault.ALL_BAD])
def test_after_a_failure_the_next_fetch_is_whole(
    source: str, fault: Fault, make: MakeProvider, upstream: FakeUpstream
) -> None:
    provider = make(source, PROVIDER_RETRIES="0")
    upstream.fail(fault)
    with pytest.raises(ProviderError):
        fetch(provider)
    assert same(fetch(provider), truth(upstream, source))


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (ProviderTimeoutError, False),
        (ProviderUnavailableError, False),
        (BadPayloadError, False),
        (NoDataError, False),
        (UnknownSymbolError, False),
        (RateLimitedError, True),
        (ProviderBannedError, True),
        (ProviderDisabledError, True),
        (ProviderStoppedError, True),
    ],
)
def test_what_ends_a_cycle(error: type[ProviderError], stops: bool) -> None:
    assert error("x").stops_cycle is stops


# VCI


@pytest.mark.parametrize("fault", [Fault.ENVELOPE, Fault.WRONG_SYMBOL], ids=lambda fault: fault.name)
def test_vci_takes_an_envelope_and_the_series_with_the_right_symbol(
    fault: Fault, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(fault)
    assert same(fetch(make("vci")), truth(upstream, "vci"))


def test_vci_does_not_tell_an_unknown_ticker_from_a_block(make: MakeProvider) -> None:
    with pytest.raises(NoDataError, match=r"^VCI ZZZ 1D: an answer without bars"):
        fetch(make("vci"), ticker="ZZZ")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that a few weeks make many."""
    monkeypatch.setattr(vci, "_MOST_BARS", 300)


@pytest.mark.usefixtures("small_pages")
def test_vci_pages_backward_through_a_long_history(make: MakeProvider, upstream: FakeUpstream) -> None:
    start = NOW - 20 * DAY
    bars = make("vci").fetch("VCB", Interval.MINUTE, start, NOW)
    assert same(bars, truth(upstream, "vci", Interval.MINUTE, 20 * DAY))
    assert len(upstream.requests) == -(-len(bars) // 300)
    tos = [seen.params["to"] for seen in upstream.requests]
    assert tos == sorted(tos, reverse=True)
    assert all(seen.params["countBack"] <= 300 for seen in upstream.requests)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_vci_asks_again_for_a_page_that_came_empty_once(skip: int, make: MakeProvider, upstream: FakeUpstream) -> None:
    upstream.fail(Fault.EMPTY, skip=skip)
    bars = make("vci").fetch("VCB", Interval.MINUTE, NOW - 20 * DAY, NOW)
    assert same(bars, truth(upstream, "vci", Interval.MINUTE, 20 * DAY))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("fault", [Fault.EMPTY, Fault.MISSING_SYMBOL])
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_vci_does_not_take_a_block_for_the_beginning_of_the_history(
    fault: Fault, skip: int, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(fault, skip=skip, times=None)
    with pytest.raises(NoDataError, match=r"^VCI VCB 1m: bars, then none any more: we are being blocked$"):
        make("vci").fetch("VCB", Interval.MINUTE, NOW - 20 * DAY, NOW)
    assert len(upstream.requests) == skip + 2


Last = Callable[[Mode, str, Interval, int, int], Bars]
"""As `FakeMarket.last`: the newest so many bars before a time."""


@pytest.fixture
def change_last(upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Last], Last]], None]:
    """Replaces how VCI finds its bars by what a function makes of it."""
    return lambda change: monkeypatch.setattr(upstream.market, "last", change(upstream.market.last))


def test_vci_does_not_stall_on_a_holiday_where_minutes_are_counted_by_the_clock(
    make: MakeProvider,
    upstream: FakeUpstream,
    change_last: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vci, "_MOST_BARS", 3_000)

    def is_holiday(time: Any) -> Any:
        # Thursday and Friday, and so four days in a row: longer than a page.
        return (time >= MIDNIGHT - 18 * DAY) & (time < MIDNIGHT - 16 * DAY)

    def by_time(_: Last) -> Last:
        def last(mode: Mode, ticker: str, interval: Interval, before: int, count: int) -> Bars:
            bars = upstream.market.bars(mode, ticker, interval, before - count * 60, before - 1)
            return bars.take(~is_holiday(bars.time))

        return last

    change_last(by_time)
    bars = make("vci").fetch("VCB", Interval.MINUTE, NOW - 45 * DAY, NOW)
    expected = truth(upstream, "vci", Interval.MINUTE, 45 * DAY)
    assert same(bars, expected.take(~is_holiday(expected.time)))
    assert is_holiday(expected.time).sum() > 400


@pytest.mark.usefixtures("small_pages")
def test_vci_stops_where_the_history_begins(make: MakeProvider, upstream: FakeUpstream) -> None:
    bars = make("vci").fetch("FPT", Interval.MINUTE, NOW - 400 * DAY, NOW)
    assert same(bars, upstream.market.bars(Mode.VN, "FPT", Interval.MINUTE, 0, NOW))
    assert bars.time[0] >= MIDNIGHT - 40 * DAY
    # Three empty pages; and after the first of them the newest bar and that page again.
    assert len(upstream.requests) == -(-len(bars) // 300) + 3 + 2


def test_vci_takes_one_request_where_the_window_begins_with_days_off(
    make: MakeProvider, upstream: FakeUpstream
) -> None:
    bars = make("vci").fetch("FPT", Interval.DAILY, MIDNIGHT - 53 * DAY, NOW)
    assert bars.time[0] >= MIDNIGHT - 40 * DAY
    assert len(upstream.requests) == 1


@pytest.mark.usefixtures("small_pages")
def test_vci_comes_to_an_end_when_the_same_page_comes_again_and_again(
    make: MakeProvider, upstream: FakeUpstream, change_last: Callable[..., None]
) -> None:
    change_last(lambda last: lambda mode, ticker, interval, _, count: last(mode, ticker, interval, NOW, count))
    assert len(make("vci").fetch("VCB", Interval.MINUTE, NOW - 200 * DAY, NOW)) == 300
    assert len(upstream.requests) == 1 + 3 + 2


def test_vci_pages_on_when_it_gets_fewer_bars_than_it_asked_for(
    make: MakeProvider, upstream: FakeUpstream, change_last: Callable[..., None]
) -> None:
    """A limit on the other side, of which nothing is said."""
    change_last(lambda last: lambda *window: last(*window[:4], min(window[4], 50)))
    bars = make("vci").fetch("VCB", Interval.DAILY, NOW - 200 * DAY, NOW)
    assert same(bars, truth(upstream, "vci", seconds=200 * DAY))


@pytest.mark.parametrize("hour", [-7, 2, 8])
def test_vci_may_stamp_days_with_any_moment_of_them(
    hour: int, make: MakeProvider, upstream: FakeUpstream, change_last: Callable[..., None]
) -> None:
    def stamped(last: Last) -> Last:
        def last_stamped(*window: Any) -> Bars:
            bars = last(*window)
            return Bars.of(bars.time + hour * 3_600, bars.prices, bars.volume)

        return last_stamped

    change_last(stamped)
    assert same(fetch(make("vci")), truth(upstream, "vci"))


def test_a_dividend_between_two_fetches_changes_the_whole_history(upstream: FakeUpstream) -> None:
    settings = Settings.from_mapping(upstream.variables())
    ex_date = MIDNIGHT + DAY
    upstream.adjust("HPG", ex_date, 1.25)

    def daily(now: int) -> Bars:
        upstream.now = now
        return vci.VciProvider(settings, FakeTime(now).timing()).fetch("HPG", Interval.DAILY, NOW - 60 * DAY, now)

    before, after = daily(NOW), daily(NOW + DAY)
    assert len(after) == len(before) + 1
    ratios = before.close[:-1] / after.close[: len(before) - 1]
    assert ratios == pytest.approx(1.25, rel=1e-4)


# Binance


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


# CryptoCompare


def test_without_a_key_cryptocompare_says_what_to_set(make: MakeProvider, upstream: FakeUpstream) -> None:
    provider = make("cryptocompare", CRYPTOCOMPARE_API_KEY="")
    assert provider.tickers()
    with pytest.raises(ProviderDisabledError, match=r"^CryptoCompare BTC 1D: needs a key; set CRYPTOCOMPARE_API_KEY"):
        fetch(provider)
    assert upstream.requests == []


def test_cryptocompare_pages_backward_over_a_shared_row(make: MakeProvider, upstream: FakeUpstream) -> None:
    bars = make("cryptocompare").fetch("BTC", Interval.MINUTE, NOW - 3 * DAY, NOW)
    assert same(bars, truth(upstream, "cryptocompare", Interval.MINUTE, 3 * DAY))
    assert [seen.params["limit"] for seen in upstream.requests] == ["2000", "2000", "320"]


def test_cryptocompare_gets_many_days_at_once(make: MakeProvider, upstream: FakeUpstream) -> None:
    provider = make("cryptocompare")
    bars = provider.fetch("BTC", Interval.DAILY, provider.history_start(Interval.DAILY, NOW), NOW)
    assert same(bars, truth(upstream, "cryptocompare", seconds=NOW))
    assert [seen.params.get("allData") for seen in upstream.requests] == ["true"]


def test_cryptocompare_stops_at_a_page_of_zeros(make: MakeProvider, upstream: FakeUpstream) -> None:
    bars = make("cryptocompare").fetch("SOL", Interval.HOURLY, NOW - 732 * DAY, NOW)
    assert bars.time[0] == MIDNIGHT - 40 * DAY
    assert (bars.prices > 0).all()
    # The first holds the listing and zeros before it, the second zeros only.
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_cryptocompare_without_rows_has_no_data_on_whatever_page(
    skip: int, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(Fault.EMPTY, skip=skip)
    with pytest.raises(NoDataError, match=f"^CryptoCompare BTC 1m: {NO_BARS}$"):
        make("cryptocompare").fetch("BTC", Interval.MINUTE, NOW - 3 * DAY, NOW)


def test_cryptocompare_with_zeros_only_has_no_data(make: MakeProvider) -> None:
    with pytest.raises(NoDataError):
        make("cryptocompare").fetch("SOL", Interval.DAILY, NOW - 90 * DAY, NOW - 60 * DAY)


def test_cryptocompare_is_never_asked_for_minutes_it_no_longer_has(make: MakeProvider, upstream: FakeUpstream) -> None:
    bars = make("cryptocompare").fetch("BTC", Interval.MINUTE, NOW - 30 * DAY, NOW)
    assert same(bars, truth(upstream, "cryptocompare", Interval.MINUTE, 7 * DAY))
    upstream.forget_requests()
    assert len(make("cryptocompare").fetch("BTC", Interval.MINUTE, NOW - 30 * DAY, NOW - 20 * DAY)) == 0
    assert upstream.requests == []


UNKNOWN = "not supported, The"


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        ({"Response": "Error", "Type": 99, "Message": "limit"}, RateLimitedError, "limit"),
        (
            {"Response": "Error", "Type": 2, "Message": "The market does not exist for Q"},
            UnknownSymbolError,
            UNKNOWN,
        ),
        (
            {"Response": "Error", "Type": 1, "Message": "There is no data for the symbol Q ."},
            UnknownSymbolError,
            UNKNOWN,
        ),
        ({"Response": "Error", "Type": 1, "Message": "bad\nthing"}, BadPayloadError, "an error, bad thing"),
        ({"Response": "Error"}, BadPayloadError, "an error, None"),
        ({}, BadPayloadError, "an error, None"),
        ([], BadPayloadError, "the answer is no object"),
        ({"Response": "Success"}, BadPayloadError, "nothing where a list of bars is due"),
        ({"Response": "Success", "Data": []}, BadPayloadError, "nothing where a list of bars is due"),
    ],
)
def test_cryptocompare_says_failures_with_200(
    content: object,
    error: type[ProviderError],
    text: str,
    make: MakeProvider,
    upstream: FakeUpstream,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream, "reply", lambda *_: Reply(content))
    with pytest.raises(error, match=rf"^CryptoCompare BTC 1D: {text}"):
        fetch(make("cryptocompare"))


# The registry


@pytest.mark.parametrize(
    ("mode", "variables", "name"),
    [
        (Mode.VN, {"DATA_PROVIDER": "live"}, "vci"),
        (Mode.CRYPTO, {"DATA_PROVIDER": "live"}, "binance"),
        (Mode.CRYPTO, {"DATA_PROVIDER": "live", "CRYPTO_PROVIDER": "cryptocompare"}, "cryptocompare"),
        (Mode.VN, {"DATA_PROVIDER": "simulated"}, "simulated"),
        (Mode.CRYPTO, {"DATA_PROVIDER": "simulated", "CRYPTO_PROVIDER": "cryptocompare"}, "simulated"),
    ],
)
def test_the_settings_choose_the_source(mode: Mode, variables: dict[str, str], name: str) -> None:
    provider = provider_for(mode, Settings.from_mapping(variables))
    assert (provider.name, provider.mode) == (name, mode)
    assert isinstance(provider.is_back_adjusted, bool)


def test_the_stop_of_the_process_reaches_the_source(upstream: FakeUpstream) -> None:
    stop = threading.Event()
    provider = provider_for(Mode.VN, Settings.from_mapping(upstream.variables()), stop)
    stop.set()
    with pytest.raises(ProviderStoppedError, match=r"^VCI VCB 1D: given up, the process stops$"):
        fetch(provider)
    assert upstream.requests == []
