"""Real processes around one directory: a web server, a writer that is started again when it dies, and clients."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from stockapi.config import Settings
from tests import faults
from tests.faults import failing_calls
from tests.faults.clients import Clients, Times
from tests.faults.failing_calls import Plan
from tests.faults.market import Series, Truth, all_series, not_as_in, version_of
from tests.faults.outcome import Outcome
from tests.support.server import Server, clean_environment, running_server
from tests.support.stores import Stores, environment

PATIENCE_S = 40.0
"""How long anything may take before it counts as never."""

WEB = {"WEB_CONCURRENCY": "2", "GUNICORN_THREADS": "2", "LOG_LEVEL": "error"}


class TooLongError(AssertionError):
    """What was waited for has not come."""


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = PATIENCE_S) -> float:
    """:returns: the seconds it took."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout_s:
            raise TooLongError(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.005)
    return time.monotonic() - started


class Writer:
    """A process of `tests.faults.writer`, and what it has said. `keep_alive`: start it again whenever it dies.

    `in_csv`, `in_both`: the newest acknowledged version of each series; what was saved in both is in CSV, too.
    """

    def __init__(
        self,
        directory: Path,
        variables: dict[str, str],
        arguments: Sequence[str],
        *,
        after: "Writer | None" = None,
    ):
        """:param after: goes on with the versions of another writer, and shares with it what is acknowledged."""
        self.in_csv: dict[Series, int] = {} if after is None else after.in_csv
        self.in_both: dict[Series, int] = {} if after is None else after.in_both
        self.times: Times = {} if after is None else after.times
        self.acknowledgements = 0
        self.begun = self.ended = self.well = 0
        """How many cycles have begun and ended, and which of them was the last to end without a failure."""
        self.asked = self.starts = self.deaths = self.own_deaths = 0
        self.last_words = ""
        """Why the last one ended: its exit status (negative: the signal), and what it could not do."""
        self.keep_alive = False
        self._restarting = threading.Lock()
        self.ready, self.hit = threading.Event(), threading.Event()
        self.pid: int | None = None
        self.log_file = directory / "writer.log"
        self._directory = directory
        self._series = {(ticker, interval.value): (ticker, interval) for ticker, interval in all_series()}
        self._started_at = 0.0
        self.recovered_in: list[float] = []
        """Seconds from each start until what the predecessor left was in order."""
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.writer", *arguments],
                cwd=directory,
                env=clean_environment(directory) | {"OPENBLAS_NUM_THREADS": "1"} | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def go(self, plan: Plan | None = None) -> None:
        """Fork a writer that goes on where the last one was. `plan`: of its calls that fail."""
        starts = self.starts
        self._fork(plan)
        wait_until(lambda: self.starts > starts, "a writer")

    def is_alive(self) -> bool:
        return self.pid is not None

    def kill(self, signum: int = 9) -> None:
        """And wait until it is gone, and everything it has acknowledged is known here."""
        pid, deaths = self.pid, self.deaths
        assert pid is not None, f"the writer is dead already: {self.last_words}"
        self.own_deaths -= 1
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(pid, signum)
        wait_until(lambda: self.deaths > deaths, "the end of the writer")

    def stop(self) -> None:
        with self._restarting:
            self.keep_alive = False
        wait_until(lambda: self.starts == self.asked, "a writer")
        if self.is_alive():
            self.kill(15)

    def close(self) -> None:
        with self._restarting:
            self.keep_alive = False
        if self.pid is not None:
            os.kill(self.pid, 9)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)
        self._listener.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def list_too(self, ticker: str) -> None:
        """From the next cycle on the market has one more ticker."""
        self._series |= {(ticker, interval.value): (ticker, interval) for ticker, interval in all_series([ticker])}
        (self._directory / "listed").write_text(ticker)

    def next_version(self) -> int:
        return 1 + min((self.in_csv.get(series, -1) for series in self._series.values()), default=-1)

    def cycle(self) -> None:
        """Begin one now, and wait until everything of it is at least in CSV."""
        self.ready.wait(PATIENCE_S)
        version, ended = self.next_version(), self.ended
        assert self.pid is not None, self.last_words
        os.kill(self.pid, signal.SIGHUP)
        wait_until(lambda: self.ended > ended and self.next_version() > version, "a cycle")

    def wait_for_cycle(self, timeout_s: float = PATIENCE_S) -> float:
        """Until one has ended without a failure that has begun after now. :returns: the seconds it took."""
        begun = self.begun
        return wait_until(lambda: self.well > begun, "a cycle without a failure", timeout_s)

    def _fork(self, plan: Plan | None = None) -> None:
        self.ready.clear()
        self.hit.clear()
        self.asked += 1
        self._started_at = time.monotonic()
        assert self._process.stdin is not None
        self._process.stdin.write(" ".join(["go", str(self.next_version()), *([plan.encode()] if plan else [])]) + "\n")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            match line.split():
                case ["ack", ticker, interval, version, kind, _]:
                    self._acknowledge(self._series[ticker, interval], int(version), in_both=kind == "both")
                case ["begin"]:
                    self.begun += 1
                case ["end", failed]:
                    self.ended += 1
                    self.well = self.begun if failed == "0" else self.well
                case ["born" | "ready" | "hit" | "failed" | "dead" as event, *rest]:
                    self._live(event, rest)

    def _acknowledge(self, series: Series, version: int, *, in_both: bool) -> None:
        self.acknowledgements += 1
        self.times.setdefault(series, []).append((version, time.monotonic()))
        self.in_csv[series] = version
        if in_both:
            self.in_both[series] = version

    def _live(self, event: str, rest: list[str]) -> None:
        match event:
            case "born":
                self.pid = int(rest[0])
                self.last_words = ""
                self.starts += 1
            case "ready":
                self.recovered_in.append(time.monotonic() - self._started_at)
                self.ready.set()
            case "hit":
                self.hit.set()
            case "failed":
                self.last_words = " ".join(rest)
            case "dead":
                self.last_words += f" (status {rest[0]})"
                self.pid = None
                self.deaths += 1
                self.own_deaths += 1
                self._restart()

    def _restart(self) -> None:
        if self.keep_alive:
            time.sleep(0.2)  # a process manager does not try again at once either
            with self._restarting:
                if self.keep_alive:
                    self._fork()


def _open_files(pid: int) -> set[str]:
    """The paths that the process has open. A descriptor may be closed while it is looked at."""
    paths = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            paths.add(os.readlink(descriptor))  # noqa: PTH115
    return paths


class Rig:
    """One directory with both stores, and who works on it."""

    def __init__(self, variables: dict[str, str], server: Server, writer: Writer, clients: Clients):
        self.variables, self.settings = variables, Settings.from_mapping(variables)
        self.server, self.writer, self.clients = server, writer, clients
        self.series = all_series()
        self.truth = Truth()

    @property
    def database(self) -> Path:
        return self.settings.vn_database_path

    def web_processes(self) -> list[int]:
        pid = self.server.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def has_answered_everywhere(self) -> bool:
        """Whether each process of the web has read the database: none is just starting. Asks once."""
        self.clients.newest_bar(*self.series[0])
        return all(str(self.database) in _open_files(pid) for pid in self.web_processes())

    @contextmanager
    def stores(self) -> Iterator[Stores]:
        """To be closed before anybody touches the database file other than through SQLite."""
        stores = Stores.of(self.settings)
        try:
            yield stores
        finally:
            stores.db_manager.close()

    def lost(self, stores: Stores, *, least: dict[Series, int] | None = None) -> int:
        """Bars of both stores that are not those of one version, as new as the one acknowledged in both or newer."""
        acknowledged = self.writer.in_both if least is None else least
        lost = 0
        for series in self.series:
            version = acknowledged.get(series)
            if version is not None:
                lost += not_as_in(self.truth, series, stores.in_csv(*series), max(version, self.writer.in_csv[series]))
                lost += not_as_in(self.truth, series, stores.in_sqlite(*series), version)
        return lost

    def wait_until_repaired(self, timeout_s: float = PATIENCE_S) -> float:
        """Until a cycle has done all its work, and SQLite answers for every series with what is acknowledged now."""
        newest = dict(self.writer.in_csv)
        seconds = self.writer.wait_for_cycle(timeout_s)
        return seconds + wait_until(
            lambda: all(self.is_repaired(series, newest[series]) for series in self.series), "repair", timeout_s
        )

    def is_repaired(self, series: Series, version: int) -> bool:
        """Whether SQLite answers for the series, and with this version or a newer one."""
        for limit in (1, 100_000):  # first the cheap question
            answer = self.clients.newest_bar(*series, limit)
            if answer is None or answer[0] != "sqlite" or version_of(*series, answer[1]) < version:
                return False
        return True

    def repair(self) -> str:
        """What an operator does when asked to: stop the worker, `flask data verify --repair`, start it again."""
        if self.writer.is_alive():
            self.writer.stop()
        command = [sys.executable, "-m", "flask", "--app", "app", "data", "verify", "--repair"]
        directory = self.server.log_file.parent
        variables = clean_environment(directory) | self.variables | {"FLASK_SKIP_DOTENV": "1"}
        done = subprocess.run(command, cwd=directory, env=variables, capture_output=True, text=True, check=False)
        self.resume()
        return done.stdout + done.stderr

    def check(self, outcome: Outcome) -> Outcome:
        """Stop the writer, and look at what is stored and was answered: nothing lost, both stores the same."""
        outcome.restarts += self.writer.own_deaths
        self.writer.own_deaths = 0
        self.writer.stop()
        self.clients.report(outcome)
        with self.stores() as stores:
            outcome.lost += self.lost(stores, least=self.writer.in_csv)
            found = faults.problems(stores)
        outcome.divergent += len(found)
        outcome.examples += [f"{series}: {', '.join(problems)}" for series, problems in found.items()]
        return outcome

    def finish(self, outcome: Outcome) -> Outcome:
        """The last `check`."""
        self.clients.stop()
        return self.check(outcome)

    def resume(self) -> None:
        """Write again after a `check`."""
        self.writer.keep_alive = True
        self.writer.go()


@contextmanager
def running(
    directory: Path,
    *arguments: str,
    variables: dict[str, str] | None = None,
    clients: int = 2,
    web: dict[str, str] | None = None,
    failing_files: str | None = None,
    web_without: str | None = None,
    launcher: Sequence[str] = (),
) -> Iterator[Rig]:
    """Web server, writer (already writing) and clients. `arguments`: of the writer; `web`: variables of the server.

    `failing_files`: the writer's calls on files with names that end so can be made to fail.
    `web_without`: the guard that is taken away from the web (see `tests.faults.web`). `launcher`: starts it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shared = environment(directory, **(variables or {}))
    with ExitStack() as stack:
        failing: dict[str, str] = {}
        if failing_files is not None:
            failing = failing_calls.variables(directory, tells=True, ending=failing_files)
        writer = Writer(directory, shared | {"LOG_LEVEL": "warning"} | failing, arguments)
        stack.callback(writer.close)
        writer.go()
        spoilt = [sys.executable, "-m", "tests.faults.web", web_without] if web_without else []
        starting = running_server(directory, shared | WEB | (web or {}), launcher=[*launcher, *spoilt])
        server = stack.enter_context(starting)
        wait_until(lambda: writer.next_version() > 1, "the first versions")
        crowd = Clients(server.port, all_series(), writer.in_csv, clients, writer.times)
        stack.callback(crowd.stop)
        rig = Rig(shared, server, writer, crowd)
        wait_until(rig.has_answered_everywhere, "an answer of each process of the web")
        yield rig
