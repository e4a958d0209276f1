"""Load, from wrk or for large answers from here, and what came of it."""

import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlsplit

_MS: Final = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
_TIMEOUT_S: Final = 300
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Load:
    """One round: good answers a second, what a wait took, and requests that got an error or no answer."""

    per_second: float
    p50_ms: float
    p99_ms: float
    errors: int


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        sys.exit("bench: wrk is missing; install it (Debian and Ubuntu: apt-get install wrk)")


def load(url: str, connections: int, seconds: int, headers: Mapping[str, str]) -> Load:
    """As many requests as that many connections bring about in that time."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", f"--timeout={_TIMEOUT_S}s", "--latency"]
    command += [f"--header={name}: {value}" for name, value in headers.items()]
    return parse(subprocess.run([*command, url], check=True, capture_output=True, text=True).stdout)


def parse(output: str) -> Load:
    """What wrk printed. An answer with an error status is no answer, however fast it came."""
    answers, seconds, unit = _found(r"(\d+) requests in ([\d.]+)(m|s)", output)
    elapsed_s = float(seconds) * _MS[unit] / 1000
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", output)
    refused = int(failed[1]) if failed else 0
    socket_errors = re.search(r"Socket errors: (.*)", output)
    broken = sum(map(int, re.findall(r"\d+", socket_errors[1]))) if socket_errors else 0
    return Load(
        (int(answers) - refused) / elapsed_s,
        _latency_ms("50%", output),
        _latency_ms("99%", output),
        refused + broken,
    )


def load_whole(url: str, connections: int, count: int) -> Load:
    """`count` requests, each read to its end.

    wrk stops at a moment. Of answers that take a second it would see a few, and leave the server with as many more to
    finish, at the cost of whatever is measured next.
    """
    started = time.perf_counter()
    with ThreadPoolExecutor(connections) as pool:
        waits = list(pool.map(_wait_ms, [url] * count))
    elapsed_s = time.perf_counter() - started
    good = sorted(wait for wait in waits if wait is not None)
    p50 = statistics.median(good) if good else 0.0
    return Load(len(good) / elapsed_s, p50, good[int(len(good) * 0.99)] if good else 0.0, count - len(good))


def _wait_ms(url: str) -> float | None:
    """None for an answer that is an error."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=_TIMEOUT_S)
    started = time.perf_counter()
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    while answer.read(_PIECE_BYTES):
        pass
    connection.close()
    return (time.perf_counter() - started) * 1000 if answer.status == 200 else None


def _latency_ms(percentile: str, output: str) -> float:
    value, unit = _found(rf"{percentile}\s+([\d.]+)(us|ms|s|m)", output)
    return float(value) * _MS[unit]


def _found(pattern: str, output: str) -> tuple[str, ...]:
    found = re.search(pattern, output)
    if found is None:
        sys.exit(f"bench: wrk printed something else than expected:\n{output}")
    return found.groups()
