"""A disk that fills up: while CSV is written, in a transaction, in a checkpoint.

Space comes back, and nothing is restarted.
"""

import os
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests import faults
from tests.faults.market import LARGE
from tests.faults.outcome import Outcome
from tests.faults.rig import Rig, running, wait_until

SIZE_MIB = 64
ARGUMENTS = ("--pause-ms", "100")
LASTS_S = 1.5


def why_not() -> str | None:
    """What keeps this machine from it, if anything."""
    with tempfile.TemporaryDirectory() as name:
        done = _mount(Path(name))
        if done.returncode == 0:
            subprocess.run(["umount", name], check=True)
            return None
        return f"no tmpfs can be mounted: {done.stderr.strip() or 'not permitted'}"


def disk_full(directory: Path, place: str) -> Outcome:
    """`place`: one of PLACES."""
    outcome = Outcome(f"disk full: {place}")
    variable, fill = PLACES[place]
    with _small_disk(directory / "disk") as disk:
        path = disk / ("market_data" if variable == "MARKET_DATA_DIR" else "vn_data.db")
        with running(directory, *ARGUMENTS, variables={variable: str(path)}) as rig:
            rig.clients.start()
            fill(rig, disk)
            outcome.injected += 1
            time.sleep(LASTS_S)
            (disk / "ballast").unlink()
            outcome.repaired_in(rig.wait_until_repaired())
            return rig.finish(outcome)


def _csv(rig: Rig, disk: Path) -> None:
    _fill(disk)
    _wait_for_log(rig, "No space left on device")


def _transaction(rig: Rig, disk: Path) -> None:
    """The log keeps the room it once had, and has to be cut to be in need of more."""
    with _stopped(rig):
        faults.checkpoint(rig.database)
        _fill(disk)
    _wait_for_log(rig, "goes on with CSV alone until SQLite works again: SQLite error: database or disk is full")


def _checkpoint(rig: Rig, disk: Path) -> None:
    """A reader holds checkpoints up while a large ticker comes in; then the database has to grow, and cannot."""
    with closing(sqlite3.connect(rig.database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM ledger").fetchone()
        rig.writer.list_too(LARGE)
        wait_until(lambda: any(ticker == LARGE for ticker, interval in rig.writer.in_both), "the large ticker")
        log = Path(f"{rig.database}-wal")
        wait_until(lambda: log.stat().st_size > 8 << 20, "a large log")
        wait_until(lambda: rig.writer.next_version() > 0, "all of the large ticker")
        with _stopped(rig):
            _fill(disk, leave=256 << 10)
    wait_until(lambda: _checkpoint_fails(rig), "a checkpoint without room")


def _checkpoint_fails(rig: Rig) -> bool:
    """As those of the worker, which each of its commits tries once the log is long; they fail without a word."""
    with closing(sqlite3.connect(rig.database, timeout=5)) as other:
        try:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.OperationalError as exc:
            return str(exc) == "database or disk is full"
    return False


PLACES: dict[str, tuple[str, Callable[[Rig, Path], None]]] = {
    "CSV write": ("MARKET_DATA_DIR", _csv),
    "SQLite transaction": ("VN_DATABASE_PATH", _transaction),
    "SQLite checkpoint": ("VN_DATABASE_PATH", _checkpoint),
}


def _wait_for_log(rig: Rig, text: str) -> None:
    wait_until(lambda: text in rig.writer.log_file.read_text(), f"{text!r} in the log of the worker")


@contextmanager
def _stopped(rig: Rig) -> Iterator[None]:
    """The writer does nothing meanwhile, and is not inside a transaction."""
    pid = rig.writer.pid
    assert pid is not None
    while True:
        os.kill(pid, 19)
        time.sleep(0.05)
        with closing(sqlite3.connect(rig.database, isolation_level=None, timeout=0)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
                other.execute("ROLLBACK")
                break
            except sqlite3.OperationalError:
                os.kill(pid, 18)
                time.sleep(0.05)
    yield
    os.kill(pid, 18)


def _fill(disk: Path, leave: int = 0) -> None:
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with (disk / "ballast").open("wb", buffering=0) as file:
        try:
            file.write(bytes(free - leave))
            while not leave:
                file.write(bytes(4_096))
        except OSError:
            pass  # it is full


def _mount(directory: Path) -> subprocess.CompletedProcess[str]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "tmpfs", str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@contextmanager
def _small_disk(directory: Path) -> Iterator[Path]:
    directory.mkdir(parents=True)
    _mount(directory).check_returncode()
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)
