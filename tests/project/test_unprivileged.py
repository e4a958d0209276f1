"""The server as a user who may read the stores and write nothing; what SQLite's log then needs."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from stockapi.config import Settings
from stockapi.models import Mode
from tests.support.server import Server, clean_environment, running_server
from tests.support.stores import Stores, environment, make_bars

NOBODY = 65_534
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def can_become_nobody() -> bool:
    """Only root can; and nobody must be able to read Python, the packages and the project."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        return False
    probe = [*AS_NOBODY, sys.executable, "-c", "import app, gunicorn.app.wsgiapp"]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        variables = clean_environment(Path(directory)) | environment(Path(directory))
        return subprocess.run(probe, env=variables, cwd=directory, capture_output=True, check=False).returncode == 0


pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not can_become_nobody(), reason="needs root, setpriv, and a Python that everybody may run"),
]


@pytest.fixture
def directory() -> Iterator[Path]:
    """Not pytest's own: nobody may enter those."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def writer(directory: Path) -> Iterator[Stores]:
    """Of another user, with its databases open."""
    settings = Settings.from_mapping(environment(directory))
    stores = Stores.of(settings)
    for mode in Mode:
        stores.save("VCB", make_bars(300, mode=mode), mode=mode)
    yield stores
    stores.db_manager.close()


@pytest.fixture
def server(directory: Path, writer: Stores) -> Iterator[Server]:
    with running_server(
        directory, environment(directory, WEB_CONCURRENCY="2", GUNICORN_THREADS="1"), launcher=AS_NOBODY
    ) as server:
        yield server


def source_of_answer(server: Server) -> str:
    with urlopen(f"{server.url}/tickers?symbol=VCB&limit=300") as answer:
        assert len(json.load(answer)["VCB"]) == 300
        return str(answer.headers["X-Data-Source"])


def processes(server: Server) -> list[int]:
    """The master and its two workers."""
    master = server.process.pid
    deadline = time.monotonic() + 10
    while len(children := Path(f"/proc/{master}/task/{master}/children").read_text().split()) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return [master, *map(int, children)]


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def everything(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Owner, size and time of change of every file and directory but the server's log."""
    found = {}
    for path in [directory, *directory.rglob("*")]:
        if path.name != "server.log":
            status = path.stat()
            found[str(path)] = (status.st_uid, status.st_size, status.st_mtime_ns)
    return found


def test_no_process_has_a_right_more_than_nobody(server: Server) -> None:
    for pid in processes(server):
        status = status_of(pid)
        assert status["Uid"].split() == status["Gid"].split() == [str(NOBODY)] * 4
        assert (status["Groups"], int(status["CapEff"], 16), int(status["CapPrm"], 16)) == ("", 0, 0)


def test_it_reads_both_stores_and_changes_nothing(server: Server, directory: Path) -> None:
    before = everything(directory)
    for path in ("/tickers", "/tickers?cache=false", "/tickers?mode=crypto", "/health", "/metrics", "/adjustments"):
        with urlopen(server.url + path) as answer:
            assert answer.status == 200
    assert everything(directory) == before
    assert source_of_answer(server) == "sqlite"


def test_when_the_worker_is_down_from_the_start_csv_answers_and_later_sqlite(server: Server, writer: Stores) -> None:
    """The last connection to leave takes -wal and -shm away, and who may not make them cannot read the database."""
    writer.db_manager.close()
    assert not Path(f"{writer.settings.vn_database_path}-shm").exists()
    assert source_of_answer(server) == "csv"
    writer.save("VCB", make_bars(301))
    with urlopen(f"{server.url}/tickers?symbol=VCB&limit=1") as answer:
        assert answer.headers["X-Data-Source"] == "sqlite"


def test_a_worker_that_stops_later_leaves_readers_what_they_need(server: Server, writer: Stores) -> None:
    assert source_of_answer(server) == "sqlite"
    writer.db_manager.close()
    assert Path(f"{writer.settings.vn_database_path}-shm").exists()
    assert source_of_answer(server) == "sqlite"


def test_in_a_directory_it_may_write_sqlite_answers_then_too(server: Server, writer: Stores, directory: Path) -> None:
    directory.chmod(0o777)
    writer.db_manager.close()
    assert source_of_answer(server) == "sqlite"
    assert Path(f"{writer.settings.vn_database_path}-shm").stat().st_uid == NOBODY, (
        "which a worker of another user cannot write"
    )


def test_a_shared_memory_file_it_may_not_read_leaves_csv(server: Server, writer: Stores) -> None:
    for mode in Mode:
        Path(f"{writer.settings.database_path(mode)}-shm").chmod(0o600)
    assert source_of_answer(server) == "csv"


def test_it_cannot_start_a_worker(writer: Stores, directory: Path) -> None:
    """The lock of the writer is a file that it may not write."""
    before = everything(directory)
    variables = clean_environment(directory) | environment(directory)
    command = [*AS_NOBODY, sys.executable, "-m", "workers"]
    ended = subprocess.run(
        command, cwd=directory, env=variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode != 0
    assert "Permission denied" in ended.stdout + ended.stderr
    assert everything(directory) == before
