"""The directory of backups: names, which is the newest, which may go, one at a time."""

from datetime import timedelta
from pathlib import Path

import pytest

from stockapi.errors import StoreError
from stockapi.models import Mode
from stockapi.services.upkeep.backup_files import LOCK_FILE, alone_in, new_file, newest_in, remove_older
from tests.support.stores import NOW

STRANGERS = [
    "vn_data.db",
    "vn_data-20200101.db",
    "vn_data-20200101T000000Z.db.bak",
    "vn_data-20200101T000000Z.db-wal",
    "my vn_data-20200101T000000Z.db",
    "VN_DATA-20200101T000000Z.db",
    "vn_data-20200101T000000Z-.db",
    "vn_data-２０２００１０１T000000Z.db",
    "crypto_data-20200101T000000Z.db",
    ".vn_data.partial",
    LOCK_FILE,
    "notes.txt",
]


def make(directory: Path, *stamps: str) -> list[Path]:
    paths = [directory / f"vn_data-{stamp}.db" for stamp in stamps]
    for path in paths:
        path.touch()
    return paths


def test_a_backup_is_named_for_its_market_and_the_moment_in_utc(tmp_path: Path) -> None:
    assert new_file(tmp_path, Mode.CRYPTO, NOW).name == "crypto_data-20260302T050000Z.db"


def test_backups_of_one_second_are_numbered_and_the_last_is_the_newest(tmp_path: Path) -> None:
    names = []
    for _ in range(12):
        (path := new_file(tmp_path, Mode.VN, NOW)).touch()
        names.append(path.name)
        assert newest_in(tmp_path, Mode.VN, NOW) == path
    assert names[:2] == ["vn_data-20260302T050000Z.db", "vn_data-20260302T050000Z-2.db"]
    assert names[-1] == "vn_data-20260302T050000Z-12.db"
    new_file(tmp_path, Mode.VN, NOW + timedelta(seconds=1)).touch()
    assert newest_in(tmp_path, Mode.VN, NOW).name == "vn_data-20260302T050001Z.db"


@pytest.mark.parametrize(
    ("keep", "left"),
    [(1, ["4"]), (2, ["3", "4"]), (3, ["2", "3", "4"]), (4, ["1", "2", "3", "4"]), (9, ["1", "2", "3", "4"])],
)
def test_so_many_are_kept(tmp_path: Path, keep: int, left: list[str]) -> None:
    paths = make(tmp_path, *(f"2026010{day}T000000Z" for day in (3, 1, 4, 2)))
    removed = remove_older(tmp_path, Mode.VN, keep, tmp_path / "vn_data-20260104T000000Z.db", NOW)
    assert removed == sorted(removed)
    assert sorted(path.name[15] for path in tmp_path.iterdir()) == left
    assert set(removed) | set(tmp_path.iterdir()) == set(paths)


def test_the_one_just_made_stays_even_when_the_clock_was_set_back(tmp_path: Path) -> None:
    made, *others = make(tmp_path, "20200101T000000Z", "20260101T000000Z", "20260102T000000Z")
    assert remove_older(tmp_path, Mode.VN, 1, made, NOW) == others
    assert list(tmp_path.iterdir()) == [made]


@pytest.mark.parametrize(
    "oldest_first",
    [
        ["20260301T000000Z", "20260302T000000Z"],
        # Made by a clock that was ahead by years: neither the newest, nor kept for ever.
        ["20360101T000000Z", "20260302T000000Z"],
        ["20360101T000000Z", "20360102T000000Z", "20260301T000000Z"],
        ["20360101T000000Z", "20360102T000000Z"],
        ["20260303T050001Z", "20260302T045959Z"],
        # By less than a day: as another machine's clock may be.
        ["20260302T045959Z", "20260303T045959Z"],
    ],
)
def test_a_backup_of_a_time_to_come_is_older_than_all_others(tmp_path: Path, oldest_first: list[str]) -> None:
    paths = make(tmp_path, *oldest_first)
    assert newest_in(tmp_path, Mode.VN, NOW) == paths[-1]
    (made,) = make(tmp_path, "20260302T050000Z")
    assert remove_older(tmp_path, Mode.VN, 1, made, NOW) == paths


def test_no_file_of_another_name_is_removed_or_taken_for_a_backup(tmp_path: Path) -> None:
    for name in STRANGERS:
        (tmp_path / name).touch()
    (tmp_path / "vn_data-20190101T000000Z.db").mkdir()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    (target := elsewhere / "kept.db").touch()
    (tmp_path / "vn_data-20190102T000000Z.db").symlink_to(target)
    before = set(tmp_path.iterdir())
    with pytest.raises(StoreError, match=f"^{tmp_path} holds no backup of a vn database: no vn_data-<time>.db$"):
        newest_in(tmp_path, Mode.VN, NOW)
    (made,) = make(tmp_path, "20260101T000000Z")
    assert remove_older(tmp_path, Mode.VN, 1, made, NOW) == []
    assert newest_in(tmp_path, Mode.VN, NOW) == made
    assert set(tmp_path.iterdir()) == {*before, made}


def test_two_backups_into_one_directory_do_not_meet(tmp_path: Path) -> None:
    with (
        alone_in(tmp_path),
        pytest.raises(StoreError, match=f"^another backup into {tmp_path} is being made; wait"),
        alone_in(tmp_path),
    ):
        pass
    with alone_in(tmp_path):
        pass
