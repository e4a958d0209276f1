"""Import a real history, and check every number of the answers against a separate computation.

The data are not part of the project. STOCKAPI_REAL_DATA names their directory; without it these tests are skipped.
Other tests show the same on made-up bars.
"""

import csv
import json
import math
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from stockapi import create_app
from stockapi.config import Settings
from stockapi.context import services
from tests.support.stores import environment

DATA = Path(os.environ.get("STOCKAPI_REAL_DATA", "no such directory"))
RAW, REFERENCE = DATA / "vn-raw", DATA / "vn-enhanced"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not RAW.is_dir(), reason="STOCKAPI_REAL_DATA names no directory of real market data"),
]

INDICES = ("VNINDEX", "VN30")
PERIODS = (10, 20, 50, 100, 200)
BASES = {
    "1D": "1D",
    "1H": "1H",
    "1m": "1m",
    "5m": "1m",
    "15m": "1m",
    "30m": "1m",
    "2h": "1H",
    "4h": "1H",
    "1W": "1D",
    "2W": "1D",
    "1M": "1D",
}
FILES = sorted(path.relative_to(RAW).with_suffix("").parts for path in RAW.glob("*/*.csv"))
SERIES = [(ticker, interval) for ticker, base in FILES for interval, needs in BASES.items() if needs == base]

Bar = dict[str, str | float]


# The definitions of the contract in plain Python, one bar at a time


@dataclass
class Candle:
    time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


def read_candles(path: Path, factor: int) -> list[Candle]:
    """The file's bars by time; prices times `factor`, to two decimals."""

    def price(text: str) -> float:
        return float(round(Decimal(text) * factor, 2))

    by_time = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            time = datetime.fromisoformat(row["time"]).replace(tzinfo=UTC)
            prices = (price(row[name]) for name in ("open", "high", "low", "close"))
            by_time[time] = Candle(time, *prices, int(row["volume"]))
    return [by_time[time] for time in sorted(by_time)]


def bucket_of(time: datetime, interval: str) -> datetime:
    """Where the bar of the longer interval begins that `time` is in."""
    midnight = time.replace(hour=0, minute=0)
    monday = midnight - timedelta(days=time.weekday())
    if interval in ("5m", "15m", "30m"):
        return time - timedelta(minutes=time.minute % int(interval[:-1]))
    if interval == "2h":
        return time - timedelta(hours=(time.hour + 7 - 9) % 2, minutes=time.minute)
    if interval == "4h":
        local_hour = time.hour + 7
        assert 9 <= local_hour < 17, "a bar outside the session"
        return midnight + timedelta(hours=(9 if local_hour < 13 else 13) - 7)
    if interval == "1W":
        return monday
    if interval == "2W":
        while monday.isocalendar().week % 2:
            monday -= timedelta(days=7)
        return monday
    return midnight.replace(day=1)


def aggregate(candles: list[Candle], interval: str) -> list[Candle]:
    if BASES[interval] == interval:
        return candles
    longer: list[Candle] = []
    for each in candles:
        start = bucket_of(each.time, interval)
        if not longer or longer[-1].time != start:
            longer.append(Candle(start, each.open, each.high, each.low, each.close, each.volume))
            continue
        last = longer[-1]
        last.high, last.low = max(last.high, each.high), min(last.low, each.low)
        last.close, last.volume = each.close, last.volume + each.volume
    return longer


def change(value: float, previous: float) -> float | None:
    return round((value - previous) / previous * 100, 4) if previous > 0 else None


def expected_bars(ticker: str, candles: list[Candle], interval: str) -> list[Bar]:
    """What the API is to answer, key by key in its order; absent indicators are left out."""
    closes = [candle.close for candle in candles]
    is_intraday = interval[-1] in "mHh"
    bars: list[Bar] = []
    for i, candle in enumerate(candles):
        time = candle.time.strftime("%Y-%m-%dT%H:%M:%S" if is_intraday else "%Y-%m-%d")
        average = {n: math.fsum(closes[i + 1 - n : i + 1]) / n for n in PERIODS if i + 1 >= n}
        bar: dict[str, str | float | None] = {
            "time": time,
            "open": candle.open,
            "high": candle.high,
            "low": candle.low,
            "close": candle.close,
            "volume": candle.volume,
            "symbol": ticker,
            **{f"ma{n}": round(value, 2) for n, value in average.items()},
            **{f"ma{n}_score": round((candle.close - value) / value * 100, 4) for n, value in average.items()},
        }
        if i:
            before = candles[i - 1]
            bar["close_changed"] = change(candle.close, before.close)
            bar["volume_changed"] = change(candle.volume, before.volume)
            is_index = ticker in INDICES
            bar["total_money_changed"] = 0.0 if is_index else round((candle.close - before.close) * candle.volume, 0)
        bars.append({name: value for name, value in bar.items() if value is not None})
    return bars


# Stores filled by the command line


@dataclass
class Imported:
    app: Flask
    directory: Path
    result: Result

    def served(self, ticker: str, interval: str) -> list[Bar]:
        """From a range so wide that it holds everything."""
        query = {"symbol": ticker, "interval": interval, "start_date": "1990-01-01", "end_date": "2100-12-31"}
        answer = self.app.test_client().get("/tickers", query_string=query)
        assert (answer.status_code, answer.headers["X-Data-Source"]) == (200, "sqlite")
        bars: list[Bar] = json.loads(answer.data)[ticker]
        return bars


@contextmanager
def import_into(directory: Path, tree: Path, *options: str) -> Iterator[Imported]:
    app = create_app(Settings.from_mapping(environment(directory)))
    yield Imported(app, directory, app.test_cli_runner().invoke(args=["data", "import", str(tree), *options]))
    with app.app_context():
        services().stores.close()


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    with import_into(tmp_path_factory.mktemp("raw"), RAW, "--legacy") as imported:
        yield imported


@pytest.fixture(scope="module")
def raw_rows() -> Counter[tuple[str, str]]:
    """Rows of each file by (ticker, interval)."""
    rows: Counter[tuple[str, str]] = Counter()
    for ticker, interval in FILES:
        with (RAW / ticker / f"{interval}.csv").open(newline="") as file:
            rows[ticker, interval] = len({row["time"] for row in csv.DictReader(file)})
    return rows


def test_the_import_says_that_every_row_went_in(imported: Imported, raw_rows: Counter[tuple[str, str]]) -> None:
    total = f"{raw_rows.total():,}"
    assert (imported.result.exit_code, imported.result.stderr) == (0, "")
    expected = f"vn: {len(FILES)} files, {total} bars read, {total} rows saved, 0 lines quarantined\n"
    expected += "prices x 1000: ACB, FPT, VCB, VIC; as they are: VNINDEX\n"
    assert imported.result.stdout == expected


def test_both_stores_have_every_row(imported: Imported, raw_rows: Counter[tuple[str, str]]) -> None:
    assert {path.parent.name for path in (imported.directory / "market_data").glob("*/*.csv")} == {
        ticker for ticker, _ in FILES
    }
    in_csv: Counter[tuple[str, str]] = Counter()
    for path in (imported.directory / "market_data").glob("*/*.csv"):
        in_csv[path.parent.name, path.stem] = len(path.read_text().splitlines()) - 1
    in_sqlite: Counter[tuple[str, str]] = Counter()
    with closing(sqlite3.connect(imported.directory / "vn_data.db")) as connection:
        for interval, table in (("1D", "vn_daily"), ("1H", "vn_hourly"), ("1m", "vn_minute")):
            counts = connection.execute(f"SELECT ticker, count(*) FROM {table} GROUP BY ticker")
            in_sqlite.update({(ticker, interval): rows for ticker, rows in counts})
    assert in_csv == raw_rows
    assert in_sqlite == raw_rows


def test_verify_finds_no_difference(imported: Imported, raw_rows: Counter[tuple[str, str]]) -> None:
    result = imported.app.test_cli_runner().invoke(args=["data", "verify"])
    assert result.exit_code == 0
    expected = f"vn: {len(FILES)} series, {raw_rows.total():,} bars in CSV, 0 differences"
    assert result.stdout.splitlines() == [expected, "crypto: nothing is stored"]


@pytest.mark.parametrize(("ticker", "interval"), SERIES)
def test_every_served_number_is_that_of_the_raw_file(imported: Imported, ticker: str, interval: str) -> None:
    path = RAW / ticker / f"{BASES[interval]}.csv"
    candles = aggregate(read_candles(path, 1 if ticker in INDICES else 1000), interval)
    expected = expected_bars(ticker, candles, interval)
    served = imported.served(ticker, interval)
    assert len(served) == len(expected) > 0
    for ours, theirs in zip(served, expected, strict=True):
        assert list(ours.items()) == list(theirs.items())


# The reference: VIC, with indicators as another implementation computed them

AGREES_EXACTLY = (
    *("open", "high", "low", "close", "volume"),
    *(f"ma{n}_score" for n in PERIODS),
    *("close_changed", "volume_changed", "total_money_changed"),
)

# Columns that do not agree in every row, and why. `rows` differ of `of`, each by one unit of the last decimal (0.01):
# in just these rows the average lies exactly between two numbers of two decimals (21187.575, say). The reference adds
# up floats one after the other, and its small error tips such a tie to one side or the other; our sum has no error
# (docs/indicators.md), so that the nearest float64 of the exact average decides.
#            column   rows    of  ties
TIPPED_TIES = [
    ("ma10", 46, 2717, 156),
    ("ma20", 24, 2707, 86),
    ("ma50", 9, 2677, 35),
    ("ma100", 1, 2627, 15),
    ("ma200", 5, 2527, 7),
]


@pytest.fixture(scope="module")
def reference() -> list[dict[str, str]]:
    with (REFERENCE / "VIC" / "1D.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> list[Bar]:
    """The reference's own prices and volumes, in stores of their own, with our indicators."""
    with import_into(tmp_path_factory.mktemp("reference"), REFERENCE) as stores:
        assert stores.result.exit_code == 0
        return stores.served("VIC", "1D")


def test_the_reference_has_the_days_and_prices_of_the_raw_file(
    imported: Imported, reference: list[dict[str, str]]
) -> None:
    """And 68 days more: it was made later, and nothing has been adjusted in between."""
    served = imported.served("VIC", "1D")
    assert (len(served), len(reference)) == (2658, 2726)
    for bar, row in zip(served, reference, strict=False):
        assert bar["time"] == row["time"]
        for name in ("open", "high", "low", "close", "volume"):
            assert bar[name] == float(row[name])


@pytest.mark.parametrize("column", AGREES_EXACTLY)
def test_these_columns_of_the_reference_agree_in_every_row(
    ours: list[Bar], reference: list[dict[str, str]], column: str
) -> None:
    theirs = [float(row[column]) if row[column] else None for row in reference]
    assert [bar["time"] for bar in ours] == [row["time"] for row in reference]
    assert [bar.get(column) for bar in ours] == theirs


@pytest.mark.parametrize(("column", "rows", "of", "ties"), TIPPED_TIES)
def test_averages_agree_but_for_ties_that_the_reference_tips(
    ours: list[Bar], reference: list[dict[str, str]], column: str, rows: int, of: int, ties: int
) -> None:
    period = int(column.removeprefix("ma"))
    closes = [Decimal(row["close"]) for row in reference]
    is_tie = [
        i + 1 >= period and sum(closes[i + 1 - period : i + 1]) / period * 1000 % 10 == 5 for i in range(len(closes))
    ]
    theirs = [float(row[column]) if row[column] else None for row in reference]
    differing = []
    for i, (bar, value) in enumerate(zip(ours, theirs, strict=True)):
        assert (column in bar) == (value is not None)
        if value is not None and bar[column] != value:
            assert abs(round(Decimal(str(bar[column])) - Decimal(str(value)), 2)) == Decimal("0.01")
            differing.append(i)
    assert (len(differing), sum(value is not None for value in theirs), sum(is_tie)) == (rows, of, ties)
    assert all(is_tie[i] for i in differing)


def test_every_column_of_the_reference_has_been_compared(reference: list[dict[str, str]]) -> None:
    compared = {"ticker", "time", *AGREES_EXACTLY, *(column for column, *_ in TIPPED_TIES)}
    assert compared == set(reference[0])


def test_the_fortnight_of_this_file_is_that_of_the_iso_calendar() -> None:
    """The oracle itself: a year of 53 weeks, after which the first fortnight is three weeks long."""
    fortnights = {bucket_of(datetime(2021, 1, day, tzinfo=UTC), "2W").date() for day in range(1, 11)}
    assert fortnights == {date(2020, 12, 21)}
    assert bucket_of(datetime(2021, 1, 11, tzinfo=UTC), "2W").date() == date(2021, 1, 11)
