import csv
import gzip
import io
import json
import math
from http import HTTPStatus

import brotli
import numpy as np
import pytest
from backports import zstd
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.api.http import compression, responses
from stockapi.api.http.responses import KeyedBars
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import AggregatedInterval, AnyInterval, Interval
from stockapi.models.mode import Mode
from stockapi.models.timestamps import TimeStyle

DEFAULT_FIELDS = ("time", "open", "high", "low", "close", "volume", "symbol", *INDICATOR_FIELDS)
DECODERS = {"gzip": gzip.decompress, "br": brotli.decompress, "zstd": zstd.decompress}
LONG = [b'{"a":"', b"x" * 5_000, b'"}']
SHORT = [b'{"a":"', b"x" * 900, b'"}']


def bars(count: int, *, indicators: np.ndarray | None = None, whole_volume: bool = True) -> Bars:
    step = np.arange(count)
    volume = step * 100 + 1 if whole_volume else step + 0.25
    return Bars.of(1_704_153_600 + step * 86_400, 60_300.0 + np.arange(4)[:, None] + step, volume, indicators)


def listed(series: dict[str, Bars], mode: Mode = Mode.VN) -> list[KeyedBars]:
    return [KeyedBars(symbol, symbol, mode, each) for symbol, each in series.items()]


def as_json(series: dict[str, Bars], interval: AnyInterval = Interval.DAILY) -> dict[str, list[dict[str, object]]]:
    body = responses.json_body(listed(series), TimeStyle.of(interval), DEFAULT_FIELDS)
    value: dict[str, list[dict[str, object]]] = json.loads(b"".join(body))
    return value


def test_a_bar_has_its_keys_in_the_order_of_the_contract() -> None:
    full = bars(1, indicators=np.arange(13.0).reshape(13, 1))
    (bar,) = as_json({"VCB": full})["VCB"]
    assert list(bar) == ["time", "open", "high", "low", "close", "volume", "symbol", *INDICATOR_FIELDS]
    assert bar == {
        "time": "2024-01-02",
        "open": 60_300.0,
        "high": 60_301.0,
        "low": 60_302.0,
        "close": 60_303.0,
        "volume": 1,
        "symbol": "VCB",
        **{name: float(number) for number, name in enumerate(INDICATOR_FIELDS)},
    }


def test_text_of_numbers_is_that_of_the_stores() -> None:
    body = b"".join(responses.json_body(listed({"VCB": bars(1)}), TimeStyle.DATE, DEFAULT_FIELDS))
    assert b'"open":60300.0,' in body
    assert b'"volume":1,' in body
    coin = Bars.of(np.array([0]), np.full((4, 1), 0.00001234), np.array([0.5]))
    assert as_json({"PEPE": coin})["PEPE"][0]["close"] == 0.00001234


def test_absent_indicators_are_left_out() -> None:
    indicators = np.full((13, 3), np.nan)
    indicators[0, 1:] = 5.0
    indicators[12, 2] = 0.0
    rows = as_json({"VCB": bars(3, indicators=indicators)})["VCB"]
    assert [list(row)[7:] for row in rows] == [[], ["ma10"], ["ma10", "total_money_changed"]]


@pytest.mark.parametrize(
    ("interval", "first"),
    [
        (Interval.DAILY, "2024-01-02"),
        (AggregatedInterval.MONTH_1, "2024-01-02"),
        (Interval.MINUTE, "2024-01-02T00:00:00"),
        (AggregatedInterval.HOUR_4, "2024-01-02T00:00:00"),
    ],
)
def test_times_have_the_form_of_their_interval(interval: AnyInterval, first: str) -> None:
    assert as_json({"VCB": bars(1)}, interval)["VCB"][0]["time"] == first


def test_symbols_stay_in_the_order_given() -> None:
    assert list(as_json({"A": bars(1), "B": bars(2), "C.D": bars(1)})) == ["A", "B", "C.D"]


def test_nothing_is_an_empty_object() -> None:
    assert b"".join(responses.json_body([], TimeStyle.DATE, DEFAULT_FIELDS)) == b"{}"


@pytest.mark.parametrize("count", [4_095, 4_096, 4_097, 10_000])
def test_long_series_are_rendered_in_pieces_without_a_seam(count: int) -> None:
    series = {"A": bars(count), "B": bars(1)}
    assert [bar["volume"] for bar in as_json(series)["A"]] == [number * 100 + 1 for number in range(count)]
    lines = b"".join(responses.csv_body(listed(series), TimeStyle.DATE, DEFAULT_FIELDS)).splitlines()
    assert len(lines) == 1 + count + 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.lists(st.none() | st.floats(-1e9, 1e9), min_size=13, max_size=13), min_size=1, max_size=12))
def test_every_number_survives_and_every_absence_shows(rows: list[list[float | None]]) -> None:
    indicators = np.array([[math.nan if value is None else value for value in row] for row in rows]).T
    answered = as_json({"VCB": bars(len(rows), indicators=indicators)})["VCB"]
    for bar, row in zip(answered, rows, strict=True):
        assert [bar.get(name) for name in INDICATOR_FIELDS] == row
    assert [bar["time"] for bar in answered] == sorted(str(bar["time"]) for bar in answered)


def test_csv_has_a_symbol_column_and_empty_fields() -> None:
    indicators = np.full((13, 2), np.nan)
    indicators[0, 1] = 60_303.5
    series = listed({"VCB": bars(2, indicators=indicators)})
    text = b"".join(responses.csv_body(series, TimeStyle.DATE, DEFAULT_FIELDS)).decode()
    header, first, second = csv.reader(io.StringIO(text))
    assert header == ["symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS]
    assert first[:7] == ["VCB", "2024-01-02", "60300", "60301", "60302", "60303", "1"]
    assert first[7:] == [""] * 13
    assert float(second[7]) == 60_303.5
    assert text.endswith("\n")


@pytest.mark.parametrize("count", [1, 4_095, 4_096, 4_097, 10_000])
def test_lines_and_columns_are_rendered_in_pieces_without_a_seam(count: int) -> None:
    series = listed({"A": bars(count), "B": bars(1)})
    volumes = [number * 100 + 1 for number in range(count)]
    lines = b"".join(responses.ndjson_body(series, TimeStyle.DATE, ("time", "volume"))).splitlines(keepends=True)
    assert [json.loads(line)["volume"] for line in lines] == [*volumes, 1]
    assert {line[-1:] for line in lines} == {b"\n"}
    columns = json.loads(b"".join(responses.json_columns_body(series, TimeStyle.DATE, ("time", "volume"))))
    assert columns["A"]["volume"] == volumes
    assert columns["A"]["time"] == [json.loads(line)["time"] for line in lines[:-1]]


@settings(deadline=None, max_examples=50)
@given(st.lists(st.none() | st.floats(-1e17, 1e17), min_size=1, max_size=12))
def test_columns_have_the_numbers_of_rows_and_null_for_the_absent(values: list[float | None]) -> None:
    """Also from arrays that are cut out of others, or stand backwards in memory."""
    indicators = np.full((13, 2 * len(values)), np.nan)
    indicators[12, ::2] = [math.nan if value is None else value for value in values]
    cut = bars(2 * len(values), indicators=indicators).take(slice(None, None, 2)).take(slice(None, None, -1))
    (series,) = listed({"VCB": cut})
    fields = ("time", "close", "volume", "symbol", "total_money_changed")
    columns = json.loads(b"".join(responses.json_columns_body([series], TimeStyle.DATE, fields)))["VCB"]
    assert list(columns) == ["time", "close", "volume", "total_money_changed"]
    assert columns["total_money_changed"] == values[::-1]
    rows = as_json({"VCB": cut})["VCB"]
    assert [columns[name] for name in ("time", "close", "volume")] == [
        [row[name] for row in rows] for name in ("time", "close", "volume")
    ]


def test_a_csv_row_of_one_absent_field_is_not_an_empty_line() -> None:
    body = responses.csv_body(listed({"VCB": bars(2)}), TimeStyle.DATE, ("ma10",))
    assert b"".join(body) == b'ma10\n""\n""\n'


def test_csv_of_nothing_is_the_header() -> None:
    (header,) = responses.csv_body([], TimeStyle.DATE, DEFAULT_FIELDS)
    assert header.startswith(b"symbol,time,open,")
    assert header.endswith(b"total_money_changed\n")


# Conditional requests and compression, in an application of nothing else


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__)
    compression.install(app)
    app.add_url_rule("/long", "long", lambda: responses.conditional(LONG, responses.JSON_TYPE, 30))
    app.add_url_rule("/short", "short", lambda: responses.conditional(SHORT, responses.JSON_TYPE, 120))
    app.add_url_rule("/error", "error", lambda: responses.error(HTTPStatus.BAD_REQUEST, "wrong"))
    return app.test_client()


def test_a_body_with_its_validator(client: FlaskClient) -> None:
    answer = client.get("/long")
    assert answer.data == b"".join(LONG)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert answer.headers["Cache-Control"] == "max-age=30"
    assert answer.headers["Vary"] == "Accept-Encoding"
    assert not answer.get_etag()[1]


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip", "gzip"),
        ("br", "br"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("zstd;q=0.1, gzip;q=0.9", "gzip"),
        ("gzip; q=0.5, br;q=0.4", "gzip"),
        ("*", "zstd"),
        ("GZIP", "gzip"),
        (None, None),
        ("", None),
        ("deflate", None),
        ("identity", None),
        ("gzip;q=0", None),
        ("gzip;q=0.2, identity", None),
        ("*;q=0", None),
        ("gzip;q=nonsense", None),
    ],
)
def test_the_encoding_is_one_the_client_likes_best(
    client: FlaskClient, accepted: str | None, encoding: str | None
) -> None:
    answer = client.get("/long", headers={} if accepted is None else {"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    body = DECODERS[encoding](answer.data) if encoding else answer.data
    assert body == b"".join(LONG)
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert answer.headers["Vary"] == "Accept-Encoding"


def test_a_short_body_is_not_worth_compressing(client: FlaskClient) -> None:
    assert "Content-Encoding" not in client.get("/short", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize("path", ["/long", "/short"])
@pytest.mark.parametrize("accepted", ["identity", "gzip", "br", "zstd", "gzip;q=0", "gzip, br, zstd"])
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '{}, W/"other"', "*"])
def test_a_client_that_has_the_body_gets_304(client: FlaskClient, path: str, accepted: str, form: str) -> None:
    first = client.get(path, headers={"Accept-Encoding": accepted})
    tag = first.headers["ETag"]
    again = client.get(path, headers={"Accept-Encoding": accepted, "If-None-Match": form.format(tag)})
    assert again.status_code == 304
    assert again.data == b""
    assert "Content-Type" not in again.headers
    kept = ("ETag", "Cache-Control", "Vary")
    assert [again.headers[name] for name in kept] == [first.headers[name] for name in kept]


def test_different_bodies_and_encodings_have_different_tags(client: FlaskClient) -> None:
    tags = [
        client.get(path, headers={"Accept-Encoding": encoding}).headers["ETag"]
        for path, encoding in [("/long", ""), ("/long", "gzip"), ("/long", "br"), ("/long", "zstd"), ("/short", "")]
    ]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize("header", ['"other"', "other", "", '"', "W/", 'W/"other", "another"'])
def test_a_client_that_has_something_else_gets_the_body(client: FlaskClient, header: str) -> None:
    assert client.get("/long", headers={"If-None-Match": header}).status_code == 200


def test_a_tag_of_another_encoding_does_not_match(client: FlaskClient) -> None:
    tag = client.get("/long", headers={"Accept-Encoding": "br"}).headers["ETag"]
    answer = client.get("/long", headers={"Accept-Encoding": "gzip", "If-None-Match": tag})
    assert (answer.status_code, answer.headers["Content-Encoding"]) == (200, "gzip")


def test_head_has_the_headers_of_get(client: FlaskClient) -> None:
    headers = {"Accept-Encoding": "gzip"}
    answer = client.head("/long", headers=headers)
    assert answer.data == b""
    assert answer.headers == client.get("/long", headers=headers).headers


def test_an_error_is_an_object_nobody_keeps(client: FlaskClient) -> None:
    answer = client.get("/error")
    assert (answer.status_code, answer.json) == (400, {"error": "wrong"})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
