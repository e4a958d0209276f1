"""`flask data verify`, with and without `--repair`: what it finds, repairs, prints, how it exits."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from tests.support.commands import DIGEST_OF_CSV, TEXTS, Run, change_row, failed_with, snapshot, succeeded
from tests.support.stores import MakeStores, Stores, make_bars


def test_verify_of_stores_that_are_the_same(stores: Stores, run: Run) -> None:
    assert succeeded(run("data", "verify")) == ["vn: nothing is stored", "crypto: nothing is stored"]
    stores.save("VCB", make_bars(300))
    stores.save("VCB", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    assert succeeded(run("data", "verify")) == [
        "vn: 2 series, 305 bars in CSV, 0 differences",
        "crypto: nothing is stored",
    ]


NEWER = "CSV is right: its file is newer than the one SQLite was made equal to"
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
