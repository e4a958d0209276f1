"""A dividend or split between two synchronisations: all three histories are loaded anew, or none."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import ProviderTimeoutError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import Adjustment, SimulatedProvider
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.ingest.sync import sync_ticker
from stockapi.services.upkeep.reconcile import verify
from tests.support.stores import Stores

EX_DAY = int(datetime(2026, 9, 16, tzinfo=UTC).timestamp())
BEFORE = datetime(2026, 9, 15, 10, tzinfo=UTC)
AFTER = datetime(2026, 9, 16, 10, tzinfo=UTC)
RATIO = 1.25
DAYS_BACK = {Interval.DAILY: 400, Interval.HOURLY: 40, Interval.MINUTE: 4}


class Market(SimulatedProvider):
    """The simulated market with a split of VCB and a shorter history; `fails` may raise instead of an answer."""

    fails: Callable[[Interval], None] = staticmethod(lambda _interval: None)

    def __init__(self) -> None:
        adjustments = {ticker: [Adjustment(EX_DAY, RATIO)] for ticker in ("VCB", "VNINDEX")}
        super().__init__(Mode.VN, 1, adjustments=adjustments)

    def history_start(self, interval: Interval, now: int) -> int:
        return now - DAYS_BACK[interval] * SECONDS_PER_DAY

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        self.fails(interval)
        return super().fetch(ticker, interval, start, end)


def sync(stores: Stores, market: Market, interval: Interval, now: datetime, ticker: str = "VCB"):  # type: ignore[no-untyped-def]
    return sync_ticker(stores, market, SeriesKey(market.mode, ticker, interval), now)


@pytest.fixture
def market(stores: Stores) -> Market:
    """With all three intervals stored as they were the day before."""
    market = Market()
    for interval in Interval:
        sync(stores, market, interval, BEFORE)
    return market


def assert_history_of(stores: Stores, market: Market, now: datetime, interval: Interval) -> None:
    """Both stores hold just what the source shows now for the times that are stored."""
    held = stores.in_csv("VCB", interval)
    shown = market.fetch("VCB", interval, int(held.time[0]), int(now.timestamp()))
    np.testing.assert_allclose(held.prices, shown.prices, rtol=1e-4)
    assert stores.in_sqlite("VCB", interval).equals(held)
    assert enhance(Bars.of(held.time, held.prices, held.volume), Mode.VN, is_index=False).equals(held)


def recorded(stores: Stores) -> list[tuple[str, int, float, bool]]:
    found = Bookkeeping(stores.db_manager).adjustments(Mode.VN, since=0)
    return [(each.ticker, each.ex_time, round(each.ratio, 2), each.applied_at is not None) for each in found]


def test_the_days_load_all_three_histories_anew(stores: Stores, market: Market) -> None:
    stats = sync(stores, market, Interval.DAILY, AFTER)
    assert [(each.ex_time, round(each.ratio, 2)) for each in stats.adjustments] == [(EX_DAY, RATIO)]
    for interval in Interval:
        assert_history_of(stores, market, AFTER, interval)
    assert recorded(stores) == [("VCB", EX_DAY, RATIO, True)]
    assert not [report for report in verify(stores, Mode.VN, Interval) if report.problems]


def test_it_is_done_once(stores: Stores, market: Market) -> None:
    sync(stores, market, Interval.DAILY, AFTER)
    again = sync(stores, market, Interval.DAILY, AFTER)
    assert (again.adjustments, again.changed) == ((), 0)


@pytest.mark.parametrize("interval", [Interval.HOURLY, Interval.MINUTE])
def test_hours_and_minutes_load_all_three_histories_too(stores: Stores, market: Market, interval: Interval) -> None:
    stats = sync(stores, market, interval, AFTER)
    assert [(each.ex_time, round(each.ratio, 2)) for each in stats.adjustments] == [(EX_DAY, RATIO)]
    for each in Interval:
        assert_history_of(stores, market, AFTER, each)
    assert recorded(stores) == [("VCB", EX_DAY, RATIO, True)]
    later = AFTER + timedelta(days=1)
    assert sync(stores, market, interval, later).adjustments == ()
    assert_history_of(stores, market, later, interval)


@pytest.mark.parametrize("failing", list(Interval))
def test_a_failed_download_loses_nothing(stores: Stores, market: Market, failing: Interval) -> None:
    before = {interval: stores.in_csv("VCB", interval) for interval in Interval}
    calls: list[Interval] = []

    def fails(interval: Interval) -> None:
        calls.append(interval)
        if interval is failing and len(calls) > 1:  # the first is the look at the newest days
            raise ProviderTimeoutError("simulated: VCB: no answer in time")

    market.fails = fails  # type: ignore[method-assign]
    with pytest.raises(ProviderTimeoutError):
        sync(stores, market, Interval.DAILY, AFTER)
    for interval in Interval:
        assert stores.in_csv("VCB", interval).equals(before[interval])
        assert stores.in_sqlite("VCB", interval).equals(before[interval])
    assert recorded(stores) == [("VCB", EX_DAY, RATIO, False)], "seen, not applied"
    del market.fails
    sync(stores, market, Interval.DAILY, AFTER)
    for interval in Interval:
        assert_history_of(stores, market, AFTER, interval)
    assert recorded(stores) == [("VCB", EX_DAY, RATIO, True)]


@pytest.mark.parametrize("swapped", [1, 2])
def test_a_stop_between_the_swaps_is_made_good(
    stores: Stores, market: Market, swapped: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Days are swapped last, so the next synchronisation finds the adjustment again and divides nothing twice."""
    written: list[Interval] = []
    original = stores.csv_store.write

    def write(key: SeriesKey, bars: Bars) -> int:
        if len(written) == swapped:
            raise KeyboardInterrupt
        written.append(key.interval)
        return original(key, bars)

    with monkeypatch.context() as patched:
        patched.setattr(stores.csv_store, "write", write)
        with pytest.raises(KeyboardInterrupt):
            sync(stores, market, Interval.DAILY, AFTER)
    assert Interval.DAILY not in written
    sync(stores, market, Interval.DAILY, AFTER)
    for interval in Interval:
        assert_history_of(stores, market, AFTER, interval)


def test_bars_older_than_the_sources_history_are_adjusted_too(stores: Stores, market: Market) -> None:
    """The minutes of a year ago are not sent again; left as they were they would be another version."""
    market.history_start = lambda interval, now: EX_DAY - 2 * SECONDS_PER_DAY  # type: ignore[method-assign]
    sync(stores, market, Interval.DAILY, AFTER)
    assert len(stores.in_csv("VCB")) > 250
    assert_history_of(stores, market, AFTER, Interval.DAILY)


def test_an_index_is_not_checked(stores: Stores) -> None:
    market = Market()
    sync(stores, market, Interval.DAILY, BEFORE, "VNINDEX")
    assert sync(stores, market, Interval.DAILY, AFTER, "VNINDEX").adjustments == ()


def test_a_source_that_does_not_adjust_is_not_checked(stores: Stores, market: Market) -> None:
    market.is_back_adjusted = False
    assert sync(stores, market, Interval.DAILY, AFTER).adjustments == ()


def test_clients_ask_since_when(stores: Stores, market: Market) -> None:
    sync(stores, market, Interval.DAILY, AFTER)
    books = Bookkeeping(stores.db_manager)
    (entry,) = books.adjustments(Mode.VN, since=int(AFTER.timestamp()))
    assert entry == replace(entry, seen_at=int(AFTER.timestamp()), applied_at=int(AFTER.timestamp()))
    assert books.adjustments(Mode.VN, since=int(AFTER.timestamp()) + 1) == []
