"""The whole chain against sources that speak the real formats over HTTP: source, worker, both stores, API."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.base import Provider
from stockapi.providers.live.binance import BinanceProvider
from stockapi.providers.live.cryptocompare import CryptoCompareProvider
from stockapi.providers.live.vci import VciProvider
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.upkeep.reconcile import verify
from tests.fake_upstream import FakeTime, FakeUpstream, Fault
from tests.support.stores import MakeStores, Stores
from workers.clocks import Clocks
from workers.jobs import THREADS, Job
from workers.loop import WorkerLoop

NOW = datetime(2026, 9, 15, 3, 20, 30, tzinfo=UTC)
LISTED = int(datetime(2026, 9, 3, tzinfo=UTC).timestamp())
VN_JOBS = tuple(THREADS[name][0] for name in ("daily", "hourly", "minute"))
CRYPTO = tuple(THREADS["crypto"])
TICKERS = {Mode.VN: ["VCB", "ACB", "VNINDEX"], Mode.CRYPTO: ["BTC", "SHIB"]}
SOURCES: dict[str, tuple[Mode, tuple[Job, ...]]] = {
    "vci": (Mode.VN, VN_JOBS),
    "binance": (Mode.CRYPTO, CRYPTO),
    "cryptocompare": (Mode.CRYPTO, CRYPTO),
}


class Chain:
    """One source, its worker and the stores, all believing that it is `now`."""

    def __init__(self, name: str, upstream: FakeUpstream, stores: Stores) -> None:
        self.name, self.upstream, self.stores = name, upstream, stores
        self.mode, self.jobs = SOURCES[name]
        self.now = NOW

    def provider(self) -> Provider:
        timing = FakeTime(int(self.now.timestamp())).timing()
        kinds = {"vci": VciProvider, "binance": BinanceProvider, "cryptocompare": CryptoCompareProvider}
        return kinds[self.name](self.stores.settings, timing)

    def cycle(self, now: datetime | None = None) -> int:
        """All jobs once; returns how many series failed."""
        self.now = now or self.now
        self.upstream.now = int(self.now.timestamp())
        self.upstream.forget_requests()
        never = FakeTime(0)
        loop = WorkerLoop(
            self.stores, self.jobs, self.provider(), _NeverSet(), Clocks(lambda: self.now, lambda: never.now)
        )
        return loop.run_once()

    def held(self, ticker: str, interval: Interval) -> Bars:
        return self.stores.in_csv(ticker, interval, self.mode)

    def assert_current(self) -> None:
        """Everything the market shows is stored, in both stores alike, and nothing else."""
        for ticker in TICKERS[self.mode]:
            for interval in Interval:
                held = self.held(ticker, interval)
                begin = int(held.time[0])
                shown = self.upstream.market.bars(self.mode, ticker, interval, begin, int(self.now.timestamp()))
                is_index = ticker == "VNINDEX"
                expected = enhance(Bars.of(shown.time, shown.prices, shown.volume), self.mode, is_index=is_index)
                assert held.time.tolist() == expected.time.tolist(), (ticker, interval)
                np.testing.assert_allclose(held.prices, expected.prices, rtol=1e-4)
        reports = list(verify(self.stores, self.mode, Interval))
        assert len(reports) == 3 * len(TICKERS[self.mode])
        assert [report for report in reports if report.problems] == []


class _NeverSet:
    def is_set(self) -> bool:
        return False

    def wait(self, _timeout: float) -> bool:
        return False


@pytest.fixture
def upstream():  # type: ignore[no-untyped-def]
    listed = dict.fromkeys([ticker for tickers in TICKERS.values() for ticker in tickers], LISTED)
    with FakeUpstream(now=int(NOW.timestamp()), tickers=TICKERS, listed=listed) as upstream:
        yield upstream


@pytest.fixture
def stores(make_stores: MakeStores, upstream: FakeUpstream, tmp_path: Path) -> Stores:
    groups, coins = tmp_path / "groups.json", tmp_path / "coins.json"
    groups.write_text(json.dumps({"BANKS": ["VCB", "ACB"], "INDEX": ["VNINDEX"]}))
    coins.write_text(json.dumps(TICKERS[Mode.CRYPTO]))
    return make_stores(**upstream.variables(), TICKER_GROUPS_FILE=str(groups), CRYPTO_LIST_FILE=str(coins))


@pytest.fixture
def chain(request: pytest.FixtureRequest, upstream: FakeUpstream, stores: Stores) -> Chain:
    return Chain(request.param, upstream, stores)


@pytest.mark.long
@pytest.mark.parametrize("chain", list(SOURCES), indirect=True)
def test_first_download_resume_and_gap(chain: Chain) -> None:
    assert chain.cycle() == 0
    chain.assert_current()
    first = {interval: len(chain.held(TICKERS[chain.mode][0], interval)) for interval in Interval}
    for later in (timedelta(minutes=1), timedelta(hours=2), timedelta(days=1), timedelta(days=5)):
        assert chain.cycle(NOW + later) == 0
        chain.assert_current()
    assert all(len(chain.held(TICKERS[chain.mode][0], interval)) > count for interval, count in first.items())
    saved = chain.stores.csv_store.stamp(SeriesKey(chain.mode, TICKERS[chain.mode][0], Interval.MINUTE))
    assert chain.cycle() == 0
    assert chain.stores.csv_store.stamp(SeriesKey(chain.mode, TICKERS[chain.mode][0], Interval.MINUTE)) == saved, (
        "nothing new"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chain", "fault"),
    [
        ("vci", Fault.UNAVAILABLE),
        pytest.param("vci", Fault.RESET, marks=pytest.mark.long),
        pytest.param("vci", Fault.EMPTY, marks=pytest.mark.long),
        pytest.param("vci", Fault.ALL_BAD, marks=pytest.mark.long),
        pytest.param("binance", Fault.TOO_MANY_REQUESTS, marks=pytest.mark.long),
        ("binance", Fault.BANNED),
        ("cryptocompare", Fault.HALF_JSON),
        pytest.param("cryptocompare", Fault.ERROR_WITH_200, marks=pytest.mark.long),
    ],
    indirect=["chain"],
)
def test_an_outage_loses_nothing_and_is_made_good(chain: Chain, fault: Fault) -> None:
    chain.cycle()
    tickers = TICKERS[chain.mode]
    before = {(ticker, interval): chain.held(ticker, interval) for ticker in tickers for interval in Interval}
    chain.upstream.fail(fault, times=None)
    assert chain.cycle(NOW + timedelta(hours=3)) > 0
    assert all(chain.held(*series).equals(bars) for series, bars in before.items())
    states = Bookkeeping(chain.stores.db_manager).worker_states(chain.mode)
    assert all(state.source_state != "ok" and state.last_error for state in states.values())
    chain.upstream.repair()
    assert chain.cycle(NOW + timedelta(hours=4)) == 0
    chain.assert_current()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chain", "fault"),
    [
        ("vci", Fault.OUTSIDE),
        pytest.param("vci", Fault.ENVELOPE, marks=pytest.mark.long),
        pytest.param("binance", Fault.DUPLICATES, marks=pytest.mark.long),
        ("cryptocompare", Fault.DISORDER),
    ],
    indirect=["chain"],
)
def test_a_lying_source_changes_nothing(chain: Chain, fault: Fault) -> None:
    chain.cycle()
    chain.upstream.fail(fault, times=None)
    assert chain.cycle(NOW + timedelta(hours=1)) == 0
    chain.assert_current()


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["vci"], indirect=True)
def test_one_ticker_that_the_source_does_not_know(chain: Chain) -> None:
    ticker = TICKERS[chain.mode][-1]
    chain.upstream.fail(Fault.EMPTY, ticker=ticker, times=None)
    assert chain.cycle() > 0
    others = TICKERS[chain.mode][:-1]
    assert chain.stores.csv_store.tickers(chain.mode) == sorted(others)


@pytest.mark.slow
def test_a_dividend_and_what_clients_see_of_it(upstream: FakeUpstream, stores: Stores) -> None:
    chain = Chain("vci", upstream, stores)
    chain.cycle()
    client = create_app(stores.settings, clock=lambda: chain.now).test_client()
    query = f"/tickers?symbol=VCB&start_date=2026-09-03&end_date={NOW:%Y-%m-%d}"
    before = client.get(query).get_json()["VCB"]
    ex_day = datetime(2026, 9, 16, tzinfo=UTC)
    upstream.adjust("VCB", int(ex_day.timestamp()), 1.25)
    # The download of the adjusted minutes fails: the old history stays, whole.
    upstream.fail(Fault.UNAVAILABLE, ticker="VCB", times=None, skip=1)
    assert chain.cycle(ex_day + timedelta(hours=3)) > 0
    assert client.get(query).get_json()["VCB"] == before
    upstream.repair()
    assert chain.cycle() == 0
    assert chain.cycle(ex_day + timedelta(hours=4)) == 0
    chain.assert_current()
    after = client.get(query).get_json()["VCB"]
    ratios = [old["close"] / new["close"] for old, new in zip(before[:-1], after[:-1], strict=True)]
    assert ratios == pytest.approx([1.25] * len(ratios), rel=1e-4)
    (entry,) = Bookkeeping(stores.db_manager).adjustments(Mode.VN, since=0)
    assert (entry.ticker, entry.ex_time, entry.ratio) == ("VCB", int(ex_day.timestamp()), pytest.approx(1.25, rel=1e-3))
    assert entry.applied_at is not None


@pytest.mark.slow
def test_a_new_entry_of_the_list_is_picked_up_without_a_restart(
    upstream: FakeUpstream, stores: Stores, tmp_path: Path
) -> None:
    chain = Chain("vci", upstream, stores)
    provider = chain.provider()
    assert provider.tickers() == ["VCB", "ACB", "VNINDEX"]
    (tmp_path / "groups.json").write_text(json.dumps({"BANKS": ["VCB", "ACB", "BID"], "INDEX": ["VNINDEX"]}))
    assert provider.tickers() == ["VCB", "ACB", "BID", "VNINDEX"]
