import csv
import gzip
import io
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from stockapi import context, create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.errors import AppError, ConfigError, CsvError, DeadlineError, SqliteError, TooManyRowsError
from stockapi.markets import market_of
from stockapi.models.bars import Bars
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from tests.support.stores import Stores, environment

TRADING = datetime(2024, 1, 2, 3, 0, tzinfo=UTC)  # a Tuesday, 10:00 in Vietnam
CLOSED = datetime(2024, 1, 6, 3, 0, tzinfo=UTC)  # a Saturday
LAST_DAY = 1_704_153_600  # 2024-01-02
SECRET = "/srv/secret/vn_data.db: disk I/O error"  # what an operator may read and a client may not


def settings_in(directory: Path, **changes: str) -> Settings:
    return Settings.from_mapping(environment(directory, **changes))


def bars(count: int, mode: Mode, interval: Interval = Interval.DAILY, *, price: float = 60_000.0) -> Bars:
    """Rising by one a bar up to `LAST_DAY`, with indicators."""
    step = np.arange(count)
    prices = np.tile(price + step, (4, 1))
    volume = step + 1 if market_of(mode).has_whole_volume else step + 0.5
    series = Bars.of(LAST_DAY - (count - 1 - step) * interval.seconds, prices, volume)
    return enhance(series, mode, is_index=False)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both markets are in both stores, not to be changed."""
    directory = tmp_path_factory.mktemp("stores")
    settings = settings_in(directory)
    stores = Stores.of(settings)
    stores.save("VCB", bars(300, Mode.VN))
    stores.save("ACB", bars(20, Mode.VN, price=25_000.0))
    stores.save("VNINDEX", bars(5, Mode.VN, price=1_200.0))
    stores.save("VCB", bars(90, Mode.VN, Interval.MINUTE), Interval.MINUTE)
    stores.save("BTC", bars(5, Mode.CRYPTO, price=42_000.0), mode=Mode.CRYPTO)
    stores.db_manager.close()
    return directory


@pytest.fixture
def app(directory: Path) -> Flask:
    return create_app(settings_in(directory), clock=lambda: TRADING)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def with_failing_store(app: Flask, error: Exception) -> FlaskClient:
    class FailingStore:
        def get_data_smart_sqlite(self, *_: object) -> None:
            raise error

        get_text_or_bars = get_data_smart_sqlite

    context.install(app, replace(app.extensions["stockapi"], data_store=FailingStore()))
    return app.test_client()


def json_of(answer: TestResponse) -> Any:
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json


# GET /tickers as JSON


def test_a_year_of_one_ticker(client: FlaskClient) -> None:
    answer = client.get("/tickers?symbol=vcb")
    (rows,) = json_of(answer).values()
    assert answer.status_code == 200
    assert len(rows) == 252
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    newest = rows[-1]
    assert list(newest) == ["time", "open", "high", "low", "close", "volume", "symbol", *INDICATOR_FIELDS]
    assert (newest["time"], newest["close"], newest["volume"], newest["symbol"]) == ("2024-01-02", 60_299.0, 300, "VCB")
    assert newest["ma10"] == 60_294.5


def test_early_bars_lack_the_indicators_that_need_more_of_them(client: FlaskClient) -> None:
    rows = json_of(client.get("/tickers?symbol=ACB"))["ACB"]
    assert len(rows) == 20
    assert list(rows[0])[7:] == []
    assert "ma10" in rows[9]
    assert "ma20" not in rows[18]


@pytest.mark.parametrize("path", ["/tickers", "/tickers/", "/tickers?mode=stock&interval=daily"])
def test_without_symbols_all_tickers_in_alphabetical_order(client: FlaskClient, path: str) -> None:
    assert list(json_of(client.get(path))) == ["ACB", "VCB", "VNINDEX"]


def test_symbols_come_in_alphabetical_order_whatever_was_asked(client: FlaskClient) -> None:
    assert list(json_of(client.get("/tickers?symbol=VNINDEX&symbol=VCB,ACB&symbol=VCB"))) == ["ACB", "VCB", "VNINDEX"]


@pytest.mark.parametrize("query", ["symbol=NOSUCH", "symbol=BTC", "start_date=2030-01-01", "interval=1H"])
def test_nothing_found_is_an_empty_object(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/tickers?{query}")
    assert (answer.status_code, json_of(answer)) == (200, {})


def test_a_date_range_takes_whole_days_and_ignores_the_limit(client: FlaskClient) -> None:
    rows = json_of(client.get("/tickers?symbol=VCB&start_date=2023-12-30&end_date=2024-01-01&limit=1"))["VCB"]
    assert [row["time"] for row in rows] == ["2023-12-30", "2023-12-31", "2024-01-01"]


def test_the_limit_counts_back_from_end_date(client: FlaskClient) -> None:
    rows = json_of(client.get("/tickers?symbol=VCB&end_date=2023-12-31&limit=2"))["VCB"]
    assert [row["time"] for row in rows] == ["2023-12-30", "2023-12-31"]


@pytest.mark.parametrize(("interval", "last"), [("1m", "2024-01-02T00:00:00"), ("5m", "2024-01-02T00:00:00")])
def test_minutes_have_their_time_of_day(client: FlaskClient, interval: str, last: str) -> None:
    assert json_of(client.get(f"/tickers?symbol=VCB&interval={interval}"))["VCB"][-1]["time"] == last


def test_legacy_prices_are_in_thousands_but_not_those_of_an_index(client: FlaskClient) -> None:
    body = json_of(client.get("/tickers?legacy=true&limit=1"))
    (bar,) = body["VCB"]
    assert (bar["close"], bar["ma10"]) == (60.299, 60.2945)
    assert body["VNINDEX"][0]["close"] == 1_204.0


def test_crypto_keeps_fractions_of_volume_and_ignores_legacy(client: FlaskClient) -> None:
    (bar,) = json_of(client.get("/tickers?mode=crypto&legacy=true&limit=1"))["BTC"]
    assert (bar["close"], bar["volume"]) == (42_004.0, 4.5)


def test_cache_false_reads_the_csv_files(client: FlaskClient) -> None:
    cached, bypassed = client.get("/tickers"), client.get("/tickers?cache=false")
    assert [each.headers["X-Data-Source"] for each in (cached, bypassed)] == ["sqlite", "csv"]
    assert cached.data == bypassed.data
    assert cached.headers["ETag"] == bypassed.headers["ETag"]


# GET /tickers as CSV


def test_csv(client: FlaskClient) -> None:
    answer = client.get("/tickers?symbol=VCB,ACB&format=csv&limit=2")
    header, *rows = csv.reader(io.StringIO(answer.text))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="tickers_1D.csv"'
    assert answer.headers["X-Data-Source"] == "sqlite"
    assert header == ["symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS]
    assert [row[:2] for row in rows] == [
        ["ACB", "2024-01-01"],
        ["ACB", "2024-01-02"],
        ["VCB", "2024-01-01"],
        ["VCB", "2024-01-02"],
    ]


def test_csv_and_json_hold_the_same_numbers(client: FlaskClient) -> None:
    rows = csv.DictReader(io.StringIO(client.get("/tickers?symbol=VCB&format=csv").text))
    for from_csv, from_json in zip(rows, json_of(client.get("/tickers?symbol=VCB"))["VCB"], strict=True):
        for name, value in from_json.items():
            text = from_csv[name]
            assert (text if isinstance(value, str) else float(text)) == value
        assert all(from_csv[name] == "" for name in from_csv.keys() - from_json.keys())


def test_csv_of_nothing_is_a_header(client: FlaskClient) -> None:
    assert client.get("/tickers?symbol=NOSUCH&format=csv&interval=1M").text.splitlines() == [
        ",".join(["symbol", "time", "open", "high", "low", "close", "volume", *INDICATOR_FIELDS])
    ]


# Headers


@pytest.mark.parametrize(("now", "max_age"), [(TRADING, 30), (CLOSED, 120)])
def test_an_answer_may_be_kept_longer_while_the_market_is_closed(directory: Path, now: datetime, max_age: int) -> None:
    client = create_app(settings_in(directory), clock=lambda: now).test_client()
    assert client.get("/tickers").headers["Cache-Control"] == f"max-age={max_age}"


def test_304_says_all_but_the_body(client: FlaskClient) -> None:
    first = client.get("/tickers")
    again = client.get("/tickers", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    for name in ("ETag", "Cache-Control", "X-Data-Source", "Vary"):
        assert again.headers[name] == first.headers[name]


def test_other_bars_have_another_tag(client: FlaskClient) -> None:
    paths = ["/tickers", "/tickers?limit=1", "/tickers?format=csv", "/tickers?legacy=1", "/tickers?mode=crypto"]
    assert len({client.get(path).headers["ETag"] for path in paths}) == len(paths)


@pytest.mark.parametrize("path", ["/tickers", "/health", "/livez", "/readyz", "/nowhere", "/tickers?limit=0"])
def test_every_answer_tells_browsers_to_be_careful(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Accept-Encoding" in headers["Vary"]


def test_head_is_get_without_a_body(client: FlaskClient) -> None:
    head, get = client.head("/tickers"), client.get("/tickers")
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers == get.headers


def test_options_names_the_methods(client: FlaskClient) -> None:
    answer = client.options("/tickers")
    assert (answer.status_code, answer.data) == (200, b"")
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


# Cross-origin reading


def cors_headers(directory: Path, allowed: str, origin: str | None, path: str = "/livez") -> dict[str, str]:
    client = create_app(settings_in(directory, CORS_ORIGINS=allowed)).test_client()
    answer = client.get(path, headers={} if origin is None else {"Origin": origin})
    return {
        name: value for name, value in answer.headers.items() if name.startswith("Access-Control") or name == "Vary"
    }


def test_by_default_no_other_site_may_read(directory: Path) -> None:
    assert cors_headers(directory, "", "https://a.example") == {"Vary": "Accept-Encoding"}


@pytest.mark.parametrize("path", ["/livez", "/tickers", "/nowhere", "/tickers?limit=0"])
@pytest.mark.parametrize("origin", ["https://a.example", "http://b.example:8080"])
def test_a_site_on_the_list_may_read_errors_too(directory: Path, origin: str, path: str) -> None:
    headers = cors_headers(directory, "https://a.example,http://b.example:8080", origin, path)
    assert headers["Access-Control-Allow-Origin"] == origin
    assert set(headers["Access-Control-Expose-Headers"].split(", ")) == {
        "ETag",
        "X-Data-Source",
        "X-Renamed",
        "Retry-After",
        *("Link", "X-Updated-Until", "X-Replaced", "X-Behind"),
    }
    wishes = {"Accept"} if path.startswith("/tickers") else set()  # without `format`, that header may choose it
    assert {"Origin", "Accept-Encoding", *wishes} == set(headers["Vary"].split(", "))


@pytest.mark.parametrize("allowed", ["https://a.example", "https://a.example,https://b.example"])
@pytest.mark.parametrize("origin", ["https://evil.example", "https://a.example.evil", "http://a.example", "null"])
def test_a_site_not_on_the_list_may_not(directory: Path, allowed: str, origin: str) -> None:
    headers = cors_headers(directory, allowed, origin)
    assert "Access-Control-Allow-Origin" not in headers
    assert "Origin" in headers["Vary"]


@pytest.mark.parametrize("allowed", ["*", "https://a.example,*"])
def test_a_star_lets_every_site_read(directory: Path, allowed: str) -> None:
    headers = cors_headers(directory, allowed, "https://any.example")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert headers["Vary"] == "Accept-Encoding"
    assert "Access-Control-Allow-Credentials" not in headers


def test_a_preflight_names_methods_and_headers(directory: Path) -> None:
    client = create_app(settings_in(directory, CORS_ORIGINS="https://a.example")).test_client()
    answer = client.options(
        "/tickers",
        headers={
            "Origin": "https://a.example",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "if-none-match",
        },
    )
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["Access-Control-Allow-Methods"] == "GET, HEAD, OPTIONS"
    assert answer.headers["Access-Control-Allow-Headers"] == "if-none-match"
    assert answer.headers["Access-Control-Max-Age"] == "600"


# Errors


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/tickers?limit=-1", "limit '-1' is not allowed; allowed: a whole number from 0 on, clamped to 1000000"),
        ("/tickers?symbol=..%2fetc%2fpasswd", "symbol '../etc/passwd' is not allowed; a symbol is 1 to 20 of"),
        ("/tickers?interval=1d%0aINFO", r"interval '1d\nINFO' is unknown; allowed: 1D, 1H"),
        ("/tickers/group?mode=us", "mode 'us' is unknown; allowed: vn, crypto"),
    ],
)
def test_a_wrong_parameter_is_400(client: FlaskClient, path: str, text: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 400
    (key, message), *others = json_of(answer).items()
    assert (key, others) == ("error", [])
    assert message.startswith(text)


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/tickers//",
        "/explorer/x",
        "/tickers//group",
        "/tickers/VCB",
        "/tickers/../health/x",
        "/%2e%2e%2f",
        "/%00",
        "/static/x",
    ],
)
def test_an_unknown_path_is_404(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert json_of(answer) == {
        "error": "there is nothing at this path; "
        "allowed: /, /adjustments, /analysis/ma-scores-by-sector, /analysis/rrg, /analysis/screener, "
        "/analysis/top-performers, /analysis/volume-profile, "
        "/calendar, /clock, /docs, /explorer, /health, /livez, /llms.txt, /mcp, /metrics, /openapi.json, /readyz, "
        "/tickers, /tickers/coverage, /tickers/group, /tickers/info, /tickers/name, /tickers/names, /tickers/search, "
        "/tickers/snapshot, "
        "/udf/config, /udf/history, /udf/quotes, /udf/search, /udf/symbols, /udf/time"
    }


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"])
def test_an_unknown_method_is_405_and_told_what_is_allowed(client: FlaskClient, method: str) -> None:
    answer = client.open("/tickers", method=method)
    assert answer.status_code == 405
    assert json_of(answer) == {"error": f"method '{method}' is not allowed here; allowed: GET, HEAD, OPTIONS"}
    assert set(answer.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


@pytest.mark.parametrize(
    ("error", "status", "text", "retry_after"),
    [
        (SqliteError(SECRET), 503, "the market data cannot be read right now; try again shortly", "5"),
        (CsvError(SECRET), 503, "the market data cannot be read right now; try again shortly", "5"),
        (DeadlineError(SECRET), 503, "the query took too long; ask for fewer symbols", "5"),
        (TooManyRowsError("more than 5 rows; ask for less"), 413, "more than 5 rows; ask for less", None),
        (AppError(SECRET), 500, "something went wrong here; the operator can see what", None),
        (ConfigError(SECRET), 500, "something went wrong here; the operator can see what", None),
        (KeyError(SECRET), 500, "something went wrong here; the operator can see what", None),
        (MemoryError(), 500, "something went wrong here; the operator can see what", None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_failure_has_its_status_and_keeps_its_secrets(
    app: Flask, error: Exception, status: int, text: str, retry_after: str | None
) -> None:
    answer = with_failing_store(app, error).get("/tickers")
    assert answer.status_code == status
    assert json_of(answer)["error"].startswith(text)
    assert answer.headers.get("Retry-After") == retry_after
    assert answer.headers["Cache-Control"] == "no-store"
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


def test_an_unexpected_failure_is_logged_with_its_traceback(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    with_failing_store(app, KeyError(SECRET)).get("/tickers?symbol=VCB")
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (logging.ERROR, "path=/tickers status=500 kind=KeyError")
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


@pytest.mark.parametrize(
    ("error", "level"), [(SqliteError(SECRET), logging.ERROR), (TooManyRowsError("x"), logging.INFO)]
)
def test_a_known_failure_is_logged_in_one_line(
    app: Flask, caplog: pytest.LogCaptureFixture, error: AppError, level: int
) -> None:
    caplog.set_level(logging.INFO, "stockapi")
    with_failing_store(app, error).get("/tickers")
    (record,) = caplog.records
    assert record.levelno == level
    assert f"status={int(error.status)} kind={type(error).__name__} " in record.getMessage()
    assert str(error) in record.getMessage()
    assert record.exc_info is None


def test_a_missing_database_is_answered_from_csv(directory: Path, tmp_path: Path) -> None:
    settings = settings_in(directory, VN_DATABASE_PATH=str(tmp_path / "none.db"))
    answer = create_app(settings).test_client().get("/tickers?symbol=VCB&limit=1")
    assert (answer.status_code, answer.headers["X-Data-Source"]) == (200, "csv")
    assert json_of(answer)["VCB"][0]["close"] == 60_299.0


def test_a_missing_database_without_fallback_is_503(directory: Path, tmp_path: Path) -> None:
    settings = settings_in(directory, VN_DATABASE_PATH=str(tmp_path / "none.db"), FALLBACK_TO_CSV="false")
    answer = create_app(settings).test_client().get("/tickers?symbol=VCB&limit=1")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_an_answer_past_the_row_budget_is_413(directory: Path) -> None:
    answer = create_app(settings_in(directory, MAX_RESPONSE_ROWS="10")).test_client().get("/tickers")
    assert answer.status_code == 413
    assert "more than 10 rows; ask for fewer symbols" in json_of(answer)["error"]


# The performance line


def test_one_line_per_answer(client: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stockapi.api")
    answer = client.get("/tickers?symbol=VCB,ACB&limit=20", headers={"Accept-Encoding": "gzip"})
    (record,) = caplog.records
    fields = dict(part.split("=") for part in record.getMessage().split(" "))
    assert float(fields.pop("sqlite_ms")) <= float(fields.pop("ms"))
    assert int(fields.pop("bytes")) == len(gzip.decompress(answer.data))
    assert fields == {
        "endpoint": "/tickers",
        "status": "200",
        "mode": "vn",
        "interval": "1D",
        "tickers": "2",
        "rows": "40",
        "source": "sqlite",
    }


def test_the_line_has_the_time_of_every_store_that_was_asked(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "stockapi.api")
    client.get("/tickers?symbol=NOSUCH")
    (record,) = caplog.records
    assert " sqlite_ms=" in record.getMessage()
    assert " csv_ms=" in record.getMessage()


# The other routes


def test_groups_of_stocks(client: FlaskClient) -> None:
    answer = client.get("/tickers/group")
    groups = json_of(answer)
    assert sum(map(len, groups.values())) > 200
    assert any("VCB" in symbols for symbols in groups.values())
    assert client.get("/tickers/group", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_the_one_group_of_coins_is_in_rank_order(client: FlaskClient) -> None:
    (name,) = groups = json_of(client.get("/tickers/group?mode=crypto"))
    assert name == "CRYPTO_TOP_100"
    assert groups[name][:2] == ["BTC", "ETH"]


def test_groups_of_ones_own(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text('{"MINE": ["VCB", "ACB"]}')
    client = create_app(settings_in(directory, TICKER_GROUPS_FILE=str(file))).test_client()
    assert json_of(client.get("/tickers/group")) == {"MINE": ["VCB", "ACB"]}


def test_the_groups_follow_their_file(directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "groups.json"
    file.write_text('{"MINE": ["VCB"]}')
    client = create_app(settings_in(directory, TICKER_GROUPS_FILE=str(file))).test_client()
    file.write_text('{"MINE": ["VCB", "BID"]}')
    assert json_of(client.get("/tickers/group")) == {"MINE": ["VCB", "BID"]}
    file.write_text("{")  # half written: what it held before counts
    assert json_of(client.get("/tickers/group")) == {"MINE": ["VCB", "BID"]}
    assert f"TICKER_GROUPS_FILE={str(file)!r}" in caplog.text


def test_a_damaged_group_file_stops_the_start(directory: Path, tmp_path: Path) -> None:
    file = tmp_path / "groups.json"
    file.write_text("{")
    with pytest.raises(ConfigError, match="TICKER_GROUPS_FILE"):
        create_app(settings_in(directory, TICKER_GROUPS_FILE=str(file)))


def test_health(client: FlaskClient) -> None:
    answer = client.get("/health")
    body = json_of(answer)
    assert answer.headers["Cache-Control"] == "no-store"
    assert (body["is_trading_hours"], body["total_tickers_count"], body["minute_records_count"]) == (True, 4, 90)
    assert body["current_system_time"] == "2024-01-02T03:00:00Z"
    assert body["uptime_secs"] >= 0
    assert body["memory_usage_bytes"] > 0


def test_live_and_ready(client: FlaskClient) -> None:
    assert json_of(client.get("/livez")) == {"status": "ok"}
    assert json_of(client.get("/readyz")) == {"status": "ready"}


@pytest.mark.parametrize(("path", "status"), [("/livez", 200), ("/health", 200), ("/readyz", 503), ("/tickers", 503)])
def test_without_any_store(tmp_path: Path, path: str, status: int) -> None:
    answer = create_app(settings_in(tmp_path, FALLBACK_TO_CSV="false")).test_client().get(path)
    assert answer.status_code == status
    if path == "/readyz":
        assert json_of(answer)["error"].startswith("market vn: its database cannot be read, and FALLBACK_TO_CSV is off")


@pytest.mark.parametrize("make_path", [lambda text: f"/tickers?symbol={text}", lambda text: f"/{text}"])
def test_no_answer_repeats_what_could_be_run_as_a_page(client: FlaskClient, make_path: Callable[[str], str]) -> None:
    answer = client.get(make_path("<script>alert(1)</script>"))
    assert answer.status_code in (400, 404)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
