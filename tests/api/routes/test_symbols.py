"""Symbols by their names, and what is known of one: /tickers/search and /tickers/info."""

import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.markets.listings import listings
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from tests.support.stores import NOW, MakeStores, make_bars


@pytest.fixture
def client(make_stores: MakeStores, tmp_path: Path) -> FlaskClient:
    """Bars of few tickers, one of them of nobody's list."""
    groups = tmp_path / "groups.json"
    groups.write_text('{"MINE": ["VCB", "EMPTY", "HOUSE"], "STEEL": ["HPG"]}')
    stores = make_stores(TICKER_GROUPS_FILE=str(groups))
    for symbol in ("VCB", "HSG", "HOUSE", "VNINDEX"):
        stores.save(symbol, make_bars(5))
    stores.save("MIN", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    stores.save("BTC", make_bars(5, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.db_manager.close()
    return create_app(stores.settings, clock=lambda: NOW).test_client()


def found(client: FlaskClient, query: str) -> list[str]:
    answer = client.get(f"/tickers/search?{query}").json
    assert answer
    assert answer["total"] >= len(answer["symbols"])
    return [each["symbol"] for each in answer["symbols"]]


def info(client: FlaskClient, query: str) -> dict[str, Any]:
    answer = client.get(f"/tickers/info?{query}")
    assert answer.status_code == 200, answer.text
    known: dict[str, Any] = answer.json
    return known


@pytest.mark.parametrize("mode", Mode)
def test_every_listed_symbol_is_found_by_itself_and_by_its_names(client: FlaskClient, mode: Mode) -> None:
    every = set(found(client, f"mode={mode.value}&limit=10000"))
    assert set(listings(mode)) <= every
    for each in [*listings(mode).values()][::40]:
        for text in filter(None, (each.symbol, each.symbol.lower(), each.name, each.name_vi)):
            answer = client.get("/tickers/search", query_string={"q": text[:64], "mode": mode.value, "limit": 30})
            assert each.symbol in [one["symbol"] for one in (answer.json or {})["symbols"]], text


def test_there_are_as_many_stocks_as_are_listed(client: FlaskClient) -> None:
    answer = client.get("/tickers/search?limit=0").json
    assert answer
    assert answer["total"] > 1_544
    assert answer["symbols"] == []


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("q=vcb", "VCB"),
        ("q=VIETCOMBANK", "VCB"),
        ("q=hoa+sen", "HSG"),
        ("q=Hoa%20Sen", "HSG"),
        ("q=hoa+phat", "HPG"),
        ("q=H%C3%92A+PH%C3%81T", "HPG"),
        ("q=phat+hoa+tap+doan", "HPG"),
        ("q=bitcoin&mode=crypto", "BTC"),
        ("q=bitcoin&mode=all", "BTC"),
        ("q=house", "HOUSE"),
        ("q=empty", "EMPTY"),
        ("q=min", "MIN"),
        ("index=vn30&limit=1", "VCB"),
        ("sector=mine&q=ho", "HOUSE"),
        ("sector=steel", "HPG"),
        ("exchange=upcom&q=a32", "A32"),
    ],
)
def test_what_is_found_first(client: FlaskClient, query: str, first: str) -> None:
    assert found(client, query)[0] == first


def test_those_with_bars_come_first(client: FlaskClient) -> None:
    answer = client.get("/tickers/search?q=h&limit=10000").json
    assert answer
    has_bars = [each["has_bars"] for each in answer["symbols"]]
    assert has_bars == sorted(has_bars, reverse=True)
    assert 3 <= sum(has_bars) < len(has_bars)


@pytest.mark.parametrize(
    ("query", "is_kept"),
    [
        ("exchange=HNX", lambda each: each["exchange"] == "HNX"),
        ("exchange=CRYPTO&mode=all", lambda each: each["mode"] == "crypto"),
        ("sector=MINE", lambda each: each["sector"] == "MINE"),
        ("index=VN30", lambda each: "VN30" in each["indices"]),
        ("has_bars=true", lambda each: each["has_bars"]),
        ("has_bars=0&mode=all", lambda each: not each["has_bars"]),
        ("active=false", lambda each: each["status"] == "delisted"),
        ("active=1&q=bank", lambda each: each["status"] == "listed"),
    ],
)
def test_filters(client: FlaskClient, query: str, is_kept: Any) -> None:
    answer = client.get(f"/tickers/search?{query}&limit=10000").json
    assert answer
    every = client.get(f"/tickers/search?limit=10000&mode=all{'&q=bank' if 'q=bank' in query else ''}").json
    assert every
    wanted = [each["symbol"] for each in every["symbols"] if is_kept(each) and ("all" in query or each["mode"] == "vn")]
    assert sorted(each["symbol"] for each in answer["symbols"]) == sorted(wanted)
    assert wanted


@pytest.mark.parametrize("query", ["q=no+such+thing", "sector=NO_SUCH", "index=NO_SUCH", "q=vcb&exchange=UPCOM"])
def test_nothing_is_found(client: FlaskClient, query: str) -> None:
    assert client.get(f"/tickers/search?{query}").json == {"total": 0, "symbols": []}


def test_what_is_known_of_a_stock(client: FlaskClient) -> None:
    assert info(client, "symbol=vcb") == {
        "symbol": "VCB",
        "mode": "vn",
        "name": "Joint Stock Commercial Bank for Foreign Trade of Vietnam",
        "short_name": "Vietcombank",
        "name_vi": "Ngân hàng TMCP Ngoại thương Việt Nam",
        "exchange": "HOSE",
        "type": "stock",
        "sector": "MINE",  # the list of the settings
        "industry": "NGAN_HANG",
        "indices": ["VNINDEX", "VN30"],
        "currency": "VND",
        "status": "listed",
        "rank": None,
        "delisted": None,
        "former_names": [],
        "first_bar": "2015-01-05",
        "last_bar": "2015-01-09",
    }


@pytest.mark.parametrize(
    ("query", "facts"),
    [
        ("symbol=VNINDEX", {"type": "index", "currency": None, "first_bar": "2015-01-05"}),
        ("symbol=A32", {"exchange": "UPCOM", "first_bar": None, "last_bar": None}),
        ("symbol=BTC&mode=crypto", {"type": "coin", "rank": 1, "exchange": None, "last_bar": "2015-01-09"}),
        ("symbol=HOUSE", {"name": "HOUSE", "name_vi": None, "type": None, "sector": "MINE", "last_bar": "2015-01-09"}),
        ("symbol=EMPTY", {"sector": "MINE", "last_bar": None}),
        ("symbol=MIN", {"sector": None, "last_bar": None}),
        ("symbol=MATIC&mode=crypto", {"symbol": "POL", "former_names": ["MATIC"]}),
    ],
)
def test_facts_of_others(client: FlaskClient, query: str, facts: dict[str, object]) -> None:
    known = info(client, query)
    assert {name: known[name] for name in facts} == facts


def test_the_former_symbol_of_one_that_the_operator_renamed_is_found(
    client: FlaskClient, make_stores: MakeStores
) -> None:
    assert found(client, "q=OLDHOUSE") == []
    renamed = {"at_source": {}, "renamed": {"OLDHOUSE": "HOUSE", "OLDVCB": "VCB"}}
    (make_stores().settings.data_dir(Mode.VN) / "names.json").write_text(json.dumps(renamed))
    assert found(client, "q=oldhouse") == ["HOUSE"]
    assert found(client, "q=OLDVCB") == ["VCB"]


def test_a_former_name_is_told(client: FlaskClient) -> None:
    assert client.get("/tickers/info?symbol=MATIC&mode=crypto").headers["X-Renamed"] == "MATIC=POL"


@pytest.mark.parametrize(
    ("query", "mode"), [("symbol=NOSUCH", "vn"), ("symbol=BTC", "vn"), ("symbol=VCB&mode=crypto", "crypto")]
)
def test_a_symbol_that_nobody_knows_is_not_found(client: FlaskClient, query: str, mode: str) -> None:
    answer = client.get(f"/tickers/info?{query}")
    symbol = query.removeprefix("symbol=").partition("&")[0]
    expected = f"there is no symbol {symbol} (mode {mode}); allowed: a symbol that /tickers/search finds"
    assert (answer.status_code, answer.json) == (404, {"error": expected})
