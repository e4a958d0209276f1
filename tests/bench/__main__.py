"""`python -m tests.bench`: import, query and serve a tree of CSV files; print a table, and with --write keep it.

Without --data a simulated tree of about the same shape as a real one is measured: ten years of days and two of hours.
Ratios within one run are what to look at; the absolute figures are those of one machine on one day.
"""

import argparse
import os
import platform
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

import requests

from stockapi.config import Settings
from stockapi.constants import SECONDS_PER_DAY
from stockapi.models import AnyInterval, Interval, Mode, QueryParameters
from stockapi.models.timestamps import parse_range_end, parse_time
from stockapi.providers.simulated import SimulatedProvider
from stockapi.services.csv_format import HEADER, format_rows
from stockapi.services.csv_store import CsvStore
from stockapi.services.data_store import DataStore
from stockapi.services.database_manager import DatabaseManager

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "docs" / "benchmarks.md"
IMPORTS = 5
QUERIES = 200
ROUNDS = 5
ROUND_S = 4
CONNECTIONS = 8
SYMBOL = "VCB"

Row = tuple[str, str]


def main() -> None:
    arguments = _arguments()
    if shutil.which("wrk") is None:
        sys.exit("bench: wrk is missing; install it (Debian: apt-get install wrk)")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tree = arguments.data or _simulated_tree(work / "tree")
        rows = [*_measure_import(tree, arguments.legacy, work), *_measure_queries(work / "0", arguments.year)]
        rows += _measure_http(work / "0", arguments.year)
    heading = f"{datetime.now(UTC):%Y-%m-%d}, {describe_machine()}; data: {_describe(arguments)}."
    save_table("import and queries", heading, rows, write=arguments.write)


def save_table(name: str, heading: str, rows: Sequence[Row], *, write: bool) -> None:
    """Print a table, and with `write` put it into docs/benchmarks.md between the marks of its name."""
    lines = ["| what | measured |", "|---|---|", *(f"| {what} | {value} |" for what, value in rows)]
    text = "\n".join([heading, "", *lines, ""])
    sys.stdout.write(text)
    if write:
        begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
        before, _, rest = REPORT.read_text().partition(begin)
        REPORT.write_text(before + begin + text + end + rest.partition(end)[2])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--data", type=Path, help="a tree of CSV files as `flask data import` takes it, with VCB in it")
    parser.add_argument("--legacy", action="store_true", help="its stock prices are in thousands of dong")
    parser.add_argument("--year", type=int, default=2023, help="the year of the one-year queries (default 2023)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/benchmarks.md")
    return parser.parse_args()


def _simulated_tree(tree: Path) -> Path:
    """Nine stocks and an index: days from 2015 and hours from 2023 to the end of 2025."""
    provider = SimulatedProvider(Mode.VN, seed=1)
    end = parse_time("2025-12-31")
    for ticker in [SYMBOL, *[ticker for ticker in provider.tickers() if ticker != SYMBOL][:9]]:
        (tree / ticker).mkdir(parents=True)
        for interval, start in ((Interval.DAILY, "2015-01-05"), (Interval.HOURLY, "2023-09-11")):
            bars = provider.fetch(ticker, interval, parse_time(start), end)
            text = f"{HEADER}\n{format_rows(ticker, bars, interval, Mode.VN)}"
            (tree / ticker / f"{interval.value}.csv").write_text(text)
    return tree


def environment(directory: Path, **more: str) -> dict[str, str]:
    directory.mkdir(exist_ok=True)
    return os.environ | {
        "VN_DATABASE_PATH": str(directory / "vn_data.db"),
        "CRYPTO_DATABASE_PATH": str(directory / "crypto_data.db"),
        "MARKET_DATA_DIR": str(directory / "market_data"),
        "CRYPTO_DATA_DIR": str(directory / "crypto_data"),
        "LOG_LEVEL": "warning",
        **more,
    }


def _measure_import(tree: Path, legacy: bool, work: Path) -> Iterator[Row]:
    """Whole processes, into an empty directory each time; the first stays for the other measurements."""
    command = [sys.executable, "-m", "tests.bench.import_once", str(tree), *(["--legacy"] if legacy else [])]
    rates: list[float] = []
    peaks: list[float] = []
    rows = 0.0
    for number in range(IMPORTS):
        done = subprocess.run(
            command, env=environment(work / str(number)), cwd=ROOT, check=True, capture_output=True, text=True
        )
        rows, seconds, peak_kib = (float(field) for field in done.stdout.split())
        rates.append(rows / seconds)
        peaks.append(peak_kib / 1024)
    yield f"import of {rows:,.0f} rows into CSV and SQLite, rows/s (median of {IMPORTS})", f"{_median(rates):,.0f}"
    yield "peak memory of the import, MiB", f"{max(peaks):.0f}"


def _measure_queries(directory: Path, year: int) -> Iterator[Row]:
    settings = Settings.from_mapping(environment(directory))
    db_manager = DatabaseManager(settings)
    csv_store = CsvStore(settings)
    store = DataStore(settings, db_manager, csv_store)
    day, last = parse_time(f"{year}-01-01"), parse_range_end(f"{year}-12-31")
    sqlite = QueryParameters(symbols=(SYMBOL,), start=day, end=last, limit=None)
    ten_days = replace(sqlite, interval=Interval.HOURLY, start=last - 10 * SECONDS_PER_DAY)
    for what, params in (("one year of days", sqlite), ("ten days of hours", ten_days)):
        count = len(store.get_data_smart_sqlite(params).bars[SYMBOL])
        in_sqlite, in_csv = _alternating_ms(
            partial(store.get_data_smart_sqlite, params),
            partial(store.get_data_smart_sqlite, replace(params, use_sqlite=False)),
        )
        figures = f"{in_sqlite:.2f}, {in_csv:.2f}, {in_csv / in_sqlite:.1f}"
        yield f"{what} ({count} bars) in `DataStore`: ms from SQLite, ms from CSV, ratio", figures
        whole, _ = _alternating_ms(partial(_parse_whole, csv_store, params.interval), lambda: None)
        yield "the same from CSV parsed whole, without bisection: ms, ratio", f"{whole:.1f}, {whole / in_sqlite:.1f}"
    db_manager.close()


def _parse_whole(csv_store: CsvStore, interval: AnyInterval) -> None:
    """What a date filter costs without an index, and what it costs here for a file that was edited out of order."""
    assert isinstance(interval, Interval)
    csv_store.read(Mode.VN, SYMBOL, interval)


def _alternating_ms(first: Callable[[], object], second: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of each, run in turn so that a noisy machine disturbs both alike."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(QUERIES):
        for run, spent in zip((first, second), times, strict=True):
            started = time.perf_counter()
            run()
            spent.append((time.perf_counter() - started) * 1000)
    return _median(times[0]), _median(times[1])


def _measure_http(directory: Path, year: int) -> Iterator[Row]:
    path = f"/tickers?symbol={SYMBOL}&start_date={year}-01-01&end_date={year}-12-31"
    with server(directory, path) as (url, pid):
        body = len(requests.get(url + path, timeout=10).content)
        served, limit, csv = [], [], []
        for _ in range(ROUNDS):
            served.append(_requests_per_second(url + path))
            limit.append(_requests_per_second(url + "/limit"))
            csv.append(_requests_per_second(f"{url}{path}&cache=false"))
        memory = sum(_proportional_mib(each) for each in _processes_of(pid))
    share = statistics.median(a / b for a, b in zip(served, limit, strict=True))
    what = f"`{path}` ({body:,} bytes), requests/s at {CONNECTIONS} connections"
    yield what, f"{_median(served):,.0f}"
    yield "the same bytes from memory, requests/s", f"{_median(limit):,.0f}"
    yield "share of that limit (median of the rounds)", f"{share:.0%}"
    yield "the same query from CSV (`cache=false`), requests/s", f"{_median(csv):,.0f}"
    yield "memory of all web processes after that (PSS), MiB", f"{memory:.0f}"


@contextmanager
def server(directory: Path, path: str) -> Iterator[tuple[str, int]]:
    port = "38471"
    env = environment(directory, HOST="127.0.0.1", PORT=port, BENCH_PATH=path)
    command = [sys.executable, "-m", "gunicorn", "tests.bench.limit_app:app"]
    process = subprocess.Popen(command, env=env, cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait(40)


def _wait_until_ready(url: str) -> None:
    for _ in range(300):
        try:
            requests.get(f"{url}/livez", timeout=1)
        except requests.ConnectionError:
            time.sleep(0.1)
        else:
            return
    sys.exit("bench: the server did not start")


def _requests_per_second(url: str) -> float:
    command = ["wrk", "-t2", f"-c{CONNECTIONS}", f"-d{ROUND_S}s", url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        sys.exit(f"bench: {url} failed under load:\n{output}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert found is not None
    return float(found[1])


def _processes_of(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def _proportional_mib(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


def _median(values: list[float]) -> float:
    return statistics.median(values)


def describe_machine() -> str:
    versions = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, NumPy {version('numpy')}"
    return (
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, {versions}, gunicorn {version('gunicorn')}"
    )


def _describe(arguments: argparse.Namespace) -> str:
    return "real days, hours and minutes of five tickers" if arguments.data else "ten simulated tickers, days and hours"


if __name__ == "__main__":
    main()
