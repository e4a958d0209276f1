"""Comparing the stores, and bringing them back in step: series by series, or the whole database."""

import errno
import logging
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from stockapi.errors import SqliteError, SqliteFault
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import series
from stockapi.services.database_manager import migrations
from stockapi.services.database_manager.migrations import SCHEMA_VERSION, known_migrations
from stockapi.services.sqlite_store import SqliteStore
from stockapi.services.upkeep import reconcile
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import SeriesReport, rebuild, reconcile_out_of_step, verify
from tests import faults
from tests.faults import assert_in_step, problems, repair
from tests.support.stores import NOW, MakeStores, Stores, make_bars

DAY, HOUR, MINUTE = Interval
LONGER = make_bars(170)
BARS = LONGER.take(slice(160))
EVERYTHING = [
    (mode, ticker, interval)
    for mode, ticker in [(Mode.VN, "VCB"), (Mode.VN, "ACB"), (Mode.CRYPTO, "BTC")]
    for interval in Interval
]


def bars_of(mode: Mode, ticker: str, interval: Interval) -> Bars:
    return make_bars(160, interval, mode, seed=ord(ticker[0]))


@pytest.fixture
def filled(stores: Stores) -> Stores:
    """Both markets and all intervals."""
    for mode, ticker, interval in EVERYTHING:
        stores.save(ticker, bars_of(mode, ticker, interval), interval, mode)
    return stores


def assert_all_in_step(stores: Stores, mode: Mode = Mode.VN) -> None:
    for each_mode, ticker, interval in EVERYTHING:
        if each_mode is mode:
            assert_in_step(stores, ticker, bars_of(mode, ticker, interval), interval, mode)
    assert problems(stores, mode) == {}


def write_csv(stores: Stores, bars: Bars) -> None:
    stores.csv_store.write(SeriesKey(Mode.VN, "VCB", DAY), bars)


def write_sqlite(stores: Stores, bars: Bars) -> None:
    stores.sqlite_store.replace(SeriesKey(Mode.VN, "VCB", DAY), bars, csv_stamp="", now=0)


def execute(stores: Stores, statement: str) -> None:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(statement)


def damage_lines(stores: Stores) -> None:
    path = stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY))
    path.write_text(path.read_text() + "nonsense\nVCB,2026-13-01,1,1,1,1,1\n")


# Comparing


@pytest.mark.parametrize("mode", list(Mode))
def test_after_saves_there_is_nothing_to_report(filled: Stores, mode: Mode) -> None:
    reports = list(verify(filled, mode, Interval))
    expected = [SeriesReport(SeriesKey(*key), 160, 160, ()) for key in EVERYTHING if key[0] is mode]
    assert sorted(reports, key=str) == sorted(expected, key=str)


def test_only_the_intervals_asked_for_are_compared(filled: Stores) -> None:
    reports = list(verify(filled, Mode.VN, [HOUR]))
    assert [(report.key.ticker, report.key.interval) for report in reports] == [("ACB", HOUR), ("VCB", HOUR)]


def with_one_cell_changed(bars: Bars) -> Bars:
    indicators = bars.indicators.copy()
    indicators[12, 30] += 1.0
    return replace(bars, indicators=indicators)


def with_one_cell_absent(bars: Bars) -> Bars:
    indicators = bars.indicators.copy()
    indicators[0, 30] = float("nan")
    return replace(bars, indicators=indicators)


@pytest.mark.parametrize(
    ("disturb", "found"),
    [
        (lambda stores: write_csv(stores, LONGER), ("10 bars only in CSV",)),
        (lambda stores: write_sqlite(stores, LONGER.take(slice(163))), ("3 bars only in SQLite",)),
        (lambda stores: write_csv(stores, BARS.take(slice(4, None))), ("4 bars only in SQLite",)),
        (lambda stores: write_csv(stores, with_one_cell_changed(BARS)), ("1 bars with other values",)),
        (lambda stores: write_sqlite(stores, with_one_cell_changed(BARS)), ("1 bars with other values",)),
        (lambda stores: write_csv(stores, with_one_cell_absent(BARS)), ("1 bars with other values",)),
        (lambda stores: write_sqlite(stores, make_bars(160, seed=9)), ("160 bars with other values",)),
        (
            lambda stores: write_csv(stores, LONGER.take(slice(2, 161))),
            ("1 bars only in CSV", "2 bars only in SQLite"),
        ),
        (lambda stores: stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY)).unlink(), ("160 bars only in SQLite",)),
        (damage_lines, ("2 damaged lines in the CSV file",)),
        (
            lambda stores: execute(stores, "DELETE FROM ledger WHERE ticker = 'VCB' AND interval = '1D'"),
            ("no ledger entry",),
        ),
        (
            lambda stores: execute(stores, "UPDATE ledger SET rows = 1 WHERE ticker = 'VCB' AND interval = '1D'"),
            ("the ledger does not describe the rows",),
        ),
        (
            lambda stores: execute(stores, "UPDATE ledger SET digest = '0' WHERE ticker = 'VCB' AND interval = '1D'"),
            ("the ledger does not describe the rows",),
        ),
        (
            lambda stores: execute(stores, f"DELETE FROM vn_daily WHERE ticker = 'VCB' AND time = {BARS.time[9]}"),
            (
                "1 bars only in CSV",
                "the ledger does not describe the rows",
                "the blocks of columns are not those of the rows",
                "the pre-rendered answers are not those of the rows",
            ),
        ),
        (
            lambda stores: execute(stores, "UPDATE vn_daily SET close = close + 1 WHERE ticker = 'VCB'"),
            (
                "160 bars with other values",
                "the ledger does not describe the rows",
                "the blocks of columns are not those of the rows",
                "the pre-rendered answers are not those of the rows",
            ),
        ),
        (
            lambda stores: execute(stores, "DELETE FROM vn_daily WHERE ticker = 'VCB'"),
            (
                "160 bars only in CSV",
                "the ledger does not describe the rows",
                "the blocks of columns are not those of the rows",
                "the pre-rendered answers are not those of the rows",
            ),
        ),
        (
            lambda stores: execute(stores, "UPDATE vn_daily_blocks SET rows = rows - 1 WHERE ticker = 'VCB'"),
            ("the blocks of columns are not those of the rows",),
        ),
        (
            lambda stores: execute(stores, "DELETE FROM vn_daily_blocks WHERE ticker = 'VCB'"),
            ("the blocks of columns are not those of the rows",),
        ),
        (
            lambda stores: execute(
                stores, "UPDATE vn_daily_texts SET json = replace(json, '1', '2') WHERE ticker = 'VCB'"
            ),
            ("the pre-rendered answers are not those of the rows",),
        ),
        (
            lambda stores: execute(
                stores, f"DELETE FROM vn_daily_texts WHERE ticker = 'VCB' AND time = {BARS.time[9]}"
            ),
            ("the pre-rendered answers are not those of the rows",),
        ),
    ],
)
def test_every_kind_of_difference_is_found_named_and_repaired(
    stores: Stores, disturb: Callable[[Stores], object], found: tuple[str, ...]
) -> None:
    stores.save("VCB", BARS)
    stores.save("ACB", BARS)
    assert problems(stores) == {}
    disturb(stores)
    assert problems(stores) == {"VCB 1D": found}
    reconcile.reconcile_series(stores, SeriesKey(Mode.VN, "VCB", DAY), NOW)
    assert problems(stores) == {}
    assert repair(stores) == set()


def test_a_store_that_cannot_be_read_is_a_problem_of_each_series(filled: Stores) -> None:
    filled.db_manager.close()
    faults.drop_tables(filled.settings.vn_database_path)
    filled.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY)).chmod(0o644)
    reports = list(verify(filled, Mode.VN, [DAY]))
    assert [(each.key.ticker, each.csv_rows, each.sqlite_rows, each.problems) for each in reports] == [
        ("ACB", 160, 0, ("SQLite error: no such table: vn_daily",)),
        ("VCB", 160, 0, ("SQLite error: no such table: vn_daily",)),
    ]
    assert {each.sqlite_fault for each in reports} == {SqliteFault.WRONG_SCHEMA}


def test_a_csv_file_that_cannot_be_read_is_a_problem_of_its_series(filled: Stores) -> None:
    path = filled.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY))
    path.unlink()
    path.mkdir()
    (found,) = problems(filled).items()
    assert found[0] == "VCB 1D"
    assert found[1][0].startswith(f"{path}: ")


@pytest.mark.parametrize("fault", sorted(faults.LASTING.keys() - {"bad page", "tables dropped"}))
def test_without_a_readable_database_there_is_nothing_to_compare(filled: Stores, fault: str) -> None:
    filled.db_manager.close()
    faults.LASTING[fault](filled.settings.vn_database_path)
    with pytest.raises(SqliteError):
        problems(filled)


# Reconciling what is out of step


def test_where_nothing_has_happened_nothing_is_read(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "reconcile_series", lambda *_: pytest.fail("nothing was out of step"))
    assert reconcile_out_of_step(filled, Mode.VN, NOW) == {}


@pytest.mark.parametrize(
    "disturb",
    [
        lambda stores: write_csv(stores, LONGER),
        lambda stores: write_sqlite(stores, LONGER),
        lambda stores: stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY)).unlink(),
        lambda stores: stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY)).touch(),
        damage_lines,
        lambda stores: execute(stores, "DELETE FROM ledger WHERE ticker = 'VCB' AND interval = '1D'"),
        lambda stores: stores.sqlite_store.set_csv_stamp(SeriesKey(Mode.VN, "VCB", DAY), ""),
    ],
)
def test_only_what_is_out_of_step_is_reconciled(filled: Stores, disturb: Callable[[Stores], object]) -> None:
    write_csv(filled, BARS)
    write_sqlite(filled, BARS)
    repair(filled)
    disturb(filled)
    reconciled = reconcile_out_of_step(filled, Mode.VN, NOW)
    assert set(reconciled) == {SeriesKey(Mode.VN, "VCB", DAY)}
    assert reconciled[SeriesKey(Mode.VN, "VCB", DAY)].records >= 160
    assert problems(filled) == {}
    assert repair(filled) == set()


@pytest.mark.parametrize("step", ["enhance", "read_replicas"])
def test_a_series_that_takes_too_much_memory_keeps_no_other_back(
    filled: Stores, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Its file may be read, and what is made of it is still larger."""
    real, refused = getattr(series, step), list[object]()

    def once(*args: object, **more: object) -> object:
        if not refused:
            refused.append(args)
            raise MemoryError
        return real(*args, **more)

    repair(filled)
    for ticker in ("ACB", "VCB"):
        filled.csv_store.write(SeriesKey(Mode.VN, ticker, DAY), make_bars(170))
    monkeypatch.setattr(series, step, once)
    assert set(reconcile_out_of_step(filled, Mode.VN, NOW)) == {SeriesKey(Mode.VN, "VCB", DAY)}


def test_the_markets_are_reconciled_apart(filled: Stores) -> None:
    filled.csv_store.write(SeriesKey(Mode.CRYPTO, "BTC", DAY), make_bars(170, mode=Mode.CRYPTO))
    assert repair(filled, Mode.VN) == set()
    assert repair(filled, Mode.CRYPTO) == {("BTC", DAY)}


@pytest.mark.parametrize("fallback", ["true", "false"])
@pytest.mark.parametrize("fault", list(faults.PASSING))
def test_while_sqlite_does_not_work(make_stores: MakeStores, fault: str, fallback: str) -> None:
    """With the fallback the start goes on with CSV alone; without it there is no start. Nothing is moved aside."""
    stores = make_stores(FALLBACK_TO_CSV=fallback, SQLITE_BUSY_TIMEOUT_MS="0")
    stores.save("VCB", BARS)
    write_csv(stores, make_bars(260))
    with faults.PASSING[fault](stores):
        if fallback == "true":
            assert repair(stores) == {("VCB", DAY)}
        else:
            with pytest.raises(SqliteError):
                repair(stores)
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", make_bars(260))
    assert asides(stores) == []


# Rebuilding the database


def asides(stores: Stores) -> list[Path]:
    path = stores.settings.vn_database_path
    return sorted(path.parent.glob(f"{path.name}.*"))


@pytest.mark.parametrize("fault", ["garbage", "cut short", "tables dropped"])
@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_damaged_database_is_kept_aside_and_filled_anew(
    filled: Stores, make_stores: MakeStores, fault: str, fallback: str, caplog: pytest.LogCaptureFixture
) -> None:
    filled.db_manager.close()
    path = filled.settings.vn_database_path
    faults.LASTING[fault](path)
    damaged = path.read_bytes()
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    assert repair(stores) == {(ticker, interval) for mode, ticker, interval in EVERYTHING if mode is Mode.VN}
    assert_all_in_step(stores)
    assert_all_in_step(stores, Mode.CRYPTO)
    (aside,) = [path for path in asides(stores) if not path.name.endswith(("-wal", "-shm"))]
    assert aside.name == "vn_data.db.damaged-20260302T050000Z"
    assert aside.read_bytes()[100:] == damaged[100:]  # before that stands how often the file was changed
    assert "the vn database is damaged: SQLite error: " in caplog.text
    assert f"the vn database was filled anew from CSV, 960 bars; {aside} is the old one" in caplog.text
    check = stores.db_manager.health(Mode.VN).last_integrity_check
    assert check == "ok at 2026-03-02T05:00:00Z"
    assert repair(stores) == set()


def test_a_link_to_a_database_leads_to_the_new_one_too(make_stores: MakeStores, tmp_path: Path) -> None:
    """The new one is on the disk of the old one. What SQLite keeps beside a database is beside the file itself."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "vn_data.db").symlink_to(tmp_path / "disk" / "bars.db")
    stores = make_stores()
    stores.save("VCB", make_bars(30))
    assert (tmp_path / "disk" / "bars.db-wal").exists()
    assert DatabaseUtils(stores.db_manager).sizes(Mode.VN).write_ahead_log > 0
    stores.db_manager.close()
    faults.fill_with_garbage(tmp_path / "disk" / "bars.db")
    repair(stores)
    assert (tmp_path / "vn_data.db").is_symlink()
    assert_in_step(stores, "VCB", make_bars(30))
    assert len(list((tmp_path / "disk").glob("bars.db.damaged-*"))) == 1


def test_a_missing_database_leaves_nothing_aside(filled: Stores) -> None:
    filled.db_manager.close()
    faults.delete(filled.settings.vn_database_path)
    repair(filled)
    assert_all_in_step(filled)
    assert asides(filled) == []


def test_a_log_left_by_a_vanished_database_is_not_replayed_into_the_new_one(filled: Stores) -> None:
    filled.save("VCB", make_bars(200))
    path = filled.settings.vn_database_path
    log = Path(f"{path}-wal").read_bytes()
    filled.db_manager.close()
    faults.delete(path)
    Path(f"{path}-wal").write_bytes(log)
    repair(filled)
    assert_in_step(filled, "VCB", make_bars(200))
    assert DatabaseUtils(filled.db_manager).check_integrity(Mode.VN, NOW) == "ok"
    assert [each.name for each in asides(filled)] == ["vn_data.db.damaged-20260302T050000Z-wal"]


def test_a_bad_page_is_found_when_its_series_is_out_of_step_and_what_else_can_be_read_is_saved(filled: Stores) -> None:
    faults.spoil_days_of(filled, "VCB")
    filled.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY)).touch()
    filled.csv_store.path(SeriesKey(Mode.VN, "ACB", HOUR)).unlink()  # SQLite has the only copy
    assert {("VCB", DAY), ("ACB", HOUR)} <= repair(filled)
    assert_all_in_step(filled)
    assert len(asides(filled)) == 1


def test_a_bad_page_nobody_has_touched_is_found_by_verify_and_repaired_by_a_rebuild(filled: Stores) -> None:
    faults.spoil_days_of(filled, "VCB")
    assert repair(filled) == set()
    (report,) = [each for each in verify(filled, Mode.VN, Interval) if each.problems]
    assert (report.key.ticker, report.key.interval, report.sqlite_fault) == ("VCB", DAY, SqliteFault.CORRUPT)
    rebuild(filled, Mode.VN, NOW)
    assert_all_in_step(filled)


def test_what_an_interrupted_rebuild_has_left_is_no_obstacle(filled: Stores) -> None:
    path = filled.settings.vn_database_path
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}.rebuilding{suffix}").write_bytes(b"half of something")
    rebuild(filled, Mode.VN, NOW)
    assert_all_in_step(filled)
    assert [each.name for each in asides(filled)] == ["vn_data.db.damaged-20260302T050000Z"]


@pytest.mark.parametrize("fails", ["write", "check", "rename"])
def test_a_rebuild_that_fails_leaves_the_old_database_in_its_place(
    filled: Stores, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """With the fallback too: it is for saves, and half a database is worse than the old one."""

    def fail(*_: object, **__: object) -> None:
        raise SqliteError("database or disk is full", SqliteFault.FULL)

    def may_not(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    match fails:
        case "write":
            monkeypatch.setattr(SqliteStore, "replace", fail)
        case "check":
            monkeypatch.setattr(DatabaseUtils, "check_integrity", lambda *_: "row 5 missing from index")
        case "rename":
            monkeypatch.setattr(Path, "rename", may_not)
    with pytest.raises(SqliteError, match=r"disk is full|row 5 missing|vn_data.db is out of reach: Permission denied"):
        rebuild(filled, Mode.VN, NOW)
    monkeypatch.undo()
    assert_all_in_step(filled)
    rebuild(filled, Mode.VN, NOW)
    assert_all_in_step(filled)


def test_no_database_kept_aside_takes_the_place_of_another(filled: Stores) -> None:
    for _ in range(3):
        rebuild(filled, Mode.VN, NOW)
    name = "vn_data.db.damaged-20260302T050000Z"
    assert [each.name for each in asides(filled)] == [name, f"{name}-2", f"{name}-3"]


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_rebuild_that_fails_at_the_start(
    filled: Stores,
    make_stores: MakeStores,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fallback: str,
) -> None:
    filled.db_manager.close()
    faults.fill_with_garbage(filled.settings.vn_database_path)
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    with monkeypatch.context() as patch:
        patch.setattr(DatabaseUtils, "check_integrity", lambda *_: "row 5 missing from index")
        if fallback == "true":
            caplog.set_level(logging.ERROR)
            repair(stores)
            assert "vn goes on with CSV alone until SQLite works again: SQLite error: the new database" in caplog.text
        else:
            with pytest.raises(SqliteError, match="failed its integrity check: row 5 missing"):
                repair(stores)
    repair(stores)
    assert_all_in_step(stores)


def test_readers_never_see_a_part_of_the_new_database(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the fallback such a part would be an answer with tickers missing."""
    seen: list[int] = []
    original = reconcile.reconcile_series

    def watch(*arguments: object) -> object:
        seen.append(len(filled.sqlite_store.ledger(Mode.VN)))
        return original(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(reconcile, "reconcile_series", watch)
    rebuild(filled, Mode.VN, NOW)
    assert seen == [6] * 6


def test_a_database_of_a_newer_program_is_not_touched(filled: Stores) -> None:
    """It is not damaged, and this program would put less in its place."""
    newer = filled.db_manager.upgrade(Mode.VN) + 1
    execute(filled, f"INSERT INTO schema_migrations VALUES ({newer}, 'of the future', 0)")
    filled.db_manager.close()
    repair(filled)
    assert asides(filled) == []
    with filled.db_manager.snapshot(Mode.VN) as connection:
        assert connection.execute("SELECT max(version) FROM schema_migrations").fetchone() == (newer,)


def flip_in_latest_version(stores: Stores, bit: int) -> None:
    """In the file's one byte for the number of the newest migration: the key of its row, five before the name."""
    stores.db_manager.close()
    path = stores.settings.vn_database_path
    data = bytearray(path.read_bytes())
    latest = known_migrations(Mode.VN)[-1]
    place = data.index(latest.name.encode()) - 5
    assert data[place] == latest.version
    data[place] ^= 1 << bit
    path.write_bytes(data)


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_in_the_schema_version_is_repaired(filled: Stores, bit: int) -> None:
    flip_in_latest_version(filled, bit)
    repair(filled)
    assert "vn_data.db.damaged-20260302T050000Z" in {each.name for each in asides(filled)}
    assert_all_in_step(filled)
    assert filled.db_manager.upgrade(Mode.VN) == known_migrations(Mode.VN)[-1].version


@pytest.mark.parametrize("bit", [4, 6])  # the number is then greater than any that the program knows
def test_without_a_look_at_the_numbers_it_stays_for_good(
    filled: Stores, monkeypatch: pytest.MonkeyPatch, bit: int
) -> None:
    flip_in_latest_version(filled, bit)

    def newest(connection: sqlite3.Connection) -> int:
        version: int = connection.execute(SCHEMA_VERSION).fetchone()[0]
        return version

    monkeypatch.setattr(migrations, "_current_version", newest)
    repair(filled)
    assert asides(filled) == []
    with pytest.raises(SqliteError, match="run a newer version of the program"):
        filled.db_manager.upgrade(Mode.VN)
