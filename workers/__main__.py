"""`python -m workers`: the one process that writes market data. SIGTERM and SIGINT stop it after the current series."""

import argparse
import logging
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from stockapi.config import Settings
from stockapi.errors import AppError, ConfigError, CsvError
from stockapi.logs import configure_logging, key_values
from stockapi.models.mode import Mode
from stockapi.providers.registry import provider_for
from stockapi.services.csv_enhancer import csv_alone_if_allowed
from stockapi.services.ingest.named_source import NamedSource
from stockapi.services.ingest.sources import Sources
from stockapi.services.market_source import record_source, require_source
from stockapi.services.stores import Stores
from stockapi.services.upkeep.changes import finish_change
from stockapi.services.upkeep.database_utils import DatabaseUtils
from stockapi.services.upkeep.reconcile import reconcile_out_of_step
from stockapi.services.writer_lock import require_held, writer_lock
from workers.catch_up_loop import CatchUpLoop
from workers.clocks import Clocks
from workers.filling import Filling
from workers.jobs import THREADS
from workers.loop import WorkerLoop
from workers.nightly import NightlyVerification
from workers.priority import yield_to_readers

log = logging.getLogger("workers")

_STOP_WITHIN_S: Final = 9.0
"""Process managers kill a process ten seconds after the signal. A series takes milliseconds, but a request may hang."""


def main() -> None:
    arguments = _arguments()
    try:
        settings = Settings.load()
        configure_logging(settings.log_level)
        yield_to_readers()
        threads = _enabled_threads(settings, arguments.only)
        is_well = _run(settings, threads, arguments.once, _stop_on_signals())
    except AppError as exc:
        sys.exit(f"workers: {exc}")
    sys.exit(0 if is_well else 1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers", description="Keep both stores current.")
    parser.add_argument("--only", type=_thread_names, help="some of: " + ",".join(THREADS))
    parser.add_argument("--once", action="store_true", help="run each job once and exit, 1 when a series failed")
    return parser.parse_args()


def _thread_names(text: str) -> list[str]:
    names = text.split(",")
    if not set(names) <= THREADS.keys():
        raise argparse.ArgumentTypeError(f"{text!r} is not allowed; allowed: {', '.join(THREADS)}, separated by commas")
    return [name for name in THREADS if name in names]


def _enabled_threads(settings: Settings, only: Sequence[str] | None) -> list[str]:
    """The threads of the enabled markets; with `only`, the named ones.

    :raises ConfigError: when `only` names a thread of a market that is not enabled.
    """
    enabled = [name for name, jobs in THREADS.items() if jobs[0].mode in settings.markets]
    if only is not None and not set(only) <= set(enabled):
        raise ConfigError(
            f"--only {','.join(only)!r} is not allowed, as MARKETS leaves some of these out; "
            f"allowed: {', '.join(enabled)}, separated by commas"
        )
    return enabled if only is None else list(only)


def _run(settings: Settings, names: Sequence[str], once: bool, stop: threading.Event) -> bool:
    """Hold the writer's lock, finish what a crash interrupted, then keep the markets current until `stop` is set.

    :returns: whether all went well. With `once`: no series failed. Otherwise: no thread died or hung.
    :raises AppError: when the start fails: another writer, another source, a source that is not available.
    """
    modes = list(dict.fromkeys(THREADS[name][0].mode for name in names))
    stores, clocks = Stores.of(settings), Clocks()
    with writer_lock(settings, modes):
        for mode in modes:
            require_source(stores, mode)
        for mode in modes:
            _recover(stores, mode, clocks.now(), stop)
            record_source(stores, mode, clocks.now())
        sources = {mode: _sources(stores, mode, stop) for mode in modes}
        loops = {}
        for name in names:
            jobs = THREADS[name]
            loops[name] = WorkerLoop(stores, jobs, sources[jobs[0].mode], stop, clocks)
        if once:
            # A source that refuses after the first would otherwise never be asked by the last.
            in_turn = sorted(loops.values(), key=WorkerLoop.neglected_since)
            is_well = sum([loop.run_once() for loop in in_turn]) == 0
        else:
            nightly = NightlyVerification(stores, modes, stop, clocks)
            catching_up = CatchUpLoop(stores, modes, stop, clocks)
            filling = Filling(stores, sources, stop, clocks)
            is_well = _run_threads({**loops, "nightly": nightly, "catch-up": catching_up, "filling": filling}, stop)
        # Not after an error: a thread may still run, and closing would take its file away.
        stores.close()
    log.info(key_values(event="stopped"))
    return is_well


def _sources(stores: Stores, mode: Mode, stop: threading.Event) -> Sources:
    named = (provider_for(mode, stores.settings, stop, name) for name in stores.settings.sources(mode))
    return Sources(stores, [NamedSource(provider, stores.renames) for provider in named])


def _recover(stores: Stores, mode: Mode, now: datetime, stop: threading.Event) -> None:
    """Reconcile the stores. A signal ends it after the current series; the next start does the rest."""
    recovery = stores.csv_store.recover(mode)
    with csv_alone_if_allowed(stores, mode.value):
        DatabaseUtils(stores.db_manager).clear_up(mode, now)
    finish_change(stores, mode, now)
    reconciled = reconcile_out_of_step(stores, mode, now, stop)
    # Again, when SQLite had to be repaired before it could take the change.
    finish_change(stores, mode, now)
    log.info(
        key_values(
            event="recovered",
            mode=mode.value,
            journals=recovery.journals_finished,
            temp_files=recovery.temp_files_removed,
            reconciled=len(reconciled),
        )
    )


def _run_threads(
    loops: Mapping[str, WorkerLoop | NightlyVerification | CatchUpLoop | Filling], stop: threading.Event
) -> bool:
    """:returns: False when a thread died by itself or did not end in time."""
    threads = [threading.Thread(target=loop.run, name=name, daemon=True) for name, loop in loops.items()]
    for thread in threads:
        thread.start()
    is_well = True
    while not stop.wait(1.0):
        dead = [thread.name for thread in threads if not thread.is_alive()]
        try:
            require_held()
        except CsvError as exc:
            log.critical(key_values(event="lock_lost", error=exc))
            is_well = False
            stop.set()
        if dead:
            log.critical(key_values(event="thread_died", threads=",".join(dead)))
            is_well = False
            stop.set()
    deadline = time.monotonic() + _STOP_WITHIN_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    hung = [thread.name for thread in threads if thread.is_alive()]
    if hung:
        # What they were writing is complete in CSV or in its journal. The next start brings SQLite up to date.
        log.error(key_values(event="threads_hang", threads=",".join(hung)))
        sys.exit(1)
    return is_well


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    return stop


if __name__ == "__main__":
    main()
