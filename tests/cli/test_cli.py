"""The commands as a whole: values that are not allowed, the lock, progress, and real processes."""

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
from contextlib import closing, suppress
from pathlib import Path

import pytest

from stockapi.models import Mode
from tests.support.commands import (
    Run,
    another_writer,
    failed_with,
    put,
    snapshot,
)
from tests.support.server import clean_environment
from tests.support.stores import Stores, environment, make_bars

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


@pytest.mark.long
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
