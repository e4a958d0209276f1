"""A CSV file that the system does not give: its series fails, in a line that names it, and all others go on.

Each test has its control: with the guard taken away the one file keeps the others back.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import faults
import pytest
from conftest import NOW, MakeStores, Stores, make_bars
from faults import assert_in_step, heal, problems

from stockapi.errors import CsvError
from stockapi.models import Interval, Mode
from stockapi.providers.simulated import SimulatedProvider
from stockapi.services import csv_enhancer, reconcile
from stockapi.services.csv_enhancer import settle, stored_tickers
from stockapi.services.doctor import Finding, Kind, examine
from workers.loop import Job, WorkerLoop

VN, DAY = Mode.VN, Interval.DAILY
TICKERS = ["ACB", "FPT", "VCB"]
BARS = {ticker: make_bars(60, seed=ord(ticker[0])) for ticker in TICKERS}
LONGER = make_bars(70, seed=ord("V"))


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
    return stores.csv_store.path(VN, ticker, DAY)


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


# The list of what is stored


def test_the_tickers_are_listed_all_the_same(unreadable: Stores) -> None:
    assert stored_tickers(DAY, VN, unreadable.db_manager, unreadable.csv_store) == TICKERS


@pytest.mark.parametrize("how", CANNOT_BE_STAMPED)
def test_a_ticker_that_only_such_a_file_tells_of_is_listed(make_stores: MakeStores, how: str) -> None:
    stores = make_stores(SQLITE_WRITES="false")
    stores.save("FPT", BARS["FPT"])
    spoil(stores, how)
    assert stored_tickers(DAY, VN, stores.db_manager, stores.csv_store) == ["FPT"]


@pytest.mark.parametrize("how", CANNOT_BE_STAMPED)
def test_without_the_guard_nothing_is_listed(stores: Stores, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    for ticker, bars in BARS.items():
        stores.save(ticker, bars)
    spoil(stores, how)
    monkeypatch.setattr(
        csv_enhancer, "_may_have_bars", lambda mode, *series, **_: series[2].stamp(mode, *series[:2]) != ""
    )
    with pytest.raises(CsvError):
        stored_tickers(DAY, VN, stores.db_manager, stores.csv_store)


# A start


def test_a_start_settles_the_others(unreadable: Stores, caplog: pytest.LogCaptureFixture) -> None:
    unreadable.csv_store.write(VN, "VCB", DAY, LONGER)
    assert heal(unreadable) == {("VCB", DAY)}
    assert_in_step(unreadable, "ACB", BARS["ACB"])
    assert_in_step(unreadable, "VCB", LONGER)
    assert unreadable.in_sqlite("FPT").equals(BARS["FPT"]), "what SQLite has of it is still served"
    assert_one_line_names(caplog, path_of(unreadable))


def test_without_the_guard_a_start_fails_at_it(unreadable: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable.csv_store.write(VN, "VCB", DAY, LONGER)
    each = reconcile._settle_each
    monkeypatch.setattr(reconcile, "_settle_each", lambda *series, **_: each(*series, must_be_whole=True))
    with pytest.raises(CsvError):
        heal(unreadable)
    assert unreadable.in_sqlite("VCB").equals(BARS["VCB"])


def test_once_it_is_out_of_the_way_the_next_start_writes_it_anew(unreadable: Stores) -> None:
    heal(unreadable)
    path = path_of(unreadable)
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    assert heal(unreadable) == {("FPT", DAY)}
    assert_in_step(unreadable, "FPT", BARS["FPT"])
    assert problems(unreadable) == {}


def test_a_missing_database_is_filled_with_the_others(unreadable: Stores, caplog: pytest.LogCaptureFixture) -> None:
    unreadable.db_manager.close()
    faults.delete(unreadable.settings.vn_database_path)
    assert heal(unreadable) == {("ACB", DAY), ("VCB", DAY)}
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
        heal(stores)
    assert not stores.settings.vn_database_path.exists()


@pytest.mark.parametrize("fallback", ["true", "false"])
def test_a_damaged_database_stays_as_long_as_it_may_hold_the_only_copy(
    unreadable: Stores, make_stores: MakeStores, caplog: pytest.LogCaptureFixture, fallback: str
) -> None:
    stores = make_stores(FALLBACK_TO_CSV=fallback)
    unreadable.db_manager.close()
    with stores.db_manager.transaction(VN) as connection:
        connection.execute("DROP TABLE vn_hourly")
    if fallback == "true":
        assert heal(stores) == set()
        assert f"the vn database is not filled anew, CSV goes on alone: {path_of(stores)}: " in errors_of(caplog)[-1]
    else:
        with pytest.raises(CsvError):
            heal(stores)
    assert stores.in_sqlite("FPT").equals(BARS["FPT"])


# A cycle of a worker


class Listed(SimulatedProvider):
    """The simulated market, less most of its tickers."""

    def tickers(self) -> list[str]:
        return TICKERS


@pytest.mark.parametrize("how", UNREADABLE)
def test_a_cycle_brings_the_others_up_to_date(stores: Stores, caplog: pytest.LogCaptureFixture, how: str) -> None:
    now = datetime(2026, 9, 16, 3, 0, tzinfo=UTC)
    job = Job("daily", VN, (DAY,), lambda provider: provider.tickers(), lambda _now: 60)
    worker = WorkerLoop(
        [job], Listed(VN, 1), stores.db_manager, stores.csv_store, threading.Event(), lambda: now, lambda: 0.0
    )
    assert worker.run_once() == 0
    spoil(stores, how)
    now = datetime(2026, 9, 18, 3, 0, tzinfo=UTC)
    assert worker.run_once() == 1
    newest = {ticker: int(stores.in_sqlite(ticker).time[-1]) for ticker in TICKERS}
    assert newest["ACB"] == newest["VCB"] == newest["FPT"] + 2 * DAY.seconds
    (line,) = errors_of(caplog)
    assert line.startswith("vn FPT 1D failed")


# The doctor, and one who settles that series


def test_the_doctor_says_so_and_examines_the_others(unreadable: Stores) -> None:
    found = [*examine(VN, [DAY], unreadable.db_manager, unreadable.csv_store, NOW)]
    assert len(found) == len(TICKERS)
    ((finding,),) = [each for each in found if each and each[0].ticker == "FPT"]
    assert (finding.kind, finding.kind.is_unreadable, finding.kind.is_repairable) == (Kind.UNREADABLE_FILE, True, False)
    assert str(finding).startswith(f"vn FPT 1D: 1 CSV file: it cannot be read ({path_of(unreadable)}: ")
    assert "make it readable, or move it away" in str(finding)


def test_findings_without_a_reason_read_as_before() -> None:
    line = str(Finding(VN, "VCB", DAY, Kind.IMPOSSIBLE, 2))
    assert line.endswith("a price of zero); kept as the source has sent it")


def test_to_settle_just_that_series_fails(unreadable: Stores) -> None:
    with pytest.raises(CsvError, match=r"FPT/1D\.csv: "):
        settle("FPT", DAY, VN, unreadable.db_manager, unreadable.csv_store, NOW)
