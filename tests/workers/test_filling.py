"""Holes that the worker fills by itself: when, how many a night, and what a source that fails does to it."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from stockapi.calc.indicators import enhance
from stockapi.errors import BadPayloadError, ProviderBannedError, ProviderError, ProviderStoppedError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.live.timing import Timing
from stockapi.providers.live.vci import VciProvider
from stockapi.services.ingest import filling as windows
from stockapi.services.ingest.filling import holes
from stockapi.services.upkeep.reconcile import verify
from tests.fake_upstream import FakeUpstream
from tests.support.loops import Clock
from tests.support.stores import MakeStores, Stores
from workers.clocks import Clocks
from workers.filling import Filling, quiet_since

VN, CRYPTO = Mode
DAY = Interval.DAILY
TICKERS = ["ACB", "VCB"]


def at(text: str) -> datetime:
    """A moment in Ho Chi Minh City. 2026-03-03 is a Tuesday."""
    return datetime.fromisoformat(f"{text}+07:00").astimezone(UTC)


@pytest.mark.parametrize(
    ("mode", "now", "since"),
    [
        (VN, "2026-03-03T01:59:59", None),
        (VN, "2026-03-03T02:00", "2026-03-03T02:00"),
        (VN, "2026-03-03T05:59:59", "2026-03-03T02:00"),
        (VN, "2026-03-03T06:00", None),
        (VN, "2026-03-03T14:00", None),
        (CRYPTO, "2026-03-03T03:59", None),
        (CRYPTO, "2026-03-03T07:59", "2026-03-03T04:00"),
        (CRYPTO, "2026-03-03T08:00", None),
    ],
)
def test_when_it_is_quiet(mode: Mode, now: str, since: str | None) -> None:
    assert quiet_since(mode, at(now)) == (None if since is None else at(since))


class Rig(Clock):
    """The worker's thread over a source that speaks the real format, at one and the same time."""

    def __init__(self, upstream: FakeUpstream, stores: Stores) -> None:
        super().__init__(at("2026-03-03T01:00"))
        self.upstream, self.stores = upstream, stores
        timing = Timing(wait=self._wait, monotonic_s=self.monotonic, unix_s=lambda: self.now.timestamp())
        self.provider = VciProvider(stores.settings, timing)
        self.provider.tickers = lambda: TICKERS  # type: ignore[method-assign]
        self.stop = threading.Event()
        self.filling = self.restarted()

    def restarted(self) -> Filling:
        return Filling(self.stores, {VN: self.provider}, self.stop, Clocks(self.wall, self.monotonic, lambda: 0.0))

    def _wait(self, seconds: float) -> bool:
        self.pass_s(seconds)
        return False

    def look(self, text: str) -> int:
        """One look of the thread at that time; returns how many requests it made."""
        self.now = at(text)
        self.upstream.now = int(self.now.timestamp())
        self.upstream.forget_requests()
        self.filling.fill_due()
        return len(self.upstream.requests)

    def whole(self, ticker: str) -> Bars:
        first, last = (int(at(text).timestamp()) for text in ("2024-01-02T08:00", "2026-02-27T23:00"))
        return self.upstream.market.bars(VN, ticker, DAY, first, last)

    def put_pieces(self, ticker: str) -> None:
        """Two of them, with a hole of 229 days."""
        whole, ends = self.whole(ticker), int(at("2024-12-31T23:00").timestamp())
        pieces = Bars.concatenate([whole.between(None, ends), whole.between(ends + 229 * 86_400, None)])
        self.stores.save(ticker, enhance(pieces, VN, is_index=False), rewrite_all=True)

    def missing(self, ticker: str) -> int:
        held = self.stores.in_csv(ticker)
        return len(self.whole(ticker)) - len(held)


@pytest.fixture
def rig(make_stores: MakeStores) -> Iterator[Rig]:
    with FakeUpstream(0, {VN: TICKERS}) as upstream:
        rig = Rig(upstream, make_stores(**upstream.variables(), VCI_REQUESTS_PER_MINUTE="1000"))
        rig.upstream.now = int(rig.now.timestamp())
        for ticker in TICKERS:
            rig.put_pieces(ticker)
        yield rig


def test_a_hole_of_229_days_is_filled_at_night(rig: Rig) -> None:
    assert rig.missing("VCB") > 150
    assert rig.look("2026-03-03T01:59") == 0
    assert rig.look("2026-03-03T02:01") == len(TICKERS), "the hours and minutes are not stored at all"
    for ticker in TICKERS:
        expected = rig.whole(ticker)
        expected = enhance(Bars.of(expected.time, expected.prices, expected.volume), VN, is_index=False)
        assert rig.stores.in_csv(ticker).equals(expected)
        assert rig.stores.in_sqlite(ticker).equals(expected)
    assert [report for report in verify(rig.stores, VN, Interval) if report.problems] == []
    assert rig.look("2026-03-03T02:05") == 0
    rig.filling = rig.restarted()
    assert rig.look("2026-03-04T02:01") == 0, "what the source does not have is remembered by the next process"


def test_the_end_of_the_quiet_hours_ends_it_until_the_next_night(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "_LEAST_BARS", 20)
    monkeypatch.setattr(windows, "_SHARE", 10_000)
    fetch = rig.provider.fetch

    def slowly(*args: object) -> Bars:
        rig.pass_s(3_000)
        return fetch(*args)  # type: ignore[arg-type]

    rig.provider.fetch = slowly  # type: ignore[method-assign]
    first = rig.look("2026-03-03T02:01")
    assert 3 <= first <= 6
    missing = rig.missing("ACB")
    assert rig.look("2026-03-03T10:00") == 0
    assert rig.look("2026-03-04T02:01") == first
    assert rig.missing("ACB") < missing


@pytest.mark.parametrize(
    ("error", "others", "again_at"),
    [
        (BadPayloadError("told: half a JSON"), True, "2026-03-04T02:01"),
        (ProviderBannedError("told: turned away"), False, "2026-03-03T03:05"),
        (ProviderStoppedError("stopped"), False, "2026-03-03T02:02"),
    ],
)
def test_a_failure_is_of_one_series_or_of_the_source(
    rig: Rig, error: ProviderError, others: bool, again_at: str
) -> None:
    fetch = rig.provider.fetch

    def failing(ticker: str, *args: object) -> Bars:
        if ticker == "ACB":
            raise error
        return fetch(ticker, *args)  # type: ignore[arg-type]

    rig.provider.fetch = failing  # type: ignore[method-assign]
    rig.look("2026-03-03T02:01")
    assert (rig.missing("VCB") == 0) is others
    assert rig.missing("ACB") > 0
    rig.provider.fetch = fetch  # type: ignore[method-assign]
    rig.pass_s(3_600 if again_at == "2026-03-03T03:05" else 0)
    rig.look(again_at)
    assert (rig.missing("ACB"), rig.missing("VCB")) == (0, 0)


def test_a_series_that_cannot_be_read_keeps_no_other_back(rig: Rig) -> None:
    key = SeriesKey(VN, "ACB", DAY)
    rig.stores.csv_store.path(key).write_text("ticker,time,open\nACB,2026-01-05,1\n" * 2_000)
    rig.look("2026-03-03T02:01")
    assert rig.missing("VCB") == 0


def test_a_stop_ends_it_after_the_window_in_hand(rig: Rig) -> None:
    fetch = rig.provider.fetch

    def stopping(*args: object) -> Bars:
        rig.stop.set()
        return fetch(*args)  # type: ignore[arg-type]

    rig.provider.fetch = stopping  # type: ignore[method-assign]
    assert rig.look("2026-03-03T02:01") == 1
    assert (rig.missing("ACB") == 0, rig.missing("VCB") == 0) == (True, False)
    times = rig.stores.in_csv("VCB").time
    assert len(holes(rig.stores, SeriesKey(VN, "VCB", DAY), times, int(rig.now.timestamp()))) == 1
