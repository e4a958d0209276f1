"""Connections, pragmas, transactions, migrations, and the state of a database file."""

import os
import re
import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stockapi.config import Settings
from stockapi.errors import DeadlineError, SqliteError, SqliteFault
from stockapi.models import Interval, Mode
from stockapi.services.database_manager import manager
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.database_manager.migrations import known_migrations
from stockapi.services.upkeep.reconcile import reconcile_out_of_step
from tests import faults
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def pragma(connection: sqlite3.Connection, name: str) -> object:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 1),  # NORMAL
        ("cache_size", -64000),
        ("temp_store", 2),  # MEMORY
        ("mmap_size", 268435456),
        ("busy_timeout", 5000),
        ("auto_vacuum", 2),  # INCREMENTAL
        ("page_size", 8192),
        ("query_only", 0),
    ],
)
def test_pragmas_of_the_writer(stores: Stores, name: str, expected: object) -> None:
    with stores.db_manager.maintenance_connection(Mode.VN) as connection:
        assert pragma(connection, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [("cache_size", -8000), ("mmap_size", 0), ("busy_timeout", 250), ("query_only", 1), ("temp_store", 2)],
)
def test_pragmas_of_a_reader(stores: Stores, name: str, expected: object) -> None:
    stores.db_manager.upgrade(Mode.VN)
    with stores.db_manager.snapshot(Mode.VN) as connection:
        assert pragma(connection, name) == expected


def test_pragmas_follow_the_settings(make_stores: MakeStores) -> None:
    stores = make_stores(SQLITE_CACHE_SIZE="-1000", SQLITE_SYNCHRONOUS="full", SQLITE_READER_CACHE_SIZE="50")
    with stores.db_manager.maintenance_connection(Mode.VN) as connection:
        assert (pragma(connection, "cache_size"), pragma(connection, "synchronous")) == (-1000, 2)
    with stores.db_manager.snapshot(Mode.VN) as connection:
        assert pragma(connection, "cache_size") == 50


def test_reading_never_creates_the_file(stores: Stores) -> None:
    with pytest.raises(SqliteError, match=r"^SQLite error: ") as caught, stores.db_manager.snapshot(Mode.VN):
        pass
    assert caught.value.fault is SqliteFault.CANNOT_OPEN
    assert not stores.settings.vn_database_path.exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", SqliteFault.WRONG_SCHEMA), (b"this is no database, whatever its name" * 200, SqliteFault.NOT_A_DATABASE)],
)
def test_what_is_no_database_is_told_apart(stores: Stores, content: bytes, fault: SqliteFault) -> None:
    stores.settings.vn_database_path.write_bytes(content)
    with pytest.raises(SqliteError) as caught, stores.db_manager.snapshot(Mode.VN):
        pass
    assert caught.value.fault is fault
    assert stores.settings.vn_database_path.read_bytes() == content


def test_a_reader_cannot_write(stores: Stores) -> None:
    stores.db_manager.upgrade(Mode.VN)
    with pytest.raises(SqliteError, match="readonly"), stores.db_manager.snapshot(Mode.VN) as connection:
        connection.execute("DELETE FROM vn_daily")


def test_each_thread_has_its_own_reader_and_keeps_it(stores: Stores) -> None:
    stores.db_manager.upgrade(Mode.VN)
    seen: list[sqlite3.Connection] = []

    def look() -> None:
        for _ in range(2):
            with stores.db_manager.snapshot(Mode.VN) as connection:
                seen.append(connection)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
        thread.join()
    assert seen[0] is seen[1]
    assert seen[2] is seen[3]
    assert seen[0] is not seen[2]


def test_a_replaced_file_is_noticed(stores: Stores, tmp_path: Path) -> None:
    """Without the look at the inode a reader stays on the old file for ever."""
    stores.save("VCB", make_bars(3))
    stores.db_manager.checkpoint(Mode.VN, "TRUNCATE")
    path = stores.settings.vn_database_path
    assert stores.sqlite_store.ledger(Mode.VN)
    other = Stores.of(stores.settings)
    path.rename(tmp_path / "old.db")
    other.db_manager.upgrade(Mode.VN)
    other.db_manager.close()
    assert stores.sqlite_store.ledger(Mode.VN) == {}


LOGS = [["-shm"], ["-wal"], ["-shm", "-wal"]]


def clean_away(stores: Stores, sides: list[str]) -> None:
    for side in sides:
        Path(f"{stores.settings.vn_database_path}{side}").unlink()


def test_a_new_log_with_the_inode_of_an_old_one_is_no_log_of_another_file(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Systems give inodes of removed files to new ones at once."""
    monkeypatch.setattr(manager, "_inode", lambda path: 4711)
    stores.save("VCB", make_bars(10))
    reader = Stores.of(stores.settings)
    assert len(reader.in_sqlite("VCB")) == 10
    stores.db_manager.close()
    faults.delete(stores.settings.vn_database_path)
    reconcile_out_of_step(stores, Mode.VN, NOW)
    assert len(reader.in_sqlite("VCB")) == 10
    reader.db_manager.close()


@pytest.mark.parametrize("sides", LOGS)
def test_a_log_that_is_removed_under_its_writer_makes_the_database_damaged(stores: Stores, sides: list[str]) -> None:
    """What was committed may be lost, and readers see another log than the writer: CSV fills another file."""
    stores.save("VCB", make_bars(10))
    reader = Stores.of(stores.settings)
    assert len(reader.in_sqlite("VCB")) == 10
    clean_away(stores, sides)
    for _ in range(2):  # whoever meets it first, a heartbeat for example, does not hide it from the others
        with pytest.raises(SqliteError, match="was removed or replaced under its writer") as caught:
            stores.db_manager.upgrade(Mode.VN)
        assert caught.value.fault is SqliteFault.CORRUPT
    stores.save("VCB", make_bars(20))
    reconcile_out_of_step(stores, Mode.VN, NOW)
    for each in (stores, reader, Stores.of(stores.settings)):
        assert each.in_sqlite("VCB").equals(make_bars(20))
        each.db_manager.close()
    stores.save("VCB", make_bars(30))
    assert stores.in_sqlite("VCB").equals(make_bars(30))


def test_a_file_put_over_the_live_one_beside_its_log_is_damage(stores: Stores, tmp_path: Path) -> None:
    """As `mv backup.db vn_data.db` does it. SQLite would replay the log of the old file into the new one."""
    stores.save("VCB", make_bars(10))
    copy, live = tmp_path / "copy.db", stores.settings.vn_database_path
    with closing(sqlite3.connect(live)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    stores.save("VCB", make_bars(20))
    reader = Stores.of(stores.settings)
    assert len(reader.in_sqlite("VCB")) == 20
    copy.replace(live)
    for _ in range(2):
        with pytest.raises(SqliteError, match="was removed or replaced under its writer") as caught:
            stores.db_manager.upgrade(Mode.VN)
        assert caught.value.fault is SqliteFault.CORRUPT
    stores.save("VCB", make_bars(30))
    reconcile_out_of_step(stores, Mode.VN, NOW)
    for each in (stores, reader, Stores.of(stores.settings)):
        assert each.in_sqlite("VCB").equals(make_bars(30))
        each.db_manager.close()


@pytest.mark.parametrize("sides", [sides for sides in LOGS if "-wal" in sides])
def test_without_the_comparison_of_logs_new_readers_do_not_see_what_is_committed(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, sides: list[str]
) -> None:
    monkeypatch.setattr(manager, "_SIDES", ())
    stores.save("VCB", make_bars(10))
    stores.db_manager.checkpoint(Mode.VN)
    clean_away(stores, sides)
    stores.save("VCB", make_bars(20))
    try:
        seen = len(Stores.of(stores.settings).in_sqlite("VCB"))
    except SqliteError:
        seen = -1
    assert seen != 20


def test_a_reader_opens_the_log_that_is_there(stores: Stores) -> None:
    stores.save("VCB", make_bars(10))
    reader = Stores.of(stores.settings)
    found = []
    for sides in ([], ["-shm"], []):
        clean_away(stores, sides)
        with reader.db_manager.reading(Mode.VN) as connection:
            found.append(connection)
    assert found[0] is not found[1]
    assert found[1] is found[2]
    reader.db_manager.close()


def test_a_file_replaced_while_it_is_opened_is_not_paired_with_the_log_of_the_new_one(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite opens the file when it connects, and the log beside it, by name, with the first statement."""
    live, new = stores.settings.vn_database_path, tmp_path / "new.db"
    stores.save("VCB", make_bars(300))
    stores.db_manager.checkpoint(Mode.VN, "TRUNCATE")
    shutil.copy(live, new)
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("UPDATE vn_daily SET volume = 1")
    stores.db_manager.close()
    with closing(sqlite3.connect(new)) as other:
        other.execute("UPDATE vn_daily SET volume = 2 WHERE time < 1430000000")
        other.commit()
        saved = {suffix: Path(f"{new}{suffix}").read_bytes() for suffix in ("", "-wal")}
    connect, connected = sqlite3.connect, []

    def connect_and_swap(*args: Any, **options: Any) -> sqlite3.Connection:
        connection = connect(*args, **options)
        if not connected:
            live.rename(tmp_path / "old.db")
            for suffix, data in saved.items():
                Path(f"{live}{suffix}").write_bytes(data)
        connected.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", connect_and_swap)
    with stores.db_manager.snapshot(Mode.VN) as connection:
        volumes = {volume for (volume,) in connection.execute("SELECT DISTINCT volume FROM vn_daily")}
    assert 1 not in volumes, "nothing of the old file"
    assert 2 in volumes
    assert len(connected) == 2


def test_a_snapshot_does_not_change_while_the_writer_commits(stores: Stores) -> None:
    stores.save("VCB", make_bars(3))
    count = "SELECT count(*) FROM vn_daily"
    with stores.db_manager.snapshot(Mode.VN) as connection:
        before = connection.execute(count).fetchone()
        writer = threading.Thread(target=stores.save, args=("FPT", make_bars(3)))
        writer.start()
        writer.join()
        assert connection.execute(count).fetchone() == before
    with stores.db_manager.snapshot(Mode.VN) as connection:
        assert connection.execute(count).fetchone() == (6,)


def test_a_query_is_stopped_at_its_deadline(stores: Stores) -> None:
    stores.db_manager.upgrade(Mode.VN)
    started = time.monotonic()
    with (
        pytest.raises(DeadlineError),
        stores.db_manager.snapshot(Mode.VN, deadline=started + 0.1) as connection,
    ):
        connection.execute(ENDLESS).fetchone()
    assert time.monotonic() - started < 5
    with stores.db_manager.snapshot(Mode.VN) as connection:  # the thread's next query is not affected
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_failed_transaction_leaves_nothing(stores: Stores) -> None:
    """A half-executed `executemany` must not be committed by whoever comes next."""
    insert = "INSERT INTO worker_states (worker, iterations) VALUES (?, ?)"
    with (
        pytest.raises(SqliteError, match="NOT NULL"),
        stores.db_manager.transaction(Mode.VN) as connection,
    ):
        connection.executemany(insert, [("a", 1), ("b", None)])
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(insert, ("c", 1))
    assert set(Bookkeeping(stores.db_manager).worker_states(Mode.VN)) == {"c"}


def test_any_exception_rolls_back(stores: Stores) -> None:
    def interrupted() -> None:
        with stores.db_manager.transaction(Mode.VN) as connection:
            connection.execute("INSERT INTO worker_states (worker, iterations) VALUES ('a', 1)")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert Bookkeeping(stores.db_manager).worker_states(Mode.VN) == {}


def test_an_empty_transaction_writes_nothing(stores: Stores) -> None:
    stores.db_manager.upgrade(Mode.VN)
    log = Path(f"{stores.settings.vn_database_path}-wal")
    before = log.stat().st_size
    with stores.db_manager.transaction(Mode.VN):
        pass
    assert log.stat().st_size == before


def test_a_lock_of_another_process_is_waited_for_and_then_told(make_stores: MakeStores) -> None:
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="100")
    stores.db_manager.upgrade(Mode.VN)
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SqliteError, match="locked") as caught, stores.db_manager.transaction(Mode.VN):
            pass
        other.execute("ROLLBACK")
    assert caught.value.fault is SqliteFault.BUSY


def test_a_connection_is_not_carried_across_a_fork(stores: Stores) -> None:
    """The child opens its own; with the parent's it would lose writes without a word."""
    stores.save("VCB", make_bars(3))
    with stores.db_manager.snapshot(Mode.VN) as connection:
        parents = connection
    with stores.db_manager.maintenance_connection(Mode.VN) as connection:
        parents_writer = connection
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with stores.db_manager.snapshot(Mode.VN) as connection:
                own_reader = connection is not parents
            with stores.db_manager.maintenance_connection(Mode.VN) as connection:
                own_writer = connection is not parents_writer
            status = 0 if own_reader and own_writer else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def test_stats_count_from_the_ledger(stores: Stores) -> None:
    stores.save("VCB", make_bars(30))
    stores.save("FPT", make_bars(10))  # its newest bar is 20 days older: not active
    stores.save("VCB", make_bars(5, Interval.MINUTE), Interval.MINUTE)
    stats = stores.db_manager.stats(Mode.VN)
    assert (stats.tickers, stats.active_tickers) == (2, 1)
    assert stats.records == {Interval.DAILY: 40, Interval.HOURLY: 0, Interval.MINUTE: 5}
    assert stats.newest[Interval.DAILY] == make_bars(30).time[-1]
    assert stats.newest[Interval.HOURLY] is None


def test_health_of_a_sound_a_missing_and_a_broken_file(stores: Stores) -> None:
    path = stores.settings.vn_database_path
    missing = stores.db_manager.health(Mode.VN)
    assert (missing.reachable, missing.error, missing.size_bytes) == (False, "the file does not exist", 0)
    stores.db_manager.upgrade(Mode.VN)
    sound = stores.db_manager.health(Mode.VN)
    assert (sound.reachable, sound.error, sound.path) == (True, None, str(path))
    assert sound.schema_version == known_migrations(Mode.VN)[-1].version
    assert sound.size_bytes == path.stat().st_size
    stores.db_manager.close()
    path.write_bytes(b"rubbish" * 1000)
    broken = stores.db_manager.health(Mode.VN)
    assert broken.reachable is False
    assert broken.error is not None
    assert re.fullmatch(r"SQLite error: file is not a database", broken.error)


def test_a_file_that_could_only_be_read_is_written_when_that_has_passed(tmp_path: Path) -> None:
    with faults.unprivileged(tmp_path) as directory:
        stores = Stores.of(Settings.from_mapping(environment(directory)))
        stores.save("VCB", make_bars(3))
        stores.db_manager.close()
        database = stores.settings.vn_database_path
        database.chmod(0o400)
        with pytest.raises(SqliteError, match="attempt to write a readonly database"):
            stores.bookkeeping.record_source(Mode.VN, "one", 1)
        for path in directory.glob(f"{database.name}*"):
            path.chmod(0o600)
        stores.bookkeeping.record_source(Mode.VN, "another", 2)
        assert stores.bookkeeping.source(Mode.VN) == "another"
        stores.close()


def test_without_a_new_connection_it_would_stay_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manager, "_FAULTS_OF_CONNECTION", frozenset())
    with pytest.raises(SqliteError, match="attempt to write a readonly database"):
        test_a_file_that_could_only_be_read_is_written_when_that_has_passed(tmp_path)
