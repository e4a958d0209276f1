"""Calls of the system that fail: `failing_calls.c`, compiled when it is needed, and what a process is told of it."""

import atexit
import ctypes
import errno
import functools
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_suffix(".c")
SHORT, KILL = -1, -2
"""In place of an error: half of the bytes are written; the process ends as by `kill -9`, before the call."""
_LIBRARY = "LD_PRELOAD"


@dataclass(frozen=True, slots=True)
class Plan:
    """The `nth` of these calls (from 1) and the `times - 1` after it end as `error` says: a number of `errno`, SHORT,
    or KILL. `kill_after`: the process ends before so many further calls of any kind; 0: it does not.
    """

    calls: tuple[str, ...]
    nth: int
    error: int
    times: int = 1
    kill_after: int = 0

    def encode(self) -> str:
        """One word."""
        return ":".join(map(str, (",".join(self.calls), self.nth, self.error, self.times, self.kill_after)))

    @classmethod
    def decode(cls, word: str) -> "Plan":
        calls, *numbers = word.split(":")
        nth, error, times, kill_after = map(int, numbers)
        return cls(tuple(calls.split(",")), nth, error, times, kill_after)

    def __str__(self) -> str:
        what = {SHORT: "a short write", KILL: "kill -9"}.get(self.error) or errno.errorcode[self.error]
        end = f", kill -9 {self.kill_after} calls later" if self.kill_after else ""
        return f"{what} at {' or '.join(self.calls)} {self.nth}, {self.times} times{end}"


def why_not() -> str | None:
    """What keeps this machine from it, if anything."""
    if _compiler() is None:
        return "no C compiler is installed, as gcc"
    try:
        _library()
    except subprocess.CalledProcessError as exc:
        return f"the C compiler fails: {exc.stderr.strip().splitlines()[-1:]}"
    return None


def variables(under: Path, *, tells: bool = False, ending: str = "") -> dict[str, str]:
    """For a process whose calls on files below `under` may fail; it says `hit` on standard output if it `tells`.

    `ending`: of the names of these files.
    """
    chosen = {_LIBRARY: str(_library()), "FAILING_CALLS_UNDER": str(under.resolve()), "FAILING_CALLS_ENDING": ending}
    return chosen | ({"FAILING_CALLS_TELL": "1"} if tells else {})


def arm(plan: Plan) -> None:
    """In such a process: from now on."""
    calls = ",".join(plan.calls).encode()
    _loaded().arm(calls, *map(ctypes.c_long, (plan.nth, plan.times)), plan.error, ctypes.c_long(plan.kill_after))


def calls_counted() -> int:
    """In such a process: how many of the calls of the plan there have been."""
    counted = _loaded().calls_counted
    counted.restype = ctypes.c_long
    return int(counted())


def _loaded() -> ctypes.CDLL:
    return ctypes.CDLL(os.environ[_LIBRARY])


def _compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc")


@functools.cache
def _library() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="failing-calls-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    library = directory / "failing_calls.so"
    compiler = _compiler()
    assert compiler is not None
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return library
