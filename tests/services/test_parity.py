"""Parity: whatever is saved, and whatever goes wrong meanwhile, both stores hold the same float64s in the end."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.markets import market_of
from stockapi.models import Bars, Interval, Mode, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import reconcile_series
from stockapi.services.data_store import DataStore
from stockapi.services.upkeep.reconcile import reconcile_out_of_step
from tests import faults
from tests.faults import assert_in_step
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, environment

DAY = Interval.DAILY
LATER = datetime(2080, 1, 1, tzinfo=UTC)
"""After all bars here: those of a time to come would be set aside."""

# Numbers as the worst of feeds may have them: none, tiny, huge, and all the digits a float has.
PRICES = st.one_of(
    st.just(0.0),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e-6),
    st.floats(0.0, allow_nan=False, allow_infinity=False),
    st.integers(0, 10**9).map(lambda cents: cents / 100),
)
WHOLE_VOLUMES = st.one_of(st.just(0), st.integers(0, 10**7), st.integers(0, 2**63 - 1))


@st.composite
def raw_bars(draw: st.DrawFn, mode: Mode, interval: Interval, slots: st.SearchStrategy[int], max_size: int) -> Bars:
    """Bars as a source sends them: not rounded, no indicators, at some of the times counted from 2015-01-05 on."""
    steps = draw(st.lists(slots, min_size=1, max_size=max_size, unique=True))
    count = len(steps)
    prices = draw(st.lists(PRICES, min_size=4 * count, max_size=4 * count))
    volumes = draw(
        st.lists(WHOLE_VOLUMES if market_of(mode).has_whole_volume else PRICES, min_size=count, max_size=count),
    )
    return Bars.of(
        FIRST_DAY + np.array(sorted(steps), dtype=np.int64) * interval.seconds,
        np.array(prices).reshape(4, count),
        np.array(volumes, dtype=np.int64 if market_of(mode).has_whole_volume else np.float64),
    )


# Any numbers


@pytest.fixture
def both_ways(make_stores: MakeStores) -> Stores:
    return make_stores(SQLITE_BATCH_SIZE="7")


@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("mode", list(Mode))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_saved_reads_back_the_same_from_either_store(
    both_ways: Stores, mode: Mode, interval: Interval, data: st.DataObject
) -> None:
    """Text and binary hold the same number to the last bit, in every window, and what is enhanced twice is the same."""
    stores = both_ways
    raw = data.draw(raw_bars(mode, interval, st.integers(-9_000, 20_000), max_size=25))
    ticker = data.draw(st.sampled_from(["ABC", "VNINDEX"]))
    bars = enhance(raw, mode, is_index=stores.settings.is_index(ticker, mode))
    stores.save(ticker, bars, interval, mode, rewrite_all=True)
    assert_in_step(stores, ticker, bars, interval, mode)
    start, end = sorted(data.draw(st.tuples(*[st.sampled_from(bars.time.tolist())] * 2)))
    store = DataStore(stores)
    for window in ({"start": start, "end": end, "limit": None}, {"end": end, "limit": 3}):
        params = {"mode": mode, "interval": interval, "symbols": (ticker,), **window}
        from_sqlite, from_csv = (
            store.get_data_smart_sqlite(QueryParameters(use_sqlite=use_sqlite, **params), stores.limits)  # type: ignore[arg-type]
            for use_sqlite in (True, False)
        )
        assert (from_sqlite.source.value, from_csv.source.value) == ("sqlite", "csv")
        assert from_sqlite.bars[ticker].equals(from_csv.bars[ticker])
    stats = reconcile_series(stores, SeriesKey(mode, ticker, interval), LATER)
    assert stats.bytes_written == 0, "rounding what is rounded, or averaging it, changes nothing"


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.parametrize("mode", list(Mode))
def test_any_sequence_of_tails_and_rewrites(both_ways: Stores, mode: Mode, data: st.DataObject) -> None:
    stores = both_ways
    stored = enhance(data.draw(raw_bars(mode, DAY, st.integers(0, 30), max_size=10)), mode, is_index=False)
    stores.save("ABC", stored, mode=mode, rewrite_all=True)
    for _ in range(data.draw(st.integers(1, 4))):
        newer = data.draw(raw_bars(mode, DAY, st.integers(0, 40), max_size=6))
        merged = enhance(stored.merge(newer), mode, is_index=False)
        rewrite_all = data.draw(st.booleans())
        # As the synchronisation does it: from the first new or changed time on, or from any earlier one.
        first_changed = int(newer.time[0])
        cutoff = data.draw(st.sampled_from([first_changed, first_changed - 5 * DAY.seconds, int(merged.time[0])]))
        stores.save("ABC", merged, mode=mode, cutoff=cutoff, rewrite_all=rewrite_all)
        stored = merged
        assert_in_step(stores, "ABC", stored, mode=mode)


# Any faults


class Faults(RuleBasedStateMachine):
    """One series, saved again and again while everything happens to its stores that must not cost a bar.

    `acknowledged` is what a save has returned for. Only one store at a time is harmed beyond what it can know
    itself: the other then has everything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.settings = Settings.from_mapping(
            environment(Path(self.directory.name), SQLITE_BUSY_TIMEOUT_MS="0", SQLITE_BATCH_SIZE="5")
        )
        self.acknowledged = Bars.empty(whole_volume=True)
        self.is_in_step = True
        self.has_copy = False
        self.open()

    def open(self) -> None:
        """A new process."""
        self.stores = Stores.of(self.settings)

    @property
    def database(self) -> Path:
        return self.settings.vn_database_path

    @property
    def csv(self) -> Path:
        return self.stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY))

    @initialize(bars=raw_bars(Mode.VN, DAY, st.integers(0, 20), max_size=12))
    def first_save(self, bars: Bars) -> None:
        self.save(bars, rewrite_all=False)

    @rule(bars=raw_bars(Mode.VN, DAY, st.integers(0, 60), max_size=8), rewrite_all=st.booleans())
    def save(self, bars: Bars, rewrite_all: bool) -> None:
        assert self.saved(bars, rewrite_all) is None
        self.is_in_step = True

    @rule(
        bars=raw_bars(Mode.VN, DAY, st.integers(0, 60), max_size=8),
        rewrite_all=st.booleans(),
        fault=st.sampled_from(list(faults.PASSING)),
    )
    def save_while_sqlite_fails(self, bars: Bars, rewrite_all: bool, fault: str) -> None:
        with faults.PASSING[fault](self.stores):
            # A full database may have room for these few.
            error = self.saved(bars, rewrite_all)
        self.is_in_step = error is None

    def saved(self, bars: Bars, rewrite_all: bool) -> str | None:
        merged = enhance(self.acknowledged.merge(bars), Mode.VN, is_index=False)
        result = self.stores.save("VCB", merged, cutoff=int(bars.time[0]), rewrite_all=rewrite_all)
        self.acknowledged = merged
        return result.sqlite_error

    @rule()
    def restart(self) -> None:
        self.stores.db_manager.close()
        self.open()

    @rule()
    def start(self) -> None:
        reconcile_out_of_step(self.stores, Mode.VN, NOW)
        self.is_in_step = True
        assert_in_step(self.stores, "VCB", self.acknowledged)

    @rule()
    def run_without_sqlite(self) -> None:
        """The rollout flag is off for one save."""
        settings = Settings.from_mapping(environment(Path(self.directory.name), SQLITE_WRITES="false"))
        off = Stores.of(settings)
        newest = int(self.acknowledged.time[-1]) + DAY.seconds
        bar = Bars.of(np.array([newest]), np.full((4, 1), 5.0), np.array([5]))
        self.acknowledged = enhance(self.acknowledged.merge(bar), Mode.VN, is_index=False)
        off.save("VCB", self.acknowledged, cutoff=newest)
        self.is_in_step = False

    @rule(fault=st.sampled_from(["missing", "zero bytes", "garbage", "tables dropped"]))
    def lose_the_database(self, fault: str) -> None:
        self.stores.db_manager.close()
        if self.database.is_file():
            faults.LASTING[fault](self.database)
        self.open()
        self.start()

    @rule()
    def copy_the_database(self) -> None:
        self.stores.db_manager.close()
        faults.old_copy(self.database, self.database.with_suffix(".copy"))
        self.has_copy = True

    @precondition(lambda self: self.has_copy)
    @rule()
    def put_an_old_database_back(self) -> None:
        self.stores.db_manager.close()
        faults.put(self.database, self.database.with_suffix(".copy").read_bytes())
        self.is_in_step = False

    @precondition(lambda self: self.is_in_step)
    @rule()
    def delete_the_csv_file(self) -> None:
        self.csv.unlink()
        self.start()

    @precondition(lambda self: self.is_in_step)
    @rule(cut=st.integers(1, 400))
    def tear_the_csv_file(self, cut: int) -> None:
        data = self.csv.read_bytes()
        self.csv.write_bytes(data[: max(0, len(data) - cut)])
        self.start()

    @rule()
    def touch_the_csv_file(self) -> None:
        self.csv.touch()

    @invariant()
    def csv_has_everything(self) -> None:
        assert self.stores.in_csv("VCB").equals(self.acknowledged)

    def teardown(self) -> None:
        try:
            self.start()
        finally:
            self.stores.db_manager.close()
            self.directory.cleanup()


Faults.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestFaults = pytest.mark.long(Faults.TestCase)
