"""The UDF protocol, by the shapes that clients read. `tests/clients` has a client in JavaScript."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi import create_app
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from tests.support import api_market
from tests.support.api_market import NOW
from tests.support.stores import Stores, environment, make_bars

DAY_S = 86_400
TODAY = 1_795_132_800
"""The day of `NOW`, 2026-11-20, a Friday: its bar is the newest."""
MONDAY = TODAY - 4 * DAY_S
COLUMNS = {"t": "time", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    return create_app(api_market.fill(tmp_path_factory.mktemp("market")), clock=lambda: NOW)


@pytest.fixture(scope="module")
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def asked(client: FlaskClient, path: str, status: int = 200) -> Any:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    return answer.json


def times(client: FlaskClient, query: str) -> list[int]:
    answer = asked(client, f"/udf/history?symbol=VCB&{query}")
    assert answer["s"] == "ok"
    found: list[int] = answer["t"]
    return found


# History


def test_bars_are_columns_with_the_values_of_the_plain_answer(client: FlaskClient) -> None:
    answer = asked(client, "/udf/history?symbol=HOSE:VCB&resolution=1D&countback=300")
    plain = asked(client, "/tickers?symbol=VCB&limit=300&time=unix&columns=time,open,high,low,close,volume")["VCB"]
    assert list(answer) == ["s", "t", "o", "h", "l", "c", "v"]
    assert answer == {"s": "ok", **{key: [bar[name] for bar in plain] for key, name in COLUMNS.items()}}
    assert answer["t"][-1] == TODAY
    assert all(isinstance(volume, int) for volume in answer["v"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # `to` is exclusive, `from` inclusive
        (f"from={TODAY - DAY_S}&to={TODAY}", [TODAY - DAY_S]),
        (f"from={TODAY - DAY_S}&to={TODAY + 1}", [TODAY - DAY_S, TODAY]),
        (f"from={TODAY - DAY_S}", [TODAY - DAY_S, TODAY]),
        (f"from={TODAY - DAY_S}.000&to={TODAY}.5", [TODAY - DAY_S, TODAY]),
        (f"from={TODAY - DAY_S + 0.5}&to={TODAY}.5", [TODAY]),
        (f"from={TODAY - DAY_S}&to=9999999999999", [TODAY - DAY_S, TODAY]),
        # countback wins over from
        (f"countback=2&to={TODAY}", [TODAY - 2 * DAY_S, TODAY - DAY_S]),
        (f"countback=2&to={TODAY}&from=0", [TODAY - 2 * DAY_S, TODAY - DAY_S]),
        (f"countback=1&to={TODAY}&from={TODAY + DAY_S}", [TODAY - DAY_S]),
        ("countback=1", [TODAY]),
        (f"countback=0&from={TODAY}", [TODAY]),
        # weekends are not there
        (f"countback=2&to={MONDAY + 1}", [MONDAY - 3 * DAY_S, MONDAY]),
        # parameters that clients send besides
        (f"from={TODAY}&currencyCode=VND&unitId=&firstDataRequest=true&_=17", [TODAY]),
    ],
)
def test_the_window_of_days(client: FlaskClient, query: str, expected: list[int]) -> None:
    assert times(client, f"resolution=D&{query}") == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        # A week that begins before the end is whole, one that begins before the start is not there.
        (f"from={MONDAY - 7 * DAY_S}&to={MONDAY}", [MONDAY - 7 * DAY_S]),
        (f"from={MONDAY - 7 * DAY_S}&to={MONDAY + 1}", [MONDAY - 7 * DAY_S, MONDAY]),
        (f"from={MONDAY - 7 * DAY_S + 1}&to={TODAY}", [MONDAY]),
        (f"from={MONDAY - 14 * DAY_S + 1}&to={MONDAY - DAY_S}", [MONDAY - 7 * DAY_S]),
        (f"countback=2&to={MONDAY - 3 * DAY_S}", [MONDAY - 14 * DAY_S, MONDAY - 7 * DAY_S]),
    ],
)
def test_the_window_of_weeks(client: FlaskClient, query: str, expected: list[int]) -> None:
    assert times(client, f"resolution=W&{query}") == expected


def test_a_week_is_the_same_wherever_the_window_ends(client: FlaskClient) -> None:
    week = MONDAY - 7 * DAY_S
    answers = [
        asked(client, f"/udf/history?symbol=VCB&resolution=1W&countback=1&to={week + seconds}")
        for seconds in (1, DAY_S, 3 * DAY_S + 7, 7 * DAY_S)
    ]
    assert answers[0]["t"] == [week]
    assert all(answer == answers[0] for answer in answers)


@settings(max_examples=60, deadline=None)
@given(
    resolution=st.sampled_from(["1D", "1W", "1M"]),
    cuts=st.lists(st.integers(TODAY - 900 * DAY_S, TODAY + DAY_S), min_size=1, max_size=6, unique=True),
)
def test_windows_side_by_side_have_every_bar_once(client: FlaskClient, resolution: str, cuts: list[int]) -> None:
    edges = [TODAY - 1_000 * DAY_S, *sorted(cuts), TODAY + 2 * DAY_S]
    every = times(client, f"resolution={resolution}&from={edges[0]}&to={edges[-1]}")
    parts: list[int] = []
    for begin, end in pairwise(edges):
        answer = asked(client, f"/udf/history?symbol=VCB&resolution={resolution}&from={begin}&to={end}")
        parts += answer.get("t", [])
        if answer["s"] == "no_data":
            older = [time for time in every if time < end]
            assert answer.get("nextTime", -1) < end
            assert not older or answer["nextTime"] == older[-1]
    assert parts == every


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (f"resolution=D&from={TODAY + 1}&to={TODAY + DAY_S}", {"s": "no_data", "nextTime": TODAY}),
        (f"resolution=D&from={MONDAY - 2 * DAY_S}&to={MONDAY}", {"s": "no_data", "nextTime": MONDAY - 3 * DAY_S}),
        (f"resolution=D&from={TODAY}&to={MONDAY}", {"s": "no_data", "nextTime": MONDAY - 3 * DAY_S}),
        (f"resolution=W&from={MONDAY + 1}&to={TODAY}", {"s": "no_data", "nextTime": MONDAY}),
        ("resolution=D&from=0&to=1000", {"s": "no_data"}),
        ("resolution=D&from=-5000000000&to=-1", {"s": "no_data"}),
        ("resolution=D&countback=10&to=1000", {"s": "no_data"}),
        ("resolution=D&from=-1e300&to=-1e200", {"s": "no_data"}),
        ("resolution=1M&from=-1e300&to=-1e200", {"s": "no_data"}),
    ],
)
def test_without_bars_the_newest_older_one_is_named(client: FlaskClient, query: str, expected: dict[str, Any]) -> None:
    assert asked(client, f"/udf/history?symbol=VCB&{query}") == expected


def test_a_listed_symbol_without_bars_has_no_data(client: FlaskClient) -> None:
    assert asked(client, "/udf/history?symbol=UPCOM:A32&resolution=D&from=0") == {"s": "no_data"}


@pytest.mark.parametrize(
    ("names", "interval"),
    [
        (("1", "1m"), "1m"),
        (("5", "5m"), "5m"),
        (("15", "15m"), "15m"),
        (("30", "30m"), "30m"),
        (("60", "1H", "1h", "H", "h", "hourly"), "1H"),
        (("120", "2H", "2h"), "2h"),
        (("240", "4H", "4h"), "4h"),
        (("1D", "D", "d", "1d", "1440", "daily", ""), "1D"),
        (("1W", "W", "w", "1w", "10080"), "1W"),
        (("1M", "M"), "1M"),
    ],
)
def test_resolutions_and_their_aliases(client: FlaskClient, names: tuple[str, ...], interval: str) -> None:
    expected = [each["close"] for each in asked(client, f"/tickers?symbol=VCB&interval={interval}&limit=3")["VCB"]]
    for name in names:
        found = asked(client, f"/udf/history?symbol=VCB&resolution={name}&countback=3")["c"]
        assert found == expected, name


@pytest.mark.parametrize(
    ("name", "is_known"),
    [
        *((name, True) for name in ("VCB", "vcb", "HOSE:VCB", "hose:vcb", "HNX:VCB", "VN:VCB", "stock:VCB", "BTC")),
        *((name, True) for name in ("CRYPTO:BTC", "crypto:btc", "VNINDEX", "HOSE:VNINDEX")),
        *((name, False) for name in ("NOSUCH", "NYSE:VCB", "CRYPTO:VCB", "HOSE:BTC")),
    ],
)
def test_names_of_symbols(client: FlaskClient, name: str, is_known: bool) -> None:
    for path in (f"/udf/history?symbol={name}&countback=1", f"/udf/symbols?symbol={name}"):
        answer = asked(client, path, 200 if is_known else 404)
        assert (answer.get("s") == "error") is not is_known
        if not is_known:
            assert answer["errmsg"] == f"unknown_symbol {name!r}; allowed: a symbol that /udf/search finds"


def test_a_symbol_of_both_markets_is_the_stock_unless_the_market_is_said(tmp_path: Path) -> None:
    stores = Stores.of(api_market.Settings.from_mapping(environment(tmp_path)))
    for mode in Mode:
        stores.save("FPT", make_bars(5, mode=mode, seed=len(mode.value)), mode=mode)
        stores.save("OWN", make_bars(5, mode=mode), mode=mode)
    stores.db_manager.close()
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    stock, coin = (asked(client, f"/udf/history?symbol={name}&countback=5") for name in ("FPT", "CRYPTO:FPT"))
    assert stock["c"] == [bar["close"] for bar in asked(client, "/tickers?symbol=FPT")["FPT"]]
    assert coin["c"] == [bar["close"] for bar in asked(client, "/tickers?symbol=FPT&mode=crypto")["FPT"]]
    # Neither listed, but stored: the exchange is not known, so the market stands in its place.
    assert asked(client, "/udf/symbols?symbol=OWN")["ticker"] == "VN:OWN"
    assert asked(client, "/udf/history?symbol=VN:OWN&countback=5")["s"] == "ok"
    assert asked(client, "/udf/search?query=OWN")[0]["ticker"] == "VN:OWN"


# A script for a broker's server


def test_a_script_for_another_server_runs_after_changing_its_address(client: FlaskClient) -> None:
    """The usual loop: symbols, days, times from the machine's clock, rows made by zip."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for symbol in ("VCB", "FPT", "HPG"):
        query = {
            "symbol": symbol,
            "resolution": "D",
            "from": int(NOW.timestamp()) - 30 * DAY_S,
            "to": int(NOW.timestamp()),
        }
        data = client.get("/udf/history", query_string=query).json
        assert data
        assert data["s"] == "ok"
        rows[symbol] = list(zip(*(data[key] for key in "tohlcv"), strict=True))
    assert all(len(each) > 15 for each in rows.values())
    assert all(low <= close <= high for each in rows.values() for _, _, high, low, close, _ in each)


# Symbols, search, quotes


def test_the_configuration(client: FlaskClient) -> None:
    found = asked(client, "/udf/config")
    assert found["supported_resolutions"] == ["1", "5", "15", "30", "60", "120", "240", "1D", "1W", "1M"]
    assert (found["supports_search"], found["supports_group_request"], found["supports_time"]) == (True, False, True)
    assert [each["value"] for each in found["exchanges"]] == ["", "HOSE", "HNX", "UPCOM", "CRYPTO"]
    assert [each["value"] for each in found["symbols_types"]] == ["", "stock", "index", "futures", "crypto"]


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("VCB", {"name": "VCB", "exchange": "HOSE", "type": "stock", "currency_code": "VND", "volume_precision": 0}),
        ("VCB", {"timezone": "Asia/Ho_Chi_Minh", "session": "0900-1130,1300-1500", "ticker": "HOSE:VCB"}),
        ("VCB", {"pricescale": 1, "minmov": 10, "variable_tick_size": "10 10000 50 50000 100"}),
        ("SHS", {"exchange": "HNX", "pricescale": 1, "minmov": 100}),
        ("A32", {"exchange": "UPCOM", "pricescale": 1, "minmov": 100}),
        ("ETH", {"pricescale": 100, "minmov": 1}),
        ("SHIB", {"pricescale": 100_000_000, "minmov": 1}),  # without a bar
        ("VNINDEX", {"type": "index", "pricescale": 100, "minmov": 1, "currency_code": None}),
        ("BTC", {"exchange": "CRYPTO", "type": "crypto", "timezone": "Etc/UTC", "session": "24x7"}),
        ("BTC", {"pricescale": 100, "minmov": 1, "currency_code": "USD", "volume_precision": 8}),
    ],
)
def test_facts_of_symbols(client: FlaskClient, name: str, facts: dict[str, object]) -> None:
    found = asked(client, f"/udf/symbols?symbol={name}")
    assert {key: found[key] for key in facts} == facts
    assert "s" not in found


def test_holidays_of_the_session(client: FlaskClient) -> None:
    days = asked(client, "/udf/symbols?symbol=VCB")["session_holidays"].split(",")
    assert {"20250127", "20260217", "20270101"} <= set(days)
    assert asked(client, "/udf/symbols?symbol=BTC")["session_holidays"] == ""


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("query=VCB", "HOSE:VCB"),
        ("query=vcb", "HOSE:VCB"),
        ("query=HOSE:VCB", "HOSE:VCB"),
        ("query=HOA%20PHAT", "HOSE:HPG"),
        ("query=bitcoin", "CRYPTO:BTC"),
        ("query=&type=index", "HOSE:VNINDEX"),
        ("query=&type=crypto", "CRYPTO:BTC"),
        ("query=fpt&exchange=HOSE&type=stock", "HOSE:FPT"),
    ],
)
def test_search(client: FlaskClient, query: str, first: str) -> None:
    found = asked(client, f"/udf/search?{query}&limit=30")
    assert 1 <= len(found) <= 30
    assert found[0]["ticker"] == found[0]["full_name"] == first
    assert set(found[0]) == {"symbol", "full_name", "ticker", "description", "exchange", "type"}


@pytest.mark.parametrize("query", ["query=no_such_thing", "query=VCB&exchange=UPCOM", "query=VCB&type=bond"])
def test_a_search_that_finds_nothing(client: FlaskClient, query: str) -> None:
    assert asked(client, f"/udf/search?{query}") == []


def test_quotes(client: FlaskClient) -> None:
    before, today = asked(client, "/tickers?symbol=VCB&limit=2")["VCB"]
    answer = asked(client, "/udf/quotes?symbols=BTC,HOSE:VCB,nosuch,A32,HOSE:VCB")
    assert answer["s"] == "ok"
    assert [(each["s"], each["n"]) for each in answer["d"]] == [
        ("ok", "BTC"),
        ("ok", "HOSE:VCB"),
        ("error", "nosuch"),
        ("error", "A32"),
    ]
    assert answer["d"][1]["v"] == {
        "short_name": "VCB",
        "original_name": "HOSE:VCB",
        "exchange": "HOSE",
        "description": "Ngân hàng TMCP Ngoại thương Việt Nam",
        "lp": today["close"],
        "ch": round(today["close"] - before["close"], 2),
        "chp": round((today["close"] - before["close"]) / before["close"] * 100, 2),
        "open_price": today["open"],
        "high_price": today["high"],
        "low_price": today["low"],
        "prev_close_price": before["close"],
        "volume": today["volume"],
    }


def test_the_clock_is_plain_text(client: FlaskClient) -> None:
    answer = client.get("/udf/time")
    assert (answer.text, answer.mimetype) == (str(int(NOW.timestamp())), "text/plain")
    assert answer.headers["Cache-Control"] == "no-store"


# Errors and headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/udf/history", 400),
        ("GET", "/udf/symbols?symbol=NOSUCH", 404),
        ("GET", "/udf/nosuch", 404),
        ("POST", "/udf/config", 405),
    ],
)
def test_every_error_has_the_form_of_the_protocol(client: FlaskClient, method: str, path: str, status: int) -> None:
    answer = client.open(path, method=method)
    assert answer.status_code == status
    assert answer.json
    assert (list(answer.json), answer.json["s"]) == (["s", "errmsg"], "error")
    assert "\n" not in answer.json["errmsg"]


@pytest.fixture
def broken(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlaskClient]:
    services = app.extensions["stockapi"]
    monkeypatch.setattr(type(services.symbols), "resolve", lambda *_: 1 / 0)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    yield app.test_client()
    app.config["PROPAGATE_EXCEPTIONS"] = None


def test_a_fault_of_the_server_has_it_too(broken: FlaskClient) -> None:
    answer = asked(broken, "/udf/history?symbol=VCB&countback=1", 500)
    assert answer == {"s": "error", "errmsg": "something went wrong here; the operator can see what"}


def test_too_many_rows(tmp_path: Path) -> None:
    stores = Stores.of(api_market.Settings.from_mapping(environment(tmp_path, MAX_RESPONSE_ROWS="100")))
    stores.save("VCB", make_bars(101), Interval.DAILY, Mode.VN)
    stores.db_manager.close()
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    assert asked(client, "/udf/history?symbol=VCB&from=0", 413)["s"] == "error"
    assert len(asked(client, "/udf/history?symbol=VCB&countback=100")["t"]) == 100


def test_an_answer_is_cached_as_bars_are(client: FlaskClient) -> None:
    path = "/udf/history?symbol=VCB&resolution=D&countback=5"
    answer = client.get(path)
    assert (answer.headers["Cache-Control"], answer.headers["X-Data-Source"]) == ("max-age=30", "sqlite")
    assert client.get(path, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
