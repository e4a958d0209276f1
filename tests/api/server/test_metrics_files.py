"""Files of counts: without room, of processes that ended, and left by a master that was killed."""

import errno
import mmap
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import mmap_dict

from stockapi.api.server.metrics_files import _mapped, count_without_room, forget_workers, metrics_directory
from stockapi.services.durable import locked


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    mmap_dict.mmap = mmap  # type: ignore[attr-defined]
    vars(mmap_dict).pop("open", None)
    metrics_directory.cache_clear()


def no_room(*_: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def count(path: Path, keys: int = 1) -> list[float]:
    counts = mmap_dict.MmapedDict(str(path))  # type: ignore[no-untyped-call]
    try:
        for number in range(keys):
            counts.write_value(f"key {number}", number + 1.0, 0.0)
        return [counts.read_value(f"key {number}")[0] for number in range(keys)]
    finally:
        counts.close()


def blocks_of_untouched(path: Path) -> int:
    counts = mmap_dict.MmapedDict(str(path))  # type: ignore[no-untyped-call]
    try:
        return 512 * path.stat().st_blocks
    finally:
        counts.close()


def test_all_blocks_are_there_before_the_first_count(tmp_path: Path) -> None:
    assert blocks_of_untouched(tmp_path / "control.db") < 1 << 16, "without the guard it is a file of holes"
    count_without_room(tmp_path)
    assert blocks_of_untouched(tmp_path / "counts.db") >= 1 << 16


def test_without_room_a_process_counts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_without_room(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    path = tmp_path / "counts.db"
    assert count(path, 3) == [1.0, 2.0, 3.0]
    assert list(mmap_dict.MmapedDict.read_all_values_from_file(str(path))) == []  # type: ignore[no-untyped-call]


def test_counts_go_on_where_the_room_ends_as_they_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_without_room(tmp_path)
    path = tmp_path / "counts.db"
    count(path, 1_000)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    assert count(path, 4_000)[-1] == 4_000.0
    count(path, 1)
    assert len(list(mmap_dict.MmapedDict.read_all_values_from_file(str(path)))) == 1_000  # type: ignore[no-untyped-call]


def test_it_is_said_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    count_without_room(tmp_path)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    for number in range(5):
        count(tmp_path / f"counter_{number}.db")
    assert caplog.messages == ['event=metrics_without_room error="No space left on device"']


def unwritable(directory: Path) -> Path:
    """Nothing can be made below a file."""
    directory.rmdir()
    directory.touch()
    return directory


def removed(directory: Path) -> Path:
    directory.rmdir()
    return directory


@pytest.mark.parametrize("spoil", [removed, unwritable])
def test_a_file_that_cannot_be_made_is_one_in_memory(tmp_path: Path, spoil: Callable[[Path], Path]) -> None:
    (directory := tmp_path / "counts").mkdir()
    count_without_room(directory)
    spoil(directory)
    assert count(directory / "counter_1.db", 3_000)[-1] == 3_000.0
    with pytest.raises(OSError, match=r"No such file|Not a directory"):
        mmap_dict.MmapedDict.read_all_values_from_file(str(directory / "counter_1.db"))  # type: ignore[no-untyped-call]


def test_a_directory_that_was_cleaned_away_is_made_again(tmp_path: Path) -> None:
    (directory := tmp_path / "counts").mkdir()
    count_without_room(removed(directory))
    assert directory.is_dir()


# Processes that ended


def values(path: Path) -> dict[str, float]:
    read = mmap_dict.MmapedDict.read_all_values_from_file(str(path))  # type: ignore[no-untyped-call]
    return {key: value for key, value, _, _ in read}


def files(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def count_of(directory: Path, pid: int) -> None:
    """What a process leaves."""
    for kind in ("counter", "histogram"):
        count(directory / f"{kind}_{pid}.db", pid)
    count(directory / f"gauge_livesum_{pid}.db")


def test_a_hundred_dead_processes_leave_two_files_with_the_sum_of_their_counts(tmp_path: Path) -> None:
    for pid in range(1, 101):
        count_of(tmp_path, pid)
        forget_workers(tmp_path, {777})
    count_of(tmp_path, 777)
    forget_workers(tmp_path, {777})
    living = ["counter_777.db", "gauge_livesum_777.db", "histogram_777.db"]
    assert files(tmp_path) == sorted([*living, "counter_dead.db", "histogram_dead.db"])
    for kind in ("counter", "histogram"):
        sums = values(tmp_path / f"{kind}_dead.db")
        assert sums == {f"key {number}": (number + 1.0) * (100 - number) for number in range(100)}


def test_a_file_without_bytes_is_passed_over(tmp_path: Path) -> None:
    count_of(tmp_path, 1)
    (tmp_path / "counter_2.db").touch()
    forget_workers(tmp_path, [])
    assert files(tmp_path) == ["counter_dead.db", "histogram_dead.db"]
    assert values(tmp_path / "counter_dead.db") == {"key 0": 1.0}


def test_without_room_for_the_sum_the_files_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_of(tmp_path, 1)
    with monkeypatch.context() as full:
        full.setattr(Path, "write_bytes", no_room)
        forget_workers(tmp_path, [])
    assert files(tmp_path) == ["counter_1.db", "histogram_1.db"]
    forget_workers(tmp_path, [])
    assert values(tmp_path / "counter_dead.db") == {"key 0": 1.0}


def test_the_master_does_not_wait_for_somebody_who_reads(tmp_path: Path) -> None:
    count_of(tmp_path, 1)
    with locked(tmp_path, exclusive=False):
        forget_workers(tmp_path, [])
        assert len(files(tmp_path)) == 3
    count_of(tmp_path, 2)
    forget_workers(tmp_path, [])
    assert values(tmp_path / "histogram_dead.db") == {"key 0": 2.0, "key 1": 2.0}


# A master that was killed


def test_the_next_master_removes_what_a_killed_one_left_and_nothing_else(tmp_path: Path) -> None:
    living = metrics_directory(str(tmp_path))
    metrics_directory.cache_clear()
    dead, young, strange = (tmp_path / f"stockapi-metrics-{name}" for name in ("dead", "young", "strange"))
    for directory in (dead, young):
        directory.mkdir()
        (directory / "master.lock").touch()
        (directory / "counter_1.db").touch()
    strange.symlink_to(tmp_path / "elsewhere")
    (other := tmp_path / "of-others").mkdir()
    for directory in (living, dead, other):
        os.utime(directory, (0, 0))
    mine = metrics_directory(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {each.name for each in (living, mine, young, strange, other)}


def test_a_killed_master_is_known_by_its_lock(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys\n"
        "from stockapi.api.server.metrics_files import metrics_directory\n"
        "metrics_directory(sys.argv[1])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    os.utime(left, (0, 0))
    assert metrics_directory(str(tmp_path)) != left
    assert not left.exists()


def test_another_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "posix_fallocate", broken)
    with (tmp_path / "counts.db").open("a+b") as file, pytest.raises(OSError, match="Input/output error"):
        _mapped(file.fileno(), 1 << 16)
