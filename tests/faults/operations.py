"""`python -m tests.faults.operations`: what a worker or an operator does to the stores, in a process of its own.

It reads lines `NAME DIRECTORY PLAN` and forks a process for each, which does that in this directory, its calls failing
by the plan (see `failing_calls`). It answers `STATUS CALLS`: how the process ended (negative: the signal), and how many
of the calls of the plan there were, 0 when it was killed. What it printed goes to standard error.

`--without GUARD` takes one guard of the product away.
"""

import argparse
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from stockapi import create_app
from stockapi.calc.indicators import enhance
from stockapi.config import Settings
from stockapi.formats.csv_format import HEADER, format_rows
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store import journal
from stockapi.services.durable import replace_file
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.writer_lock import writer_lock
from tests import faults
from tests.faults import failing_calls
from tests.faults.failing_calls import Plan
from tests.faults.writer import replace_attribute, write_tail_in_place
from tests.support.older import put_older
from tests.support.stores import NOW, Stores, environment, make_bars
from workers import __main__ as worker

COUNTS = {Interval.DAILY: 60, Interval.HOURLY: 80, Interval.MINUTE: 300}
CHANGED = 30
"""Bars that a save or an import changes, and adds."""
TICKERS = ("VCB", "FPT")
GUARDS = ("journal",)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.operations", description=__doc__)
    parser.add_argument("--without", choices=GUARDS)
    _take_away(parser.parse_args().without)
    for line in sys.stdin:
        name, directory, plan = line.split()
        print(*_forked(name, Path(directory), Plan.decode(plan)), flush=True)


def settings_in(directory: Path) -> Settings:
    return Settings.from_mapping(environment(directory, MARKETS="vn", LOG_LEVEL="error"))


def _forked(name: str, directory: Path, plan: Plan) -> tuple[int, int]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        status = 1
        try:
            failing_calls.arm(plan)
            status = OPERATIONS[name].do(directory)
            os.write(writing, str(failing_calls.calls_counted()).encode())
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    counted = os.read(reading, 20)
    os.close(reading)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), int(counted or 0)


# What is there before


def fill(directory: Path) -> None:
    """Both stores, in step."""
    stores = Stores.of(settings_in(directory))
    with writer_lock(stores.settings, [Mode.VN]):
        for ticker, interval in _series():
            stores.save(ticker, _bars(ticker, interval), interval)
        worker.record_source(stores, Mode.VN, NOW)
    stores.close()


def _series() -> list[tuple[str, Interval]]:
    return [*(("VCB", interval) for interval in Interval), ("FPT", Interval.DAILY)]


def _bars(ticker: str, interval: Interval) -> Bars:
    return _all_bars(ticker, interval).take(slice(COUNTS[interval]))


def _all_bars(ticker: str, interval: Interval) -> Bars:
    return make_bars(COUNTS[interval] + CHANGED, interval, seed=TICKERS.index(ticker))


def _changed(ticker: str, interval: Interval) -> Bars:
    """Some more bars, and other values of the last ones."""
    bars = _all_bars(ticker, interval)
    first = COUNTS[interval] - CHANGED
    changed = Bars.of(bars.time[first:], bars.prices[:, first:] * 1.01, bars.volume[first:])
    return enhance(bars.take(slice(first)).merge(changed), Mode.VN, is_index=False)


def _prepare_nothing(_directory: Path) -> None:
    pass


def _prepare_rebuild(directory: Path) -> None:
    faults.fill_with_garbage(settings_in(directory).vn_database_path)


def _prepare_restore(directory: Path) -> None:
    """A backup, and CSV and SQLite that are newer."""
    _flask("db", "backup", str(directory / "backup"))(directory)
    _save(directory)


def _prepare_import(directory: Path) -> None:
    """Bars of one known ticker that go on, and of one that is new."""
    for ticker, source in (("VCB", "VCB"), ("NEW", "FPT")):
        for interval in Interval:
            path = directory / "files" / ticker / f"{interval.value}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = format_rows(SeriesKey(Mode.VN, ticker, interval), _changed(source, interval))
            path.write_text(f"{HEADER}\n{rows}")


def _prepare_upgrade(directory: Path) -> None:
    """The bars as a program had them that knew a ledger, but no blocks and texts."""
    database = settings_in(directory).vn_database_path
    faults.checkpoint(database)
    put_older(database, 2)


def _prepare_adopt(directory: Path) -> None:
    path = directory / "market_data" / "source.json"
    replace_file(path, b'{"source": "another", "since": "2026-01-01T00:00:00Z"}\n')


# What is done


def _save(directory: Path) -> int:
    stores = Stores.of(settings_in(directory))
    with writer_lock(stores.settings, [Mode.VN]):
        for ticker, interval in _series():
            bars = _changed(ticker, interval)
            stores.save(ticker, bars, interval, cutoff=int(bars.time[COUNTS[interval] - CHANGED]))
        stores.db_manager.checkpoint(Mode.VN)
    stores.close()
    return 0


def _start(directory: Path) -> int:
    recover(directory)
    return 0


def recover(directory: Path) -> None:
    start_worker(settings_in(directory))


def start_worker(settings: Settings) -> None:
    """What the start of a worker does."""
    stores = Stores.of(settings)
    with writer_lock(stores.settings, [Mode.VN]):
        worker._recover(stores, Mode.VN, NOW, threading.Event())
    stores.close()


def _flask(*arguments: str) -> Callable[[Path], int]:
    def run(directory: Path) -> int:
        words = [each.replace("{}", str(directory)) for each in arguments]
        app = create_app(settings_in(directory), clock=lambda: NOW)
        result = app.test_cli_runner().invoke(args=[*words[:2], "--mode", "vn", *words[2:]])
        print(f"flask {' '.join(words)}: {result.exit_code}\n{result.output}")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code

    return run


class Operation:
    """`prepare` makes the state before it; `do` returns its exit status."""

    def __init__(self, do: Callable[[Path], int], prepare: Callable[[Path], None] = _prepare_nothing) -> None:
        self.do, self.prepare = do, prepare


OPERATIONS: dict[str, Operation] = {
    "save": Operation(_save),
    "restore": Operation(_flask("db", "restore", "{}/backup"), _prepare_restore),
    "rebuild": Operation(_start, _prepare_rebuild),
    "import": Operation(_flask("data", "import", "{}/files"), _prepare_import),
    "optimize": Operation(_flask("db", "optimize")),
    "backup": Operation(_flask("db", "backup", "{}/backup"), _prepare_nothing),
    "upgrade": Operation(_flask("db", "upgrade"), _prepare_upgrade),
    "delete": Operation(_flask("data", "delete", "--ticker", "VCB", "--yes")),
    "rename": Operation(_flask("data", "rename", "VCB", "XYZ", "--yes")),
    "adopt": Operation(_flask("data", "adopt"), _prepare_adopt),
}


def backups_are_whole(directory: Path) -> bool:
    """Whether each file that has the name of a backup is one."""
    for path in (directory / "backup").glob("*.db"):
        stores = Stores.of(settings_in(directory).with_database_path(Mode.VN, path))
        if DatabaseUtils(stores.db_manager).integrity(Mode.VN) != "ok" or not stores.sqlite_store.ledger(Mode.VN):
            return False
        stores.close()
    return True


def _take_away(guard: str | None) -> None:
    if guard == "journal":
        replace_attribute(journal, "replace_tail", write_tail_in_place)


if __name__ == "__main__":
    main()
