"""Damaged lines are kept where a person can look at them."""

import csv
import fcntl
import os
import resource
import stat
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from stockapi.config import Settings
from stockapi.errors import CsvError
from stockapi.formats.csv_format import DamagedLine
from stockapi.models import Mode
from stockapi.services.csv_store import CsvStore
from stockapi.services.csv_store import quarantine as module
from stockapi.services.csv_store.quarantine import Quarantine

SEEN_AT = datetime(2026, 3, 2, 5, 0, tzinfo=UTC)
HEADER = ["seen_at", "source", "line", "reason", "text"]
LINE = DamagedLine(3, "close '' is not a number", "VCB,2024-01-01,1,1,1,,5")
OTHER = DamagedLine(4, LINE.reason, LINE.text)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_mapping({"MARKET_DATA_DIR": str(tmp_path / "vn"), "CRYPTO_DATA_DIR": str(tmp_path / "crypto")})


@pytest.fixture
def quarantine(settings: Settings) -> Quarantine:
    return Quarantine(settings)


def rows_in(path: Path) -> list[list[str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_lines_are_appended_under_one_header(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.add(Mode.VN, "VCB/1D.csv", [LINE, DamagedLine(9, "6 fields", "a,b")], SEEN_AT)
    quarantine.add(Mode.VN, "VCI", [LINE], SEEN_AT.astimezone(timezone(timedelta(hours=7))))
    assert rows_in(tmp_path / "vn" / "quarantine.csv") == [
        HEADER,
        ["2026-03-02T05:00:00Z", "VCB/1D.csv", "3", LINE.reason, LINE.text],
        ["2026-03-02T05:00:00Z", "VCB/1D.csv", "9", "6 fields", "a,b"],
        ["2026-03-02T05:00:00Z", "VCI", "3", LINE.reason, LINE.text],
    ]
    assert not (tmp_path / "crypto").exists()


@pytest.mark.parametrize("text", ['say "x", y', "\x00\x00", "đồng", "\ufffd", " x"])
def test_any_text_comes_back(quarantine: Quarantine, tmp_path: Path, text: str) -> None:
    quarantine.add(Mode.VN, text, [DamagedLine(1, text, text)], SEEN_AT)
    assert rows_in(tmp_path / "vn" / "quarantine.csv")[1] == ["2026-03-02T05:00:00Z", text, "1", text, text]


@pytest.mark.parametrize(
    ("text", "cell"),
    [*((f"{start}HYPERLINK(1)", f"'{start}HYPERLINK(1)") for start in "=+-@\t"), ("\r=1", "'\\r=1")],
)
def test_no_cell_is_a_formula(quarantine: Quarantine, tmp_path: Path, text: str, cell: str) -> None:
    quarantine.add(Mode.VN, text, [DamagedLine(1, text, text)], SEEN_AT)
    assert rows_in(tmp_path / "vn" / "quarantine.csv")[1][1:] == [cell, "1", cell, cell]


def test_every_entry_is_one_line(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.add(Mode.VN, "VCI", [DamagedLine(1, "r", "two\r\nlines")], SEEN_AT)
    assert (tmp_path / "vn" / "quarantine.csv").read_bytes().endswith(b",VCI,1,r,two\\r\\nlines\n")


def test_nothing_to_add_makes_no_file(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.add(Mode.VN, "VCB", [], SEEN_AT)
    assert list(tmp_path.iterdir()) == []


def test_a_line_torn_by_a_crash_does_not_swallow_the_next(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.add(Mode.VN, "VCB", [LINE], SEEN_AT)
    path = tmp_path / "vn" / "quarantine.csv"
    path.write_bytes(path.read_bytes()[:-5])
    quarantine.add(Mode.VN, "VCI", [LINE], SEEN_AT)
    assert [row[1] for row in rows_in(path)] == ["source", "VCI"]


@pytest.mark.parametrize("size", range(0, 200, 7))
def test_whatever_was_torn_the_file_is_sound_after_the_next_line(
    quarantine: Quarantine, tmp_path: Path, size: int
) -> None:
    quarantine.add(Mode.VN, "VCB", [LINE, LINE], SEEN_AT)
    path = tmp_path / "vn" / "quarantine.csv"
    rows, data = rows_in(path), path.read_bytes()
    path.write_bytes(data[:size])
    quarantine.add(Mode.VN, "VCB", [OTHER], SEEN_AT)
    assert rows_in(path) == [*rows[: max(1, data[:size].count(b"\n"))], [*rows[1][:2], "4", *rows[1][3:]]]


def test_it_is_no_ticker(quarantine: Quarantine, settings: Settings) -> None:
    quarantine.add(Mode.VN, "VCB", [LINE], SEEN_AT)
    assert CsvStore(settings).tickers(Mode.VN) == []


def test_a_full_disk_leaves_no_half_line(quarantine: Quarantine, tmp_path: Path) -> None:
    quarantine.add(Mode.VN, "VCB", [LINE], SEEN_AT)
    path = tmp_path / "vn" / "quarantine.csv"
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 20, hard))
    try:
        with pytest.raises(CsvError, match=r"quarantine\.csv"):
            quarantine.add(Mode.VN, "VCB", [OTHER], SEEN_AT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before


def test_threads_do_not_mix_their_lines(quarantine: Quarantine, tmp_path: Path) -> None:
    lines = [DamagedLine(number, "r", "x" * 200) for number in range(50)]
    threads = [threading.Thread(target=quarantine.add, args=(Mode.VN, str(name), lines, SEEN_AT)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = rows_in(tmp_path / "vn" / "quarantine.csv")
    assert rows[0] == HEADER
    assert len(rows) == 1 + 6 * 50
    for first in range(1, len(rows), 50):
        assert len({row[1] for row in rows[first : first + 50]}) == 1


def test_it_waits_for_another_process_but_not_for_ever(
    quarantine: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quarantine.add(Mode.VN, "VCB", [LINE], SEEN_AT)
    path = tmp_path / "vn" / "quarantine.csv"
    monkeypatch.setattr(module, "LOCK_TIMEOUT_S", 0.02)
    with open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CsvError, match=r"is locked by another process, for more than 0\.02 s now"):
            quarantine.add(Mode.VN, "VCB", [OTHER], SEEN_AT)
    quarantine.add(Mode.VN, "VCB", [OTHER], SEEN_AT)
    assert len(rows_in(path)) == 3, "what could not be written is not remembered as written"


def test_the_lines_are_on_disk_when_it_returns(
    quarantine: Quarantine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []
    monkeypatch.setattr(
        os, "fsync", lambda descriptor: synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
    )
    quarantine.add(Mode.VN, "VCB", [LINE], SEEN_AT)
    assert synced == [str(tmp_path), str(tmp_path / "vn" / "quarantine.csv"), str(tmp_path / "vn")]


# The same bad line comes again with every poll


@pytest.mark.parametrize(
    ("source", "line", "at", "is_new"),
    [
        ("VCI", LINE, SEEN_AT, False),
        ("VCI", LINE, SEEN_AT + timedelta(hours=18), False),
        ("VCI", LINE, SEEN_AT + timedelta(hours=20), True),
        ("VCI", OTHER, SEEN_AT, True),
        ("VCI", DamagedLine(3, "6 fields", LINE.text), SEEN_AT, True),
        ("VCI", DamagedLine(3, LINE.reason, "VCB,2024-01-02,1,1,1,,5"), SEEN_AT, True),
        ("VCB/1D.csv", LINE, SEEN_AT, True),
    ],
)
def test_a_line_is_kept_once_a_day(
    settings: Settings, source: str, line: DamagedLine, at: datetime, is_new: bool
) -> None:
    Quarantine(settings).add(Mode.VN, "VCI", [LINE], SEEN_AT)
    Quarantine(settings).add(Mode.VN, source, [line], at)
    assert len(rows_in(Quarantine(settings).path(Mode.VN))) == 2 + is_new


def test_of_some_lines_only_the_new_ones_are_added(quarantine: Quarantine) -> None:
    quarantine.add(Mode.VN, "VCI", [LINE], SEEN_AT)
    quarantine.add(Mode.VN, "VCI", [LINE, OTHER], SEEN_AT)
    assert [row[2] for row in rows_in(quarantine.path(Mode.VN))] == ["line", "3", "4"]


def test_a_file_that_somebody_took_away_or_cut_short_is_written_anew(quarantine: Quarantine) -> None:
    path = quarantine.path(Mode.VN)
    for spoil in (path.unlink, lambda: os.truncate(path, 20), lambda: path.replace(f"{path}.read")):
        quarantine.add(Mode.VN, "VCI", [LINE], SEEN_AT)
        assert len(rows_in(path)) == 2
        spoil()
    quarantine.add(Mode.VN, "VCI", [LINE], SEEN_AT)
    assert len(rows_in(path)) == 2


def test_the_memory_is_bounded(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_memory", module._Memory(most=3))
    quarantine, lines = Quarantine(settings), [DamagedLine(number, "r", "t") for number in range(1, 6)]
    quarantine.add(Mode.VN, "VCI", lines, SEEN_AT)
    quarantine.add(Mode.VN, "VCI", lines, SEEN_AT)
    assert [row[2] for row in rows_in(quarantine.path(Mode.VN))[1:]] == ["1", "2", "3", "4", "5", "1", "2"]


def test_the_summary_counts_the_reasons_without_what_they_quote(quarantine: Quarantine) -> None:
    assert quarantine.summary(Mode.VN) == {}
    reasons = ["close '' is not a number", "close 'x' is not a number", "6 fields, a row has 20"]
    lines = [DamagedLine(number, reason, "a,\0b") for number, reason in enumerate(reasons)]
    quarantine.add(Mode.VN, "VCI", lines, SEEN_AT)
    assert quarantine.summary(Mode.VN) == {"close ... is not a number": 2, "6 fields, a row has 20": 1}
    assert quarantine.summary(Mode.CRYPTO) == {}


def test_others_may_not_open_it(quarantine: Quarantine) -> None:
    """Whoever may read it can take its lock, and no series with a damaged line would be saved."""
    path, before = quarantine.path(Mode.VN), os.umask(0)
    try:
        quarantine.add(Mode.VN, "VCB/1D.csv", [LINE], SEEN_AT)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o644)
        quarantine.add(Mode.VN, "VCB/1D.csv", [OTHER], SEEN_AT)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
    finally:
        os.umask(before)
