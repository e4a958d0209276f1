"""The options of /tickers against the default answer, which is frozen here as text and is the model of all others."""

import csv
import gzip
import io
import json
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS, MA_PERIODS
from tests.support.stores import NOW, Stores, environment, make_bars

BARE = ["time", "open", "high", "low", "close", "volume", "symbol"]
FIRST_DAY = 1_704_067_200  # 2024-01-01

Bar = dict[str, Any]
Answer = dict[str, list[Bar]]


def eleven_days() -> Bars:
    """Ten closes of 10,000, then one of 11,000."""
    close = np.array([10_000.0] * 10 + [11_000.0])
    prices = np.vstack([np.full(11, 9_900.5), close + 100, np.full(11, 9_800.0), close])
    volume = np.array([100] * 10 + [150])
    return enhance(Bars.of(FIRST_DAY + np.arange(11) * 86_400, prices, volume), Mode.VN, is_index=False)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both markets are in both stores, ABC in either market; not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    stores.save("HAND", eleven_days())
    for mode, tickers in ((Mode.VN, ["VCB", "ABC", "VNINDEX"]), (Mode.CRYPTO, ["BTC", "ABC", "XRP"])):
        for seed, ticker in enumerate(tickers):
            stores.save(ticker, make_bars(230 - 100 * seed, mode=mode, seed=seed), mode=mode)
            stores.save(ticker, make_bars(60, Interval.MINUTE, mode, seed), Interval.MINUTE, mode)
    stores.db_manager.close()
    return directory


def client_of(directory: Path, **variables: str) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory, **variables)), clock=lambda: NOW).test_client()


@pytest.fixture(scope="module")
def client(directory: Path) -> FlaskClient:
    return client_of(directory)


def get(client: FlaskClient, query: str) -> TestResponse:
    answer = client.get(f"/tickers?{query}")
    assert answer.status_code == 200, answer.text
    return answer


# The default answer, to the last byte


def test_the_default_json_answer(client: FlaskClient) -> None:
    assert get(client, "symbol=HAND&limit=3").data == (
        b'{"HAND":[{"time":"2024-01-09","open":9900.5,"high":10100.0,"low":9800.0,"close":10000.0,"volume":100,'
        b'"symbol":"HAND","close_changed":0.0,"volume_changed":0.0,"total_money_changed":0.0},'
        b'{"time":"2024-01-10","open":9900.5,"high":10100.0,"low":9800.0,"close":10000.0,"volume":100,'
        b'"symbol":"HAND","ma10":10000.0,"ma10_score":0.0,"close_changed":0.0,"volume_changed":0.0,'
        b'"total_money_changed":0.0},'
        b'{"time":"2024-01-11","open":9900.5,"high":11100.0,"low":9800.0,"close":11000.0,"volume":150,'
        b'"symbol":"HAND","ma10":10100.0,"ma10_score":8.9109,"close_changed":10.0,"volume_changed":50.0,'
        b'"total_money_changed":150000.0}]}'
    )


def test_the_default_json_answer_of_an_aggregated_interval(client: FlaskClient) -> None:
    assert get(client, "symbol=HAND&interval=1W").data == (
        b'{"HAND":[{"time":"2024-01-01","open":9900.5,"high":10100.0,"low":9800.0,"close":10000.0,"volume":700,'
        b'"symbol":"HAND"},{"time":"2024-01-08","open":9900.5,"high":11100.0,"low":9800.0,"close":11000.0,'
        b'"volume":450,"symbol":"HAND","close_changed":10.0,"volume_changed":-35.7143,"total_money_changed":450000.0}]}'
    )


def test_the_default_csv_answer(client: FlaskClient) -> None:
    assert get(client, "symbol=HAND&limit=2&format=csv").data == (
        b"symbol,time,open,high,low,close,volume,ma10,ma20,ma50,ma100,ma200,ma10_score,ma20_score,ma50_score,"
        b"ma100_score,ma200_score,close_changed,volume_changed,total_money_changed\n"
        b"HAND,2024-01-10,9900.5,10100,9800,10000,100,10000,,,,,0,,,,,0,0,0\n"
        b"HAND,2024-01-11,9900.5,11100,9800,11000,150,10100,,,,,8.9109,,,,,10,50,150000\n"
    )


# The others, by hand


@pytest.mark.parametrize(
    ("options", "body"),
    [
        (
            "ma=false",
            '{"HAND":[{"time":"2024-01-11","open":9900.5,"high":11100.0,"low":9800.0,"close":11000.0,"volume":150,'
            '"symbol":"HAND"}]}',
        ),
        (
            "columns=ma10,time,close,ma200",
            '{"HAND":[{"time":"2024-01-11","close":11000.0,"ma10":10100.0}]}',
        ),
        (
            # 10000 + 2 / 11 of the difference; the score is against the average before it was rounded
            "columns=ma10,ma10_score,close_changed&ema=true",
            '{"HAND":[{"ma10":10181.82,"ma10_score":8.0357,"close_changed":10.0}]}',
        ),
        (
            "columns=time,close,ma10,ma20,symbol&shape=columns",
            '{"HAND":{"time":["2024-01-11"],"close":[11000.0],"ma10":[10100.0],"ma20":[null]}}',
        ),
        ("columns=symbol&shape=columns", '{"HAND":{}}'),
        ("columns=ma200", '{"HAND":[{}]}'),
        (
            "columns=time,volume&format=ndjson&limit=2",
            '{"time":"2024-01-10","volume":100}\n{"time":"2024-01-11","volume":150}\n',
        ),
        ("columns=ma200&format=ndjson&limit=2", "{}\n{}\n"),
        ("columns=volume,symbol,ma200&format=csv", "symbol,volume,ma200\nHAND,150,\n"),
        ("columns=ma200&format=csv&limit=2", 'ma200\n""\n""\n'),
        (
            "columns=time,close,mode&mode=all",
            '{"HAND":[{"time":"2024-01-11","close":11000.0,"mode":"vn"}]}',
        ),
        (
            "columns=time,mode&mode=all&shape=columns",
            '{"HAND":{"mode":"vn","time":["2024-01-11"]}}',
        ),
        ("columns=time,mode,symbol,close&mode=all&format=csv", "symbol,time,close,mode\nHAND,2024-01-11,11000,vn\n"),
        ("ma=false&mode=all&format=csv&limit=1&columns=mode", "mode\nvn\n"),
        ("time=iso&columns=time", '{"HAND":[{"time":"2024-01-11"}]}'),
        ("time=unix&columns=time", '{"HAND":[{"time":1704931200}]}'),
        ("time=ms&columns=time", '{"HAND":[{"time":1704931200000}]}'),
        ("time=MS&columns=time&interval=1M&format=csv", "time\n1704067200000\n"),
        ("time=unix&columns=time,close&shape=columns", '{"HAND":{"time":[1704931200],"close":[11000.0]}}'),
        ("time=plain&columns=time", '{"HAND":[{"time":"2024-01-11"}]}'),
        ("legacy=true&columns=close,ma10", '{"HAND":[{"close":11.0,"ma10":10.1}]}'),
        ("legacy=true&columns=close,ma10&ema=true", '{"HAND":[{"close":11.0,"ma10":10.18182}]}'),
    ],
)
def test_an_answer_by_hand(client: FlaskClient, options: str, body: str) -> None:
    more = "" if "limit" in options else "&limit=1"
    assert get(client, f"symbol=HAND&{options}{more}").text == body


# The matrix: every combination is what the default answer says it is


def default_answer(client: FlaskClient, query: str, mode: Mode) -> Answer:
    answer: Answer = get(client, f"{query}&mode={mode.value}").json
    return answer


def both_markets(client: FlaskClient, query: str) -> Answer:
    """The two default answers in one object."""
    answers = {mode: default_answer(client, query, mode) for mode in Mode}
    joined: Answer = {}
    for mode, answer in answers.items():
        for symbol, bars in answer.items():
            is_shared = all(symbol in each for each in answers.values())
            key = f"{mode.value}:{symbol}" if is_shared else symbol
            joined[key] = [with_mode(bar, mode) for bar in bars]
    return dict(sorted(joined.items()))


def with_mode(bar: Bar, mode: Mode) -> Bar:
    """After the symbol, before the indicators."""
    bare = {name: bar[name] for name in BARE}
    return bare | {"mode": mode.value} | bar


def keys_of(mode: str, options: str, columns: str) -> list[str]:
    keys = [*BARE, *(["mode"] if mode == "all" else []), *([] if options == "ma=false" else INDICATOR_FIELDS)]
    return [key for key in keys if not columns or key in columns.split(",")]


WINDOWS = (
    "interval=1D&limit=15",
    "interval=1D&start_date=2015-05-01&end_date=2015-06-20",
    "interval=1m&limit=12&legacy=true",
    "interval=5m&limit=5",
    "interval=1W&symbol=ABC,XRP,VNINDEX,NOSUCH",
    "symbol=NOSUCH",
)
COLUMNS = ("", "time,close", "symbol", "ma200,symbol,volume,ma10_score", "total_money_changed,time,high")


@cache
def models(client: FlaskClient, mode: str) -> list[tuple[str, list[str], Answer]]:
    """Query, keys of a bar and what is to be answered, for every combination of the options that change bars."""
    return list(combinations(client, mode))


def combinations(client: FlaskClient, mode: str) -> Iterator[tuple[str, list[str], Answer]]:
    for window, options in product(WINDOWS, ("", "ma=false", "ema=true")):
        base = f"{window}&ema=true" if options == "ema=true" else window
        full = both_markets(client, base) if mode == "all" else default_answer(client, base, Mode(mode))
        for columns in COLUMNS:
            keys = keys_of(mode, options, columns)
            if options == "ma=false" and set(columns.split(",")) & set(INDICATOR_FIELDS):
                continue  # refused
            bars = {
                key: [{name: bar[name] for name in keys if name in bar} for bar in bars] for key, bars in full.items()
            }
            yield f"{window}&{options}&mode={mode}{columns and f'&columns={columns}'}", keys, bars


def by_symbol(answer: Answer) -> list[Bar]:
    """The bars in the order of lines."""
    return [bar for key in sorted(answer, key=lambda key: key.partition(":")[2] or key) for bar in answer[key]]


MODES = pytest.mark.parametrize("mode", ["vn", "crypto", "all"])


@MODES
def test_the_models_are_not_of_nothing(client: FlaskClient, mode: str) -> None:
    found = [answer for _, _, answer in models(client, mode)]
    assert sum(map(bool, found)) > len(found) / 2
    assert any(len(bars) > 10 for answer in found for bars in answer.values())


@MODES
def test_rows(client: FlaskClient, mode: str) -> None:
    for query, _, model in models(client, mode):
        answer = get(client, query)
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(answer.data, object_pairs_hook=list) == pairs_of(model), query


def pairs_of(answer: Answer) -> list[tuple[str, list[list[tuple[str, object]]]]]:
    """As `json` reads an object when order counts."""
    return [(key, [list(bar.items()) for bar in bars]) for key, bars in answer.items()]


@MODES
def test_columns(client: FlaskClient, mode: str) -> None:
    for query, keys, model in models(client, mode):
        expected = []
        for symbol, bars in model.items():
            arrays: list[tuple[str, object]] = [("mode", bars[0]["mode"])] if "mode" in keys else []
            arrays += [(key, [bar.get(key) for bar in bars]) for key in keys if key not in ("symbol", "mode")]
            expected.append((symbol, arrays))
        answer = get(client, f"{query}&shape=columns")
        assert answer.headers["Content-Type"] == "application/json"
        assert json.loads(answer.data, object_pairs_hook=list) == expected, query


@MODES
def test_ndjson(client: FlaskClient, mode: str) -> None:
    for query, _, model in models(client, mode):
        answer = get(client, f"{query}&format=ndjson")
        assert answer.headers["Content-Type"] == "application/x-ndjson"
        assert answer.text.count("\n") == sum(map(len, model.values()))
        assert answer.text.endswith("\n") or not answer.text
        lines = [json.loads(line, object_pairs_hook=list) for line in answer.text.splitlines()]
        assert lines == [list(bar.items()) for bar in by_symbol(model)], query


@MODES
def test_csv(client: FlaskClient, mode: str) -> None:
    for query, keys, model in models(client, mode):
        header, *rows = csv.reader(io.StringIO(get(client, f"{query}&format=csv").text))
        assert header == sorted(keys, key=lambda key: {"symbol": -1, "mode": 1}.get(key, 0))
        assert [
            {name: as_json(name, text) for name, text in zip(header, row, strict=True) if text} for row in rows
        ] == by_symbol(model), query


def as_json(name: str, text: str) -> object:
    return text if name in ("time", "symbol", "mode") else float(text)


@MODES
def test_csv_files_give_the_same_answers(client: FlaskClient, mode: str) -> None:
    """Byte for byte, whatever the options; and no option changes which store answers."""
    for query, _, _ in models(client, mode):
        if "columns=" in query:
            continue  # of the same bars
        for form in ("format=json", "shape=columns", "format=ndjson", "format=csv"):
            fast, slow = get(client, f"{query}&{form}"), get(client, f"{query}&{form}&cache=false")
            assert fast.data == slow.data, query
            assert slow.headers["X-Data-Source"] == "csv"


@MODES
@pytest.mark.parametrize("form", ["format=json", "format=ndjson", "format=csv", "shape=columns"])
@pytest.mark.parametrize("window", ["interval=1m&limit=0&legacy=true", "interval=5m", "interval=1D", "interval=1W"])
def test_times_in_another_form_and_nothing_else(client: FlaskClient, mode: str, form: str, window: str) -> None:
    """The default answer with its times replaced, byte for byte."""
    for query in (f"mode={mode}&{window}&{form}", f"mode={mode}&{window}&{form}&columns=time,symbol,ma10"):
        default = get(client, query)
        for time in ("iso", "unix", "ms"):
            answer = get(client, f"{query}&time={time}")
            assert answer.text == TIME.sub(partial(in_form, time, "csv" not in form), default.text)
            assert (answer.headers["ETag"] == default.headers["ETag"]) is (answer.text == default.text)
            assert get(client, f"{query}&time={time}&cache=false").data == answer.data


TIME = re.compile(r'"?(\d{4}-\d\d-\d\d)(T\d\d:\d\d:\d\d)?"?')


def in_form(form: str, has_quotes: bool, match: re.Match[str]) -> str:
    moment = datetime.fromisoformat(match[1] + (match[2] or "")).replace(tzinfo=UTC)
    if form != "iso":
        return str(int(moment.timestamp()) * (1 if form == "unix" else 1000))
    text = moment.strftime("%Y-%m-%dT%H:%M:%SZ") if match[2] else match[1]
    return f'"{text}"' if has_quotes else text


def test_exponential_averages(client: FlaskClient) -> None:
    """By the recurrence of their definition, over the closes of the answer."""
    bars = get(client, "symbol=VCB&ema=true&limit=1000").json["VCB"]
    simple = get(client, "symbol=VCB&limit=1000").json["VCB"]
    assert [list(bar) for bar in bars] == [list(bar) for bar in simple]
    for period in MA_PERIODS:
        average = sum(bar["close"] for bar in bars[:period]) / period
        for bar in bars[period:]:
            average += 2 / (period + 1) * (bar["close"] - average)
            assert bar[f"ma{period}"] == pytest.approx(average, abs=0.00501)
            assert bar[f"ma{period}_score"] == pytest.approx((bar["close"] - average) / average * 100, abs=0.0000501)


# Both markets


def test_a_symbol_of_both_markets_has_two_keys_and_one_name(client: FlaskClient) -> None:
    answer = get(client, "mode=all&limit=1").json
    assert list(answer) == ["BTC", "HAND", "VCB", "VNINDEX", "XRP", "crypto:ABC", "vn:ABC"]
    assert [(bar["symbol"], bar["mode"]) for key in ("crypto:ABC", "vn:ABC") for bar in answer[key]] == [
        ("ABC", "crypto"),
        ("ABC", "vn"),
    ]
    lines = get(client, "mode=all&limit=1&format=csv&columns=symbol,mode").text.split()
    assert lines[1:] == ["ABC,crypto", "ABC,vn", "BTC,crypto", "HAND,vn", "VCB,vn", "VNINDEX,vn", "XRP,crypto"]


def test_a_symbol_is_qualified_only_when_both_markets_have_bars_in_range(client: FlaskClient) -> None:
    """The daily bars of HAND are from 2024, those of all others from 2015."""
    assert list(get(client, "mode=all&start_date=2024-01-01&symbol=HAND,ABC").json) == ["HAND"]


def test_legacy_is_for_stocks_only(client: FlaskClient) -> None:
    query = "mode=all&limit=1&columns=close"
    plain, legacy = get(client, query).json, get(client, f"{query}&legacy=true").json
    assert legacy["vn:ABC"][0]["close"] == pytest.approx(plain["vn:ABC"][0]["close"] / 1000)
    for key in ("crypto:ABC", "BTC", "VNINDEX"):
        assert legacy[key] == plain[key]


def test_the_source_is_mixed_when_the_markets_differ(directory: Path, tmp_path: Path) -> None:
    client = client_of(directory, CRYPTO_DATABASE_PATH=str(tmp_path / "none.db"))
    sources = [get(client, f"mode={mode}&limit=1").headers["X-Data-Source"] for mode in ("vn", "crypto", "all")]
    assert sources == ["sqlite", "csv", "mixed"]


@pytest.mark.parametrize(("budget", "status"), [("7", 200), ("6", 413)])
def test_one_row_budget_for_both_markets(directory: Path, budget: str, status: int) -> None:
    answer = client_of(directory, MAX_RESPONSE_ROWS=budget).get("/tickers?mode=all&limit=1")
    assert answer.status_code == status
    if status == 413:
        assert answer.json["error"].startswith("the answer would have more than 6 rows; ask for fewer symbols")


def test_a_market_that_cannot_answer_is_not_left_out(directory: Path, tmp_path: Path) -> None:
    client = client_of(directory, CRYPTO_DATABASE_PATH=str(tmp_path / "none.db"), FALLBACK_TO_CSV="false")
    assert [client.get(f"/tickers?mode={mode}").status_code for mode in ("vn", "crypto", "all")] == [200, 503, 503]


@pytest.mark.parametrize("path", ["/tickers/group", "/adjustments"])
def test_no_other_route_has_both_markets(client: FlaskClient, path: str) -> None:
    answer = client.get(f"{path}?mode=all")
    assert answer.status_code == 400
    assert answer.json["error"].startswith("mode 'all' is unknown; allowed: vn, crypto (")


# Headers, errors, the performance line


@pytest.mark.parametrize(
    "options", ["shape=columns", "format=ndjson", "mode=all", "ma=false", "ema=true", "columns=time"]
)
def test_headers_are_those_of_the_default_answer(client: FlaskClient, options: str) -> None:
    default, answer = get(client, "limit=30"), get(client, f"limit=30&{options}")
    assert set(answer.headers.keys()) == set(default.headers.keys())
    for name in ("Cache-Control", "X-Data-Source"):
        assert answer.headers[name] == default.headers[name]
    assert default.headers["Vary"] == "Accept, Accept-Encoding"  # without `format`, that header may choose it
    assert answer.headers["Vary"] == ("Accept-Encoding" if "format=" in options else default.headers["Vary"])
    assert answer.headers["ETag"] != default.headers["ETag"]
    again = client.get(f"/tickers?limit=30&{options}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    packed = client.get(f"/tickers?limit=30&{options}", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == answer.data


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("columns=time,id", "columns 'id' is not allowed; allowed: time, open, high, low, close, volume, symbol"),
        ("columns=mode", "columns mode are not in this answer"),
        ("ma=false&ema=true", "ma=false and ema=true do not go together"),
        ("ma=no", "ma 'no' is not allowed; allowed: true, 1, false, 0"),
        ("shape=columns&format=csv", "shape=columns does not go with format=csv"),
        ("mode=both", "mode 'both' is not allowed; allowed: vn, crypto, stock, stocks, cryptos, all"),
    ],
)
def test_a_wrong_option_is_400(client: FlaskClient, query: str, text: str) -> None:
    answer = client.get(f"/tickers?{query}")
    assert answer.status_code == 400
    assert answer.json["error"].startswith(text)


def test_one_line_for_both_markets(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stockapi.api")
    answer = get(client, "mode=all&limit=2&shape=columns&symbol=ABC,VCB")
    (record,) = caplog.records
    fields = dict(part.split("=") for part in record.getMessage().split(" "))
    assert float(fields.pop("sqlite_ms")) + float(fields.pop("csv_ms")) <= float(fields.pop("ms"))
    assert int(fields.pop("bytes")) == len(answer.data)
    assert fields == {
        "endpoint": "/tickers",
        "status": "200",
        "mode": "all",
        "interval": "1D",
        "tickers": "3",
        "rows": "6",
        "source": "sqlite",
    }
