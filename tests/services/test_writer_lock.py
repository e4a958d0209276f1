"""One writer at a time, by name."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import CsvError, WriterLockedError
from stockapi.models import Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.services import writer_lock as module
from stockapi.services.csv_store import CsvStore
from stockapi.services.writer_lock import require_held, writer_lock, writer_of
from tests.support.server import ROOT
from tests.support.stores import make_bars

NOON = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)

HOLD = """
import os, sys
from stockapi.config import Settings
from stockapi.models import Mode
from stockapi.services.writer_lock import writer_lock
variables = {"MARKET_DATA_DIR": sys.argv[1], "CRYPTO_DATA_DIR": sys.argv[2], "VN_DATABASE_PATH": sys.argv[1] + ".db"}
with writer_lock(Settings.from_mapping(variables), [Mode.VN]):
    if len(sys.argv) > 3:
        child = os.fork()
        if child:
            os.read(sys.stdin.fileno(), 1)
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_mapping(
        {
            "MARKET_DATA_DIR": str(tmp_path / "vn"),
            "CRYPTO_DATA_DIR": str(tmp_path / "crypto"),
            "VN_DATABASE_PATH": str(tmp_path / "vn.db"),
            "CRYPTO_DATABASE_PATH": str(tmp_path / "crypto.db"),
        }
    )


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.01)


@contextmanager
def other_writer(settings: Settings, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that holds the lock of the VN market until its input ends; with an argument, it and a child."""
    command = [sys.executable, "-c", HOLD, str(settings.market_data_dir), str(settings.crypto_data_dir), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process


def test_the_lock_is_free_again_after_use(settings: Settings) -> None:
    for _ in range(2):
        with writer_lock(settings, Mode):
            assert writer_of(settings, Mode.VN) is not None
        assert writer_of(settings, Mode.VN) is None


def test_the_file_says_who_holds_it(settings: Settings) -> None:
    with writer_lock(settings, [Mode.CRYPTO], lambda: NOON):
        note = json.loads((settings.crypto_data_dir / ".writer.lock").read_text())
        assert (note["pid"], note["started_at"]) == (os.getpid(), "2026-03-02T05:00:00Z")
        assert sys.orig_argv[0] in note["command"]
        assert not settings.market_data_dir.exists()


def test_a_second_writer_is_told_who_the_first_is(settings: Settings) -> None:
    with other_writer(settings) as process:
        with pytest.raises(WriterLockedError) as caught, writer_lock(settings, Mode):
            pytest.fail("two writers")
        text = str(caught.value)
        assert f"is being written by another process: pid {process.pid}, {sys.executable} -c" in text
        assert text.endswith("Z; wait until it has finished, or stop it")
        assert "\n" not in text
        assert str(writer_of(settings, Mode.VN)).startswith(f"pid {process.pid}, ")
        process.communicate()
    with writer_lock(settings, Mode):
        pass


def test_the_lock_ends_with_its_process_however_it_dies(settings: Settings) -> None:
    with other_writer(settings) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert writer_of(settings, Mode.VN) is None
        with writer_lock(settings, Mode):
            pass


def test_markets_are_locked_one_by_one(settings: Settings) -> None:
    with writer_lock(settings, [Mode.VN]), writer_lock(settings, [Mode.CRYPTO]):
        pass
    with writer_lock(settings, [Mode.VN]):
        with pytest.raises(WriterLockedError), writer_lock(settings, Mode):
            pytest.fail("two writers")
        assert writer_of(settings, Mode.CRYPTO) is None
        with writer_lock(settings, [Mode.CRYPTO, Mode.CRYPTO]):
            pass


def test_a_started_program_does_not_keep_the_lock(settings: Settings) -> None:
    with writer_lock(settings, [Mode.VN]):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with child:
        assert writer_of(settings, Mode.VN) is None
        child.communicate()


def test_a_forked_child_does_not_keep_the_lock(settings: Settings) -> None:
    with writer_lock(settings, [Mode.VN]):
        is_over, end = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end)
            os.read(is_over, 1)
            os._exit(0)
    try:
        assert writer_of(settings, Mode.VN) is None
    finally:
        os.close(end)
        os.waitpid(child, 0)
        os.close(is_over)


def test_a_forked_child_does_not_keep_the_lock_of_a_parent_that_dies(settings: Settings) -> None:
    with other_writer(settings, "and fork") as process:  # the child has said that it runs
        process.kill()
        process.wait()
        assert writer_of(settings, Mode.VN) is None


def test_a_forked_child_that_leaves_the_context_closes_nothing_of_its_own(settings: Settings) -> None:
    context = writer_lock(settings, [Mode.VN])
    with context:
        child = os.fork()
        if child == 0:
            # In the child the lock's number is free again, and the next file gets it.
            descriptor = os.open(__file__, os.O_RDONLY)
            context.__exit__(None, None, None)
            os._exit(0 if os.pread(descriptor, 1, 0) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert writer_of(settings, Mode.VN) is not None


@pytest.mark.parametrize("note", ["", "{", "[]", "{}", '{"pid": 1, "command": 2, "started_at": 3}', "\xff"])
def test_a_holder_without_a_note_is_unknown(settings: Settings, note: str) -> None:
    with writer_lock(settings, [Mode.VN]):
        (settings.market_data_dir / ".writer.lock").write_bytes(note.encode("latin-1"))
        assert writer_of(settings, Mode.VN) == "unknown"


def test_a_command_takes_one_line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-c", "a\nb", "x" * 10_000])
    with writer_lock(settings, [Mode.VN], lambda: NOON):
        text = writer_of(settings, Mode.VN)
    assert text is not None
    assert text.startswith(f"pid {os.getpid()}, python -c 'a b' xxx")
    assert text.endswith("xxx, since 2026-03-02T05:00:00Z")


def test_a_data_directory_that_cannot_be_made(settings: Settings) -> None:
    settings.market_data_dir.write_text("a file")
    with pytest.raises(CsvError, match=r"\.writer\.lock: "), writer_lock(settings, [Mode.VN]):
        pytest.fail("there is nothing to lock")


# What the lock guards


def test_one_database_has_one_writer_whatever_the_csv_tree(settings: Settings, tmp_path: Path) -> None:
    other = replace(settings, market_data_dir=tmp_path / "other tree")
    with (
        writer_lock(settings, [Mode.VN]),
        pytest.raises(WriterLockedError, match="is being written by another"),
        writer_lock(other, [Mode.VN]),
    ):
        pytest.fail("two trees, one database")
    with writer_lock(settings, [Mode.VN]), writer_lock(other, [Mode.CRYPTO]):
        pass


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_to_a_database_is_that_database(settings: Settings, tmp_path: Path, is_there: bool) -> None:
    if is_there:
        (tmp_path / "vn.db").touch()
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "other.db").symlink_to(tmp_path / "vn.db")
    other = replace(settings, market_data_dir=tmp_path / "other tree", vn_database_path=tmp_path / "links" / "other.db")
    with writer_lock(settings, [Mode.VN]), pytest.raises(WriterLockedError), writer_lock(other, [Mode.VN]):
        pytest.fail("two names, one database")


@pytest.mark.parametrize("is_replaced", [False, True])
@pytest.mark.parametrize("name", ["vn/.writer.lock", ".vn.db.writer.lock"])
def test_whoever_has_lost_the_file_of_its_lock_writes_no_more(
    settings: Settings, tmp_path: Path, name: str, is_replaced: bool
) -> None:
    key, store = SeriesKey(Mode.VN, "VCB", Interval.DAILY), CsvStore(settings)
    with writer_lock(settings, [Mode.VN]):
        store.write(key, make_bars(3))
        (tmp_path / name).unlink()
        if is_replaced:
            (tmp_path / name).touch()
        with pytest.raises(CsvError, match="was removed or replaced"):
            require_held()
        with pytest.raises(CsvError, match="was removed or replaced"):
            store.write(key, make_bars(4))
        with pytest.raises(CsvError, match="was removed or replaced"):
            store.write_tail(key, make_bars(4).tail(1), int(make_bars(4).time[3]))
        with pytest.raises(CsvError, match="was removed or replaced"):
            store.remove(key)
    require_held()
    assert len(store.read(key).bars) == 3


def test_others_may_not_open_the_locks(settings: Settings, tmp_path: Path) -> None:
    paths = [tmp_path / "vn" / ".writer.lock", tmp_path / ".vn.db.writer.lock"]
    before = os.umask(0)
    try:
        paths[0].parent.mkdir()
        paths[0].touch(0o666)
        with writer_lock(settings, [Mode.VN]):
            assert [stat.S_IMODE(path.stat().st_mode) & 0o007 for path in paths] == [0, 0]
    finally:
        os.umask(before)
