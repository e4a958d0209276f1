"""The power fails: everything not made durable is gone, or torn, or there in part."""

import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stockapi.config import Settings
from stockapi.errors import SqliteError
from stockapi.models import Interval, Mode
from tests import faults
from tests.faults.disk_model import CALLS, Call, Disk, calls
from tests.faults.market import Series, Truth, all_series, not_as_in
from tests.faults.outcome import Outcome
from tests.support.server import clean_environment
from tests.support.stores import NOW, Stores, environment
from workers import __main__ as worker

CYCLES = 12


@dataclass(slots=True)
class _Acknowledged:
    """What the writer had said by then. `files`: by stamp, the bytes of the CSV file that had it."""

    versions: dict[Series, int] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)


def why_not() -> str | None:
    """What keeps this machine from it, if anything."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return None if tried.returncode == 0 else f"strace may not watch processes: {tried.stderr.strip()}"


def power_cut(directory: Path, cuts: int, *, seed: int, without: str | None = None) -> Outcome:
    """Watch a writer from its first file on, and cut the power at random instants of what it did.

    Half of the cuts take everything that was not durable, the others keep a part of it.
    """
    outcome = Outcome("power cut" + (f", without {without}" if without else ""), is_control=bool(without))
    dice = random.Random(seed)
    written = list(calls(_watched(directory / "before", without)))
    instants = set(dice.sample(range(len(written)), cuts))
    behind = 0
    for disk, said, instant in _states(directory / "before", written, instants):
        after = directory / f"after-{instant}"
        after.mkdir()
        disk.cut(after, dice, 0.0 if outcome.injected % 2 else dice.random())
        outcome.injected += 1
        behind += _start_again(after, said, outcome)
    outcome.notes.append(f"SQLite had lost newest commits in {behind} of {outcome.injected}")
    return outcome


def _watched(directory: Path, without: str | None) -> Path:
    """:returns: the record of all that a writer of a few cycles did."""
    directory.mkdir(parents=True)
    log = directory.with_suffix(".strace")
    command = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "100000000",
        "-e",
        "signal=none",
        "-e",
        f"trace={CALLS}",
        "-o",
        str(log),
    ]
    command += [sys.executable, "-m", "tests.faults.writer", "--cycles", str(CYCLES)]
    command += ["--without", without] if without else []
    variables = environment(directory, LOG_LEVEL="error", OPENBLAS_NUM_THREADS="1")
    subprocess.run(
        command, env=clean_environment(directory) | variables, check=True, stdout=subprocess.PIPE, timeout=90
    )
    return log


def _states(root: Path, written: list[Call], instants: set[int]) -> Iterator[tuple[Disk, _Acknowledged, int]]:
    disk, said = Disk(root), _Acknowledged()
    series = {(ticker, interval.value): (ticker, interval) for ticker, interval in all_series()}
    for number, call in enumerate(written):
        if number in instants:
            yield disk, said, number
        if not disk.apply(call) and call.name == "write" and call.rest[0] == "1":
            match call.texts[1].decode().split():
                case ["ack", ticker, interval, version, _, stamp]:
                    said.versions[series[ticker, interval]] = int(version)
                    said.files[stamp] = disk.now(root / "market_data" / ticker / f"{interval}.csv")


def _start_again(directory: Path, said: _Acknowledged, outcome: Outcome) -> bool:
    """What a start after the cut makes of it. :returns: whether SQLite had lost something before."""
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    truth, started = Truth(), time.monotonic()
    try:
        _keep_stamps(stores, said)
        behind = _sqlite_is_behind(stores, said, truth)
        started = time.monotonic()
        worker._recover(stores, Mode.VN, NOW, threading.Event())
        outcome.repaired_in(time.monotonic() - started)
        for series, version in said.versions.items():
            outcome.lost += not_as_in(truth, series, stores.in_csv(*series), version)
            outcome.lost += not_as_in(truth, series, stores.in_sqlite(*series), version)
        outcome.divergent += len(faults.problems(stores))
    finally:
        stores.db_manager.close()
    return behind


def _keep_stamps(stores: Stores, said: _Acknowledged) -> None:
    """Files that were copied have other stamps. Those that are, to the byte, what the ledger means, keep theirs: else
    every series would be reconciled, and nothing would show whether the stamps tell which need it."""
    if not stores.settings.vn_database_path.exists():
        return
    try:
        ledger = stores.sqlite_store.ledger(Mode.VN)
    except SqliteError:
        return
    for key, entry in ledger.items():
        path = stores.csv_store.path(key)
        if path.exists() and said.files.get(entry.csv_stamp) == path.read_bytes():
            stores.sqlite_store.set_csv_stamp(key, stores.csv_store.stamp(key))


def _sqlite_is_behind(stores: Stores, said: _Acknowledged, truth: Truth) -> bool:
    def is_behind(ticker: str, interval: Interval, version: int) -> bool:
        return not_as_in(truth, (ticker, interval), stores.in_sqlite(ticker, interval), version) > 0

    try:
        return any(is_behind(*series, version) for series, version in said.versions.items())
    except SqliteError:
        return bool(said.versions)
