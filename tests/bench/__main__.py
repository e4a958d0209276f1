"""`python -m tests.bench`: this server against others on a market of the real size; --write keeps the tables.

Makes the market first, unless it is there. Ratios within one run are what to look at: the absolute figures are those
of one machine on one day.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.bench import servers
from tests.bench.comparison import USUAL, Effort, compare
from tests.bench.imports import import_rates
from tests.bench.in_process import measure
from tests.bench.load import require_wrk
from tests.bench.machine import heading, save
from tests.bench.market import FULL_MINUTES, QUICK_MINUTES, build
from tests.bench.questions import POINTS
from tests.bench.report import text

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stockapi-bench"
FULL = Effort(rounds=5, light_s=4, heavy_count=32)
SHORT = Effort(rounds=3, light_s=1, heavy_count=8, heavy_connections=(1, USUAL))


def main() -> None:
    arguments = _arguments()
    require_wrk()
    if not arguments.python.exists():
        sys.exit(f"bench: {arguments.python} is missing; run `make bench`, or name another with --python")
    minutes = QUICK_MINUTES if arguments.quick else FULL_MINUTES
    effort = SHORT if arguments.quick or arguments.short else FULL
    directory = (arguments.market or CACHE / ("quick" if arguments.quick else "full")).absolute()
    market = build(directory / "all", minutes)
    small = build(directory / "one-percent", minutes, share_of_tickers=0.01)
    with tempfile.TemporaryDirectory(dir=directory) as work:
        _, import_rate, _ = import_rates(small.directory / "market_data", False, Path(work), 3)
    times = {question.name: measure(question, market.directory, small.directory) for question in POINTS}
    results = compare(market.directory, arguments.python, effort)
    about = f"{market.describe()}; {effort.rounds} rounds of {effort.light_s} s"
    about += f"; {arguments.note}" if arguments.note else ""
    save("comparison", f"{heading(about)}\n\n{text(results, times, import_rate)}", write=arguments.write)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the minutes, shorter rounds: half an hour")
    parser.add_argument("--short", action="store_true", help="all the minutes, shorter rounds")
    parser.add_argument("--market", type=Path, help=f"where the market is kept (default: under {CACHE})")
    parser.add_argument("--python", type=Path, default=servers.OTHERS_PYTHON, help="one with pandas and datasette")
    parser.add_argument("--note", help="what else to say of this run, above its tables")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
