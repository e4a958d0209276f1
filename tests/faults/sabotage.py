"""What others do to the files of a market on purpose or by mistake: pipes, removed lock files, a full /dev/shm."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from stockapi.errors import SqliteError
from stockapi.models import Interval
from tests.faults.clients import Question, get
from tests.faults.outcome import Outcome
from tests.faults.rig import Rig, TooLongError, Writer, running, wait_until

LASTS_S = 2.0
QUICK_S = 2.0
"""Within which a small question of another ticker must be answered."""
AT_ONCE = 9
"""Requests of a ticker with a pipe: more than there are threads."""


def lock_removed(directory: Path, *, without: str | None = None) -> Outcome:
    """Somebody removes "stale" lock files, and starts a second writer beside the first."""
    outcome = Outcome("lock files removed" + (f", without {without}" if without else ""), is_control=bool(without))
    guard = ("--without", without) if without else ()
    with running(directory, "--pause-ms", "50", *guard) as rig:
        rig.clients.start()
        for path in directory.rglob(".*writer.lock"):
            path.unlink()
        outcome.injected += 1
        second = Writer(directory, rig.variables | {"LOG_LEVEL": "warning"}, ["--pause-ms", "50"], after=rig.writer)
        try:
            second.go()
            second.ready.wait(10.0)
            acknowledged = rig.writer.acknowledgements
            time.sleep(LASTS_S)
            both = rig.writer.acknowledgements - acknowledged
            outcome.broken += [f"the first one has acknowledged {both} saves beside the second"] if both else []
        finally:
            second.close()
        if rig.writer.is_alive():
            rig.writer.kill()
        rig.writer.go()
        outcome.repaired_in(rig.wait_until_repaired())
        return rig.finish(outcome)


def pipe(directory: Path, *, without: str | None = None) -> Outcome:
    """A pipe in the place of a CSV file: who asks for it gets an error, nobody else waits."""
    outcome = Outcome("a pipe for a CSV file" + (f", without {without}" if without else ""), is_control=bool(without))
    with running(directory, "--pause-ms", "100", web_without=without) as rig:
        path = rig.settings.market_data_dir / "AAA" / "1m.csv"
        aside = path.with_name("aside")
        path.rename(aside)
        os.mkfifo(path)
        outcome.injected += 1
        asking = [threading.Thread(target=_ask, args=(rig, "AAA", True), daemon=True) for _ in range(AT_ONCE)]
        for thread in asking:
            thread.start()
        time.sleep(0.5)
        end = time.monotonic() + LASTS_S
        while time.monotonic() < end:
            started = time.monotonic()
            status = _ask(rig, "BBB", False)
            outcome.answers += 1
            outcome.statuses[status] += 1
            if status != 200 or time.monotonic() - started > QUICK_S:
                outcome.broken.append("another ticker was not answered in time")
                break
        if without:
            with suppress(OSError):  # lets go those who wait for a writer of the pipe
                os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
        aside.replace(path)
        for thread in asking:
            thread.join()
        outcome.repaired_in(rig.wait_until_repaired())
        return rig.finish(outcome)


def _ask(rig: Rig, ticker: str, from_csv: bool) -> int:
    connection = HTTPConnection("127.0.0.1", rig.server.port, timeout=6)
    status, _, _ = get(connection, Question([ticker], Interval.MINUTE, 1, from_csv).path)
    connection.close()
    return status


def sides_removed(directory: Path, sides: tuple[str, ...], *, without: str | None = None) -> Outcome:
    """A "cleaning" script removes what SQLite keeps beside an open database, and the web is restarted."""
    name = f"{' and '.join(sides)} removed" + (f", without {without}" if without else "")
    outcome = Outcome(name, is_control=bool(without))
    guard = ("--without", without) if without else ()
    with running(directory, "--pause-ms", "100", *guard) as rig:
        rig.writer.keep_alive = True
        rig.clients.start()
        for side in sides:
            Path(f"{rig.database}{side}").unlink()
        outcome.injected += 1
        for pid in rig.web_processes():
            os.kill(pid, signal.SIGTERM)
        time.sleep(LASTS_S)
        try:
            outcome.repaired_in(rig.wait_until_repaired())
            return rig.finish(outcome)
        except (TooLongError, SqliteError) as exc:
            outcome.broken.append(str(exc))
            return outcome


def why_no_memory() -> str | None:
    """What keeps this machine from a /dev/shm of one process, if anything."""
    if shutil.which("unshare") is None:
        return "unshare is not installed"
    tried = subprocess.run([*_own_memory("64k"), "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"no /dev/shm of its own: {tried.stderr.strip()}"


def memory_full(directory: Path, *, without: str | None = None) -> Outcome:
    """A process of the web is started while /dev/shm is full: it answers, and counts as well as it can."""
    outcome = Outcome("/dev/shm full" + (f", without {without}" if without else ""), is_control=bool(without))
    with running(directory, "--pause-ms", "100", web_without=without, launcher=_own_memory("4m")) as rig:
        with _full(rig):
            outcome.injected += 1
            before = set(rig.web_processes())
            os.kill(min(before), 9)  # the next one finds no room
            wait_until(lambda: len(set(rig.web_processes()) - {min(before)}) == len(before), "a new process of the web")
            processes = set(rig.web_processes())
            rig.clients.start()
            time.sleep(LASTS_S)
            ended = processes - set(rig.web_processes())
            outcome.broken += [f"{len(ended)} processes of the web have ended"] if ended else []
            rig.clients.stop()
            rig.clients.report(outcome)
        outcome.broken += [f"{outcome.failures} answers failed"] if outcome.failures else []
        outcome.repaired_in(rig.wait_until_repaired())
        return rig.finish(outcome)


def _own_memory(size: str) -> list[str]:
    script = f'mount -t tmpfs -o size={size} tmpfs /dev/shm && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, "sh"]


@contextmanager
def _full(rig: Rig) -> Iterator[None]:
    place = Path("/proc", str(rig.server.process.pid), "root", "dev/shm/ballast")
    with suppress(OSError), place.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))
    yield
    place.unlink()
