"""Locks, journals and views of files. What they are good for together is in test_csv_store."""

import os
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockapi.errors import CsvError
from stockapi.services.csv_store import journal
from stockapi.services.csv_store.journal import Journal, finish_journal, journal_path, opened, replace_tail
from stockapi.services.durable import locked, replace_file


def journal_for(path: Path, offset: int, tail: bytes) -> Journal:
    return Journal(path.stat().st_ino, offset, tail)


# Locks


def test_readers_share_a_directory(tmp_path: Path) -> None:
    with locked(tmp_path, exclusive=False), locked(tmp_path, exclusive=False, timeout_s=0.0):
        pass


@pytest.mark.parametrize(
    ("held", "wanted", "message"),
    [
        (True, True, "is locked by readers or a writer, for more than 0.02 s now"),
        (False, True, "is locked by readers or a writer, for more than 0.02 s now"),
        (True, False, "is locked by a writer, for more than 0.02 s now"),
    ],
)
def test_one_who_moves_bytes_is_alone(tmp_path: Path, held: bool, wanted: bool, message: str) -> None:
    with (
        locked(tmp_path, exclusive=held),
        pytest.raises(CsvError, match=message),
        locked(tmp_path, exclusive=wanted, timeout_s=0.02),
    ):
        pytest.fail("the lock was given away twice")
    with locked(tmp_path, exclusive=True, timeout_s=0.0):
        pass


def test_a_lock_is_free_again_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locked(tmp_path, exclusive=True):
        raise KeyError
    with locked(tmp_path, exclusive=True, timeout_s=0.0):
        pass


def test_a_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    is_done, do_end = os.pipe()
    with locked(tmp_path, exclusive=True):
        child = os.fork()
        if child == 0:
            os.close(do_end)
            os.read(is_done, 1)
            os._exit(0)
    try:
        with locked(tmp_path, exclusive=True, timeout_s=0.0):
            pass
    finally:
        os.close(do_end)
        os.waitpid(child, 0)
        os.close(is_done)


def test_bytes_move_only_when_the_last_reader_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "1m.csv"
    path.write_bytes(b"head-old")
    mover = threading.Thread(target=replace_tail, args=(path, 5, b"newer"))
    with locked(tmp_path, exclusive=False), opened(path) as view:
        mover.start()
        while not journal_path(path).exists():
            time.sleep(0.001)
        time.sleep(0.02)
        assert path.read_bytes() == b"head-old"
        assert view.read(0, view.size) == b"head-old"
        with opened(path) as later:
            assert later.read(0, later.size) == b"head-newer"
    mover.join()
    assert path.read_bytes() == b"head-newer"


def test_where_a_reader_keeps_the_lock_the_file_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may read the directory can take its lock, and keep it."""
    path = tmp_path / "1m.csv"
    path.write_bytes(b"head-old")
    monkeypatch.setattr(journal.locked.__wrapped__, "__kwdefaults__", {"timeout_s": 0.01})
    with locked(tmp_path, exclusive=False), opened(path) as view:
        replace_tail(path, 5, b"newer")
        assert view.read(0, view.size) == b"head-old"
        assert path.read_bytes() == b"head-newer"
    assert not finish_journal(path)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


BEFORE, AFTER = b"head-" + b"1" * 100_000 + b"\nold rows\n", b"head-" + b"1" * 100_000 + b"\nnew rows, more\n"
PLACE = BEFORE.index(b"old")


@pytest.mark.parametrize("at", [BEFORE, AFTER, BEFORE[:PLACE] + b"new rows", BEFORE[:PLACE]])
def test_a_copy_of_a_file_and_its_journal_is_finished_like_the_original(tmp_path: Path, at: bytes) -> None:
    """Copied before, after and in the middle of the writing; the copy has another inode."""
    path = tmp_path / "1m.csv"
    path.write_bytes(BEFORE)
    encoded = Journal.of(path, PLACE, AFTER[PLACE:]).encode()
    copy = tmp_path / "copy" / "1m.csv"
    copy.parent.mkdir()
    copy.write_bytes(at)
    journal_path(copy).write_bytes(encoded)
    assert copy.stat().st_ino != path.stat().st_ino
    with opened(copy) as view:
        assert view.read(0, view.size) == AFTER
    assert finish_journal(copy)
    assert copy.read_bytes() == AFTER


@pytest.mark.parametrize(
    "other", [BEFORE.replace(b"1\n", b"2\n"), AFTER + b"later rows\n", BEFORE[: PLACE - 1], b"", b"x" * len(BEFORE)]
)
def test_a_journal_beside_a_copy_of_another_state_is_dropped_and_named(
    tmp_path: Path, other: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path, copy = tmp_path / "1m.csv", tmp_path / "1D.csv"
    path.write_bytes(BEFORE)
    copy.write_bytes(other)
    journal_path(copy).write_bytes(Journal.of(path, PLACE, AFTER[PLACE:]).encode())
    assert not finish_journal(copy)
    assert copy.read_bytes() == other
    assert ".1D.journal is removed" in caplog.text


def test_an_old_journal_that_somebody_has_put_back_takes_no_newer_rows(tmp_path: Path) -> None:
    path = tmp_path / "1m.csv"
    path.write_bytes(BEFORE)
    old = Journal.of(path, PLACE, AFTER[PLACE:]).encode()
    replace_tail(path, PLACE, AFTER[PLACE:] + b"later rows\n")
    journal_path(path).write_bytes(old)
    with opened(path) as view:
        assert view.read(0, view.size) == AFTER + b"later rows\n"
    assert not finish_journal(path)
    assert path.read_bytes() == AFTER + b"later rows\n"


def test_two_writes_within_a_tick_of_the_clock_leave_different_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, tick = tmp_path / "1m.csv", 1_700_000_000_000_000_000
    path.write_bytes(b"head-old")
    os.utime(path, ns=(tick, tick - 1))
    real = os.ftruncate

    def within_the_tick(descriptor: int, size: int) -> None:
        real(descriptor, size)
        os.utime(descriptor, ns=(tick, tick))

    monkeypatch.setattr(os, "ftruncate", within_the_tick)
    seen = []
    for tail in (b"1", b"2", b"2"):
        replace_tail(path, 5, tail)
        seen.append(path.stat().st_mtime_ns)
    assert seen == [tick, tick + 1, tick + 2]


# Journals


@given(st.integers(0, 1 << 64), st.integers(0, 1 << 50), st.binary(max_size=50))
def test_a_journal_is_read_as_it_was_written(inode: int, offset: int, tail: bytes) -> None:
    journal = Journal(inode, offset, tail)
    assert Journal.decode(journal.encode()) == journal


@given(st.data())
def test_a_journal_with_any_byte_changed_is_none(data: st.DataObject) -> None:
    encoded = bytearray(Journal(77, 1_234, b"VCB,2024-01-01\n").encode())
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] = data.draw(st.integers(0, 255).filter(lambda byte: byte != encoded[position]))
    assert Journal.decode(bytes(encoded)) is None


@given(st.binary(max_size=100))
def test_anything_else_is_no_journal(data: bytes) -> None:
    assert Journal.decode(data) is None


@pytest.mark.parametrize(
    ("inode_shift", "offset", "expected"),
    [(0, 5, b"head-TAIL"), (0, 8, b"head-oldTAIL"), (0, 9, b"head-old"), (1, 5, b"head-old")],
    ids=["its file", "at the end", "behind the end", "another file"],
)
def test_a_journal_counts_for_the_file_it_was_made_for(
    tmp_path: Path, inode_shift: int, offset: int, expected: bytes
) -> None:
    path = tmp_path / "1m.csv"
    path.write_bytes(b"head-old")
    journal = Journal(path.stat().st_ino + inode_shift, offset, b"TAIL")
    journal_path(path).write_bytes(journal.encode())
    with opened(path) as view:
        assert view.read(0, view.size) == expected
    assert finish_journal(path) == (expected != b"head-old")
    assert path.read_bytes() == expected
    assert not journal_path(path).exists()


def test_a_journal_without_its_file_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "1m.csv"
    journal_path(path).write_bytes(Journal(1, 0, b"").encode())
    assert not finish_journal(path)
    assert list(tmp_path.iterdir()) == []


def test_without_a_journal_there_is_nothing_to_finish(tmp_path: Path) -> None:
    assert not finish_journal(tmp_path / "no directory" / "1m.csv")


# Views


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 3), (2, 5), (4, 7), (5, 9), (6, 8), (0, 9), (7, 3)])
def test_a_view_with_a_journal_reads_like_one_file(tmp_path: Path, start: int, stop: int) -> None:
    path = tmp_path / "1m.csv"
    path.write_bytes(b"head-old and more")
    journal_path(path).write_bytes(journal_for(path, 5, b"tail").encode())
    with opened(path) as view:
        assert view.size == 9
        assert view.read(start, stop) == b"head-tail"[start:stop]


def test_a_view_does_not_pass_a_short_file_for_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "1m.csv"
    path.write_bytes(b"0123456789")
    with opened(path) as view:
        os.truncate(path, 4)
        with pytest.raises(OSError, match="ends 6 bytes early"):
            view.read(0, view.size)


def test_a_view_stays_with_the_file_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "1D.csv"
    replace_file(path, b"old")
    with opened(path) as view:
        replace_file(path, b"newer")
        assert view.read(0, view.size) == b"old"


# Files


def test_others_may_read_a_new_file(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        replace_file(tmp_path / "1D.csv", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "1D.csv").stat().st_mode) == 0o644


def test_descriptors_are_closed(tmp_path: Path) -> None:
    path = tmp_path / "1m.csv"
    before = len(list(Path("/proc/self/fd").iterdir()))
    replace_file(path, b"0123456789")
    replace_tail(path, 5, b"abc")
    with locked(tmp_path, exclusive=False), opened(path):
        pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
