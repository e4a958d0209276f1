"""Upkeep of a database file: integrity, optimise, backup while it is written, restore while it is read."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from stockapi.errors import SqliteError, StoreError
from stockapi.models import Interval, Mode
from stockapi.models.query import QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.services.data_store import DataStore
from stockapi.services.database_manager import migrations
from stockapi.services.database_manager.migrations import known_migrations
from stockapi.services.sqlite_store.tables import TableInfo, upserts
from stockapi.services.upkeep import checked_copy, database_utils
from stockapi.services.upkeep.backup_files import LOCK_FILE, partial_file
from stockapi.services.upkeep.checked_copy import Contents
from stockapi.services.upkeep.database_utils import Backup, DatabaseUtils, Restored
from stockapi.services.upkeep.reconcile import reconcile_out_of_step, verify
from tests.support.server import clean_environment
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

VN = [Mode.VN]
SIDE_FILES = ("-wal", "-shm")


def utils(stores: Stores) -> DatabaseUtils:
    return DatabaseUtils(stores.db_manager)


def checkpointed(stores: Stores, mode: Mode = Mode.VN) -> Path:
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
    return Stores.of(stores.settings)


def back_up(stores: Stores, mode: Mode = Mode.VN) -> Path:
    return utils(stores).backup(mode, stores.settings.vn_database_path.parent / "backup", NOW, keep=7).path


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
    damage_index(checkpointed(stores))
    finding = utils(stores).check_integrity(Mode.VN, NOW)
    assert finding != "ok"
    assert stores.db_manager.health(Mode.VN).last_integrity_check == f"{finding} at 2026-03-02T05:00:00Z"


# Optimise


def test_optimising_empties_the_log_and_gives_the_pages_of_deleted_rows_back(stores: Stores) -> None:
    bars = make_bars(5_000)
    stores.save("VCB", bars)
    checkpointed(stores)
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
    made = utils(stores).backup(Mode.VN, tmp_path / "new" / "backup", NOW, keep=1)
    copy = tmp_path / "new" / "backup" / "vn_data-20260302T050000Z.db"
    assert made == Backup(copy, Contents(known_migrations(Mode.VN)[-1].version, 300), ())
    assert names(copy.parent) == {copy.name, LOCK_FILE}
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert connection.execute("SELECT count(*), sum(volume) FROM vn_daily").fetchone() == (
            300,
            int(make_bars(300).volume.sum()),
        )


def test_a_backup_while_the_writer_saves_is_of_one_moment(stores: Stores, tmp_path: Path) -> None:
    """The series grows by a bar a save: what a copy holds is what one of the saves left, ledger and bars alike."""
    stores.save("FPT", make_bars(20_000, Interval.MINUTE), Interval.MINUTE)
    stores.save("VCB", (bars := make_bars(400)).take(slice(10)))
    begun, stop, saved = threading.Event(), threading.Event(), 10

    def write() -> None:
        nonlocal saved
        for count in range(11, len(bars) + 1):
            if stop.is_set():
                return
            stores.save("VCB", bars.take(slice(count)))
            saved = count
            begun.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        begun.wait()
        before = saved
        copies = [another_backup(stores, tmp_path / f"backup {number}") for number in range(3)]
        meanwhile = saved - before
    finally:
        stop.set()
        writer.join()
    assert meanwhile > 0
    for copy in copies:
        restored = utils(stores).restore(VN, copy, NOW)
        assert restored[Mode.VN].backup == copy
        held = stores.in_sqlite("VCB")
        assert held.equals(bars.take(slice(len(held))))
        assert stores.sqlite_store.ledger(Mode.VN)[SeriesKey(Mode.VN, "VCB", Interval.DAILY)].rows == len(held)
        assert stores.in_sqlite("FPT", Interval.MINUTE).equals(make_bars(20_000, Interval.MINUTE))


def another_backup(stores: Stores, directory: Path) -> Path:
    """As made by another process than the writer's."""
    other = another(stores)
    try:
        return utils(other).backup(Mode.VN, directory, NOW, keep=7).path
    finally:
        other.db_manager.close()


def damage(live: Path) -> str:
    damage_index(live)
    return f"{live} is damaged, its copy fails the integrity check: "


def lose_rows(live: Path) -> str:
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("DELETE FROM vn_daily WHERE ticker = 'VCB' AND time = (SELECT min(time) FROM vn_daily)")
    return (
        f"{live} is out of step with itself: vn_daily holds 1999 rows of VCB, its ledger says 2000, or others; "
        "run flask data verify --mode vn --repair"
    )


def swap_a_row(live: Path) -> str:
    """As many rows as before, but not the same."""
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("UPDATE vn_daily SET time = time + 1 WHERE time = (SELECT max(time) FROM vn_daily)")
    return f"{live} is out of step with itself: vn_daily holds 2000 rows of VCB, its ledger says 2000, or others; "


def lose_series(live: Path) -> str:
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("DELETE FROM vn_daily")
    return f"{live} is out of step with itself: vn_daily holds 0 rows of VCB, its ledger says 2000"


def come_from_the_future(live: Path) -> str:
    with closing(sqlite3.connect(live)) as connection, connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'x', 0)")
    return f"{live} has schema version 9999, this program knows up to "


def double_closes(live: Path) -> str:
    """As many rows at the same times, with other values."""
    execute(live, "UPDATE vn_daily SET close = close * 2")
    return f"{live} is out of step with itself: the values of vn VCB 1D are not those that its ledger recorded; run"


def double_one_close(live: Path) -> str:
    execute(live, "UPDATE vn_daily SET close = close * 2 WHERE id = 1000")
    return f"{live} is out of step with itself: the values of vn VCB 1D are not those that its ledger recorded; run"


def spoil_blocks(live: Path) -> str:
    """What answers are made of."""
    execute(live, "UPDATE vn_daily_blocks SET bars = (SELECT bars FROM vn_daily_blocks ORDER BY first_time LIMIT 1)")
    return f"{live} is out of step with itself: the blocks or texts of vn VCB 1D are not those of its rows; run flask"


def spoil_texts(live: Path) -> str:
    execute(live, "UPDATE vn_daily_texts SET csv = replace(csv, '1', '2')")
    return f"{live} is out of step with itself: the blocks or texts of vn VCB 1D are not those of its rows; run flask"


def forget_the_digest(live: Path) -> str:
    execute(live, "UPDATE ledger SET digest = '0000000000000001', copies_digest = '0000000000000001'")
    return f"{live} is out of step with itself: the values of vn VCB 1D are not those that its ledger recorded; run"


@pytest.mark.parametrize(
    "spoil",
    [
        *(damage, lose_rows, swap_a_row, lose_series, come_from_the_future),
        *(double_closes, double_one_close, spoil_blocks, spoil_texts, forget_the_digest),
    ],
)
def test_a_database_that_is_not_sound_is_not_backed_up_and_the_older_backups_stay(
    stores: Stores, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    stores.save("VCB", make_bars(2_000))
    older = utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1).path
    content = older.read_bytes()
    message = spoil(checkpointed(stores))
    with pytest.raises(StoreError) as caught:
        utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1)
    assert str(caught.value).startswith(message)
    assert older.read_bytes() == content
    assert names(older.parent) == {older.name, LOCK_FILE}


def test_the_older_backup_stays_when_the_disk_is_full(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.save("VCB", make_bars(10))
    older = utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1).path
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(StoreError, match=f"^{tmp_path / 'backup'}: No space left on device$"):
        utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1)
    assert names(older.parent) == {older.name, LOCK_FILE}


def test_a_series_that_is_being_written_for_the_first_time_is_no_fault(stores: Stores, tmp_path: Path) -> None:
    """It enters the ledger with its last batch; until then CSV answers for it, from the backup too."""
    stores.save("VCB", make_bars(10))
    with stores.db_manager.transaction(Mode.VN) as connection:
        for statement, rows in upserts(TableInfo.of(Mode.VN, Interval.DAILY), "NEW", make_bars(5), 0):
            connection.executemany(statement, rows)
    assert utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1).contents.rows == 10


def test_a_database_that_is_still_to_be_upgraded_can_be_backed_up(stores: Stores, tmp_path: Path) -> None:
    """That is when one wants a backup most."""
    stores.save("VCB", make_bars(10))
    with closing(sqlite3.connect(checkpointed(stores))) as connection, connection:
        connection.execute("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
    made = utils(another(stores)).backup(Mode.VN, tmp_path / "backup", NOW, keep=1)
    assert made.contents == Contents(known_migrations(Mode.VN)[-1].version - 1, 10)


def test_a_database_of_the_first_schema_is_copied_as_it_is(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no ledger."""
    with monkeypatch.context() as at_first:
        at_first.setattr(migrations, "known_migrations", lambda mode: known_migrations(mode)[:1])
        stores.db_manager.upgrade(Mode.VN)
    with closing(sqlite3.connect(checkpointed(stores))) as connection, connection:
        for statement, rows in upserts(TableInfo.of(Mode.VN, Interval.DAILY), "VCB", make_bars(5), 0):
            connection.executemany(statement, rows)
    made = utils(another(stores)).backup(Mode.VN, tmp_path / "backup", NOW, keep=1)
    assert made.contents == Contents(1, 5)


def test_a_database_whose_digests_an_upgrade_has_made_void_can_be_backed_up(stores: Stores, tmp_path: Path) -> None:
    """As after the migration that adds a field, before the worker's start has written it."""
    stores.save("VCB", make_bars(10))
    execute(checkpointed(stores), "UPDATE ledger SET csv_stamp = '', copies_digest = '', digest = '0'")
    assert utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1).contents.rows == 10


def test_older_backups_go_when_the_new_one_is_there(stores: Stores, tmp_path: Path) -> None:
    for mode in Mode:
        stores.save("VCB", make_bars(10, mode=mode), mode=mode)
    made: dict[Mode, list[Path]] = {mode: [] for mode in Mode}
    for day in range(4):
        for mode in Mode:
            backup = utils(stores).backup(mode, tmp_path / "backup", NOW + timedelta(days=day), keep=2)
            made[mode].append(backup.path)
            assert backup.removed == tuple(made[mode][:-2][-1:])
    left = {path.name for paths in made.values() for path in paths[-2:]}
    assert names(tmp_path / "backup") == left | {LOCK_FILE}
    assert left == {f"{mode.value}_data-202603{day:02}T050000Z.db" for mode in Mode for day in (4, 5)}


BACK_UP = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.upkeep import backup_files
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.upkeep.database_utils import DatabaseUtils

directory, is_guarded, delay_s = Path(sys.argv[1]), sys.argv[2] == "guarded", float(sys.argv[3])
now = datetime.now(UTC)
if not is_guarded:
    backup_files.partial_file = lambda directory, mode: backup_files.new_file(directory, mode, now)
DatabaseUtils(DatabaseManager(Settings.load())).backup(Mode.VN, directory, now, keep=100)
"""


def kill_backups(stores: Stores, directory: Path, kind: str) -> list[Path]:
    """Start backups and kill each while it copies. :returns: what then looks like a backup."""
    working_directory = directory.parent
    kills = 0
    for delay_s in (0.0, 0.005, 0.01, 0.02):
        before = set(directory.iterdir())
        process = subprocess.Popen(
            [sys.executable, "-c", BACK_UP, str(directory), kind, str(delay_s)],
            cwd=working_directory,
            env=clean_environment(working_directory) | environment(working_directory),
        )
        while process.poll() is None and not any(path.suffix != ".lock" for path in set(directory.iterdir()) - before):
            time.sleep(0.0005)
        time.sleep(delay_s)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
        partial_file(directory, Mode.VN).unlink(missing_ok=True)  # so that the next one is seen to begin
    assert kills > 0
    return sorted(directory.glob("vn_data-*.db"))


@pytest.mark.long
def test_a_backup_that_is_killed_leaves_no_file_that_looks_like_one(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", (bars := make_bars(100_000, Interval.MINUTE)), Interval.MINUTE)
    checkpointed(stores)
    (directory := tmp_path / "backup").mkdir()
    for path in kill_backups(stores, directory, "guarded"):
        utils(stores).restore(VN, path, NOW)
        assert stores.in_sqlite("VCB", Interval.MINUTE).equals(bars)
    partial_file(directory, Mode.VN).write_bytes(b"what a crash has left")
    made = utils(stores).backup(Mode.VN, directory, NOW + timedelta(days=9_999), keep=1).path
    assert names(directory) == {made.name, LOCK_FILE}, "the lock fell with the process, its leftovers are gone"


@pytest.mark.long
def test_without_the_partial_name_a_killed_backup_looks_like_one_and_is_none(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(100_000, Interval.MINUTE), Interval.MINUTE)
    checkpointed(stores)
    (directory := tmp_path / "backup").mkdir()
    refused = 0
    for path in kill_backups(stores, directory, "unguarded"):
        try:
            utils(stores).restore(VN, path, NOW)
        except StoreError:
            refused += 1
    assert refused > 0


def test_without_the_check_a_damaged_copy_drives_the_good_one_out(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.save("VCB", make_bars(2_000))
    older = back_up(stores)
    damage_index(checkpointed(stores))
    monkeypatch.setattr(checked_copy, "_checked", lambda *_: Contents(1, 2_000))
    assert utils(stores).backup(Mode.VN, older.parent, NOW, keep=1).removed == (older,)


def test_a_plain_copy_of_the_live_file_lacks_what_was_acknowledged(stores: Stores, tmp_path: Path) -> None:
    """Why a backup is not `cp`: the newest commits are in the log beside the file."""
    stores.save("VCB", make_bars(10))
    stores.db_manager.checkpoint(Mode.VN)
    stores.save("VCB", make_bars(30))
    plain, copy = Path(shutil.copy(stores.settings.vn_database_path, tmp_path / "plain.db")), back_up(stores)
    rows = []
    for path in (plain, copy):
        with closing(sqlite3.connect(path)) as connection:
            rows += connection.execute("SELECT count(*) FROM vn_daily").fetchone()
    assert rows == [10, 30]


def test_markets_whose_files_have_one_name_do_not_share_a_backup(make_stores: MakeStores, tmp_path: Path) -> None:
    stores = make_stores(VN_DATABASE_PATH=str(tmp_path / "a" / "x.db"), CRYPTO_DATABASE_PATH=str(tmp_path / "x.db"))
    for mode in Mode:
        stores.db_manager.upgrade(mode)
        utils(stores).backup(mode, tmp_path / "backup", NOW, keep=1)
    expected = {"vn_data-20260302T050000Z.db", "crypto_data-20260302T050000Z.db", LOCK_FILE}
    assert names(tmp_path / "backup") == expected


def test_what_cannot_be_backed_up(stores: Stores, tmp_path: Path) -> None:
    live = stores.settings.vn_database_path
    with pytest.raises(StoreError, match=f"^there is no database {live} to copy$"):
        utils(stores).backup(Mode.VN, tmp_path / "backup", NOW, keep=1)
    assert not live.exists(), "and none was made"
    stores.save("VCB", make_bars(10))
    (tmp_path / "link").symlink_to(tmp_path)
    for directory in (tmp_path, tmp_path / "link"):
        with pytest.raises(StoreError, match=f"^{directory} holds a live database; name another directory for back"):
            utils(stores).backup(Mode.VN, directory, NOW, keep=1)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"/file: File exists$"):
        utils(stores).backup(Mode.VN, tmp_path / "file" / "backup", NOW, keep=1)
    assert stores.in_sqlite("VCB").equals(make_bars(10))


# Restore


def restore(stores: Stores, source: Path) -> Path | None:
    """:returns: what the database before is called now."""
    return utils(stores).restore(VN, source, NOW)[Mode.VN].aside


def test_a_restore_puts_the_copy_back_and_keeps_the_live_database(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    stores.save("VCB", make_bars(30))
    live = stores.settings.vn_database_path
    # A second connection keeps the newest commits in the log: closing the last one would move them into the file.
    with closing(sqlite3.connect(live)) as reader:
        reader.execute("SELECT count(*) FROM vn_daily").fetchone()
        restored = utils(stores).restore(VN, tmp_path / "backup", NOW)
        aside = tmp_path / "vn_data.db.before-restore-20260302T050000Z"
        assert restored == {Mode.VN: Restored(copy, aside)}
        assert Path(f"{aside}-wal").stat().st_size > 0
        assert stores.in_sqlite("VCB").equals(make_bars(10))
    with closing(sqlite3.connect(aside)) as connection:
        assert connection.execute("SELECT count(*) FROM vn_daily").fetchone() == (30,)
    assert names(tmp_path) == {"vn_data.db", aside.name, "backup", "market_data"}
    assert copy.exists()


def test_of_a_directory_the_newest_backup_is_restored_of_files_the_one_that_is_named(
    stores: Stores, tmp_path: Path
) -> None:
    copies = []
    for count in (10, 20, 30):
        stores.save("VCB", make_bars(count))
        copies.append(back_up(stores))
    restore(stores, tmp_path / "backup")
    assert len(stores.in_sqlite("VCB")) == 30
    for copy, count in zip(copies, (10, 20, 30), strict=True):
        restore(stores, copy)
        assert len(stores.in_sqlite("VCB")) == count


def test_a_reader_goes_on_with_the_old_file_and_then_sees_the_new(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    stores.save("VCB", make_bars(30))
    reader, count = another(stores), "SELECT count(*), sum(volume) FROM vn_daily"
    with reader.db_manager.snapshot(Mode.VN) as connection:
        before = connection.execute(count).fetchone()
        restore(stores, copy)
        stores.save("FPT", make_bars(5), now=NOW)
        assert connection.execute(count).fetchone() == before
    assert len(reader.in_sqlite("VCB")) == 10
    assert len(reader.in_sqlite("FPT")) == 5
    reader.db_manager.close()


@pytest.mark.long
def test_readers_get_whole_answers_while_a_backup_is_restored_again_and_again(stores: Stores, tmp_path: Path) -> None:
    """Each answer has all that was acknowledged: from CSV, which is ahead of the backup, until SQLite has it too."""
    versions = {count: make_bars(count) for count in (300, 310)}
    stores.save("VCB", versions[300])
    copy = back_up(stores)
    stores.save("VCB", versions[310])
    stop, lengths, sources = threading.Event(), Counter[int](), Counter[str]()

    def read() -> None:
        reader = another(stores)
        store = DataStore(reader)
        while not stop.is_set():
            result = store.get_data_smart_sqlite(QueryParameters(symbols=("VCB",), limit=1_000), reader.limits)
            bars = result.bars["VCB"]
            assert bars.equals(versions[len(bars)])
            lengths[len(bars)] += 1
            sources[result.source.value] += 1
        reader.db_manager.close()

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for _ in range(20):
            restore(stores, copy)
            reconcile_out_of_step(stores, Mode.VN, NOW)
        stop.set()
        for each in readers:
            each.result()
    assert set(lengths) == {310}
    assert sources["sqlite"] > 0


@pytest.mark.parametrize("live_is_there", [True, False])
def test_the_log_of_the_database_before_is_not_replayed(stores: Stores, tmp_path: Path, live_is_there: bool) -> None:
    """As after a crash of the writer, with or without somebody having deleted the damaged file by hand."""
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    stores.save("VCB", make_bars(3_000, seed=2), rewrite_all=True)
    live = stores.settings.vn_database_path
    kept = {suffix: shutil.copy(f"{live}{suffix}", tmp_path / f"kept{suffix}") for suffix in SIDE_FILES}
    stores.db_manager.close()
    for suffix, file in kept.items():
        shutil.move(file, f"{live}{suffix}")
    if not live_is_there:
        live.unlink()
    assert Path(f"{live}-wal").stat().st_size > 100_000
    assert (restore(stores, copy) is not None) == live_is_there
    assert stores.in_sqlite("VCB").equals(make_bars(10))
    assert utils(stores).check_integrity(Mode.VN, NOW) == "ok"
    assert (tmp_path / "vn_data.db.before-restore-20260302T050000Z-wal").stat().st_size > 100_000, "kept, not deleted"


def test_a_log_that_was_left_would_be_replayed(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    stores.save("VCB", make_bars(30), rewrite_all=True)
    live = stores.settings.vn_database_path
    log = shutil.copy(f"{live}-wal", tmp_path / "log")
    stores.db_manager.close()
    shutil.move(log, f"{live}-wal")
    monkeypatch.setattr(database_utils, "DATABASE_FILES", ("",))
    restore(stores, copy)
    assert not stores.in_sqlite("VCB").equals(make_bars(10))


def test_two_restores_in_one_second_keep_both_databases(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    stores.save("VCB", make_bars(30))
    rows = []
    for aside in [restore(stores, copy) for _ in range(2)]:
        assert aside is not None
        with closing(sqlite3.connect(aside)) as connection:
            rows += connection.execute("SELECT count(*) FROM vn_daily").fetchone()
    assert rows == [30, 10]


def break_missing(backup: Path) -> None:
    backup.unlink()


def break_link(backup: Path) -> None:
    backup.unlink()
    backup.symlink_to(backup)


def break_garbage(backup: Path) -> None:
    backup.write_bytes(b"not a database, by any means. " * 300)


def break_empty(backup: Path) -> None:
    backup.write_bytes(b"")


def break_length(backup: Path) -> None:
    os.truncate(backup, backup.stat().st_size // 2)


def break_market(backup: Path) -> None:
    shutil.copy(backup.with_name(backup.name.replace("vn", "crypto")), backup)


def execute(backup: Path, statement: str) -> None:
    with closing(sqlite3.connect(backup)) as connection, connection:
        connection.execute(statement)


def break_ledger(backup: Path) -> None:
    execute(backup, "DELETE FROM vn_daily WHERE time = (SELECT max(time) FROM vn_daily)")


def break_values(backup: Path) -> None:
    execute(backup, "UPDATE vn_daily SET close = close * 2")


def break_age(backup: Path) -> None:
    execute(backup, "DELETE FROM schema_migrations WHERE version > 1")


def break_future(backup: Path) -> None:
    execute(backup, "INSERT INTO schema_migrations VALUES (9999, 'x', 0)")


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (break_missing, "^there is no backup {backup}$"),
        (break_link, "{backup}"),
        (break_garbage, "^{backup} is not a backup of a vn database: file is not a database$"),
        (break_empty, "^{backup} is not a backup of a vn database: no such table"),
        (damage_index, "^{backup} is damaged, its copy fails the integrity check: "),
        (break_length, "^({backup} is not a backup of a vn database|SQLite error): database disk image is malformed$"),
        (break_ledger, "^{backup} is out of step with itself: vn_daily holds 1999 rows of VCB, its ledger says 2000"),
        (break_values, "^{backup} is out of step with itself: the values of vn VCB 1D are not those that its ledger"),
        (
            break_age,
            r"^the backup {backup} has schema version 1, this program needs \d+; bring it up first: "
            r"VN_DATABASE_PATH={backup} flask db upgrade --mode vn$",
        ),
        (
            break_future,
            r"^the backup {backup} has schema version 9999, this program knows up to \d+; use the version of the "
            "program that made it, or a newer one$",
        ),
        (break_market, "^{backup} is not a backup of a vn database$"),
    ],
)
def test_what_is_no_good_copy_is_refused_and_nothing_changes(
    stores: Stores, tmp_path: Path, break_it: Callable[[Path], None], message: str
) -> None:
    for mode in Mode:
        stores.save("VCB", make_bars(2_000, mode=mode), mode=mode)
        back_up(stores, mode)
        stores.save("VCB", make_bars(2_010, mode=mode), mode=mode)
        checkpointed(stores, mode)
    backup = tmp_path / "backup" / "vn_data-20260302T050000Z.db"
    break_it(backup)
    before = names(tmp_path), [stores.settings.database_path(mode).stat() for mode in Mode]
    with pytest.raises(StoreError, match=message.format(backup=backup)):
        utils(stores).restore(VN, backup, NOW)
    # Of both markets neither is restored, though the backup of the other is good.
    with pytest.raises(StoreError):
        utils(stores).restore([Mode.CRYPTO, Mode.VN], tmp_path / "backup", NOW)
    assert (names(tmp_path), [stores.settings.database_path(mode).stat() for mode in Mode]) == before
    assert all(len(stores.in_sqlite("VCB", mode=mode)) == 2_010 for mode in Mode)


def test_a_backup_of_an_older_schema_is_restored_after_the_upgrade_that_the_refusal_names(
    make_stores: MakeStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores, latest = make_stores(), known_migrations(Mode.VN)
    with monkeypatch.context() as before_the_last:
        before_the_last.setattr(migrations, "known_migrations", lambda _: latest[:-1])
        stores.db_manager.upgrade(Mode.VN)
        copy = back_up(stores)
    with pytest.raises(StoreError, match="bring it up first"):
        restore(stores, copy)
    upgraded = make_stores(VN_DATABASE_PATH=str(copy))
    assert upgraded.db_manager.upgrade(Mode.VN) == latest[-1].version
    upgraded.db_manager.close()
    restore(stores, copy)
    assert stores.db_manager.health(Mode.VN).schema_version == latest[-1].version


def test_one_file_is_of_one_market(stores: Stores) -> None:
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    with pytest.raises(StoreError, match=rf"^{copy} is one file; say which market it is to be: --mode vn or --mode cr"):
        utils(stores).restore(list(Mode), copy, NOW)


def test_the_live_database_is_no_copy_of_itself(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    with pytest.raises(StoreError, match=r"is a live database; name a backup$"):
        restore(stores, stores.settings.vn_database_path)
    with pytest.raises(StoreError, match=f"^{tmp_path} holds no backup of a vn database: no vn_data-<time>.db$"):
        restore(stores, tmp_path)
    assert names(tmp_path) == {"vn_data.db", "market_data"}


def test_a_restore_that_finds_no_database_makes_one(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    checkpointed(stores).unlink()
    assert restore(stores, copy) is None
    assert stores.in_sqlite("VCB").equals(make_bars(10))


def test_a_restored_older_backup_is_brought_up_to_date_from_csv(stores: Stores, tmp_path: Path) -> None:
    """Series that grew, were rewritten after a dividend, are new, or did not change; of all intervals and markets."""
    series = [(mode, interval) for mode in Mode for interval in Interval]
    for mode, interval in series:
        for ticker in ("GROWN", "REWRITTEN", "SAME"):
            stores.save(ticker, make_bars(50, interval, mode), interval, mode)
    for mode in Mode:
        back_up(stores, mode)
    expected = {}
    for mode, interval in series:
        expected["GROWN", interval, mode] = make_bars(80, interval, mode)
        expected["REWRITTEN", interval, mode] = make_bars(50, interval, mode, seed=7)
        expected["NEW", interval, mode] = make_bars(20, interval, mode, seed=8)
        for ticker in ("GROWN", "REWRITTEN", "NEW"):
            stores.save(ticker, expected[ticker, interval, mode], interval, mode, rewrite_all=ticker == "REWRITTEN")
        expected["SAME", interval, mode] = make_bars(50, interval, mode)
    utils(stores).restore(list(Mode), tmp_path / "backup", NOW)
    assert any(not stores.in_sqlite(*key).equals(bars) for key, bars in expected.items())
    for mode in Mode:
        reconciled = reconcile_out_of_step(stores, mode, NOW)
        assert {key.ticker for key in reconciled} == {"GROWN", "REWRITTEN", "NEW"}
        assert not any(report.problems for report in verify(stores, mode, Interval))
    for key, bars in expected.items():
        assert stores.in_sqlite(*key).equals(bars)
        assert stores.in_csv(*key).equals(bars)


def test_bars_that_only_the_backup_has_left_come_back_to_csv(stores: Stores, tmp_path: Path) -> None:
    """Both live stores lost: the copy is then the only one."""
    stores.save("VCB", make_bars(50))
    copy = back_up(stores)
    checkpointed(stores).unlink()
    shutil.rmtree(stores.settings.market_data_dir)
    restore(stores, copy)
    reconcile_out_of_step(stores, Mode.VN, NOW)
    assert stores.in_sqlite("VCB").equals(make_bars(50))
    assert stores.in_csv("VCB").equals(make_bars(50))


class Killed(BaseException):
    """In place of a `kill -9`: nothing is tidied up after it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, call: int, work: Callable[[], object]) -> bool:
    """Do the work and end it at its so-manyeth rename of a file. :returns: False when it had fewer."""
    done, rename_of_path = 0, Path.rename

    def rename(path: Path, target: Path) -> Path:
        nonlocal done
        if done == call:
            raise Killed
        done += 1
        return rename_of_path(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        try:
            work()
        except Killed:
            return True
    return False


def leftovers(directory: Path) -> set[str]:
    return {
        each.name for each in directory.iterdir() if re.search(r"\.(restoring|rebuilding|checked|partial)", each.name)
    }


@pytest.mark.parametrize("is_cleared", [True, False], ids=["cleared up", "control"])
def test_a_restore_that_is_killed_at_any_rename_leaves_the_old_or_the_new_database(
    make_stores: MakeStores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cleared: bool
) -> None:
    stores = make_stores()
    stores.save("VCB", make_bars(10))
    copy = back_up(stores)
    found = []
    for call in range(20):
        stores.save("VCB", make_bars(30))
        if not killed_at(monkeypatch, call, lambda: utils(stores).restore(VN, copy, NOW)):
            break
        stores.db_manager.close()
        if is_cleared:
            utils(stores).clear_up(Mode.VN, NOW)
        found.append((stores.settings.vn_database_path.exists(), leftovers(tmp_path) != set()))
        if found[-1][0]:
            assert len(stores.in_sqlite("VCB")) in (10, 30)
            assert utils(stores).check_integrity(Mode.VN, NOW) == "ok"
        reconcile_out_of_step(stores, Mode.VN, NOW)
        assert stores.in_sqlite("VCB").equals(make_bars(30))
    assert len(found) >= 4
    assert (set(found) == {(True, False)}) is is_cleared


def test_what_a_killed_rebuild_or_restore_has_left_is_removed_and_nothing_else(stores: Stores, tmp_path: Path) -> None:
    stores.save("VCB", make_bars(10))
    live = stores.settings.vn_database_path
    kept = [f"{live}.before-restore-20260101T000000Z", f"{live}.damaged-20260101T000000Z", f"{live}.old"]
    left = [f"{live}{end}" for end in (".restoring", ".restoring.partial-journal", ".rebuilding-wal", ".checked")]
    for name in (*kept, *left):
        Path(name).write_bytes(b"x")
    utils(stores).clear_up(Mode.VN, NOW)
    assert [Path(name).exists() for name in (*kept, *left)] == [True] * 3 + [False] * 4
    assert stores.in_sqlite("VCB").equals(make_bars(10))


def test_sizes_of_a_database_that_is_not_there(stores: Stores) -> None:
    with pytest.raises(SqliteError, match="unable to open database file"):
        utils(stores).sizes(Mode.VN)
