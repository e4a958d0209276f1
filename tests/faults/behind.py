"""SQLite that is known to be behind: CSV answers until it has caught up, and it catches up when the obstacle goes.

The worker of these runs begins a cycle when it is told to, so nothing that is repaired here waits for the next one.
"""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests import faults
from tests.faults.outcome import Outcome
from tests.faults.rig import PATIENCE_S, Rig, TooLongError, running, wait_until
from tests.support.server import clean_environment

ARGUMENTS = ("--pause-ms", "3600000")
VARIABLES = {"SQLITE_BUSY_TIMEOUT_MS": "300"}
LASTS_S = 2.0
CYCLES = 2
_LAST_MIGRATION = "version = (SELECT max(version) FROM schema_migrations)"


def behind(directory: Path, name: str, *, without: str | None = None) -> Outcome:
    """`name`: one of OBSTACLES. Without `comparison` SQLite answers all the same; without others it stays behind."""
    outcome = Outcome(f"SQLite behind: {name}" + (f", without {without}" if without else ""), is_control=bool(without))
    arguments = [*ARGUMENTS]
    if name == REBUILT:
        arguments += ["--save-while-rebuilding"]
    elif without != "catch-up":
        arguments += ["--catch-up"]
    if without == "second pass":
        arguments += ["--without", without]
    web = "comparison" if without == "comparison" else None
    with running(directory, *arguments, variables=VARIABLES, web_without=web) as rig:
        rig.writer.keep_alive = False
        rig.clients.start()
        with OBSTACLES[name](rig):
            outcome.injected += 1
            time.sleep(LASTS_S)
        outcome.repaired_in(_until_sqlite_answers(rig, outcome))
        return rig.finish(outcome)


def _until_sqlite_answers(rig: Rig, outcome: Outcome) -> float:
    newest = dict(rig.writer.in_csv)
    try:
        return wait_until(lambda: all(rig.is_repaired(series, newest[series]) for series in rig.series), "SQLite", 15.0)
    except TooLongError:
        outcome.broken.append("SQLite had not caught up 15 s after the obstacle was gone")
        return 15.0


def _write_on(rig: Rig) -> None:
    for _ in range(CYCLES):
        rig.writer.cycle()


@contextmanager
def _locked(rig: Rig) -> Iterator[None]:
    """BEGIN IMMEDIATE in a shell that somebody forgot."""
    with closing(sqlite3.connect(rig.database, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN IMMEDIATE")
        _write_on(rig)
        yield


@contextmanager
def _newer_schema(rig: Rig) -> Iterator[None]:
    """A program that was taken back, and then put in place again."""
    rig.writer.stop()
    _change(rig, "INSERT INTO schema_migrations SELECT max(version) + 1, 'later', 0 FROM schema_migrations")
    rig.writer.go()
    _write_on(rig)
    yield
    _change(rig, f"DELETE FROM schema_migrations WHERE {_LAST_MIGRATION}")


@contextmanager
def _list_without_its_end(rig: Rig) -> Iterator[None]:
    rig.writer.stop()
    _change(rig, f"DELETE FROM schema_migrations WHERE {_LAST_MIGRATION}")
    rig.writer.go()
    _write_on(rig)
    yield


@contextmanager
def _restored(rig: Rig) -> Iterator[None]:
    """An old backup is put back while the web is up and the worker is not."""
    _flask(rig, "db", "backup", "backup", "--mode", "vn")
    _write_on(rig)
    rig.writer.stop()
    _flask(rig, "db", "restore", "backup", "--mode", "vn")
    yield
    rig.writer.go()


@contextmanager
def _rebuilt(rig: Rig) -> Iterator[None]:
    """What other threads of the worker save while a damaged database is filled anew goes into the old one."""
    rig.writer.stop()
    faults.fill_with_garbage(rig.database)
    rig.writer.go()
    rig.writer.ready.wait(PATIENCE_S)
    yield


def _flask(rig: Rig, *arguments: str) -> None:
    directory = rig.server.log_file.parent
    subprocess.run(
        [sys.executable, "-m", "flask", "--app", "app", *arguments],
        cwd=directory,
        env=clean_environment(directory) | rig.variables | {"FLASK_SKIP_DOTENV": "1"},
        check=True,
        capture_output=True,
        timeout=60,
    )


def _change(rig: Rig, statement: str) -> None:
    with closing(sqlite3.connect(rig.database, timeout=10)) as other, other:
        other.execute(statement)


REBUILT = "rebuilt while others save"
OBSTACLES: dict[str, Callable[[Rig], "contextmanager[None]"]] = {
    "locked by a shell": _locked,
    "a newer schema": _newer_schema,
    "its list of migrations cut": _list_without_its_end,
    "an old backup restored": _restored,
    REBUILT: _rebuilt,
}

CONTROLS = (
    ("locked by a shell", "comparison"),
    ("locked by a shell", "catch-up"),
    ("an old backup restored", "comparison"),
    (REBUILT, "second pass"),
)
"""Obstacles, and the guard without which they do harm."""
