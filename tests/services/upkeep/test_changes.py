"""Deleting and renaming: both stores end equal, whatever interrupts it, and nothing else is lost or comes back."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from stockapi.config import Settings
from stockapi.errors import CsvError, StoreError
from stockapi.models import Interval, Mode
from stockapi.services.csv_store import CsvStore
from stockapi.services.database_manager import DatabaseManager
from stockapi.services.database_manager.bookkeeping import Bookkeeping
from stockapi.services.renames import Renames
from stockapi.services.sqlite_store import SqliteStore
from stockapi.services.upkeep import changes
from stockapi.services.upkeep.changes import (
    Change,
    Deletion,
    Renaming,
    archive,
    finish_change,
    make_change,
    require_both_stores,
)
from stockapi.services.upkeep.reconcile import reconcile_out_of_step, verify
from tests.support.server import clean_environment
from tests.support.stores import FIRST_DAY, NOW, MakeStores, Stores, environment, make_bars

VN = Mode.VN
ALL = tuple(Interval)
DAY = 86_400


class Killed(BaseException):
    """In the place of a kill: nothing may catch it, and nothing of it is cleaned up that a kill would leave."""


def fill(stores: Stores, intervals: tuple[Interval, ...] = ALL) -> None:
    for ticker, seed in (("VCB", 1), ("FPT", 2)):
        for interval in intervals:
            stores.save(ticker, make_bars(60, interval, seed=seed), interval)
    stores.save("NEW", make_bars(40, seed=3))
    stores.bookkeeping.record_adjustment(VN, "VCB", FIRST_DAY, 1.25, 5)


def contents(stores: Stores) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """Times and closes of every series, which both stores have alike; their ledger, blocks and texts too."""
    assert [report for report in verify(stores, VN, ALL) if report.problems] == []
    tickers = {*stores.csv_store.tickers(VN), *(key.ticker for key in stores.sqlite_store.ledger(VN))}
    series = {(ticker, interval.value): stores.in_csv(ticker, interval) for ticker in tickers for interval in Interval}
    rows = {key: list(zip(bars.time.tolist(), bars.close.tolist(), strict=True)) for key, bars in series.items()}
    return {key: each for key, each in rows.items() if each}


CHANGES = [
    pytest.param(Deletion("VCB", ALL), id="a ticker"),
    pytest.param(Deletion("VCB", (Interval.DAILY,)), id="an interval"),
    pytest.param(Deletion("VCB", ALL, FIRST_DAY + 10 * DAY, FIRST_DAY + 20 * DAY), id="days in the middle"),
    pytest.param(Deletion("VCB", ALL, FIRST_DAY + 11 * DAY, None), id="the end, and with it all of the shorter ones"),
    pytest.param(Deletion("VCB", (Interval.MINUTE,), None, FIRST_DAY), id="one bar"),
    pytest.param(Renaming("VCB", "XYZ"), id="a new name"),
    pytest.param(Renaming("VCB", "NEW"), id="a name that has bars"),
]


def expected(change: Change, before: dict[tuple[str, str], list[tuple[int, float]]]) -> dict[tuple[str, str], Any]:
    """By the definition of each change, row by row."""
    after = {}
    for (ticker, interval), rows in before.items():
        if isinstance(change, Renaming):
            name = change.new if ticker == change.old else ticker
            merged = dict(before.get((change.old, interval), [])) if name == change.new else {}
            after[name, interval] = sorted({**merged, **dict(before.get((name, interval), []))}.items())
        else:
            first, last = change.first or 0, change.last or 1 << 60
            is_meant = ticker == change.ticker and Interval(interval) in change.intervals
            after[ticker, interval] = [row for row in rows if not (is_meant and first <= row[0] <= last)]
    return {key: rows for key, rows in after.items() if rows}


@pytest.mark.parametrize("change", CHANGES)
def test_both_stores_have_the_change_and_nothing_else(stores: Stores, change: Change) -> None:
    fill(stores)
    before = contents(stores)
    make_change(stores, VN, change, NOW)
    assert contents(stores) == expected(change, before)
    assert reconcile_out_of_step(stores, VN, NOW) == {}
    assert not (stores.settings.data_dir(VN) / changes.FILE_NAME).exists()


STEPS: list[tuple[type, str]] = [
    (CsvStore, "write"),
    (CsvStore, "remove"),
    (SqliteStore, "replace"),
    (SqliteStore, "remove"),
    (Renames, "record"),
    (Bookkeeping, "forget_adjustments"),
    (Bookkeeping, "rename_adjustments"),
    (DatabaseManager, "sync_log"),
]


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, step: int, *, after: bool) -> Iterator[list[str]]:
    """Before or after the step of this number, of all that a change takes; the names of those that came."""
    came: list[str] = []

    def watched(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            came.append(name)
            is_here = len(came) == step
            if is_here and not after:
                raise Killed(name)
            result = original(*args, **kwargs)
            if is_here:
                raise Killed(name)
            return result

        return run

    with monkeypatch.context() as patch:
        for owner, name in STEPS:
            patch.setattr(owner, name, watched(name, getattr(owner, name)))
        yield came


@pytest.mark.parametrize(
    ("change", "intervals"),
    [
        pytest.param(Deletion("VCB", ALL), (Interval.DAILY,), id="a ticker of days"),
        pytest.param(Renaming("VCB", "NEW"), (Interval.DAILY,), id="a name that has days"),
        *(pytest.param(*each.values, ALL, id=each.id, marks=pytest.mark.long) for each in CHANGES),
    ],
)
def test_killed_at_any_step_the_next_start_finishes_it(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, change: Change, intervals: tuple[Interval, ...]
) -> None:
    fill(stores, intervals)
    before = contents(stores)
    undo = {key: stores.csv_store.read(key).bars for key in stores.sqlite_store.ledger(VN)}
    step, reached = 0, 1
    while reached:
        step, reached = step + 1, 0
        for after in (False, True):
            with killed_at(monkeypatch, step, after=after):
                try:
                    make_change(stores, VN, change, NOW)
                except Killed:
                    reached += 1
            # As the next start: first the change, then the comparison, which must find nothing to bring back.
            finish_change(stores, VN, NOW)
            reconcile_out_of_step(stores, VN, NOW)
            assert contents(stores) == expected(change, before), (step, after)
            for key, bars in undo.items():
                stores.save(key.ticker, bars, key.interval, rewrite_all=True)
            gone = {*stores.sqlite_store.ledger(VN)} - undo.keys()
            for key in gone:
                make_change(stores, VN, Deletion(key.ticker, (key.interval,)), NOW)
            (stores.settings.data_dir(VN) / "names.json").unlink(missing_ok=True)
    assert step >= 4


def test_a_change_goes_to_csv_while_the_database_is_damaged_and_to_both_once_it_is_healed(stores: Stores) -> None:
    fill(stores)
    before = contents(stores)
    change = Deletion("VCB", ALL, FIRST_DAY + 10 * DAY, FIRST_DAY + 20 * DAY)
    path = stores.settings.data_dir(VN) / changes.FILE_NAME
    path.write_bytes(changes._encode(change))
    with stores.db_manager.transaction(VN) as connection:
        connection.execute("DROP TABLE vn_daily")
    assert finish_change(stores, VN, NOW) == change
    assert path.exists(), "it is not forgotten"
    reconcile_out_of_step(stores, VN, NOW)
    assert finish_change(stores, VN, NOW) == change
    assert finish_change(stores, VN, NOW) is None
    reconcile_out_of_step(stores, VN, NOW)
    assert contents(stores) == expected(change, before)


def test_without_a_database_csv_has_the_change(stores: Stores) -> None:
    fill(stores)
    before = contents(stores)
    stores.close()
    stores.settings.database_path(VN).unlink()
    stores.db_manager._opened.clear()
    change = Deletion("VCB", ALL)
    make_change(stores, VN, change, NOW)
    reconcile_out_of_step(stores, VN, NOW)
    assert contents(stores) == expected(change, before)


def test_a_store_that_is_not_written_would_bring_bars_back(stores: Stores, make_stores: MakeStores) -> None:
    fill(stores)
    with pytest.raises(StoreError, match="SQLITE_WRITES is off"):
        require_both_stores(make_stores(SQLITE_WRITES="false"), VN)
    require_both_stores(stores, VN)


def test_the_records_of_adjustments_go_along(stores: Stores) -> None:
    fill(stores)
    make_change(stores, VN, Renaming("VCB", "XYZ"), NOW)
    assert [each.ticker for each in stores.bookkeeping.adjustments(VN, 0)] == ["XYZ"]
    make_change(stores, VN, Deletion("XYZ", (Interval.DAILY,)), NOW)
    assert [each.ticker for each in stores.bookkeeping.adjustments(VN, 0)] == ["XYZ"]
    make_change(stores, VN, Deletion("XYZ", ALL), NOW)
    assert stores.bookkeeping.adjustments(VN, 0) == []
    assert stores.renames.of(VN).renamed == {}, "the old name leads nowhere"


def test_what_is_archived_in_one_second_has_directories_of_its_own(stores: Stores) -> None:
    fill(stores)
    key = next(iter(stores.sqlite_store.ledger(VN)))
    bars = stores.csv_store.read(key).bars
    first, second = (archive(stores, VN, [(key, bars)], NOW) for _ in range(2))
    assert first != second
    assert (first / key.ticker / f"{key.interval.value}.csv").read_bytes() == stores.csv_store.path(key).read_bytes()
    assert stores.csv_store.tickers(VN) == ["FPT", "NEW", "VCB"]


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", '{"delete": "VCB"}', '{"delete": "VCB", "intervals": ["2D"], "first": null, "last": null}'],
)
def test_a_file_that_is_no_change_stops(stores: Stores, text: str) -> None:
    path = stores.settings.data_dir(VN) / changes.FILE_NAME
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(CsvError, match="is not as it was written"):
        finish_change(stores, VN, NOW)


# With real kills


CHANGE_AGAIN_AND_AGAIN = """
import sys
from datetime import UTC, datetime
from stockapi.config import Settings
from stockapi.models import Interval, Mode
from stockapi.services.stores import Stores
from stockapi.services.upkeep.changes import Deletion, Renaming, make_change

stores, now = Stores.of(Settings.load()), datetime(2026, 3, 2, 5, tzinfo=UTC)
first = int(sys.argv[1])
for number in range(25):
    begin = first + number * 2 * 60
    print(number, flush=True)
    make_change(stores, Mode.VN, Deletion("VCB", tuple(Interval), begin, begin + 60), now)
    make_change(stores, Mode.VN, Renaming(*(("FPT", "XYZ") if number % 2 == 0 else ("XYZ", "FPT"))), now)
"""


@pytest.mark.long
def test_killed_at_any_moment_both_stores_are_equal_after_the_next_start(tmp_path: Path) -> None:
    rng = random.Random(21)
    for attempt in range(25):
        directory = tmp_path / str(attempt)
        directory.mkdir()
        stores = Stores.of(_settings(directory))
        fill(stores)
        before = contents(stores)
        stores.close()
        process = subprocess.Popen(
            [sys.executable, "-c", CHANGE_AGAIN_AND_AGAIN, str(FIRST_DAY)],
            env=clean_environment(directory) | environment(directory),
            cwd=directory,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.6))
            os.kill(process.pid, signal.SIGKILL)
            began = 1 + len(process.stdout.read().splitlines())
        stores = Stores.of(_settings(directory))
        finish_change(stores, VN, NOW)
        reconcile_out_of_step(stores, VN, NOW)
        after = contents(stores)
        # Of all that began, each is done or was not written down yet: no other bar is gone.
        left = {row[0] for row in after["VCB", "1m"]}
        gone = {row[0] for row in before["VCB", "1m"]} - left
        done = len(gone) // 2
        assert gone == {FIRST_DAY + 60 * minute for number in range(done) for minute in (2 * number, 2 * number + 1)}
        assert began - 1 <= done <= began
        (renamed,) = {"FPT", "XYZ"} & {ticker for ticker, _ in after}
        for interval in Interval:
            assert after[renamed, interval.value] == before["FPT", interval.value]
        assert after["NEW", "1D"] == before["NEW", "1D"]
        stores.close()


def _settings(directory: Path) -> Settings:
    return Settings.from_mapping(environment(directory))


def test_the_file_of_a_change_is_plain(stores: Stores) -> None:
    change = Deletion("VCB", (Interval.DAILY,), 1, None)
    assert json.loads(changes._encode(change)) == {"delete": "VCB", "intervals": ["1D"], "first": 1, "last": None}
