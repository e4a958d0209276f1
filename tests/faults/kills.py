"""`kill -9` at each call of an operation that changes files: of a save, a restore, an import, a deletion and the like.

The process ends before the call. Before any repair every answer must be that of before or of after, and so must both
stores once a worker has been started; then the operation is done again, to its end.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from stockapi import create_app
from stockapi.errors import SqliteError
from stockapi.models import Interval, Mode
from stockapi.services.upkeep.changes import ARCHIVE
from stockapi.services.upkeep.changes import FILE_NAME as CHANGE_FILE
from tests import faults
from tests.faults import failing_calls, operations
from tests.faults.failing_calls import KILL, Plan
from tests.faults.operations import settings_in
from tests.faults.outcome import Outcome
from tests.support.server import clean_environment
from tests.support.stores import NOW, Stores

CALLS = ("rename", "fsync", "fdatasync", "ftruncate", "unlink", "link", "mkdir")
WRITES = ("write", "pwrite")
"""Hundreds, of SQLite."""
GUARDS = {"journal": ".csv", "change file": ""}
"""What can be taken away, and how the names of the files end to which it matters."""
TICKERS = ("VCB", "FPT", "NEW", "XYZ")
NEVER = 1_000_000_000
PATIENCE_S = 30
LEFTOVERS = ("*.tmp", ".*.journal", "change.json")
"""What a start must have cleared away in the CSV tree, but for the copies of deleted bars: those nobody reads."""
AGAIN_EVERY = 3
"""After so many kills the operation is done again, to its end."""

Answers = dict[str, tuple[int, bytes]]


class Process:
    """`tests.faults.operations`, which forks a process for each operation."""

    def __init__(self, directory: Path, without: str | None) -> None:
        self._log = (directory / "operations.log").open("ab")
        guard = ["--without", without] if without in operations.GUARDS else []
        failing = failing_calls.variables(directory, ending=GUARDS.get(without or "", ""))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.operations", *guard],
            cwd=directory,
            env=clean_environment(directory) | failing | {"OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
        )

    def do(self, name: str, directory: Path, plan: Plan) -> tuple[int, int]:
        """:returns: exit status (negative: the signal), and how many of the calls of the plan there were."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{name} {directory} {plan.encode()}\n")
        status, counted = self._process.stdout.readline().split()
        return int(status), int(counted)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._process.stdout.close()
        self._log.close()


@contextmanager
def _process(directory: Path, without: str | None) -> Iterator[Process]:
    process = Process(directory, without)
    try:
        yield process
    finally:
        process.close()


def at_each_call(directory: Path, name: str, most: int, most_writes: int, *, without: str | None = None) -> Outcome:
    """`most`, `most_writes`: kills at CALLS and at WRITES, spread evenly; there may be fewer of those calls."""
    title = f"`kill -9` at each call of: {name}"
    outcome = Outcome(title + (f", without {without}" if without else ""), is_control=bool(without))
    directory = directory.resolve()
    before, after = directory / "before", directory / "after"
    before.mkdir(parents=True)
    operations.fill(before)
    operations.OPERATIONS[name].prepare(before)
    with _process(directory, without) as process:
        counts = {calls: _count(process, name, before, after, calls) for calls in (CALLS, WRITES)}
        trial = _Trial(name, outcome, before, after, without)
        for (calls, count), kills in zip(counts.items(), (most, most_writes), strict=True):
            for nth in sorted({1 + (count - 1) * number // max(1, kills - 1) for number in range(kills)}):
                plan = Plan(calls, nth, KILL)
                place = directory / "killed"
                copy(before, place)
                status, _ = process.do(name, place, plan)
                outcome.injected += status == -9
                trial.judge(place, process, str(plan))
                shutil.rmtree(place)
    outcome.notes.append(f"{counts[CALLS]} such calls, and {counts[WRITES]} writes")
    return outcome


def _count(process: Process, name: str, before: Path, after: Path, calls: tuple[str, ...]) -> int:
    """How many of the calls the operation makes; it leaves `after` behind."""
    if after.exists():
        shutil.rmtree(after)
    copy(before, after)
    status, count = process.do(name, after, Plan(calls, NEVER, KILL))
    assert status == 0, f"{name} ended with {status}"
    return count


class _Trial:
    """What must be true of a directory in which the operation was killed."""

    def __init__(self, name: str, outcome: Outcome, before: Path, after: Path, without: str | None) -> None:
        self._name, self._outcome, self._without = name, outcome, without
        self._allowed = [_answers(before), _answers(after)]
        recovered = before.with_name("recovered")
        copy(before, recovered)
        operations.recover(recovered)
        operations.recover(after)
        self._allowed.append(_answers(after))
        self._bars = [_bars(recovered), _bars(after)]

    def judge(self, place: Path, process: Process, what: str) -> None:
        outcome = self._outcome
        self._compare(_answers(place), f"{what}, before a start")
        change_file = settings_in(place).market_data_dir / CHANGE_FILE
        has_begun = change_file.exists()
        if self._without == "change file":
            change_file.unlink(missing_ok=True)
        started = time.monotonic()
        operations.recover(place)
        outcome.repaired_in(time.monotonic() - started)
        self._compare(_answers(place), f"{what}, after a start")
        if has_begun and _answers(place) != self._allowed[-1]:
            outcome.broken.append(f"{what}: a change had begun and was not finished")
        outcome.lost += self._lost(place)
        with _stores(place) as stores:
            found = faults.problems(stores)
        outcome.divergent += len(found)
        outcome.examples += [f"{what}: {series}: {', '.join(problems)}" for series, problems in found.items()]
        found_files = (path.relative_to(place) for form in LEFTOVERS for path in place.rglob(form))
        left = [str(path) for path in found_files if ARCHIVE not in path.parts]
        outcome.broken += [f"{what} leaves {', '.join(left)}"] if left else []
        if not operations.backups_are_whole(place):
            outcome.broken.append(f"{what} leaves a backup that is none")
        if outcome.injected % AGAIN_EVERY == 1:
            self._again(place, process, what)

    def _again(self, place: Path, process: Process, what: str) -> None:
        if self._name in CHANGES_AT_MOST_ONCE and _answers(place) == self._allowed[-1]:
            return
        status, _ = process.do(self._name, place, Plan(CALLS, NEVER, KILL))
        operations.recover(place)
        if status != 0 or _answers(place) != self._allowed[-1]:
            self._outcome.broken.append(f"{what}: done again it ends with {status}, or otherwise")

    def _compare(self, answers: Answers, what: str) -> None:
        for path, answer in answers.items():
            self._outcome.answers += 1
            self._outcome.statuses[answer[0]] += 1
            if all(answer != allowed[path] for allowed in self._allowed):
                self._outcome.wrong += 1
                self._outcome.examples.append(f"{what}: {path} is neither as before nor as after: {answer[1][:200]!r}")

    def _lost(self, place: Path) -> int:
        """Bars of both stores that are neither as before nor as after, all of a series one or the other."""
        found = _bars(place)
        return sum(min(len(bars ^ allowed[series]) for allowed in self._bars) for series, bars in found.items())


CHANGES_AT_MOST_ONCE = ("delete", "rename")
"""Operations that say there is nothing to do when they are done again."""


def copy(source: Path, target: Path) -> None:
    """With the times of the files, and as if their inodes were those that the ledger has recorded."""
    shutil.copytree(source, target)
    with _stores(source) as stores, _stores(target) as copied:
        try:
            ledger = stores.sqlite_store.ledger(Mode.VN)
        except SqliteError:  # no database, or one of an older schema: a start looks at every series
            return
        for key, entry in ledger.items():
            if entry.csv_stamp == stores.csv_store.stamp(key):
                copied.sqlite_store.set_csv_stamp(key, copied.csv_store.stamp(key))


@contextmanager
def _stores(directory: Path) -> Iterator[Stores]:
    stores = Stores.of(settings_in(directory))
    try:
        yield stores
    finally:
        stores.close()


def _answers(directory: Path) -> Answers:
    client = create_app(settings_in(directory), clock=lambda: NOW).test_client()
    answers = {}
    for ticker in TICKERS:
        for interval in Interval:
            for source in ("", "&cache=false"):
                path = f"/tickers?symbol={ticker}&interval={interval.value}&limit=100000{source}"
                response = client.get(path)
                answers[path] = response.status_code, response.data
    return answers


Series = tuple[str, Interval, str]


def _bars(directory: Path) -> Mapping[Series, frozenset[tuple[float, ...]]]:
    """By ticker, interval and store."""
    with _stores(directory) as stores:
        read = {"csv": stores.in_csv, "sqlite": stores.in_sqlite}
        return {
            (ticker, interval, name): frozenset(
                zip(bars.time.tolist(), *bars.prices.tolist(), bars.volume.tolist(), strict=True)
            )
            for ticker in TICKERS
            for interval in Interval
            for name, read_from in read.items()
            for bars in [read_from(ticker, interval)]
        }
