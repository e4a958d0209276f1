"""VCI over real HTTP: what it is asked, what becomes of its answers, and how long histories page."""

from collections.abc import Callable
from typing import Any

import pytest

from stockapi.config import Settings
from stockapi.errors import (
    NoDataError,
)
from stockapi.models import Bars, Interval, Mode
from stockapi.providers.live import vci
from tests.fake_upstream import FakeTime, FakeUpstream, Fault
from tests.support.live_sources import DAY, MIDNIGHT, NOW, MakeProvider, fetch, same, truth


def test_vci_is_asked_for_more_bars_than_there_can_be(make: MakeProvider, upstream: FakeUpstream) -> None:
    provider = make("vci")
    # Ten weekdays, Monday to Friday of the week after.
    start, end = MIDNIGHT - 14 * DAY, MIDNIGHT - 3 * DAY
    for interval in Interval:
        provider.fetch("VCB", interval, start, end)
    assert [seen.params for seen in upstream.requests] == [
        {"timeFrame": frame, "symbols": ["VCB"], "to": end + DAY, "countBack": count}
        for frame, count in (("ONE_DAY", 10 + 100), ("ONE_HOUR", 65 + 100), ("ONE_MINUTE", 3_900 + 100))
    ]


def test_vci_is_asked_like_a_browser_asks(make: MakeProvider, upstream: FakeUpstream) -> None:
    fetch(make("vci"))
    headers = upstream.requests[0].headers
    assert headers["User-Agent"].startswith("Mozilla/5.0")
    assert headers["Origin"] == "https://trading.vietcap.com.vn"
    assert headers["Referer"] == "https://trading.vietcap.com.vn/"


@pytest.mark.parametrize("fault", [Fault.ENVELOPE, Fault.WRONG_SYMBOL], ids=lambda fault: fault.name)
def test_vci_takes_an_envelope_and_the_series_with_the_right_symbol(
    fault: Fault, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(fault)
    assert same(fetch(make("vci")), truth(upstream, "vci"))


def test_vci_does_not_tell_an_unknown_ticker_from_a_block(make: MakeProvider) -> None:
    with pytest.raises(NoDataError, match=r"^VCI ZZZ 1D: an answer without bars"):
        fetch(make("vci"), ticker="ZZZ")


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages so small that a few weeks make many."""
    monkeypatch.setattr(vci, "_MOST_BARS", 300)


@pytest.mark.usefixtures("small_pages")
def test_vci_pages_backward_through_a_long_history(make: MakeProvider, upstream: FakeUpstream) -> None:
    start = NOW - 20 * DAY
    bars = make("vci").fetch("VCB", Interval.MINUTE, start, NOW)
    assert same(bars, truth(upstream, "vci", Interval.MINUTE, 20 * DAY))
    assert len(upstream.requests) == -(-len(bars) // 300)
    tos = [seen.params["to"] for seen in upstream.requests]
    assert tos == sorted(tos, reverse=True)
    assert all(seen.params["countBack"] <= 300 for seen in upstream.requests)


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_vci_asks_again_for_a_page_that_came_empty_once(skip: int, make: MakeProvider, upstream: FakeUpstream) -> None:
    upstream.fail(Fault.EMPTY, skip=skip)
    bars = make("vci").fetch("VCB", Interval.MINUTE, NOW - 20 * DAY, NOW)
    assert same(bars, truth(upstream, "vci", Interval.MINUTE, 20 * DAY))


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("fault", [Fault.EMPTY, Fault.MISSING_SYMBOL])
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_vci_does_not_take_a_block_for_the_beginning_of_the_history(
    fault: Fault, skip: int, make: MakeProvider, upstream: FakeUpstream
) -> None:
    upstream.fail(fault, skip=skip, times=None)
    with pytest.raises(NoDataError, match=r"^VCI VCB 1m: bars, then none any more: we are being blocked$"):
        make("vci").fetch("VCB", Interval.MINUTE, NOW - 20 * DAY, NOW)
    assert len(upstream.requests) == skip + 2


Last = Callable[[Mode, str, Interval, int, int], Bars]
"""As `FakeMarket.last`: the newest so many bars before a time."""


@pytest.fixture
def change_last(upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Last], Last]], None]:
    """Replaces how VCI finds its bars by what a function makes of it."""
    return lambda change: monkeypatch.setattr(upstream.market, "last", change(upstream.market.last))


def test_vci_does_not_stall_on_a_holiday_where_minutes_are_counted_by_the_clock(
    make: MakeProvider,
    upstream: FakeUpstream,
    change_last: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(vci, "_MOST_BARS", 3_000)

    def is_holiday(time: Any) -> Any:
        # Thursday and Friday, and so four days in a row: longer than a page.
        return (time >= MIDNIGHT - 18 * DAY) & (time < MIDNIGHT - 16 * DAY)

    def by_time(_: Last) -> Last:
        def last(mode: Mode, ticker: str, interval: Interval, before: int, count: int) -> Bars:
            bars = upstream.market.bars(mode, ticker, interval, before - count * 60, before - 1)
            return bars.take(~is_holiday(bars.time))

        return last

    change_last(by_time)
    bars = make("vci").fetch("VCB", Interval.MINUTE, NOW - 45 * DAY, NOW)
    expected = truth(upstream, "vci", Interval.MINUTE, 45 * DAY)
    assert same(bars, expected.take(~is_holiday(expected.time)))
    assert is_holiday(expected.time).sum() > 400


@pytest.mark.usefixtures("small_pages")
def test_vci_stops_where_the_history_begins(make: MakeProvider, upstream: FakeUpstream) -> None:
    bars = make("vci").fetch("FPT", Interval.MINUTE, NOW - 400 * DAY, NOW)
    assert same(bars, upstream.market.bars(Mode.VN, "FPT", Interval.MINUTE, 0, NOW))
    assert bars.time[0] >= MIDNIGHT - 40 * DAY
    # Three empty pages; and after the first of them the newest bar and that page again.
    assert len(upstream.requests) == -(-len(bars) // 300) + 3 + 2


def test_vci_takes_one_request_where_the_window_begins_with_days_off(
    make: MakeProvider, upstream: FakeUpstream
) -> None:
    bars = make("vci").fetch("FPT", Interval.DAILY, MIDNIGHT - 53 * DAY, NOW)
    assert bars.time[0] >= MIDNIGHT - 40 * DAY
    assert len(upstream.requests) == 1


@pytest.mark.usefixtures("small_pages")
def test_vci_comes_to_an_end_when_the_same_page_comes_again_and_again(
    make: MakeProvider, upstream: FakeUpstream, change_last: Callable[..., None]
) -> None:
    change_last(lambda last: lambda mode, ticker, interval, _, count: last(mode, ticker, interval, NOW, count))
    assert len(make("vci").fetch("VCB", Interval.MINUTE, NOW - 200 * DAY, NOW)) == 300
    assert len(upstream.requests) == 1 + 3 + 2


def test_vci_pages_on_when_it_gets_fewer_bars_than_it_asked_for(
    make: MakeProvider, upstream: FakeUpstream, change_last: Callable[..., None]
) -> None:
    """A limit on the other side, of which nothing is said."""
    change_last(lambda last: lambda *window: last(*window[:4], min(window[4], 50)))
    bars = make("vci").fetch("VCB", Interval.DAILY, NOW - 200 * DAY, NOW)
    assert same(bars, truth(upstream, "vci", seconds=200 * DAY))


@pytest.mark.parametrize("hour", [-7, 2, 8])
def test_vci_may_stamp_days_with_any_moment_of_them(
    hour: int, make: MakeProvider, upstream: FakeUpstream, change_last: Callable[..., None]
) -> None:
    def stamped(last: Last) -> Last:
        def last_stamped(*window: Any) -> Bars:
            bars = last(*window)
            return Bars.of(bars.time + hour * 3_600, bars.prices, bars.volume)

        return last_stamped

    change_last(stamped)
    assert same(fetch(make("vci")), truth(upstream, "vci"))


def test_a_dividend_between_two_fetches_changes_the_whole_history(upstream: FakeUpstream) -> None:
    settings = Settings.from_mapping(upstream.variables())
    ex_date = MIDNIGHT + DAY
    upstream.adjust("HPG", ex_date, 1.25)

    def daily(now: int) -> Bars:
        upstream.now = now
        return vci.VciProvider(settings, FakeTime(now).timing()).fetch("HPG", Interval.DAILY, NOW - 60 * DAY, now)

    before, after = daily(NOW), daily(NOW + DAY)
    assert len(after) == len(before) + 1
    ratios = before.close[:-1] / after.close[: len(before) - 1]
    assert ratios == pytest.approx(1.25, rel=1e-4)
