"""What the workers leave for others to read, and what is made of it."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import pytest

from stockapi.errors import CsvError, SqliteError
from stockapi.models import Mode
from stockapi.services.database_manager.bookkeeping import Bookkeeping, Cycle, RecordedAdjustment, WorkerState
from stockapi.services.status import worker_status
from stockapi.services.status.worker_status import workers_of
from stockapi.services.writer_lock import writer_lock
from tests.support.stores import Stores

DAY = 86_400
GOOD: dict[str, Any] = {
    "worker": "daily",
    "due_every_s": 15,
    "cycle_seconds": 1.25,
    "rows_written": 7,
    "source": "vci",
    "source_state": "ok",
    "source_calls": 34,
    "source_errors": 0,
    "last_sync": 990,
    "last_error": None,
}
NEVER: dict[str, Any] = {
    "worker": "daily",
    "iterations": 0,
    "last_sync": None,
    "heartbeat_at": None,
    "due_every_s": None,
    "cycle_seconds": None,
    "rows_written": 0,
    "source": None,
    "source_state": None,
    "source_calls": 0,
    "source_errors": 0,
    "last_error": None,
    "last_error_at": None,
    "cycle_calls": None,
    "cycle_errors": None,
}


def cycle(**changes: object) -> Cycle:
    return Cycle(**(GOOD | changes))


def state(**changes: object) -> WorkerState:
    return WorkerState(**(NEVER | changes))


@pytest.fixture
def bookkeeping(stores: Stores) -> Bookkeeping:
    stores.db_manager.upgrade(Mode.VN)
    return Bookkeeping(stores.db_manager)


# Cycles and heartbeats


def test_nothing_has_run(bookkeeping: Bookkeeping) -> None:
    assert bookkeeping.worker_states(Mode.VN) == {}
    assert bookkeeping.adjustments(Mode.VN, 0) == []


def test_a_first_cycle_is_kept_as_it_was(bookkeeping: Bookkeeping) -> None:
    bookkeeping.record_cycle(Mode.VN, cycle(), now=1_000)
    expected = state(**GOOD, iterations=1, heartbeat_at=1_000, cycle_calls=34, cycle_errors=0)
    assert bookkeeping.worker_states(Mode.VN) == {"daily": expected}


def test_counts_add_up_and_the_rest_is_of_the_last_cycle(bookkeeping: Bookkeeping) -> None:
    bookkeeping.record_cycle(Mode.VN, cycle(source_errors=1), now=1_000)
    latest = {"due_every_s": 300, "cycle_seconds": 0.5, "source": "other", "source_state": "vci: blocked"}
    changes = latest | {"rows_written": 5, "source_calls": 6, "source_errors": 2, "last_sync": 2_000}
    bookkeeping.record_cycle(Mode.VN, cycle(**changes), now=2_001)
    totals = {"iterations": 2, "rows_written": 12, "source_calls": 40, "source_errors": 3}
    totals |= {"cycle_calls": 6, "cycle_errors": 2}
    expected = state(**latest, **totals, last_sync=2_000, heartbeat_at=2_001)
    assert bookkeeping.worker_states(Mode.VN) == {"daily": expected}


@pytest.mark.parametrize(
    ("second", "last_sync", "last_error", "last_error_at"),
    [
        pytest.param({"last_sync": None, "last_error": "late"}, 990, "late", 2_000, id="a failure keeps the last sync"),
        pytest.param({"last_sync": 1_999}, 1_999, "early", 1_000, id="a success keeps the last error"),
        pytest.param({"last_sync": None}, 990, "early", 1_000, id="neither changes either"),
        pytest.param({"last_sync": 1_999, "last_error": "late"}, 1_999, "late", 2_000, id="both change"),
    ],
)
def test_what_a_cycle_does_not_have_stays(
    bookkeeping: Bookkeeping, second: dict[str, object], last_sync: int, last_error: str, last_error_at: int
) -> None:
    bookkeeping.record_cycle(Mode.VN, cycle(last_error="early"), now=1_000)
    bookkeeping.record_cycle(Mode.VN, cycle(**second), now=2_000)
    kept = bookkeeping.worker_states(Mode.VN)["daily"]
    assert (kept.last_sync, kept.last_error, kept.last_error_at) == (last_sync, last_error, last_error_at)


def test_a_heartbeat_before_the_first_cycle(bookkeeping: Bookkeeping) -> None:
    bookkeeping.beat(Mode.VN, "daily", 15, now=1_000)
    assert bookkeeping.worker_states(Mode.VN) == {"daily": state(heartbeat_at=1_000, due_every_s=15)}


def test_a_heartbeat_changes_nothing_else(bookkeeping: Bookkeeping) -> None:
    bookkeeping.record_cycle(Mode.VN, cycle(last_error="early"), now=1_000)
    before = asdict(bookkeeping.worker_states(Mode.VN)["daily"])
    bookkeeping.beat(Mode.VN, "daily", 300, now=1_010)
    after = asdict(bookkeeping.worker_states(Mode.VN)["daily"])
    assert after == before | {"heartbeat_at": 1_010, "due_every_s": 300}


def test_workers_and_markets_are_kept_apart(stores: Stores, bookkeeping: Bookkeeping) -> None:
    stores.db_manager.upgrade(Mode.CRYPTO)
    for mode, worker in [(Mode.VN, "minute"), (Mode.VN, "daily"), (Mode.CRYPTO, "crypto_daily")]:
        bookkeeping.record_cycle(mode, cycle(worker=worker), now=1_000)
    assert list(bookkeeping.worker_states(Mode.VN)) == ["daily", "minute"]
    assert list(bookkeeping.worker_states(Mode.CRYPTO)) == ["crypto_daily"]


READS: list[Callable[[Bookkeeping], object]] = [
    lambda each: each.worker_states(Mode.VN),
    lambda each: each.adjustments(Mode.VN, 0),
]
WRITES: list[Callable[[Bookkeeping], object]] = [
    lambda each: each.record_cycle(Mode.VN, cycle(), 1),
    lambda each: each.beat(Mode.VN, "daily", 15, 1),
    lambda each: each.record_adjustment(Mode.VN, "VCB", DAY, 1.2, 1),
    lambda each: each.apply_adjustment(Mode.VN, "VCB", DAY, 1),
]


@pytest.mark.parametrize("use", [*READS, *WRITES])
def test_a_broken_database_is_an_sqlite_error(stores: Stores, use: Callable[[Bookkeeping], object]) -> None:
    stores.settings.vn_database_path.write_bytes(b"garbage " * 1_000)
    with pytest.raises(SqliteError):
        use(Bookkeeping(stores.db_manager))


# Stale


@pytest.mark.parametrize(
    ("heartbeat_at", "due_every_s", "now", "is_stale"),
    [
        (1_000, 300, 1_000, False),
        (1_000, 300, 1_900, False),  # three cycles missed, not one second more
        (1_000, 300, 1_901, True),
        (1_000, 15, 1_060, False),  # a minute at least, however short the cycles
        (1_000, 15, 1_061, True),
        (1_000, 21_600, 50_000, False),
        (1_000, 15, 500, False),  # the clock was set back
        (None, 15, 1_000, True),
        (1_000, None, 1_000, True),
    ],
)
def test_stale_is_several_cycles_without_a_sign_of_life(
    heartbeat_at: int | None, due_every_s: int | None, now: int, is_stale: bool
) -> None:
    assert state(heartbeat_at=heartbeat_at, due_every_s=due_every_s).is_stale(now) is is_stale


# Dead


@pytest.mark.parametrize(
    ("running", "now", "condition"),
    [(True, 1_000, "ok"), (True, 2_000, "stale"), (False, 1_000, "dead"), (False, 2_000, "dead")],
)
def test_a_worker_is_dead_when_nobody_is_the_writer(
    stores: Stores, bookkeeping: Bookkeeping, running: bool, now: int, condition: str
) -> None:
    bookkeeping.beat(Mode.VN, "daily", 15, now=1_000)
    lock: AbstractContextManager[None] = writer_lock(stores.settings, [Mode.VN]) if running else nullcontext()
    with lock:
        (worker,) = workers_of(stores, Mode.VN, now)
    assert (worker.name, worker.condition.value) == ("daily", condition)


@pytest.mark.parametrize(("now", "condition"), [(1_000, "ok"), (2_000, "stale")])
def test_a_lock_that_cannot_be_read_is_no_evidence_of_a_death(
    stores: Stores, bookkeeping: Bookkeeping, monkeypatch: pytest.MonkeyPatch, now: int, condition: str
) -> None:
    def refuse(*_: object) -> None:
        raise CsvError("permission denied")

    monkeypatch.setattr(worker_status, "writer_of", refuse)
    bookkeeping.beat(Mode.VN, "daily", 15, now=1_000)
    (worker,) = workers_of(stores, Mode.VN, now)
    assert worker.condition.value == condition


# Adjustments


def test_an_adjustment_is_seen_then_applied(bookkeeping: Bookkeeping) -> None:
    bookkeeping.record_adjustment(Mode.VN, "VCB", DAY, 1.25, now=1_000)
    assert bookkeeping.adjustments(Mode.VN, 0) == [RecordedAdjustment("VCB", DAY, 1.25, 1_000, None)]
    bookkeeping.apply_adjustment(Mode.VN, "VCB", DAY, now=1_060)
    assert bookkeeping.adjustments(Mode.VN, 0) == [RecordedAdjustment("VCB", DAY, 1.25, 1_000, 1_060)]


def test_an_adjustment_seen_again_keeps_when_it_was_first(bookkeeping: Bookkeeping) -> None:
    bookkeeping.record_adjustment(Mode.VN, "VCB", DAY, 1.25, now=1_000)
    bookkeeping.record_adjustment(Mode.VN, "VCB", DAY, 1.26, now=2_000)
    assert bookkeeping.adjustments(Mode.VN, 0) == [RecordedAdjustment("VCB", DAY, 1.26, 1_000, None)]


@pytest.mark.parametrize(
    ("since", "tickers"),
    [
        (0, ["VCB", "ACB", "FPT"]),
        (1_000, ["VCB", "ACB", "FPT"]),
        (1_001, ["VCB", "FPT"]),  # what counts is when the history changed, not when that was foreseen
        (2_000, ["VCB", "FPT"]),
        (2_001, ["VCB"]),
        (3_001, []),
    ],
)
def test_adjustments_since_by_day_then_ticker(bookkeeping: Bookkeeping, since: int, tickers: list[str]) -> None:
    bookkeeping.record_adjustment(Mode.VN, "FPT", 2 * DAY, 1.1, now=500)
    bookkeeping.apply_adjustment(Mode.VN, "FPT", 2 * DAY, now=2_000)
    bookkeeping.record_adjustment(Mode.VN, "ACB", 2 * DAY, 1.1, now=1_000)
    bookkeeping.record_adjustment(Mode.VN, "VCB", DAY, 1.1, now=900)
    bookkeeping.apply_adjustment(Mode.VN, "VCB", DAY, now=3_000)
    assert [each.ticker for each in bookkeeping.adjustments(Mode.VN, since)] == tickers


def test_applying_one_adjustment_leaves_the_others(bookkeeping: Bookkeeping) -> None:
    for ticker, ex_time in [("VCB", DAY), ("VCB", 2 * DAY), ("FPT", DAY)]:
        bookkeeping.record_adjustment(Mode.VN, ticker, ex_time, 1.1, now=1_000)
    bookkeeping.apply_adjustment(Mode.VN, "VCB", 2 * DAY, now=2_000)
    applied = {(each.ticker, each.ex_time) for each in bookkeeping.adjustments(Mode.VN, 0) if each.applied_at}
    assert applied == {("VCB", 2 * DAY)}


def test_the_web_can_read_while_a_worker_writes(stores: Stores, bookkeeping: Bookkeeping) -> None:
    bookkeeping.beat(Mode.VN, "daily", 15, now=1_000)
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("UPDATE worker_states SET iterations = 99")
        assert bookkeeping.worker_states(Mode.VN)["daily"].iterations == 0
