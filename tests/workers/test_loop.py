"""The loop of every worker: when jobs are due, what their guard keeps out, what they report, how they stop."""

import contextlib
import logging
import random
import shutil
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stockapi.errors import (
    BadPayloadError,
    ProviderBannedError,
    ProviderError,
    ProviderStoppedError,
    RateLimitedError,
    SqliteError,
    SqliteFault,
    UnknownSymbolError,
)
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.base import Provider
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.database_manager.bookkeeping import Bookkeeping, WorkerState
from tests import faults
from tests.support.loops import Clock, run_for
from tests.support.stores import MakeStores, Stores, make_bars
from workers import loop
from workers.clocks import Clocks
from workers.jobs import THREADS, Job
from workers.loop import WorkerLoop

IN_SESSION = datetime(2026, 9, 16, 3, 0, tzinfo=UTC)
AT_NIGHT = datetime(2026, 9, 16, 15, 0, tzinfo=UTC)
ON_SUNDAY = datetime(2026, 9, 20, 3, 0, tzinfo=UTC)
NATIONAL_DAY = datetime(2026, 9, 2, 3, 0, tzinfo=UTC)
MARKET = SimulatedProvider(Mode.VN, 1)
TICKERS = ["ACB", "FPT", "VCB"]
DAILY, HOURLY, MINUTE = (THREADS[name][0] for name in ("daily", "hourly", "minute"))
CRYPTO = THREADS["crypto"]


@dataclass
class Source:
    """The simulated market for a few tickers; `failures` are raised for theirs."""

    failures: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=lambda: list(TICKERS))
    on_fetch: Callable[[], None] = field(default=lambda: None)
    name: str = "simulated"
    mode: Mode = Mode.VN
    is_back_adjusted: bool = False
    history_days: int = 10

    def tickers(self) -> list[str]:
        return self.listed

    def history_start(self, interval: Interval, now: int) -> int:
        return now - self.history_days * 86_400

    def fetch(self, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        self.asked.append(ticker)
        self.on_fetch()
        if ticker in self.failures:
            raise self.failures[ticker]
        return MARKET.fetch(ticker, interval, start, end)


JOB = Job("daily", Mode.VN, (Interval.DAILY,), Source.tickers, lambda now: 60)


def make_loop(stores: Stores, source: Source, clock: Clock | None = None, *jobs: Job) -> WorkerLoop:
    clock = clock or Clock(IN_SESSION)
    stop = threading.Event()
    return WorkerLoop(stores, jobs or (JOB,), source, stop, Clocks(clock.wall, clock.monotonic))


class RecordingStop(threading.Event):
    """Notes how long it was waited for, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited_s.append(timeout or 0.0)
        return self.is_set()


def state_of(stores: Stores, worker: str = "daily") -> WorkerState:
    return Bookkeeping(stores.db_manager).worker_states(Mode.VN)[worker]


@pytest.mark.parametrize(
    ("job", "now", "seconds"),
    [
        (DAILY, IN_SESSION, 15),
        (DAILY, AT_NIGHT, 300),
        (DAILY, ON_SUNDAY, 300),
        (DAILY, NATIONAL_DAY, 300),
        (HOURLY, IN_SESSION, 60),
        (HOURLY, AT_NIGHT, 1_800),
        (MINUTE, IN_SESSION, 300),
        (MINUTE, ON_SUNDAY, 1_800),
        *((CRYPTO[0], now, 900) for now in (IN_SESSION, AT_NIGHT, ON_SUNDAY)),
        *zip(CRYPTO[1:], [ON_SUNDAY] * 3, [3_600, 10_800, 21_600], strict=True),
    ],
)
def test_the_timetable(job: Job, now: datetime, seconds: int) -> None:
    assert job.due_every_s(now) == seconds


def test_coins_are_in_two_tiers() -> None:
    provider = SimulatedProvider(Mode.CRYPTO, 1)
    priority, *rest = CRYPTO
    assert list(priority.tickers(provider)) == ["BTC", "ETH", "XRP"]
    assert priority.intervals == tuple(Interval)
    assert [(job.worker, job.intervals) for job in rest] == [
        ("crypto_daily", (Interval.DAILY,)),
        ("crypto_hourly", (Interval.HOURLY,)),
        ("crypto_minute", (Interval.MINUTE,)),
    ]
    for job in rest:
        assert sorted([*job.tickers(provider), "BTC", "ETH", "XRP"]) == sorted(provider.tickers())


def test_a_cycle_brings_all_up_to_date_and_reports(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert make_loop(stores, Source()).run_once() == 0
    stored = sum(len(stores.in_sqlite(ticker)) for ticker in TICKERS)
    state = state_of(stores)
    assert (state.iterations, state.rows_written, state.source_calls, state.source_errors) == (1, stored, 3, 0)
    assert (state.last_sync, state.heartbeat_at) == (int(IN_SESSION.timestamp()), int(IN_SESSION.timestamp()))
    assert (state.source, state.source_state, state.last_error) == ("simulated", "ok", None)
    (line,) = [record.message for record in caplog.records if "event=cycle" in record.message]
    assert f"worker=daily source=simulated series=3 rows={stored} failed=0" in line


@pytest.mark.parametrize(
    ("failure", "asked"),
    [
        (UnknownSymbolError("vci: ACB: unknown symbol"), TICKERS),
        (BadPayloadError("vci: ACB: half a JSON"), TICKERS),
        (ProviderError("vci: ACB: something else"), TICKERS),
        (ZeroDivisionError("a fault of ours"), TICKERS),
        (RateLimitedError("vci: too many requests"), ["ACB"]),
        (ProviderBannedError("vci: turned away"), ["ACB"]),
    ],
)
def test_a_failing_series_is_reported_and_the_others_go_on_unless_asking_is_useless(
    stores: Stores, failure: Exception, asked: list[str]
) -> None:
    source = Source({"ACB": failure})
    assert make_loop(stores, source).run_once() == 1
    assert source.asked == asked
    state = state_of(stores)
    assert state.last_error == f"vn ACB 1D: {failure}"
    assert state.source_errors == isinstance(failure, ProviderError)
    assert (state.cycle_calls, state.cycle_errors) == (len(asked), isinstance(failure, ProviderError))
    has_refused = isinstance(failure, ProviderError) and failure.stops_cycle
    assert state.source_state == (str(failure) if has_refused else "ok")
    assert (state.last_sync is None) == (len(asked) == 1), "nothing was brought up to date"


@pytest.mark.parametrize(
    ("failing", "state"),
    [
        ([], "ok"),
        (["FPT"], "ok"),
        (["ACB", "FPT"], "vci: FPT: unknown symbol"),
        (TICKERS, "vci: VCB: unknown symbol"),
    ],
)
def test_a_source_that_gave_most_series_is_ok_however_dead_a_ticker_is(
    stores: Stores, failing: list[str], state: str
) -> None:
    source = Source({ticker: UnknownSymbolError(f"vci: {ticker}: unknown symbol") for ticker in failing})
    assert make_loop(stores, source).run_once() == len(failing)
    reported = state_of(stores)
    assert (reported.source_state, reported.cycle_calls, reported.cycle_errors) == (state, 3, len(failing))


def test_a_stop_ends_the_cycle_after_the_series_in_hand(stores: Stores) -> None:
    stop = threading.Event()
    source = Source(on_fetch=stop.set)
    worker = WorkerLoop(stores, [JOB], source, stop, Clocks(Clock(IN_SESSION).wall, lambda: 0.0))
    worker.run_once()
    assert source.asked == ["ACB"]
    assert len(stores.in_sqlite("ACB")) == len(stores.in_csv("ACB")) > 0


def test_after_each_series_it_pauses_four_times_as_long_as_that_took_to_compute(stores: Stores) -> None:
    """Waiting for the source takes no processor from anybody, and so calls for no pause."""
    stop, clock = RecordingStop(), Clock(IN_SESSION)
    computed = iter([0.0, 0.25, 1.0, 1.5, 2.0, 2.0])
    source = Source(on_fetch=lambda: clock.pass_s(10.0))
    clocks = Clocks(clock.wall, clock.monotonic, lambda: next(computed))
    WorkerLoop(stores, [JOB], source, stop, clocks).run_once()
    assert stop.waited_s == [1.0, 2.0, 0.0]


def test_a_source_stopped_in_mid_wait_is_no_failure(stores: Stores) -> None:
    assert make_loop(stores, Source({"ACB": ProviderStoppedError("stopped")})).run_once() == 0
    assert state_of(stores).last_error is None


@pytest.mark.parametrize("is_anew", [False, True])
def test_a_source_that_limits_gets_round_to_every_ticker(make_stores: MakeStores, is_anew: bool) -> None:
    """Ten answers a cycle, then 429: after as many cycles as that takes, all thirty have bars. So it is where each
    cycle is that of a new process.
    """
    stores = make_stores()
    listed = [f"T{number:02}" for number in range(30)]
    answers = iter(())

    def on_fetch() -> None:
        if next(answers, None) is None:
            raise RateLimitedError("told: too many requests")

    source = Source(listed=listed, on_fetch=on_fetch, history_days=3)
    source.fetch = lambda ticker, interval, start, end: (  # type: ignore[method-assign]
        source.asked.append(ticker) or on_fetch() or MARKET.fetch("VCB", interval, start, end)  # type: ignore[func-returns-value]
    )
    worker = make_loop(stores, source)
    for _ in range(4):
        answers = iter(range(10))
        (make_loop(make_stores(), source) if is_anew else worker).run_once()
    assert stores.csv_store.tickers(Mode.VN) == listed


def test_a_list_that_cannot_be_had_keeps_the_turn(make_stores: MakeStores) -> None:
    source = Source({"FPT": RateLimitedError("told: too many requests")})
    make_loop(make_stores(), source).run_once()

    def unavailable(provider: Provider) -> list[str]:
        raise ProviderError("the list cannot be had")

    make_loop(make_stores(), source, None, replace(JOB, tickers=unavailable)).run_once()
    source.failures.clear()
    source.asked.clear()
    for _ in range(2):
        make_loop(make_stores(), source).run_once()
    assert source.asked == ["FPT", "VCB", "ACB", *TICKERS], "completed, so it begins at the first again"


def test_a_stop_keeps_the_turn_for_the_next_process(make_stores: MakeStores) -> None:
    stop, clock = threading.Event(), Clock(IN_SESSION)
    source = Source(on_fetch=lambda: stop.set() if len(source.asked) == 2 else None)
    WorkerLoop(make_stores(), [JOB], source, stop, Clocks(clock.wall, clock.monotonic)).run_once()
    source.asked.clear()
    make_loop(make_stores(), source).run_once()
    assert source.asked == ["VCB", "ACB", "FPT"]


def test_once_begins_with_the_job_that_was_neglected_for_the_longest_time(stores: Stores) -> None:
    jobs = [replace(JOB, worker=name, intervals=(interval,)) for name, interval in zip("dhm", Interval, strict=True)]
    clock, asked, answers = Clock(IN_SESSION), [], iter(())

    def fetch(ticker: str, interval: Interval, start: int, end: int) -> Bars:
        if next(answers, None) is None:
            raise RateLimitedError("told: too many requests")
        asked.append(interval.value)
        return MARKET.fetch(ticker, interval, start, end)

    source = Source()
    source.fetch = fetch  # type: ignore[method-assign]
    for _ in range(4):
        answers = iter(range(3))
        make_loop(stores, source, clock, *jobs).run_once()
        clock.pass_s(60.0)
    assert asked == ["1D"] * 3 + ["1H"] * 3 + ["1m"] * 3 + ["1D"] * 3


def test_a_ticker_that_is_always_refused_keeps_no_other_back(stores: Stores) -> None:
    source = Source({"ACB": RateLimitedError("told: too many requests")})
    worker = make_loop(stores, source)
    worker.run_once()
    worker.run_once()
    assert source.asked == ["ACB", "FPT", "VCB", "ACB"]


def test_new_listings_are_picked_up(stores: Stores) -> None:
    source = Source(listed=["ACB"])
    worker = make_loop(stores, source)
    worker.run_once()
    source.listed = ["ACB", "HPG"]
    worker.run_once()
    assert stores.csv_store.tickers(Mode.VN) == ["ACB", "HPG"]


def test_a_list_that_cannot_be_had_fails_the_cycle_only(stores: Stores) -> None:
    def unavailable(provider: Provider) -> list[str]:
        raise ProviderError("the list cannot be had")

    worker = make_loop(stores, Source(), None, Job("daily", Mode.VN, (Interval.DAILY,), unavailable, lambda now: 60))
    assert worker.run_once() == 1
    assert state_of(stores).source_state == "the list cannot be had"


def test_a_broken_database_is_filled_anew_by_the_next_cycle(stores: Stores) -> None:
    make_loop(stores, Source()).run_once()
    stores.db_manager.close()
    stores.settings.vn_database_path.write_bytes(b"no database" * 1_000)
    assert make_loop(stores, Source()).run_once() == 0
    assert all(stores.in_sqlite(ticker).equals(stores.in_csv(ticker)) for ticker in TICKERS)
    (aside,) = stores.settings.vn_database_path.parent.glob("*.damaged-*")
    assert aside.read_bytes() == b"no database" * 1_000, "the damaged one is kept"


def damaged_ones(stores: Stores) -> list[Path]:
    path = stores.settings.vn_database_path
    return sorted(each for each in path.parent.glob("*.damaged-*") if not each.name.endswith(("-wal", "-shm")))


def spoil_page(stores: Stores, ticker: str) -> None:
    """One page of its days, which the next save reads, since the file has been touched."""
    faults.spoil_days_of(stores, ticker)
    stores.csv_store.path(SeriesKey(Mode.VN, ticker, Interval.DAILY)).touch()


def drop_states(stores: Stores) -> None:
    with contextlib.closing(sqlite3.connect(stores.settings.vn_database_path)) as connection:
        connection.execute("DROP TABLE worker_states")


DAMAGES: dict[str, Callable[[Stores], object]] = {
    "bad page": lambda stores: spoil_page(stores, "FPT"),
    "cut short": lambda stores: faults.cut_short(stores.settings.vn_database_path),
    "tables dropped": lambda stores: faults.drop_tables(stores.settings.vn_database_path),
    "no table of the workers": drop_states,
}


@pytest.mark.long
@pytest.mark.parametrize("fallback", ["true", "false"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_that_cycles_meet_is_repaired_without_a_restart(
    make_stores: MakeStores, damage: str, fallback: str
) -> None:
    stores, clock = make_stores(FALLBACK_TO_CSV=fallback), Clock(IN_SESSION)
    worker = make_loop(stores, Source(history_days=1_000), clock)
    worker.run_once()
    DAMAGES[damage](stores)
    clock.pass_s(3 * 86_400)
    worker.run_once()
    assert len(damaged_ones(stores)) == 1, "the damaged one is kept, and there was one new one"
    clock.pass_s(60)
    assert worker.run_once() == 0
    assert all(stores.in_sqlite(ticker).equals(stores.in_csv(ticker)) for ticker in TICKERS)
    assert faults.problems(stores) == {}
    assert state_of(stores).last_sync == int(clock.now.timestamp())
    assert len(damaged_ones(stores)) == 1


@pytest.mark.parametrize("fault", faults.PASSING)
def test_a_fault_that_passes_brings_no_new_database(make_stores: MakeStores, fault: str) -> None:
    stores, clock = make_stores(SQLITE_BUSY_TIMEOUT_MS="10"), Clock(IN_SESSION)
    worker = make_loop(stores, Source(), clock)
    worker.run_once()
    before = stores.settings.vn_database_path.stat().st_ino
    with faults.PASSING[fault](stores):  # type: ignore[attr-defined]
        clock.pass_s(3 * 86_400)
        worker.run_once()
    clock.pass_s(120)
    assert worker.run_once() == 0
    assert (stores.settings.vn_database_path.stat().st_ino, damaged_ones(stores)) == (before, [])
    assert faults.problems(stores) == {}


@pytest.mark.long
def test_repair_that_fails_waits_a_minute_or_ten_times_as_long_as_it_took(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, tried = Clock(IN_SESSION), []

    def in_vain(*_: object) -> None:
        tried.append(clock.elapsed)
        clock.pass_s(30)
        raise SqliteError("no room", SqliteFault.FULL)

    worker = make_loop(stores, Source(history_days=1_000), clock)
    worker.run_once()
    spoil_page(stores, "FPT")
    monkeypatch.setattr(loop, "rebuild", in_vain)
    clock.pass_s(3 * 86_400)
    for _ in range(20):
        worker.run_once()
        clock.pass_s(30)
    assert len(tried) == 2
    assert tried[1] - tried[0] >= 300
    assert all(len(stores.in_csv(ticker)) for ticker in TICKERS)


def test_a_database_that_another_thread_has_repaired_is_not_repaired_again(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, source = Clock(IN_SESSION), Source(history_days=1_000)
    worker = make_loop(stores, source, clock)
    worker.run_once()
    spoil_page(stores, "ACB")
    clock.pass_s(3 * 86_400)

    def repair() -> None:
        if source.asked[-1] == "VCB":  # ACB has met the damage
            faults.repair(stores)

    source.on_fetch = repair
    monkeypatch.setattr(loop, "rebuild", lambda *_: pytest.fail("repaired twice"))
    worker.run_once()
    assert len(damaged_ones(stores)) == 1


def test_the_log_is_emptied_though_the_cycle_could_not_be_recorded(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk this is what makes room."""

    def full(*_: object) -> None:
        raise SqliteError("database or disk is full", SqliteFault.FULL)

    monkeypatch.setattr(Bookkeeping, "record_cycle", full)
    assert make_loop(stores, Source(listed=["ACB"])).run_once() == 1
    copy = shutil.copy(stores.settings.vn_database_path, tmp_path / "without the log.db")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM vn_daily").fetchone() == (len(stores.in_csv("ACB")),)


def test_a_database_out_of_reach_does_not_stop_the_loop(stores: Stores, caplog: pytest.LogCaptureFixture) -> None:
    stores.settings.vn_database_path.mkdir()
    make_loop(stores, Source()).run_once()
    assert all(len(stores.in_csv(ticker)) for ticker in TICKERS), "CSV has everything"
    assert any("event=cycle_failed" in record.message for record in caplog.records), "and the log says so"


def test_a_log_that_no_checkpoint_empties_is_told_of(
    stores: Stores, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "WAL_ALARM_BYTES", 100_000)
    stores.db_manager.upgrade(Mode.VN)
    with contextlib.closing(sqlite3.connect(stores.settings.vn_database_path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM vn_daily").fetchone()
        for _ in range(3):
            for ticker in TICKERS:
                stores.save(ticker, make_bars(300, seed=random.randrange(10**6)), rewrite_all=True)
        make_loop(stores, Source()).run_once()
    assert any("event=write_ahead_log_large mode=vn" in record.message for record in caplog.records)


def test_jobs_run_at_their_times(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, source = Clock(IN_SESSION), Source(listed=["ACB"])
    run_for(make_loop(stores, source, clock), clock, 185, monkeypatch)
    assert len(source.asked) == 4, "at 0, 60, 120 and 180 seconds"


def test_the_time_of_the_last_cycle_survives_a_restart(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, source = Clock(IN_SESSION), Source(listed=["ACB"])
    job = Job("crypto_daily", Mode.VN, (Interval.DAILY,), Source.tickers, lambda now: 3_600)
    run_for(make_loop(stores, source, clock, job), clock, 600, monkeypatch)
    assert len(source.asked) == 1
    run_for(make_loop(stores, source, clock, job), clock, 2_900, monkeypatch)
    assert len(source.asked) == 1, "an hour has not passed since the last one"
    run_for(make_loop(stores, source, clock, job), clock, 200, monkeypatch)
    assert len(source.asked) == 2


def test_a_clock_set_back_does_not_stall_it(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    clock, source = Clock(IN_SESSION), Source(listed=["ACB"])
    worker = make_loop(stores, source, clock)
    set_back: list[bool] = []

    def once() -> None:
        if not set_back:
            set_back.append(True)
            clock.now -= timedelta(hours=1)

    source.on_fetch = once
    run_for(worker, clock, 300, monkeypatch)
    assert len(source.asked) >= 4


def test_a_heartbeat_says_that_a_waiting_worker_lives(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(AT_NIGHT)
    job = Job("hourly", Mode.VN, (Interval.HOURLY,), Source.tickers, lambda now: 1_800)
    run_for(make_loop(stores, Source(listed=["ACB"]), clock, job), clock, 100, monkeypatch)
    state = state_of(stores, "hourly")
    assert state.iterations == 1
    assert state.heartbeat_at is not None
    assert clock.now.timestamp() - state.heartbeat_at <= 12
