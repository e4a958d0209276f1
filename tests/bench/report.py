"""The tables of a comparison."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from tests.bench import questions
from tests.bench.comparison import CONNECTIONS, Results
from tests.bench.in_process import Times
from tests.bench.machine import Row, table
from tests.bench.questions import ALL, Question

_REQUESTS: Final = (
    "request",
    "bytes",
    "/s at 1",
    "8",
    "32",
    "p50, p99 ms at 8",
    "limit /s",
    "share of it",
    "CSV /s",
    "x CSV",
    "pandas /s",
    "x pandas",
    "datasette /s",
    "x datasette",
    "p99 writing / idle at 1, 8, 32",
    "errors",
)
_QUERIES: Final = (
    "query",
    "bars",
    "ms",
    "SQLite alone",
    "CSV",
    "x",
    "CSV parsed whole",
    "x",
    "1 % of the data",
    "growth",
)


def text(results: Results, times: Mapping[str, Times], import_rate: float) -> str:
    return "\n".join(
        [
            table(("target", "at least", "measured", "met"), list(_targets(results, times, import_rate))),
            table(_REQUESTS, [_request(question, results) for question in ALL]),
            table(_QUERIES, [_query(question, times[question.name]) for question in questions.POINTS]),
            table(("server", "seconds to the first answer", "PSS, MiB"), list(_servers(results))),
        ]
    )


def _targets(results: Results, times: Mapping[str, Times], import_rate: float) -> Iterator[Row]:
    year, minutes = questions.YEAR_OF_DAYS, questions.DAY_OF_MINUTES
    for question in ALL:
        if question.share is not None:
            share = results.ratio(question, "product", "limit")
            what = f"{question.name}: share of the limit route"
            yield _target(what, f"{question.share:.0%}", f"{share:.0%}", share >= question.share)
    for question, least in ((year, 5), (minutes, 50)):
        of = times[question.name]
        ratio = of.csv_ms / of.sqlite_ms
        what = f"{question.name}: SQLite against CSV with bisection, in the service"
        yield _target(what, f"{least}x", f"{ratio:.1f}x", ratio >= least)
        ratio = of.whole_csv_ms / of.sqlite_ms
        what = f"{question.name}: SQLite against CSV parsed whole, in the service"
        yield _target(what, f"{least}x", f"{ratio:.1f}x", ratio >= least)
        ratio = results.ratio(question, "product", "csv")
        what = f"{question.name}: SQLite against CSV with bisection, over HTTP"
        yield _target(what, f"{least}x", f"{ratio:.1f}x", ratio >= least)
    ratio = results.p50_ms(questions.LAST_MINUTES, "product", 1) / results.p50_ms(questions.LAST_DAYS, "product", 1)
    yield _target("`limit=252` of minutes against days: p50 at 1 connection", "1.5x", f"{ratio:.2f}x", ratio <= 1.5)
    mine, baseline = results.memory_mib["default"], results.memory_mib["pandas"]
    change = mine / baseline - 1.0
    yield _target("memory under load against the pandas baseline", "-80 %", f"{change:+.0%}", change <= -0.8)
    yield _target("memory under load", "below 300 MB", f"{mine * 1.048576:.0f} MB", mine * 1.048576 < 300)
    yield from _latency_targets(results)
    yield _target("import into both stores, rows/s", "100,000", f"{import_rate:,.0f}", import_rate >= 100_000)
    growth = {name: of.sqlite_ms / of.small_ms - 1.0 for name, of in times.items()}
    worst = max(growth, key=lambda name: growth[name])
    what = f"time of a point query when data grows 100 times; the worst: {worst}"
    yield _target(what, "+30 % at most", f"{growth[worst]:+.0%}", growth[worst] <= 0.3)


def _latency_targets(results: Results) -> Iterator[Row]:
    for connections in CONNECTIONS:
        ratios = {question.name: results.p99_ratio(question, connections) for question in ALL if not question.is_heavy}
        ordered = sorted((name for name in ratios if not math.isnan(ratios[name])), key=lambda name: ratios[name])
        middle, worst = ordered[len(ordered) // 2], ordered[-1]
        what = f"p99 while a worker writes against idle, connections: {connections}; median request, worst"
        yield _target(what, "1.5x", f"{ratios[middle]:.2f}x, {ratios[worst]:.2f}x ({worst})", ratios[worst] <= 1.5)


def _target(what: str, least: str, measured: str, met: bool) -> Row:
    return what, least, measured, "yes" if met else "**no**"


def _request(question: Question, results: Results) -> Row:
    def rate(server: str, connections: int = 8) -> str:
        return _number(results.rate(question, server, connections))

    def times_as_fast(server: str) -> str:
        ratio = results.ratio(question, "product", server)
        return "-" if math.isnan(ratio) else f"{ratio:.1f}"

    share = results.ratio(question, "product", "limit")
    return (
        question.name,
        f"{results.sizes[question.name]:,}",
        *(rate("product", connections) for connections in CONNECTIONS),
        f"{_number(results.p50_ms(question, 'product'))}, {_number(results.p99_ms(question, 'product'))}",
        rate("limit"),
        "-" if math.isnan(share) else f"{share:.0%}",
        rate("csv"),
        times_as_fast("csv"),
        rate("pandas"),
        times_as_fast("pandas"),
        rate("datasette"),
        times_as_fast("datasette"),
        ", ".join(_number(results.p99_ratio(question, connections)) for connections in CONNECTIONS),
        str(results.errors(question)),
    )


def _query(question: Question, of: Times) -> Row:
    return (
        question.name,
        f"{of.bars:,}",
        f"{of.sqlite_ms:.2f}",
        f"{of.alone_ms:.2f}",
        f"{of.csv_ms:.2f}",
        f"{of.csv_ms / of.sqlite_ms:.1f}",
        f"{of.whole_csv_ms:.1f}",
        f"{of.whole_csv_ms / of.sqlite_ms:.1f}",
        f"{of.small_ms:.2f}",
        f"{of.sqlite_ms / of.small_ms - 1.0:+.0%}",
    )


def _servers(results: Results) -> Iterator[Row]:
    memory = results.memory_mib
    started = {name: f"{seconds:.1f}" for name, seconds in results.start_seconds.items()}
    yield "this one, 2 processes x 4 threads, as it is by default", started["product"], f"{memory['default']:,.0f}"
    large = max(memory["product"], memory["writing"])
    yield "this one, with 8 large answers at once allowed", started["product"], f"{large:,.0f}"
    yield "Flask + pandas, 2 x 4, preloaded", started["pandas"], f"{memory['pandas']:,.0f}"
    yield "datasette", started["datasette"], f"{memory['datasette']:,.0f}"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
