"""What befalls the machine or its operator: the clock moves, a directory is read-only, a second worker is started."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults import NOBODY
from tests.faults.outcome import Outcome
from tests.faults.rig import Rig, running, wait_until
from tests.support.server import clean_environment
from tests.support.stores import environment

LASTS_S = 1.5


def clock_moved(directory: Path) -> Outcome:
    """An hour back, which stalls `schedule` for an hour, and forward again."""
    outcome = Outcome("clock moved by an hour")
    with running(directory, "--scheduled") as rig:
        rig.clients.start()
        for signum in (signal.SIGUSR1, signal.SIGUSR2):
            rig.writer.wait_for_cycle()
            assert rig.writer.pid is not None
            os.kill(rig.writer.pid, signum)
            outcome.injected += 1
            outcome.repaired_in(rig.writer.wait_for_cycle())
        return rig.finish(outcome)


def read_only(_directory: Path) -> Outcome:
    """The worker, who is not root, may write nowhere, and is even started anew meanwhile."""
    outcome = Outcome("read-only directories")
    with _for_nobody() as directory, running(directory, "--pause-ms", "100", *_as_nobody()) as rig:
        rig.writer.keep_alive = True
        rig.clients.start()
        with _all_read_only(rig, directory):
            outcome.injected += 1
            begun = rig.writer.begun
            wait_until(lambda: rig.writer.begun > begun + 2, "cycles that fail")
            assert rig.writer.well < rig.writer.begun, "nothing has failed"
            rig.writer.kill()
            time.sleep(LASTS_S)
        outcome.repaired_in(rig.wait_until_repaired())
        return rig.finish(outcome)


def second_worker(directory: Path) -> Outcome:
    """`python -m workers` beside one that is at work: it says so and ends, and the first one goes on."""
    outcome = Outcome("two workers started")
    with running(directory, "--pause-ms", "100") as rig:
        rig.clients.start()
        second = subprocess.run(
            [sys.executable, "-m", "workers", "--only", "daily"],
            cwd=directory,
            env=clean_environment(directory) | environment(directory),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        outcome.injected += 1
        refusal = f"workers: {rig.settings.market_data_dir} is being written by another process: pid {rig.writer.pid}, "
        if second.returncode != 1 or not second.stderr.startswith(refusal):
            outcome.broken.append(f"the second one ended with {second.returncode}: {second.stderr}")
        outcome.repaired_in(rig.writer.wait_for_cycle())
        return rig.finish(outcome)


@contextmanager
def _for_nobody() -> Iterator[Path]:
    """A directory of somebody whose permissions count, below none that only root may enter."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def _as_nobody() -> tuple[str, ...]:
    return ("--user", str(NOBODY)) if os.geteuid() == 0 else ()


@contextmanager
def _all_read_only(rig: Rig, directory: Path) -> Iterator[None]:
    directories = [directory, *(path for path in rig.settings.market_data_dir.rglob("*") if path.is_dir())]
    for path in directories:
        path.chmod(0o500)
    try:
        yield
    finally:
        for path in directories:
            path.chmod(0o700)
