"""What the live sources have in common, over real HTTP: the same tests for each."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stockapi.config import Settings
from stockapi.errors import (
    BadPayloadError,
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
from stockapi.providers.live import udf, vci
from tests.fake_upstream import FakeTime, FakeUpstream, Fault
from tests.support.live_sources import (
    DAY,
    MIDNIGHT,
    MODES,
    NAMES,
    NO_BARS,
    NOW,
    PROVIDERS,
    TICKERS,
    UDF,
    MakeProvider,
    fetch,
    same,
    truth,
)

SOURCES = ("vci", *UDF, "binance", "cryptocompare")


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
    assert provider.is_back_adjusted is (MODES[source] is Mode.VN)


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
    assert provider.tickers() == expected.split(), "what the file held before counts while it is written"


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


@pytest.mark.parametrize("source", SOURCES)
def test_rows_of_another_time_on_each_page_leave_no_hole(
    source: str, make: MakeProvider, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row of a year before must not end the pages that go back, nor one of a year after those that go forward."""
    monkeypatch.setattr(vci, "_MOST_BARS", 300)
    monkeypatch.setattr(udf, "_WINDOW_S", dict.fromkeys(Interval, 2 * DAY))
    upstream.fail(Fault.OUTSIDE, times=None)
    seconds = 5 * DAY
    bars = make(source).fetch(TICKERS[source], Interval.MINUTE, NOW - seconds, NOW)
    assert same(bars, truth(upstream, source, Interval.MINUTE, seconds))
    assert len(upstream.requests) > 2


def test_fractions_of_shares_are_rounded_fractions_of_coins_kept(make: MakeProvider, upstream: FakeUpstream) -> None:
    for source in SOURCES:
        upstream.fail(Fault.FRACTIONS)
        more = 1 if MODES[source] is Mode.VN else 0.7
        assert fetch(make(source)).volume.tolist() == (truth(upstream, source).volume + more).tolist()


# Payloads that are bad as a whole, and failures


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
    *[(source, Fault.LENGTHS, {}, BadPayloadError, "[0-9]+ values in 'v', [0-9]+ in 't'") for source in UDF],
    *[(source, Fault.NO_SERIES, {}, BadPayloadError, "the answer is no object of arrays") for source in UDF],
    *[(source, Fault.ERROR_WITH_200, {}, BadPayloadError, "nothing where the array 't' is due") for source in UDF],
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
