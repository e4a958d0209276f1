"""/tickers as a stream of Arrow: every value is that of the JSON answer, for each library that people read it with."""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS
from tests.support.stores import FIRST_DAY, NOW, Stores, environment, make_bars

ARROW = "application/vnd.apache.arrow.stream"
REQUESTED = ["rsi14", "bb20_2_5_upper", "bb20_2_5_middle", "bb20_2_5_lower"]
TABLE = ["symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS]

Row = dict[str, Any]


def extreme(mode: Mode) -> Bars:
    """A coin of which a dollar buys a million, and volumes that no 32 bits hold."""
    close = np.array([1.28e-9, 0.00000000129, 1.3e-9, 5e-7, 123_456_789.12345678])
    volume = np.array([0.0, 0.125, 1e15 + 0.25, 2.0**52 + 1, 3e18])
    prices = np.vstack([close, close * 1.5, close / 2, close])
    if mode is Mode.VN:
        return enhance(
            Bars.of(FIRST_DAY + np.arange(5) * 86_400, prices * 1e10, volume.astype(np.int64)), mode, is_index=False
        )
    return enhance(Bars.of(FIRST_DAY + np.arange(5) * 86_400, prices, volume), mode, is_index=False)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both stores of both markets: long and short series, ABC in either market; not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    for mode, tickers in ((Mode.VN, ["VCB", "ABC", "VNINDEX"]), (Mode.CRYPTO, ["BTC", "ABC"])):
        stores.save("ODD", extreme(mode), mode=mode)
        for seed, ticker in enumerate(tickers):
            stores.save(ticker, make_bars(230 - 110 * seed, mode=mode, seed=seed), mode=mode)
            stores.save(ticker, make_bars(70, Interval.MINUTE, mode, seed), Interval.MINUTE, mode)
    stores.db_manager.close()
    return directory


@pytest.fixture(scope="module")
def client(directory: Path) -> FlaskClient:
    return create_app(Settings.from_mapping(environment(directory)), clock=lambda: NOW).test_client()


def get(client: FlaskClient, query: str, **headers: str) -> TestResponse:
    answer = client.get(f"/tickers?{query}", headers={name.replace("_", "-"): text for name, text in headers.items()})
    assert answer.status_code == 200, answer.text
    return answer


def rows_of_json(client: FlaskClient, query: str, columns: list[str]) -> list[Row]:
    """The rows in the order of lines: by symbol, and with null for what is left out."""
    answer = get(client, f"{query}&format=ndjson&time=unix").text
    return [{name: bar.get(name) for name in columns} for bar in map(json.loads, answer.splitlines())]


def by_pyarrow(stream: bytes) -> list[Row]:
    table = pa.ipc.open_stream(stream).read_all()
    table.validate(full=True)
    return [in_seconds(row) for row in table.to_pylist()]


def by_polars(stream: bytes) -> list[Row]:
    return [in_seconds(row) for row in pl.read_ipc_stream(io.BytesIO(stream)).to_dicts()]


def by_pandas(stream: bytes) -> list[Row]:
    frame = pa.ipc.open_stream(stream).read_pandas()
    records = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [in_seconds({str(name): value for name, value in row.items()}) for row in records]


def by_duckdb(stream: bytes) -> list[Row]:
    table = pa.ipc.open_stream(stream).read_all()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.from_arrow(table)
        names = found.columns
        shown = ["epoch(time)::BIGINT AS time" if name == "time" else name for name in names]
        return [dict(zip(names, row, strict=True)) for row in found.project(", ".join(shown)).fetchall()]


def in_seconds(row: Row) -> Row:
    time = row.get("time")
    return row if time is None else row | {"time": int(time.timestamp())}


READERS = [
    pytest.param(by_pyarrow, id="pyarrow"),
    pytest.param(by_polars, id="polars"),
    pytest.param(by_pandas, id="pandas"),
    pytest.param(by_duckdb, id="DuckDB", marks=pytest.mark.long),
]

QUERIES = [
    ("symbol=VCB", TABLE),
    ("limit=0", TABLE),
    ("symbol=ODD,ABC&limit=3", TABLE),
    ("mode=crypto&limit=0", TABLE),
    ("mode=crypto&symbol=ODD", TABLE),
    ("mode=all&limit=4", [*TABLE, "mode"]),
    ("mode=all&symbol=ABC,BTC&columns=mode,close", ["close", "mode"]),
    ("symbol=VCB,VNINDEX&interval=1W&limit=0", TABLE),
    ("symbol=ABC&interval=5m", TABLE),
    ("symbol=BTC&interval=1m&limit=20&mode=crypto", TABLE),
    ("symbol=VCB,ABC&ma=false", TABLE[:7]),
    ("symbol=VCB&ema=true&limit=300", TABLE),
    ("symbol=VCB,VNINDEX&legacy=true&limit=5", TABLE),
    ("symbol=VCB&closed=true&limit=2", TABLE),
    ("symbol=VCB,ODD&limit=0&indicators=rsi14,bb(20,2.5)", [*TABLE, *REQUESTED]),
    ("symbol=VCB&columns=ma200,time,close", ["time", "close", "ma200"]),
    ("symbol=VCB,ABC&columns=symbol,volume&limit=2", ["symbol", "volume"]),
    ("symbol=VCB&cache=false&limit=9", TABLE),
]
EMPTY = [
    ("symbol=NOSUCH", TABLE),
    ("symbol=NOSUCH&mode=all&columns=mode", ["mode"]),
    ("symbol=VCB&start_date=2030-01-01", TABLE),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("query", "columns"), QUERIES + EMPTY)
def test_every_value_is_that_of_json(
    client: FlaskClient, query: str, columns: list[str], read: Callable[[bytes], list[Row]]
) -> None:
    answer = get(client, f"{query}&format=arrow")
    expected = rows_of_json(client, query, columns)
    assert bool(expected) is ((query, columns) in QUERIES)
    found = read(answer.data)
    assert found == expected
    assert all(list(row) == columns for row in found)


@pytest.mark.parametrize(
    ("query", "volume", "batches"),
    [
        ("limit=5", pa.int64(), 4),
        ("symbol=NOSUCH", pa.int64(), 0),
        ("mode=crypto&limit=5", pa.float64(), 3),
        ("mode=crypto&symbol=NOSUCH", pa.float64(), 0),
        ("mode=all&symbol=ABC,VCB&limit=5", pa.float64(), 3),
    ],
)
def test_the_types_of_the_columns_and_one_batch_a_ticker(
    client: FlaskClient, query: str, volume: pa.DataType, batches: int
) -> None:
    reader = pa.ipc.open_stream(get(client, f"{query}&format=arrow").data)
    names = pa.dictionary(pa.int32(), pa.string())
    kinds = {field.name: field.type for field in reader.schema}
    expected = {"symbol": names, "time": pa.timestamp("s", "UTC"), "volume": volume}
    expected |= {"mode": names} if "mode=all" in query else {}
    assert kinds == dict.fromkeys(kinds, pa.float64()) | expected
    assert [field.name for field in reader.schema if field.nullable] == list(INDICATOR_FIELDS)
    found = list(reader)
    assert len(found) == batches
    assert all(len(set(batch["symbol"].to_pylist())) == 1 for batch in found)


@pytest.mark.parametrize(("query", "_columns"), QUERIES + EMPTY)
def test_csv_files_give_the_same_bytes(client: FlaskClient, query: str, _columns: list[str]) -> None:
    if "cache" in query:
        return
    by_sqlite, by_csv = (get(client, f"{query}&format=arrow{cache}") for cache in ("", "&cache=false"))
    assert by_sqlite.data == by_csv.data
    assert by_sqlite.headers["ETag"] == by_csv.headers["ETag"]
    assert by_csv.headers["X-Data-Source"] == "csv"


# What HTTP says of it


def test_the_headers_are_those_of_the_other_formats(client: FlaskClient) -> None:
    url = "/tickers?symbol=VCB&format=arrow&interval=1W"
    answer = get(client, url.partition("?")[2])
    assert answer.headers["Content-Type"] == ARROW
    assert answer.headers["Content-Disposition"] == 'attachment; filename="tickers_1W.arrows"'
    assert answer.headers["X-Data-Source"] == "sqlite"
    assert answer.headers["Content-Length"] == str(len(answer.data))
    assert answer.headers["Cache-Control"].startswith("max-age=")
    again = client.get(
        "/tickers?symbol=VCB&format=arrow&interval=1W", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")
    head = client.head(url)
    assert (head.data, dict(head.headers)) == (b"", dict(answer.headers))


def test_it_is_compressed(client: FlaskClient) -> None:
    plain = get(client, "symbol=VCB&format=arrow").data
    answer = get(client, "symbol=VCB&format=arrow", Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(answer.data) < len(plain)
    assert gzip.decompress(answer.data) == plain


@pytest.mark.parametrize(
    ("query", "accept", "kind", "vary"),
    [
        ("", ARROW, ARROW, "Accept, Accept-Encoding"),
        ("", "Application/Vnd.Apache.Arrow.Stream", ARROW, "Accept, Accept-Encoding"),
        ("", f"{ARROW}, */*;q=0.1", ARROW, "Accept, Accept-Encoding"),
        ("", f"{ARROW}, application/json", "application/json", "Accept, Accept-Encoding"),
        ("", f"{ARROW};q=0.5, application/json", "application/json", "Accept, Accept-Encoding"),
        ("", f"{ARROW};q=0", "application/json", "Accept, Accept-Encoding"),
        ("", "*/*", "application/json", "Accept, Accept-Encoding"),
        ("", "text/html", "application/json", "Accept, Accept-Encoding"),
        ("&format=", ARROW, ARROW, "Accept, Accept-Encoding"),
        ("&format=json", ARROW, "application/json", "Accept-Encoding"),
        ("&format=csv", ARROW, "text/csv; charset=utf-8", "Accept-Encoding"),
        ("&format=arrow", "application/json", ARROW, "Accept-Encoding"),
        ("&format=Arrow", "*/*", ARROW, "Accept-Encoding"),
    ],
)
def test_the_header_accept_asks_for_it_too(client: FlaskClient, query: str, accept: str, kind: str, vary: str) -> None:
    answer = get(client, f"symbol=VCB&limit=2{query}", Accept=accept)
    assert (answer.headers["Content-Type"], answer.headers["Vary"]) == (kind, vary)


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("shape=columns&format=arrow", 400, "shape=columns does not go with format=arrow; allowed: format=json"),
        (
            "time=ms&format=arrow",
            400,
            "time=ms does not go with format=arrow, whose times are timestamps in UTC; allowed: plain",
        ),
        (
            "time=iso&format=arrow",
            400,
            "time=iso does not go with format=arrow, whose times are timestamps in UTC; allowed: plain",
        ),
        ("format=feather", 400, "format 'feather' is not allowed; allowed: json, csv, ndjson, arrow"),
        (
            "limit=-1&format=arrow",
            400,
            "limit '-1' is not allowed; allowed: a whole number from 0 on, clamped to 1000000",
        ),
    ],
)
def test_errors_are_json(client: FlaskClient, query: str, status: int, text: str) -> None:
    answer = client.get(f"/tickers?{query}", headers={"Accept": ARROW})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
    assert answer.json == {"error": text}


def test_it_keeps_to_the_row_budget(directory: Path) -> None:
    settings = Settings.from_mapping(environment(directory, MAX_RESPONSE_ROWS="100"))
    small = create_app(settings, clock=lambda: NOW).test_client()
    assert small.get("/tickers?symbol=VCB&limit=100&format=arrow").status_code == 200
    answer = small.get("/tickers?symbol=VCB&limit=101&format=arrow")
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/json")


def test_an_old_name_is_answered_under_that_name(tmp_path: Path) -> None:
    stores = Stores.of(Settings.from_mapping(environment(tmp_path)))
    stores.save("POL", make_bars(3, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    stores.db_manager.close()
    client = create_app(stores.settings, clock=lambda: NOW).test_client()
    answer = get(client, "symbol=MATIC&mode=crypto&format=arrow")
    assert answer.headers["X-Renamed"] == "MATIC=POL"
    assert {row["symbol"] for row in by_pyarrow(answer.data)} == {"MATIC"}
