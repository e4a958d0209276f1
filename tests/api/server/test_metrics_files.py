"""Files of counts on a file system without room."""

import errno
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import mmap_dict

from stockapi.api.server.metrics_files import _mapped, count_without_room


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    mmap_dict.mmap = mmap  # type: ignore[attr-defined]


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
    count_without_room()
    assert blocks_of_untouched(tmp_path / "counts.db") >= 1 << 16


def test_without_room_a_process_counts_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_without_room()
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    path = tmp_path / "counts.db"
    assert count(path, 3) == [1.0, 2.0, 3.0]
    assert list(mmap_dict.MmapedDict.read_all_values_from_file(str(path))) == []  # type: ignore[no-untyped-call]


def test_counts_go_on_where_the_room_ends_as_they_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_without_room()
    path = tmp_path / "counts.db"
    count(path, 1_000)
    monkeypatch.setattr(os, "posix_fallocate", no_room)
    assert count(path, 4_000)[-1] == 4_000.0
    count(path, 1)
    assert len(list(mmap_dict.MmapedDict.read_all_values_from_file(str(path)))) == 1_000  # type: ignore[no-untyped-call]


def test_another_error_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "posix_fallocate", broken)
    with (tmp_path / "counts.db").open("a+b") as file, pytest.raises(OSError, match="Input/output error"):
        _mapped(file.fileno(), 1 << 16)
