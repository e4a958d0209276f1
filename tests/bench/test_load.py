"""What is read out of wrk's report: errors above all, which must never count as speed."""

import importlib

import pytest

from stockapi.models import Mode
from tests.bench.comparison import Results
from tests.bench.load import Load, parse
from tests.bench.market import SIZES, WideMarket
from tests.bench.questions import LAST_DAYS

REPORT = """Running 2s test @ http://127.0.0.1:1/tickers
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    10.01ms    2.00ms  50.00ms   90.00%
    Req/Sec   400.00     10.00   410.00     70.00%
  Latency Distribution
     50%    2.50ms
     75%    9.00ms
     90%   11.00ms
     99%    1.25s
  1000 requests in 2.00s, 90.00MB read
{more}Requests/sec:    500.00
Transfer/sec:     45.00MB
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", Load(500.0, 2.5, 1250.0, 0)),
        ("  Non-2xx or 3xx responses: 900\n", Load(50.0, 2.5, 1250.0, 900)),
        ("  Socket errors: connect 0, read 3, write 0, timeout 4\n", Load(500.0, 2.5, 1250.0, 7)),
    ],
)
def test_errors_are_no_answers(more: str, expected: Load) -> None:
    assert parse(REPORT.format(more=more)) == expected


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    results = Results()
    for mine, its in ((10.0, 20.0), (90.0, 100.0), (5.0, 50.0)):
        results.loads[LAST_DAYS.name, "product", 8].append(Load(mine, 1.0, 1.0, 0))
        results.loads[LAST_DAYS.name, "limit", 8].append(Load(its, 1.0, 1.0, 0))
    assert results.ratio(LAST_DAYS, "product", "limit") == 0.5


@pytest.mark.parametrize("mode", Mode)
def test_the_market_has_the_real_size(mode: Mode) -> None:
    tickers = WideMarket(mode, SIZES[mode]).tickers()
    assert len(set(tickers)) == SIZES[mode]


@pytest.mark.parametrize("module", ["__main__", "cycles", "imports", "market", "writer"])
def test_each_program_of_the_benchmark_finds_what_it_uses(module: str) -> None:
    """No other test runs them, and names that they use of the program change."""
    importlib.import_module(f"tests.bench.{module}")
