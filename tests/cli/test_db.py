"""`flask db`: what it does to the databases, what it prints, how it exits."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from stockapi.models import Interval, Mode
from stockapi.services.database_manager.migrations import known_migrations
from tests.support.commands import Run, another_writer, failed_with, snapshot, succeeded
from tests.support.stores import Stores, make_bars

LATEST = known_migrations(Mode.VN)[-1].version


def dump(database: Path) -> list[str]:
    with closing(sqlite3.connect(database)) as connection:
        return list(connection.iterdump())


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
