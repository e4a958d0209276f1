"""VPS, VNDirect and DNSE over real HTTP: what each is asked, what becomes of their answers, how long histories page."""

import json
from typing import Any

import pytest

from stockapi.errors import BadPayloadError, NoDataError, ProviderError
from stockapi.models import Bars, Interval, Mode
from stockapi.providers.live import udf
from stockapi.providers.live.http_client import Answer
from tests.fake_upstream import FakeUpstream, Fault
from tests.support.live_sources import DAY, MIDNIGHT, NOW, UDF, MakeProvider, fetch, same, truth

THREE_DAYS = [MIDNIGHT - 4 * DAY, MIDNIGHT - 3 * DAY, MIDNIGHT]


def answer(**changes: Any) -> dict[str, Any]:
    """Three days of a stock, in thousands of dong."""
    prices = {"o": [69.95, 70, 71.5], "h": [70.1, 72, 72], "l": [69.9, 69.5, 71], "c": [70, 71.45, 71.951]}
    return {"s": "ok", "t": list(THREE_DAYS), **prices, "v": [100, 200, 300], **changes}


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in answer().items() if name not in names}


def answers(provider: Any, monkeypatch: pytest.MonkeyPatch, content: object) -> None:
    """Every request of the provider is answered by this."""
    got = Answer("VPS VCB 1D", 200, {}, json.dumps(content).encode())
    monkeypatch.setattr(provider._client, "get", lambda path, params, about: got)


DONG = [70_000.0, 71_450.0, 71_951.0]

READ: list[tuple[str, dict[str, Any], list[float], list[int]]] = [
    ("as the protocol says", answer(), DONG, [100, 200, 300]),
    ("no status, as DNSE", without("s") | {"nextTime": 0}, DONG, [100, 200, 300]),
    ("texts for numbers", answer(c=["70", "71.45", "71.951"], t=[str(t) for t in THREE_DAYS]), DONG, [100, 200, 300]),
    ("volumes with fractions", answer(v=[100.0, 200.4, 299.6]), DONG, [100, 200, 300]),
    ("days at 00:00 in Ho Chi Minh City", answer(t=[t - 7 * 3_600 for t in THREE_DAYS]), DONG, [100, 200, 300]),
    ("days at 09:00 there", answer(t=[t + 2 * 3_600 for t in THREE_DAYS]), DONG, [100, 200, 300]),
    ("days at the close there", answer(t=[t + 8 * 3_600 for t in THREE_DAYS]), DONG, [100, 200, 300]),
    ("a null price", answer(c=[70, None, 71.951]), [DONG[0], DONG[2]], [100, 300]),
    ("a null time", answer(t=[THREE_DAYS[0], None, THREE_DAYS[2]]), [DONG[0], DONG[2]], [100, 300]),
    ("a null volume", answer(v=[100, 200, None]), DONG[:2], [100, 200]),
    ("newest first", {n: v[::-1] if isinstance(v, list) else v for n, v in answer().items()}, DONG, [100, 200, 300]),
    (
        "a day twice: the last counts",
        answer(t=[THREE_DAYS[0], THREE_DAYS[2], THREE_DAYS[2]]),
        [DONG[0], DONG[2]],
        [100, 300],
    ),
    ("bars outside the window", answer(t=[MIDNIGHT - 400 * DAY, THREE_DAYS[1], MIDNIGHT + DAY]), [DONG[1]], [200]),
    ("more than was asked for", answer(symbol="VCB", name="", nb=1), DONG, [100, 200, 300]),
]


@pytest.mark.parametrize(("why", "content", "closes", "volumes"), READ, ids=[row[0] for row in READ])
def test_an_answer_becomes_bars_in_dong(
    why: str, content: object, closes: list[float], volumes: list[int], make: MakeProvider, monkeypatch: Any
) -> None:
    provider = make("vps")
    answers(provider, monkeypatch, content)
    bars = provider.fetch("VCB", Interval.DAILY, MIDNIGHT - 10 * DAY, NOW)
    assert (bars.close.tolist(), bars.volume.tolist()) == (closes, volumes), why
    assert (bars.time % DAY == 0).all()


NO_BARS = r"an answer without bars: an unknown ticker, or we are being blocked"
EMPTY: dict[str, Any] = {name: [] for name in "tohlcv"}

REFUSED: list[tuple[str, object, type[ProviderError], str]] = [
    ("no_data", {"s": "no_data"}, NoDataError, NO_BARS),
    ("no_data with arrays", EMPTY | {"s": "no_data"}, NoDataError, NO_BARS),
    ("empty arrays", EMPTY | {"s": "ok"}, NoDataError, NO_BARS),
    ("null arrays, as DNSE", dict.fromkeys("tohlcv") | {"nextTime": 0}, NoDataError, NO_BARS),
    ("an error", {"s": "error", "errmsg": "unknown\nsymbol"}, BadPayloadError, "unknown symbol"),
    ("an error without words", {"s": "error"}, BadPayloadError, "error"),
    ("a status of its own", {"s": 5}, BadPayloadError, "5"),
    ("a list", [1, 2], BadPayloadError, "the answer is no object of arrays"),
    ("nothing", None, BadPayloadError, "the answer is no object of arrays"),
    ("another object", {"message": "Forbidden"}, BadPayloadError, "nothing where the array 't' is due"),
    ("an array is missing", without("v"), BadPayloadError, "nothing where the array 'v' is due"),
    ("an array is null", answer(h=None), BadPayloadError, "nothing where the array 'h' is due"),
    ("arrays of two lengths", answer(c=[70, 71]), BadPayloadError, "2 values in 'c', 3 in 't'"),
    ("a text for an array", answer(t="soon"), BadPayloadError, "text where the array 't' is due"),
    ("no price at all", answer(o=[None] * 3), BadPayloadError, r"none of 3 rows is a bar \(no price 3\)"),
    ("milliseconds", answer(t=[t * 1_000 for t in THREE_DAYS]), BadPayloadError, r"none of 3 .* \(no time 3\)"),
]


@pytest.mark.parametrize(("why", "content", "error", "text"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_is_no_answer_is_an_error_in_one_line(
    why: str, content: object, error: type[ProviderError], text: str, make: MakeProvider, monkeypatch: Any
) -> None:
    provider = make("vps")
    answers(provider, monkeypatch, content)
    with pytest.raises(error, match=rf"^VPS VCB 1D: {text}$"):
        provider.fetch("VCB", Interval.DAILY, MIDNIGHT - 10 * DAY, NOW)


PATHS = {
    "vps": ("/tradingview/history", "/tradingview/history", "/tradingview/history", ("D", "60", "1")),
    "vndirect": ("/dchart/history", "/dchart/history", "/dchart/history", ("D", "60", "1")),
    "dnse": (
        *(f"/chart-api/v2/ohlcs/{kind}" for kind in ("stock", "index", "derivative")),
        ("1D", "1H", "1"),
    ),
}


@pytest.mark.parametrize("source", UDF)
def test_what_each_broker_is_asked(source: str, make: MakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider: Any = make(source)
    asked: list[tuple[str, dict[str, Any]]] = []

    def get(path: str, params: dict[str, Any], about: str) -> Answer:
        asked.append((path, params))
        return Answer(about, 200, {}, b'{"t":[],"o":[],"h":[],"l":[],"c":[],"v":[]}')

    monkeypatch.setattr(provider._client, "get", get)
    stock, index, future, resolutions = PATHS[source]
    for interval, resolution in zip(Interval, resolutions, strict=True):
        asked.clear()
        with pytest.raises(NoDataError):
            provider.fetch("VCB", interval, NOW - 5 * DAY, NOW)
        margin = DAY if interval is Interval.DAILY else 0
        window = {"from": NOW - 5 * DAY - margin, "to": NOW + margin + 1}
        assert asked[0] == (stock, {"symbol": "VCB", "resolution": resolution, **window})
        assert len(asked) == 2, "once more, to tell a block from a quiet time"
    short = source != "vps"
    for ticker, path, name in [
        ("VNINDEX", index, "VNINDEX"),
        ("HNXINDEX", index, "HNX" if short else "HNXINDEX"),
        ("UPCOMINDEX", index, "UPCOM" if short else "UPCOMINDEX"),
        ("VN30F1M", future, "VN30F1M"),
    ]:
        asked.clear()
        with pytest.raises(NoDataError):
            provider.fetch(ticker, Interval.DAILY, NOW - 5 * DAY, NOW)
        assert (asked[0][0], asked[0][1]["symbol"]) == (path, name)


@pytest.mark.parametrize("source", UDF)
def test_indices_are_points_and_not_thousands(source: str, make: MakeProvider, upstream: FakeUpstream) -> None:
    bars = fetch(make(source), ticker="VNINDEX")
    assert same(bars, upstream.market.bars(Mode.VN, "VNINDEX", Interval.DAILY, NOW - 60 * DAY, NOW))
    assert 500 < bars.close[-1] < 5_000


def test_which_tickers_are_indices_is_a_setting(make: MakeProvider) -> None:
    assert fetch(make("vps", INDEX_TICKERS="VNINDEX,VCB")).close.max() < 1_000


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(udf, "_WINDOW_S", dict.fromkeys(Interval, 8 * DAY))


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("source", UDF)
def test_a_long_history_comes_in_windows_without_a_hole(
    source: str, make: MakeProvider, upstream: FakeUpstream
) -> None:
    bars = make(source).fetch("VCB", Interval.MINUTE, NOW - 60 * DAY, NOW)
    assert same(bars, truth(upstream, source, Interval.MINUTE, 60 * DAY))
    assert len(upstream.requests) == 8


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("source", UDF)
def test_the_beginning_of_a_history_is_found(source: str, make: MakeProvider, upstream: FakeUpstream) -> None:
    """Some say with `no_data` that there is nothing older, some do not."""
    bars = make(source).fetch("FPT", Interval.MINUTE, NOW - 400 * DAY, NOW)
    assert same(bars, upstream.market.bars(Mode.VN, "FPT", Interval.MINUTE, 0, NOW))
    # Six windows with bars; three without, and after the first of them the newest bars and that window again.
    assert len(upstream.requests) <= 6 + 3 + 2


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("source", UDF)
@pytest.mark.parametrize("fault", [Fault.EMPTY, Fault.NO_JSON, Fault.FORBIDDEN])
def test_a_block_is_not_taken_for_the_beginning_of_the_history(
    source: str, fault: Fault, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(fault, skip=3, times=None)
    with pytest.raises(ProviderError):
        make(source, PROVIDER_RETRIES="0").fetch("VCB", Interval.MINUTE, NOW - 60 * DAY, NOW)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("source", UDF)
def test_a_window_that_came_empty_once_is_asked_for_again(
    source: str, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(Fault.EMPTY, skip=2)
    bars = make(source).fetch("VCB", Interval.MINUTE, NOW - 60 * DAY, NOW)
    assert same(bars, truth(upstream, source, Interval.MINUTE, 60 * DAY))


@pytest.mark.parametrize("source", UDF)
def test_a_broker_that_sends_fewer_bars_than_the_window_has_is_asked_on(
    source: str, make: MakeProvider, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the other side, of which nothing is said."""
    bars = upstream.market.bars

    def newest_300(mode: Mode, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        return bars(mode, ticker, interval, start, end).tail(300)

    with monkeypatch.context() as patched:
        patched.setattr(upstream.market, "bars", newest_300)
        found = make(source).fetch("VCB", Interval.HOURLY, NOW - 300 * DAY, NOW)
    expected = truth(upstream, source, Interval.HOURLY, 300 * DAY)
    assert same(found, expected.tail(len(found)))
    assert expected.time[0] >= found.time[0] - 4 * DAY


@pytest.mark.parametrize("source", UDF)
def test_nothing_is_asked_of_before_1970(source: str, make: MakeProvider, upstream: FakeUpstream) -> None:
    make(source).fetch("VCB", Interval.DAILY, 0, NOW)
    assert min(int(seen.params["from"]) for seen in upstream.requests) >= 0
