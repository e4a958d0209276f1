"""A market with several sources: the worker's loops over real HTTP, from the first failure of VCI to its return."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from stockapi import create_app
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.ingest.sources import LOST_AFTER, Sources
from stockapi.services.market_source import origin_of, record_source
from stockapi.services.upkeep.reconcile import verify
from tests.fake_upstream import FakeTime, FakeUpstream, Fault
from tests.fake_upstream.faults import version
from tests.support.live_sources import PROVIDERS
from tests.support.stores import MakeStores, Stores
from workers.clocks import Clocks
from workers.jobs import THREADS
from workers.loop import WorkerLoop

BEGIN = datetime(2026, 3, 2, 5, 0, 17, tzinfo=UTC)
"""A Monday, noon in Ho Chi Minh City, after the morning's session."""
TICKERS = ("VCB", "VNINDEX")
JOBS = [job for name in ("daily", "hourly", "minute") for job in THREADS[name]]


@dataclass
class Market:
    """Loops of a worker, one after the other, and the time that passes between."""

    upstream: FakeUpstream
    stores: Stores
    time: FakeTime

    def __post_init__(self) -> None:
        settings = self.stores.settings
        timing = self.time.timing()
        providers = [PROVIDERS[name](settings, timing) for name in settings.sources(Mode.VN)]
        self.sources = Sources(self.stores, providers)
        record_source(self.stores, Mode.VN, self.now())

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time.now, UTC)

    def round(self) -> int:
        """Each job once. Half a minute later; returns how many series failed."""
        clocks = Clocks(self.now, lambda: self.time.now, lambda: 0.0)
        failed = 0
        for job in JOBS:
            loop = WorkerLoop(self.stores, [job], self.sources, threading.Event(), clocks)
            failed += loop.run_once()
        self.pass_s(30)
        return failed

    def pass_s(self, seconds: float) -> None:
        self.time.now += seconds
        self.upstream.now = int(self.time.now)

    @property
    def asked(self) -> str:
        return self.sources.current.name

    def origins(self) -> set[str]:
        found = [origin_of(self.stores, SeriesKey(Mode.VN, ticker, each)) for ticker in TICKERS for each in Interval]
        return {origin.source for origin in found if origin is not None}

    def assert_current(self, change: Callable[[Bars], Bars] = lambda bars: bars) -> None:
        """Both stores have what the market shows now, and nothing else."""
        for ticker in TICKERS:
            for interval in Interval:
                held = self.stores.in_csv(ticker, interval)
                shown = self.upstream.market.bars(Mode.VN, ticker, interval, 0, int(self.time.now))
                assert held.time.tolist() == shown.time.tolist(), (ticker, interval)
                assert held.prices.tolist() == change(shown).prices.tolist(), (ticker, interval)
                assert self.stores.in_sqlite(ticker, interval).equals(held)
        assert not [report for report in verify(self.stores, Mode.VN, Interval) if report.problems]

    def health(self) -> dict[str, object]:
        app = create_app(self.stores.settings, clock=self.now)
        found: dict[str, object] = app.test_client().get("/health").json["providers"]["vn"]  # type: ignore[index]
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[FakeUpstream]:
    listed = int(BEGIN.timestamp()) // SECONDS_PER_DAY * SECONDS_PER_DAY - 14 * SECONDS_PER_DAY
    tickers = {Mode.VN: TICKERS, Mode.CRYPTO: ()}
    with FakeUpstream(int(BEGIN.timestamp()), tickers, listed=dict.fromkeys(TICKERS, listed)) as upstream:
        yield upstream


@pytest.fixture
def market(server: FakeUpstream, make_stores: MakeStores, tmp_path, request) -> Market:  # type: ignore[no-untyped-def]
    """Filled by VCI. A parameter: the sources in order of preference."""
    server.repair()
    server.forget_requests()
    server.now = int(BEGIN.timestamp())
    groups = tmp_path / "groups.json"
    groups.write_text(f'{{"ALL": {list(TICKERS)}}}'.replace("'", '"'))
    stores = make_stores(
        **server.variables(),
        VN_PROVIDERS=getattr(request, "param", "vci,vps"),
        TICKER_GROUPS_FILE=str(groups),
        PROVIDER_RETRIES="0",
        **{f"{name}_REQUESTS_PER_MINUTE": "100000" for name in ("VCI", "VPS", "VNDIRECT", "DNSE")},
    )
    market = Market(server, stores, FakeTime(int(BEGIN.timestamp())))
    assert market.round() == 0
    market.assert_current()
    return market


FAILING = [
    Fault.UNAVAILABLE,
    *(
        pytest.param(fault, marks=pytest.mark.long)
        for fault in (
            *(Fault.FORBIDDEN, Fault.TOO_MANY_REQUESTS, Fault.NO_JSON, Fault.EMPTY, Fault.MISSING_SYMBOL),
            *(Fault.NO_SERIES, Fault.RESET, Fault.WRONG_SCALE),
        )
    ),
]


@pytest.mark.parametrize("fault", FAILING, ids=lambda fault: fault.name)
def test_the_next_source_takes_over_and_the_preferred_one_comes_back(market: Market, fault: Fault) -> None:
    upstream, stores = market.upstream, market.stores
    upstream.fail(fault, source="vci", times=None, retry_after="1" if fault is Fault.TOO_MANY_REQUESTS else None)
    market.pass_s(60)
    rounds = 0
    while market.asked == "vci":
        assert market.round() > 0
        rounds += 1
    assert rounds == 1, "three bad cycles: of days, hours and minutes"
    assert market.round() == 0
    market.assert_current()
    assert market.origins() == {"vps"}
    assert not Bookkeeping(stores.db_manager).adjustments(Mode.VN, since=0)
    health = market.health()
    assert (health["asked"], health["preferred"], health["name"]) == ("vps", "vci", "vps")
    assert str(health["changed_because"]).startswith("vci failed: ")

    upstream.repair()
    market.pass_s(4 * 3_600)  # 16:00 there: the day is over
    for _ in range(3):
        assert market.asked == "vps"
        assert market.round() == 0
        market.pass_s(600)
    assert market.round() == 0
    assert market.asked == "vci", "after half an hour of good answers"
    market.assert_current()
    assert market.origins() == {"vci"}
    assert market.health()["changed_because"] == "vci answers again"


@pytest.mark.long
@pytest.mark.parametrize("market", ["vci,vps,vndirect,dnse"], indirect=True)
def test_the_last_of_four_takes_over(market: Market) -> None:
    for source in ("vci", "vps", "vndirect"):
        market.upstream.fail(Fault.UNAVAILABLE, source=source, times=None)
    market.pass_s(60)
    for _ in range(3):
        market.round()
    assert market.asked == "dnse"
    assert market.round() == 0
    market.assert_current()


def adjusted(now: int) -> Callable[[Bars], Bars]:
    return lambda bars: version(bars, Fault.ADJUSTED, Interval.DAILY, now)


def test_a_source_that_adjusts_by_other_rules_replaces_histories(market: Market) -> None:
    """And nobody is told of a dividend, on the way there and back."""
    market.upstream.fail(Fault.UNAVAILABLE, source="vci", times=None)
    market.upstream.fail(Fault.ADJUSTED, source="vps", times=None)
    market.pass_s(60)
    market.round()
    assert market.asked == "vps"
    market.round()
    at = int(market.time.now) - 30
    for ticker in TICKERS:
        held = market.stores.in_csv(ticker)
        shown = adjusted(at)(market.upstream.market.bars(Mode.VN, ticker, Interval.DAILY, 0, at))
        assert held.close.tolist() == shown.close.tolist()
    assert not Bookkeeping(market.stores.db_manager).adjustments(Mode.VN, since=0)
    assert not [report for report in verify(market.stores, Mode.VN, Interval) if report.problems]


@pytest.mark.long
@pytest.mark.parametrize("fault", [Fault.LAGGING, Fault.WRONG_SCALE, Fault.EMPTY])
def test_a_source_that_does_not_fit_does_not_take_over(market: Market, fault: Fault) -> None:
    before = {(ticker, each): market.stores.in_csv(ticker, each) for ticker in TICKERS for each in Interval}
    market.upstream.fail(Fault.UNAVAILABLE, source="vci", times=None)
    market.upstream.fail(fault, source="vps", times=None)
    for _ in range(4):
        market.round()
    for (ticker, interval), bars in before.items():
        assert market.stores.in_csv(ticker, interval).equals(bars)
    assert market.origins() == {"vci"}


def test_one_ticker_of_two_without_bars_changes_nothing(market: Market) -> None:
    market.upstream.fail(Fault.EMPTY, source="vci", ticker="VCB", times=None)
    for _ in range(4):
        assert market.round() == 3
    assert market.asked == "vci"


def test_a_dead_source_is_not_asked_for_a_whole_list(market: Market) -> None:
    names = [f"AA{number}" for number in range(LOST_AFTER + 5)]
    job = replace(JOBS[0], tickers=lambda provider: names)
    market.upstream.forget_requests()
    WorkerLoop(
        market.stores, [job], market.sources, threading.Event(), Clocks(market.now, lambda: 0.0, lambda: 0.0)
    ).run_once()
    assert [seen.ticker for seen in market.upstream.requests] == names[:LOST_AFTER]


def test_one_of_the_intervals_is_enough(market: Market) -> None:
    """Minutes fail and days do not."""
    last = market.upstream.market.last

    def no_minutes(mode: Mode, ticker: str, interval: Interval, before: int, count: int) -> Bars:
        return last(mode, ticker, interval, before, 0 if interval is Interval.MINUTE else count)

    market.upstream.market.last = no_minutes  # type: ignore[method-assign]
    try:
        for rounds in range(4):
            assert market.asked == ("vci" if rounds < 3 else "vps")
            market.round()
    finally:
        market.upstream.market.last = last  # type: ignore[method-assign]
