"""The servers that are compared, each a process tree of its own on a free port of the loopback."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import requests

from tests.bench.machine import ROOT, environment

START_TIMEOUT_S: Final = 900
_CHECK_EVERY_S: Final = 0.2
_IDLE_SHARE: Final = 0.1
OTHERS_PYTHON: Final = ROOT / ".venv" / "bench" / "bin" / "python"
"""Where the make target installs tests/bench/requirements.txt."""

# What large queries cost is to be seen, not that they are refused.
_NO_REFUSALS: Final = {"MAX_HEAVY_QUERIES": "256", "QUERY_DEADLINE_MS": "600000"}


@dataclass(frozen=True, slots=True)
class Server:
    url: str
    pid: int
    start_seconds: float

    def memory_mib(self) -> float:
        """Proportional set size of all its processes: what they share is counted once."""
        return sum(map(_proportional_mib, _tree(self.pid)))

    def settle(self) -> None:
        """Wait until it has nothing left to do: a client that went away leaves its request with the server."""
        spent_s = -1.0
        while (now_s := sum(map(_cpu_seconds, _tree(self.pid)))) - spent_s > _IDLE_SHARE * _CHECK_EVERY_S:
            spent_s = now_s
            time.sleep(_CHECK_EVERY_S)

    @contextmanager
    def watched(self) -> Iterator[list[float]]:
        """A list that gets the memory of every moment."""
        seen = [self.memory_mib()]
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(_CHECK_EVERY_S):
                seen.append(self.memory_mib())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            stop.set()
            thread.join()


@contextmanager
def product(directory: Path, *, refuses: bool = False) -> Iterator[Server]:
    """With `refuses` as it is by default: too many large queries at once get 429."""
    command = [sys.executable, "-m", "gunicorn", "app:app"]
    variables = environment(directory, **({} if refuses else _NO_REFUSALS))
    with _running(command, variables, "/livez", by_variable=True) as server:
        yield server


@contextmanager
def limit(directory: Path, paths: list[str]) -> Iterator[Server]:
    """`/limit/<n>` answers with the bytes of the n-th path."""
    variables = environment(directory, BENCH_PATHS="\n".join(paths), **_NO_REFUSALS)
    command = [sys.executable, "-m", "gunicorn", "tests.bench.limit_app:app"]
    with _running(command, variables, "/livez", by_variable=True) as server:
        yield server


@contextmanager
def pandas(directory: Path, python: Path) -> Iterator[Server]:
    """As many processes and threads as the product has by default."""
    command = [str(python), "-m", "gunicorn", "--config=/dev/null", "--chdir=tests/bench", "--preload"]
    command += ["--workers=2", "--threads=4", "--timeout=600", "pandas_app:app", "--bind"]
    with _running(command, environment(directory), "/livez") as server:
        yield server


@contextmanager
def datasette(directory: Path, python: Path) -> Iterator[Server]:
    """The product's own database file, as datasette serves any."""
    command = [str(python), "-m", "datasette", "serve", str(directory / "vn_data.db")]
    command += ["--setting", "max_returned_rows", "5000", "--setting", "sql_time_limit_ms", "10000", "--port"]
    with _running(command, environment(directory), "/-/versions.json") as server:
        yield server


@contextmanager
def writer(directory: Path) -> Iterator[None]:
    """A worker that has always something to write."""
    command = [sys.executable, "-m", "tests.bench.writer"]
    variables = environment(directory)
    # In a session of its own, as a service manager starts it: Linux divides the processor among sessions first.
    process = subprocess.Popen(
        command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        process.stdout.readline()  # it says when it has begun
        yield
        if process.poll() is not None:
            sys.exit(f"bench: the writer ended by itself: {process.returncode}")
    finally:
        process.terminate()
        process.wait(60)


@contextmanager
def _running(
    command: list[str], variables: Mapping[str, str], ready: str, *, by_variable: bool = False
) -> Iterator[Server]:
    """The port goes into the variables, or to the end of the command."""
    port = _free_port()
    host_port = f"127.0.0.1:{port}"
    if by_variable:
        variables = {**variables, "HOST": "127.0.0.1", "PORT": str(port)}
    else:
        command = [*command, host_port if command[-1] == "--bind" else str(port)]
    started = time.perf_counter()
    process = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_until_ready(process, f"http://{host_port}{ready}")
        yield Server(f"http://{host_port}", process.pid, time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_ready(process: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if requests.get(url, timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.05)
    sys.exit(f"bench: the server did not start: {process.args!r}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _proportional_mib(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024
