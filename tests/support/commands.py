"""What tests of commands run, and how they read what was printed."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import Result

from stockapi.models import Mode
from tests.support.server import clean_environment
from tests.support.stores import Stores, environment

Run = Callable[..., Result]
HEADER = "ticker,time,open,high,low,close,volume"
HOLD_THE_LOCK = """
import sys
from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.writer_lock import writer_lock

with writer_lock(Settings.load(), list(Mode)):
    print("held", flush=True)
    sys.stdin.read()
"""


def succeeded(result: Result) -> list[str]:
    """The lines on standard output."""
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout.splitlines()


def failed_with(result: Result, status: int) -> str:
    """The one line that says why; usage errors have click's two lines above it."""
    assert result.exit_code == status
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    *usage, line = result.stderr.splitlines()
    assert [each.split(" ")[0] for each in usage if each] == (["Usage:", "Try"] if status == 2 else [])
    return line


def put(directory: Path, name: str, *closes: float, ticker: str = "") -> Path:
    """A file of daily bars from 2024-01-01 on."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    ticker = ticker or (path.stem if path.parent == directory else path.parent.name)
    rows = [f"{ticker},2024-01-{day:02},{close},{close},{close},{close},100" for day, close in enumerate(closes, 1)]
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of change of every file; lock files and what connections leave beside a database apart."""
    paths = [path for path in directory.rglob("*") if path.is_file() and not path.name.endswith(".writer.lock")]
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in paths
        if not path.name.endswith(("-wal", "-shm"))
    }


@contextmanager
def another_writer(directory: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK],
        cwd=directory,
        env=clean_environment(directory) | environment(directory),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait(10)


TEXTS = "the blocks of columns are not those of the rows, the pre-rendered answers are not those of the rows"
DIGEST_OF_CSV = "CSV is right: its bars have the digest of the ledger"


def change_row(stores: Stores) -> tuple[str, str]:
    with stores.db_manager.transaction(Mode.VN) as connection:
        connection.execute("UPDATE vn_daily SET low = low - 1 WHERE ticker = 'VCB' ORDER BY time DESC LIMIT 1")
    problem = f"1 bars with other values, the ledger does not describe the rows, {TEXTS}; {DIGEST_OF_CSV}"
    return problem, "0 bars changed in CSV, 1 in SQLite"
