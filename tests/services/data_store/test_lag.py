"""A series of which CSV is ahead is answered from CSV until SQLite has caught up, whoever let it fall behind."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from stockapi.errors import DeadlineError, SqliteError
from stockapi.formats.default_rows import TextForm
from stockapi.models import Interval, Mode, QueryParameters
from stockapi.models.limits import Limits, RowBudget
from stockapi.models.series import SeriesKey
from stockapi.models.window import LastOfEach
from stockapi.services.csv_enhancer import reconcile_if_out_of_step
from stockapi.services.data_store import DataSource, DataStore
from stockapi.services.data_store.coverage import CoverageReader
from stockapi.services.data_store.lag import Lag
from stockapi.services.database_manager.migrations import known_migrations
from stockapi.services.upkeep import reconcile
from stockapi.services.upkeep.catch_up import catch_up
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import rebuild, reconcile_out_of_step
from stockapi.services.upkeep.verification import verify_and_repair
from stockapi.services.writer_lock import writer_lock
from tests import faults
from tests.support.stores import NOW, MakeStores, Stores, make_bars
from workers.catch_up_loop import CatchUpLoop
from workers.clocks import Clocks

DAY = Interval.DAILY
VCB = SeriesKey(Mode.VN, "VCB", DAY)
NEW = make_bars(310)
OLD = NEW.take(slice(300))


@pytest.fixture
def filled(make_stores: MakeStores) -> Stores:
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="0")
    stores.save("VCB", OLD)
    stores.save("ACB", OLD)
    return stores


# Whoever lets it fall behind


def locked(stores: Stores) -> Iterator[None]:
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        stores.save("VCB", NEW)
        yield


def read_only(stores: Stores) -> Iterator[None]:
    with stores.db_manager.maintenance_connection(Mode.VN) as connection:
        connection.execute("PRAGMA query_only = ON")
    stores.save("VCB", NEW)
    yield


def full(stores: Stores) -> Iterator[None]:
    with stores.db_manager.maintenance_connection(Mode.VN) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    stores.save("VCB", make_bars(4_000, seed=3), rewrite_all=True)
    stores.save("VCB", NEW, rewrite_all=True)
    assert stores.behind.of(Mode.VN) == [VCB]
    yield


def newer_schema(stores: Stores) -> Iterator[None]:
    stores.db_manager.close()
    with closing(sqlite3.connect(stores.settings.vn_database_path)) as other, other:
        other.execute("INSERT INTO schema_migrations SELECT max(version) + 1, 'later', 0 FROM schema_migrations")
    stores.save("VCB", NEW)
    yield


def list_without_its_end(stores: Stores) -> Iterator[None]:
    stores.db_manager.close()
    with closing(sqlite3.connect(stores.settings.vn_database_path)) as other, other:
        other.execute("DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)")
    stores.save("VCB", NEW)
    yield


def killed_between_the_two_writes(stores: Stores) -> Iterator[None]:
    stores.csv_store.write_tail(VCB, NEW.take(slice(300, None)), int(NEW.time[300]))
    yield


def older_database(stores: Stores) -> Iterator[None]:
    """Put in its place by hand, by a restore, by a power cut."""
    database = stores.settings.vn_database_path
    stores.db_manager.checkpoint(Mode.VN, "TRUNCATE")
    shutil.copy(database, database.with_name("older.db"))
    stores.save("VCB", NEW)
    faults.delete(database)
    database.with_name("older.db").rename(database)
    yield


def writes_were_off(stores: Stores, make_stores: MakeStores) -> Iterator[None]:
    make_stores(SQLITE_WRITES="false").save("VCB", NEW)
    yield


@pytest.fixture(
    params=[
        locked,
        read_only,
        full,
        newer_schema,
        list_without_its_end,
        killed_between_the_two_writes,
        older_database,
        writes_were_off,
    ]
)
def behind(filled: Stores, make_stores: MakeStores, request: pytest.FixtureRequest) -> Iterator[Stores]:
    """What a web process has, of a market of which CSV is ahead."""
    way: Callable[..., Iterator[None]] = request.param
    steps = way(filled, make_stores) if way is writes_were_off else way(filled)
    next(steps)
    yield make_stores()
    with suppress(StopIteration):
        next(steps)


def test_csv_answers_that_series_and_sqlite_the_others(behind: Stores) -> None:
    store, expected = DataStore(behind), {"ACB": OLD, "VCB": NEW}
    for symbols, source in ((("VCB",), DataSource.CSV), (("ACB",), DataSource.SQLITE), (None, DataSource.MIXED)):
        params = QueryParameters(symbols=symbols, start=0, limit=None)
        found = store.get_data_smart_sqlite(params, behind.limits)
        assert found.source is source
        assert list(found.bars) == list(symbols or expected)
        assert all(bars.equals(expected[symbol]) for symbol, bars in found.bars.items())


def test_the_prerendered_answers_do_not_answer_for_it(behind: Stores) -> None:
    store = DataStore(behind)
    assert store.get_prerendered(TextForm.JSON, QueryParameters(symbols=("VCB",), limit=3), behind.limits) is None
    assert store.get_prerendered(TextForm.JSON, QueryParameters(limit=3), behind.limits) is None
    assert store.get_prerendered(TextForm.JSON, QueryParameters(symbols=("ACB",), limit=3), behind.limits) is not None


def test_the_last_bars_and_the_coverage_are_those_of_csv(behind: Stores) -> None:
    last = DataStore(behind).get_last_bars(LastOfEach(mode=Mode.VN), behind.limits)
    assert dict(zip(last.section.symbols, last.section.bars.time.tolist(), strict=True)) == {
        "ACB": OLD.time[-1],
        "VCB": NEW.time[-1],
    }
    coverage = CoverageReader(behind).read(Mode.VN, DAY, None, behind.limits)
    assert {symbol: each.count for symbol, each in coverage.tickers.items()} == {"ACB": 300, "VCB": 310}
    assert coverage.source is DataSource.MIXED


def test_after_all_were_compared_a_query_of_all_compares_none_until_something_is_written(
    filled: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer_lock(filled.settings, [Mode.VN]):
        filled.save("FPT", OLD)
    compared: list[str] = []
    original = Lag.may_be_behind
    monkeypatch.setattr(
        Lag, "may_be_behind", lambda self, key, stamp: compared.append(key.ticker) or original(self, key, stamp)
    )
    store, params = DataStore(filled), QueryParameters(limit=3)

    def ask(source: DataSource) -> list[str]:
        compared.clear()
        found = store.get_text_or_bars(TextForm.JSON, params, filled.limits)
        assert found.source is source
        return sorted(set(compared))

    assert ask(DataSource.SQLITE) == ["ACB", "FPT", "VCB"]
    assert ask(DataSource.SQLITE) == []
    filled.save("VCB", NEW)
    assert ask(DataSource.SQLITE) == ["ACB", "FPT", "VCB"]
    assert ask(DataSource.SQLITE) == []
    filled.csv_store.write_tail(VCB, make_bars(320).take(slice(310, None)), int(make_bars(320).time[310]))
    assert ask(DataSource.MIXED) == ["ACB", "FPT", "VCB"]
    assert ask(DataSource.MIXED) == ["ACB", "FPT", "VCB"]
    reconcile_out_of_step(filled, Mode.VN, NOW)
    assert ask(DataSource.SQLITE) == ["ACB", "FPT", "VCB"]
    assert ask(DataSource.SQLITE) == []
    filled.db_manager.close()
    database = filled.settings.vn_database_path
    shutil.copy(database, database.with_name("copy.db"))
    database.with_name("copy.db").rename(database)
    assert ask(DataSource.SQLITE) == ["ACB", "FPT", "VCB"], "another file may hold anything"


# What is not ahead


def shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def cut_at_a_line(path: Path) -> None:
    path.write_text("".join(path.read_text(encoding="ascii").splitlines(keepends=True)[:-5]), encoding="ascii")


def copied(path: Path) -> None:
    """With its time, as `cp -a` and `rsync -a` do, and another inode."""
    shutil.copy2(path, path.with_name("copy"))
    path.with_name("copy").rename(path)


def of_before(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b",5", b",4"))
    os.utime(path, ns=(0, 1))


def garbage(path: Path) -> None:
    path.write_bytes(b"\0" * 10_000)


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [Path.unlink, shorter, cut_at_a_line, copied, of_before, garbage, a_directory])
def test_a_file_that_others_have_changed_is_no_reason_to_leave_sqlite(
    filled: Stores, change: Callable[[Path], None]
) -> None:
    change(filled.csv_store.path(VCB))
    found = DataStore(filled).get_data_smart_sqlite(
        QueryParameters(symbols=("VCB",), start=0, limit=None), filled.limits
    )
    assert found.source is DataSource.SQLITE
    assert found.bars["VCB"].equals(OLD)


def test_without_the_fallback_sqlite_answers(filled: Stores, make_stores: MakeStores) -> None:
    filled.csv_store.write(VCB, NEW)
    alone = make_stores(FALLBACK_TO_CSV="false")
    assert DataStore(alone).get_data_smart_sqlite(QueryParameters(), alone.limits).source is DataSource.SQLITE


def test_the_comparison_ends_at_the_deadline(filled: Stores) -> None:
    filled.csv_store.write(VCB, NEW)
    over = iter([0.0])
    limits = Limits(float("1e9"), RowBudget(1_000), lambda: next(over, 2e9))
    with pytest.raises(DeadlineError):
        DataStore(filled).get_data_smart_sqlite(QueryParameters(), limits)


# Catching up


def test_catching_up_begins_when_the_obstacle_goes(filled: Stores) -> None:
    clocks = Clocks()
    catching_up = CatchUpLoop(filled, [Mode.VN], threading.Event(), clocks)
    with closing(sqlite3.connect(filled.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        filled.save("VCB", NEW)
        catching_up.run_once()
        assert filled.behind.of(Mode.VN) == [VCB]
    catching_up._not_before[Mode.VN] = 0.0
    catching_up.run_once()
    assert filled.behind.of(Mode.VN) == []
    assert filled.in_sqlite("VCB").equals(NEW)


def test_a_database_whose_list_of_migrations_lost_its_end_is_filled_anew(filled: Stores) -> None:
    next(list_without_its_end(filled))
    CatchUpLoop(filled, [Mode.VN], threading.Event(), Clocks()).run_once()
    assert filled.in_sqlite("VCB").equals(NEW)
    assert filled.db_manager.upgrade(Mode.VN) == len(known_migrations(Mode.VN))


def test_a_start_fills_it_anew_too(filled: Stores) -> None:
    next(list_without_its_end(filled))
    reconcile_out_of_step(filled, Mode.VN, NOW)
    assert filled.in_sqlite("VCB").equals(NEW)


def test_what_was_saved_while_a_database_was_filled_anew_is_in_it(
    filled: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last moment for it: the new one is checked already."""
    swap_in = DatabaseUtils.swap_in

    def save_first(self: DatabaseUtils, *args: object) -> Path | None:
        filled.save("VCB", NEW)
        return swap_in(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(DatabaseUtils, "swap_in", save_first)
    seen: list[DataSource] = []
    reconcile_each = reconcile._reconcile_each

    def ask_first(*args: object, **more: object) -> object:
        params = QueryParameters(symbols=("VCB",), start=0, limit=None)
        found = DataStore(filled).get_data_smart_sqlite(params, filled.limits)
        seen.append(found.source)
        assert len(found.bars["VCB"]) == (310 if len(seen) > 1 else 300)
        return reconcile_each(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(reconcile, "_reconcile_each", ask_first)
    rebuild(filled, Mode.VN, NOW)
    assert seen == [DataSource.SQLITE, DataSource.CSV]
    assert filled.in_sqlite("VCB").equals(NEW)


@pytest.mark.parametrize("begins_new", [True, False], ids=["a new series", "a longer one"])
def test_a_save_in_batches_that_meets_another_database_leaves_no_hole(
    make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch, begins_new: bool
) -> None:
    stores = make_stores(SQLITE_BATCH_SIZE="100")
    stores.save("ACB", OLD)
    longer = make_bars(600)
    if not begins_new:
        stores.save("VCB", longer.take(slice(50)))
    transaction, calls = stores.db_manager.transaction, []

    def swap_before_the_third(mode: Mode) -> object:
        calls.append(mode)
        if len(calls) == 3:
            monkeypatch.undo()
            rebuild(stores, mode, NOW)
        return transaction(mode)

    monkeypatch.setattr(stores.db_manager, "transaction", swap_before_the_third)
    stores.save("VCB", longer.take(slice(0 if begins_new else 50, None)))
    assert len(calls) == 3
    reconcile_if_out_of_step(stores, VCB, NOW)
    assert stores.in_csv("VCB").equals(longer)
    assert stores.in_sqlite("VCB").equals(longer)
    assert all(not report.problems for report in reconcile.verify(stores, Mode.VN, Interval))


def test_the_database_of_a_newer_program_is_never_replaced(filled: Stores) -> None:
    """Not even when its tables are no more as this program knows them."""
    next(newer_schema(filled))
    with closing(sqlite3.connect(filled.settings.vn_database_path)) as other, other:
        other.execute("ALTER TABLE vn_daily RENAME COLUMN close TO last")
    before = filled.settings.vn_database_path.stat().st_ino
    with pytest.raises(SqliteError, match="run a newer version of the program"):
        verify_and_repair(filled, Mode.VN, lambda: NOW)
    reconcile_out_of_step(filled, Mode.VN, NOW)
    CatchUpLoop(filled, [Mode.VN], threading.Event(), Clocks()).run_once()
    assert filled.settings.vn_database_path.stat().st_ino == before
    assert not list(filled.settings.vn_database_path.parent.glob("*.damaged-*"))


def test_nothing_to_catch_up_with_writes_nothing(filled: Stores) -> None:
    before = filled.settings.vn_database_path.stat().st_mtime_ns
    assert catch_up(filled, Mode.VN, lambda: NOW, threading.Event())
    assert filled.settings.vn_database_path.stat().st_mtime_ns == before
