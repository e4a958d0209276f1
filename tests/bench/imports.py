"""`python -m tests.bench.imports`: import a tree of CSV files, and query it; print a table, --write keeps it.

Without --data a simulated tree of about the same shape as a real one is measured: ten years of days and two of hours.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from stockapi.constants import SECONDS_PER_DAY
from stockapi.formats.csv_format import HEADER, format_rows
from stockapi.models import Interval, Mode, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import parse_range_end, parse_time
from stockapi.providers.simulated.provider import SimulatedProvider
from tests.bench.in_process import UNLIMITED, data_store, medians_ms
from tests.bench.machine import ROOT, Row, environment, heading, save, table
from tests.bench.questions import SYMBOL

IMPORTS: Final = 5
QUERIES: Final = 200


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        tree = arguments.data or _simulated_tree(work / "tree")
        rows = [*_imports(tree, arguments.legacy, work), *_queries(work / "0", arguments.year)]
    about = "data: real days, hours and minutes of five tickers" if arguments.data else "data: ten simulated tickers"
    text = f"{heading(about)}\n\n{table(('what', 'measured'), rows)}"
    save("import and queries", text, write=arguments.write)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.imports", description=__doc__)
    parser.add_argument("--data", type=Path, help="a tree of CSV files as `flask data import` takes it, with VCB in it")
    parser.add_argument("--legacy", action="store_true", help="its stock prices are in thousands of dong")
    parser.add_argument("--year", type=int, default=2023, help="the year of the one-year query (default 2023)")
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
            text = f"{HEADER}\n{format_rows(SeriesKey(Mode.VN, ticker, interval), bars)}"
            (tree / ticker / f"{interval.value}.csv").write_text(text)
    return tree


def import_rates(tree: Path, legacy: bool, work: Path, count: int) -> tuple[int, float, float]:
    """Rows, rows a second (median) and peak MiB of whole processes, each into an empty directory of `work`."""
    command = [sys.executable, "-m", "tests.bench.import_once", str(tree), *(["--legacy"] if legacy else [])]
    rates, peaks, rows = [], [], 0.0
    for number in range(count):
        done = subprocess.run(
            command, env=environment(work / str(number)), cwd=ROOT, check=True, capture_output=True, text=True
        )
        rows, seconds, peak_kib = (float(field) for field in done.stdout.split())
        rates.append(rows / seconds)
        peaks.append(peak_kib / 1024)
    return int(rows), statistics.median(rates), max(peaks)


def _imports(tree: Path, legacy: bool, work: Path) -> Iterator[Row]:
    rows, rate, peak = import_rates(tree, legacy, work, IMPORTS)
    yield f"import of {rows:,} rows into CSV and SQLite, rows/s (median of {IMPORTS})", f"{rate:,.0f}"
    yield "peak memory of the import, MiB", f"{peak:.0f}"


def _queries(directory: Path, year: int) -> Iterator[Row]:
    day, last = parse_time(f"{year}-01-01"), parse_range_end(f"{year}-12-31")
    year_of_days = QueryParameters(symbols=(SYMBOL,), start=day, end=last, limit=None)
    ten_days = replace(year_of_days, interval=Interval.HOURLY, start=last - 10 * SECONDS_PER_DAY)
    with data_store(directory) as (store, csv_store):
        for what, params in (("one year of days", year_of_days), ("ten days of hours", ten_days)):
            assert isinstance(params.interval, Interval)
            count = len(store.get_data_smart_sqlite(params, UNLIMITED).bars[SYMBOL])
            from_csv = replace(params, use_sqlite=False)
            runs = [partial(store.get_data_smart_sqlite, each, UNLIMITED) for each in (params, from_csv)]
            in_sqlite, in_csv = medians_ms(runs, QUERIES)
            figures = f"{in_sqlite:.2f}, {in_csv:.2f}, {in_csv / in_sqlite:.1f}"
            yield f"{what} ({count} bars) in `DataStore`: ms from SQLite, ms from CSV, ratio", figures
            (whole,) = medians_ms([partial(csv_store.read, SeriesKey(Mode.VN, SYMBOL, params.interval))], QUERIES // 10)
            what = "the same from CSV parsed whole, without bisection: ms, ratio"
            yield what, f"{whole:.1f}, {whole / in_sqlite:.1f}"


if __name__ == "__main__":
    main()
