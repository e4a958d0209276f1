"""`flask db`, `flask data`, `flask status`: what they do to the stores, what they print, how they exit."""

import fcntl
import logging
import os
import pty
import re
import sqlite3
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from stockapi import create_app
from stockapi.cli import data
from stockapi.context import services
from stockapi.errors import ProviderDisabledError, ProviderError, SqliteFault
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.database_manager.bookkeeping import Bookkeeping, Cycle
from stockapi.services.database_manager.migrations import known_migrations
from stockapi.services.writer_lock import writer_lock
from tests.support.server import clean_environment
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

Run = Callable[..., Result]

LATEST = known_migrations(Mode.VN)[-1].version
HEADER = "ticker,time,open,high,low,close,volume"
HOLD_THE_LOCK = """
import sys
from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.writer_lock import writer_lock

with writer_lock(Settings.load(), list(Mode)):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def runner() -> Iterator[Callable[[Stores], Run]]:
    """What runs command lines against stores, at the time NOW."""
    apps: list[Flask] = []

    def make(stores: Stores) -> Run:
        apps.append(create_app(stores.settings, clock=lambda: NOW))
        cli = apps[-1].test_cli_runner()
        return lambda *args: cli.invoke(args=[str(arg) for arg in args])

    yield make
    for app in apps:
        with app.app_context():
            services().stores.close()


@pytest.fixture
def run(runner: Callable[[Stores], Run], stores: Stores) -> Run:
    return runner(stores)


def succeeded(result: Result) -> list[str]:
    """The lines on standard output."""
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def failed_with(result: Result, status: int) -> str:
    """The one line that says why; usage errors have click's two lines above it."""
    assert result.exit_code == status
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    *usage, line = result.stderr.splitlines()
    assert [each.split(" ")[0] for each in usage if each] == (["Usage:", "Try"] if status == 2 else [])
    return line


def put(directory: Path, name: str, *closes: float, ticker: str = "") -> Path:
    """A file of daily bars from 2024-01-01 on."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    ticker = ticker or (path.stem if path.parent == directory else path.parent.name)
    rows = [f"{ticker},2024-01-{day:02},{close},{close},{close},{close},100" for day, close in enumerate(closes, 1)]
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file; lock files and what connections leave beside a database apart."""
    paths = [path for path in directory.rglob("*") if path.is_file() and not path.name.endswith(".writer.lock")]
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in paths
        if not path.name.endswith(("-wal", "-shm"))
    }


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


@contextmanager
def another_writer(directory: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK],
        cwd=directory,
        env=clean_environment(directory) | environment(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


# Values that are not allowed


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ("data pull --mode nyse", "Error: Invalid value for '--mode': mode 'nyse' is unknown; allowed: vn, crypto ("),
        ("data import . --mode x", "Error: Invalid value for '--mode': mode 'x' is unknown; allowed: vn, crypto ("),
        ("data verify --mode x", "Error: Invalid value for '--mode': mode 'x' is unknown; allowed: vn, crypto ("),
        ("db upgrade --mode x", "Error: Invalid value for '--mode': mode 'x' is unknown; allowed: vn, crypto ("),
        ("status --mode x", "Error: Invalid value for '--mode': mode 'x' is unknown; allowed: vn, crypto ("),
        (
            "data pull --interval 5m",
            "Error: Invalid value for '--interval': interval '5m' is computed on read; stored are: 1D, 1H, 1m",
        ),
        ("data enhance --interval 1M", "Error: Invalid value for '--interval': interval '1M' is computed on read; "),
        ("data enhance --interval 2D", "Error: Invalid value for '--interval': interval '2D' is unknown; allowed: 1D,"),
        ("data pull --ticker ../x", "Error: Invalid value for '--ticker': symbol '../x' is not allowed; a symbol is 1"),
        ("data pull --ticker=", "Error: Invalid value for '--ticker': symbol '' is not allowed; a symbol is 1 to 20"),
        ("data import", "Error: Missing argument 'DIRECTORY'."),
        ("db backup", "Error: Missing argument 'DEST'."),
        ("db restore", "Error: Missing argument 'SRC'."),
        ("data pull VCB", "Error: Got unexpected extra argument (VCB)"),
        ("data pull --mod vn", "Error: No such option '--mod'."),
        ("data fetch", "Error: No such command 'fetch'."),
        (
            "data import . --format x",
            "Error: Invalid value for '--format': 'x' is not one of 'amibroker', 'binance', '",
        ),
        ("data import . --timezone Hanoi", "Error: Invalid value for '--timezone': time zone 'Hanoi' is unknown; allo"),
        ("data import . --timezone ../x", "Error: Invalid value for '--timezone': time zone '../x' is unknown; allo"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(run: Run, tmp_path: Path, args: str, line: str) -> None:
    assert failed_with(run(*args.split()), 2).startswith(line)
    assert snapshot(tmp_path) == {}


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            "data import {}/missing",
            "{}/missing is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv",
        ),
        ("data import {}/file", "{}/file is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv"),
        ("data import {}/empty", "{}/empty holds nothing to import; expected <TICKER>/1D.csv, 1H.csv, 1m.csv or"),
        ("db backup {}/empty", "there is no database {}/vn_data.db to copy"),
        ("db restore {}/missing --mode vn", "there is no backup {}/missing"),
        ("db restore {}/empty --mode crypto", "{}/empty holds no backup of a crypto database: no crypto_data-<time>.d"),
        ("db restore {}/file", "{}/file is one file; say which market it is to be: --mode vn or --mode crypto"),
    ],
)
def test_what_is_not_there_is_named(run: Run, tmp_path: Path, args: str, line: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    before = snapshot(tmp_path)
    assert failed_with(run(*args.format(tmp_path).split()), 1).startswith(f"Error: {line.format(tmp_path)}")
    assert snapshot(tmp_path) == before


def test_a_file_in_place_of_a_directory_for_backups(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert failed_with(run("db", "backup", tmp_path / "file"), 2).endswith(f"Directory '{tmp_path}/file' is a file.")


def test_a_second_writer_is_told_who_the_first_is(
    stores: Stores, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stockapi.services.writer_lock._PATIENCE_S", 0.0)
    for mode in Mode:
        stores.save("VCB", make_bars(3, mode=mode), mode=mode)
    stores.db_manager.close()
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    writing = ["db upgrade", "db optimize", "db restore {}", "db status --check", "data import {}", "data pull"]
    before = snapshot(tmp_path)
    with another_writer(tmp_path) as writer:
        for args in [*writing, "data enhance", "data verify --repair"]:
            line = failed_with(run(*args.format(tmp_path / "tree").split()), 1)
            assert re.fullmatch(
                rf"Error: {tmp_path}(/(market|crypto)_data)? is being written by another process: pid {writer.pid}, "
                r".*python.*, since \d{4}-.*Z; wait until it has finished, or stop it",
                line,
            )
    assert snapshot(tmp_path) == before


# flask db


def test_upgrade_makes_the_databases_once(stores: Stores, run: Run) -> None:
    paths = [stores.settings.database_path(mode) for mode in Mode]
    expected = [f"{mode.value}: schema version {LATEST}, {path}" for mode, path in zip(Mode, paths, strict=True)]
    assert succeeded(run("db", "upgrade")) == expected
    assert not any(Path(f"{path}-wal").exists() for path in paths), "all of it is in the files themselves"
    before = [dump(path) for path in paths]
    assert any("CREATE TABLE vn_daily" in line for line in before[0])
    assert succeeded(run("db", "upgrade")) == expected
    assert [dump(path) for path in paths] == before


def test_upgrade_of_one_market(stores: Stores, run: Run) -> None:
    assert len(succeeded(run("db", "upgrade", "--mode", "CRYPTOS", "--mode", "crypto"))) == 1
    assert not stores.settings.vn_database_path.exists()


def test_db_status_shows_tables_and_sizes(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(1_200))
    stores.save("VCB", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    lines = succeeded(run("db", "status", "--mode", "vn"))
    assert lines[:2] == [
        f"vn: {stores.settings.vn_database_path}",
        f"  schema version {LATEST}, last integrity check: never",
    ]
    assert re.fullmatch(r"  [\d,]+ bytes, write-ahead log [\d,]+, reusable [\d,]+", lines[2])
    assert [line.split() for line in lines[3:]] == [
        ["vn_daily", "1,200", "rows"],
        ["vn_hourly", "0", "rows"],
        ["vn_minute", "5", "rows"],
    ]


def test_db_status_check_finds_damage(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(2_000))
    stores.db_manager.close()
    lines = succeeded(run("db", "status", "--check", "--mode", "vn"))
    assert lines[1] == f"  schema version {LATEST}, last integrity check: ok at 2026-03-02T05:00:00Z"
    path = stores.settings.vn_database_path
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 4096)
    result = run("db", "status", "--check", "--mode", "vn")
    assert result.exit_code == 1
    assert "last integrity check: ok" not in result.stdout
    assert "2026-03-02T05:00:00Z" in result.stdout


def test_db_status_says_what_is_wrong_with_each_file(stores: Stores, run: Run) -> None:
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    result = run("db", "status", "--check")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"vn: {stores.settings.vn_database_path}",
        "  not usable: SQLite error: file is not a database",
        f"crypto: {stores.settings.crypto_database_path}",
        "  not usable: the file does not exist",
    ]


def test_optimize_gives_space_back(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(3_000))
    stores.save("VCB", make_bars(10), rewrite_all=True)
    stores.db_manager.close()
    size = stores.settings.vn_database_path.stat().st_size
    (line,) = succeeded(run("db", "optimize", "--mode", "vn"))
    after = stores.settings.vn_database_path.stat().st_size
    assert line == f"vn: {after:,} bytes, write-ahead log 0"
    assert after < size / 4


def test_backup_and_restore(stores: Stores, run: Run, tmp_path: Path) -> None:
    for mode in Mode:
        stores.save("VCB", make_bars(10, mode=mode), mode=mode)
    copies = tmp_path / "backup"
    names = [f"{mode.value}_data-20260302T050000Z.db" for mode in Mode]
    made = [
        f"{mode.value}: {copies / name}, 10 rows, schema version {LATEST}"
        for mode, name in zip(Mode, names, strict=True)
    ]
    with another_writer(tmp_path):
        assert succeeded(run("db", "backup", copies)) == made, "nobody has to stop"
    for mode in Mode:
        stores.save("VCB", make_bars(30, mode=mode), mode=mode)
    lines = succeeded(run("db", "restore", copies))
    assert lines == [
        f"{mode.value}: restored {copies / name}; the one before is "
        f"{tmp_path}/{mode.value}_data.db.before-restore-20260302T050000Z"
        for mode, name in zip(Mode, names, strict=True)
    ]
    assert all(stores.in_sqlite("VCB", mode=mode).equals(make_bars(10, mode=mode)) for mode in Mode)
    assert run("data", "verify").exit_code == 1
    assert run("data", "verify", "--repair").exit_code == 0
    assert all(stores.in_sqlite("VCB", mode=mode).equals(make_bars(30, mode=mode)) for mode in Mode)


def test_older_backups_go_as_the_new_one_comes(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.db_manager.upgrade(Mode.VN)
    path = tmp_path / "backup" / "vn_data-20260302T050000Z.db"
    backup = ["db", "backup", path.parent, "--mode", "vn", "--keep"]
    assert len(succeeded(run(*backup, "1"))) == 1
    assert succeeded(run(*backup, "1"))[1:] == [f"vn: removed {path}"]
    assert failed_with(run(*backup, "0"), 2) == (
        "Error: Invalid value for '--keep': 0 is not in the range 1<=x<=10000."
    )


def test_the_live_databases_are_no_backup(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    line = failed_with(run("db", "backup", tmp_path, "--mode", "vn"), 1)
    assert line == f"Error: {tmp_path} holds a live database; name another directory for backups"
    line = failed_with(run("db", "restore", tmp_path / "vn_data.db", "--mode", "vn"), 1)
    assert line == f"Error: {tmp_path}/vn_data.db is a live database; name a backup"


def test_a_damaged_backup_of_one_market_changes_neither(stores: Stores, run: Run, tmp_path: Path) -> None:
    for mode in Mode:
        stores.save("VCB", make_bars(10, mode=mode), mode=mode)
    stores.db_manager.close()
    assert run("db", "backup", tmp_path / "backup").exit_code == 0
    damaged = tmp_path / "backup" / "crypto_data-20260302T050000Z.db"
    damaged.write_bytes(b"x" * 5_000)
    before = snapshot(tmp_path)
    line = failed_with(run("db", "restore", tmp_path / "backup"), 1)
    assert line.startswith(f"Error: {damaged} is not a backup of a crypto database: ")
    assert snapshot(tmp_path) == before


# flask data import


def test_import_fills_both_stores_and_says_so(stores: Stores, run: Run, tmp_path: Path) -> None:
    put(tmp_path / "tree", "VCB/1D.csv", 60.3, 61, 62)
    put(tmp_path / "tree", "FPT.csv", 90)
    lines = succeeded(run("data", "import", tmp_path / "tree", "--legacy"))
    multiplied = "prices x 1000: FPT, VCB; as they are: none"
    assert lines == ["vn: 2 files, 4 bars read, 4 rows saved, 0 lines quarantined", multiplied]
    assert stores.in_sqlite("VCB").close.tolist() == [60_300, 61_000, 62_000]
    assert stores.in_csv("VCB").equals(stores.in_sqlite("VCB"))
    assert stores.in_sqlite("FPT").close.tolist() == [90_000]
    lines = succeeded(run("data", "import", tmp_path / "tree", "--legacy"))
    assert lines == ["vn: 2 files, 4 bars read, 0 rows saved, 0 lines quarantined", multiplied]


def test_import_of_coins(stores: Stores, run: Run, tmp_path: Path) -> None:
    put(tmp_path / "tree", "SHIB.csv", 0.00001234)
    succeeded(run("data", "import", tmp_path / "tree", "--mode", "Crypto"))
    assert stores.in_sqlite("SHIB", mode=Mode.CRYPTO).close.tolist() == [0.00001234]
    assert not stores.settings.vn_database_path.exists()


@pytest.mark.parametrize("ticker", ["VNINDEX", "HNXINDEX", "UPCOMINDEX", "VN30F1M"])
def test_import_says_which_prices_it_multiplied(stores: Stores, run: Run, tmp_path: Path, ticker: str) -> None:
    put(tmp_path / "tree", "VCB.csv", 60.3)
    put(tmp_path / "tree", f"{ticker}.csv", 1234.5)
    lines = succeeded(run("data", "import", tmp_path / "tree", "--legacy"))
    assert lines[1:] == [f"prices x 1000: VCB; as they are: {ticker}"]
    assert stores.in_sqlite(ticker).close.tolist() == [1234.5]


def test_import_names_what_it_leaves_out(stores: Stores, run: Run, tmp_path: Path) -> None:
    path = put(tmp_path / "tree", "VCB.csv", 1, 2)
    with path.open("a") as file:
        file.write("VCB,yesterday,1,1,1,1,1\n")
    (tmp_path / "tree" / "notes.csv").write_text("buy low, sell high\n")
    (tmp_path / "tree" / "README.md").touch()
    result = run("data", "import", tmp_path / "tree")
    assert result.exit_code == 0
    endings = ".csv, .txt, .tsv, one of these with .gz behind, or .zip"
    wanted = "a header that names time, open, high, low, close and volume, or another layout of docs/import.md"
    likeness = "looks like a table with the columns buy low, sell high"
    assert result.stderr.splitlines() == [
        f"passed over {tmp_path}/tree/README.md: has no known name; known: {endings}",
        f"passed over {tmp_path}/tree/notes.csv: {likeness}; wanted: {wanted}",
        f"skipped {path}:4: time 'yesterday' is not a time",
    ]
    kept = tmp_path / "market_data" / "quarantine.csv"
    assert result.stdout == (f"vn: 1 files, 2 bars read, 2 rows saved, 1 lines quarantined, in {kept}, 2 passed over\n")
    assert "yesterday" in kept.read_text()


def test_import_fails_when_a_file_gave_no_bar_and_the_others_are_in(stores: Stores, run: Run, tmp_path: Path) -> None:
    put(tmp_path / "tree", "VCB.csv", 1, 2)
    (tmp_path / "tree" / "BTC.csv").write_text("28457,4261.48,0.1,426.1,1502942568000,True,True\n" * 1_000)
    result = run("data", "import", tmp_path / "tree")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{tmp_path}/tree/BTC.csv: looks like rows of 7 columns without a header, such as ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == "vn: 1 files, 2 bars read, 2 rows saved, 0 lines quarantined, 1 gave no bar\n"
    assert not (tmp_path / "market_data" / "quarantine.csv").exists()
    (tmp_path / "tree" / "VCB.csv").unlink()
    (tmp_path / "tree" / "BTC.csv").rename(tmp_path / "tree" / "notes.csv")
    assert run("data", "import", tmp_path / "tree").exit_code == 1


def test_import_may_be_told_layout_and_time_zone(stores: Stores, run: Run, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    rows = [f"2024-01-{day:02} {hour}:00,1,2,0.5,1.5,7" for day in (2, 3) for hour in ("09", "10", "11", "13", "14")]
    (tmp_path / "tree" / "VCB.csv").write_text("\n".join(["Date,Open,High,Low,Close,Volume", *rows]))
    result = run("data", "import", tmp_path / "tree", "--format", "binance")
    assert result.exit_code == 0
    assert "--timezone Asia/Ho_Chi_Minh" in result.stderr
    lines = succeeded(run("data", "import", tmp_path / "tree", "--timezone", "Asia/Ho_Chi_Minh"))
    assert lines == ["vn: 1 files, 10 bars read, 20 rows saved, 0 lines quarantined"]


def test_many_damaged_lines_do_not_flood_the_terminal(run: Run, tmp_path: Path) -> None:
    rows = ["VCB,2024-01-01,-1,-1,-1,-1,100"] * 30
    rows += [f"VCB,{year}-01-{day:02},1,1,1,1,1" for year in range(2010, 2020) for day in range(1, 29)]
    put(tmp_path / "tree", "VCB.csv").write_text("\n".join([HEADER, *rows]))
    result = run("data", "import", tmp_path / "tree")
    assert len(result.stderr.splitlines()) == 21
    assert result.stderr.endswith("and 10 more such lines\n")
    assert "30 lines quarantined" in result.stdout


def test_import_without_sqlite_fails_with_csv_complete_and_the_next_run_repairs(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path
) -> None:
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="20")
    run = runner(stores)
    stores.db_manager.upgrade(Mode.VN)
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    put(tmp_path / "tree", "FPT.csv", 4)
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("data", "import", tmp_path / "tree")
    assert result.exit_code == 1
    assert result.stdout == "vn: 2 files, 4 bars read, 4 rows saved, 0 lines quarantined\n"
    assert result.stderr == "SQLite failed 2 times; CSV has everything, and the next write or start repairs SQLite\n"
    assert stores.in_csv("VCB").close.tolist() == [1, 2, 3]
    assert len(stores.in_sqlite("VCB")) == 0
    succeeded(run("data", "import", tmp_path / "tree"))
    assert stores.in_sqlite("VCB").equals(stores.in_csv("VCB"))
    assert succeeded(run("data", "verify"))[0] == "vn: 2 series, 4 bars in CSV, 0 differences"


@pytest.mark.parametrize("command", ["import", "pull"])
def test_what_changes_nothing_fails_too_while_sqlite_does_not_work(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path, command: str
) -> None:
    """SQLite is behind, and stays so: an exit status of 0 would say that all is well."""
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="20")
    run = runner(stores)
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    args = {"import": ["import", tmp_path / "tree"], "pull": ["pull", "--ticker", "VCB", "--interval", "1D"]}[command]
    succeeded(run("data", *args))
    stores.csv_store.path(SeriesKey(Mode.VN, "VCB", Interval.DAILY)).touch()
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("data", *args)
    assert result.exit_code == 1
    assert result.stderr == "SQLite failed 1 times; CSV has everything, and the next write or start repairs SQLite\n"
    succeeded(run("data", *args))


def test_import_without_sqlite_and_fallback_stops_with_one_line(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path
) -> None:
    stores = make_stores(FALLBACK_TO_CSV="false")
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    line = failed_with(runner(stores)("data", "import", tmp_path / "tree"), 1)
    assert line == "Error: SQLite error: file is not a database"


# flask data pull

DAILY = ("--interval", "1D")


def test_pull_fills_both_stores_and_resumes(stores: Stores, run: Run) -> None:
    (line,) = succeeded(run("data", "pull", "--mode", "vn", "--ticker", "vcb", "--ticker", "VNINDEX", *DAILY))
    assert re.fullmatch(r"vn: 2 series from simulated, 2,\d{3} bars new or changed, 0 failed", line)
    bars = stores.in_csv("VCB")
    assert len(bars) > 1_000
    assert bars.equals(stores.in_sqlite("VCB"))
    assert stores.csv_store.tickers(Mode.VN) == ["VCB", "VNINDEX"]
    (line,) = succeeded(run("data", "pull", "--mode", "vn", "--ticker", "VCB", "--ticker", "vcb", *DAILY))
    assert line == "vn: 1 series from simulated, 0 bars new or changed, 0 failed"


def test_pull_takes_every_ticker_and_interval_of_both_markets(
    stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedProvider, "tickers", lambda self: ["VCB"] if self.mode is Mode.VN else ["BTC", "XRP"])
    monkeypatch.setattr(SimulatedProvider, "history_start", lambda self, interval, now: now - 5 * 86_400)
    lines = succeeded(run("data", "pull"))
    assert [line.split(",")[0] for line in lines] == ["vn: 3 series from simulated", "crypto: 6 series from simulated"]
    for interval in Interval:
        assert len(stores.in_sqlite("VCB", interval)) > 0
        assert len(stores.in_sqlite("XRP", interval, Mode.CRYPTO)) > 0


def test_a_full_pull_starts_at_the_beginning(stores: Stores, run: Run) -> None:
    args = ("data", "pull", "--ticker", "VCB", *DAILY)
    succeeded(run(*args))
    whole = stores.in_csv("VCB")
    stores.save("VCB", whole.tail(5), rewrite_all=True)
    succeeded(run(*args))
    assert len(stores.in_csv("VCB")) < 40
    succeeded(run(*args, "--full"))
    assert stores.in_csv("VCB").equals(whole)
    assert stores.in_sqlite("VCB").equals(whole)


def test_if_empty_leaves_out_the_markets_that_have_bars(stores: Stores, run: Run) -> None:
    stores.save("OLD", make_bars(3))
    lines = succeeded(run("data", "pull", "--if-empty", "--mode", "vn", *DAILY))
    assert lines == ["vn: has bars already, left out"]
    assert stores.csv_store.tickers(Mode.VN) == ["OLD"]
    (line,) = succeeded(run("data", "pull", "--if-empty", "--mode", "crypto", "--ticker", "BTC", *DAILY))
    assert line.startswith("crypto: 1 series")
    assert len(stores.in_sqlite("BTC", mode=Mode.CRYPTO)) > 1_000


def test_an_unknown_ticker_is_one_line_and_the_others_go_on(stores: Stores, run: Run) -> None:
    result = run("data", "pull", "--ticker", "NOPE", "--ticker", "VCB", "--interval", "1D", "--interval", "1H")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("failed vn NOPE: 'NOPE' is not in the simulated vn market; it has VNINDEX, ")
    assert result.stdout.startswith("vn: 2 series from simulated, ")
    assert result.stdout.endswith(", 1 failed\n")
    assert len(stores.in_sqlite("VCB")) > 0
    assert len(stores.in_sqlite("VCB", Interval.HOURLY)) > 0
    assert stores.csv_store.tickers(Mode.VN) == ["VCB"], "nothing is made for the unknown one"


def test_a_failure_of_the_source_is_named_for_each_series(
    stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = SimulatedProvider.fetch

    def flaky(self: SimulatedProvider, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        if interval is Interval.HOURLY:
            raise ProviderError("the line is dead")
        return fetch(self, ticker, interval, start, end)

    monkeypatch.setattr(SimulatedProvider, "fetch", flaky)
    result = run("data", "pull", "--ticker", "VCB")
    assert result.exit_code == 1
    assert result.stderr == "failed vn VCB 1H: the line is dead\n"
    assert len(stores.in_sqlite("VCB", Interval.MINUTE)) > 0


def test_pull_without_sqlite_fails_with_csv_complete(stores: Stores, run: Run) -> None:
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    result = run("data", "pull", "--ticker", "VCB", *DAILY)
    assert result.exit_code == 1
    assert result.stderr == "SQLite failed 1 times; CSV has everything, and the next write or start repairs SQLite\n"
    assert len(stores.in_csv("VCB")) > 1_000


def test_a_source_that_is_not_available_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disabled(*_: object) -> None:
        raise ProviderDisabledError("the source is not available; set DATA_PROVIDER=simulated")

    monkeypatch.setattr(data, "provider_for", disabled)
    line = failed_with(run("data", "pull"), 1)
    assert line == "Error: the source is not available; set DATA_PROVIDER=simulated"
    assert snapshot(tmp_path) == {}


# flask data enhance, flask data verify


def test_enhance_computes_indicators_anew_in_both_stores(stores: Stores, run: Run) -> None:
    bars = make_bars(300)
    stores.save("VCB", Bars.of(bars.time, bars.prices, bars.volume))
    stores.save("BTC", make_bars(20, Interval.HOURLY, Mode.CRYPTO), Interval.HOURLY, Mode.CRYPTO)
    lines = succeeded(run("data", "enhance", "--mode", "vn", *DAILY))
    assert len(lines) == 1
    assert re.match(r"vn 1D: 1 tickers, 300 bars, [1-9][\d,]+ bytes of CSV written, \d+\.\d s \(indicators ", lines[0])
    assert stores.in_csv("VCB").equals(bars)
    assert stores.in_sqlite("VCB").equals(bars)
    lines = succeeded(run("data", "enhance"))
    assert [line.split(",")[0] for line in lines] == [
        *["vn 1D: 1 tickers", "vn 1H: 0 tickers", "vn 1m: 0 tickers"],
        *["crypto 1D: 0 tickers", "crypto 1H: 1 tickers", "crypto 1m: 0 tickers"],
    ]
    assert "300 bars, 0 bytes of CSV written" in lines[0]


def test_enhance_goes_on_after_sqlite_failed(stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.save("VCB", make_bars(3))
    stores.save("BTC", make_bars(3, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    reconcile_series = data.reconcile_series

    def failing(stores: Stores, key: SeriesKey, *rest: object) -> data.EnhancementStats:
        if key.mode is Mode.VN:
            return data.EnhancementStats(tickers=1, sqlite_faults=(SqliteFault.FULL,))
        return reconcile_series(stores, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(data, "reconcile_series", failing)
    result = run("data", "enhance", *DAILY)
    assert result.exit_code == 1
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["vn 1D: 1 tickers", "crypto 1D: 1 tickers"]
    assert result.stderr == "SQLite failed 1 times; CSV has everything, and the next write or start repairs SQLite\n"


def test_enhance_goes_on_past_a_series_that_cannot_be_read(stores: Stores, run: Run) -> None:
    bars = make_bars(30)
    for ticker in ("ACB", "FPT", "VCB", "VIC"):
        stores.save(ticker, Bars.of(bars.time, bars.prices, bars.volume))
    paths = [stores.csv_store.path(SeriesKey(Mode.VN, ticker, Interval.DAILY)) for ticker in ("ACB", "VCB")]
    for path in paths:
        path.unlink()
        path.symlink_to(path.name)
    result = run("data", "enhance", "--mode", "vn", *DAILY)
    assert result.exit_code == 1
    assert result.stdout.startswith("vn 1D: 2 tickers, 60 bars, ")
    assert result.stderr.splitlines() == [
        f"failed vn {path.parent.name} 1D: {path}: Too many levels of symbolic links" for path in paths
    ]
    assert all(stores.in_sqlite(ticker).equals(bars) for ticker in ("FPT", "VIC"))


def test_verify_of_stores_that_are_the_same(stores: Stores, run: Run) -> None:
    assert succeeded(run("data", "verify")) == ["vn: nothing is stored", "crypto: nothing is stored"]
    stores.save("VCB", make_bars(300))
    stores.save("VCB", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    assert succeeded(run("data", "verify")) == [
        "vn: 2 series, 305 bars in CSV, 0 differences",
        "crypto: nothing is stored",
    ]


NEWER = "CSV is right: its file is newer than the one SQLite was made equal to"
TEXTS = "the blocks of columns are not those of the rows, the pre-rendered answers are not those of the rows"
DIGEST_OF_CSV = "CSV is right: its bars have the digest of the ledger"
DIGEST_OF_SQLITE = "SQLite is right: its bars have the digest of the ledger"


def csv_path(stores: Stores) -> Path:
    return stores.settings.market_data_dir / "VCB" / "1D.csv"


def change_csv(stores: Stores) -> tuple[str, str]:
    bars = make_bars(300)
    prices = bars.prices.copy()
    prices[3, 100] += 0.01
    stores.csv_store.write(
        SeriesKey(Mode.VN, "VCB", Interval.DAILY), Bars(bars.time, prices, bars.volume, bars.indicators)
    )
    return f"1 bars with other values; {NEWER}", "6 bars changed in CSV, 6 in SQLite"


def delete_csv(stores: Stores) -> tuple[str, str]:
    csv_path(stores).unlink()
    return "300 bars only in SQLite; only SQLite has bars", "300 bars changed in CSV, 0 in SQLite"


def tear_csv(stores: Stores) -> tuple[str, str]:
    path = csv_path(stores)
    os.truncate(path, path.stat().st_size - 100)
    return f"1 damaged lines in the CSV file, 1 bars only in SQLite; {NEWER}", "1 bars changed in CSV, 0 in SQLite"


def rot_csv(stores: Stores) -> tuple[str, str]:
    """As a disk does it: without a new time of change."""
    path = csv_path(stores)
    before, lines = path.stat(), path.read_bytes().split(b"\n")
    lines[5] = lines[5].replace(b"VCB,2015", b"VCB,2014")  # one bit
    with path.open("r+b") as file:
        file.write(b"\n".join(lines))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    problem = f"1 bars only in CSV, 1 bars only in SQLite; {DIGEST_OF_SQLITE}"
    return problem, "2 bars changed in CSV, 0 in SQLite, 1 set aside in the quarantine"


def delete_rows(stores: Stores) -> tuple[str, str]:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("DELETE FROM vn_daily WHERE ticker = 'VCB' ORDER BY time LIMIT 2")
    problem = f"2 bars only in CSV, the ledger does not describe the rows, {TEXTS}; {DIGEST_OF_CSV}"
    return problem, "0 bars changed in CSV, 2 in SQLite"


def change_row(stores: Stores) -> tuple[str, str]:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("UPDATE vn_daily SET low = low - 1 WHERE ticker = 'VCB' ORDER BY time DESC LIMIT 1")
    problem = f"1 bars with other values, the ledger does not describe the rows, {TEXTS}; {DIGEST_OF_CSV}"
    return problem, "0 bars changed in CSV, 1 in SQLite"


Disturb = Callable[[Stores], tuple[str, str]]
SEEN_BY_STAMP = [change_csv, delete_csv, tear_csv]
SEEN_BY_COMPARING = [rot_csv, delete_rows, change_row]


@pytest.mark.parametrize("disturb", [*SEEN_BY_STAMP, *SEEN_BY_COMPARING])
def test_verify_says_where_the_stores_differ_and_which_is_right(stores: Stores, run: Run, disturb: Disturb) -> None:
    stores.save("FPT", make_bars(50))
    stores.save("VCB", make_bars(300))
    problem, _ = disturb(stores)
    result = run("data", "verify", "--mode", "vn")
    assert result.exit_code == 1
    assert re.fullmatch(r"vn: 2 series, \d+ bars in CSV, 1 differences\n", result.stdout)
    assert result.stderr == f"  vn VCB 1D: {problem}\n"


@pytest.mark.parametrize("disturb", SEEN_BY_STAMP)
def test_repair_reconciles_what_the_stamp_of_the_file_gives_away(stores: Stores, run: Run, disturb: Disturb) -> None:
    stores.save("FPT", make_bars(50))
    stores.save("VCB", make_bars(300))
    problem, done = disturb(stores)
    result = run("data", "verify", "--mode", "vn", "--repair")
    assert result.exit_code == 0
    evidence = problem.rpartition("; ")[2]
    assert result.stderr == f"  vn VCB 1D: was out of step; {evidence}; {done}\n"
    assert result.stdout == "vn: 2 series, 350 bars in CSV, 0 differences\n"
    assert len(stores.in_csv("VCB")) == 300
    assert stores.in_csv("VCB").equals(stores.in_sqlite("VCB"))


@pytest.mark.parametrize("disturb", SEEN_BY_COMPARING)
def test_repair_reconciles_what_only_a_comparison_finds(stores: Stores, run: Run, disturb: Disturb) -> None:
    stores.save("FPT", make_bars(50))
    stores.save("VCB", make_bars(300))
    problem, done = disturb(stores)
    result = run("data", "verify", "--mode", "vn", "--repair")
    assert result.exit_code == 0
    evidence = problem.rpartition("; ")[2]
    assert result.stderr.splitlines() == [
        f"  vn VCB 1D: {problem}",
        f"  vn VCB 1D: reconciled; {evidence}; {done}",
    ]
    assert result.stdout.splitlines() == [
        "vn: 2 series, 350 bars in CSV, 1 differences",
        "vn: 1 series reconciled; compared again:",
        "vn: 2 series, 350 bars in CSV, 0 differences",
    ]
    assert stores.in_sqlite("VCB").equals(make_bars(300))
    assert stores.in_csv("VCB").equals(make_bars(300))


def test_repair_fills_a_database_anew_whose_file_is_damaged(stores: Stores, run: Run) -> None:
    """Every bar still reads back: the count of free pages is wrong, and it is the next write that would suffer."""
    stores.save("VCB", make_bars(300))
    stores.db_manager.close()
    with stores.settings.vn_database_path.open("r+b") as file:
        file.seek(36)
        file.write(b"\0\0\0\7")
    result = run("data", "verify", "--mode", "vn")
    assert result.exit_code == 1
    assert result.stderr.startswith("  vn: the database file is damaged: ")
    assert result.stdout == "vn: 1 series, 300 bars in CSV, 0 differences\n"
    result = run("data", "verify", "--mode", "vn", "--repair")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "vn: 1 series, 300 bars in CSV, 0 differences",
        "vn: the database was filled anew, 1 series, 300 bars",
        "vn: 1 series reconciled; compared again:",
        "vn: 1 series, 300 bars in CSV, 0 differences",
    ]
    assert list(stores.settings.vn_database_path.parent.glob("vn_data.db.damaged-20260302T050000Z"))


def test_repair_forgets_what_neither_store_has_and_says_so(stores: Stores, run: Run) -> None:
    stores.save("FPT", make_bars(50))
    stores.save("VCB", make_bars(300))
    csv_path(stores).unlink()
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("DELETE FROM vn_daily WHERE ticker = 'VCB'")
    gone = "  vn VCB 1D: the ledger tells of 300 bars that neither store has"
    result = run("data", "verify", "--mode", "vn")
    assert (result.exit_code, result.stderr) == (1, f"{gone}\n")
    result = run("data", "verify", "--mode", "vn", "--repair")
    assert result.exit_code == 0
    assert "  vn VCB 1D: 300 bars are in neither store; forgotten" in result.stderr.splitlines()
    assert succeeded(run("data", "verify", "--mode", "vn")) == ["vn: 1 series, 50 bars in CSV, 0 differences"]


def test_repair_needs_sqlite_writes(run: Run, make_stores: MakeStores, runner: Callable[[Stores], Run]) -> None:
    line = failed_with(runner(make_stores(SQLITE_WRITES="false"))("data", "verify", "--repair"), 1)
    assert line == "Error: SQLITE_WRITES is off, so SQLite falls behind and is not repaired; set it to true"


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "unable to open database file: No such file or directory"), (b"rubbish" * 999, "file is not a database")],
)
def test_verify_without_a_database(stores: Stores, run: Run, content: bytes | None, reason: str) -> None:
    stores.save("VCB", make_bars(300))
    stores.db_manager.close()
    stores.settings.vn_database_path.unlink()
    if content is not None:
        stores.settings.vn_database_path.write_bytes(content)
    line = failed_with(run("data", "verify", "--mode", "vn"), 1)
    assert line == f"Error: SQLite error: {reason}"
    assert run("data", "verify", "--mode", "vn", "--repair").exit_code == 0
    assert stores.in_sqlite("VCB").equals(make_bars(300))


def test_verify_without_repair_writes_nothing(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(300))
    change_csv(stores)
    stores.db_manager.close()
    before = snapshot(tmp_path)
    assert run("data", "verify").exit_code == 1
    assert snapshot(tmp_path) == before


# flask status


def test_status_tells_what_is_stored_how_fresh_and_who_writes(stores: Stores, run: Run, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(1_500))
    stores.save("VCB", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    stores.db_manager.upgrade(Mode.CRYPTO)
    Bookkeeping(stores.db_manager).beat(Mode.VN, "daily", 15, int(NOW.timestamp()) - 90)
    expected = [
        "vn: writer: none",
        "  source: none recorded; the settings name simulated",
        "  1 tickers, 1 active",
        "  1D:        1,500 bars, newest bar 2019-02-12",
        "  1H:            0 bars, no bars",
        "  1m:            5 bars, newest bar 2015-01-05T00:04:00",
        "  last verification: never",
        "  worker daily: dead, heartbeat 2026-03-02T04:58:30Z (90 s ago), 0 iterations, last sync never",
        "crypto: writer: none",
        "  source: none recorded; the settings name simulated",
        "  0 tickers, 0 active",
        *[f"  {interval}:            0 bars, no bars" for interval in ("1D", "1H", "1m")],
        "  last verification: never",
    ]
    assert succeeded(run("status")) == expected
    with another_writer(tmp_path) as writer:
        lines = succeeded(run("status", "--mode", "vn"))
    assert lines[0].startswith(f"vn: writer: pid {writer.pid}, ")
    assert lines[1:] == [*expected[1:7], expected[7].replace("dead", "stale")]


def test_status_tells_how_the_last_verification_went(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(300))
    change_row(stores)
    assert run("data", "verify", "--mode", "vn", "--repair").exit_code == 0
    line = "  last verification: repaired, 2026-03-02T05:00:00Z (0 s ago), 1 series, 300 bars, 1 differed, 0 left"
    assert line in succeeded(run("status", "--mode", "vn"))


def test_status_has_one_line_a_worker_with_its_last_error(stores: Stores, run: Run) -> None:
    now = int(NOW.timestamp())
    stores.db_manager.upgrade(Mode.VN)
    failed = Cycle(
        worker="hourly",
        due_every_s=60,
        cycle_seconds=1.5,
        rows_written=5,
        source="vci",
        source_state="no answer",
        source_calls=2,
        source_errors=1,
        last_sync=now - 20,
        last_error="vn VCB 1H:\n no answer",
    )
    Bookkeeping(stores.db_manager).record_cycle(Mode.VN, failed, now - 10)
    with writer_lock(stores.settings, [Mode.VN]):
        line = succeeded(run("status", "--mode", "vn"))[-1]
    assert line == (
        "  worker hourly: ok, heartbeat 2026-03-02T04:59:50Z (10 s ago), 1 iterations, "
        "last sync 2026-03-02T04:59:40Z (20 s ago), last error 2026-03-02T04:59:50Z (10 s ago): vn VCB 1H: no answer"
    )


def test_status_without_a_database_tells_what_csv_has(stores: Stores, run: Run) -> None:
    stores.save("VCB", make_bars(3))
    stores.db_manager.close()
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    result = run("status", "--mode", "vn")
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "vn: writer: none",
        "  source: none recorded; the settings name simulated",
        "  SQLite error: file is not a database; CSV holds 1 tickers",
    ]


# Progress


def test_without_a_terminal_progress_is_log_lines(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ticker in ("ACB", "FPT", "VCB"):
        put(tmp_path / "tree", f"{ticker}.csv", 1)
    with caplog.at_level(logging.INFO):
        run("data", "import", tmp_path / "tree")
    assert caplog.messages == ["import vn: 3 files, done"]
    caplog.clear()
    monkeypatch.setattr("stockapi.cli.common._LOG_EVERY_S", 0.0)
    with caplog.at_level(logging.INFO):
        run("data", "import", tmp_path / "tree")
    assert caplog.messages == ["import vn: 1 of 3 files", "import vn: 2 of 3 files", "import vn: 3 files, done"]


# Real processes


def flask(directory: Path, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *args],
        cwd=directory,
        env=clean_environment(directory) | environment(directory) | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def flask_on_a_terminal(directory: Path, *args: str) -> tuple[int, str]:
    """Exit status and what the terminal, which standard error is, has been sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", *args],
        cwd=directory,
        env=clean_environment(directory) | environment(directory) | {"TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    sent = b""
    with suppress(OSError):  # how a terminal says that its other side is closed
        while piece := os.read(ours, 65_536):
            sent += piece
    os.close(ours)
    return process.wait(30), sent.decode()


def test_help_lists_the_commands(tmp_path: Path) -> None:
    ended = flask(tmp_path, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    commands = dict(re.findall(r"^  (\w+) +(\S.*)$", ended.stdout, re.MULTILINE))
    assert commands["db"] == "Migrate, inspect, tune, copy and restore the database files."
    assert commands["data"] == "Import, pull, enhance, verify and examine bars."
    assert commands["status"].startswith("What is stored, how fresh it is, which workers have run")


@pytest.mark.parametrize(
    ("args", "variables", "line"),
    [
        (
            "data pull",
            {"SQLITE_BATCH_SIZE": "many"},
            "stockapi: SQLITE_BATCH_SIZE='many' is not allowed; ",
        ),
        (
            "--help",
            {"DATA_PROVIDER": "nyse"},
            "stockapi: DATA_PROVIDER='nyse' is not allowed; allowed: live",
        ),
        ("data import missing", {}, "Error: missing is not a directory; name one that holds <TICKER>/1D.csv or"),
    ],
)
def test_an_error_of_the_real_command_is_one_line(
    tmp_path: Path, args: str, variables: dict[str, str], line: str
) -> None:
    ended = flask(tmp_path, *args.split(), **variables)
    assert (ended.returncode, ended.stdout) == (1, "")
    (only,) = ended.stderr.splitlines()
    assert only.startswith(line)


def test_a_real_import_logs_to_standard_error_and_leaves_whole_files(tmp_path: Path) -> None:
    put(tmp_path / "tree", "VCB.csv", 60.3, 61)
    ended = flask(tmp_path, "data", "import", "tree", "--legacy")
    assert (ended.returncode, ended.stdout) == (
        0,
        "vn: 1 files, 2 bars read, 2 rows saved, 0 lines quarantined\nprices x 1000: VCB; as they are: none\n",
    )
    (line,) = ended.stderr.splitlines()
    assert re.fullmatch(r"\S+Z INFO stockapi\.cli\.common\[\d+\] import vn: 1 files, done", line)
    assert not (tmp_path / "vn_data.db-wal").exists(), "the writer has emptied its log"
    with closing(sqlite3.connect(tmp_path / "vn_data.db")) as connection:
        assert connection.execute("SELECT close FROM vn_daily").fetchall() == [(60_300.0,), (61_000.0,)]


def test_on_a_terminal_there_is_a_progress_bar(tmp_path: Path) -> None:
    put(tmp_path / "tree", "VCB.csv", 1, 2)
    put(tmp_path / "tree", "FPT.csv", 1, 2)
    status, sent = flask_on_a_terminal(tmp_path, "data", "import", "tree")
    assert status == 0
    assert re.search(r"\rimport vn: .*\|.*\| \d/2 \[", sent)
    assert " INFO " not in sent


def test_a_killed_import_is_finished_by_the_next(tmp_path: Path) -> None:
    """Both stores are the same and whole after a stop between the two writes of a series."""
    put(tmp_path / "tree", "FPT.csv", 1, 2)
    put(tmp_path / "tree", "VCB.csv", 1, 2)
    stop_after_csv = (
        "import os, runpy, sys\n"
        "from stockapi.services.sqlite_store import SqliteStore\n"
        "SqliteStore.replace = lambda *args, **kwargs: os._exit(9)\n"
        "sys.argv = ['flask', '--app', 'app', 'data', 'import', 'tree']\n"
        "runpy.run_module('flask', run_name='__main__')\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", stop_after_csv],
        cwd=tmp_path,
        env=clean_environment(tmp_path) | environment(tmp_path),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert killed.returncode == 9
    assert (tmp_path / "market_data" / "FPT" / "1D.csv").exists()
    assert flask(tmp_path, "data", "verify").returncode == 1
    assert flask(tmp_path, "data", "import", "tree").returncode == 0
    ended = flask(tmp_path, "data", "verify")
    assert ended.stdout.splitlines()[0] == "vn: 2 series, 4 bars in CSV, 0 differences"
    assert ended.returncode == 0
