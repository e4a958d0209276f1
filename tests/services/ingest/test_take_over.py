"""A series whose bars come from one source, and another source that is to go on: continued, replaced, or left alone."""

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.constants import SECONDS_PER_DAY
from stockapi.errors import DoesNotContinueError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.ingest.filling import fill_series
from stockapi.services.ingest.history import SyncStats
from stockapi.services.ingest.sync import Wanted, sync_ticker
from stockapi.services.market_source import origin_of, record_source
from stockapi.services.series_sources import FILE_NAME, NOBODY, Origin
from stockapi.services.upkeep.changes import Deletion, Renaming, make_change
from stockapi.services.upkeep.reconcile import verify
from tests.support.stores import MakeStores, Stores
from tests.support.told import DAY, HOUR, MINUTE, NOW, TODAY, Source, days, within

DATES = days(120)


def walk(times: list[int]) -> Bars:
    """Prices that differ from bar to bar, in multiples of ten dong."""
    time = np.array(times, dtype=np.int64)
    close = 20_000.0 + 10 * (time // 60 * 37 % 211)
    return Bars.of(time, np.vstack([close, close + 50, close - 50, close]), 1_000 + time // 60 % 977)


def market() -> dict[Interval, Bars]:
    return {
        DAY: walk(DATES),
        HOUR: walk(within(DATES[-60:], 3_600, 5)),
        MINUTE: walk(within(DATES[-20:], 60, 50)),
    }


def source(name: str, change: Callable[[Bars], Bars] = lambda bars: bars) -> Source:
    """:param change: what is different in all its intervals."""
    made = Source({interval: change(bars) for interval, bars in market().items()})
    made.name = name
    return made


@pytest.fixture
def two(make_stores: MakeStores) -> Stores:
    """Filled by vci, with another source named behind it."""
    stores = make_stores(DATA_PROVIDER="live", VN_PROVIDERS="vci,vps")
    record_source(stores, Mode.VN, NOW)
    for interval in Interval:
        sync(stores, source("vci"), interval)
    assert set(origins(stores)) == {"vci"}
    assert not (stores.settings.data_dir(Mode.VN) / FILE_NAME).exists(), "nothing to tell"
    return stores


def key(interval: Interval, ticker: str = "VCB") -> SeriesKey:
    return SeriesKey(Mode.VN, ticker, interval)


def sync(stores: Stores, told: Source, interval: Interval, wanted: Wanted = Wanted.NEW) -> SyncStats:
    return sync_ticker(stores, told, key(interval), NOW, wanted=wanted)


def origin(stores: Stores, interval: Interval, ticker: str = "VCB") -> str:
    found = origin_of(stores, key(interval, ticker))
    assert found is not None
    return found.source


def origins(stores: Stores) -> list[str]:
    return [origin(stores, interval) for interval in Interval]


def adjustments(stores: Stores) -> int:
    return len(Bookkeeping(stores.db_manager).adjustments(Mode.VN, since=0))


def assert_held(stores: Stores, interval: Interval, shown: Bars) -> None:
    held = stores.in_csv("VCB", interval)
    assert held.equals(enhance(shown, Mode.VN, is_index=False)), interval
    assert stores.in_sqlite("VCB", interval).equals(held)
    assert not [report for report in verify(stores, Mode.VN, Interval) if report.problems]


EX_DAY = TODAY - 30 * SECONDS_PER_DAY


def adjusted(ratio: float, before: int = EX_DAY) -> Callable[[Bars], Bars]:
    def change(bars: Bars) -> Bars:
        prices = np.where(bars.time < before, np.round(bars.prices / ratio), bars.prices)
        return Bars.of(bars.time, prices, bars.volume)

    return change


def corrected(bars: Bars) -> Bars:
    return Bars.of(bars.time, bars.prices + (bars.time == bars.time[-5]), bars.volume)


def erratic(bars: Bars) -> Bars:
    return Bars.of(bars.time, np.round(bars.prices * (1.0 + bars.time // 60 * 37 % 101 / 500)), bars.volume)


@pytest.mark.parametrize("interval", list(Interval))
def test_the_same_prices_are_continued(two: Stores, interval: Interval) -> None:
    """Volumes may differ; only the compared bars get those of the other source."""
    vps = source("vps", lambda bars: Bars.of(bars.time, bars.prices, bars.volume * 2))
    newer = walk([int(vps.bars[interval].time[-1]) + interval.seconds])
    vps.bars[interval] = vps.bars[interval].merge(newer)
    before = two.in_csv("VCB", interval)
    told = sync_ticker(two, vps, key(interval), NOW + timedelta(days=2))
    assert (told.changed, adjustments(two)) == (41, 0)
    begin = len(before) - 40
    shown = Bars.concatenate([before.without_indicators().take(slice(begin)), vps.bars[interval].tail(41)])
    assert_held(two, interval, shown)
    assert [asked for asked, _ in vps.requests] == [interval], "no other history was fetched"
    assert two.series_sources.of(key(interval)) == Origin("vps", int(before.time[begin]))
    assert origin(two, DAY if interval is not DAY else HOUR) == "vci", "each series by itself"


@pytest.mark.parametrize(
    ("why", "change"),
    [
        ("a dividend of which only it knows", adjusted(1.05)),
        ("a dividend within the compared bars", adjusted(1.02, TODAY - 5 * SECONDS_PER_DAY)),
        ("a price that was corrected", corrected),
        ("all prices", erratic),
    ],
)
@pytest.mark.parametrize("first", list(Interval))
def test_other_prices_replace_all_three_histories(
    two: Stores, why: str, change: Callable[[Bars], Bars], first: Interval
) -> None:
    vps = source("vps", change)
    sync(two, vps, first)
    sync(two, vps, DAY)
    for interval in Interval:
        assert_held(two, interval, vps.bars[interval])
    assert origins(two) == ["vps"] * 3, why
    assert adjustments(two) == 0, "a change of source is no dividend"
    vps.requests.clear()
    assert [sync(two, vps, interval).changed for interval in Interval] == [0, 0, 0]
    assert len(vps.requests) == 3, "it is done once"


def test_bars_older_than_it_reaches_stay_at_its_prices(two: Stores) -> None:
    vps = source("vps", adjusted(1.25))
    vps.bars = {DAY: vps.bars[DAY].tail(80), HOUR: vps.bars[HOUR].tail(200), MINUTE: vps.bars[MINUTE].tail(300)}
    sync(two, vps, DAY)
    for interval, expected in market().items():
        held = two.in_csv("VCB", interval)
        shown = adjusted(1.25)(expected)
        assert held.time.tolist() == expected.time.tolist(), "no bar is lost"
        assert np.abs(held.close - shown.close).max() <= 0.5, "one level"
    assert origins(two) == ["vps"] * 3


def test_holes_of_the_other_source_stay_filled(two: Stores) -> None:
    def with_holes(bars: Bars) -> Bars:
        """None at the day of the dividend: nobody could tell on which side of it such a bar lies."""
        is_kept = (np.arange(len(bars)) % 3 != 1) | (np.abs(bars.time - EX_DAY) < 2 * SECONDS_PER_DAY)
        is_kept[-1] = True
        return bars.take(is_kept)

    vps = source("vps", lambda bars: with_holes(adjusted(1.25)(bars)))
    sync(two, vps, DAY)
    for interval, expected in market().items():
        assert two.in_csv("VCB", interval).time.tolist() == expected.time.tolist()
        assert np.abs(two.in_csv("VCB", interval).close - adjusted(1.25)(expected).close).max() <= 0.5


def test_what_cannot_be_brought_to_its_prices_is_put_aside_in_a_file(two: Stores) -> None:
    vps = source("vps", erratic)
    vps.bars[DAY] = vps.bars[DAY].tail(50)
    sync(two, vps, DAY)
    assert_held(two, DAY, vps.bars[DAY])
    (file,) = (two.settings.data_dir(Mode.VN) / "deleted").glob("*/VCB/1D.csv")
    with file.open() as lines:
        kept = [float(row["close"]) for row in csv.DictReader(lines)]
    assert kept == market()[DAY].close[:-50].tolist()


@pytest.mark.parametrize(
    ("why", "change", "says"),
    [
        ("nothing new", lambda bars: bars.take(slice(0, -3)), "lacks the newest stored bars"),
        ("nothing at all", lambda bars: bars.take(slice(0)), "lacks the newest stored bars"),
        ("dong for thousands", lambda bars: Bars.of(bars.time, bars.prices * 1_000, bars.volume), "another unit"),
        ("thousands for dong", lambda bars: Bars.of(bars.time, bars.prices / 1_000, bars.volume), "another unit"),
    ],
)
@pytest.mark.parametrize("wanted", [Wanted.NEW, Wanted.CLOSED, Wanted.ALL])
def test_a_source_that_does_not_fit_changes_nothing(
    two: Stores, why: str, change: Callable[[Bars], Bars], says: str, wanted: Wanted
) -> None:
    before = {interval: two.in_csv("VCB", interval) for interval in Interval}
    vps = source("vps", change)
    for interval in Interval:
        with pytest.raises(DoesNotContinueError, match=rf"^vps VCB {interval.value}: .*{says}"):
            sync(two, vps, interval, wanted)
        assert two.in_csv("VCB", interval).equals(before[interval]), why
    assert (origins(two), adjustments(two)) == (["vci"] * 3, 0)


@pytest.mark.parametrize("indices", ["VNINDEX", "VCB"])
@pytest.mark.parametrize("factor", [1_000.0, 0.001])
def test_a_source_that_changes_its_unit_has_paid_no_dividend(
    make_stores: MakeStores, indices: str, factor: float
) -> None:
    """Of an index, too, though its history is not compared."""
    stores = make_stores(DATA_PROVIDER="live", INDEX_TICKERS=indices)
    sync(stores, source("vci"), DAY)
    before = stores.in_csv("VCB")
    with pytest.raises(DoesNotContinueError, match="another unit"):
        sync(stores, source("vci", lambda bars: Bars.of(bars.time, bars.prices * factor, bars.volume)), DAY)
    assert (stores.in_csv("VCB").equals(before), adjustments(stores)) == (True, 0)


@pytest.mark.parametrize("factor", [1e3, 1e-3])
@pytest.mark.parametrize("ticker", ["VCB", "VNINDEX"])
def test_holes_are_not_filled_in_another_unit(two: Stores, ticker: str, factor: float) -> None:
    own = key(DAY, ticker)
    sync_ticker(two, source("vci"), own, NOW)
    make_change(two, Mode.VN, Deletion(ticker, (DAY,), DATES[50], DATES[60]), NOW)
    two.asked.forget(own)
    before = two.in_csv(ticker)
    broken = source("vci", lambda bars: Bars.of(bars.time, bars.prices * factor, bars.volume))
    with pytest.raises(DoesNotContinueError, match=rf"^vci {ticker} 1D: .*another unit"):
        list(fill_series(two, broken, own, lambda: NOW))
    assert (two.in_csv(ticker).equals(before), adjustments(two)) == (True, 0)
    assert sum(filled.bars for filled in fill_series(two, source("vci"), own, lambda: NOW)) == 11


def test_an_interval_in_which_it_is_behind_waits(two: Stores) -> None:
    vps = source("vps", adjusted(1.05))
    vps.bars[MINUTE] = vps.bars[MINUTE].take(slice(0, -30))
    sync(two, vps, DAY)
    assert origins(two) == ["vps", "vps", "vci"]
    assert_held(two, MINUTE, market()[MINUTE])


def test_what_has_waited_follows_the_days_though_its_newest_bars_agree(two: Stores) -> None:
    vps = source("vps", adjusted(1.05, TODAY - 5 * SECONDS_PER_DAY))
    minutes = vps.bars[MINUTE]
    vps.bars[MINUTE] = minutes.take(slice(0, -30))
    sync(two, vps, DAY)
    vps.bars[MINUTE] = minutes
    sync(two, vps, MINUTE)
    assert_held(two, MINUTE, minutes)
    assert origins(two) == ["vps"] * 3


def test_all_of_its_bars_are_wanted_and_not_only_the_newest(two: Stores) -> None:
    """`pull --full` of another source: where the newest agree, older ones may still differ."""
    vps = source("vps", adjusted(1.05, TODAY - 60 * SECONDS_PER_DAY))
    sync(two, vps, DAY, Wanted.ALL)
    assert_held(two, DAY, vps.bars[DAY])
    assert origins(two)[0] == "vps"


def test_a_dividend_after_the_change_is_told_without_what_the_sources_differ_in(two: Stores) -> None:
    """Before the compared bars the other source has other prices: it adjusts by other rules."""
    vps = source("vps", adjusted(1.07, TODAY - 70 * SECONDS_PER_DAY))
    assert sync(two, vps, DAY).adjustments == ()
    vps.bars = {interval: adjusted(1.02, TODAY)(bars) for interval, bars in vps.bars.items()}
    sync(two, vps, DAY)
    for interval in Interval:
        assert_held(two, interval, vps.bars[interval])
    found = Bookkeeping(two.db_manager).adjustments(Mode.VN, since=0)
    assert [(each.ex_time, round(each.ratio, 3)) for each in found] == [(TODAY, 1.02)]


def test_the_way_back(two: Stores) -> None:
    vci, vps = source("vci"), source("vps", adjusted(1.05))
    for interval in Interval:
        sync(two, vps, interval)
    assert origins(two) == ["vps"] * 3
    sync(two, vci, DAY)
    for interval in Interval:
        assert_held(two, interval, vci.bars[interval])
    assert origins(two) == ["vci"] * 3
    assert list(two.series_sources.all(Mode.VN)) == []
    assert adjustments(two) == 0


@pytest.mark.parametrize("stops_at", list(Interval))
@pytest.mark.parametrize("then", ["vci", "vps"])
def test_an_interrupted_change_is_finished_by_either_source(
    two: Stores, stops_at: Interval, then: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vci, vps = source("vci"), source("vps", adjusted(1.05))
    original = two.csv_store.write

    def write(series: SeriesKey, bars: Bars) -> int:
        if series.interval is stops_at:
            raise KeyboardInterrupt
        return original(series, bars)

    with monkeypatch.context() as patched:
        patched.setattr(two.csv_store, "write", write)
        with pytest.raises(KeyboardInterrupt):
            sync(two, vps, DAY)
    assert two.series_sources.of(key(stops_at)) == NOBODY
    told = vci if then == "vci" else vps
    for interval in Interval:
        sync(two, told, interval)
    for interval in Interval:
        assert_held(two, interval, told.bars[interval])
    assert (origins(two), adjustments(two)) == ([then] * 3, 0)


def test_a_series_that_is_new_is_of_the_source_that_fills_it(two: Stores) -> None:
    sync_ticker(two, source("vps"), key(DAY, "FPT"), NOW)
    assert origin(two, DAY, "FPT") == "vps"
    sync_ticker(two, source("vci"), key(DAY, "ACB"), NOW)
    assert two.series_sources.of(key(DAY, "ACB")) is None, "as the market"


def test_an_index_follows_the_same_rule(make_stores: MakeStores) -> None:
    stores = make_stores(DATA_PROVIDER="live", VN_PROVIDERS="vci,vps", INDEX_TICKERS="VCB")
    record_source(stores, Mode.VN, NOW)
    sync(stores, source("vci"), DAY)
    vps = source("vps", adjusted(1.05))
    sync(stores, vps, DAY)
    assert stores.in_csv("VCB").close.tolist() == vps.bars[DAY].close.tolist()


def test_holes_are_not_filled_from_another_source(two: Stores) -> None:
    old = source("vci")
    make_change(two, Mode.VN, Deletion("VCB", (DAY,), DATES[50], DATES[60]), NOW)
    two.asked.forget(key(DAY))
    vps = source("vps")
    assert list(fill_series(two, vps, key(DAY), lambda: NOW)) == []
    assert vps.requests == []
    assert sum(filled.bars for filled in fill_series(two, old, key(DAY), lambda: NOW)) == 11


def test_what_the_old_source_lacked_is_asked_of_the_new_one_but_not_what_was_deleted(two: Stores) -> None:
    now = int(NOW.timestamp())
    two.asked.forget(key(DAY))
    two.asked.record(key(DAY), (1_000, 2_000), now)
    two.asked.record(key(DAY), (5_000, 6_000), now, forever=True)
    two.asked.forget_answers(key(DAY))
    assert two.asked.spans(key(DAY), now) == [(5_000, 6_000)]


def test_what_is_renamed_or_joined_has_to_be_compared_and_what_is_deleted_is_forgotten(two: Stores) -> None:
    for interval in Interval:
        sync(two, source("vps", adjusted(1.05)), interval)
    make_change(two, Mode.VN, Renaming("VCB", "VCX"), NOW)
    assert {origin for _, origin in two.series_sources.all(Mode.VN)} == {NOBODY}
    assert {series.ticker for series, _ in two.series_sources.all(Mode.VN)} == {"VCX"}
    make_change(two, Mode.VN, Deletion("VCX", tuple(Interval)), NOW)
    assert list(two.series_sources.all(Mode.VN)) == []


@pytest.mark.parametrize("text", ["{", '{"1D": {"VCB": 5}}', '{"1D": {"VCB": ["vps"]}}', '{"1D": {"VCB": [5, 5]}}'])
def test_a_file_that_is_not_as_it_was_written_tells_nothing(two: Stores, text: str) -> None:
    (two.settings.data_dir(Mode.VN) / FILE_NAME).write_text(text)
    assert origins(two) == ["vci"] * 3


def test_with_one_source_nothing_is_compared_and_no_file_is_written(make_stores: MakeStores, tmp_path: Path) -> None:
    stores = make_stores(DATA_PROVIDER="live")
    sync(stores, source("vci"), DAY)
    sync(stores, source("another"), DAY)
    assert not (stores.settings.data_dir(Mode.VN) / FILE_NAME).exists()


def test_another_order_of_the_settings_changes_no_origin(two: Stores, make_stores: MakeStores) -> None:
    stores = make_stores(DATA_PROVIDER="live", VN_PROVIDERS="vps,vci")
    record_source(stores, Mode.VN, NOW)
    assert origins(stores) == ["vci"] * 3
    vps = source("vps", adjusted(1.05))
    sync(stores, vps, DAY)
    assert_held(stores, DAY, vps.bars[DAY])
    content = json.loads((stores.settings.data_dir(Mode.VN) / FILE_NAME).read_text())
    assert content == {each.value: {"VCB": ["vps", 0]} for each in Interval}
