"""Migrations: the schema they make, their numbers, and what a failure leaves."""

import time
from pathlib import Path

import pytest

from stockapi.errors import SqliteError, SqliteFault
from stockapi.models import Mode
from stockapi.services.database_manager import migrations
from stockapi.services.database_manager.migrations import known_migrations
from tests.support.stores import Stores


@pytest.mark.parametrize("mode", list(Mode))
def test_the_schema_is_the_contracts(stores: Stores, mode: Mode) -> None:
    assert stores.db_manager.upgrade(mode) == known_migrations(mode)[-1].version
    expected = [
        *[("id", "INTEGER"), ("ticker", "TEXT"), ("time", "INTEGER")],
        *[(name, "REAL") for name in ("open", "high", "low", "close")],
        ("volume", "INTEGER"),
        *[(f"ma{n}", "REAL") for n in (10, 20, 50, 100, 200)],
        *[(f"ma{n}_score", "REAL") for n in (10, 20, 50, 100, 200)],
        *[(name, "REAL") for name in ("close_changed", "volume_changed", "total_money_changed")],
        *[("created_at", "INTEGER"), ("updated_at", "INTEGER")],
    ]
    with stores.db_manager.snapshot(mode) as connection:
        for label in ("daily", "hourly", "minute"):
            table = f"{mode.value}_{label}"
            columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
            assert [(name, kind) for _, name, kind, *_ in columns] == expected
            indexes = connection.execute(f"PRAGMA index_list({table})").fetchall()
            assert [(unique, origin) for _, _, unique, origin, _ in indexes] == [(1, "u")], "one index, the unique one"


def test_defaults_are_now_in_unix_seconds(stores: Stores) -> None:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(
            "INSERT INTO vn_daily (ticker, time, open, high, low, close, volume) VALUES ('A', 0, 1, 1, 1, 1, 1)"
        )
        row = connection.execute("SELECT created_at, updated_at, typeof(created_at) FROM vn_daily").fetchone()
    assert row[2] == "integer"
    assert abs(row[0] - time.time()) < 5
    assert row[0] == row[1]


@pytest.mark.parametrize("mode", list(Mode))
def test_migrations_are_numbered_without_gaps_and_each_is_recorded(stores: Stores, mode: Mode) -> None:
    assert [each.version for each in known_migrations(mode)] == list(range(1, len(known_migrations(mode)) + 1))
    stores.db_manager.upgrade(mode)
    stores.db_manager.upgrade(mode)
    with stores.db_manager.snapshot(mode) as connection:
        rows = connection.execute("SELECT version, name FROM schema_migrations").fetchall()
    assert rows == [(each.version, each.name) for each in known_migrations(mode)]


def test_a_failing_migration_leaves_the_ones_before_it(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sql").mkdir()
    for each in known_migrations(Mode.VN):
        (tmp_path / "sql" / f"{each.name}.sql").write_text(each.sql)
    broken = tmp_path / "sql" / "0099_broken.sql"
    broken.write_text("CREATE TABLE one (a);\nCREATE TABLE one (a);\n")
    latest = stores.db_manager.upgrade(Mode.VN)
    stores.db_manager.close()
    monkeypatch.setattr(migrations, "MIGRATIONS_DIR", tmp_path / "sql")
    with pytest.raises(SqliteError, match=r"migration 0099_broken failed: table one already exists"):
        stores.db_manager.upgrade(Mode.VN)
    broken.unlink()
    assert stores.db_manager.upgrade(Mode.VN) == latest
    with stores.db_manager.snapshot(Mode.VN) as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'one'").fetchone() == (0,)


def test_every_file_of_migrations_is_one() -> None:
    files = [str(path.relative_to(migrations.MIGRATIONS_DIR)) for path in migrations.MIGRATIONS_DIR.rglob("*.*")]
    assert sorted(files) == [f"{each.name}.sql" for each in known_migrations(Mode.VN)]


def test_a_database_of_a_newer_program_is_refused(stores: Stores) -> None:
    latest = stores.db_manager.upgrade(Mode.VN)
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (?, 'later', 0)", (latest + 1,))
    stores.db_manager.close()
    expected = rf"schema version {latest + 1}, this program knows up to {latest}"
    with pytest.raises(SqliteError, match=expected) as caught:
        stores.db_manager.upgrade(Mode.VN)
    assert caught.value.fault is SqliteFault.OTHER


@pytest.mark.parametrize("flipped", [0, 5, 6, 12, 70, 1 << 40])
def test_version_numbers_that_no_program_writes_are_damage(stores: Stores, flipped: int) -> None:
    """Of 1, 2, 3, 4 the second becomes another, whether that is one we know or not."""
    latest = stores.db_manager.upgrade(Mode.VN)
    flipped += latest if flipped else 0
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("UPDATE schema_migrations SET version = ? WHERE version = 2", (flipped,))
    stores.db_manager.close()
    expected = rf"schema_migrations holds .*\b{flipped}\b.*; allowed: 1, 2, 3"
    with pytest.raises(SqliteError, match=expected) as caught:
        stores.db_manager.upgrade(Mode.VN)
    assert caught.value.fault is SqliteFault.CORRUPT
