"""The newest prices of a board: /tickers/snapshot."""

from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.calc.price_bands import price_band
from stockapi.markets import VN
from stockapi.models.bars import Bars
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from tests.support.stores import NOW, MakeStores, Stores, without_blocks

DAY_S = 86_400
TODAY = int(NOW.timestamp()) // DAY_S * DAY_S
"""2026-03-02, a Monday."""


def bars(closes: dict[int, float], step_s: int = DAY_S, mode: Mode = Mode.VN) -> Bars:
    """One bar for each: its time in steps from today on, and its close."""
    time = np.array([TODAY + number * step_s for number in closes], dtype=np.int64)
    close = np.array([*closes.values()])
    volume = np.arange(1, len(close) + 1) * 1_000
    made = Bars.of(time, np.vstack([close, close, close, close]), volume * (1.0 if mode is Mode.CRYPTO else 1))
    return enhance(made, mode, is_index=False)


def fill(stores: Stores) -> None:
    stores.save("VCB", bars({-4: 61_000, -3: 60_000, 0: 60_300}))
    stores.save("VCB", bars({120: 60_200, 300: 60_400}, 60), Interval.MINUTE)
    stores.save("SHS", bars({-3: 12_300, 0: 12_000}))  # of HNX
    stores.save("FPT", bars({-40: 90_000, -30: 91_000}))  # suspended
    stores.save("HPG", bars({0: 25_000}))  # its first day
    stores.save("OWN", bars({-3: 10_000, 0: 9_000}))
    stores.save("VNINDEX", bars({-3: 1_200.5, 0: 1_210.25}))
    stores.save("SSI", bars({120: 30_000}, 60), Interval.MINUTE)  # no day
    stores.save("BTC", bars({-1: 50_000.0, 0: 51_234.5}, mode=Mode.CRYPTO), mode=Mode.CRYPTO)


@pytest.fixture
def stores(make_stores: MakeStores) -> Stores:
    stores = make_stores()
    fill(stores)
    return stores


@pytest.fixture
def client(stores: Stores) -> FlaskClient:
    return create_app(stores.settings, clock=lambda: NOW).test_client()


def board(client: FlaskClient, query: str = "") -> dict[str, Any]:
    answer = client.get(f"/tickers/snapshot?{query}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json["tickers"]  # type: ignore[index]
    return found


def test_all_fields_of_a_stock(client: FlaskClient) -> None:
    assert board(client)["VCB"] == {
        "price": 60_300.0,
        "change": 300.0,
        "change_percent": 0.5,
        "open": 60_300.0,
        "high": 60_300.0,
        "low": 60_300.0,
        "volume": 3_000,
        "value": 180_900_000.0,
        "reference": 60_000,
        "ceiling": 64_200,
        "floor": 55_800,
        "newest_day": "2026-03-02",
        "previous_day": "2026-02-27",
        "newest_minute": "2026-03-02T05:00:00",
    }


@pytest.mark.parametrize(
    ("symbol", "facts"),
    [
        ("SHS", {"reference": 12_300, "ceiling": 13_500, "floor": 11_100, "newest_minute": None}),
        ("FPT", {"newest_day": "2026-01-31", "previous_day": "2026-01-21", "change": 1_000.0, "reference": 90_000}),
        ("HPG", {"change": None, "change_percent": None, "previous_day": None, "reference": None, "ceiling": None}),
        ("OWN", {"change": -1_000.0, "change_percent": -10.0, "reference": None, "floor": None}),
        ("VNINDEX", {"change": 9.75, "reference": None, "ceiling": None}),
    ],
)
def test_facts_of_others(client: FlaskClient, symbol: str, facts: dict[str, object]) -> None:
    found = board(client)[symbol]
    assert {name: found[name] for name in facts} == facts


def test_a_board_and_each_of_its_tickers_are_the_same(client: FlaskClient) -> None:
    every = board(client)
    assert list(every) == ["FPT", "HPG", "OWN", "SHS", "VCB", "VNINDEX"]
    assert board(client, f"symbol={','.join(every)},NOSUCH,SSI") == every
    for symbol, each in every.items():
        assert board(client, f"symbol={symbol}") == {symbol: each}


def test_its_numbers_are_those_of_the_bars(client: FlaskClient) -> None:
    answer = client.get("/tickers?limit=2").json
    assert answer
    for symbol, each in board(client).items():
        newest = answer[symbol][-1]
        assert (each["price"], each["volume"], each["newest_day"]) == (
            newest["close"],
            newest["volume"],
            newest["time"],
        )
        assert each["change_percent"] == newest.get("close_changed")
        if each["reference"] is not None:
            exchange = VN.exchanges["HNX" if symbol == "SHS" else "HOSE"]
            band = price_band(answer[symbol][-2]["close"], exchange)
            assert (each["reference"], each["ceiling"], each["floor"]) == band


def test_coins(client: FlaskClient) -> None:
    found = board(client, "mode=crypto")
    assert list(found) == ["BTC"]
    assert (found["BTC"]["change"], found["BTC"]["ceiling"]) == (1_234.5, None)
    assert client.get("/tickers/snapshot?mode=crypto").json["is_open"] is True  # type: ignore[index]


def test_a_sector(client: FlaskClient) -> None:
    assert list(board(client, "sector=ngan_hang")) == ["VCB"]
    assert list(board(client, "sector=NGAN_HANG&symbol=VCB,FPT")) == ["VCB"]
    assert board(client, "sector=no_such") == {}


def test_the_lunch_break_is_not_open(client: FlaskClient) -> None:
    assert client.get("/tickers/snapshot").json["is_open"] is False  # type: ignore[index]


def test_csv_answers_the_same(stores: Stores, make_stores: MakeStores) -> None:
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    from_sqlite = client.get("/tickers/snapshot")
    with without_blocks(stores):
        assert client.get("/tickers/snapshot").data == from_sqlite.data
    alone = make_stores(SQLITE_READS="false")
    from_csv = create_app(alone.settings, clock=lambda: NOW).test_client().get("/tickers/snapshot")
    assert from_csv.data == from_sqlite.data
    assert (from_sqlite.headers["X-Data-Source"], from_csv.headers["X-Data-Source"]) == ("sqlite", "csv")
