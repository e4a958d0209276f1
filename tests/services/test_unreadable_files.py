"""A CSV file that the system does not give: its series fails, in a line that names it, and all others go on.

Each test has its control: with the guard taken away the one file keeps the others back.
"""

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockapi.calc.digest import digest, to_text
from stockapi.config import Settings
from stockapi.errors import CsvError, SqliteError, SqliteFault
from stockapi.formats.default_rows import TextForm
from stockapi.models import Interval, Mode, QueryParameters
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from stockapi.services.csv_enhancer import enhancer, reconcile_series, stored_tickers
from stockapi.services.csv_enhancer.replicas import ReplicaPair
from stockapi.services.csv_store import CsvStore, Recovery
from stockapi.services.data_store import DataSource, DataStore
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.upkeep import reconcile
from stockapi.services.upkeep.doctor import Finding, Kind, examine
from stockapi.services.upkeep.reconcile import rebuild
from tests import faults
from tests.faults import assert_in_step, problems, repair
from tests.support.stores import NOW, MakeStores, Stores, environment, make_bars
from workers.clocks import Clocks
from workers.jobs import Job
from workers.loop import WorkerLoop

VN, DAY = Mode.VN, Interval.DAILY
TICKERS = ["ACB", "FPT", "VCB"]
BARS = {ticker: make_bars(160, seed=ord(ticker[0])) for ticker in TICKERS}
LONGER = make_bars(170, seed=ord("V"))


def loop_of_links(path: Path) -> None:
    """Cannot be looked at, by root either."""
    path.symlink_to(path.name)


def directory(path: Path) -> None:
    """Can be looked at, but not read."""
    path.mkdir()


def beyond_reach(path: Path) -> None:
    """Leads into a file as if that were a directory."""
    path.symlink_to("plain/1D.csv")
    path.with_name("plain").touch()


UNREADABLE: Mapping[str, Callable[[Path], None]] = {
    "a loop of symbolic links": loop_of_links,
    "a directory": directory,
    "a path through a file": beyond_reach,
}
CANNOT_BE_STAMPED = sorted(UNREADABLE.keys() - {"a directory"})


def path_of(stores: Stores, ticker: str = "FPT") -> Path:
    return stores.csv_store.path(SeriesKey(VN, ticker, DAY))


@pytest.fixture(params=UNREADABLE)
def unreadable(stores: Stores, request: pytest.FixtureRequest) -> Stores:
    """Three series in both stores; the file of the one in the middle is gone, with what cannot be read in its place."""
    for ticker, bars in BARS.items():
        stores.save(ticker, bars)
    spoil(stores, request.param)
    return stores


def spoil(stores: Stores, how: str) -> None:
    path = path_of(stores)
    path.unlink()
    UNREADABLE[how](path)


def errors_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def assert_one_line_names(caplog: pytest.LogCaptureFixture, path: Path) -> None:
    (line,) = errors_of(caplog)
    assert line.startswith(f"vn FPT 1D is left as it is: {path}: ")
    assert "\n" not in line
    assert all(record.exc_info is None for record in caplog.records)


def test_such_a_file_can_really_not_be_read(unreadable: Stores) -> None:
    with pytest.raises(CsvError):
        unreadable.in_csv("FPT")


# The list of what is stored, and the directories of tickers


def test_the_tickers_are_listed_all_the_same(unreadable: Stores) -> None:
    assert stored_tickers(unreadable, VN, DAY) == TICKERS


@pytest.mark.parametrize("how", CANNOT_BE_STAMPED)
def test_a_ticker_that_only_such_a_file_tells_of_is_listed(make_stores: MakeStores, how: str) -> None:
    stores = make_stores(SQLITE_WRITES="false")
    stores.save("FPT", BARS["FPT"])
    spoil(stores, how)
    assert stored_tickers(stores, VN, DAY) == ["FPT"]


@pytest.mark.parametrize("how", CANNOT_BE_STAMPED)
def test_without_the_guard_nothing_is_listed(stores: Stores, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    for ticker, bars in BARS.items():
        stores.save(ticker, bars)
    spoil(stores, how)
    monkeypatch.setattr(enhancer, "_may_have_bars", lambda stores, key: stores.csv_store.stamp(key) != "")
    with pytest.raises(CsvError):
        stored_tickers(stores, VN, DAY)


def name_too_long(path: Path) -> None:
    path.symlink_to("x" * 300)


UNREACHABLE: Mapping[str, Callable[[Path], None]] = {
    "a loop of symbolic links": loop_of_links,
    "a link to no possible name": name_too_long,
}


def put_out_of_reach(stores: Stores, *tickers: str, how: str = "a loop of symbolic links") -> None:
    """The directories of these tickers are gone, with what cannot be entered in their place."""
    for ticker in tickers:
        directory = path_of(stores, ticker).parent
        shutil.rmtree(directory)
        UNREACHABLE[how](directory)


@pytest.fixture(params=UNREACHABLE)
def unreachable(stores: Stores, request: pytest.FixtureRequest) -> Stores:
    """Three series in both stores, the directory of the one in the middle beyond reach."""
    for ticker, bars in BARS.items():
        stores.save(ticker, bars)
    put_out_of_reach(stores, "FPT", how=request.param)
    return stores


def without_database(stores: Stores) -> DataStore:
    stores.db_manager.close()
    faults.delete(stores.settings.vn_database_path)
    return DataStore(stores)


def test_a_directory_beyond_reach_keeps_no_ticker_from_the_list_nor_itself(unreachable: Stores) -> None:
    assert unreachable.csv_store.tickers(VN) == TICKERS
    assert unreachable.csv_store.tickers(VN, besides=["ACB"]) == ["FPT", "VCB"]
    assert stored_tickers(unreachable, VN, DAY) == TICKERS


@pytest.mark.parametrize("permissions", [0o000, 0o600])
def test_nor_does_one_that_may_not_be_entered(tmp_path: Path, permissions: int) -> None:
    with faults.unprivileged(tmp_path) as directory:
        settings = Settings.from_mapping(environment(directory, SQLITE_WRITES="false"))
        stores = Stores.of(settings)
        for ticker, bars in BARS.items():
            stores.save(ticker, bars)
        closed = path_of(stores).parent
        closed.chmod(permissions)
        assert stores.csv_store.tickers(VN) == TICKERS
        answer = DataStore(stores).get_data_smart_sqlite(QueryParameters(), stores.limits)
        assert list(answer.bars) == ["ACB", "VCB"]
        closed.chmod(0o700)


def test_what_a_crash_has_left_elsewhere_is_cleared_away(unreachable: Stores, caplog: pytest.LogCaptureFixture) -> None:
    leftover = path_of(unreachable, "VCB").with_name(".1D.csv.1-1.tmp")
    leftover.touch()
    assert unreachable.csv_store.recover(VN) == Recovery(journals_finished=0, temp_files_removed=1)
    assert not leftover.exists()
    (line,) = errors_of(caplog)
    assert line.startswith(f"vn FPT is left as it is: {path_of(unreachable).parent}: ")


def test_a_start_reconciles_the_others_of_such_a_directory(
    unreachable: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable.csv_store.write(SeriesKey(VN, "VCB", DAY), LONGER)
    assert repair(unreachable) == {("VCB", DAY)}
    assert_in_step(unreachable, "VCB", LONGER)
    place = path_of(unreachable).parent
    for line, interval in zip(errors_of(caplog), Interval, strict=True):
        assert line.startswith(f"vn FPT {interval.value} is left as it is: {place}")
    assert [*problems(unreachable)] == ["FPT 1D", "FPT 1H", "FPT 1m"], "nobody can tell that it has no hours"


def test_sqlite_answers_for_it_as_long_as_it_can(unreachable: Stores) -> None:
    store = DataStore(unreachable)
    answer = store.get_data_smart_sqlite(QueryParameters(limit=None, start=0), unreachable.limits)
    assert answer.source is DataSource.SQLITE
    assert all(answer.bars[ticker].equals(BARS[ticker]) for ticker in TICKERS)


def test_csv_answers_for_all_others_and_the_log_says_without_which(
    unreachable: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    answer = without_database(unreachable).get_data_smart_sqlite(
        QueryParameters(limit=None, start=0), unreachable.limits
    )
    assert list(answer.bars) == ["ACB", "VCB"]
    assert all(bars.equals(BARS[ticker]) for ticker, bars in answer.bars.items())
    assert "without some: " in caplog.text
    assert f"{unreachable.settings.market_data_dir}: the directories of FPT cannot be looked into" in caplog.text


@pytest.mark.parametrize("symbols", [("FPT",), ("ACB", "FPT")])
def test_whoever_names_it_gets_the_error(unreachable: Stores, symbols: tuple[str, ...]) -> None:
    with pytest.raises(CsvError, match="FPT"):
        without_database(unreachable).get_data_smart_sqlite(QueryParameters(symbols=symbols), unreachable.limits)


def test_where_all_are_beyond_reach_there_is_no_empty_answer(unreachable: Stores) -> None:
    put_out_of_reach(unreachable, "ACB", "VCB")
    with pytest.raises(CsvError, match="holds no ticker"):
        without_database(unreachable).get_data_smart_sqlite(QueryParameters(), unreachable.limits)
    csv_alone = DataStore(unreachable)
    with pytest.raises(CsvError, match="the directories of ACB, FPT, VCB cannot be looked into"):
        csv_alone.get_data_smart_sqlite(QueryParameters(use_sqlite=False), unreachable.limits)


def test_without_the_look_at_the_directory_it_would_keep_back_all_others(
    unreachable: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CsvStore, "is_within_reach", lambda *_: True)
    with pytest.raises(CsvError):
        without_database(unreachable).get_data_smart_sqlite(QueryParameters(), unreachable.limits)


def test_one_that_only_csv_knows_does_not_keep_the_others_from_prerendered_answers(unreachable: Stores) -> None:
    """XYZ was never stored: the pre-rendered answers of SQLite are complete without it."""
    loop_of_links(unreachable.settings.market_data_dir / "XYZ")
    ready = DataStore(unreachable)
    found = ready.get_prerendered(TextForm.JSON, QueryParameters(limit=3), unreachable.limits)
    assert found is not None
    assert list(found.bars) == TICKERS


# A start


def test_a_start_reconciles_the_others(unreadable: Stores, caplog: pytest.LogCaptureFixture) -> None:
    unreadable.csv_store.write(SeriesKey(VN, "VCB", DAY), LONGER)
    assert repair(unreadable) == {("VCB", DAY)}
    assert_in_step(unreadable, "ACB", BARS["ACB"])
    assert_in_step(unreadable, "VCB", LONGER)
    assert unreadable.in_sqlite("FPT").equals(BARS["FPT"]), "what SQLite has of it is still served"
    assert_one_line_names(caplog, path_of(unreadable))


def test_without_the_guard_a_start_fails_at_it(unreadable: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable.csv_store.write(SeriesKey(VN, "VCB", DAY), LONGER)
    monkeypatch.setattr(reconcile, "CsvError", KeyboardInterrupt)  # which is to say that none is caught
    with pytest.raises(CsvError):
        repair(unreadable)
    assert unreadable.in_sqlite("VCB").equals(BARS["VCB"])


def test_once_it_is_out_of_the_way_the_next_start_writes_it_anew(unreadable: Stores) -> None:
    repair(unreadable)
    path = path_of(unreadable)
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    assert repair(unreadable) == {("FPT", DAY)}
    assert_in_step(unreadable, "FPT", BARS["FPT"])
    assert problems(unreadable) == {}


def test_a_missing_database_is_filled_with_the_others(unreadable: Stores, caplog: pytest.LogCaptureFixture) -> None:
    unreadable.db_manager.close()
    faults.delete(unreadable.settings.vn_database_path)
    assert repair(unreadable) == {("ACB", DAY), ("VCB", DAY)}
    assert_in_step(unreadable, "ACB", BARS["ACB"])
    assert_in_step(unreadable, "VCB", BARS["VCB"])
    assert_one_line_names(caplog, path_of(unreadable))


def test_without_the_fallback_no_database_is_put_in_place_that_lacks_a_series(
    unreadable: Stores, make_stores: MakeStores
) -> None:
    """An answer without its ticker would pass for a market that never had it."""
    unreadable.db_manager.close()
    faults.delete(unreadable.settings.vn_database_path)
    stores = make_stores(FALLBACK_TO_CSV="false")
    with pytest.raises(CsvError):
        repair(stores)
    assert not stores.settings.vn_database_path.exists()


# A damaged database


def damage(stores: Stores) -> None:
    """The days can still be read."""
    stores.db_manager.close()
    with stores.db_manager.transaction(VN) as connection:
        connection.execute("DROP TABLE vn_hourly")


def execute(stores: Stores, statement: str) -> None:
    with stores.db_manager.transaction(VN) as connection:
        connection.execute(statement)


WRONG_CLOSE = "UPDATE vn_daily SET close = close + 1 WHERE ticker = 'FPT' AND time = (SELECT min(time) FROM vn_daily)"


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_damaged_database_is_filled_anew_with_what_it_has_of_that_series(
    unreadable: Stores, make_stores: MakeStores, caplog: pytest.LogCaptureFixture, fallback: str
) -> None:
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    before = stores.sqlite_store.ledger(VN)[SeriesKey(VN, "FPT", DAY)]
    damage(unreadable)
    assert repair(stores) == {("ACB", DAY), ("VCB", DAY)}
    assert_in_step(stores, "ACB", BARS["ACB"])
    assert_in_step(stores, "VCB", BARS["VCB"])
    assert stores.in_sqlite("FPT").equals(BARS["FPT"])
    assert stores.sqlite_store.ledger(VN)[SeriesKey(VN, "FPT", DAY)] == before
    assert [*stores.settings.vn_database_path.parent.glob("vn_data.db.damaged-*")]
    assert f"vn FPT 1D comes from the old database: {path_of(stores)}: " in caplog.text


def test_its_file_comes_back_and_is_in_step_as_it_was(stores: Stores) -> None:
    for ticker, bars in BARS.items():
        stores.save(ticker, bars)
    path = path_of(stores)
    aside = path.rename(path.with_name("aside"))
    loop_of_links(path)
    damage(stores)
    repair(stores)
    path.unlink()
    aside.rename(path)
    assert repair(stores) == set()
    assert_in_step(stores, "FPT", BARS["FPT"])
    assert problems(stores) == {}


def test_its_file_comes_back_longer_and_is_reconciled(stores: Stores) -> None:
    longer = make_bars(170, seed=ord("F"))
    for ticker, bars in BARS.items():
        stores.save(ticker, bars)
    stores.csv_store.write(SeriesKey(VN, "FPT", DAY), longer)
    path = path_of(stores)
    aside = path.rename(path.with_name("aside"))
    loop_of_links(path)
    damage(stores)
    repair(stores)
    assert stores.in_sqlite("FPT").equals(BARS["FPT"])
    path.unlink()
    aside.rename(path)
    assert repair(stores) == {("FPT", DAY)}
    assert_in_step(stores, "FPT", longer)


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_damaged_database_stays_as_long_as_it_may_hold_the_only_copy_of_bars_that_nothing_proves(
    unreadable: Stores, make_stores: MakeStores, caplog: pytest.LogCaptureFixture, fallback: str
) -> None:
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    execute(unreadable, WRONG_CLOSE)
    in_doubt = unreadable.in_sqlite("FPT")
    damage(unreadable)
    if fallback == "true":
        assert repair(stores) == set()
        assert f"the vn database is not filled anew, CSV goes on alone: {path_of(stores)}: " in errors_of(caplog)[-1]
    else:
        with pytest.raises(CsvError):
            repair(stores)
    assert stores.in_sqlite("FPT").equals(in_doubt)


def test_without_the_look_at_the_ledger_a_wrong_bar_would_pass_for_proven(
    unreadable: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(unreadable, WRONG_CLOSE)
    damage(unreadable)
    monkeypatch.setattr(reconcile, "describes", lambda *_: True)
    repair(unreadable)
    held = unreadable.in_sqlite("FPT")
    assert not held.equals(BARS["FPT"])
    assert unreadable.sqlite_store.ledger(VN)[SeriesKey(VN, "FPT", DAY)].digest == to_text(digest(held))


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_what_neither_store_gives_is_left_out_if_csv_would_answer_for_it(
    unreadable: Stores, make_stores: MakeStores, caplog: pytest.LogCaptureFixture, fallback: str
) -> None:
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    unreadable.db_manager.close()
    faults.spoil_days_of(unreadable, "FPT")
    if fallback == "true":
        rebuild(stores, VN, NOW)
        assert_in_step(stores, "VCB", BARS["VCB"])
        assert SeriesKey(VN, "FPT", DAY) not in stores.sqlite_store.ledger(VN)
        assert "neither store gives vn FPT 1D, it is left out: SQLite error: " in caplog.text
        assert [*stores.settings.vn_database_path.parent.glob("vn_data.db.damaged-*")]
    else:
        with pytest.raises(CsvError):
            rebuild(stores, VN, NOW)
        assert SeriesKey(VN, "FPT", DAY) in stores.sqlite_store.ledger(VN)


def test_without_the_copy_the_series_would_be_gone(unreadable: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    damage(unreadable)
    monkeypatch.setattr(reconcile, "_copy_series", lambda *_: None)
    repair(unreadable)
    assert not len(unreadable.in_sqlite("FPT"))


def test_a_file_that_cannot_be_read_any_more_once_sqlite_has_failed_is_a_problem_too(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores.save("FPT", BARS["FPT"])

    def both_fail(*_: object) -> ReplicaPair:
        spoil(stores, "a loop of symbolic links")
        raise SqliteError("database disk image is malformed", SqliteFault.CORRUPT)

    monkeypatch.setattr(reconcile, "read_replicas", both_fail)
    (report,) = reconcile.verify(stores, VN, [DAY])
    assert (report.csv_rows, report.sqlite_rows, report.sqlite_fault) == (0, 0, SqliteFault.CORRUPT)
    of_sqlite, of_csv = report.problems
    assert of_sqlite == "SQLite error: database disk image is malformed"
    assert of_csv.startswith(f"{path_of(stores)}: ")


# A cycle of a worker


class Listed(SimulatedProvider):
    """The simulated market, less most of its tickers."""

    def tickers(self) -> list[str]:
        return TICKERS


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_cycle_brings_the_others_up_to_date(stores: Stores, caplog: pytest.LogCaptureFixture, how: str) -> None:
    now = datetime(2026, 9, 16, 3, 0, tzinfo=UTC)
    job = Job("daily", VN, (DAY,), lambda provider: provider.tickers(), lambda _now: 60)
    worker = WorkerLoop(stores, [job], Listed(VN, 1), threading.Event(), Clocks(lambda: now, lambda: 0.0))
    assert worker.run_once() == 0
    spoil(stores, how)
    now = datetime(2026, 9, 18, 3, 0, tzinfo=UTC)
    caplog.clear()
    caplog.set_level(logging.INFO)
    assert worker.run_once() == 1
    newest = {ticker: int(stores.in_sqlite(ticker).time[-1]) for ticker in TICKERS}
    assert newest["ACB"] == newest["VCB"] == newest["FPT"] + 2 * DAY.seconds
    (warning,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.levelno == logging.WARNING
    assert warning.exc_info is None
    assert warning.getMessage().startswith(f"vn FPT 1D failed: {path_of(stores)}: ")
    assert "\n" not in warning.getMessage()
    (cycle,) = [record.getMessage() for record in caplog.records if record.getMessage().startswith("event=cycle ")]
    assert "series=3" in cycle
    assert "failed=1" in cycle
    assert Bookkeeping(stores.db_manager).worker_states(VN)["daily"].last_error == warning.getMessage().replace(
        " failed", "", 1
    )


# The doctor, and one who reconciles that series


def test_the_doctor_says_so_and_examines_the_others(unreadable: Stores) -> None:
    found = [*examine(unreadable, VN, [DAY], NOW)]
    assert len(found) == len(TICKERS)
    ((finding,),) = [each for each in found if each and each[0].key.ticker == "FPT"]
    assert (finding.kind, finding.kind.is_unreadable, finding.kind.is_repairable) == (Kind.UNREADABLE_FILE, True, False)
    assert str(finding).startswith(f"vn FPT 1D: 1 CSV file: it cannot be read ({path_of(unreadable)}: ")
    assert "make it readable, or move it away" in str(finding)


def test_findings_without_a_reason_read_as_before() -> None:
    line = str(Finding(SeriesKey(VN, "VCB", DAY), Kind.IMPOSSIBLE, 2))
    assert line.endswith("a price of zero); kept as the source has sent it")


def test_to_reconcile_just_that_series_fails(unreadable: Stores) -> None:
    with pytest.raises(CsvError, match=r"FPT/1D\.csv: "):
        reconcile_series(unreadable, SeriesKey(VN, "FPT", DAY), NOW)
