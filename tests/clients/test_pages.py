"""The blocks of docs/clients run as they stand, against a real server; what others parse is asked and looked at."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit
from urllib.request import urlopen

import pytest

from stockapi import create_app
from stockapi.config import Settings
from stockapi.models import Interval
from tests.support.server import ROOT, Server, running_server
from tests.support.stores import NOW, Stores, environment, make_bars

PAGES = ROOT / "docs" / "clients"
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:3000"
EXPORT = re.compile(r"`flask (data export [^`]*)`")
NODE = shutil.which("node")
MOST_LINES = 5
LONG = pytest.mark.long
"""Of what needs the server, a second for each process of tests. What the pages look like is checked in every run."""


def blocks_of(page: str, language: str = "") -> list[str]:
    """The blocks of a page, all or those of a language."""
    found = FENCED.findall((PAGES / f"{page}.md").read_text(encoding="utf-8"))
    return [text for each, text in found if language in ("", each)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A market of three stocks, and what the pages say is exported from it."""
    directory = tmp_path_factory.mktemp("market")
    stores = Stores.of(Settings.from_mapping(environment(directory)))
    for seed, ticker in enumerate(("VCB", "FPT", "HPG")):
        for interval in Interval:
            stores.save(ticker, make_bars(300, interval, seed=seed), interval)
    stores.db_manager.close()
    commands = {command for page in PAGES.glob("*.md") for command in EXPORT.findall(page.read_text(encoding="utf-8"))}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        for command in commands - {"data export"}:
            outcome = create_app(stores.settings, clock=lambda: NOW).test_cli_runner().invoke(args=command.split())
            assert outcome.exit_code == 0, outcome.output
    return directory


@pytest.fixture(scope="module")
def server(directory: Path) -> Iterator[Server]:
    with running_server(directory, environment(directory, WEB_CONCURRENCY="1")) as running:
        yield running


def asked(server: Server, path: str) -> bytes:
    with urlopen(f"{server.url}{path}") as answer:
        body: bytes = answer.read()
    return body


def bars(server: Server, query: str) -> dict[str, list[dict[str, Any]]]:
    answer: dict[str, list[dict[str, Any]]] = json.loads(asked(server, f"/tickers?{query}"))
    return answer


def closes(server: Server, query: str) -> list[float]:
    return [bar["close"] for each in bars(server, query).values() for bar in each]


# The pages themselves


def test_every_page_is_in_the_list_and_begins_with_five_lines_at_most() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert set(re.findall(r"\(([a-z-]+)\.md\)", (PAGES / "README.md").read_text(encoding="utf-8"))) == pages
    for page in pages:
        for block in blocks_of(page):
            assert len([line for line in block.splitlines() if line.strip()]) <= MOST_LINES, f"{page}:\n{block}"


def test_every_block_is_run_or_looked_at() -> None:
    """A language that no test below knows would be a block that nobody tries."""
    known = {"python", "sql", "js", "powerquery", "text", "json"}
    for page in PAGES.glob("*.md"):
        text = page.read_text(encoding="utf-8")
        assert {language for language, _ in FENCED.findall(text)} <= known
        assert len(FENCED.findall(text)) * 2 == text.count("```")


# Python


def run_python(block: str, server: Server, directory: Path) -> dict[str, Any]:
    """What the block has defined."""
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        exec(compile(block.replace(ADDRESS, server.url), "block", "exec"), names)
    return names


@LONG
def test_pandas(server: Server, directory: Path) -> None:
    by_csv, by_arrow, by_parquet = (run_python(block, server, directory) for block in blocks_of("pandas", "python"))
    expected = closes(server, "symbol=VCB,FPT&limit=0")
    assert by_csv["bars"]["close"].tolist() == expected
    assert by_csv["closes"]["FPT"].tolist() + by_csv["closes"]["VCB"].tolist() == expected
    assert by_arrow["bars"]["close"].tolist() == closes(server, "symbol=VCB,FPT&interval=1H&limit=0")
    assert by_arrow["bars"]["symbol"].dtype == "category"
    assert str(by_arrow["bars"]["time"].dtype) == "datetime64[s, UTC]"
    assert by_parquet["bars"]["close"].tolist() == closes(server, "limit=0")


@LONG
def test_polars(server: Server, directory: Path) -> None:
    by_arrow, by_parquet = (run_python(block, server, directory) for block in blocks_of("polars", "python"))
    assert by_arrow["bars"]["close"].to_list() == closes(server, "symbol=VCB,FPT&limit=0")
    assert str(by_arrow["bars"]["time"].dtype).endswith("time_zone='UTC')")
    expected = {symbol: each[-1]["close"] / each[0]["close"] - 1 for symbol, each in bars(server, "limit=0").items()}
    assert dict(by_parquet["best"].iter_rows()) == expected


@LONG
def test_duckdb(server: Server, directory: Path) -> None:
    import duckdb

    (by_arrow,) = (run_python(block, server, directory) for block in blocks_of("duckdb", "python"))
    every = bars(server, "limit=20")
    assert [symbol for symbol, _ in by_arrow["found"]] == list(every)
    for symbol, average in by_arrow["found"]:
        assert average == pytest.approx(sum(bar["volume"] for bar in every[symbol]) / 20)
    (query,) = blocks_of("duckdb", "sql")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        found = duckdb.sql(query).fetchall()
    assert found == [
        (symbol, 300, max(bar["high"] for bar in each)) for symbol, each in bars(server, "limit=0").items()
    ]


# JavaScript


def run_node(block: str, server: Server) -> Any:
    if NODE is None:
        if os.environ.get("CI"):
            pytest.fail("this test needs node 18 or newer")
        pytest.skip("this test needs node 18 or newer: sudo apt-get install nodejs")
    command = [NODE, "--input-type=module", "--eval", block.replace(ADDRESS, server.url)]
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return json.loads(outcome.stdout)


@LONG
def test_javascript(server: Server) -> None:
    columns, lines = blocks_of("javascript", "js")
    newest = bars(server, "symbol=VCB&limit=1&time=iso")["VCB"][0]
    expected = {"time": f"{newest['time']}T00:00:00.000Z", "close": newest["close"], "ma20": newest["ma20"]}
    assert run_node(columns, server) == expected
    assert [row["close"] for row in run_node(lines, server)] == closes(server, "limit=50")


@LONG
def test_lightweight_charts(server: Server) -> None:
    """The block, with a chart that only keeps what it is given; the library promises to take such rows."""
    _, block = blocks_of("tradingview", "js")
    stand_in = (
        "let kept; const document = { body: null };"
        "const series_ = { setData: (rows) => { kept = rows; } };"
        "const LightweightCharts = { CandlestickSeries: 0, createChart: () => ({ addSeries: () => series_ }) };"
    )
    rows = run_node(f"{stand_in}\n{block}\nconsole.log(JSON.stringify(kept));", server)
    assert [row["close"] for row in rows] == closes(server, "symbol=VCB&limit=500")
    times = [row["time"] for row in rows]
    assert times == sorted(set(times))
    assert all(isinstance(time, int) and time % 86_400 == 0 for time in times)
    assert list(rows[0]) == ["time", "open", "high", "low", "close"]


@LONG
def test_tradingview(server: Server) -> None:
    """What the widget asks first, for the symbol, the interval and the address of the block."""
    block, _ = blocks_of("tradingview", "js")
    base = re.search(rf'UDFCompatibleDatafeed\("{ADDRESS}(/\w+)"\)', block)
    settings = dict(re.findall(r'(symbol|interval|timezone): "([^"]+)"', block))
    assert base is not None
    config = json.loads(asked(server, f"{base[1]}/config"))
    assert settings["interval"] in config["supported_resolutions"]
    symbol = json.loads(asked(server, f"{base[1]}/symbols?{urlencode({'symbol': settings['symbol']})}"))
    assert symbol["timezone"] == settings["timezone"]
    query = urlencode({"symbol": symbol["ticker"], "resolution": settings["interval"], "countback": 300, "to": 4e9})
    assert (
        len(json.loads(asked(server, f"{base[1]}/history?{query.replace('4000000000.0', '4000000000')}"))["c"]) == 300
    )


# What asks for CSV


def table(server: Server, url: str) -> list[list[str]]:
    """The rows of a CSV answer: all of equal length, and more than the header."""
    rows = list(csv.reader(io.StringIO(asked(server, url.removeprefix(ADDRESS)).decode())))
    assert len(rows) > 1
    assert {len(row) for row in rows} == {len(rows[0])}
    return rows


@LONG
def test_power_query(server: Server) -> None:
    first, *others = blocks_of("excel", "powerquery")
    asks = re.compile(rf'Web\.Contents\("({ADDRESS}[^"]+)", \[Query = \[(.*?)\]\]\)')
    tables = []
    for block in (first, *others):
        found = asks.search(block)
        assert found is not None
        query = dict(re.findall(r'(\w+) = "([^"]*)"', found[2]))
        assert query["format"] == "csv"
        tables.append(table(server, f"{found[1]}?{urlencode(query)}"))
    typed = dict(re.findall(r'\{"(\w+)", type (\w+)\}', first))
    header, *rows = tables[0]
    for name, kind in typed.items():
        pattern = {"date": r"\d{4}-\d{2}-\d{2}", "number": r"-?[0-9.]+"}[kind]
        assert all(re.fullmatch(pattern, row[header.index(name)]) for row in rows)
    assert len(rows) == 500


@LONG
def test_google_sheets(server: Server) -> None:
    formulas = [line for block in blocks_of("google-sheets", "text") for line in block.splitlines()]
    assert len(formulas) == 4
    for formula in formulas:
        found = re.search(rf'IMPORTDATA\("({ADDRESS}[^"]+)", ",", "en_US"\)', formula)
        assert found is not None
        rows = table(server, found[1])
        if cell := re.search(r", (\d+), (\d+)\)$", formula):
            assert float(rows[int(cell[1]) - 1][int(cell[2]) - 1]) == closes(server, "symbol=VCB&limit=1")[0]


@LONG
def test_amibroker(server: Server) -> None:
    command, definition = blocks_of("amibroker", "text")
    url = re.search(rf'"({ADDRESS}[^"]+)"', command)
    assert url is not None
    wanted = {name: value for name, _, value in (line[1:].partition(" ") for line in definition.splitlines())}
    header, *rows = table(server, url[1])[int(wanted["SKIPLINES"]) - 1 :]
    kinds = {
        "Ticker": ("symbol", r"[A-Z0-9.-]+"),
        "Date_YMD": ("time", r"\d{4}-\d\d-\d\d"),
        **{name: (name.lower(), r"[0-9.]+") for name in ("Open", "High", "Low", "Close", "Volume")},
    }
    named = [kinds[name] for name in wanted["FORMAT"].split(", ")]
    assert header == [name for name, _ in named]
    assert all(re.fullmatch(pattern, text) for row in rows for (_, pattern), text in zip(named, row, strict=True))
    assert (wanted["SEPARATOR"], len(rows)) == (",", 900)


# Grafana


@LONG
def test_infinity(server: Server) -> None:
    (text,) = blocks_of("grafana", "json")
    query = json.loads(text)
    url = query["url"].replace("${__from:date:iso}", "2015-01-05T00:00:00.000Z")
    url = url.replace("${__to:date:iso}", "2015-01-12T09:30:00.123Z")
    rows = json.loads(asked(server, url))[query["root_selector"]]
    columns = {column["selector"]: column["type"] for column in query["columns"]}
    assert columns == {"time": "timestamp_epoch", "close": "number", "ma20": "number"}
    assert rows[0]["time"] == 1_420_416_000_000
    assert rows[-1]["time"] == 1_420_416_000_000 + 177 * 3_600_000
    assert all(set(row) <= set(columns) and isinstance(row["close"], float) for row in rows)
    assert set(rows[-1]) == set(columns)


@LONG
def test_json_api_data_source(server: Server) -> None:
    (text,) = blocks_of("grafana", "text")
    url = urlsplit(json.loads(blocks_of("grafana", "json")[0])["url"])
    query = {name: values[0] for name, values in parse_qs(url.query).items() if not name.endswith("_date")}
    answer = json.loads(asked(server, f"{url.path}?{urlencode({**query, 'shape': 'columns'})}"))
    paths: list[Callable[[str], Any]] = [re.compile(r"\$\.(\w+)\.(\w+)\[\*\]").fullmatch]
    fields = [answer[found[1]][found[2]] for line in text.splitlines() for found in [paths[0](line)]]
    assert len(fields) == 3
    assert {len(field) for field in fields} == {252}
