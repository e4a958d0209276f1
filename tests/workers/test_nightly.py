"""The verification at night: when a market is due, that it is gentle, and that nothing it meets ends the thread."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from stockapi.errors import SqliteError
from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.upkeep.reconcile import SeriesReport
from tests.support.stores import MakeStores, Stores, make_bars
from workers import nightly
from workers.clocks import Clocks
from workers.loop import REPAIRING
from workers.nightly import FIRST_CHECK_AFTER_S, NightlyVerification, is_due

VN, CRYPTO = Mode


def at(text: str) -> datetime:
    """A moment in Ho Chi Minh City. 2026-03-03 is a Tuesday."""
    return datetime.fromisoformat(f"{text}+07:00")


@pytest.mark.parametrize(
    ("mode", "last", "now", "due"),
    [
        (VN, "2026-03-02T02:05", "2026-03-03T01:59", False),
        (VN, "2026-03-02T02:05", "2026-03-03T02:00", True),
        (VN, "2026-03-03T02:00", "2026-03-03T02:01", False),
        (VN, "2026-03-03T02:00", "2026-03-04T01:59", False),
        # Missed: made up for while the market is closed.
        (VN, "2026-03-02T02:05", "2026-03-03T08:59", True),
        (VN, "2026-03-02T02:05", "2026-03-03T10:00", False),
        (VN, "2026-03-02T02:05", "2026-03-03T15:00", True),
        (VN, "2026-03-02T14:00", "2026-03-03T01:00", False),
        (VN, "2026-02-01T02:05", "2026-03-03T00:30", True),
        (VN, "2026-03-06T02:05", "2026-03-07T10:00", True),  # a Saturday
        # Recorded by a clock that was ahead: by seconds, by years.
        (VN, "2026-03-03T02:00", "2026-03-03T01:59", True),
        (VN, "2036-03-03T02:05", "2026-03-03T02:05", True),
        (VN, "2036-03-03T02:05", "2026-03-03T10:00", False),
        (CRYPTO, "2036-03-03T02:05", "2026-03-03T10:00", True),
        (VN, None, "2026-03-03T10:00", False),
        (VN, None, "2026-03-03T20:00", True),
        (CRYPTO, "2026-03-02T04:05", "2026-03-03T03:59", False),
        (CRYPTO, "2026-03-02T04:05", "2026-03-03T04:00", True),
        (CRYPTO, "2026-03-02T04:05", "2026-03-03T10:00", True),
        (CRYPTO, None, "2026-03-03T10:00", True),
    ],
)
def test_when_a_market_is_due(mode: Mode, last: str | None, now: str, due: bool) -> None:
    last_done = None if last is None else int(at(last).timestamp())
    assert is_due(mode, last_done, at(now).astimezone(UTC)) is due


class MovedClocks:
    """The wall clock and the monotonic one, moved together."""

    def __init__(self) -> None:
        self.now = at("2026-03-03T01:00")
        self.monotonic_s = 0.0

    def move(self, **delta: float) -> None:
        self.now += timedelta(**delta)
        self.monotonic_s += timedelta(**delta).total_seconds()


@pytest.fixture
def clocks() -> MovedClocks:
    return MovedClocks()


def nightly_of(stores: Stores, clocks: MovedClocks, *modes: Mode) -> NightlyVerification:
    return NightlyVerification(
        stores, modes or (VN,), threading.Event(), Clocks(lambda: clocks.now, lambda: clocks.monotonic_s)
    )


def verified_at(stores: Stores, mode: Mode = VN) -> int | None:
    last = Bookkeeping(stores.db_manager).last_verification(mode)
    return None if last is None else last.done_at


@pytest.fixture
def filled(stores: Stores) -> Stores:
    stores.save("VCB", make_bars(60))
    stores.save("BTC", make_bars(60, mode=CRYPTO), mode=CRYPTO)
    return stores


def spoil(stores: Stores) -> None:
    with stores.db_manager.transaction(VN) as connection:
        connection.execute("UPDATE vn_daily SET close = close + 10 WHERE ticker = 'VCB' ORDER BY time LIMIT 1")


def test_once_a_night_what_differs_is_repaired(
    filled: Stores, clocks: MovedClocks, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    worker = nightly_of(filled, clocks)
    spoil(filled)
    for _ in range(24 * 6):
        clocks.move(minutes=10)
        worker.verify_due()
    assert caplog.text.count("event=verified") == 2, "the one missed before the start, and that of the night"
    found = "1 bars with other values, the ledger does not describe the rows"
    copies = "the blocks of columns are not those of the rows, the pre-rendered answers are not those of the rows"
    assert f"vn VCB 1D: {found}, {copies}; CSV is right" in caplog.text
    assert "event=verified mode=vn series=1 bars=60 integrity=ok differing=1 left=0 rebuilt=False" in caplog.text
    assert filled.in_sqlite("VCB").equals(make_bars(60))


def test_a_start_is_left_in_peace(filled: Stores, clocks: MovedClocks) -> None:
    worker = nightly_of(filled, clocks)
    worker.verify_due()
    clocks.move(seconds=FIRST_CHECK_AFTER_S - 1)
    worker.verify_due()
    assert verified_at(filled) is None
    clocks.move(seconds=1)
    worker.verify_due()
    assert verified_at(filled) == clocks.now.timestamp()


def test_each_market_has_its_hour(filled: Stores, clocks: MovedClocks) -> None:
    worker = nightly_of(filled, clocks, VN, CRYPTO)
    clocks.move(hours=1)
    worker.verify_due()
    first = verified_at(filled, CRYPTO)
    assert verified_at(filled, VN) == first
    clocks.move(hours=2)
    worker.verify_due()
    assert verified_at(filled, VN) == first
    assert verified_at(filled, CRYPTO) == clocks.now.timestamp()


@pytest.mark.parametrize("failure", [SqliteError("disk I/O error"), ZeroDivisionError("a bug")])
def test_what_goes_wrong_is_logged_and_tried_again_in_an_hour(
    filled: Stores,
    clocks: MovedClocks,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    worker = nightly_of(filled, clocks)
    clocks.move(hours=1)
    with monkeypatch.context() as patch:
        patch.setattr(nightly, "verify_and_repair", fail)
        for _ in range(59):
            worker.verify_due()
            clocks.move(minutes=1)
    assert caplog.text.count("event=verification_failed mode=vn") == 1
    assert verified_at(filled) is None
    clocks.move(minutes=1)
    worker.verify_due()
    assert verified_at(filled) == clocks.now.timestamp()
    assert not REPAIRING[VN].locked()


def test_without_sqlite_there_is_nothing_to_verify(make_stores: MakeStores, clocks: MovedClocks) -> None:
    worker = nightly_of(make_stores(SQLITE_WRITES="false"), clocks)
    clocks.move(hours=12)
    worker.verify_due()


def test_no_more_than_half_of_the_time_is_taken(
    filled: Stores, clocks: MovedClocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(threading.Event, "wait", lambda _event, seconds: pauses.append(seconds))

    def reports() -> Iterator[SeriesReport]:
        for seconds in (0.25, 0.5, 60.0):
            clocks.move(seconds=seconds)
            yield SeriesReport(SeriesKey(VN, "VCB", Interval.DAILY), 0, 0, ())

    assert len([*nightly_of(filled, clocks)._gently(reports())]) == 3
    assert pauses == [0.25, 0.5, 1.0]


def test_the_thread_ends_when_it_is_told_to(filled: Stores) -> None:
    stop = threading.Event()
    thread = threading.Thread(target=NightlyVerification(filled, [VN], stop, Clocks(lambda: datetime.now(UTC))).run)
    thread.start()
    stop.set()
    thread.join(2.0)
    assert not thread.is_alive()
