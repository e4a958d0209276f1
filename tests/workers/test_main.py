"""The worker's process: what it fills and records, how it stops, and what a second one or a kill does."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.upkeep.reconcile import verify
from tests.support.server import clean_environment
from tests.support.stores import NOW, Stores, environment, make_bars

STOP_WITHIN_S = 10


def assert_in_step(stores: Stores) -> int:
    """Both stores hold the same; returns how many series that is."""
    reports = [
        report
        for mode in Mode
        if stores.settings.database_path(mode).exists()
        for report in verify(stores, mode, Interval)
    ]
    assert [report for report in reports if report.problems] == []
    return len(reports)


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


# As a process of its own


@dataclass(frozen=True)
class Worker:
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_for(self, text: str) -> None:
        wait_until(lambda: text in self.log or self.process.poll() is not None, timeout_s=40)
        assert text in self.log, self.log

    def stop(self, signum: int = signal.SIGTERM) -> int:
        self.process.send_signal(signum)
        return self.process.wait(STOP_WITHIN_S)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(STOP_WITHIN_S)


@contextmanager
def running_worker(directory: Path, **variables: str) -> Iterator[Worker]:
    """`python -m workers`, killed at the end if it has not stopped."""
    log_file = directory / "worker.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers"],
            cwd=directory,
            env=clean_environment(directory) | environment(directory) | variables,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    worker = Worker(process, log_file)
    try:
        yield worker
    finally:
        if process.poll() is None:
            worker.kill()


def leftovers(directory: Path) -> list[str]:
    """Journals and temporary files."""
    return [path.name for path in directory.rglob(".*") if not path.name.endswith(".writer.lock")]


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_it_fills_both_stores_and_stops_on_a_signal(stores: Stores, tmp_path: Path, signum: int) -> None:
    with running_worker(tmp_path) as worker:
        wait_until(lambda: len(stores.csv_store.tickers(Mode.VN)) >= 5)
        assert worker.stop(signum) == 0
        assert worker.log.endswith("event=stopped\n")
        assert "Traceback" not in worker.log
    assert not any(tmp_path.glob("*-wal")), "the write-ahead logs are emptied"
    assert assert_in_step(stores) >= 5
    assert len(stores.in_sqlite("VNINDEX")) > 1_000
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_requests_come_before_writing(tmp_path: Path) -> None:
    with running_worker(tmp_path) as worker:
        worker.wait_for("event=recovered")
        assert os.getpriority(os.PRIO_PROCESS, worker.process.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10


@pytest.mark.long
@pytest.mark.slow
def test_a_second_worker_says_who_the_first_is(stores: Stores, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with running_worker(tmp_path) as first:
        first.wait_for("event=recovered mode=crypto")
        ended = run_worker(tmp_path / "second", environment(tmp_path))
        assert first.process.poll() is None
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    expected = f"workers: {tmp_path}/crypto_data is being written by another process: pid {first.process.pid}, "
    assert line.startswith(expected)
    assert "-m workers, since " in line


@pytest.mark.long
def test_killed_at_any_moment_it_recovers(stores: Stores, tmp_path: Path) -> None:
    """Five kills in the middle of writing; the chosen moments are another five at each run."""
    moments = [random.uniform(0.0, 0.3) for _ in range(5)]
    stored = 0
    for moment in moments:
        with running_worker(tmp_path) as worker:
            wait_until(lambda before=stored: count_series(tmp_path) > before, timeout_s=40)  # it is writing
            time.sleep(moment)
            worker.kill()
        stored = count_series(tmp_path)
    with running_worker(tmp_path) as worker:
        worker.wait_for("event=recovered mode=crypto")
        assert worker.stop() == 0
    assert assert_in_step(stores) >= stored, f"moments: {moments}"
    assert leftovers(tmp_path) == []
    for mode in Mode:
        with closing(sqlite3.connect(stores.settings.database_path(mode))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def count_series(directory: Path) -> int:
    return len([*directory.glob("*_data/*/1*.csv")])


@pytest.mark.slow
def test_what_a_crash_left_is_finished_before_the_first_pull(stores: Stores, tmp_path: Path) -> None:
    """A temporary file, and a file that SQLite has not got the newest bars of."""
    bars = make_bars(300)
    stores.save("OLD", bars.take(slice(250)), now=NOW)
    stores.csv_store.write(SeriesKey(Mode.VN, "OLD", Interval.DAILY), bars)
    (tmp_path / "market_data" / "OLD" / ".1D.csv.4711-1.tmp").write_bytes(b"half a f")
    with running_worker(tmp_path) as worker:
        worker.wait_for("event=recovered mode=crypto")
        assert "event=recovered mode=vn journals=0 temp_files=1 reconciled=1" in worker.log
        assert worker.stop() == 0
    assert stores.in_sqlite("OLD").equals(bars)
    assert leftovers(tmp_path) == []


@pytest.mark.long
@pytest.mark.slow
def test_a_signal_ends_the_reconciling_of_a_start(stores: Stores, tmp_path: Path) -> None:
    """Ninety series that SQLite has never seen take many seconds; the next start goes on with the rest."""
    bars = make_bars(5_000)
    tickers = [f"T{number}" for number in range(90)]
    for ticker in tickers:
        stores.csv_store.write(SeriesKey(Mode.VN, ticker, Interval.DAILY), bars)
    stores.db_manager.upgrade(Mode.VN)
    with running_worker(tmp_path) as worker:
        wait_until(lambda: stores.sqlite_store.ledger(Mode.VN))
        asked = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - asked < 2.0
        assert "event=stopped" in worker.log
        assert "event=cycle" not in worker.log
    assert 0 < len(stores.sqlite_store.ledger(Mode.VN)) < len(tickers)


@pytest.mark.long
def test_once_runs_each_job_and_ends(stores: Stores, tmp_path: Path) -> None:
    ended = run_worker(tmp_path, environment(tmp_path), "--once", "--only", "daily")
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "event=cycle worker=daily source=simulated series=36" in ended.stderr
    assert assert_in_step(stores) == 36
    assert not stores.settings.crypto_data_dir.exists(), "the other market is left alone"
    states = Bookkeeping(stores.db_manager).worker_states(Mode.VN)
    assert [(name, state.iterations) for name, state in states.items()] == [("daily", 1)]


@pytest.mark.parametrize("only", ["weekly", "daily,", "daily,weekly", ""])
def test_only_takes_the_names_there_are(tmp_path: Path, only: str) -> None:
    ended = run_worker(tmp_path, environment(tmp_path), "--only", only)
    assert ended.returncode == 2
    assert ended.stderr.endswith(
        f"argument --only: {only!r} is not allowed; allowed: daily, hourly, minute, crypto, separated by commas\n"
    )


def run_worker(directory: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """One that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, "-m", "workers", *arguments],
        cwd=directory,
        env=clean_environment(directory) | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"DATA_PROVIDER": "nyse"}, "workers: DATA_PROVIDER='nyse' is not allowed; allowed: live, simulated"),
        ({"LOG_LEVEL": "loud"}, "workers: LOG_LEVEL='loud' is not allowed; allowed: debug, info, warning, error"),
        ({"SQLITE_WRITES": "maybe"}, "workers: SQLITE_WRITES='maybe' is not allowed; allowed: true, false, 1, 0"),
    ],
)
def test_a_start_that_cannot_be_is_one_line(tmp_path: Path, variables: dict[str, str], line: str) -> None:
    ended = run_worker(tmp_path, environment(tmp_path) | variables)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", f"{line}\n")
    assert os.listdir(tmp_path) == []  # noqa: PTH208
