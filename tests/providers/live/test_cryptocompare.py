"""CryptoCompare over real HTTP: what it is asked, what becomes of its answers, and how long histories page."""

import pytest

from stockapi.errors import (
    BadPayloadError,
    NoDataError,
    ProviderDisabledError,
    ProviderError,
    RateLimitedError,
    UnknownSymbolError,
)
from stockapi.models import Interval
from tests.fake_upstream import FakeUpstream, Fault, Reply
from tests.support.live_sources import DAY, MIDNIGHT, NO_BARS, NOW, MakeProvider, fetch, same, truth


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
