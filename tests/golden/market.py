"""Both stores of a small market, built by the application's own commands; the same bars on every machine and day."""

import csv
import random
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from stockapi import create_app
from stockapi.config import Settings

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
"""A Friday, 12:00 in Ho Chi Minh City: the exchange is open, and the day's bar is forming."""

Row = tuple[Any, ...]
"""time, open, high, low, close, volume: as in a file, but for the ticker."""

_FROM_SOURCE = [
    ("vn", "1D", ("VNINDEX", "VN30", "VCB", "BID", "CTG", "VIC", "VHM", "HPG", "GAS", "FPT", "VNM", "SSI")),
    ("vn", "1H", ("VNINDEX", "VCB", "BID", "VIC", "FPT")),
    ("vn", "1m", ("VNINDEX", "VCB", "FPT")),
    ("crypto", "1D", ("BTC", "ETH", "DOGE", "SHIB")),
    ("crypto", "1H", ("BTC", "ETH")),
    ("crypto", "1m", ("BTC", "SHIB")),
]
_HEADER = ("ticker", "time", "open", "high", "low", "close", "volume")

# What only a worker leaves. The commands record HPG's split; that of VIC is still being fetched.
_FROM_WORKERS = """
INSERT INTO worker_states (worker, iterations, last_sync, heartbeat_at, due_every_s, cycle_seconds, rows_written,
                           source, source_state, source_calls, source_errors, last_error, last_error_at)
VALUES ('daily', 3, 1795150200, 1795150200, 3600, 1.25, 4321, 'simulated', 'ok', 36, 0, NULL, NULL),
       ('minute', 40, 1795150140, 1795150140, 60, 0.5, 99, 'simulated', 'no answer', 120, 2, 'no answer', 1795150190);
INSERT INTO adjustments (ticker, ex_time, ratio, seen_at, applied_at) VALUES ('VIC', 1795132800, 2.0, 1795150000, NULL);
INSERT INTO verification VALUES (1, 1795100000, 12.5, 'ok', 24, 30000, 1, 0, 0);
"""


def settings(directory: Path, variables: Iterable[tuple[str, str]] = ()) -> Settings:
    """Those of a process over the market in this directory; `{stores}` in a value is the directory."""
    return Settings.from_mapping(
        {
            "VN_DATABASE_PATH": str(directory / "vn_data.db"),
            "CRYPTO_DATABASE_PATH": str(directory / "crypto_data.db"),
            "MARKET_DATA_DIR": str(directory / "market_data"),
            "CRYPTO_DATA_DIR": str(directory / "crypto_data"),
            "DATA_PROVIDER": "simulated",
            **{name: value.replace("{stores}", str(directory)) for name, value in variables},
        }
    )


def build(directory: Path) -> None:
    """Fill the directory: `vn_data.db`, `crypto_data.db`, `market_data`, `crypto_data`, and lists of one's own."""
    run(directory, "db", "upgrade")
    for mode, interval, tickers in _FROM_SOURCE:
        _pull(directory, mode, interval, tickers)
    _undo_split(directory, "HPG")
    _pull(directory, "vn", "1D", ["HPG"])
    _write_odd_tickers(directory / "odd")
    for tree, *options in (["vn"], ["thousands", "--legacy"], ["crypto", "--mode", "crypto"]):
        run(directory, "data", "import", str(directory / "odd" / tree), *options)
    with closing(sqlite3.connect(directory / "vn_data.db")) as connection:
        connection.executescript(_FROM_WORKERS)
    # Of this one SQLite knows nothing, as when a file was put there by hand.
    _write(directory / "market_data", "PAPER", "1D", _days("2026-10-01", 30, 12_000, seed=9))
    (directory / "groups.json").write_text('{"BANKS": ["VCB", "BID"], "MINE": ["PAPER", "YOUNG", "VCB"]}')
    (directory / "coins.json").write_text('["DUST", "BTC"]')
    (directory / "no_bars").mkdir()


def run(directory: Path, *arguments: str) -> None:
    """One of the application's commands, at NOW."""
    app = create_app(settings(directory), clock=lambda: NOW)
    outcome = app.test_cli_runner().invoke(args=list(arguments))
    assert outcome.exit_code == 0, f"flask {' '.join(arguments)}: {outcome.output}"


def _pull(directory: Path, mode: str, interval: str, tickers: Iterable[str]) -> None:
    named = [text for ticker in tickers for text in ("--ticker", ticker)]
    run(directory, "data", "pull", "--mode", mode, "--interval", interval, *named)


def _undo_split(directory: Path, ticker: str) -> None:
    """The ticker's days as they were before a split: the next pull finds its whole history changed."""
    with (directory / "market_data" / ticker / "1D.csv").open(newline="") as file:
        next(csv.reader(file))
        rows = [(each[1], *map(float, each[2:7])) for each in csv.reader(file)]
    _write(directory / "before_split", ticker, "1D", _scaled(rows, price=1.25))
    run(directory, "data", "import", str(directory / "before_split"))


def _write_odd_tickers(tree: Path) -> None:
    """What the simulated market lacks: short series, holes, an end long ago, small prices, an absurd bar."""
    vn, crypto = tree / "vn", tree / "crypto"
    _write(vn, "YOUNG", "1D", _days("2026-11-01", 15, 25_000, seed=1))
    _write(vn, "ENDED", "1D", _days("2025-01-06", 300, 8_000, seed=2))
    days = [row for number, row in enumerate(_days("2026-01-05", 250, 41_000, seed=3)) if number % 50 not in (7, 8, 30)]
    _write(vn, "HOLES", "1D", [row if number % 40 else (*row[:5], 0.0) for number, row in enumerate(days)])
    hours = [_walk(first, 3, 3_600, 41_000, seed=4) for first in ("2026-11-16T02:00:00", "2026-11-19T02:00:00")]
    _write(vn, "HOLES", "1H", [*hours[0], *hours[1]])
    _write(vn, "HOLES", "1m", _walk("2026-11-18T02:15:00", 40, 60, 41_500, seed=5))
    _write(vn, "WILD", "1m", [("2026-11-18T02:15:00", 500.0, 900_000_000.0, 10.0, 500.0, 1_000.0)])
    _write(tree / "thousands", "OLDER", "1D", _scaled(_days("2026-09-01", 70, 60_300, seed=6), price=1e-3))
    _write(crypto, "DUST", "1D", _scaled(_days("2026-06-01", 170, 128_000, seed=7), price=1e-7, volume=0.125))
    _write(crypto, "FPT", "1D", _scaled(_days("2026-10-20", 31, 30_000, seed=8), price=1e-4, volume=0.375))


def _scaled(rows: Iterable[Row], *, price: float, volume: float = 1.0) -> list[Row]:
    return [(row[0], *(each * price for each in row[1:5]), row[5] * volume) for row in rows]


def _days(first: str, count: int, price: float, *, seed: int) -> list[Row]:
    """Bars of the weekdays within `count` days from that one on."""
    rows = _walk(f"{first}T00:00:00", count, 86_400, price, seed=seed)
    return [(row[0][:10], *row[1:]) for row in rows if datetime.fromisoformat(row[0]).weekday() < 5]


def _walk(first: str, count: int, step_s: int, price: float, *, seed: int) -> list[Row]:
    """Bars of a walk in whole tens, one step of time apart."""
    rng, begin = random.Random(seed), datetime.fromisoformat(first)
    rows = []
    for number in range(count):
        opening, price = price, max(price + 10 * int(rng.random() * 101 - 50), 10.0)
        high = max(opening, price) + 10 * int(rng.random() * 20)
        low = max(min(opening, price) - 10 * int(rng.random() * 20), 10.0)
        time = (begin + timedelta(seconds=number * step_s)).isoformat()
        rows.append((time, opening, high, low, price, float(int(rng.random() * 900_000) + 1_000)))
    return rows


def _write(tree: Path, ticker: str, interval: str, rows: Sequence[Row]) -> None:
    """Into <tree>/<TICKER>/<interval>.csv, the seven columns without indicators."""
    path = tree / ticker / f"{interval}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerows([(ticker, *row[:5], int(row[5]) if row[5] == int(row[5]) else row[5]) for row in rows])
