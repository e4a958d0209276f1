"""Bits that rot: single bytes of database and CSV files, changed at random."""

import os
import random
import subprocess
import sys
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

from stockapi.config import Settings
from stockapi.errors import SqliteError
from stockapi.models import Mode
from stockapi.models.series import SeriesKey
from stockapi.services.csv_store import CsvStore
from stockapi.services.upkeep.verification import check
from tests.faults.clients import Question, get
from tests.faults.market import all_series
from tests.faults.outcome import Outcome
from tests.faults.rig import WEB
from tests.support.server import clean_environment, running_server
from tests.support.stores import Stores, environment

CYCLES = 3
EVERYTHING = 100_000


def byte_flips(directory: Path, flips: int, *, seed: int) -> Outcome:
    """One byte at a time, in turn of the database and of a CSV file; then all it may have changed is asked for.

    `wrong` counts the flips that changed an answer and that the verification does not find. `lost` cannot be: each file
    is put right before the next flip.
    """
    outcome, dice = Outcome("a byte flipped at random"), random.Random(seed)
    settings = _filled(directory)
    database = settings.vn_database_path
    files = [database, *sorted(settings.market_data_dir.glob("*/*.csv"))]
    sound = {path: path.read_bytes() for path in files}
    changed = 0
    with running_server(directory, environment(directory) | WEB) as server:
        connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
        expected = {question: get(connection, question.path)[2] for question in _questions()}
        for number in range(flips):
            path = database if number % 2 else dice.choice(files[1:])
            place, bits = dice.randrange(len(sound[path])), dice.randrange(1, 256)
            _put(path, _flipped(sound[path], place, bits))
            outcome.injected += 1
            asked = [
                each for each in _questions() if path == (database if not each.from_csv else _file(settings, each))
            ]
            asked += [replace(each, from_csv=not each.from_csv) for each in asked if each.from_csv]
            failures, what = outcome.failures, f"{path.name} byte {place} ^ {bits}"
            differing = [each for each in asked if not _is_as(expected[each], each, connection, outcome)]
            outcome.broken += [f"{what}: an answer failed"] if outcome.failures > failures else []
            if differing:
                changed += 1
                if not _is_found(settings):
                    outcome.wrong += 1
                    outcome.examples.append(f"{what}: {differing[0].path}")
            _put(path, sound[path])
        connection.close()
    outcome.notes.append(f"{changed} flips changed an answer, the verification found {changed - outcome.wrong} of them")
    return outcome


def _questions() -> list[Question]:
    return [
        Question((ticker,), interval, EVERYTHING, from_csv)
        for ticker, interval in all_series()
        for from_csv in (False, True)
    ]


def _file(settings: Settings, question: Question) -> Path:
    return CsvStore(settings).path(SeriesKey(Mode.VN, question.tickers[0], question.interval))


def _filled(directory: Path) -> Settings:
    directory.mkdir(parents=True, exist_ok=True)
    variables = environment(directory, LOG_LEVEL="error")
    command = [sys.executable, "-m", "tests.faults.writer", "--cycles", str(CYCLES)]
    environ = clean_environment(directory) | variables
    subprocess.run(command, cwd=directory, env=environ, check=True, stdout=subprocess.PIPE, timeout=60)
    return Settings.from_mapping(variables)


def _flipped(data: bytes, place: int, bits: int) -> bytes:
    return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]


def _put(path: Path, data: bytes) -> None:
    """A new file in the place of the old one: processes that have it open notice. Bits rot without a time of change."""
    status = path.stat()
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(data)
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)


def _is_as(expected: bytes, question: Question, connection: HTTPConnection, outcome: Outcome) -> bool:
    """Whether an answer is the one of before; none at all is not an answer that changed, but counts as a failure."""
    status, source, body = get(connection, question.path)
    outcome.answers += 1
    outcome.statuses[status] += 1
    if source:
        outcome.sources[source] += 1
    return status != 200 or body == expected


def _is_found(settings: Settings) -> bool:
    stores = Stores.of(settings)
    try:
        result = check(stores, Mode.VN)
        return result.integrity != "ok" or bool(result.differing)
    except SqliteError:
        return True
    finally:
        stores.db_manager.close()
