"""`indicators=`: the same numbers in every window, from either store, in every format."""

import csv
import io
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import orjson
import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from stockapi import create_app
from stockapi.api.queries.schemas import parse_tickers_query
from stockapi.config import Settings
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import ALLOWED_INTERVALS, Interval
from stockapi.models.mode import Mode
from stockapi.models.requested import names_of, parse_requested
from tests.support.stores import NOW, Stores, environment, make_bars

DAY, HOUR, MINUTE = Interval
COUNTS = {DAY: 1_900, HOUR: 1_200, MINUTE: 4_000}
TEXTS = ["rsi14", "macd", "bb(20,2.5)", "atr7", "vwap", "roc10", "stoch(5,3,3)", "obv"]
NAMES = names_of(sorted(map(parse_requested, TEXTS)))
SYMBOLS = {Mode.VN: "VCB", Mode.CRYPTO: "BTC"}
EVERY_INTERVAL = ALLOWED_INTERVALS.split(", ")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both markets in both stores, not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    for mode, interval in product(Mode, Interval):
        bars = make_bars(COUNTS[interval], interval, mode)
        without = np.arange(len(bars)) % 9 == 4
        bars.volume[without] = 0
        stores.save(SYMBOLS[mode], bars.without_indicators(), interval, mode)
    stores.save("FPT", make_bars(700, seed=2))
    stores.save("VNINDEX", make_bars(60, seed=3))
    stores.db_manager.close()
    return directory


def client_of(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables)), clock=lambda: NOW).test_client()


@pytest.fixture(scope="module")
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def get(client: FlaskClient, path: str = "/tickers", **query: object) -> Any:
    answer = client.get(path, query_string={name: value for name, value in query.items() if value is not None})
    assert answer.status_code == 200, answer.text
    return answer.json


@pytest.fixture(scope="module")
def whole(client: FlaskClient) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """All bars, by market and interval."""
    query = {"limit": 0, "time": "unix", "indicators": ",".join(TEXTS)}
    return {
        (mode.value, interval): get(client, mode=mode.value, interval=interval, symbol=symbol, **query)[symbol]
        for (mode, symbol), interval in product(SYMBOLS.items(), EVERY_INTERVAL)
    }


@settings(deadline=None, max_examples=120)
@given(
    mode=st.sampled_from(list(Mode)),
    interval=st.sampled_from(EVERY_INTERVAL),
    texts=st.sets(st.sampled_from(TEXTS), min_size=1),
    limit=st.one_of(st.none(), st.sampled_from([1, 2, 30, 700])),
    first=st.integers(0, 1_900),
    last=st.one_of(st.none(), st.integers(0, 1_900)),
    options=st.fixed_dictionaries(
        {},
        optional={
            "cache": st.just("false"),
            "ma": st.just("false"),
            "ema": st.just("true"),
            "shape": st.just("columns"),
            "closed": st.just("true"),
        },
    ),
)
def test_a_value_does_not_depend_on_what_else_is_asked_for(
    client: FlaskClient,
    whole: dict[tuple[str, str], list[dict[str, Any]]],
    mode: Mode,
    interval: str,
    texts: set[str],
    limit: int | None,
    first: int,
    last: int | None,
    options: dict[str, str],
) -> None:
    if "ma" in options:
        options.pop("ema", None)
    bars = whole[mode.value, interval]
    times = [bar["time"] for bar in bars]
    end = None if last is None else times[min(last, len(bars) - 1)]
    window = {"limit": limit} if limit else {"start_date": date_of(times[min(first, len(bars) - 1)])}
    query = {"mode": mode.value, "interval": interval, "symbol": SYMBOLS[mode], "time": "unix", **window, **options}
    found = get(client, indicators=",".join(texts), end_date=end and date_of(end), **query)
    if not found:
        assert (end is not None and limit is None) or "closed" in options
        return
    rows = rows_of(found[SYMBOLS[mode]])
    names = names_of(map(parse_requested, texts))
    expected = {bar["time"]: bar for bar in bars}
    # An aggregated bar that the end cuts is made of fewer bars.
    for row in rows[:-1] if end and interval not in ("1D", "1H", "1m") else rows:
        assert {name: row[name] for name in names if name in row} == {
            name: expected[row["time"]][name] for name in names if name in expected[row["time"]]
        }


def date_of(seconds: int) -> str:
    return str(np.datetime64(seconds, "s")) + "Z"


def rows_of(found: Any) -> list[dict[str, Any]]:
    """As rows, without what is absent."""
    if isinstance(found, list):
        return found
    columns = zip(*found.values(), strict=True)
    return [{name: value for name, value in zip(found, row, strict=True) if value is not None} for row in columns]


@pytest.mark.parametrize("interval", ["1D", "1m", "15m", "1W"])
@pytest.mark.parametrize("limit", [3, 200])
def test_every_format_has_the_same_numbers(client: FlaskClient, interval: str, limit: int) -> None:
    query = {"symbol": "VCB", "interval": interval, "indicators": ",".join(TEXTS), "limit": limit}
    rows = get(client, **query)["VCB"]
    assert list(rows[-1])[-len(NAMES) :] == list(NAMES)
    assert rows_of(get(client, shape="columns", **query)["VCB"]) == [
        {name: value for name, value in row.items() if name != "symbol"} for row in rows
    ]
    lines = client.get("/tickers", query_string={**query, "format": "ndjson"}).data.splitlines()
    assert [orjson.loads(line) for line in lines] == rows
    text = client.get("/tickers", query_string={**query, "format": "csv"}).text
    table = list(csv.DictReader(io.StringIO(text)))
    assert list(table[0])[-len(NAMES) :] == list(NAMES)
    assert [{name: float(row[name]) for name in NAMES if row[name]} for row in table] == [
        {name: row[name] for name in NAMES if name in row} for row in rows
    ]


def test_columns_name_them_too(client: FlaskClient) -> None:
    query = {"symbol": "VCB", "limit": 2, "indicators": "macd,rsi14,bb20"}
    rows = get(client, columns="macd_hist,time,RSI14,close", **query)["VCB"]
    assert [list(row) for row in rows] == [["time", "close", "rsi14", "macd_hist"]] * 2
    every = get(client, **query)["VCB"]
    assert rows == [{name: row[name] for name in ("time", "close", "rsi14", "macd_hist")} for row in every]
    only = get(client, columns="rsi14", shape="columns", **query)
    assert only == {"VCB": {"rsi14": [row["rsi14"] for row in every]}}
    bare = get(client, ma="false", **query)["VCB"]
    assert bare == [{name: value for name, value in row.items() if name not in INDICATOR_FIELDS} for row in every]
    usual = ",".join(name for name in every[0] if name not in NAMES and not name.startswith("bb20"))
    assert get(client, columns=usual, **query) == get(client, symbol="VCB", limit=2)


def test_order_and_duplicates_do_not_matter(client: FlaskClient) -> None:
    one = client.get("/tickers?symbol=VCB&limit=2&indicators=obv,rsi(14),RSI14&indicators=macd(12,26,9),macd")
    other = client.get("/tickers?symbol=VCB&limit=2&indicators=rsi14,macd,obv")
    assert one.status_code == 200
    assert one.data == other.data


def test_prices_in_thousands(client: FlaskClient) -> None:
    """What is a price is divided, what is none is not; indices are not."""
    query = {"symbol": "VCB,VNINDEX", "limit": 1, "indicators": ",".join(TEXTS)}
    full, legacy = get(client, **query), get(client, legacy="true", **query)
    assert legacy["VNINDEX"] == full["VNINDEX"]
    for name in NAMES:
        is_price = name.startswith(("macd", "bb", "atr", "vwap"))
        expected = full["VCB"][0][name] / (1_000 if is_price else 1)
        assert legacy["VCB"][0][name] == (round(expected, 5) if is_price else expected)


def test_both_markets_in_one_answer(client: FlaskClient) -> None:
    found = get(client, mode="all", symbol="VCB,BTC", limit=1, indicators="rsi14,obv")
    for mode, symbol in SYMBOLS.items():
        (alone,) = get(client, mode=mode.value, symbol=symbol, limit=1, indicators="rsi14,obv")[symbol]
        assert {name: found[symbol][0][name] for name in alone} == alone


@pytest.mark.parametrize("cache", ["true", "false"])
def test_earlier_bars_count_in_the_row_budget(directory: Path, cache: str) -> None:
    client = client_of(directory, MAX_RESPONSE_ROWS="1100")
    query: dict[str, object] = {"limit": 10, "cache": cache}
    assert get(client, symbol="VCB,FPT", indicators="rsi14", **query)
    assert get(client, symbol="FPT", indicators="obv", **query)
    for symbol, indicators, interval in (
        ("VCB,FPT,VNINDEX", "rsi14", "1D"),
        ("VCB", "obv", "1D"),
        ("VCB", "obv", "1M"),
        ("VCB", "rsi14", "5m"),
        ("VCB,FPT", "obv", "1D"),
    ):
        wanted = {"symbol": symbol, "indicators": indicators, "interval": interval, **query}
        answer = client.get("/tickers", query_string=wanted)
        assert (answer.status_code, answer.json) == (
            413,
            {
                "error": "the indicators of the answer need earlier bars, in all more than 1100 rows; "
                "ask for fewer symbols, a shorter start_date..end_date, a smaller limit or a longer interval"
            },
        ), wanted


def test_a_window_of_the_whole_history_is_large_by_what_it_reads(directory: Path) -> None:
    """With a limit of one bar. A large query is one that reads so many rows."""
    app = create_app(Settings.from_mapping(environment(directory, HEAVY_QUERY_ROWS="1500")), clock=lambda: NOW)
    cost = app.extensions["stockapi"].query_cost

    def is_large(query: str) -> bool:
        parsed = parse_tickers_query(MultiDict(parse_qsl(query)))
        return bool(cost.is_large(parsed.of_each_market, NOW, float("inf")))

    assert not is_large("symbol=VCB&limit=1&indicators=rsi14")
    assert is_large("symbol=VCB&limit=1&indicators=rsi200")
    assert is_large("symbol=VCB&limit=1&indicators=obv")
    assert not is_large("symbol=FPT&limit=1&indicators=obv")
    assert is_large("symbol=VCB,FPT,VNINDEX&limit=1&indicators=rsi14,macd(5,35,5)")
