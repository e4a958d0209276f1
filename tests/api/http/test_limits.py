"""One deadline and one row budget for all that a request makes the service do.

The clock of these tests moves when a stage of the work takes its time, so they are exact and take none themselves.
"""

import sqlite3
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import pytest
from flask.testing import FlaskClient

from stockapi import create_app
from stockapi.api.http import limits
from stockapi.errors import DeadlineError
from stockapi.models import Bars, Interval, Mode
from stockapi.services.database_manager import manager
from tests.support.stores import NOW, MakeStores, make_bars

DEADLINE_S = 10.0
LOOK_S = 0.01
DAYS = 500
TOO_LATE = {"error": DeadlineError().public_message}

# Where the time of a request may go.
ESTIMATE = "stockapi.services.sqlite_store.SqliteStore.about_rows"
READY = "stockapi.services.sqlite_store.SqliteStore.prerendered"
BLOCKS = "stockapi.services.sqlite_store.blocks.BlockTable.read"
LAST = "stockapi.services.sqlite_store.reader.read_last_of_each"
EXTENTS = "stockapi.services.sqlite_store.reader.read_days"
CSV_FILE = "stockapi.services.csv_store.CsvStore.read"
AGGREGATION = "stockapi.services.data_store.store.aggregate"
JSON_TEXT = "stockapi.api.http.responses.json_rows"
COLUMN_TEXT = "stockapi.api.http.responses.json_numbers"
CSV_TEXT = "stockapi.formats.csv_answers.fast_rows"
ARROW_BYTES = "stockapi.formats.arrow_answers.batch"
GAPS = "stockapi.services.data_store.coverage.market_of"
RANKING = "stockapi.api.routes.analysis.rank"
SCORES = "stockapi.api.routes.analysis.ma_scores_by_sector"
PROFILE = "stockapi.api.routes.analysis.volume_profile"

OLD_DAYS = "/tickers?symbol=VCB&start_date=2015-01-05&end_date=2015-06-30"
REQUESTS = [
    pytest.param("/tickers?symbol=VCB&interval=1W", (BLOCKS, AGGREGATION, JSON_TEXT), id="SQLite, Python, rendering"),
    pytest.param("/tickers?limit=450", (ESTIMATE, READY, BLOCKS, JSON_TEXT), id="three questions to SQLite, rendering"),
    pytest.param("/tickers?limit=450&mode=all&shape=columns", (BLOCKS, COLUMN_TEXT), id="two markets, columns"),
    pytest.param(f"{OLD_DAYS}&format=csv", (BLOCKS, CSV_TEXT), id="SQLite, CSV text"),
    pytest.param(f"{OLD_DAYS}&format=ndjson", (BLOCKS, JSON_TEXT), id="SQLite, lines"),
    pytest.param(f"{OLD_DAYS}&format=arrow", (BLOCKS, ARROW_BYTES), id="SQLite, Arrow"),
    pytest.param(f"{OLD_DAYS}&cache=false", (CSV_FILE, JSON_TEXT), id="CSV files, rendering"),
    pytest.param(
        "/tickers?interval=1W&cache=false", (CSV_FILE, AGGREGATION, JSON_TEXT), id="CSV files, Python, rendering"
    ),
    pytest.param("/tickers/coverage", (ESTIMATE, EXTENTS, GAPS), id="coverage"),
    pytest.param("/analysis/top-performers?with_hour=true", (LAST, BLOCKS, RANKING), id="two queries of one analysis"),
    pytest.param("/analysis/ma-scores-by-sector", (LAST, SCORES), id="sectors"),
    pytest.param(
        "/analysis/volume-profile?symbol=VCB&start_date=2015-01-05&end_date=2026-12-31",
        (ESTIMATE, BLOCKS, PROFILE),
        id="profile",
    ),
]


class Clock:
    """Stands still while Python works, unless a stage takes its time, and goes on with each look that SQLite takes."""

    now = 1_000.0

    def read(self) -> float:
        return self.now

    def go_on(self) -> float:
        self.now += LOOK_S
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(limits, "time", SimpleNamespace(monotonic=clock.read))
    monkeypatch.setattr(manager, "time", SimpleNamespace(monotonic=clock.go_on))
    return clock


@pytest.fixture
def client(make_stores: MakeStores, clock: Clock) -> FlaskClient:
    """Of three tickers with days, one with hours and minutes; 300 rows are many."""
    stores = make_stores(HEAVY_QUERY_BLOCKS="300", QUERY_DEADLINE_MS=str(int(DEADLINE_S * 1_000)))
    stores.save("VCB", make_bars(DAYS))
    stores.save("ACB", make_bars(DAYS))
    stores.save("BTC", make_bars(DAYS, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    for interval in (Interval.HOURLY, Interval.MINUTE):
        stores.save("VCB", make_bars(DAYS, interval), interval)
    stores.db_manager.close()
    return create_app(stores.settings, clock=lambda: NOW).test_client()


class Stages:
    """Takes `seconds` of the clock whenever one of the stages is entered, and counts that."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, clock: Clock, names: tuple[str, ...]) -> None:
        self.seconds = 0.0
        self.entered = dict.fromkeys(names, 0)
        for name in names:
            monkeypatch.setattr(name, self._slow(name, resolve_name(name), clock))

    def _slow(self, name: str, original: Any, clock: Clock) -> Any:
        def slow(*arguments: Any, **more: Any) -> Any:
            self.entered[name] += 1
            clock.now += self.seconds
            return original(*arguments, **more)

        return slow


@pytest.mark.parametrize(("share", "status"), [(0.9, 200), (1.1, 503)], ids=["in time", "too late"])
@pytest.mark.parametrize(("path", "names"), REQUESTS)
def test_all_stages_of_a_request_have_one_deadline_together(
    client: FlaskClient,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    names: tuple[str, ...],
    share: float,
    status: int,
) -> None:
    """Each of them alone is over long before it, the last of them included."""
    stages = Stages(monkeypatch, clock, names)
    with client.get(path) as answer:
        assert answer.status_code == 200
    assert all(stages.entered.values()), stages.entered
    stages.seconds = share * DEADLINE_S / sum(stages.entered.values())
    began = clock.now
    with client.get(path) as answer:
        assert answer.status_code == status
        assert clock.now - began == pytest.approx(share * DEADLINE_S, abs=1.0)
        if status == 503:
            assert answer.json == TOO_LATE
            assert answer.headers["Retry-After"] == "5"


def test_sqlite_is_stopped_at_the_deadline_of_the_request_and_not_at_one_of_its_own(
    client: FlaskClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(_table: object, connection: sqlite3.Connection, *_: object) -> Bars:
        connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")
        raise AssertionError("it has come to its end")

    Stages(monkeypatch, clock, (ESTIMATE, READY)).seconds = 4.0
    monkeypatch.setattr(BLOCKS, endless)
    began = clock.now
    with client.get("/tickers?limit=450") as answer:
        assert (answer.status_code, answer.json) == (503, TOO_LATE)
    assert clock.now - began == pytest.approx(DEADLINE_S, abs=1.0)
