"""`python -m tests.faults.writer`: the worker's start and cycles, on a market whose versions are known.

It reads lines `go VERSION [PLAN]` and forks a writer for each, which begins with that version and takes the next one
with each cycle: a process that can be killed, ready to write within milliseconds, whose calls fail by the plan (see
`failing_calls`). On standard output it says what happens:

    born PID                    the writer process is there
    ready                       it has recovered what its predecessor left
    hit                         a call has failed by the plan
    ack TICKER INTERVAL VERSION both|csv STAMP    a series is saved, in both stores or in CSV alone
    begin                       a cycle begins
    end FAILED                  all series have been tried, so many failed
    dead STATUS                 it has ended
    failed REASON               it could not start

SIGTERM ends a writer as it ends a worker; SIGHUP ends the pause between two cycles. SIGUSR1 sets its clock back by an
hour, SIGUSR2 forward.

`--without GUARD` takes one guard of the product away, to show what it is good for.
"""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

from stockapi.config import Settings
from stockapi.errors import AppError
from stockapi.logs import configure_logging
from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services import durable
from stockapi.services import writer_lock as writer_lock_module
from stockapi.services.csv_enhancer import EnhancementStats, OpenSeries
from stockapi.services.csv_store import journal
from stockapi.services.database_manager import manager
from stockapi.services.ingest import sync
from stockapi.services.ingest.history import SyncStats
from stockapi.services.stores import Stores
from stockapi.services.upkeep import reconcile
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.writer_lock import writer_lock
from tests.faults import failing_calls
from tests.faults.failing_calls import Plan
from tests.faults.market import TICKERS, VersionedProvider
from workers import __main__ as worker
from workers import loop
from workers.catch_up_loop import CatchUpLoop
from workers.clocks import Clocks


def main() -> None:
    arguments = _arguments()
    settings = Settings.load()
    configure_logging(settings.log_level)
    if arguments.without:
        GUARDS[arguments.without]()
    if arguments.slow_ms:
        durable.os = _slow_os(arguments.slow_ms / 1000)
    write = partial(_write, settings, arguments)
    if arguments.cycles:
        write(0)
        return
    for line in sys.stdin:
        _, version, *plan = line.split()
        _fork(partial(write, int(version)), *map(Plan.decode, plan))


def say(*words: object) -> None:
    """One write, which a kill does not tear."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.writer", description=__doc__)
    parser.add_argument("--tickers", default=",".join(TICKERS))
    parser.add_argument("--cycles", type=int, help="write so many in this process, from version 0 on, and end")
    parser.add_argument("--scheduled", action="store_true", help="a cycle a second, by the worker's own timetable")
    parser.add_argument("--pause-ms", type=int, default=0, help="between two cycles")
    parser.add_argument("--catch-up", action="store_true", help="look every second whether SQLite can catch up")
    parser.add_argument(
        "--save-while-rebuilding", action="store_true", help="save all series before a new database is put in place"
    )
    parser.add_argument("--slow-ms", type=int, default=0, help="stop in the middle of each write in place")
    parser.add_argument("--user", type=int, help="whose permissions it has")
    parser.add_argument("--without", choices=list(GUARDS))
    return parser.parse_args()


def _fork(write: Callable[[], None], plan: Plan | None = None) -> None:
    child = os.fork()
    if child == 0:
        sys.stdin.close()
        try:
            if plan is not None:
                failing_calls.arm(plan)
            write()
        except AppError as exc:
            say("failed", exc)
            os._exit(1)
        os._exit(0)
    say("born", child)
    _, status = os.waitpid(child, 0)
    say("dead", os.waitstatus_to_exitcode(status))


def _write(settings: Settings, arguments: argparse.Namespace, version: int) -> None:
    """As `python -m workers` does, but for the market, the pace, and that it says what it has saved."""
    stop, go_on = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: (stop.set(), go_on.set()))
    signal.signal(signal.SIGHUP, lambda *_: go_on.set())
    signal.signal(signal.SIGUSR1, _Clock.move)
    signal.signal(signal.SIGUSR2, _Clock.move)
    loop.schedule.datetime = SimpleNamespace(**{**vars(loop.schedule.datetime), "datetime": _Clock})
    loop.sync_ticker = _acknowledged
    if arguments.user:
        os.seteuid(arguments.user)
    provider = VersionedProvider(arguments.tickers.split(","), Path("listed"))
    job = loop.Job("daily", Mode.VN, tuple(Interval), VersionedProvider.tickers, lambda _now: 1)
    with writer_lock(settings, [Mode.VN]):
        stores = Stores.of(settings)
        provider.version = version
        if arguments.save_while_rebuilding:
            replace_attribute(DatabaseUtils, "swap_in", _saving_first(DatabaseUtils.swap_in, stores, provider))
        if arguments.without != "reconciling":
            worker._recover(stores, Mode.VN, datetime.now(UTC), stop)
        say("ready")
        cycles = _Cycles(stores, [job], provider, stop, Clocks(lambda: _Clock.now(UTC)))
        if arguments.catch_up:
            catching_up = CatchUpLoop(stores, [Mode.VN], stop, Clocks(lambda: _Clock.now(UTC)))
            threading.Thread(target=catching_up.run, daemon=True).start()
        if arguments.scheduled:
            cycles.run()
        while not stop.is_set() and provider.version - version != arguments.cycles:
            if provider.version > 1:  # the first two are what everything begins with
                go_on.wait(arguments.pause_ms / 1000)
                go_on.clear()
            if not stop.is_set():
                cycles.run_once()
        stores.close()


def _saving_first(swap_in: Callable[..., Any], stores: Stores, provider: VersionedProvider) -> Callable[..., Any]:
    """Another thread of the worker saves a version of every series just before a new database is put in place."""

    def save_all() -> None:
        provider.version += 1
        for ticker in provider.tickers():
            for interval in Interval:
                _acknowledged(stores, provider, SeriesKey(Mode.VN, ticker, interval), _Clock.now(UTC))

    def saving_first(*arguments: Any) -> Any:
        other = threading.Thread(target=save_all)
        other.start()
        other.join()
        return swap_in(*arguments)

    return saving_first


class _Cycles(loop.WorkerLoop):
    """Says when a cycle begins and ends, and takes the next version with each."""

    def _guarded_cycle(self, job: loop.Job) -> int:
        say("begin")
        failed = super()._guarded_cycle(job)
        say("end", failed)
        assert isinstance(self._provider, VersionedProvider)
        self._provider.version += 1
        return failed


class _Clock(datetime):
    """The wall clock of this process, which a signal sets back by an hour, and another one forward."""

    moved = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.moved

    @classmethod
    def move(cls, signum: int, _frame: object) -> None:
        cls.moved += timedelta(hours=-1 if signum == signal.SIGUSR1 else 1)


def _acknowledged(stores: Stores, provider: VersionedProvider, key: SeriesKey, now: datetime, **how: bool) -> SyncStats:
    stats = sync.sync_ticker(stores, provider, key, now, **how)
    where = "csv" if stats.saved.sqlite_error else "both"
    say("ack", key.ticker, key.interval.value, provider.version, where, stores.csv_store.stamp(key))
    return stats


# The guards


def _rebuild_in_one_pass() -> None:
    """What others save while a new database is filled is not brought over when it is in place."""
    each, rebuild = reconcile._reconcile_each, reconcile.rebuild

    def rebuild_in_one_pass(*arguments: Any) -> Any:
        replace_attribute(reconcile, "_reconcile_each", lambda *of, **how: each(*of, **how) if how else {})
        try:
            return rebuild(*arguments)
        finally:
            replace_attribute(reconcile, "_reconcile_each", each)

    replace_attribute(reconcile, "rebuild", rebuild_in_one_pass)


def replace_attribute(owner: Any, name: str, value: object) -> None:
    assert hasattr(owner, name), f"{owner} has no {name} any more: there is nothing to take away"
    setattr(owner, name, value)


def _os_with(**functions: Callable[..., Any]) -> Any:
    return SimpleNamespace(**{**vars(os), **functions})


def _slow_os(seconds: float) -> Any:
    """Half of the bytes, a while later the rest: what the disk of a busy machine may do to any write."""

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        half = os.pwrite(descriptor, data[: (len(data) + 1) // 2], offset)
        time.sleep(seconds)
        return half

    return _os_with(pwrite=pwrite)


def write_tail_in_place(path: Any, offset: int, tail: bytes) -> None:
    """What `replace_tail` does, less the journal: under the lock, and durable."""
    descriptor = os.open(path, os.O_WRONLY)
    try:
        with durable.locked(path.parent, exclusive=True):
            os.ftruncate(descriptor, offset)
            durable.write_range(descriptor, offset, tail)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(*attributes: tuple[Any, str, object]) -> Callable[[], None]:
    def replace_all() -> None:
        for owner, name, value in attributes:
            replace_attribute(owner, name, value)

    return replace_all


GUARDS: dict[str, Callable[[], None]] = {
    "journal": _replace((journal, "replace_tail", write_tail_in_place)),
    "reconciling": _replace(
        (OpenSeries, "reconcile_if_out_of_step", lambda _self: None),
        (loop, "reconcile_out_of_step", lambda *_: {}),
        (OpenSeries, "reconcile", lambda _self, **_how: (EnhancementStats(), None)),
    ),
    "second pass": _rebuild_in_one_pass,
    "sides": _replace((manager, "_SIDES", ())),
    "lock check": _replace((writer_lock_module, "require_held", lambda: None)),
    "rest of short writes": _replace((journal, "write_range", lambda file, start, data: os.pwrite(file, data, start))),
    "fsync": _replace(*((module, "os", _os_with(fsync=lambda _descriptor: None)) for module in (durable, journal))),
    "directory fsync": _replace(
        *((module, "fsync_directory", lambda _directory: None) for module in (durable, journal))
    ),
}
"""What takes each guard away."""


if __name__ == "__main__":
    main()
