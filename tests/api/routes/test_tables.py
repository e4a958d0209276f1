"""`format=csv` of /analysis and /tickers/coverage: the rows are those of JSON, laid flat."""

import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.config import Settings
from stockapi.models import Interval, Mode
from tests.support.stores import NOW, Stores, environment, make_bars

Row = dict[str, Any]
HOSTILE = '=cmd|" /C calc"!A0,x'
"""The name of a sector in a list of one's own: a formula, a comma, quotes."""
TOP, SECTORS, RRG = "/analysis/top-performers", "/analysis/ma-scores-by-sector", "/analysis/rrg"
SCREENER = "/analysis/screener"
PROFILE, COVERAGE = "/analysis/volume-profile", "/tickers/coverage"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> FlaskClient:
    directory = tmp_path_factory.mktemp("stores")
    (directory / "groups.json").write_text(
        json.dumps({HOSTILE: ["VCB", "FPT"], "BANKS": ["VCB", "SHORT"], "EMPTY": ["X"]})
    )
    variables = environment(directory, TICKER_GROUPS_FILE=str(directory / "groups.json"))
    stores = Stores.of(Settings.from_mapping(variables))
    for seed, (ticker, count) in enumerate({"VCB": 120, "FPT": 120, "SHORT": 12, "VNINDEX": 120}.items()):
        stores.save(ticker, make_bars(120, seed=seed).tail(count))
    for seed, ticker in enumerate(("VCB", "FPT")):
        hours = make_bars(3, Interval.HOURLY, seed=seed)
        stores.save(ticker, replace(hours, time=hours.time + 119 * 86_400), Interval.HOURLY)
        stores.save(ticker, make_bars(40, Interval.MINUTE, seed=seed), Interval.MINUTE)
    for seed, ticker in enumerate(("BTC", "ETH")):
        stores.save(ticker, make_bars(30, mode=Mode.CRYPTO, seed=seed), mode=Mode.CRYPTO)
    holes = make_bars(40, seed=9)
    stores.save("HOLES", holes.take(holes.time % 7 != 3))
    stores.db_manager.close()
    return create_app(stores.settings, clock=lambda: NOW).test_client()


def get(client: FlaskClient, url: str) -> TestResponse:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return answer


def performers(answer: Any) -> list[Row]:
    lists = ("performers", "worst_performers")
    rows = [{"list": name, **each} for name in lists for each in answer["data"][name]]
    if answer["data"]["hourly"] is None:
        return rows
    of_hours = [
        {"list": name, **each, "hour": hour["hour"]}
        for hour in answer["data"]["hourly"]
        for name in lists
        for each in hour[name]
    ]
    return [{**row, "hour": None} for row in rows] + of_hours


def sectors(answer: Any) -> list[Row]:
    names = ("symbol", "time", "close", "volume", "ma_value", "ma_score", "close_changed", "volume_changed")
    nobody = [dict.fromkeys(names)]
    return [
        {**{name: value for name, value in sector.items() if name != "top_stocks"}, **stock}
        for sector in answer["data"]["sectors"]
        for stock in sector["top_stocks"] or nobody
    ]


def points(answer: Any) -> list[Row]:
    rows = []
    for ticker in answer["data"]["tickers"]:
        newest = {name: value for name, value in ticker.items() if name != "trails"}
        kept = {"symbol": ticker["symbol"], "sector": ticker["sector"]}
        rows += [dict.fromkeys(newest) | kept | point for point in (ticker["trails"] or [])[:-1]] + [newest]
    return rows


def matches(answer: Any) -> list[Row]:
    rows: list[Row] = answer["data"]["matches"]
    return rows


def bins(answer: Any) -> list[Row]:
    data = answer["data"]
    area = data["value_area"]
    return [
        {
            "symbol": data["symbol"],
            **each,
            "is_poc": each["price"] == data["poc"]["price"],
            "in_value_area": area["low"] <= each["price"] <= area["high"],
        }
        for each in data["profile"]
    ]


def tickers(answer: Any) -> list[Row]:
    return [
        {
            "symbol": symbol,
            **each,
            "gaps": len(each["gaps"]),
            "missing_days": sum(gap["days"] for gap in each["gaps"]),
        }
        for symbol, each in answer.items()
    ]


def text_of(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return f"'{value}" if value.startswith("=") else value
    return str(value)


def same(text: str, value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(text) == value if is_number else text == text_of(value)


@pytest.mark.parametrize(
    ("url", "flat", "fewest"),
    [
        (f"{TOP}?min_volume=0", performers, 4),
        (f"{TOP}?min_volume=0&limit=1&direction=asc", performers, 2),
        (f"{TOP}?min_volume=0&with_hour=true&limit=2", performers, 8),
        (f"{TOP}?min_volume=0&with_hour=true&limit=1&time=ms", performers, 4),
        (f"{TOP}?min_volume=0&mode=crypto&with_hour=true", performers, 4),
        (f"{TOP}?date=2000-01-01", performers, 0),
        (f"{SECTORS}?ma_period=10", sectors, 4),
        (f"{SECTORS}?ma_period=50&time=unix", sectors, 3),
        (f"{SECTORS}?top_per_sector=0", sectors, 1),
        (f"{SECTORS}?date=2000-01-01", sectors, 0),
        (f"{RRG}?min_volume=0&period=5&trails=3", points, 6),
        (f"{RRG}?min_volume=0&period=5&trails=0&time=ms", points, 2),
        (f"{RRG}?min_volume=0&algorithm=mascore&trails=2", points, 2),
        (f"{RRG}?date=2015-01-06", points, 0),
        (f"{SCREENER}?where=close>0", matches, 3),
        (f"{SCREENER}?where=close>0+and+not+rsi7>101&indicators=bb20&time=ms", matches, 2),
        (f"{SCREENER}?where=close<0&mode=crypto", matches, 0),
        (f"{PROFILE}?symbol=VCB&date=latest", bins, 20),
        (f"{PROFILE}?symbol=FPT&date=latest&bins=3&value_area_pct=60", bins, 3),
        (COVERAGE, tickers, 5),
        (f"{COVERAGE}?symbol=HOLES&time=ms", tickers, 1),
        (f"{COVERAGE}?interval=1m&symbol=VCB,FPT", tickers, 2),
        (f"{COVERAGE}?symbol=NOSUCH", tickers, 0),
    ],
)
def test_the_rows_are_those_of_json(
    client: FlaskClient, url: str, flat: Callable[[Any], list[Row]], fewest: int
) -> None:
    expected = flat(get(client, url).json)
    answer = get(client, f"{url}{'&' if '?' in url else '?'}format=csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["X-Data-Source"] == get(client, url).headers["X-Data-Source"]
    columns, *rows = csv.reader(io.StringIO(answer.text, newline=""))
    assert len(rows) == len(expected) >= fewest
    for row, wanted in zip(rows, expected, strict=True):
        assert columns == list(wanted)
        assert [(name, text) for name, text in zip(columns, row, strict=True) if not same(text, wanted[name])] == []


def test_a_table_without_rows_has_the_same_header(client: FlaskClient) -> None:
    for full, empty in (("ma_period=10", "date=2000-01-01"),):
        one, other = (get(client, f"{SECTORS}?{query}&format=csv").text.split("\n", 1)[0] for query in (full, empty))
        assert one == other


def test_no_name_of_a_sector_is_a_formula(client: FlaskClient) -> None:
    text = get(client, f"{SECTORS}?format=csv&ma_period=50&top_per_sector=0").text
    assert '\n"\'=cmd|"" /C calc""!A0,x",2,' in text


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (f"{TOP}?format=csv", "top_performers.csv"),
        (f"{SECTORS}?format=csv", "ma_scores_by_sector.csv"),
        (f"{RRG}?format=csv", "rrg.csv"),
        (f"{SCREENER}?where=close>0&format=csv", "screener.csv"),
        (f"{PROFILE}?symbol=VCB&date=latest&format=csv", "volume_profile.csv"),
        (f"{COVERAGE}?format=csv&interval=hourly", "coverage_1H.csv"),
    ],
)
def test_http_says_of_it_what_it_says_of_json(client: FlaskClient, url: str, name: str) -> None:
    answer = get(client, url)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    assert client.get(url, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert dict(client.head(url).headers) == dict(answer.headers)
    assert "Content-Disposition" not in get(client, url.replace("format=csv", "format=JSON")).headers
    wrong = client.get(url.replace("format=csv", "format=ndjson"))
    assert (wrong.status_code, wrong.json) == (400, {"error": "format 'ndjson' is not allowed; allowed: json, csv"})
    assert client.get(url.replace("format=csv", "formt=csv")).status_code == 400


def test_errors_stay_json(client: FlaskClient) -> None:
    answer = client.get(f"{PROFILE}?symbol=NOSUCH&date=latest&format=csv")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json["error"].startswith("there are no minute bars of NOSUCH")
