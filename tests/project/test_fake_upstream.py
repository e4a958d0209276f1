"""The fake upstream itself: its three formats byte by byte, its clock, its records. Asked with plain `http.client`."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlencode

import pytest

from stockapi.models import Interval, Mode
from tests.fake_upstream import FakeUpstream, Fault

DAY = 86_400
NOW = 1_772_427_617
"""2026-03-02T05:00:17Z, a Monday."""
MIDNIGHT = NOW // DAY * DAY
KEY = {"Authorization": "Apikey a-key-of-the-fake-upstream"}


@pytest.fixture
def upstream() -> Iterator[FakeUpstream]:
    tickers = {Mode.VN: ["VCB", "ACB", "AAA", "VNINDEX"], Mode.CRYPTO: ["BTC", "SHIB", "HYPE"]}
    with FakeUpstream(NOW, tickers, listed={"HYPE": MIDNIGHT - 3 * DAY}) as upstream:
        yield upstream


def ask(
    upstream: FakeUpstream, path: str, body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and JSON."""
    connection = HTTPConnection("127.0.0.1", int(upstream.url.rpartition(":")[2]), timeout=5)
    method = "GET" if body is None else "POST"
    connection.request(method, path, None if body is None else json.dumps(body), headers or {})
    response = connection.getresponse()
    content = json.loads(response.read())
    connection.close()
    return response.status, content


def vci(upstream: FakeUpstream, *symbols: str, count: int = 3, to: int = NOW + DAY, frame: str = "ONE_DAY") -> Any:
    body = {"timeFrame": frame, "symbols": symbols, "to": to, "countBack": count}
    status, content = ask(upstream, "/vci/chart/OHLCChart/gap-chart", body)
    assert status == 200
    return content


def binance(upstream: FakeUpstream, **params: object) -> tuple[int, Any]:
    window = {"symbol": "BTCUSDT", "interval": "1d", "startTime": (NOW - 3 * DAY) * 1_000, "endTime": NOW * 1_000}
    return ask(upstream, f"/binance/api/v3/klines?{urlencode(window | params)}")


def cryptocompare(
    upstream: FakeUpstream, kind: str = "histoday", headers: dict[str, str] = KEY, **params: object
) -> tuple[int, Any]:
    query = urlencode({"fsym": "BTC", "tsym": "USD"} | params)
    return ask(upstream, f"/cryptocompare/data/v2/{kind}?{query}", headers=headers)


# VCI


def test_vci_answers_with_parallel_arrays_in_full_dong(upstream: FakeUpstream) -> None:
    (entry,) = vci(upstream, "VCB")
    assert list(entry) == ["symbol", "t", "o", "h", "l", "c", "v"]
    assert entry["symbol"] == "VCB"
    # The three newest trading days; times are text, and volumes are floats.
    assert entry["t"] == [str(MIDNIGHT - days * DAY) for days in (4, 3, 0)]
    assert all(isinstance(volume, float) and volume.is_integer() for volume in entry["v"])
    assert min(entry["l"]) > 10_000


def test_vci_counts_bars_back_from_to(upstream: FakeUpstream) -> None:
    (entry,) = vci(upstream, "VCB", count=2, to=MIDNIGHT)
    assert entry["t"] == [str(MIDNIGHT - days * DAY) for days in (4, 3)]
    (entry,) = vci(upstream, "VCB", count=300, frame="ONE_MINUTE")
    assert len(entry["t"]) == 300
    assert int(entry["t"][-1]) <= NOW


def test_vci_has_an_empty_list_for_an_unknown_symbol(upstream: FakeUpstream) -> None:
    assert vci(upstream, "ZZZ") == []


def test_vci_answers_several_symbols_with_one_bar_of_one(upstream: FakeUpstream) -> None:
    (entry,) = vci(upstream, "VCB", "ACB", count=300)
    assert (entry["symbol"], len(entry["t"])) == ("VCB", 1)


def test_an_index_has_points(upstream: FakeUpstream) -> None:
    assert 100 < vci(upstream, "VNINDEX")[0]["c"][0] < 10_000


def test_a_ticker_that_the_simulated_market_lacks_borrows_a_series(upstream: FakeUpstream) -> None:
    first, again = vci(upstream, "AAA"), vci(upstream, "AAA")
    assert first == again
    assert len(first[0]["t"]) == 3


# Binance


def test_binance_answers_with_rows_of_text(upstream: FakeUpstream) -> None:
    status, rows = binance(upstream)
    assert status == 200
    assert [row[0] for row in rows] == [(MIDNIGHT - days * DAY) * 1_000 for days in (2, 1, 0)]
    assert all(len(row) == 12 and row[6] == row[0] + DAY * 1_000 - 1 for row in rows)
    assert all(isinstance(number, str) for row in rows for number in row[1:6])


def test_binance_sends_at_most_a_page(upstream: FakeUpstream) -> None:
    start = (NOW - 2_000 * DAY) * 1_000
    assert len(binance(upstream, startTime=start)[1]) == 500
    assert len(binance(upstream, startTime=start, limit=5_000)[1]) == 1_000
    assert len(binance(upstream, startTime=start, limit=7)[1]) == 7


def test_binance_has_nothing_before_the_listing(upstream: FakeUpstream) -> None:
    rows = binance(upstream, symbol="HYPEUSDT", startTime=0)[1]
    assert rows[0][0] == (MIDNIGHT - 3 * DAY) * 1_000


@pytest.mark.parametrize("symbol", ["LEOUSDT", "BTCEUR", "USDT"])
def test_binance_does_not_know_every_pair(symbol: str, upstream: FakeUpstream) -> None:
    assert binance(upstream, symbol=symbol) == (400, {"code": -1121, "msg": "Invalid symbol."})


# CryptoCompare


def test_cryptocompare_answers_with_one_row_more(upstream: FakeUpstream) -> None:
    status, content = cryptocompare(upstream, limit=2, toTs=NOW)
    rows = content["Data"]["Data"]
    assert (status, content["Response"]) == (200, "Success")
    assert [row["time"] for row in rows] == [MIDNIGHT - days * DAY for days in (2, 1, 0)]
    assert {"open", "high", "low", "close", "volumefrom", "volumeto"} < set(rows[0])


def test_cryptocompare_fills_with_zeros_before_the_listing(upstream: FakeUpstream) -> None:
    rows = cryptocompare(upstream, fsym="HYPE", limit=5)[1]["Data"]["Data"]
    assert [row["close"] > 0 for row in rows] == [False, False, True, True, True, True]


def test_cryptocompare_has_all_days_at_once(upstream: FakeUpstream) -> None:
    assert len(cryptocompare(upstream, allData="true")[1]["Data"]["Data"]) > 3_000


def test_cryptocompare_keeps_minutes_for_a_week(upstream: FakeUpstream) -> None:
    assert cryptocompare(upstream, "histominute", toTs=NOW - 6 * DAY)[1]["Response"] == "Success"
    assert cryptocompare(upstream, "histominute", toTs=NOW - 8 * DAY)[1]["Response"] == "Error"


def test_cryptocompare_has_two_envelopes_for_errors(upstream: FakeUpstream) -> None:
    status, content = cryptocompare(upstream, headers={"Authorization": "Apikey x"})
    assert (status, list(content)) == (401, ["Err"])
    status, content = cryptocompare(upstream, fsym="LEO")
    assert (status, content["Response"], content["Type"]) == (200, "Error", 2)
    upstream.fail(Fault.ERROR_WITH_200)
    status, content = cryptocompare(upstream)
    assert (status, content["Response"], content["Type"]) == (200, "Error", 99)


# Clock, adjustments, records


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize(("mode", "ticker"), [(Mode.VN, "VCB"), (Mode.CRYPTO, "SHIB")])
def test_what_is_known_only_grows(mode: Mode, ticker: str, interval: Interval, upstream: FakeUpstream) -> None:
    start = NOW - 70 * DAY if interval is not Interval.MINUTE else NOW - 9 * DAY
    before = upstream.market.bars(mode, ticker, interval, start, NOW)
    upstream.now = NOW + DAY
    after = upstream.market.bars(mode, ticker, interval, start, NOW + DAY)
    assert len(after) > len(before)
    settled = before.take(slice(-1))
    assert after.take(slice(len(settled))).equals(settled)


def test_a_window_is_a_part_of_a_longer_one(upstream: FakeUpstream) -> None:
    longer = upstream.market.bars(Mode.VN, "VCB", Interval.DAILY, NOW - 400 * DAY, NOW)
    for days in (0, 1, 30, 129, 300):
        shorter = upstream.market.bars(Mode.VN, "VCB", Interval.DAILY, NOW - days * DAY, NOW)
        assert shorter.equals(longer.between(NOW - days * DAY, NOW))


def test_an_adjustment_takes_effect_on_its_day_and_in_all_of_the_past(upstream: FakeUpstream) -> None:
    def closes(ticker: str) -> list[float]:
        return vci(upstream, ticker, count=300, to=MIDNIGHT)[0]["c"]

    before, other = closes("VCB"), closes("ACB")
    upstream.adjust("VCB", MIDNIGHT + DAY, 2.0)
    assert closes("VCB") == before
    upstream.now = MIDNIGHT + DAY
    assert closes("VCB") == pytest.approx([close / 2 for close in before], abs=0.01)
    assert closes("ACB") == other
    upstream.now = MIDNIGHT + 5 * DAY
    assert closes("VCB") == pytest.approx([close / 2 for close in before], abs=0.01)


def test_requests_are_recorded(upstream: FakeUpstream) -> None:
    upstream.fail(Fault.TOO_MANY_REQUESTS, source="binance", retry_after="3")
    assert binance(upstream)[0] == 429
    assert binance(upstream)[0] == 200
    vci(upstream, "VCB", frame="ONE_HOUR")
    records = [(seen.source, seen.ticker, seen.interval, seen.status) for seen in upstream.requests]
    assert records == [
        ("binance", "BTC", Interval.DAILY, 429),
        ("binance", "BTC", Interval.DAILY, 200),
        ("vci", "VCB", Interval.HOURLY, 200),
    ]
    assert len({seen.connection for seen in upstream.requests}) == 3
    assert upstream.most_at_once == 1
    upstream.forget_requests()
    assert upstream.requests == []


def test_plans_are_for_a_source_a_ticker_a_time(upstream: FakeUpstream) -> None:
    upstream.fail(Fault.EMPTY, source="vci", ticker="ACB", skip=1, times=2)
    assert [len(vci(upstream, "VCB")) for _ in range(4)] == [1, 1, 1, 1]
    assert [len(vci(upstream, "ACB")) for _ in range(4)] == [1, 0, 0, 1]
    upstream.fail(Fault.EMPTY, times=None)
    assert vci(upstream, "VCB") == []
    upstream.repair()
    assert len(vci(upstream, "VCB")) == 1


@pytest.mark.parametrize(
    "path", ["/", "/vci/chart", "/binance/api/v3/time", "/cryptocompare/data/v2/histoyear?fsym=BTC"]
)
def test_what_no_source_has_is_refused(path: str, upstream: FakeUpstream) -> None:
    assert ask(upstream, path)[0] == 400
    assert upstream.requests == []
