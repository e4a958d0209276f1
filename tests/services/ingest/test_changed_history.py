"""A source that changes bars it has sent before: dividends, splits and corrections, in whatever order they arrive."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from stockapi.calc.indicators import enhance
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.ingest.history import SyncStats
from stockapi.services.ingest.sync import sync_ticker
from stockapi.services.upkeep.reconcile import verify
from tests.support.stores import Stores
from tests.support.told import DAY, HOUR, MINUTE, NOW, TODAY, Source, days, flat, market, within


def sync(stores: Stores, source: Source, interval: Interval, now: datetime = NOW) -> SyncStats:
    return sync_ticker(stores, source, SeriesKey(Mode.VN, "VCB", interval), now)


def filled(stores: Stores, source: Source, *intervals: Interval) -> Source:
    for interval in intervals or Interval:
        sync(stores, source, interval)
    source.requests.clear()
    return source


def assert_as_the_source(stores: Stores, source: Source, *intervals: Interval) -> None:
    for interval in intervals or Interval:
        held, shown = stores.in_csv("VCB", interval), source.bars[interval]
        assert held.equals(enhance(shown, Mode.VN, is_index=False)), interval
        assert stores.in_sqlite("VCB", interval).equals(held)
    assert not [report for report in verify(stores, Mode.VN, Interval) if report.problems]


def recorded(stores: Stores) -> list[tuple[int, float, bool]]:
    found = Bookkeeping(stores.db_manager).adjustments(Mode.VN, since=0)
    return [(each.ex_time, round(each.ratio, 3), each.applied_at is not None) for each in found]


@pytest.mark.parametrize("ratio", [1.003, 1.01, 1.025, 1.2, 2.0, 0.5])
@pytest.mark.parametrize("first", list(Interval))
def test_a_dividend_of_any_size_reaches_all_three_histories(stores: Stores, ratio: float, first: Interval) -> None:
    source = filled(stores, market())
    source.divide(ratio, TODAY)
    sync(stores, source, first)
    assert_as_the_source(stores, source)
    assert recorded(stores) == [(TODAY, pytest.approx(ratio, abs=1e-3), True)]


def test_the_average_is_of_one_level(stores: Stores) -> None:
    source = filled(stores, market())
    source.divide(1.025, TODAY)
    sync(stores, source, DAY)
    assert stores.in_csv("VCB").indicator("ma200")[-1] == pytest.approx((199 * 19_512 + 20_000) / 200, abs=0.01)


def test_two_dividends_since_the_last_look(stores: Stores) -> None:
    source = filled(stores, market())
    source.divide(1.02, TODAY - SECONDS_PER_DAY)
    source.divide(1.05, TODAY - 10 * SECONDS_PER_DAY)
    sync(stores, source, DAY)
    assert_as_the_source(stores, source)
    assert recorded(stores) == [(TODAY - 10 * SECONDS_PER_DAY, 1.05, True), (TODAY - SECONDS_PER_DAY, 1.02, True)]


@pytest.mark.parametrize(
    ("why", "times", "ratio"),
    [
        ("a bar a week", days(100, every=7), 2.0),
        ("a bar a month", days(60, every=30), 1.05),
        ("suspended for four months", [*days(300, last=TODAY - 120 * SECONDS_PER_DAY), TODAY - SECONDS_PER_DAY], 100.0),
        ("three bars in all", days(3, every=20), 2.0),
    ],
)
def test_thin_trading_hides_no_split(stores: Stores, why: str, times: list[int], ratio: float) -> None:
    source = filled(stores, Source({DAY: flat(times)}), DAY)
    source.bars[DAY] = flat([*times, TODAY + SECONDS_PER_DAY])
    source.divide(ratio, TODAY + SECONDS_PER_DAY, DAY)
    sync(stores, source, DAY, NOW + timedelta(days=1))
    assert_as_the_source(stores, source, DAY)
    assert [found for _, found, _ in recorded(stores)] == [ratio], why


@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("count", [1, 10])
def test_bars_that_were_wrong_for_a_while_are_corrected(stores: Stores, interval: Interval, count: int) -> None:
    """The newer value wins, new bars come in, and nobody is told of a dividend."""
    source = market()
    right = source.bars[interval]
    wrong = right.prices.copy()
    wrong[:, -count - 5 : -5] *= 1.1
    source.bars[interval] = Bars.of(right.time, wrong, right.volume).take(slice(None, -3))
    filled(stores, source)
    source.bars[interval] = right
    sync(stores, source, interval)
    assert_as_the_source(stores, source)
    assert recorded(stores) == []
    assert [asked for asked, _ in source.requests] == [interval], "no other interval was fetched"


@pytest.mark.parametrize("late", [(HOUR,), (MINUTE,), (HOUR, MINUTE)])
def test_hours_and_minutes_that_the_source_adjusts_later(stores: Stores, late: tuple[Interval, ...]) -> None:
    """Until then the status says which are behind; then they follow, without anybody's help."""
    source = filled(stores, market())
    source.divide(1.02, TODAY, *(each for each in Interval if each not in late))
    assert sync(stores, source, DAY).waits_for == late
    assert sync(stores, source, DAY).waits_for == late, "at every cycle"
    assert recorded(stores) == [(TODAY, 1.02, False)]
    source.divide(1.02, TODAY, *late)
    for interval in late:
        sync(stores, source, interval)
    assert_as_the_source(stores, source)
    assert recorded(stores) == [(TODAY, 1.02, True)]
    assert sync(stores, source, DAY).waits_for == ()


@pytest.mark.parametrize(("late", "after_days"), [(HOUR, 18), (MINUTE, 1), (MINUTE, 5)])
def test_hours_and_minutes_that_follow_after_days(stores: Stores, late: Interval, after_days: int) -> None:
    """By then the bars that a resume fetches again are all of after the dividend."""
    dates, end = days(60, last=TODAY + 20 * SECONDS_PER_DAY), NOW + timedelta(days=after_days)
    source = Source({DAY: flat(dates), HOUR: flat(within(dates, 3_600, 5)), MINUTE: flat(within(dates, 60, 240))})
    filled(stores, source)
    source.divide(1.05, TODAY, *(each for each in Interval if each is not late))
    sync(stores, source, DAY)
    sync(stores, source, late, end)
    source.divide(1.05, TODAY, late)
    sync(stores, source, late, end)
    shown = source.bars[late].between(None, int(end.timestamp()))
    assert stores.in_csv("VCB", late).close.tolist() == shown.close.tolist()
    assert recorded(stores) == [(TODAY, 1.05, True)]


@pytest.mark.parametrize("lacking", [(MINUTE,), (HOUR,), (HOUR, MINUTE)])
def test_an_interval_that_the_source_lacks_keeps_no_other_back(stores: Stores, lacking: tuple[Interval, ...]) -> None:
    source = market()
    for interval in lacking:
        del source.bars[interval]
    kept = [interval for interval in Interval if interval not in lacking]
    filled(stores, source, *kept)
    source.divide(1.5, TODAY, *kept)
    sync(stores, source, DAY)
    assert_as_the_source(stores, source, *kept)
    assert recorded(stores) == [(TODAY, 1.5, True)]
    source.requests.clear()
    sync(stores, source, DAY)
    assert len(source.requests) == 1, "it is done once"


def test_a_newest_minute_that_comes_in_during_the_swap_is_kept(stores: Stores) -> None:
    """Another thread saves a minute while the adjusted history is being fetched: it is in both stores at the end."""
    source = filled(stores, market())
    source.divide(1.25, TODAY)
    newer = flat([int(source.bars[MINUTE].time[-1]) + 60])
    fetch: Callable[[str, Interval, int, int], Bars] = source.fetch

    def meanwhile(ticker: str, interval: Interval, start: int, end: int) -> Bars:
        bars = fetch(ticker, interval, start, end)
        if interval is DAY and start == 0:  # the last download before the swaps
            held = stores.in_csv("VCB", MINUTE)
            stores.save("VCB", enhance(held.merge(newer), Mode.VN, is_index=False), MINUTE)
        return bars

    source.fetch = meanwhile  # type: ignore[method-assign]
    sync(stores, source, DAY)
    assert stores.in_csv("VCB", MINUTE).time[-1] == newer.time[0]
    assert stores.in_sqlite("VCB", MINUTE).equals(stores.in_csv("VCB", MINUTE))


def test_what_an_interrupted_swap_has_left_is_finished(stores: Stores) -> None:
    """Days are new and the record says they are not: a stop between the last save and the record."""
    source = filled(stores, market())
    source.divide(1.25, TODAY)
    sync(stores, source, DAY)
    Bookkeeping(stores.db_manager).record_adjustment(Mode.VN, "VCB", TODAY + 1, 1.25, now=1)
    sync(stores, source, DAY)
    assert recorded(stores) == [(TODAY, 1.25, True), (TODAY + 1, 1.25, True)]


RECENT = within(days(3), 60, 50)
OLD_PIECE = within(days(10, TODAY - 100 * SECONDS_PER_DAY), 60, 50)


@pytest.mark.parametrize("ratio", [1.01, 2.0])
@pytest.mark.parametrize(
    ("why", "stored", "sent"),
    [
        ("the source sends no minute that is stored", OLD_PIECE, within([TODAY], 60, 50)),
        ("both have minutes of the newest day only", OLD_PIECE + RECENT[-50:], within([TODAY], 60, 50)),
        ("both have minutes of several days", OLD_PIECE + RECENT, RECENT),
    ],
)
def test_an_old_piece_of_minutes_follows_the_days(
    stores: Stores, ratio: float, why: str, stored: list[int], sent: list[int]
) -> None:
    """The piece was imported, and the source does not reach so far back."""
    source = market()
    source.bars[MINUTE] = flat(stored)
    filled(stores, source)
    source.bars[MINUTE] = flat(sent)
    source.divide(ratio, TODAY)
    sync(stores, source, DAY)
    held = stores.in_csv("VCB", MINUTE)
    assert set(held.close[held.time < TODAY].tolist()) == {float(round(20_000 / ratio))}, why
    assert set(held.close[held.time >= TODAY].tolist()) == {20_000.0}
    assert recorded(stores) == [(TODAY, ratio, True)]
    again = sync(stores, source, MINUTE).changed + sync(stores, source, DAY).changed
    assert (again, stores.in_csv("VCB", MINUTE).equals(held)) == (0, True)


def test_an_old_piece_waits_with_the_newer_minutes_and_is_divided_once(stores: Stores) -> None:
    source = market()
    source.bars[MINUTE] = flat(OLD_PIECE + RECENT)
    filled(stores, source)
    source.bars[MINUTE] = flat(RECENT)
    source.divide(2.0, TODAY, DAY, HOUR)
    assert sync(stores, source, DAY).waits_for == (MINUTE,)
    assert set(stores.in_csv("VCB", MINUTE).close.tolist()) == {20_000.0}, "one level in a series"
    source.divide(2.0, TODAY, MINUTE)
    sync(stores, source, MINUTE)
    held = stores.in_csv("VCB", MINUTE)
    assert set(held.close[held.time < TODAY].tolist()) == {10_000.0}


def test_an_old_piece_is_divided_once_though_the_swap_is_interrupted(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = market()
    source.bars[MINUTE] = flat(OLD_PIECE)
    filled(stores, source)
    source.bars[MINUTE] = flat(within([TODAY], 60, 50))
    source.divide(2.0, TODAY)
    original = stores.csv_store.write

    def write(key: SeriesKey, bars: Bars) -> int:
        if key.interval is DAY:
            raise KeyboardInterrupt
        return original(key, bars)

    with monkeypatch.context() as patched:
        patched.setattr(stores.csv_store, "write", write)
        with pytest.raises(KeyboardInterrupt):
            sync(stores, source, DAY)
    sync(stores, source, DAY)
    held = stores.in_csv("VCB", MINUTE)
    assert set(held.close[held.time < TODAY].tolist()) == {10_000.0}


def test_minutes_of_long_ago_that_keep_the_old_prices_are_told(stores: Stores) -> None:
    source = market()
    source.bars[MINUTE] = flat(OLD_PIECE)
    filled(stores, source)
    del source.bars[MINUTE]
    source.divide(2.0, TODAY, DAY, HOUR)
    assert sync(stores, source, DAY).waits_for == (MINUTE,)
    assert recorded(stores) == [(TODAY, 2.0, False)]
