"""A market verified as a whole: damage that shows in an answer is found, and repaired from the side that is right."""

import os
import random
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from stockapi.errors import CsvError, DeadlineError, SqliteError
from stockapi.models import Bars, Interval, Mode, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.services.csv_enhancer import conflict, reconcile_series
from stockapi.services.csv_store.quarantine import Quarantine
from stockapi.services.data_store import DataStore
from stockapi.services.database_manager.bookkeeping import Bookkeeping, Verification
from stockapi.services.upkeep import recheck, reconcile, verification
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import SeriesReport, reconcile_out_of_step
from stockapi.services.upkeep.verification import CheckOptions, CheckReport, Repair, check, verify_and_repair
from tests import faults
from tests.faults import assert_in_step
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, make_bars

DAY, HOUR, MINUTE = Interval
COUNTS = {DAY: 90, HOUR: 70, MINUTE: 120}
TICKERS = ("ACB", "FPT", "VCB")
SERIES = [*product(TICKERS, Interval)]


def bars_of(ticker: str, interval: Interval) -> Bars:
    return make_bars(COUNTS[interval], interval, seed=ord(ticker[0]))


@pytest.fixture
def filled(make_stores: MakeStores) -> Stores:
    stores = make_stores()
    for ticker, interval in SERIES:
        stores.save(ticker, bars_of(ticker, interval), interval)
    return stores


def repaired(stores: Stores) -> tuple[CheckReport, Repair, CheckReport]:
    return verify_and_repair(stores, Mode.VN, lambda: NOW)


def check_vn(stores: Stores, *, others_write: bool = False) -> CheckReport:
    return check(stores, Mode.VN, CheckOptions(others_write=others_write))


def database(stores: Stores) -> Path:
    return stores.settings.vn_database_path


def csv_path(stores: Stores, ticker: str = "VCB", interval: Interval = DAY) -> Path:
    return stores.csv_store.path(SeriesKey(Mode.VN, ticker, interval))


# Damage, byte by byte


def queries() -> Iterator[QueryParameters]:
    """Every way to the rows: from either end of the index, within, each ticker alone and all together."""
    for interval in Interval:
        middle = FIRST_DAY + COUNTS[interval] // 2 * interval.seconds
        for symbols in (None, *((ticker,) for ticker in TICKERS)):
            yield QueryParameters(interval=interval, symbols=symbols, limit=10_000)
            yield QueryParameters(interval=interval, symbols=symbols, start=middle, limit=None)
            yield QueryParameters(interval=interval, symbols=symbols, end=middle, limit=7)
    for source in Interval:
        yield QueryParameters(interval=source, limit=10_000, use_sqlite=False)


def answers(stores: Stores) -> list[dict[str, Bars]]:
    store = DataStore(stores)
    return [store.get_data_smart_sqlite(query, stores.limits).bars for query in queries()]


def are_same(these: list[dict[str, Bars]], those: list[dict[str, Bars]]) -> bool:
    return all(
        one.keys() == other.keys() and all(one[ticker].equals(other[ticker]) for ticker in one)
        for one, other in zip(these, those, strict=True)
    )


def flip(path: Path, chance: random.Random) -> str:
    """One bit of the file, as a disk does it: the time of change stays."""
    before = path.stat()
    offset, bit = chance.randrange(before.st_size), chance.randrange(8)
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1 << bit]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return f"{path.name} byte {offset} bit {bit}"


def is_found(stores: Stores) -> bool:
    try:
        result = check_vn(stores)
    except SqliteError:
        return True
    return result.integrity != "ok" or bool(result.differing)


@pytest.mark.long
@pytest.mark.parametrize("round_", range(3))
def test_every_flip_that_shows_in_an_answer_is_found_and_repaired(filled: Stores, round_: int) -> None:
    """None of them brings an answer down. 20 flips a round, in database and CSV files, each from a sound state."""
    chance = random.Random(round_)
    truth = answers(filled)
    filled.db_manager.close()
    shown = 0
    for _ in range(20):
        target = database(filled) if chance.random() < 0.6 else csv_path(filled, *chance.choice(SERIES))
        what = flip(target, chance)
        is_shown = not are_same(answers(filled), truth)
        shown += is_shown
        assert is_found(filled) or not is_shown, what
        reconcile_out_of_step(filled, Mode.VN, NOW)
        repaired(filled)
        assert are_same(answers(filled), truth), what
        assert not is_found(filled), what
        filled.db_manager.close()
    assert shown


def rot(stores: Stores, ticker: str = "VCB", interval: Interval = DAY) -> None:
    """A close of the CSV file becomes another, and its time of change stays."""
    path = csv_path(stores, ticker, interval)
    before, lines = path.stat(), path.read_text().split("\n")
    cells = lines[20].split(",")
    lines[20] = ",".join([*cells[:5], f"{float(cells[5]) + 10:.2f}", *cells[6:]])
    path.write_text("\n".join(lines))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def execute(stores: Stores, statement: str) -> None:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute(statement)


def spoil_row(stores: Stores) -> None:
    execute(stores, f"UPDATE vn_daily SET close = close + 10 WHERE ticker = 'VCB' AND time = {FIRST_DAY}")


@pytest.mark.parametrize("damage", [rot, spoil_row])
def test_a_damaged_value_is_found_and_repaired_from_the_sound_side(filled: Stores, damage: object) -> None:
    damage(filled)  # type: ignore[operator]
    before, done, left = repaired(filled)
    (report,) = before.differing
    assert (report.key.ticker, report.key.interval, report.problems[0]) == ("VCB", DAY, "1 bars with other values")
    assert [*done.reconciled] == [SeriesKey(Mode.VN, "VCB", DAY)]
    assert left.differing == []
    assert_in_step(filled, "VCB", bars_of("VCB", DAY))


def test_without_the_digest_the_damage_would_spread(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where CSV simply wins, both stores end up with the damaged value, and nothing differs any more."""
    monkeypatch.setattr(conflict, "_by_digest", lambda *_: None)
    rot(filled)
    _, _, left = repaired(filled)
    assert left.differing == []
    assert not filled.in_sqlite("VCB").equals(bars_of("VCB", DAY))


def test_an_edit_by_hand_is_taken_over(filled: Stores) -> None:
    """The same change as `rot`, but the file says that it was changed."""
    path = csv_path(filled)
    rot(filled)
    os.utime(path)
    repaired(filled)
    assert filled.in_sqlite("VCB").close[19] == bars_of("VCB", DAY).close[19] + 10
    assert filled.in_csv("VCB").equals(filled.in_sqlite("VCB"))


def test_an_older_copy_of_a_file_does_not_undo_what_came_after(filled: Stores, tmp_path: Path) -> None:
    """As `cp -p` and most backups put it back."""
    path = csv_path(filled)
    shutil.copy2(path, tmp_path / "copy")
    newer = make_bars(95, seed=99)
    filled.save("VCB", newer, rewrite_all=True)
    shutil.copy2(tmp_path / "copy", path)
    assert reconcile_out_of_step(filled, Mode.VN, NOW).keys() == {SeriesKey(Mode.VN, "VCB", DAY)}
    assert_in_step(filled, "VCB", newer)


def test_damage_in_both_stores_is_undone_bar_by_bar(filled: Stores) -> None:
    rot(filled)
    spoil_row(filled)
    _, done, left = repaired(filled)
    assert done.reconciled[SeriesKey(Mode.VN, "VCB", DAY)].evidence == (conflict.Evidence.DIGEST_OF_BOTH,)
    assert left.differing == []
    assert_in_step(filled, "VCB", bars_of("VCB", DAY))


def test_a_row_that_was_never_stored_goes_to_the_quarantine(filled: Stores) -> None:
    execute(filled, f"UPDATE vn_daily SET time = time + 86400000 WHERE ticker = 'VCB' AND time = {FIRST_DAY}")
    _, done, _ = repaired(filled)
    assert done.reconciled[SeriesKey(Mode.VN, "VCB", DAY)].quarantined == 1
    assert_in_step(filled, "VCB", bars_of("VCB", DAY))
    kept = Quarantine(filled.settings).path(Mode.VN).read_text()
    assert "in one store alone, and not in the digest of the ledger" in kept
    assert "VCB,2017-10-01," in kept


@pytest.mark.parametrize(
    "assignment", ["volume = -5", "close = -1.0", "time = time + 1", "high = 'text'", "low = 9e999"]
)
@pytest.mark.parametrize("is_edited", [False, True])
def test_a_row_that_could_not_even_be_stored_is_replaced(filled: Stores, assignment: str, is_edited: bool) -> None:
    """Also where CSV has moved on, and no digest tells which bars are right."""
    expected = bars_of("VCB", DAY)
    if is_edited:
        expected = make_bars(COUNTS[DAY], seed=99)
        filled.csv_store.write(SeriesKey(Mode.VN, "VCB", DAY), expected)
    execute(filled, f"UPDATE vn_daily SET {assignment} WHERE ticker = 'VCB' AND time = {FIRST_DAY}")
    _, _, left = repaired(filled)
    assert (left.integrity, left.differing) == ("ok", [])
    assert_in_step(filled, "VCB", expected)
    if "text" not in assignment:
        assert "a row of SQLite that is no bar" in Quarantine(filled.settings).path(Mode.VN).read_text()


def test_a_series_that_cannot_be_written_does_not_keep_the_others_from_it(
    filled: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ticker in ("ACB", "VCB"):
        rot(filled, ticker)

    def reconcile_but_one(stores: Stores, key: SeriesKey, *arguments: object) -> object:
        if key.ticker == "ACB":
            raise CsvError("read-only file system")
        return reconcile_series(stores, key, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(verification, "reconcile_series", reconcile_but_one)
    _, done, left = repaired(filled)
    assert done.failed == {SeriesKey(Mode.VN, "ACB", DAY): "read-only file system"}
    assert [report.key.ticker for report in left.differing] == ["ACB"]
    recorded = Bookkeeping(filled.db_manager).last_verification(Mode.VN)
    assert recorded is not None
    assert (recorded.result, recorded.differing, recorded.left) == ("differs", 2, 1)


# What is recorded


def test_a_verification_is_recorded(filled: Stores) -> None:
    repaired(filled)
    recorded = Bookkeeping(filled.db_manager).last_verification(Mode.VN)
    assert recorded is not None
    bars = 3 * sum(COUNTS.values())
    assert replace(recorded, seconds=0.0) == Verification(int(NOW.timestamp()), 0.0, "ok", 9, bars, 0, 0, False)
    assert filled.db_manager.health(Mode.VN).last_integrity_check == "ok at 2026-03-02T05:00:00Z"


def test_a_look_alone_writes_nothing(filled: Stores) -> None:
    rot(filled)
    assert len(check_vn(filled).differing) == 1
    assert Bookkeeping(filled.db_manager).last_verification(Mode.VN) is None
    assert not filled.in_csv("VCB").equals(bars_of("VCB", DAY))


@pytest.mark.parametrize("when", ["before", "amid"])
def test_once_stopped_nothing_more_is_done_and_nothing_recorded(filled: Stores, when: str) -> None:
    stop = threading.Event()

    def watch(reports: Iterator[SeriesReport]) -> Iterator[SeriesReport]:
        for report in reports:
            yield report
            stop.set()

    if when == "before":
        stop.set()
    rot(filled)
    with pytest.raises(DeadlineError):
        verify_and_repair(filled, Mode.VN, lambda: NOW, CheckOptions(stop=stop, watch=watch))
    assert Bookkeeping(filled.db_manager).last_verification(Mode.VN) is None
    assert not filled.in_csv("VCB").equals(bars_of("VCB", DAY))


def test_a_stopped_start_reconciles_the_rest_at_the_next_one(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, done = threading.Event(), []

    def reconcile_and_stop(stores: Stores, key: SeriesKey, *arguments: object, **options: object) -> object:
        done.append(key.ticker)
        stop.set()
        return reconcile_series(stores, key, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(reconcile, "reconcile_series", reconcile_and_stop)
    for ticker in TICKERS:
        csv_path(filled, ticker).touch()
    reconcile_out_of_step(filled, Mode.VN, NOW, stop)
    assert done == ["ACB"]
    reconcile_out_of_step(filled, Mode.VN, NOW)
    assert done == ["ACB", "FPT", "VCB"]


def test_a_stopped_rebuild_leaves_the_old_database_in_its_place(filled: Stores) -> None:
    stop = threading.Event()
    stop.set()
    before = database(filled).stat().st_ino
    assert reconcile.rebuild(filled, Mode.VN, NOW, stop) == {}
    assert database(filled).stat().st_ino == before


# While a worker writes


def grow(stores: Stores, stop: threading.Event) -> None:
    """Bar after bar at the end of one series, as fast as it goes."""
    bars = make_bars(3_000)
    for end in range(100, 3_000):
        if stop.is_set():
            return
        stores.save("VIC", bars.take(slice(max(0, end - 250), end)), cutoff=int(bars.time[end - 3]))


@pytest.mark.long
@pytest.mark.slow
def test_a_writer_at_work_makes_no_difference(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recheck, "_BETWEEN_CHECKS_S", 0.02)
    filled.save("VIC", make_bars(3_000).take(slice(99)))
    stop = threading.Event()
    writer = threading.Thread(target=grow, args=(filled, stop))
    writer.start()
    try:
        found = [each for _ in range(15) for each in check_vn(filled, others_write=True).differing]
    finally:
        stop.set()
        writer.join()
    assert found == []
    assert check_vn(filled).differing == []


def test_without_a_second_look_it_would(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control, with the writer held between the two stores."""
    longer = bars_of("VCB", DAY)
    filled.csv_store.write(SeriesKey(Mode.VN, "VCB", DAY), make_bars(95, seed=ord("V")))
    assert [each.key.ticker for each in check_vn(filled).differing] == ["VCB"]

    def finish(_seconds: float) -> bool:
        filled.csv_store.write(SeriesKey(Mode.VN, "VCB", DAY), longer)
        filled.sqlite_store.replace(SeriesKey(Mode.VN, "VCB", DAY), longer, csv_stamp="", now=0)
        return False

    monkeypatch.setattr(threading.Event, "wait", lambda _event, seconds: finish(seconds))
    assert check_vn(filled, others_write=True).differing == []


def test_a_repair_and_a_save_of_the_same_series_take_turns(filled: Stores) -> None:
    """In the worker's process the nightly repair meets the saves of other threads."""
    filled.save("VIC", make_bars(3_000).take(slice(99)))
    stop = threading.Event()
    writer = threading.Thread(target=grow, args=(filled, stop))
    writer.start()
    try:
        for _ in range(30):
            reconcile_series(filled, SeriesKey(Mode.VN, "VIC", DAY), NOW)
    finally:
        stop.set()
        writer.join()
    stored = filled.in_csv("VIC")
    assert filled.in_sqlite("VIC").equals(stored)
    assert (stored.time == make_bars(3_000).time[: len(stored)]).all()


# A new database in the place of a damaged one


def test_what_the_old_database_has_and_csv_has_wrong_is_recovered_first(filled: Stores) -> None:
    """CSV is damaged, and the database elsewhere: filled from CSV alone it would take the damage for the truth."""
    rot(filled, "FPT")
    faults.spoil_days_of(filled, "VCB")
    _, done, left = repaired(filled)
    assert done.is_rebuilt
    assert (left.integrity, left.differing) == ("ok", [])
    for ticker, interval in SERIES:
        assert_in_step(filled, ticker, bars_of(ticker, interval), interval)


def test_the_workers_reports_and_the_adjustments_are_taken_over(filled: Stores) -> None:
    bookkeeping = Bookkeeping(filled.db_manager)
    bookkeeping.beat(Mode.VN, "daily", 15, 1_000)
    bookkeeping.record_adjustment(Mode.VN, "VCB", FIRST_DAY, 2.0, 1_000)
    repaired(filled)
    states, adjustments = bookkeeping.worker_states(Mode.VN), bookkeeping.adjustments(Mode.VN, 0)
    verified = bookkeeping.last_verification(Mode.VN)
    faults.spoil_days_of(filled, "VCB")
    reconcile.rebuild(filled, Mode.VN, NOW)
    assert bookkeeping.worker_states(Mode.VN) == states
    assert bookkeeping.adjustments(Mode.VN, 0) == adjustments
    assert bookkeeping.last_verification(Mode.VN) == verified


def test_what_of_them_is_damaged_is_left_out_and_said(filled: Stores, caplog: pytest.LogCaptureFixture) -> None:
    bookkeeping = Bookkeeping(filled.db_manager)
    bookkeeping.beat(Mode.VN, "daily", 15, 1_000)
    bookkeeping.beat(Mode.VN, "hourly", 60, 1_000)
    execute(filled, "UPDATE worker_states SET iterations = 'many' WHERE worker = 'daily'")
    execute(filled, "DROP TABLE adjustments")
    with pytest.raises(SqliteError, match="a row of the bookkeeping"):
        bookkeeping.worker_states(Mode.VN)
    reconcile.rebuild(filled, Mode.VN, NOW)
    assert [*bookkeeping.worker_states(Mode.VN)] == ["hourly"]
    assert bookkeeping.adjustments(Mode.VN, 0) == []
    assert "vn worker_states: 1 rows are damaged and were left out" in caplog.text
    assert "vn adjustments: begins anew, the damaged database does not give it: " in caplog.text


def test_no_thread_writes_the_old_database_while_it_is_swapped(filled: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection opened between the two renames would make an empty database, and leave its log to the new one."""
    order: list[str] = []
    rename = Path.rename

    def watched(path: Path, target: Path) -> Path:
        if not order:
            writer.start()
        writer.join(0.2)
        order.append(path.name)
        return rename(path, target)

    def write() -> None:
        Bookkeeping(filled.db_manager).beat(Mode.VN, "daily", 15, 1_000)
        order.append("written")

    writer = threading.Thread(target=write)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", watched)
        reconcile.rebuild(filled, Mode.VN, NOW)
    writer.join()
    assert order[-1] == "written"
    assert "vn_data.db.rebuilding" in order
    assert [*Bookkeeping(filled.db_manager).worker_states(Mode.VN)] == ["daily"]
    assert DatabaseUtils(filled.db_manager).integrity(Mode.VN) == "ok"
