"""What can befall the database while the web reads it under load and a worker writes it."""

import os
import resource
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

from tests import faults
from tests.faults.outcome import Outcome
from tests.faults.rig import PATIENCE_S, Rig, TooLongError, running

PAUSE_MS = 300
"""Between two cycles of the worker, which repairs at their beginning; long enough for clients to meet the damage."""
LASTS_S = 2.0
"""How long a fault that passes by itself lasts."""
ARGUMENTS = ("--pause-ms", str(PAUSE_MS))
VARIABLES = {"SQLITE_BUSY_TIMEOUT_MS": "300"}
BY_ITSELF_S, STEP_S = 10.0, 5.0
MAY_HIDE = "bad page"
"""It may lie in bars that no cycle touches; those wait for the nightly verification, which is what `--repair` does."""


def lasting(rig: Rig, name: str, times: int = 1) -> Outcome:
    """Damage that stays until a worker repairs it."""
    outcome = Outcome(f"database: {name}")
    for _ in range(times):
        LASTING[name](rig)
        outcome.injected += 1
        _repair(rig, outcome, may_hide=name == MAY_HIDE)
    return rig.check(outcome)


def passing(rig: Rig, name: str, times: int = 1) -> Outcome:
    """A fault that goes away; the repair counts from then on."""
    outcome = Outcome(f"database: {name}" if name != OUT_OF_DESCRIPTORS else name)
    web = rig.web_processes()
    for _ in range(times):
        with PASSING[name](rig):
            outcome.injected += 1
            time.sleep(LASTS_S)
        _repair(rig, outcome)
    if rig.web_processes() != web:
        outcome.broken.append("a process of the web has ended")
    return rig.check(outcome)


def without_fallback(directory: Path) -> Outcome:
    """The guard of all these taken away: the web does not answer from CSV when SQLite fails."""
    with running(directory, *ARGUMENTS, web={"FALLBACK_TO_CSV": "false"}) as rig:
        rig.clients.start()
        outcome = lasting(rig, "missing")
    outcome.fault, outcome.is_control = "database: missing, without fallback", True
    outcome.broken += [f"{outcome.failures} answers failed"] if outcome.failures else []
    return outcome


def _repair(rig: Rig, outcome: Outcome, *, may_hide: bool = False) -> None:
    """By itself, as promised unless it `may_hide`, or else with what an operator does; the note says what it took."""
    started = time.monotonic()
    for timeout_s, note, step in (
        (BY_ITSELF_S, "", lambda: None),
        (STEP_S, "`flask data verify --repair`", rig.repair),
        (PATIENCE_S, "the database removed by hand", lambda: faults.delete(rig.database)),
    ):
        step()
        try:
            rig.wait_until_repaired(timeout_s)
        except TooLongError:
            continue
        outcome.repaired_in(time.monotonic() - started)
        if note and f"took {note}" not in outcome.notes:
            outcome.notes.append(f"took {note}")
        if note and not may_hide:
            outcome.broken.append("it did not repair itself")
        return
    raise AssertionError(f"{outcome.fault} does not repair itself:\n{rig.writer.log_file.read_text()[-2_000:]}")


def _put_old_copy(rig: Rig) -> None:
    """As somebody who restores a copy by hand does it, while the worker has gone on."""
    copy = rig.database.with_name("old.db")
    with closing(sqlite3.connect(rig.database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for _ in range(3):
        rig.writer.wait_for_cycle()
    faults.delete(rig.database)
    copy.rename(rig.database)


def _of_file(spoil: Callable[[Path], None]) -> Callable[[Rig], None]:
    return lambda rig: spoil(rig.database)


@contextmanager
def _locked(rig: Rig) -> Iterator[None]:
    with closing(sqlite3.connect(rig.database, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


@contextmanager
def _out_of_descriptors(rig: Rig) -> Iterator[None]:
    """Neither the processes of the web nor the worker can open one more file."""
    with ExitStack() as stack:
        for pid in [*rig.web_processes(), rig.writer.pid]:
            if pid is not None:
                stack.enter_context(_no_more_files(pid))
        yield


@contextmanager
def _no_more_files(pid: int) -> Iterator[None]:
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # The lowest number that is free is the first that open() may not give.
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}  # noqa: PTH208
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(set(range(len(taken) + 1)) - taken), hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # it may have been started anew
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


OUT_OF_DESCRIPTORS = "out of descriptors"
REPLACED = "replaced while open"
LASTING: dict[str, Callable[[Rig], None]] = {name: _of_file(spoil) for name, spoil in faults.LASTING.items()}
LASTING[REPLACED] = _put_old_copy
PASSING = {"locked": _locked, OUT_OF_DESCRIPTORS: _out_of_descriptors}
