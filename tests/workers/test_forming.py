"""Bars that are still forming: they are fetched again when they have closed, and are not called closed before."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stockapi import create_app
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.base import Provider
from stockapi.providers.live.binance import BinanceProvider
from stockapi.providers.live.timing import Timing
from stockapi.providers.live.vci import VciProvider
from stockapi.services.upkeep.reconcile import verify
from tests.fake_upstream import FakeUpstream, Fault
from tests.fake_upstream.market import FakeMarket
from tests.support.loops import Clock, run_for
from tests.support.stores import MakeStores, Stores
from workers import forming
from workers.clocks import Clocks
from workers.jobs import THREADS, Job
from workers.loop import WorkerLoop

DAY, HOUR, MINUTE = Interval
TICKERS = {Mode.VN: ["VCB"], Mode.CRYPTO: ["BTC", "SHIB"]}
LISTED = int(datetime(2026, 9, 14, tzinfo=UTC).timestamp())
"""When every history begins."""
LISTED_AT = {ticker: LISTED for tickers in TICKERS.values() for ticker in tickers}
JOBS = {job.worker: job for jobs in THREADS.values() for job in jobs}


class Rig(Clock):
    """A source, a worker and the API, at one and the same time."""

    def __init__(self, upstream: FakeUpstream, stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(datetime(2026, 9, 15, tzinfo=UTC))
        self.upstream_is_behind_s: int | None = 0
        """How far the source lags; None: it stands still."""
        self.upstream, self.stores, self._monkeypatch = upstream, stores, monkeypatch
        self._client = create_app(stores.settings, clock=self.wall).test_client()

    def pass_s(self, seconds: float) -> None:
        super().pass_s(seconds)
        if self.upstream_is_behind_s is not None:
            self.upstream.now = int(self.now.timestamp()) - self.upstream_is_behind_s

    def set(self, text: str) -> None:
        self.now = datetime.fromisoformat(text).replace(tzinfo=UTC)
        self.pass_s(0)

    def work(self, job: Job, seconds: float) -> None:
        """A worker's process that lives so long."""
        timing = Timing(wait=self._wait, monotonic_s=self.monotonic, unix_s=lambda: self.now.timestamp())
        kind: type[VciProvider | BinanceProvider] = VciProvider if job.mode is Mode.VN else BinanceProvider
        provider: Provider = kind(self.stores.settings, timing)
        worker = WorkerLoop(self.stores, [job], provider, None, Clocks(self.wall, self.monotonic, lambda: 0.0))  # type: ignore[arg-type]
        run_for(worker, self, seconds, self._monkeypatch)

    def _wait(self, seconds: float) -> bool:
        self.pass_s(seconds)
        return False

    def requests(self, ticker: str) -> int:
        return sum(each.ticker == ticker for each in self.upstream.requests)

    def final(self, key: SeriesKey, time: int) -> list[float]:
        """The bar as the source has it long after."""
        later = FakeMarket(time + 2 * 86_400, TICKERS, LISTED_AT)
        return _values(later.bars(key.mode, key.ticker, key.interval, time, time))

    def stored(self, key: SeriesKey, time: int) -> list[float]:
        return _values(self.stores.csv_store.read(key).bars.between(time, time))

    def ask(self, key: SeriesKey, **parameters: object) -> list[dict[str, Any]]:
        """The bars of the API, which is asked in every form; all forms have the same ones."""
        client = self._client
        query = {"mode": key.mode.value, "symbol": key.ticker, "interval": key.interval.value, **parameters}
        answers: list[Any] = [
            client.get("/tickers", query_string=query | {"cache": cache}) for cache in ("true", "false")
        ]
        assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
        assert answers[0].json == answers[1].json
        bars: list[dict[str, Any]] = answers[0].json.get(key.ticker, [])
        rows = client.get("/tickers", query_string=query | {"format": "csv"}).text.splitlines()[1:]
        assert [row.split(",")[1] for row in rows] == [bar["time"] for bar in bars]
        columns: Any = client.get("/tickers", query_string=query | {"shape": "columns"}).json
        assert columns.get(key.ticker, {}).get("time", []) == [bar["time"] for bar in bars]
        return bars

    def newest_closed(self, key: SeriesKey) -> str:
        return str(self.ask(key, closed="true", limit=1)[0]["time"])


def _values(bars: Bars) -> list[float]:
    return [*bars.prices.ravel().tolist(), *bars.volume.tolist()]


@pytest.fixture
def rig(make_stores: MakeStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    groups, coins = tmp_path / "groups.json", tmp_path / "coins.json"
    groups.write_text(json.dumps({"BANKS": TICKERS[Mode.VN]}))
    coins.write_text(json.dumps(TICKERS[Mode.CRYPTO]))
    with FakeUpstream(0, TICKERS, LISTED_AT) as upstream:
        stores = make_stores(**upstream.variables(), TICKER_GROUPS_FILE=str(groups), CRYPTO_LIST_FILE=str(coins))
        yield Rig(upstream, stores, monkeypatch)


@pytest.mark.parametrize(
    ("worker", "ticker", "interval", "begins", "bar", "before", "passes_s"),
    [
        ("crypto_minute", "SHIB", MINUTE, "2026-09-15T10:00:20", "2026-09-15T10:00:00", "2026-09-15T09:59:00", 50),
        ("crypto_hourly", "SHIB", HOUR, "2026-09-15T10:59:00", "2026-09-15T10:00:00", "2026-09-15T09:00:00", 70),
        ("crypto_daily", "SHIB", DAY, "2026-09-15T23:59:00", "2026-09-15", "2026-09-14", 70),
        ("crypto_priority", "BTC", MINUTE, "2026-09-15T10:00:20", "2026-09-15T10:00:00", "2026-09-15T09:59:00", 50),
        pytest.param(
            "crypto_priority", "BTC", DAY, "2026-09-15T23:59:00", "2026-09-15", "2026-09-14", 70, marks=pytest.mark.long
        ),
        ("hourly", "VCB", HOUR, "2026-09-15T06:59:20", "2026-09-15T06:00:00", "2026-09-15T04:00:00", 61),
        pytest.param(
            "minute",
            "VCB",
            MINUTE,
            "2026-09-15T07:29:20",
            "2026-09-15T07:29:00",
            "2026-09-15T07:28:00",
            301,
            marks=pytest.mark.long,
        ),
        pytest.param(
            "daily", "VCB", DAY, "2026-09-15T07:44:50", "2026-09-15", "2026-09-14", 930, marks=pytest.mark.long
        ),
    ],
)
def test_a_forming_bar_is_fetched_again_soon_after_its_close(
    rig: Rig, worker: str, ticker: str, interval: Interval, begins: str, bar: str, before: str, passes_s: int
) -> None:
    job = JOBS[worker]
    key, time = SeriesKey(job.mode, ticker, interval), int(datetime.fromisoformat(bar).replace(tzinfo=UTC).timestamp())
    rig.set(begins)
    rig.work(job, 2)
    assert rig.stored(key, time) not in ([], rig.final(key, time)), "it is served, and forming"
    assert rig.ask(key, limit=1)[0]["time"] == bar
    assert rig.newest_closed(key) == before
    asked = rig.requests(ticker)
    rig.work(job, passes_s)
    assert rig.requests(ticker) > asked
    assert rig.stored(key, time) == rig.final(key, time)
    assert rig.newest_closed(key) >= bar
    assert [report for report in verify(rig.stores, job.mode, Interval) if report.problems] == []


def test_it_costs_one_request_more_and_not_one_a_minute(rig: Rig) -> None:
    rig.set("2026-09-15T10:00:20")
    rig.work(JOBS["crypto_minute"], 5 * 3_600)
    assert rig.requests("SHIB") - _pages_of_the_first_download(rig) == 1


def _pages_of_the_first_download(rig: Rig) -> int:
    return -(-(int(datetime(2026, 9, 15, 10, tzinfo=UTC).timestamp()) - LISTED) // 60_000)


def test_a_restart_knows_what_was_forming(rig: Rig) -> None:
    """The regular cycle is hours away; a process that starts after the close fetches the bar at once, and only once."""
    key, job = SeriesKey(Mode.CRYPTO, "SHIB", MINUTE), JOBS["crypto_minute"]
    rig.set("2026-09-15T10:00:20")
    rig.work(job, 2)
    rig.set("2026-09-15T10:30:00")
    assert rig.newest_closed(key) == "2026-09-15T09:59:00"
    rig.work(job, 10)
    assert rig.newest_closed(key) == "2026-09-15T10:29:00"
    asked = rig.requests("SHIB")
    rig.work(job, 60)
    assert rig.requests("SHIB") == asked


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.TOO_MANY_REQUESTS, Fault.EMPTY])
def test_a_source_that_fails_at_the_close_is_asked_again_ever_more_seldom(rig: Rig, fault: Fault) -> None:
    key, job = SeriesKey(Mode.CRYPTO, "SHIB", HOUR), JOBS["crypto_hourly"]
    rig.set("2026-09-15T10:59:30")
    rig.work(job, 2)
    rig.upstream.fail(fault, ticker="SHIB", times=None)
    asked = rig.requests("SHIB")
    rig.work(job, 600)
    assert 3 <= rig.requests("SHIB") - asked <= 4 * (rig.stores.settings.provider_retries + 1)
    assert rig.newest_closed(key) == "2026-09-15T09:00:00"
    rig.upstream.repair()
    rig.work(job, 600)
    assert rig.newest_closed(key) == "2026-09-15T10:00:00"


def test_a_source_that_lags_closes_nothing(rig: Rig) -> None:
    """An answer without the newest stored bar does not tell that this one is complete."""
    key, job = SeriesKey(Mode.CRYPTO, "SHIB", MINUTE), JOBS["crypto_minute"]
    rig.set("2026-09-15T10:00:20")
    rig.work(job, 2)
    rig.upstream_is_behind_s = 120
    rig.work(job, 90)
    assert rig.newest_closed(key) == "2026-09-15T09:59:00"


def test_a_stock_without_trades_is_closed_all_the_same(rig: Rig) -> None:
    """No later bar tells it, and no value changes: the fetch after the close does."""
    key, job = SeriesKey(Mode.VN, "VCB", DAY), JOBS["daily"]
    rig.set("2026-09-15T07:59:58")
    rig.work(job, 2)
    stamp = rig.stores.csv_store.stamp(key)
    rig.upstream_is_behind_s = None
    rig.set("2026-09-15T12:00:00")
    assert rig.newest_closed(key) == "2026-09-14"
    rig.work(job, 301)
    assert rig.stores.csv_store.stamp(key) == stamp, "nothing was written"
    assert rig.newest_closed(key) == "2026-09-15"


def test_waits_double() -> None:
    waiting, key = forming.FormingBars(), SeriesKey(Mode.CRYPTO, "BTC", DAY)
    now, failed_at = 0.0, []
    waiting.put_back([key], now)
    for _ in range(1_000):
        now += 10.0
        if waiting.take_due(now):
            failed_at.append(now)
            waiting.put_back([key], now)
    assert failed_at == [60, 180, 420, 900, 1_860, 3_780, 7_620]
    waiting.note(key, 20_000, lambda _: 3_600)
    assert (waiting.take_due(20_004), waiting.take_due(20_005)) == ([], [key])
    waiting.note(key, 20_000, lambda _: 300)
    assert waiting.take_due(1e9) == [], "its job comes soon enough by itself"


def test_the_close_of_a_session_counts_not_the_time_of_the_fetch(rig: Rig) -> None:
    """Before the close a job runs each minute, after it each half hour."""
    waiting = forming.FormingBars()
    key, closes = SeriesKey(Mode.VN, "VCB", HOUR), datetime(2026, 9, 15, 8, tzinfo=UTC)
    waiting.note(key, int(closes.timestamp()), JOBS["hourly"].due_every_s)
    assert waiting.take_due((closes + timedelta(seconds=5)).timestamp()) == [key]
