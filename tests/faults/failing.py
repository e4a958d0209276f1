"""Calls of the system that fail in the writer: writes, fsync, renames and the like, of CSV files and of SQLite."""

import errno
import random
import time
from contextlib import suppress
from pathlib import Path

from tests.faults.failing_calls import SHORT, Plan
from tests.faults.outcome import Outcome
from tests.faults.rig import Rig, TooLongError, running, wait_until

NO_SPACE, IO, READ_ONLY = errno.ENOSPC, errno.EIO, errno.EROFS
KINDS: dict[str, tuple[tuple[str, ...], tuple[int, ...], int]] = {
    "write": (("write", "pwrite"), (NO_SPACE, IO, SHORT, errno.EINTR), 200),
    "fsync": (("fsync", "fdatasync"), (IO, NO_SPACE), 60),
    "rename": (("rename", "link"), (NO_SPACE, IO, READ_ONLY), 20),
    "open": (("open", "mkdir"), (errno.EMFILE, READ_ONLY, IO, NO_SPACE), 80),
    "ftruncate": (("ftruncate",), (IO, READ_ONLY, errno.EINTR), 12),
    "mmap": (("mmap",), (errno.ENOMEM, IO), 2),
    "unlink": (("unlink",), (IO, READ_ONLY), 6),
}
"""Calls, the errors they give, and of how many in a start and a few cycles one is the first to fail."""
TIMES = (1, 1, 3, 40)
"""So many calls fail, one after the other."""
MOST_CALLS_LATER = 40
SHORT_TAILS = ("pwrite",), (SHORT,), 1
"""For the control: each write into a CSV file in place."""
LASTS_S = 0.1
HITS_WITHIN_S = 10.0
NEVER_LOGGED = "Traceback"
"""What no expected failure leaves in the log of a worker."""


def failing(
    directory: Path, kind: str, times: int, *, seed: int, killed: bool = False, without: str | None = None
) -> Outcome:
    """`kind`: one of KINDS. `killed`: the writer is killed some calls after the first that failed; otherwise it goes
    on, and must come right by itself. Without the loop that writes the rest of a short write, tails are torn.
    """
    name = f"failing {kind}" + (", then `kill -9`" if killed else "") + (f", without {without}" if without else "")
    outcome, dice = Outcome(name, is_control=bool(without)), random.Random(f"{seed} {kind} {killed}")
    calls, errors, most = SHORT_TAILS if without else KINDS[kind]
    guard = ("--without", without) if without else ()
    with running(directory, "--pause-ms", "20", *guard, failing_files=".csv" if without else "") as rig:
        rig.clients.start()
        rig.writer.kill()
        for number in range(times):
            kill_after = dice.randint(1, MOST_CALLS_LATER) if killed else 0
            plan = Plan(calls, dice.randint(1, most), errors[number % len(errors)], dice.choice(TIMES), kill_after)
            rig.writer.go(plan)
            with suppress(TooLongError):  # it would have been a later one
                wait_until(lambda: rig.writer.hit.is_set() or not rig.writer.is_alive(), "a failure", HITS_WITHIN_S)
            outcome.injected += rig.writer.hit.is_set()
            if not killed and not without:
                _wait_until_repaired(rig, outcome, plan)
            time.sleep(LASTS_S)
            _see(rig, outcome, plan)
        rig.writer.go()
        outcome.repaired_in(rig.wait_until_repaired())
        if NEVER_LOGGED in rig.writer.log_file.read_text():
            outcome.broken.append(f"{NEVER_LOGGED} in the log of the writer")
        return rig.finish(outcome)


def _wait_until_repaired(rig: Rig, outcome: Outcome, plan: Plan) -> None:
    """By itself, unless the failure has ended the writer: then the next start does it."""
    writer, begun = rig.writer, rig.writer.begun
    try:
        seconds = wait_until(lambda: writer.well > begun or not writer.is_alive(), "a cycle without a failure")
        if writer.is_alive():
            outcome.repaired_in(seconds + rig.wait_until_repaired())
    except TooLongError as exc:
        outcome.broken.append(f"{plan}: {exc}")


def _see(rig: Rig, outcome: Outcome, plan: Plan) -> None:
    """What came of it: nothing acknowledged is lost, before anything is downloaded again."""
    if rig.writer.is_alive():
        rig.writer.kill()
    with rig.stores() as stores:
        lost = rig.lost(stores)
    outcome.lost += lost
    outcome.examples += [f"{plan}: {lost} bars lost"] if lost else []
