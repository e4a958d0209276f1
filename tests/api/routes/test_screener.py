"""GET /analysis/screener, against the bars of /tickers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.database_manager import DatabaseManager
from tests.support.stores import FIRST_DAY, NOW, Stores, environment, make_bars

PATH = "/analysis/screener"
STOCKS = ("ACB", "FPT", "HPG", "SSI", "VCB")
DAYS = 600
OLD = "2016-06-01"
"""A day before the last one."""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both markets in both stores, not to be changed. HPG ends ten days before the others, NEW has three days."""
    directory = tmp_path_factory.mktemp("stores")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    for seed, symbol in enumerate((*STOCKS, "VNINDEX")):
        bars = make_bars(DAYS, seed=seed)
        stores.save(symbol, bars.take(slice(0, -10)) if symbol == "HPG" else bars)
        stores.save(symbol, make_bars(300, Interval.HOURLY, seed=seed), Interval.HOURLY)
    young = make_bars(DAYS, seed=9).take(slice(-3, None))
    stores.save("NEW", enhance(young.without_indicators(), Mode.VN, is_index=False))
    for seed, symbol in enumerate(("BTC", "ETH")):
        stores.save(symbol, make_bars(DAYS, mode=Mode.CRYPTO, seed=seed), mode=Mode.CRYPTO)
    stores.db_manager.close()
    return directory


def client_of(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables)), clock=lambda: NOW).test_client()


@pytest.fixture(scope="module")
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def get(client: FlaskClient, path: str = PATH, **query: object) -> Any:
    answer = client.get(path, query_string=query)
    assert answer.status_code == 200, answer.text
    return answer.json


def matches(client: FlaskClient, where: str, **query: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(client, where=where, **query)["data"]["matches"]
    return found


def symbols(rows: list[dict[str, Any]]) -> str:
    return " ".join(row["symbol"] for row in rows)


def last_bars(client: FlaskClient, **query: object) -> dict[str, dict[str, Any]]:
    """Those of /tickers: of stocks that traded on the newest day, without the index."""
    bars = get(client, "/tickers", limit=1, indicators="rsi14,macd,bb20,obv", **query)
    newest = {symbol: rows[0] for symbol, rows in bars.items() if symbol != "VNINDEX"}
    day = max(row["time"][:10] for row in newest.values())
    return {symbol: row for symbol, row in newest.items() if row["time"][:10] == day}


def test_the_form_of_an_answer(client: FlaskClient) -> None:
    answer = client.get(PATH, query_string={"where": "close>0 and rsi14>0", "limit": 2})
    body: Any = answer.json
    assert list(body) == ["analysis_date", "analysis_type", "total_analyzed", "data"]
    assert (body["analysis_date"], body["analysis_type"], body["total_analyzed"]) == ("latest", "screener", 5)
    assert list(body["data"]) == ["total", "matches"]
    assert (body["data"]["total"], len(body["data"]["matches"])) == (4, 2)
    names = ["symbol", "time", "open", "high", "low", "close", "volume", "value", *INDICATOR_FIELDS, "rsi14", "sector"]
    assert [list(row) for row in body["data"]["matches"]] == [names] * 2
    assert answer.headers["X-Data-Source"] == "sqlite"
    etag = answer.headers["ETag"]
    query = {"limit": 2, "where": "close>0 and rsi14>0"}
    assert client.get(PATH, query_string=query, headers={"If-None-Match": etag}).status_code == 304


@pytest.mark.parametrize(
    ("where", "is_match"),
    [
        ("close>ma200", lambda bar: "ma200" in bar and bar["close"] > bar["ma200"]),
        ("not close>ma200", lambda bar: "ma200" in bar and bar["close"] <= bar["ma200"]),
        ("close>ma200 or close<=ma200", lambda bar: "ma200" in bar),
        ("rsi14<50", lambda bar: "rsi14" in bar and bar["rsi14"] < 50),
        ("rsi14<50 and close_changed>0", lambda bar: bar.get("rsi14", 99) < 50 and bar["close_changed"] > 0),
        ("macd_hist>0 or volume<5e6", lambda bar: bar.get("macd_hist", -1) > 0 or bar["volume"] < 5e6),
        ("value>1e11", lambda bar: bar["close"] * bar["volume"] > 1e11),
        ("(high-low)/close>0.03", lambda bar: (bar["high"] - bar["low"]) / bar["close"] > 0.03),
        ("close>bb20_middle", lambda bar: "bb20_middle" in bar and bar["close"] > bar["bb20_middle"]),
        ("1<2", lambda bar: True),
        ("obv/0>1", lambda bar: False),
    ],
)
@pytest.mark.parametrize(
    "query",
    [{}, {"mode": "crypto"}, {"interval": "1H"}, {"interval": "1W"}, {"date": OLD}, {"interval": "1M", "date": OLD}],
    ids=str,
)
def test_those_whose_last_bar_meets_the_condition(
    client: FlaskClient, where: str, is_match: Callable[[dict[str, Any]], bool], query: dict[str, str]
) -> None:
    """An absent field meets no condition, under `not` neither."""
    asked = {("end_date" if name == "date" else name): value for name, value in query.items()}
    newest = last_bars(client, **asked)
    if query.get("interval") == "1W":
        newest.pop("HPG", None)  # its week is the same, but it did not trade on the newest day
    found = matches(client, where, **query)
    assert sorted(symbols(found).split()) == [symbol for symbol, bar in newest.items() if is_match(bar)]
    for row in found:
        bar = newest[row["symbol"]]
        same = {name: value for name, value in row.items() if name in bar and value is not None}
        assert same == {name: bar[name] for name in same}
        assert row["value"] == pytest.approx(bar["close"] * bar["volume"], abs=0.51)


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ({}, lambda row: -row["value"]),
        ({"direction": "asc"}, lambda row: row["value"]),
        ({"sort_by": "close"}, lambda row: -row["close"]),
        ({"sort_by": "rsi14", "direction": "asc"}, lambda row: row["rsi14"] or 999),
        ({"sort_by": "close/ma50"}, lambda row: -row["close"] / row["ma50"] if row["ma50"] else 999),
        ({"sort_by": "1"}, lambda row: row["symbol"]),
    ],
    ids=["usual", "rising", "close", "an indicator", "a sum", "nothing"],
)
def test_ranked_with_absent_ones_last(
    client: FlaskClient, query: dict[str, str], key: Callable[[dict[str, Any]], Any]
) -> None:
    rows = matches(client, "close>0", **query)
    assert len(rows) == 5
    assert rows == sorted(rows, key=key)
    assert matches(client, "close>0", limit=3, **query) == rows[:3]
    assert matches(client, "close>0", limit=0, **query) == []


def test_which_tickers_are_looked_at(client: FlaskClient) -> None:
    """Not the index, and of those that did not trade on the newest day none unless they are asked for."""
    assert symbols(matches(client, "close>0", sort_by="1")) == "ACB FPT NEW SSI VCB"
    assert symbols(matches(client, "close>0", sort_by="1", max_age_days=10)) == "ACB FPT HPG NEW SSI VCB"
    assert symbols(matches(client, "close>0", sort_by="1", max_age_days=9)) == "ACB FPT NEW SSI VCB"
    assert symbols(matches(client, "close>0", sort_by="1", sector="ngan_hang")) == "ACB VCB"
    assert symbols(matches(client, "close>0", sort_by="1", exchange="HOSE", sector="NGAN_HANG")) == "ACB VCB"
    assert symbols(matches(client, "rsi14>0", sort_by="1", index="VN30")) == "ACB FPT SSI VCB"
    assert symbols(matches(client, "close>0", sort_by="1", exchange="UPCOM")) == ""
    assert symbols(matches(client, "close>0", sort_by="1", sector="nonesuch")) == ""
    found = get(client, where="rsi14>101", sector="NGAN_HANG")
    assert (found["total_analyzed"], found["data"]) == (2, {"total": 0, "matches": []})


def test_indicators_that_the_condition_does_not_name(client: FlaskClient) -> None:
    (row,) = matches(client, "close>0 and rsi7>0", indicators="bb(20,2.5),rsi7", limit=1)
    assert [name for name in row if name.startswith(("bb", "rsi"))] == [
        *("rsi7", "bb20_2_5_upper", "bb20_2_5_middle", "bb20_2_5_lower")
    ]


def test_from_csv_alone_the_same(client: FlaskClient, directory: Path) -> None:
    csv = client_of(directory, SQLITE_READS="false")
    for where in ("close>ma200", "rsi14<50 and value>1e9"):
        answer = csv.get(PATH, query_string={"where": where})
        assert answer.json == get(client, where=where)
        assert answer.headers["X-Data-Source"] == "csv"


def test_indicators_are_computed_only_for_those_that_may_match(directory: Path) -> None:
    """The row budget counts what is read: 527 bars for each RSI."""
    narrow = client_of(directory, MAX_RESPONSE_ROWS="1500")
    assert narrow.get(PATH, query_string={"where": "rsi14>0"}).status_code == 413
    (first, *_) = sorted(matches(narrow, "close>0"), key=lambda row: -float(row["close"]))
    assert symbols(matches(narrow, f"rsi14>0 and close>={first['close']}")) == first["symbol"]


def test_a_large_screen_is_admitted_as_a_large_query(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    admitted = []
    monkeypatch.setattr("stockapi.api.http.admission._enter", lambda: admitted.append(1))
    client = client_of(directory, HEAVY_QUERY_ROWS="2000")
    assert matches(client, "close>ma200 or close<=ma200")
    assert admitted == []
    assert matches(client, "rsi14>0")
    assert admitted == [1]


def test_times_of_bars(client: FlaskClient) -> None:
    newest = FIRST_DAY + (DAYS - 1) * 86_400
    assert {row["time"] for row in matches(client, "close>0", time="unix")} == {newest}
    assert {len(row["time"]) for row in matches(client, "close>0", interval="1H")} == {len("2024-01-31T02:00:00")}


def test_a_missing_condition(client: FlaskClient) -> None:
    for query in ("", "?where=", "?sort_by=rsi14"):
        answer = client.get(f"{PATH}{query}")
        assert answer.status_code == 400
        assert answer.json == {
            "error": "where is missing; allowed: a condition such as close>ma200 and rsi14<30 and value>1e10"
        }


def test_a_market_without_bars(tmp_path: Path) -> None:
    (tmp_path / "market_data").mkdir()
    manager = DatabaseManager(Settings.from_mapping(environment(tmp_path)))
    manager.upgrade(Mode.VN)
    manager.close()
    for where in ("close>0", "rsi14>0"):
        assert get(client_of(tmp_path), where=where)["data"] == {"total": 0, "matches": []}
