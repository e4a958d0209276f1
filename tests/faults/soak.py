"""Hours in minutes: clients and a worker at a pace that two cores hold, and a fault a minute."""

import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults import csvs, databases
from tests.faults.clients import FROM_CSV
from tests.faults.outcome import Outcome
from tests.faults.rig import PATIENCE_S, Rig, TooLongError, running

FAULT_EVERY_S = 60.0
SAMPLE_EVERY_S = 2.0
MOST_FAILURES = 0.001
MOST_LOG_BYTES = 64 << 20
MOST_GROWTH = 1.10
"""Of memory, from the first third to the last; series grow meanwhile, and caches fill."""
MOST_MORE_FILES = 4


@dataclass(slots=True)
class Samples:
    """What the web processes and the writer take, and the length of the write-ahead log."""

    web_kib: list[int] = field(default_factory=list)
    web_files: list[int] = field(default_factory=list)
    writer_kib: list[int] = field(default_factory=list)
    writer_files: list[int] = field(default_factory=list)
    log_bytes: list[int] = field(default_factory=list)

    def take(self, rig: Rig) -> None:
        try:
            web, writer = rig.web_processes(), rig.writer.pid
            self.web_kib.append(sum(map(_resident_kib, web)))
            self.web_files.append(sum(map(_open_files, web)))
            if writer is not None:
                self.writer_kib.append(_resident_kib(writer))
                self.writer_files.append(_open_files(writer))
        except (FileNotFoundError, ProcessLookupError):
            pass  # one has just been killed
        log = Path(f"{rig.database}-wal")
        self.log_bytes.append(log.stat().st_size if log.exists() else 0)

    def judge(self, outcome: Outcome) -> None:
        for who, kib, files in (("web", self.web_kib, self.web_files), ("writer", self.writer_kib, self.writer_files)):
            begin, end = _first_and_last(kib)
            outcome.notes.append(f"{who} {begin / 1024:.0f} to {end / 1024:.0f} MiB")
            if end > begin * MOST_GROWTH:
                outcome.broken.append(f"memory of {who} grew from {begin:.0f} to {end:.0f} KiB")
            begin, end = _first_and_last(files)
            outcome.notes.append(f"{begin:.0f} to {end:.0f} descriptors")
            if end > begin + MOST_MORE_FILES:
                outcome.broken.append(f"descriptors of {who} grew from {begin:.0f} to {end:.0f}")
        outcome.notes.append(f"write-ahead log up to {max(self.log_bytes) / (1 << 20):.1f} MiB")
        if max(self.log_bytes) > MOST_LOG_BYTES:
            outcome.broken.append("the write-ahead log passed 64 MiB")


def soak(directory: Path, minutes: float, *, seed: int = 1, fault_every_s: float = FAULT_EVERY_S) -> Outcome:
    """Faults in a shuffled order, each in its turn, until the time is over; then everything must be as it should."""
    outcome, samples = Outcome(f"soak of {minutes:g} minutes"), Samples()
    with running(directory, *databases.ARGUMENTS, variables=databases.VARIABLES) as rig:
        rig.writer.keep_alive = True
        rig.clients.start()
        end = time.monotonic() + minutes * 60
        _watch(rig, samples, min(fault_every_s, 20.0))
        names = list(FAULTS)
        random.Random(seed).shuffle(names)
        while time.monotonic() < end:
            name = names[outcome.injected % len(names)]
            started = time.monotonic()
            FAULTS[name](rig)
            outcome.injected += 1
            _watch_until_repaired(rig, samples, outcome, name)
            _watch(rig, samples, min(started + fault_every_s, end) - time.monotonic())
        rig.wait_until_repaired()
        rig.finish(outcome)
    outcome.restarts = 0  # those are among the faults
    samples.judge(outcome)
    if outcome.failures > outcome.answers * MOST_FAILURES:
        outcome.broken.append(f"{outcome.failures} of {outcome.answers} answers failed")
    return outcome


def _watch(rig: Rig, samples: Samples, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(SAMPLE_EVERY_S, max(0.0, end - time.monotonic())))
        samples.take(rig)


def _watch_until_repaired(rig: Rig, samples: Samples, outcome: Outcome, name: str) -> None:
    try:
        outcome.repaired_in(rig.wait_until_repaired(PATIENCE_S))
    except TooLongError as exc:
        raise TooLongError(f"{name}: {exc}") from exc
    rig.clients.from_csv = FROM_CSV


def _kill_writer(rig: Rig) -> None:
    if rig.writer.is_alive():
        rig.writer.kill()


def _kill_web(rig: Rig) -> None:
    os.kill(rig.web_processes()[0], 9)


def _lock(rig: Rig) -> None:
    with databases.PASSING["locked"](rig):
        time.sleep(databases.LASTS_S)


def _tamper(name: str) -> Callable[[Rig], None]:
    def tamper(rig: Rig) -> None:
        # Who insists on CSV reads what somebody else has left there, until the worker has put it right.
        rig.clients.from_csv = 0.0
        time.sleep(1.0)
        rig.writer.wait_for_cycle()
        csvs.FAULTS[name](rig.settings.market_data_dir / "AAA" / "1m.csv")

    return tamper


FAULTS: dict[str, Callable[[Rig], None]] = {
    "the writer killed": _kill_writer,
    "a web process killed": _kill_web,
    "the database locked": _lock,
    "the database replaced": databases.LASTING[databases.REPLACED],
    "the database missing": databases.LASTING["missing"],
    "the database of zero bytes": databases.LASTING["zero bytes"],
    "the database garbage": databases.LASTING["garbage"],
    "a CSV file torn": _tamper("torn"),
    "a CSV file deleted": _tamper("deleted"),
}


def _resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise ProcessLookupError(pid)


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _first_and_last(values: list[int]) -> tuple[float, float]:
    """The medians of the first third and of the last."""
    third = max(1, len(values) // 3)
    return statistics.median(values[:third]), statistics.median(values[-third:])
