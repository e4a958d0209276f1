"""Upkeep of a database file: integrity, optimise, backup while it is written, restore while it is read."""

import os
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import NOW, MakeStores, Stores, make_bars

from stockapi.errors import SqliteError, StoreError
from stockapi.models import Interval, Mode
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_utils import DatabaseUtils
from stockapi.services.reconcile import settle_out_of_step, verify

VN = [Mode.VN]
SIDE_FILES = ("-wal", "-shm")


def utils(stores: Stores) -> DatabaseUtils:
    return DatabaseUtils(stores.db_manager)


def settle_to_disk(stores: Stores, mode: Mode = Mode.VN) -> Path:
    """Everything in the one file, no connection open."""
    stores.db_manager.checkpoint(mode, "TRUNCATE")
    stores.db_manager.close()
    return stores.settings.database_path(mode)


def damage_index(path: Path) -> None:
    """Make rubbish of the root page of the index of vn_daily: reads by ticker fail, the rest of the file is sound."""
    with closing(sqlite3.connect(path)) as connection:
        (page_size,) = connection.execute("PRAGMA page_size").fetchone()
        query = "SELECT rootpage FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'vn_daily'"
        (page,) = connection.execute(query).fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * page_size)
        file.write(b"\xff" * page_size)


def names(directory: Path) -> set[str]:
    """Of all files, those apart that come and go with connections."""
    return {path.name for path in directory.iterdir() if not path.name.endswith(SIDE_FILES)}


def another(stores: Stores) -> Stores:
    """The same stores as a second process would have them."""
    return Stores(stores.settings, DatabaseManager(stores.settings), CsvStore(stores.settings))


# Integrity


def test_a_sound_database_is_ok_and_that_is_recorded(stores: Stores) -> None:
    stores.save("VCB", make_bars(10))
    assert stores.db_manager.health(Mode.VN).last_integrity_check is None
    assert utils(stores).check_integrity(Mode.VN, NOW) == "ok"
    assert stores.db_manager.health(Mode.VN).last_integrity_check == "ok at 2026-03-02T05:00:00Z"
    utils(stores).check_integrity(Mode.VN, NOW + timedelta(days=1))
    assert stores.db_manager.health(Mode.VN).last_integrity_check == "ok at 2026-03-03T05:00:00Z"


def test_a_damaged_page_is_found_and_that_is_recorded(stores: Stores) -> None:
    stores.save("VCB", make_bars(2_000))
    damage_index(settle_to_disk(stores))
    finding = utils(stores).check_integrity(Mode.VN, NOW)
    assert finding != "ok"
    assert stores.db_manager.health(Mode.VN).last_integrity_check == f"{finding} at 2026-03-02T05:00:00Z"


# Optimise


def test_optimising_empties_the_log_and_gives_the_pages_of_deleted_rows_back(stores: Stores) -> None:
    bars = make_bars(5_000)
    stores.save("VCB", bars)
    settle_to_disk(stores)
    stores.save("VCB", bars.tail(10), rewrite_all=True)
    before = utils(stores).sizes(Mode.VN)
    assert before.write_ahead_log > 0
    after = utils(stores).optimize(Mode.VN, NOW)
    assert (after.write_ahead_log, after.free) == (0, 0)
    assert after.database < before.database / 4
    assert after.database == stores.settings.vn_database_path.stat().st_size
    assert stores.in_sqlite("VCB").equals(bars.tail(10))
    with stores.db_manager.snapshot(Mode.VN) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'vn_daily'").fetchone() == (1,)


def test_optimising_under_a_reader_leaves_it_its_snapshot(make_stores: MakeStores) -> None:
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="50")
    stores.save("VCB", make_bars(10))
    reader = another(stores)
    with reader.db_manager.snapshot(Mode.VN) as connection:
        count = connection.execute("SELECT count(*) FROM vn_daily").fetchone()
        stores.save("FPT", make_bars(10))
        assert utils(stores).optimize(Mode.VN, NOW).write_ahead_log > 0
        assert connection.execute("SELECT count(*) FROM vn_daily").fetchone() == count
    reader.db_manager.close()
    assert utils(stores).optimize(Mode.VN, NOW).write_ahead_log == 0


# Backup


def test_a_backup_holds_what_is_stored_in_one_sound_file(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(300))
    copy = utils(stores).backup(Mode.VN, tmp_path / "new" / "backup")
    assert copy == tmp_path / "new" / "backup" / "vn_data.db"
    assert [path.name for path in copy.parent.iterdir()] == ["vn_data.db"]
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT count(*), sum(volume) FROM vn_daily").fetchone() == (
            300,
            int(make_bars(300).volume.sum()),
        )


def test_a_backup_while_the_writer_commits_is_of_one_moment(stores: Stores, tmp_path: Path) -> None:
    """Two counters that every transaction moves together are equal in the copy."""
    stores.save("VCB", make_bars(20_000, Interval.MINUTE), Interval.MINUTE)
    begun, stop, commits = threading.Event(), threading.Event(), 0

    def write() -> None:
        nonlocal commits
        while not stop.is_set():
            with stores.db_manager.transaction(Mode.VN) as connection:
                for worker in ("one", "two"):
                    connection.execute(
                        "INSERT INTO worker_states (worker, iterations) VALUES (?, 1) "
                        "ON CONFLICT (worker) DO UPDATE SET iterations = iterations + 1",
                        (worker,),
                    )
            commits += 1
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        begun.wait()
        before = commits
        copies = [utils(stores).backup(Mode.VN, tmp_path / f"backup {number}") for number in range(3)]
        meanwhile = commits - before
    finally:
        stop.set()
        writer.join()
    assert meanwhile > 0
    for copy in copies:
        with closing(sqlite3.connect(copy)) as connection:
            one, two = connection.execute("SELECT iterations FROM worker_states ORDER BY worker").fetchall()
            assert one == two
            assert connection.execute("SELECT count(*) FROM vn_minute").fetchone() == (20_000,)


@pytest.mark.parametrize("reason", ["damaged", "disk full"])
def test_the_older_copy_stays_when_a_backup_fails(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    stores.save("VCB", make_bars(2_000))
    copy = utils(stores).backup(Mode.VN, tmp_path / "backup")
    content = copy.read_bytes()
    live = settle_to_disk(stores)
    if reason == "damaged":
        damage_index(live)
        message = f"{live} is damaged, its copy fails the integrity check: "
    else:
        monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device", "x")))
        message = "x: No space left on device"
    with pytest.raises(StoreError) as caught:
        utils(stores).backup(Mode.VN, tmp_path / "backup")
    assert str(caught.value).startswith(message)
    assert copy.read_bytes() == content
    assert [path.name for path in copy.parent.iterdir()] == ["vn_data.db"]


def test_a_newer_backup_takes_the_place_of_the_older(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    older = utils(stores).backup(Mode.VN, tmp_path / "backup").stat().st_ino
    stores.save("FPT", make_bars(10))
    copy = utils(stores).backup(Mode.VN, tmp_path / "backup")
    assert copy.stat().st_ino != older, "renamed over the older one, not written into it"
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM ledger").fetchone() == (2,)


def test_markets_whose_files_have_one_name_do_not_share_a_backup(make_stores: MakeStores, tmp_path: Path) -> None:
    stores = make_stores(VN_DATABASE_PATH=str(tmp_path / "a" / "x.db"), CRYPTO_DATABASE_PATH=str(tmp_path / "x.db"))
    for mode in Mode:
        stores.db_manager.upgrade(mode)
        utils(stores).backup(mode, tmp_path / "backup")
    assert names(tmp_path / "backup") == {"vn_data.db", "crypto_data.db"}


def test_what_cannot_be_backed_up(stores: Stores, tmp_path: Path) -> None:
    live = stores.settings.vn_database_path
    with pytest.raises(StoreError, match=f"^there is no database {live} to copy$"):
        utils(stores).backup(Mode.VN, tmp_path / "backup")
    assert not live.exists(), "and none was made"
    stores.save("VCB", make_bars(10))
    (tmp_path / "link").symlink_to(tmp_path)
    for directory in (tmp_path, tmp_path / "link"):
        with pytest.raises(StoreError, match=f"^{directory / live.name} is a live database; name the directory of a"):
            utils(stores).backup(Mode.VN, directory)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"/file/backup: Not a directory$"):
        utils(stores).backup(Mode.VN, tmp_path / "file" / "backup")
    assert stores.in_sqlite("VCB").equals(make_bars(10))


# Restore


def test_a_restore_puts_the_copy_back_and_keeps_the_live_database(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    utils(stores).backup(Mode.VN, tmp_path / "backup")
    stores.save("VCB", make_bars(30))
    live = stores.settings.vn_database_path
    # A second connection keeps the newest commits in the log: closing the last one would move them into the file.
    with closing(sqlite3.connect(live)) as reader:
        reader.execute("SELECT count(*) FROM vn_daily").fetchone()
        restored = utils(stores).restore(VN, tmp_path / "backup", NOW)
        aside = tmp_path / "vn_data.db.before-restore-20260302T050000Z"
        assert restored == {Mode.VN: aside}
        assert Path(f"{aside}-wal").stat().st_size > 0
        assert stores.in_sqlite("VCB").equals(make_bars(10))
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT count(*) FROM vn_daily").fetchone() == (30,)
    assert names(tmp_path) == {"vn_data.db", aside.name, "backup", "market_data"}


def test_a_reader_goes_on_with_the_old_file_and_then_sees_the_new(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    utils(stores).backup(Mode.VN, tmp_path / "backup")
    stores.save("VCB", make_bars(30))
    reader, count = another(stores), "SELECT count(*), sum(volume) FROM vn_daily"
    with reader.db_manager.snapshot(Mode.VN) as connection:
        before = connection.execute(count).fetchone()
        utils(stores).restore(VN, tmp_path / "backup", NOW)
        stores.save("FPT", make_bars(5), now=NOW)
        assert connection.execute(count).fetchone() == before
    assert len(reader.in_sqlite("VCB")) == 10
    assert len(reader.in_sqlite("FPT")) == 5
    reader.db_manager.close()


@pytest.mark.parametrize("live_is_there", [True, False])
def test_the_log_of_the_database_before_is_not_replayed(stores: Stores, tmp_path: Path, live_is_there: bool) -> None:
    """As after a crash of the writer, with or without somebody having deleted the damaged file by hand."""
    stores.save("VCB", make_bars(10))
    utils(stores).backup(Mode.VN, tmp_path / "backup")
    stores.save("VCB", make_bars(3_000, seed=2), rewrite_all=True)
    live = stores.settings.vn_database_path
    kept = {suffix: shutil.copy(f"{live}{suffix}", tmp_path / f"kept{suffix}") for suffix in SIDE_FILES}
    stores.db_manager.close()
    for suffix, file in kept.items():
        shutil.move(file, f"{live}{suffix}")
    if not live_is_there:
        live.unlink()
    assert Path(f"{live}-wal").stat().st_size > 100_000
    (aside,) = utils(stores).restore(VN, tmp_path / "backup", NOW).values()
    assert (aside is not None) == live_is_there
    assert stores.in_sqlite("VCB").equals(make_bars(10))
    assert utils(stores).check_integrity(Mode.VN, NOW) == "ok"
    assert (tmp_path / "vn_data.db.before-restore-20260302T050000Z-wal").stat().st_size > 100_000, "kept, not deleted"


def test_two_restores_in_one_second_keep_both_databases(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    utils(stores).backup(Mode.VN, tmp_path / "backup")
    stores.save("VCB", make_bars(30))
    asides = [utils(stores).restore(VN, tmp_path / "backup", NOW)[Mode.VN] for _ in range(2)]
    rows = []
    for aside in asides:
        assert aside is not None
        with closing(sqlite3.connect(aside)) as connection:
            rows += connection.execute("SELECT count(*) FROM vn_daily").fetchone()
    assert rows == [30, 10]


def break_missing(backup: Path) -> None:
    backup.unlink()


def break_garbage(backup: Path) -> None:
    backup.write_bytes(b"not a database, by any means. " * 300)


def break_empty(backup: Path) -> None:
    backup.write_bytes(b"")


def break_page(backup: Path) -> None:
    damage_index(backup)


def break_schema(backup: Path) -> None:
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute("DELETE FROM schema_migrations WHERE version > 1")


def break_market(backup: Path) -> None:
    shutil.copy(backup.with_name("crypto_data.db"), backup)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (break_missing, "^there is no backup {backup}$"),
        (break_garbage, "^{backup} is not a backup of a vn database: file is not a database$"),
        (break_empty, "^{backup} is not a backup of a vn database: no such table"),
        (break_page, "^{backup} is damaged, its copy fails the integrity check: "),
        (break_schema, r"^the backup {backup} has schema version 1; one of version \d+ is needed$"),
        (break_market, "^{backup} is not a backup of a vn database$"),
    ],
)
def test_what_is_no_good_copy_is_refused_and_nothing_changes(
    stores: Stores, tmp_path: Path, break_it: object, message: str
) -> None:
    """Neither for its own market nor for the other, whose copy is good."""
    assert callable(break_it)
    for mode in Mode:
        stores.save("VCB", make_bars(2_000, mode=mode), mode=mode)
        utils(stores).backup(mode, tmp_path / "backup")
        stores.save("VCB", make_bars(2_010, mode=mode), mode=mode)
        settle_to_disk(stores, mode)
    backup = tmp_path / "backup" / "vn_data.db"
    break_it(backup)
    before = names(tmp_path), [stores.settings.database_path(mode).stat() for mode in Mode]
    with pytest.raises(StoreError, match=message.format(backup=backup)):
        utils(stores).restore([Mode.CRYPTO, Mode.VN], tmp_path / "backup", NOW)
    assert (names(tmp_path), [stores.settings.database_path(mode).stat() for mode in Mode]) == before
    assert all(len(stores.in_sqlite("VCB", mode=mode)) == 2_010 for mode in Mode)


def test_the_live_database_is_no_copy_of_itself(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    with pytest.raises(StoreError, match="is a live database"):
        utils(stores).restore(VN, tmp_path, NOW)
    assert names(tmp_path) == {"vn_data.db", "market_data"}


def test_a_restore_that_finds_no_database_makes_one(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    utils(stores).backup(Mode.VN, tmp_path / "backup")
    settle_to_disk(stores).unlink()
    assert utils(stores).restore(VN, tmp_path / "backup", NOW) == {Mode.VN: None}
    assert stores.in_sqlite("VCB").equals(make_bars(10))


def test_what_the_copy_lacks_comes_over_from_csv(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    stores.save("SSI", make_bars(7))
    utils(stores).backup(Mode.VN, tmp_path / "backup")
    stores.save("VCB", make_bars(30))
    stores.save("FPT", make_bars(5))
    utils(stores).restore(VN, tmp_path / "backup", NOW)
    settled = settle_out_of_step(Mode.VN, stores.db_manager, stores.csv_store, NOW)
    assert {ticker for ticker, _ in settled} == {"VCB", "FPT"}
    assert stores.in_sqlite("VCB").equals(make_bars(30))
    assert stores.in_sqlite("FPT").equals(make_bars(5))
    assert not any(report.problems for report in verify(Mode.VN, Interval, stores.db_manager, stores.csv_store))


def test_sizes_of_a_database_that_is_not_there(stores: Stores) -> None:
    with pytest.raises(SqliteError, match="unable to open database file"):
        utils(stores).sizes(Mode.VN)
