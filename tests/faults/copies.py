"""A copy of the CSV tree of a killed writer, put into service without the databases."""

import os
import random
import shutil
import time
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.csv_store.journal import Journal
from tests import faults
from tests.faults.market import Truth, all_series, not_as_in
from tests.faults.operations import start_worker
from tests.faults.outcome import Outcome
from tests.faults.rig import Writer, wait_until
from tests.support.stores import Stores, environment

LIFE_S = 0.5
SLOW_MS = 80
"""The instant in the middle of a write in place, stretched so that kills hit it."""


def copied(directory: Path, times: int, *, seed: int, without: str | None = None) -> Outcome:
    """Each copy must come up with all that was acknowledged. Without `proof` a journal knows its file by the inode."""
    outcome = Outcome("CSV tree copied" + (f", without {without}" if without else ""), is_control=bool(without))
    dice, journals = random.Random(seed), 0
    directory.mkdir(parents=True, exist_ok=True)
    writer = Writer(directory, environment(directory) | {"LOG_LEVEL": "error"}, ["--slow-ms", str(SLOW_MS)])
    try:
        writer.go()
        wait_until(lambda: writer.next_version() > 1, "the first versions")
        writer.kill()
        for number in range(times):
            writer.go()
            if writer.ready.wait(20.0):
                time.sleep(dice.uniform(0.1, LIFE_S))
            writer.kill()
            target = directory / f"copy-{number}"
            shutil.copytree(directory / "market_data", target / "market_data")
            journals += bool(list(target.rglob(".*.journal")))
            outcome.injected += 1
            _put_into_service(target, writer, outcome, without)
            shutil.rmtree(target)
    finally:
        writer.close()
    outcome.notes.append(f"{journals} of the copies had a journal")
    return outcome


def _put_into_service(target: Path, writer: Writer, outcome: Outcome, without: str | None) -> None:
    settings = Settings.from_mapping(environment(target))
    fits = patch.object(Journal, "_fits", _has_its_inode) if without else nullcontext()
    started = time.monotonic()
    with fits:
        start_worker(settings)
    outcome.repaired_in(time.monotonic() - started)
    stores, truth = Stores.of(settings), Truth()
    for series in all_series():
        if series in writer.in_csv:
            for bars in (stores.in_csv(*series), stores.in_sqlite(*series)):
                lost = not_as_in(truth, series, bars, writer.in_csv[series])
                outcome.lost += lost
                outcome.examples += [f"{series}: {lost} bars"] if lost else []
    outcome.divergent += len(faults.problems(stores, Mode.VN))
    stores.close()


def _has_its_inode(journal: Journal, descriptor: int) -> bool:
    status = os.fstat(descriptor)
    return journal.inode == status.st_ino and journal.offset <= status.st_size
