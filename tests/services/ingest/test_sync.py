"""Bringing a ticker up to date from its source: what is asked for, what is saved, and what is left alone."""

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import ProviderError, SqliteError, UnknownSymbolError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.csv_enhancer import SaveResult
from stockapi.services.ingest.history import SyncStats
from stockapi.services.ingest.sync import OVERLAP_BARS, Wanted, sync_ticker
from tests import faults
from tests.faults import assert_in_step, repair
from tests.support.stores import NOW, MakeStores, Stores

DAY, HOUR, MINUTE = Interval


class Market(SimulatedProvider):
    """The simulated market, which remembers its answers: years of days take it a fifth of a second."""

    fetch = functools.cache(SimulatedProvider.fetch)


MARKETS = {mode: Market(mode, 1) for mode in Mode}
SERIES = [
    *((mode, ticker, interval) for mode, ticker in [(Mode.VN, "VCB"), (Mode.CRYPTO, "BTC")] for interval in Interval),
    (Mode.VN, "VNINDEX", DAY),
]
in_all_series = pytest.mark.parametrize(("mode", "ticker", "interval"), SERIES)
in_some_series = pytest.mark.parametrize(
    ("mode", "ticker", "interval"),
    [(Mode.VN, "VCB", DAY), (Mode.VN, "VCB", MINUTE), (Mode.CRYPTO, "BTC", HOUR), (Mode.VN, "VNINDEX", DAY)],
)


@dataclass
class Asked:
    """A source that notes what it is asked for. It sends what the simulated market does, less `withheld` times."""

    mode: Mode
    withheld: set[int] = field(default_factory=set)
    requests: list[tuple[int, int]] = field(default_factory=list)
    name: str = "asked"
    is_back_adjusted: bool = True

    def tickers(self) -> list[str]:
        return MARKETS[self.mode].tickers()

    def history_start(self, interval: Interval, now: int) -> int:
        return MARKETS[self.mode].history_start(interval, now)

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        self.requests.append((start, end))
        bars = MARKETS[self.mode].fetch(ticker, interval, start, end)
        return bars.take(~np.isin(bars.time, list(self.withheld)))


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def sync(
    stores: Stores,
    provider: SimulatedProvider | Asked,
    ticker: str,
    interval: Interval,
    now: datetime,
    *,
    full: bool = False,
) -> SyncStats:
    return sync_ticker(
        stores, provider, SeriesKey(provider.mode, ticker, interval), now, wanted=Wanted.ALL if full else Wanted.NEW
    )


def download(mode: Mode, ticker: str, interval: Interval, first: datetime, now: datetime) -> Bars:
    """All of the source at `now`, back to where the download at `first` began, with indicators over the whole."""
    provider = MARKETS[mode]
    start = provider.history_start(interval, seconds(first))
    bars = provider.fetch(ticker, interval, start, seconds(now))
    return enhance(bars, mode, is_index=ticker == "VNINDEX")


# The first download


@in_all_series
@pytest.mark.parametrize("full", [False, True])
def test_a_first_download_is_the_history_of_the_source(
    stores: Stores, mode: Mode, ticker: str, interval: Interval, full: bool
) -> None:
    provider = Asked(mode)
    stats = sync(stores, provider, ticker, interval, NOW, full=full)
    expected = download(mode, ticker, interval, NOW, NOW)
    assert_in_step(stores, ticker, expected, interval, mode)
    assert (stats.fetched, stats.changed, stats.saved.rows) == (len(expected),) * 3
    assert provider.requests == [(provider.history_start(interval, seconds(NOW)), seconds(NOW))]


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_first_download_makes_the_database(
    make_stores: MakeStores, fallback: str, caplog: pytest.LogCaptureFixture
) -> None:
    """One that is not there yet is nothing to warn of, nor to fail on."""
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW)
    assert_in_step(stores, "VCB", download(Mode.VN, "VCB", DAY, NOW, NOW))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


# Resuming


@in_all_series
def test_nothing_new_writes_nothing(stores: Stores, mode: Mode, ticker: str, interval: Interval) -> None:
    sync(stores, MARKETS[mode], ticker, interval, NOW)
    path = stores.csv_store.path(SeriesKey(mode, ticker, interval))
    before = path.stat(), stores.sqlite_store.ledger(mode), stores.settings.database_path(mode).stat().st_mtime_ns
    again = sync(stores, MARKETS[mode], ticker, interval, NOW)
    assert again.fetched > 0
    assert (again.changed, again.saved) == (0, SaveResult())
    assert before == (
        path.stat(),
        stores.sqlite_store.ledger(mode),
        stores.settings.database_path(mode).stat().st_mtime_ns,
    )


@in_all_series
def test_a_resume_asks_for_the_overlap_and_saves_from_the_first_change_on(
    stores: Stores, mode: Mode, ticker: str, interval: Interval
) -> None:
    """At noon one bar of each interval is forming; a little later it has changed and others may have come."""
    sync(stores, MARKETS[mode], ticker, interval, NOW)
    stored = stores.in_csv(ticker, interval, mode)
    later = NOW + timedelta(hours=2)
    provider = Asked(mode)
    stats = sync(stores, provider, ticker, interval, later)
    expected = download(mode, ticker, interval, NOW, later)
    assert_in_step(stores, ticker, expected, interval, mode)
    oldest = int(stored.tail(OVERLAP_BARS[interval]).time[0])
    assert provider.requests == [(oldest, seconds(later))]
    # What is before the bar that was forming is as it was, and was not written.
    formed = not expected.take(slice(len(stored))).equals(stored)
    same = len(stored) - formed
    assert expected.take(slice(same)).equals(stored.take(slice(same)))
    assert stats.changed == stats.saved.rows == len(expected) - same
    assert 0 < stats.changed < stats.fetched
    line = len(stores.csv_store.path(SeriesKey(mode, ticker, interval)).read_text().splitlines()[-1])
    assert stats.saved.csv_bytes < (stats.changed + 1) * (line + 40)


def test_the_bar_that_is_forming_is_brought_up_to_date(stores: Stores) -> None:
    """Volume only grows within the day; the bar keeps its time, its row and the moment it was made."""
    volumes, ids = [], []
    for hour in (3, 4, 7, 20):
        sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW.replace(hour=hour))
        volumes.append(int(stores.in_csv("VCB").volume[-1]))
        with stores.db_manager.snapshot(Mode.VN) as connection:
            newest = "SELECT id, time FROM vn_daily ORDER BY time DESC LIMIT 1"
            ids.append(connection.execute(newest).fetchone())
    assert volumes == sorted(set(volumes))
    assert set(ids) == {ids[0]}
    assert ids[0][1] == seconds(NOW) // 86_400 * 86_400


@in_some_series
@pytest.mark.parametrize("away", [timedelta(days=3), timedelta(weeks=3)])
def test_a_gap_of_any_length_is_filled(
    stores: Stores, mode: Mode, ticker: str, interval: Interval, away: timedelta
) -> None:
    """As if the worker had never stopped - and as if everything had been fetched at once."""
    start = NOW - away
    sync(stores, MARKETS[mode], ticker, interval, start)
    sync(stores, MARKETS[mode], ticker, interval, NOW)
    assert_in_step(stores, ticker, download(mode, ticker, interval, start, NOW), interval, mode)


@pytest.mark.parametrize(
    "moments",
    [
        [NOW + timedelta(minutes=step) for step in (0, 1, 2, 3, 4, 61, 62, 180)],
        [NOW - timedelta(days=20), NOW - timedelta(days=19), NOW - timedelta(days=2), NOW],
        [NOW - timedelta(days=1), NOW, NOW - timedelta(hours=1), NOW],
    ],
    ids=["minute by minute", "now and then", "with the clock set back"],
)
@in_some_series
def test_bars_and_indicators_do_not_depend_on_the_path(
    stores: Stores, mode: Mode, ticker: str, interval: Interval, moments: list[datetime]
) -> None:
    for moment in moments:
        sync(stores, MARKETS[mode], ticker, interval, moment)
    assert_in_step(stores, ticker, download(mode, ticker, interval, moments[0], moments[-1]), interval, mode)


def test_a_full_pull_asks_for_everything_and_saves_what_differs(stores: Stores) -> None:
    """What was stored before the beginning of the source's history stays."""
    earlier, provider = NOW - timedelta(days=100), Asked(Mode.VN)
    sync(stores, provider, "VCB", DAY, earlier)
    stats = sync(stores, provider, "VCB", DAY, NOW, full=True)
    assert provider.requests[-1] == (provider.history_start(DAY, seconds(NOW)), seconds(NOW))
    assert_in_step(stores, "VCB", download(Mode.VN, "VCB", DAY, earlier, NOW))
    assert 0 < stats.changed < 100 < stats.fetched


def test_a_full_pull_mends_what_a_resume_does_not_look_at(stores: Stores) -> None:
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW)
    right = stores.in_csv("VCB")
    prices = right.prices.copy()
    prices[:, 100] += 1_000
    wrong = enhance(Bars.of(right.time, prices, right.volume), Mode.VN, is_index=False)
    stores.save("VCB", wrong, rewrite_all=True)
    assert sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW).changed == 0
    assert sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW, full=True).changed == len(right) - 100
    assert_in_step(stores, "VCB", right)


def test_a_correction_within_the_overlap_reaches_the_indicators_of_all_later_bars(stores: Stores) -> None:
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW)
    right = stores.in_csv("VCB")
    place = len(right) - 10
    prices = right.prices.copy()
    prices[:, place] += 1_000
    stores.save("VCB", enhance(Bars.of(right.time, prices, right.volume), Mode.VN, is_index=False), rewrite_all=True)
    assert sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW).changed == 10
    assert_in_step(stores, "VCB", right)


# The source does not play along


class Failing(Asked):
    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        raise ProviderError("the source answered 500")


@pytest.mark.parametrize(
    ("provider", "ticker", "error"),
    [
        (MARKETS[Mode.VN], "NOSUCH", UnknownSymbolError),
        (Failing(Mode.VN), "VCB", ProviderError),
    ],
)
@pytest.mark.parametrize("full", [False, True])
def test_a_source_that_fails_leaves_everything_as_it_is(
    stores: Stores, provider: SimulatedProvider | Asked, ticker: str, error: type[Exception], full: bool
) -> None:
    bars = download(Mode.VN, "VCB", DAY, NOW, NOW - timedelta(days=1))
    stores.save(ticker, bars)
    with pytest.raises(error):
        sync(stores, provider, ticker, DAY, NOW, full=full)
    assert_in_step(stores, ticker, bars)


def test_an_unknown_ticker_leaves_no_trace(stores: Stores) -> None:
    with pytest.raises(UnknownSymbolError, match="NOSUCH"):
        sync(stores, MARKETS[Mode.VN], "NOSUCH", DAY, NOW)
    assert stores.csv_store.tickers(Mode.VN) == []
    assert stores.sqlite_store.ledger(Mode.VN) == {}


def test_no_bars_are_an_answer(stores: Stores) -> None:
    """Asked before there was anything, and at a time for which nothing has come yet."""
    dawn = datetime(1999, 1, 1, tzinfo=UTC)
    assert sync(stores, MARKETS[Mode.VN], "VCB", DAY, dawn) == SyncStats()
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW)
    before = stores.in_csv("VCB")
    everything = set(before.time.tolist())
    assert sync(stores, Asked(Mode.VN, everything), "VCB", DAY, NOW) == SyncStats()
    assert_in_step(stores, "VCB", before)


@pytest.mark.parametrize("missing", [[-1], [-2], [-5, -4], list(range(-15, 0)), [0], [0, 1, 700]])
@pytest.mark.parametrize("full", [False, True])
def test_a_bar_that_the_source_no_longer_sends_stays(stores: Stores, missing: list[int], full: bool) -> None:
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW)
    before = stores.in_csv("VCB")
    provider = Asked(Mode.VN, {int(before.time[position]) for position in missing})
    assert sync(stores, provider, "VCB", DAY, NOW, full=full).changed == 0
    assert_in_step(stores, "VCB", before)
    tomorrow = NOW + timedelta(days=1)
    assert sync(stores, provider, "VCB", DAY, tomorrow, full=full).changed > 0
    # A bar that was forming when it was last sent stays as it was then.
    kept = before.take(np.isin(before.time, list(provider.withheld)))
    expected = download(Mode.VN, "VCB", DAY, NOW, tomorrow).merge(kept)
    assert_in_step(stores, "VCB", enhance(expected, Mode.VN, is_index=False))


@pytest.mark.parametrize("position", [-1, -2, -7])
def test_a_bar_that_comes_late_takes_its_place(stores: Stores, position: int) -> None:
    whole = download(Mode.VN, "VCB", DAY, NOW, NOW)
    late = {int(whole.time[position])}
    sync(stores, Asked(Mode.VN, late), "VCB", DAY, NOW)
    assert len(stores.in_csv("VCB")) == len(whole) - 1
    assert sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW).changed == -position
    assert_in_step(stores, "VCB", whole)


# The stores do not play along


@pytest.mark.parametrize("fault", list(faults.PASSING))
def test_sqlite_that_fails_meanwhile_is_caught_up(make_stores: MakeStores, fault: str) -> None:
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="0")
    start = NOW - timedelta(days=200)
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, start)
    moments = [NOW - timedelta(days=100), NOW - timedelta(days=98)]
    with faults.PASSING[fault](stores):
        assert [sync(stores, MARKETS[Mode.VN], "VCB", DAY, each).saved.sqlite_error is None for each in moments] == [
            False,
            False,
        ]
        assert stores.in_csv("VCB").equals(download(Mode.VN, "VCB", DAY, start, moments[-1]))
    assert sync(stores, MARKETS[Mode.VN], "VCB", DAY, NOW).saved.sqlite_error is None
    assert_in_step(stores, "VCB", download(Mode.VN, "VCB", DAY, start, NOW))


def test_without_the_fallback_nothing_is_fetched_onto_a_broken_database(make_stores: MakeStores) -> None:
    stores = make_stores(FALLBACK_TO_CSV="false")
    faults.fill_with_garbage(stores.settings.vn_database_path)
    provider = Asked(Mode.VN)
    with pytest.raises(SqliteError):
        sync(stores, provider, "VCB", DAY, NOW)
    assert provider.requests == []
    repair(stores)
    sync(stores, provider, "VCB", DAY, NOW)
    assert_in_step(stores, "VCB", download(Mode.VN, "VCB", DAY, NOW, NOW))


@pytest.mark.parametrize("lost", ["CSV", "SQLite"])
def test_the_resume_point_survives_the_loss_of_one_store(stores: Stores, lost: str) -> None:
    """It comes from the other one, so that only the overlap is asked for and no earlier bar is lost."""
    start = NOW - timedelta(days=2)
    sync(stores, MARKETS[Mode.VN], "VCB", DAY, start)
    if lost == "CSV":
        stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY)).unlink()
    else:
        faults.delete(stores.settings.vn_database_path)
    provider = Asked(Mode.VN)
    sync(stores, provider, "VCB", DAY, NOW)
    assert provider.requests[0][0] > seconds(NOW) - 2 * OVERLAP_BARS[DAY] * SECONDS_PER_DAY
    if lost == "SQLite":
        repair(stores)  # as the next cycle does: no save makes a database that would hold one series alone
    assert_in_step(stores, "VCB", download(Mode.VN, "VCB", DAY, start, NOW))
