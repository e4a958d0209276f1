"""The dual write: CSV first, SQLite in step with it, and what becomes of both when SQLite does not play along."""

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.errors import CsvError, SqliteError, SqliteFault, StoreError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.models.timestamps import format_times
from stockapi.services.csv_enhancer import (
    EnhancementStats,
    OpenSeries,
    SaveResult,
    enhance_interval_filtered_with_sqlite,
    reconcile_if_out_of_step,
    reconcile_series,
    stored_tickers,
)
from stockapi.services.csv_store import CsvStore
from stockapi.services.csv_store.quarantine import Quarantine
from stockapi.services.sqlite_store import SqliteStore
from tests import faults
from tests.faults import assert_in_step, problems, repair
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars

DAY = Interval.DAILY
BARS = make_bars(250)
T = BARS.time.tolist()
PATIENCE = {"SQLITE_BUSY_TIMEOUT_MS": "0"}


def positions(begin: int, end: int | None = None) -> Bars:
    return BARS.take(slice(begin, end))


def revised(bars: Bars, position: int, close: float = 12_345.0) -> Bars:
    """The same bars with another close, and indicators that follow from it."""
    prices = bars.prices.copy()
    prices[3, position] = close
    return enhance(Bars.of(bars.time, prices, bars.volume), Mode.VN, is_index=False)


def reconcile_now(stores: Stores, ticker: str = "VCB", mode: Mode = Mode.VN) -> EnhancementStats:
    return reconcile_series(stores, SeriesKey(mode, ticker, DAY), NOW)


def enhance_all(stores: Stores, tickers: list[str] | None = None, interval: Interval = DAY) -> EnhancementStats:
    return enhance_interval_filtered_with_sqlite(stores, interval, Mode.VN, tickers, NOW)


def only_in_sqlite(stores: Stores, bars: Bars, stamp: str = "") -> None:
    stores.sqlite_store.replace(SeriesKey(Mode.VN, "VCB", DAY), bars, csv_stamp=stamp, now=0)


def only_in_csv(stores: Stores, bars: Bars) -> None:
    stores.csv_store.write(SeriesKey(Mode.VN, "VCB", DAY), bars)


def csv_path(stores: Stores) -> Path:
    return stores.csv_store.path(SeriesKey(Mode.VN, "VCB", DAY))


def disk_state(stores: Stores) -> tuple[object, ...]:
    """Changes with whatever is written to either store."""
    status = csv_path(stores).stat()
    log = Path(f"{stores.settings.vn_database_path}-wal")
    return status.st_ino, status.st_mtime_ns, status.st_size, log.stat().st_size


# What a save writes, and returns


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("rewrite_all", [False, True])
def test_a_first_save_puts_the_same_into_both_stores(
    stores: Stores, mode: Mode, interval: Interval, rewrite_all: bool
) -> None:
    bars = make_bars(250, interval, mode)
    result = stores.save("ABC", bars, interval, mode, rewrite_all=rewrite_all)
    assert_in_step(stores, "ABC", bars, interval, mode)
    assert (result.rows, result.sqlite_error) == (250, None)
    assert result.csv_bytes == stores.csv_store.path(SeriesKey(mode, "ABC", interval)).stat().st_size
    assert result.csv_seconds > 0.0
    assert result.sqlite_seconds > 0.0


@pytest.mark.parametrize(
    ("given", "cutoff", "rows"),
    [
        (positions(200), None, 50),
        (positions(0), T[200], 50),
        (positions(190), T[200], 50),
        (positions(0), T[200] - 1, 50),
        (positions(200), T[199] + 1, 50),
        (positions(180), None, 70),
        (positions(0), None, 250),
        (positions(200, 230), None, 30),
    ],
)
def test_a_tail_takes_the_place_of_the_bars_from_the_cutoff_on(
    stores: Stores, given: Bars, cutoff: int | None, rows: int
) -> None:
    stores.save("VCB", positions(0, 200))
    result = stores.save("VCB", given, cutoff=cutoff)
    assert result.rows == rows
    assert_in_step(stores, "VCB", positions(0, 200).merge(given))


def test_the_cost_of_a_tail_is_that_of_its_rows(stores: Stores) -> None:
    stores.save("VCB", positions(0, 249))
    line = len(csv_path(stores).read_text().splitlines()[-1])
    result = stores.save("VCB", positions(248))
    assert result.rows == 2
    assert result.csv_bytes < 3 * line


@pytest.mark.parametrize("rewrite_all", [False, True])
def test_stored_values_give_way_to_newer_ones(stores: Stores, rewrite_all: bool) -> None:
    stores.save("VCB", BARS)
    newer = revised(BARS, 240)
    stores.save("VCB", newer, cutoff=T[240], rewrite_all=rewrite_all)
    assert_in_step(stores, "VCB", newer)


def test_rewriting_all_is_how_bars_are_dropped(stores: Stores) -> None:
    stores.save("VCB", BARS)
    fewer = BARS.take(np.array([0, 2, 5, 9]))
    assert stores.save("VCB", fewer, rewrite_all=True).rows == 4
    assert_in_step(stores, "VCB", fewer)


@pytest.mark.parametrize(
    ("given", "cutoff", "lost"),
    [
        (positions(240, 249), None, 1),
        (BARS.take(np.array([200, 249])), None, 48),
        (positions(245), T[240], 5),
        (positions(249), T[0], 249),
    ],
)
def test_a_tail_that_would_lose_bars_changes_nothing(
    stores: Stores, given: Bars, cutoff: int | None, lost: int
) -> None:
    stores.save("VCB", BARS)
    before = disk_state(stores)
    with pytest.raises(CsvError, match=f"{lost} stored bars, .*would be lost; to drop bars, write the series"):
        stores.save("VCB", given, cutoff=cutoff)
    assert disk_state(stores) == before
    assert_in_step(stores, "VCB", BARS)


@pytest.mark.parametrize(
    ("given", "cutoff", "rewrite_all"),
    [(positions(0, 0), None, False), (positions(0, 0), None, True), (BARS, T[-1] + 1, False)],
)
def test_no_bars_no_change(stores: Stores, given: Bars, cutoff: int | None, rewrite_all: bool) -> None:
    stores.save("VCB", BARS)
    before = disk_state(stores)
    assert stores.save("VCB", given, cutoff=cutoff, rewrite_all=rewrite_all) == SaveResult()
    assert disk_state(stores) == before


@pytest.mark.parametrize("begin", [0, 100, 249])
def test_what_is_stored_already_is_not_written(stores: Stores, begin: int) -> None:
    stores.save("VCB", BARS)
    before = disk_state(stores)
    assert stores.save("VCB", positions(begin)).csv_bytes == 0
    assert disk_state(stores) == before


def test_only_one_partition_is_touched(stores: Stores) -> None:
    others = [("ACB", DAY, Mode.VN), ("VCB", Interval.HOURLY, Mode.VN), ("VCB", DAY, Mode.CRYPTO)]
    for seed, (ticker, interval, mode) in enumerate(others):
        stores.save(ticker, make_bars(30, interval, mode, seed), interval, mode)
    stores.save("VCB", BARS)
    stores.save("VCB", positions(0, 10), rewrite_all=True)
    assert_in_step(stores, "VCB", positions(0, 10))
    for seed, (ticker, interval, mode) in enumerate(others):
        assert_in_step(stores, ticker, make_bars(30, interval, mode, seed), interval, mode)


def test_bars_that_cannot_be_stored_reach_neither_store(stores: Stores) -> None:
    stores.save("VCB", positions(0, 200))
    wrong = replace(positions(190), prices=np.full((4, 60), -1.0))
    with pytest.raises(CsvError, match="cannot be stored"):
        stores.save("VCB", wrong)
    assert_in_step(stores, "VCB", positions(0, 200))


# SQLite fails


@pytest.fixture(params=list(faults.PASSING))
def passing_fault(request: pytest.FixtureRequest) -> Callable[[Stores], AbstractContextManager[None]]:
    return faults.PASSING[request.param]


Fault = Callable[[Stores], AbstractContextManager[None]]


def test_with_the_fallback_csv_goes_on_alone_and_the_next_save_repairs(
    make_stores: MakeStores, passing_fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    stores = make_stores(**PATIENCE)
    stores.save("VCB", positions(0, 100))
    with passing_fault(stores):
        caplog.clear()
        result = stores.save("VCB", revised(positions(0, 200), 90), cutoff=T[90])
        assert result.rows == 110
        assert result.csv_bytes > 0
        assert result.sqlite_error is not None
        assert result.sqlite_error.startswith("SQLite error: ")
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "vn VCB 1D goes on with CSV alone until SQLite works again: SQLite error: " in caplog.text
        assert stores.in_csv("VCB").equals(revised(positions(0, 200), 90))
    assert stores.in_sqlite("VCB").equals(positions(0, 100))
    whole = revised(BARS, 90)
    assert stores.save("VCB", whole.take(slice(200, None))).sqlite_error is None
    assert_in_step(stores, "VCB", whole)
    assert repair(stores) == set()


def test_with_the_fallback_the_next_start_repairs(make_stores: MakeStores, passing_fault: Fault) -> None:
    stores = make_stores(**PATIENCE)
    stores.save("VCB", positions(0, 100))
    with passing_fault(stores):
        stores.save("VCB", positions(90, 200))
        stores.save("NEW", positions(0, 50))
    assert repair(stores) == {("VCB", DAY), ("NEW", DAY)}
    assert_in_step(stores, "VCB", positions(0, 200))
    assert_in_step(stores, "NEW", positions(0, 50))


def test_without_the_fallback_it_raises_and_csv_is_intact(make_stores: MakeStores, passing_fault: Fault) -> None:
    stores = make_stores(FALLBACK_TO_CSV="false", **PATIENCE)
    stores.save("VCB", positions(0, 100))
    with passing_fault(stores), pytest.raises(SqliteError, match="SQLite error: "):
        stores.save("VCB", positions(90, 200))
    assert stores.in_csv("VCB").equals(positions(0, 200))
    assert stores.in_sqlite("VCB").equals(positions(0, 100))
    stores.save("VCB", positions(200))
    assert_in_step(stores, "VCB", BARS)


@pytest.mark.parametrize("repeats", [2, 3])
def test_a_fault_that_lasts_for_many_saves_repairs_all_the_same(
    make_stores: MakeStores, passing_fault: Fault, repeats: int
) -> None:
    """From the second save on SQLite is behind already, so each tries to reconcile - and must fail just as softly."""
    stores = make_stores(**PATIENCE)
    stores.save("VCB", positions(0, 100))
    with passing_fault(stores):
        # Forty rows do not fit into what may be left of a page.
        results = [stores.save("VCB", positions(95 + 40 * n, 140 + 40 * n)) for n in range(repeats)]
    assert all(result.sqlite_error for result in results)
    newest = 100 + 40 * repeats
    assert stores.in_csv("VCB").equals(positions(0, newest))
    stores.save("VCB", positions(newest - 1, newest + 1))
    assert_in_step(stores, "VCB", positions(0, newest + 1))


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_directory_in_which_nothing_can_be_written(tmp_path: Path, fallback: str) -> None:
    with faults.unprivileged(tmp_path) as directory:
        variables = environment(directory, VN_DATABASE_PATH=str(directory / "db" / "vn.db"), FALLBACK_TO_CSV=fallback)
        settings = Settings.from_mapping(variables)
        stores = Stores.of(settings)
        stores.save("VCB", positions(0, 100))
        with faults.read_only(stores):
            if fallback == "true":
                assert "SQLite error: " in (stores.save("VCB", positions(100, 200)).sqlite_error or "")
            else:
                with pytest.raises(SqliteError):
                    stores.save("VCB", positions(100, 200))
            assert stores.in_csv("VCB").equals(positions(0, 200))
        assert repair(stores) == {("VCB", DAY)}
        assert_in_step(stores, "VCB", positions(0, 200))
        stores.db_manager.close()


# A bad page is found when it is read, see test_reconcile.
@pytest.mark.parametrize("fault", sorted(faults.LASTING.keys() - {"bad page"}))
@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_database_that_is_lost_or_damaged_is_filled_anew_at_the_next_start(
    make_stores: MakeStores, fault: str, fallback: str
) -> None:
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    stores.save("VCB", BARS)
    stores.save("VCB", make_bars(100, Interval.HOURLY), Interval.HOURLY)
    stores.save("ACB", positions(0, 100))
    stores.db_manager.close()
    faults.LASTING[fault](stores.settings.vn_database_path)
    try:
        stores.save("ACB", positions(99, 200))
    except SqliteError:
        assert fallback == "false"
    assert stores.in_csv("ACB").equals(positions(0, 200))
    repair(stores)
    assert_in_step(stores, "VCB", BARS)
    assert_in_step(stores, "VCB", make_bars(100, Interval.HOURLY), Interval.HOURLY)
    assert_in_step(stores, "ACB", positions(0, 200))
    assert problems(stores) == {}
    assert repair(stores) == set()


def test_a_deleted_database_is_not_made_again_by_a_save_but_whole_by_the_repair(stores: Stores) -> None:
    """One with a single series in it would answer for all others that they have no bars."""
    stores.save("VCB", positions(0, 200))
    stores.save("ACB", positions(0, 50))
    faults.delete(stores.settings.vn_database_path)
    assert "unable to open" in (stores.save("VCB", positions(200)).sqlite_error or "")
    assert not stores.settings.vn_database_path.exists()
    assert repair(stores) == {("ACB", DAY), ("VCB", DAY)}
    assert_in_step(stores, "VCB", BARS)
    assert_in_step(stores, "ACB", positions(0, 50))


@pytest.mark.parametrize("by_save", [True, False])
def test_an_old_copy_of_the_database_catches_up(stores: Stores, tmp_path: Path, by_save: bool) -> None:
    stores.save("VCB", positions(0, 100))
    faults.old_copy(stores.settings.vn_database_path, tmp_path / "old.db")
    newest = revised(positions(0, 200), 50)
    stores.save("VCB", newest, cutoff=T[50])
    stores.db_manager.close()
    faults.put(stores.settings.vn_database_path, (tmp_path / "old.db").read_bytes())
    if by_save:
        stores.save("VCB", newest.take(slice(199, None)))
    else:
        assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", newest)


def test_a_save_that_finds_sqlite_behind_reconciles_and_says_so(
    stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    stores.save("VCB", positions(0, 100))
    only_in_csv(stores, positions(0, 150))
    assert stores.save("VCB", positions(149, 160)).sqlite_error is None
    assert "vn VCB 1D was not the same in both stores; reconciling it" in caplog.text
    assert_in_step(stores, "VCB", positions(0, 160))


# Guards, and what is lost without them


def test_without_the_stamps_a_failed_save_would_be_forgotten(
    make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = make_stores(SQLITE_BATCH_SIZE="5", **PATIENCE)
    monkeypatch.setattr(CsvStore, "stamp", lambda _self, key: "always the same" if key.interval is DAY else "")
    stores.save("VCB", positions(0, 100))
    with faults.locked(stores):
        stores.save("VCB", positions(100, 110))
    stores.save("VCB", positions(110, 120))
    assert repair(stores) == set()
    assert stores.in_sqlite("VCB").equals(positions(0, 100).merge(positions(110, 120))), "ten bars are missing"
    monkeypatch.undo()
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", positions(0, 120))


def test_the_newest_batch_is_read_back_from_both_sides(
    make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second line of defence: SQLite keeps something else than it was given."""
    stores = make_stores()
    stores.save("VCB", positions(0, 100))
    original = SqliteStore.save_tail
    with monkeypatch.context() as patch:
        patch.setattr(
            SqliteStore,
            "save_tail",
            lambda self, key, bars, **rest: original(self, key, revised(bars, -1), **rest),
        )
        with pytest.raises(StoreError, match="vn VCB 1D reads back differently from CSV and from SQLite"):
            stores.save("VCB", positions(95, 110))
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", positions(0, 110))


# The rollout flag


def test_with_sqlite_writes_off_only_csv_is_written_and_later_repaired(make_stores: MakeStores) -> None:
    before = make_stores()
    before.save("VCB", positions(0, 100))
    before.db_manager.close()
    off = make_stores(SQLITE_WRITES="false")
    log = off.settings.vn_database_path.stat()
    result = off.save("VCB", positions(100, 200))
    off.save("NEW", positions(0, 50))
    assert (result.rows, result.sqlite_error) == (100, None)
    reconcile_if_out_of_step(off, SeriesKey(Mode.VN, "VCB", DAY), NOW)
    assert repair(off) == set()
    assert off.settings.vn_database_path.stat() == log
    assert off.in_csv("VCB").equals(positions(0, 200))

    on = make_stores()
    reconcile_if_out_of_step(on, SeriesKey(Mode.VN, "VCB", DAY), NOW)
    assert_in_step(on, "VCB", positions(0, 200))
    assert repair(on) == {("NEW", DAY)}
    assert_in_step(on, "NEW", positions(0, 50))


def test_with_sqlite_writes_off_no_database_is_made(make_stores: MakeStores) -> None:
    off = make_stores(SQLITE_WRITES="false")
    off.save("VCB", BARS)
    reconcile_now(off)
    enhance_all(off)
    assert not off.settings.vn_database_path.exists()
    assert stored_tickers(off, Mode.VN, DAY) == ["VCB"]


# Reconciling


WRONG = replace(BARS, indicators=BARS.indicators + 1.0)


@pytest.mark.parametrize(
    ("in_csv", "in_sqlite", "expected"),
    [
        (positions(0, 100), positions(0, 0), positions(0, 100)),
        (positions(0, 0), positions(0, 100), positions(0, 100)),
        (positions(0, 150), positions(0, 100), positions(0, 150)),
        (positions(0, 100), positions(0, 150), positions(0, 150)),
        (positions(0, 100), positions(100, 200), positions(0, 200)),
        (positions(100, 200), positions(0, 100), positions(0, 200)),
        (positions(50, 100), positions(0, 200), positions(0, 200)),
        (BARS.take(slice(0, None, 2)), BARS.take(slice(1, None, 2)), BARS),
        (revised(BARS, 7), BARS, revised(BARS, 7)),
        (WRONG, BARS, BARS),
        (BARS, WRONG, BARS),
        (WRONG, WRONG, BARS),
        (Bars.of(BARS.time, BARS.prices, BARS.volume), positions(0, 0), BARS),
    ],
)
def test_reconciling_gives_both_stores_the_bars_of_either(
    stores: Stores, in_csv: Bars, in_sqlite: Bars, expected: Bars
) -> None:
    """CSV's where both have one; indicators are those of the whole series, whatever either side held."""
    if len(in_csv):
        only_in_csv(stores, in_csv)
    if len(in_sqlite):
        only_in_sqlite(stores, in_sqlite)
    # Half of a series alone has other indicators than within the whole.
    expected = enhance(expected, Mode.VN, is_index=False)
    stats = reconcile_now(stores)
    assert_in_step(stores, "VCB", expected)
    assert (stats.tickers, stats.records, stats.sqlite_errors) == (1, len(expected), 0)
    assert (stats.bytes_written > 0) == (not expected.equals(in_csv))
    before = disk_state(stores)
    assert reconcile_now(stores).bytes_written == 0
    assert disk_state(stores) == before


def test_reconciling_what_nobody_has_does_nothing(stores: Stores) -> None:
    stats = reconcile_now(stores)
    assert (stats.records, stats.bytes_written) == (0, 0)
    assert not csv_path(stores).parent.exists()


def test_reconciling_brings_a_deleted_csv_file_back(stores: Stores) -> None:
    stores.save("VCB", BARS)
    shutil.rmtree(csv_path(stores).parent)
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", BARS)


def test_a_save_onto_a_deleted_csv_file_brings_the_earlier_bars_back(stores: Stores) -> None:
    stores.save("VCB", positions(0, 200))
    csv_path(stores).unlink()
    stores.save("VCB", positions(190))
    assert_in_step(stores, "VCB", BARS)


@pytest.mark.parametrize(
    ("damage", "reason", "expected"),
    [
        (lambda text: text[:-30], "torn last line", BARS),
        (lambda text: text + "VCB,what is this\n", "2 fields", BARS),
        (lambda text: text.replace(f"\nVCB,{np.datetime64(T[5], 's')!s:.10},", "\nVCB,the day before,"), "time", BARS),
    ],
)
def test_damaged_lines_go_to_the_quarantine_and_their_bars_come_back(
    stores: Stores, damage: Callable[[str], str], reason: str, expected: Bars
) -> None:
    stores.save("VCB", BARS)
    path = csv_path(stores)
    whole = path.read_text()
    path.write_text(damage(whole))
    assert path.read_text() != whole
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", expected)
    assert path.read_text() == whole
    kept = Quarantine(stores.settings).path(Mode.VN).read_text()
    assert reason in kept
    assert str(path) in kept
    repair(stores)
    assert Quarantine(stores.settings).path(Mode.VN).read_text() == kept, "once is enough"


def test_a_file_whose_columns_are_not_known_comes_back_from_sqlite(stores: Stores) -> None:
    stores.save("VCB", BARS)
    path = csv_path(stores)
    whole = path.read_text()
    path.write_text(whole.replace("open,high", "op3n,high", 1))
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", BARS)
    assert path.read_text() == whole
    kept = Quarantine(stores.settings).path(Mode.VN).read_text()
    assert kept.count("line 1: the header lacks open") == len(BARS) + 1


def test_a_file_whose_columns_are_not_known_is_left_alone_where_it_may_hold_more(stores: Stores) -> None:
    stores.save("VCB", BARS)
    path = csv_path(stores)
    text = path.read_text().replace("open,high", "op3n,high", 1) + "VCB,2090-01-01,1,1,1,1,1\n"
    path.write_text(text)
    with pytest.raises(CsvError, match=f"^{path}: line 1: the header lacks open$"):
        reconcile_now(stores)
    assert path.read_text() == text
    assert stores.in_sqlite("VCB").equals(BARS)


@pytest.mark.parametrize(
    "swapped", ["ticker,time,close,open,high,low,volume", "Time,Close,Open,High,Low,Ticker,Volume"]
)
def test_columns_of_a_file_edited_by_hand_go_by_their_names(stores: Stores, swapped: str) -> None:
    stores.save("VCB", BARS)
    rows = zip(format_times(BARS.time, DAY), *BARS.prices.tolist(), BARS.volume.tolist(), strict=True)
    names = ("time", "open", "high", "low", "close", "volume")
    cells = [{"ticker": "VCB", **dict(zip(names, row, strict=True))} for row in rows]
    lines = [",".join(str(row[name]) for name in swapped.lower().split(",")) for row in cells]
    csv_path(stores).write_text("\n".join((swapped, *lines, "")))
    repair(stores)
    assert_in_step(stores, "VCB", BARS)


@pytest.mark.parametrize("fallback", [True, False])
def test_what_could_not_be_read_is_not_replaced(
    make_stores: MakeStores, monkeypatch: pytest.MonkeyPatch, fallback: bool
) -> None:
    """SQLite may hold the only copy of a bar, and might well be written although it could not be read."""
    stores = make_stores(FALLBACK_TO_CSV=str(fallback).lower())
    only_in_csv(stores, WRONG.take(slice(0, 100)))
    only_in_sqlite(stores, BARS)

    def fail(*_: object) -> Bars:
        raise SqliteError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteStore, "recorded", fail)
        if fallback:
            stats = reconcile_now(stores)
            assert (stats.records, stats.sqlite_errors, stats.sqlite_faults) == (100, 1, (SqliteFault.OTHER,))
            assert stores.in_csv("VCB").equals(positions(0, 100)), "CSV is put in order all the same"
        else:
            with pytest.raises(SqliteError, match="disk I/O error"):
                reconcile_now(stores)
    assert stores.in_sqlite("VCB").equals(BARS)
    assert repair(stores) == {("VCB", DAY)}
    assert_in_step(stores, "VCB", BARS)


@pytest.mark.parametrize("is_behind", [True, False])
def test_reconcile_if_out_of_step_does_it_only_then(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, is_behind: bool
) -> None:
    stores.save("VCB", positions(0, 100))
    if is_behind:
        only_in_csv(stores, positions(0, 110))
    else:
        monkeypatch.setattr(OpenSeries, "reconcile", lambda *_: pytest.fail("there was nothing to reconcile"))
    reconcile_if_out_of_step(stores, SeriesKey(Mode.VN, "VCB", DAY), NOW)
    assert_in_step(stores, "VCB", positions(0, 110 if is_behind else 100))


# Enhancing an interval


@pytest.fixture
def wrong_everywhere(stores: Stores) -> Iterator[Stores]:
    """Two tickers whose stored indicators are wrong in both stores, which agree with each other."""
    for ticker in ("ACB", "VCB"):
        stores.save(ticker, WRONG)
        stores.save(ticker, make_bars(20, Interval.HOURLY), Interval.HOURLY)
        assert_in_step(stores, ticker, WRONG)
    return stores


@pytest.mark.parametrize(
    ("tickers", "enhanced"),
    [
        (None, ["ACB", "VCB"]),
        (["VCB"], ["VCB"]),
        (["VCB", "VCB", "NOSUCH"], ["VCB"]),
        ([], []),
        (["NOSUCH"], []),
    ],
)
def test_enhancing_computes_the_indicators_of_the_wanted_tickers_anew(
    wrong_everywhere: Stores, tickers: list[str] | None, enhanced: list[str]
) -> None:
    stores = wrong_everywhere
    stats = enhance_all(stores, tickers)
    for ticker in ("ACB", "VCB"):
        assert_in_step(stores, ticker, BARS if ticker in enhanced else WRONG)
    assert (stats.tickers, stats.records, stats.sqlite_errors) == (len(enhanced), 250 * len(enhanced), 0)
    size = csv_path(stores).stat().st_size
    assert stats.bytes_written == size * len(enhanced)
    parts = stats.indicator_seconds + stats.csv_seconds + stats.sqlite_seconds
    assert stats.duration >= parts
    assert (parts > 0.0) == bool(enhanced)


def test_enhancing_twice_writes_nothing(wrong_everywhere: Stores) -> None:
    stores = wrong_everywhere
    assert enhance_all(stores).bytes_written > 0
    before = disk_state(stores)
    again = enhance_all(stores)
    assert (again.tickers, again.records, again.bytes_written) == (2, 500, 0)
    assert disk_state(stores) == before


def test_enhancing_touches_one_interval(wrong_everywhere: Stores) -> None:
    stats = enhance_all(wrong_everywhere, interval=Interval.HOURLY)
    assert (stats.tickers, stats.records, stats.bytes_written) == (2, 40, 0)
    assert_in_step(wrong_everywhere, "VCB", WRONG)


def test_an_index_has_no_money_flow(stores: Stores) -> None:
    for ticker in ("VNINDEX", "VCB"):
        stores.save(ticker, BARS)
    enhance_all(stores)
    assert_in_step(stores, "VNINDEX", enhance(BARS, Mode.VN, is_index=True))
    assert_in_step(stores, "VCB", BARS)


def test_enhancing_finds_what_either_store_has(stores: Stores) -> None:
    stores.save("ONLYSQL", BARS)
    stores.csv_store.path(SeriesKey(Mode.VN, "ONLYSQL", DAY)).unlink()
    stores.csv_store.write(SeriesKey(Mode.VN, "ONLYCSV", DAY), BARS)
    assert enhance_all(stores).tickers == 2
    assert_in_step(stores, "ONLYSQL", BARS)
    assert_in_step(stores, "ONLYCSV", BARS)


def test_enhancing_counts_the_failures_of_sqlite(make_stores: MakeStores) -> None:
    stores = make_stores(**PATIENCE)
    for ticker in ("ACB", "VCB"):
        stores.save(ticker, WRONG)
    with faults.locked(stores):
        stats = enhance_all(stores)
    assert (stats.tickers, stats.sqlite_errors, stats.sqlite_faults) == (2, 2, (SqliteFault.BUSY,) * 2)
    assert stores.in_csv("VCB").equals(BARS)
    assert repair(stores) == {("ACB", DAY), ("VCB", DAY)}
    assert_in_step(stores, "VCB", BARS)


@pytest.mark.parametrize("fault", ["out of reach", "garbage"])
def test_enhancing_goes_on_with_csv_alone_when_sqlite_cannot_even_be_read(make_stores: MakeStores, fault: str) -> None:
    stores = make_stores(**PATIENCE)
    path = stores.settings.vn_database_path
    if fault == "garbage":
        faults.fill_with_garbage(path)
    else:
        path.mkdir()
    only_in_csv(stores, WRONG)
    stats = enhance_all(stores)
    assert stores.in_csv("VCB").equals(BARS)
    assert stats.sqlite_errors == 1, "a run that left SQLite behind must not look like a success"


def test_stats_add_up() -> None:
    one = EnhancementStats(1, 10, 0.5, 0.1, 0.2, 0.3, 100, (SqliteFault.BUSY,))
    two = EnhancementStats(2, 20, 1.0, 0.2, 0.4, 0.6, 200)
    total = EnhancementStats(
        3, 30, 1.5, pytest.approx(0.3), pytest.approx(0.6), pytest.approx(0.9), 300, one.sqlite_faults
    )
    assert sum([one, two], EnhancementStats()) == total
    assert total.sqlite_errors == 1
