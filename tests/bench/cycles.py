"""`python -m tests.bench.cycles`: what cycles of the workers cost against a source that speaks VCI's format.

The source is a process of its own on the same machine. Own time is the processor time of the worker: what the source
takes to answer is not in it. `--write` puts the table into docs/benchmarks.md.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.markets.tickers import tickers_for
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.registry import provider_for
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.csv_enhancer import save_enhanced_csv_and_sqlite
from stockapi.services.stores import Stores
from tests.bench import servers
from tests.bench.load import load
from tests.bench.machine import ROOT, Row, environment, heading, save, table
from workers.clocks import Clocks
from workers.jobs import THREADS, Job
from workers.loop import WorkerLoop

BEFORE = datetime(2026, 9, 15, 8, 0, tzinfo=UTC)
ONE_DAY_ON = datetime(2026, 9, 16, 8, 0, tzinfo=UTC)
IN_SESSION = datetime(2026, 9, 16, 6, 0, tzinfo=UTC)
LONG_TICKERS = 20
LONG_ROWS = 100_000
IDLE_S = 30
LOAD_S = 10
PATH = "/tickers?symbol=VCB&limit=252"


@dataclass
class Bench:
    """Both stores in a directory, and a worker that asks the source for some tickers."""

    directory: Path
    variables: dict[str, str]

    def __post_init__(self) -> None:
        self.settings = Settings.from_mapping(environment(self.directory, **self.variables))
        self.stores = Stores.of(self.settings)
        self.stores.db_manager.upgrade(Mode.VN)
        self.provider = provider_for(Mode.VN, self.settings)

    def cycle(self, jobs: Sequence[Job], now: datetime) -> tuple[float, float]:
        """Wall and own seconds of one cycle."""
        loop = WorkerLoop(self.stores, jobs, self.provider, threading.Event(), Clocks(lambda: now))
        started, own = time.perf_counter(), time.process_time()
        failed = loop.run_once()
        assert failed == 0, f"{failed} series failed"
        return time.perf_counter() - started, time.process_time() - own


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, upstream() as variables:
        work = Path(name)
        rows = [*_daily(work / "daily", variables), *_minute(work / "minute", variables), *_idle(work / "idle")]
    save("cycles", f"{heading()}\n\n{table(('what', 'measured'), rows)}", write=arguments.write)


@contextmanager
def upstream() -> Iterator[dict[str, str]]:
    """The fake upstream as a process; the variables that lead to it."""
    command = [sys.executable, "-u", "-m", "tests.fake_upstream", "--port", "38472"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    variables = {"VCI_REQUESTS_PER_MINUTE": "100000", "SQLITE_BUSY_TIMEOUT_MS": "10000"}
    for line in process.stdout:
        found = re.match(r"export (\w+)=(\S*)", line)
        assert found is not None, line
        variables[found[1]] = found[2]
        if found[1] == "CRYPTOCOMPARE_API_KEY":
            break
    try:
        yield variables
    finally:
        process.terminate()
        process.wait(10)


def _daily(directory: Path, variables: dict[str, str]) -> Iterator[Row]:
    bench = Bench(directory, variables)
    tickers = tickers_for(Mode.VN, bench.settings)
    first, _ = bench.cycle(THREADS["daily"], BEFORE)
    yield f"first download of days, {len(tickers)} tickers: seconds", f"{first:.1f}"
    same = [bench.cycle(THREADS["daily"], BEFORE) for _ in range(3)]
    yield "daily cycle without a new bar: own seconds, wall", _seconds(same)
    new = [bench.cycle(THREADS["daily"], ONE_DAY_ON + timedelta(days=day)) for day in range(3)]
    yield "daily cycle with one new bar for every ticker: own seconds, wall", _seconds(new)


def _minute(directory: Path, variables: dict[str, str]) -> Iterator[Row]:
    """Long files of some tickers, filled directly; then five minutes pass."""
    directory.mkdir()
    tickers = list(SimulatedProvider(Mode.VN, 1).tickers())[:LONG_TICKERS]
    groups = directory / "groups.json"
    groups.write_text(f'{{"ALL": {str(tickers).replace(chr(39), chr(34))}}}')
    bench = Bench(directory, {**variables, "TICKER_GROUPS_FILE": str(groups)})
    for ticker in tickers:
        _fill(bench, ticker)
    bench.stores.db_manager.checkpoint(Mode.VN, "TRUNCATE")
    path = bench.stores.csv_store.path(SeriesKey(Mode.VN, tickers[-1], Interval.MINUTE))
    written = _bytes_written()
    wall, own = bench.cycle(THREADS["minute"], IN_SESSION + timedelta(minutes=5))
    each = (_bytes_written() - written) / LONG_TICKERS
    what = f"minute cycle, {LONG_TICKERS} tickers with 5 new bars on top of {LONG_ROWS:,}"
    yield f"{what}: bytes written to disk per ticker, size of its file", f"{each:,.0f}, {path.stat().st_size:,}"
    yield f"{what}: own seconds, wall", f"{own:.2f}, {wall:.2f}"
    yield from _latencies(bench, directory)


def _fill(bench: Bench, ticker: str) -> None:
    market = SimulatedProvider(Mode.VN, 1)
    end = int(IN_SESSION.timestamp())
    bars = market.fetch(ticker, Interval.MINUTE, end - 800 * 86_400, end).tail(LONG_ROWS)
    enhanced = enhance(bars, Mode.VN, is_index=bench.settings.is_index(ticker, Mode.VN))
    _save(bench, ticker, enhanced, Interval.MINUTE)
    days = market.fetch(ticker, Interval.DAILY, end - 800 * 86_400, end)
    _save(bench, ticker, enhance(days, Mode.VN, is_index=False), Interval.DAILY)


def _save(bench: Bench, ticker: str, bars: Bars, interval: Interval) -> None:
    save_enhanced_csv_and_sqlite(bench, SeriesKey(Mode.VN, ticker, interval), bars, IN_SESSION, rewrite_all=True)


def _latencies(bench: Bench, directory: Path) -> Iterator[Row]:
    """Latency of the API at rest and while minute cycles run one after the other, in turn."""
    busy, rest = [], []
    with servers.product(directory) as product:
        url = product.url + PATH
        for number in range(3):
            rest.append(load(url, 4, LOAD_S, {}).p99_ms)
            stop = threading.Event()
            minutes = 10 + 40 * number
            writer = threading.Thread(target=_write_on, args=(bench, minutes, stop))
            writer.start()
            busy.append(load(url, 4, LOAD_S, {}).p99_ms)
            stop.set()
            writer.join()
    quiet, loud = statistics.median(rest), statistics.median(busy)
    figures = f"{quiet:.1f}, {loud:.1f}, {loud / quiet:.1f}"
    yield f"`{PATH}` at 4 connections: p99 in ms at rest, while minute cycles run, ratio", figures


def _write_on(bench: Bench, minutes: int, stop: threading.Event) -> None:
    while not stop.is_set():
        minutes += 1
        bench.cycle(THREADS["minute"], IN_SESSION + timedelta(minutes=minutes))


def _idle(directory: Path) -> Iterator[Row]:
    """A worker whose next cycle is a quarter of an hour away."""
    directory.mkdir()
    variables = environment(directory, DATA_PROVIDER="simulated", LOG_LEVEL="info")
    command = [sys.executable, "-m", "workers", "--only", "crypto"]
    with (directory / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=log, stderr=log)
    while (directory / "log").read_text().count("event=cycle") < 4:
        time.sleep(0.2)
    used = _cpu_seconds(process.pid)
    time.sleep(IDLE_S)
    share = (_cpu_seconds(process.pid) - used) / IDLE_S
    process.terminate()
    process.wait(10)
    yield f"processor of an idle worker, share of one core over {IDLE_S} s", f"{share:.2%}"


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _bytes_written() -> int:
    """By this process, as the block layer counts them: journals, files and the database's log together."""
    found = re.search(r"^write_bytes: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def _seconds(cycles: list[tuple[float, float]]) -> str:
    return f"{statistics.median(own for _, own in cycles):.2f}, {statistics.median(wall for wall, _ in cycles):.2f}"


if __name__ == "__main__":
    main()
