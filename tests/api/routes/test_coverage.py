"""GET /tickers/coverage over HTTP."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode
from tests.support.stores import Stores

TRADING = datetime(2024, 3, 4, 3, 0, tzinfo=UTC)  # a Monday, 10:00 in Vietnam
CLOSED = datetime(2024, 3, 9, 3, 0, tzinfo=UTC)


def bars_at(mode: Mode, *texts: str) -> Bars:
    time = np.array(texts, dtype="datetime64[s]").astype(np.int64)
    volume = np.ones(len(time), dtype=np.int64 if market_of(mode).has_whole_volume else np.float64)
    return Bars.of(time, np.ones((4, len(time))), volume)


@pytest.fixture
def client(stores: Stores) -> FlaskClient:
    days = ("2024-03-04", "2024-03-06", "2024-03-11", "2024-03-14")
    stores.save("VCB", bars_at(Mode.VN, *days))
    stores.save("ACB", bars_at(Mode.VN, *days[2:3]))
    minutes = ("2024-03-04T02:15:00", "2024-03-04T07:45:00", "2024-03-06T02:15:00")
    stores.save("VCB", bars_at(Mode.VN, *minutes), Interval.MINUTE)
    stores.save("BTC", bars_at(Mode.CRYPTO, "2024-03-08", "2024-03-10"), mode=Mode.CRYPTO)
    return create_app(stores.settings, clock=lambda: TRADING).test_client()


def answer(client: FlaskClient, path: str) -> Any:
    response = client.get(path)
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    return response.json


def gap(first: str, last: str, days: int) -> dict[str, object]:
    return {"first": first, "last": last, "days": days}


def test_first_last_count_and_gaps_of_every_ticker(client: FlaskClient) -> None:
    found = answer(client, "/tickers/coverage")
    assert list(found) == ["ACB", "VCB"]
    assert list(found["VCB"]) == ["first", "last", "count", "idle_days", "gaps"]
    assert found == {
        "ACB": {"first": "2024-03-11", "last": "2024-03-11", "count": 1, "idle_days": 0, "gaps": []},
        "VCB": {
            "first": "2024-03-04",
            "last": "2024-03-14",
            "count": 4,
            "idle_days": 0,
            "gaps": [
                gap("2024-03-05", "2024-03-05", 1),
                gap("2024-03-07", "2024-03-08", 2),
                gap("2024-03-12", "2024-03-13", 2),
            ],
        },
    }


@pytest.mark.parametrize(
    ("query", "first", "last"),
    [
        ("interval=1m&time=iso", "2024-03-04T02:15:00Z", "2024-03-06T02:15:00Z"),
        ("interval=1m&time=unix", 1_709_518_500, 1_709_691_300),
        ("interval=1m&time=ms", 1_709_518_500_000, 1_709_691_300_000),
        ("time=iso", "2024-03-04", "2024-03-14"),
        ("time=unix", 1_709_510_400, 1_710_374_400),
    ],
)
def test_times_of_bars_in_the_form_asked_for(client: FlaskClient, query: str, first: object, last: object) -> None:
    """The days of gaps stay dates."""
    found = answer(client, f"/tickers/coverage?symbol=VCB&{query}")["VCB"]
    assert (found["first"], found["last"]) == (first, last)
    assert found["gaps"][0] == gap("2024-03-05", "2024-03-05", 1)


@pytest.mark.parametrize("interval", ["1m", "minute"])
def test_minutes_have_times_and_their_gaps_days(client: FlaskClient, interval: str) -> None:
    assert answer(client, f"/tickers/coverage?interval={interval}") == {
        "VCB": {
            "first": "2024-03-04T02:15:00",
            "last": "2024-03-06T02:15:00",
            "count": 3,
            "idle_days": 0,
            "gaps": [gap("2024-03-05", "2024-03-05", 1)],
        }
    }


@pytest.mark.parametrize(
    ("now", "acb", "vcb"),
    [
        ("2024-03-14T16:59", 2, 0),
        ("2024-03-15T08:00", 3, 0),
        ("2024-03-18T08:00", 4, 1),
        ("2025-03-18T08:00", 253, 250),
    ],
)
def test_a_ticker_that_no_longer_trades_shows_for_how_many_sessions(
    stores: Stores, client: FlaskClient, now: str, acb: int, vcb: int
) -> None:
    del client  # it has filled the stores
    then = datetime.fromisoformat(f"{now}:00+00:00")
    found = answer(create_app(stores.settings, clock=lambda: then).test_client(), "/tickers/coverage")
    assert {symbol: each["idle_days"] for symbol, each in found.items()} == {"ACB": acb, "VCB": vcb}


def test_coins_have_gaps_at_weekends(client: FlaskClient) -> None:
    assert answer(client, "/tickers/coverage?mode=cryptos&symbol=btc")["BTC"]["gaps"] == [
        gap("2024-03-09", "2024-03-09", 1)
    ]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("symbol=vcb", ["VCB"]),
        ("symbol=VCB,ACB&symbol=VCB", ["ACB", "VCB"]),
        ("symbol=VCB,NOSUCH", ["VCB"]),
        ("symbol=NOSUCH", []),
        ("interval=1H", []),
        ("symbol=ACB&interval=1m", []),
        ("symbol=VCB&mode=crypto", []),
        ("nobody=knows", ["ACB", "VCB"]),
    ],
)
def test_what_is_asked_for_and_nothing_else(client: FlaskClient, query: str, expected: list[str]) -> None:
    assert list(answer(client, f"/tickers/coverage?{query}")) == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("interval=5m", "interval '5m' is not allowed; allowed: 1D, 1H, 1m"),
        ("interval=1M", "interval '1M' is not allowed; allowed: 1D, 1H, 1m"),
        ("interval=2D", "interval '2D' is not allowed; allowed: 1D, 1H, 1m"),
        ("interval=1D&interval=1H", "interval is given 2 times; allowed: once"),
        ("symbol=../etc", "symbol '../etc' is not allowed"),
        ("mode=all", "mode 'all' is unknown; allowed: vn, crypto"),
    ],
)
def test_a_wrong_parameter_is_400(client: FlaskClient, query: str, text: str) -> None:
    response = client.get(f"/tickers/coverage?{query}")
    assert response.status_code == 400
    assert list(response.json) == ["error"]  # type: ignore[arg-type]
    assert text in response.json["error"]  # type: ignore[index]


@pytest.mark.parametrize(("now", "max_age_s"), [(TRADING, 30), (CLOSED, 120)])
def test_it_may_be_kept_as_long_as_bars(client: FlaskClient, stores: Stores, now: datetime, max_age_s: int) -> None:
    response = create_app(stores.settings, clock=lambda: now).test_client().get("/tickers/coverage")
    assert response.headers["Cache-Control"] == f"max-age={max_age_s}"


def test_a_client_that_has_it_gets_304_until_something_changes(client: FlaskClient, stores: Stores) -> None:
    tag = client.get("/tickers/coverage").headers["ETag"]
    again = client.get("/tickers/coverage", headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["X-Data-Source"]) == (304, b"", "sqlite")
    stores.save("ACB", bars_at(Mode.VN, "2024-03-12"))
    assert client.get("/tickers/coverage", headers={"If-None-Match": tag}).status_code == 200


def test_without_the_database_csv_gives_the_same(client: FlaskClient, stores: Stores) -> None:
    before = client.get("/tickers/coverage")
    stores.db_manager.close()
    stores.settings.vn_database_path.unlink()
    after = client.get("/tickers/coverage")
    assert (before.headers["X-Data-Source"], after.headers["X-Data-Source"]) == ("sqlite", "csv")
    assert before.data == after.data


def test_without_any_store_it_is_503_never_an_empty_object(stores: Stores) -> None:
    response = create_app(stores.settings).test_client().get("/tickers/coverage")
    assert response.status_code == 503
    assert response.json == {"error": "the market data cannot be read right now; try again shortly"}
