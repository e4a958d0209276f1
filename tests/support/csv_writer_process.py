"""Writers that die, and writers that are observed. test_csv_store runs this module as a process.

python csv_writer_process.py crash ACTION DIRECTORY    do ACTION again and again, killed one step later each time
python csv_writer_process.py stream ACTION DIRECTORY   do it a few hundred times while somebody reads
"""

import itertools
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stockapi.config import Settings
from stockapi.formats.csv_format import HEADER, format_rows
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store import CsvStore, journal
from tests.support.csv_bars import flat_bars, times

MINUTES = SeriesKey(Mode.VN, "VCB", Interval.MINUTE)
HOURS = SeriesKey(Mode.VN, "VCB", Interval.HOURLY)
KEPT = 60
TIMES = times(100)
CUTOFF = int(TIMES[KEPT])
OLD = flat_bars(TIMES[:80], 1.0)
NEW_TAIL = flat_bars(TIMES[KEPT:], 2.0)
NEW = Bars.concatenate([OLD.take(slice(KEPT)), NEW_TAIL])
THIRD = flat_bars(TIMES, 3.0)
OLD_HOURS, NEW_HOURS = flat_bars(times(9, Interval.HOURLY), 1.0), flat_bars(times(10, Interval.HOURLY), 2.0)
STREAM_WRITES = 300
STEPS = ("open", "fsync", "pwrite", "ftruncate", "utime", "replace", "unlink", "mkdir")


def store_in(directory: Path) -> CsvStore:
    return CsvStore(
        Settings.from_mapping({"MARKET_DATA_DIR": str(directory / "vn"), "CRYPTO_DATA_DIR": str(directory / "crypto")})
    )


def text_of(bars: Bars, interval: Interval = Interval.MINUTE) -> bytes:
    return f"{HEADER}\n{format_rows(SeriesKey(Mode.VN, 'VCB', interval), bars)}".encode()


def prepare_old(directory: Path) -> None:
    store_in(directory).write(MINUTES, OLD)


def prepare_torn_with_journal(directory: Path) -> None:
    """Leave the file as after a crash while the bytes of NEW_TAIL are written."""
    prepare_old(directory)
    path = store_in(directory).path(MINUTES)
    offset = len(text_of(OLD.take(slice(KEPT))))
    unfinished = journal.Journal(path.stat().st_ino, offset, text_of(NEW)[offset:])
    journal.journal_path(path).write_bytes(unfinished.encode())
    path.write_bytes(path.read_bytes()[: offset + 1_000])


def prepare_old_name(directory: Path) -> None:
    old = store_in(directory).path(HOURS).with_name("1h.csv")
    old.parent.mkdir(parents=True)
    old.write_bytes(text_of(OLD_HOURS, Interval.HOURLY))


def write_tail(directory: Path) -> None:
    store_in(directory).write_tail(MINUTES, NEW_TAIL, CUTOFF)


def write_tail_in_place(directory: Path) -> None:
    path = store_in(directory).path(MINUTES)
    offset = len(text_of(OLD.take(slice(KEPT))))
    descriptor = os.open(path, os.O_WRONLY)
    os.ftruncate(descriptor, offset)
    tail = memoryview(text_of(NEW)[offset:])
    written = 0
    while written < len(tail):
        written += os.pwrite(descriptor, tail[written:], offset + written)
    os.fsync(descriptor)


def write_in_place(directory: Path) -> None:
    path = store_in(directory).path(MINUTES)
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    data = memoryview(text_of(NEW))
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], written)


ACTIONS: dict[str, tuple[Callable[[Path], None], Callable[[Path], Any]]] = {
    "tail": (prepare_old, write_tail),
    "whole": (prepare_old, lambda directory: store_in(directory).write(MINUTES, NEW)),
    "first": (lambda directory: None, lambda directory: store_in(directory).write(MINUTES, NEW)),
    "recover": (prepare_torn_with_journal, lambda directory: store_in(directory).recover(Mode.VN)),
    "whole over journal": (prepare_torn_with_journal, lambda directory: store_in(directory).write(MINUTES, THIRD)),
    "old name": (prepare_old_name, lambda directory: store_in(directory).write(HOURS, NEW_HOURS)),
    "tail in place": (prepare_old, write_tail_in_place),
    "whole in place": (prepare_old, write_in_place),
}


def die_at(step: int) -> None:
    """From now on, the process ends just before call number `step` that changes something on disk."""
    numbers = itertools.count(1)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(numbers) == step:
                os._exit(9)
            return function(*args, **kwargs)

        return call

    def half_pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        return real_pwrite(descriptor, data[: (len(data) + 1) // 2], offset)

    real_pwrite, os.pwrite = os.pwrite, half_pwrite
    for name in STEPS:
        setattr(os, name, counted(getattr(os, name)))


def crash(action: str, directory: Path) -> None:
    prepare, act = ACTIONS[action]
    for step in itertools.count(1):
        private = directory / f"{step:03}"
        prepare(private)
        child = os.fork()
        if child == 0:
            die_at(step)
            act(private)
            os._exit(0)
        if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0:
            shutil.rmtree(private)
            return


def stream(action: str, directory: Path) -> None:
    """Write number i sets all rows from CUTOFF on to i, and adds a row."""
    os.fsync = lambda descriptor: None  # readers see no difference while the machine runs
    store = store_in(directory)
    path, offset = store.path(MINUTES), len(text_of(OLD.take(slice(KEPT))))
    for number in range(2, STREAM_WRITES):
        tail = flat_bars(times(20 + number, start=CUTOFF), float(number))
        if action == "tail":
            store.write_tail(MINUTES, tail, CUTOFF)
            continue
        data = format_rows(SeriesKey(Mode.VN, "VCB", Interval.MINUTE), tail).encode()
        with open(path, "r+b", buffering=0) as file:
            file.truncate(offset)
            file.seek(offset)
            file.write(data[: len(data) // 2])
            time.sleep(0.001)
            file.write(data[len(data) // 2 :])


if __name__ == "__main__":
    {"crash": crash, "stream": stream}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))
