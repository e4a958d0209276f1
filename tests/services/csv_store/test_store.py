"""The tree of CSV files: what is read, what is written, what crashes and neighbours cannot break."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stockapi.config import Settings
from stockapi.errors import CsvError, QueryError
from stockapi.formats.csv_format import HEADER, format_rows
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.csv_store import CsvStore, Recovery, journal
from stockapi.services.csv_store import store as module
from stockapi.services.csv_store.row_search import CanonicalRows
from stockapi.services.durable import locked
from tests.support import csv_writer_process as writer
from tests.support.csv_bars import DAY, START, flat_bars, times
from tests.support.csv_writer_process import (
    CUTOFF,
    HOURS,
    KEPT,
    MINUTES,
    NEW,
    NEW_HOURS,
    NEW_TAIL,
    OLD,
    OLD_HOURS,
    THIRD,
    text_of,
)
from tests.support.server import ROOT

VN = Mode.VN
DAYS = SeriesKey(VN, "VCB", Interval.DAILY)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_mapping({"MARKET_DATA_DIR": str(tmp_path / "vn"), "CRYPTO_DATA_DIR": str(tmp_path / "crypto")})


@pytest.fixture
def store(settings: Settings) -> CsvStore:
    return CsvStore(settings)


def put(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def files_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


# Paths


@pytest.mark.parametrize(
    ("mode", "interval", "expected"),
    [
        (Mode.VN, Interval.DAILY, "vn/VCB/1D.csv"),
        (Mode.VN, Interval.HOURLY, "vn/VCB/1H.csv"),
        (Mode.CRYPTO, Interval.MINUTE, "crypto/VCB/1m.csv"),
    ],
)
def test_path(store: CsvStore, tmp_path: Path, mode: Mode, interval: Interval, expected: str) -> None:
    assert store.path(SeriesKey(mode, "VCB", interval)) == tmp_path / expected


@pytest.mark.parametrize("ticker", ["..", "../VCB", "A/B", "vcb", "", "A\0", "VCB\n", ".A", "A" * 21])
def test_only_symbols_become_paths(store: CsvStore, ticker: str) -> None:
    for call in (store.path, store.read, store.stamp):
        with pytest.raises(QueryError, match="is not allowed; a symbol is"):
            call(SeriesKey(VN, ticker, Interval.DAILY))
    with pytest.raises(QueryError):
        store.write(SeriesKey(VN, ticker, Interval.DAILY), flat_bars([START]))


@pytest.mark.parametrize("linked", ["directory", "file", "file of the older name"])
def test_a_link_that_leads_outside_is_refused(store: CsvStore, tmp_path: Path, linked: str) -> None:
    outside = put(tmp_path / "outside" / "1H.csv", text_of(OLD_HOURS, Interval.HOURLY))
    directory = tmp_path / "vn" / "VCB"
    if linked == "directory":
        directory.parent.mkdir()
        directory.symlink_to(outside.parent)
    else:
        directory.mkdir(parents=True)
        (directory / ("1H.csv" if linked == "file" else "1h.csv")).symlink_to(outside)
    with pytest.raises(CsvError, match="leads out of"):
        store.read(HOURS)
    if linked == "directory":
        assert store.tickers(VN) == []
        with pytest.raises(CsvError, match="leads out of"):
            store.write(HOURS, NEW_HOURS)
        assert outside.read_bytes() == text_of(OLD_HOURS, Interval.HOURLY)


@pytest.mark.parametrize("linked", ["directory", "file", "file of another interval"])
def test_a_link_to_another_series_is_refused(store: CsvStore, tmp_path: Path, linked: str) -> None:
    """The two would overwrite each other at each cycle."""
    store.write(DAYS, flat_bars([START]))
    other = SeriesKey(VN, "FPT", Interval.HOURLY if linked == "file of another interval" else Interval.DAILY)
    directory = tmp_path / "vn" / "FPT"
    if linked == "directory":
        directory.symlink_to("VCB")
    else:
        directory.mkdir()
        (directory / f"{other.interval.value}.csv").symlink_to("../VCB/1D.csv")
    before = store.path(DAYS).read_bytes()
    for call in (store.path, store.read, store.stamp, lambda key: store.write(key, flat_bars([START, START + DAY]))):
        with pytest.raises(CsvError, match="which is not its own; allowed: a path that ends in FPT/"):
            call(other)
    assert store.path(DAYS).read_bytes() == before
    assert store.is_within_reach(VN, "FPT") is (linked != "directory")
    assert store.is_within_reach(VN, "VCB")


def test_a_ticker_may_be_on_another_disk_under_its_own_name(store: CsvStore, tmp_path: Path) -> None:
    (tmp_path / "vn" / ".disk" / "VCB").mkdir(parents=True)
    (tmp_path / "vn" / "VCB").symlink_to(".disk/VCB")
    store.write(DAYS, flat_bars([START]))
    assert (tmp_path / "vn" / ".disk" / "VCB" / "1D.csv").exists()
    assert store.is_within_reach(VN, "VCB")


def test_a_second_name_of_a_file_keeps_the_bytes_that_it_has(store: CsvStore, tmp_path: Path) -> None:
    """As `cp -al` makes it: a tail is written in place otherwise."""
    store.write_tail(MINUTES, flat_bars([START, START + 60]), START)
    (copy := tmp_path / "copy.csv").hardlink_to(store.path(MINUTES))
    before = copy.read_bytes()
    store.write_tail(MINUTES, flat_bars([START + 60, START + 120]), START + 60)
    assert copy.read_bytes() == before
    assert len(store.read(MINUTES).bars) == 3
    assert not journal.journal_path(store.path(MINUTES)).exists()


def test_the_data_directory_itself_may_be_a_link(store: CsvStore, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "vn").symlink_to(tmp_path / "disk")
    store.write(DAYS, flat_bars([START]))
    assert store.tickers(VN) == ["VCB"]
    assert (tmp_path / "disk" / "VCB" / "1D.csv").exists()


def test_tickers_are_the_directories_with_a_known_file(store: CsvStore, tmp_path: Path) -> None:
    assert store.tickers(VN) == []
    for name in ("VIC/1m.csv", "AAA/1h.csv", "B.1/1D.csv", "vcb/1D.csv", "EMPTY/notes.txt", "1D.csv", "quarantine.csv"):
        put(tmp_path / "vn" / name, "")
    (tmp_path / "vn" / "NONE").mkdir()
    assert store.tickers(VN) == ["AAA", "B.1", "VIC"]
    assert store.tickers(VN, besides={"B.1", "XYZ"}) == ["AAA", "VIC"]
    assert store.tickers(Mode.CRYPTO) == []


def test_a_new_ticker_is_seen_at_once_and_one_that_is_gone_no_more(store: CsvStore, tmp_path: Path) -> None:
    for interval in Interval:
        store.write(SeriesKey(VN, "VCB", interval), flat_bars([START]))
        assert store.tickers(VN) == ["VCB"]
        store.path(SeriesKey(VN, "VCB", interval)).unlink()
        assert store.tickers(VN) == []


@pytest.mark.parametrize(
    ("target", "expected"),
    [("vn/VCB", ["LINK", "VCB"]), ("vn/LINK", ["LINK", "VCB"]), ("gone", ["VCB"]), ("file", ["VCB"])],
)
def test_a_link_to_a_directory_inside_is_a_ticker_of_its_own(
    store: CsvStore, tmp_path: Path, target: str, expected: list[str]
) -> None:
    store.write(DAYS, flat_bars([START]))
    put(tmp_path / "file", "")
    (tmp_path / "vn" / "LINK").symlink_to(tmp_path / target)
    assert store.tickers(VN) == expected


def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(store: CsvStore, tmp_path: Path) -> None:
    put(tmp_path / "vn", "")
    with pytest.raises(CsvError, match="Not a directory"):
        store.tickers(VN)
    (tmp_path / "vn").unlink()
    (tmp_path / "vn").symlink_to(tmp_path / "vn")
    with pytest.raises(CsvError, match="symbolic links"):
        store.tickers(VN)


def test_tickers_that_are_known_already_are_not_looked_at(
    store: CsvStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ticker in ("AAA", "BBB"):
        store.write(SeriesKey(VN, ticker, Interval.MINUTE), flat_bars([START]))
    looked_at, lstat = [], os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: (looked_at.append(Path(path).parent.name), lstat(path))[1])
    assert store.tickers(VN, besides={"AAA"}) == ["BBB"]
    assert set(looked_at) == {"BBB"}


# Reading and writing


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("interval", Interval)
def test_what_is_written_is_read(store: CsvStore, mode: Mode, interval: Interval) -> None:
    bars = flat_bars(times(30, interval), 10.0, mode)
    size = store.write(SeriesKey(mode, "X", interval), bars)
    assert size == store.path(SeriesKey(mode, "X", interval)).stat().st_size
    assert store.read(SeriesKey(mode, "X", interval)).bars.equals(bars)


def test_the_file_is_the_contract_s(store: CsvStore) -> None:
    bars = flat_bars([START, START + DAY])
    store.write(DAYS, bars)
    assert store.path(DAYS).read_text() == f"{HEADER}\n{format_rows(SeriesKey(VN, 'VCB', Interval.DAILY), bars)}"
    assert files_in(store.path(DAYS).parent) == ["1D.csv"]


def test_a_file_that_is_not_there_has_no_bars(store: CsvStore) -> None:
    for bounds in ({}, {"limit": 5}, {"start": START}):
        parsed = store.read(DAYS, Window(**bounds))
        assert (len(parsed.bars), parsed.damaged) == (0, [])
    assert store.stamp(DAYS) == ""


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, range(10)),
        ({"start": START + 3 * DAY}, range(3, 10)),
        ({"start": START + 3 * DAY + 1}, range(4, 10)),
        ({"end": START + 3 * DAY}, range(4)),
        ({"end": START + 3 * DAY - 1}, range(3)),
        ({"start": START + 2 * DAY, "end": START + 4 * DAY}, range(2, 5)),
        ({"limit": 4}, range(6, 10)),
        ({"limit": 400}, range(10)),
        ({"limit": 10**30}, range(10)),
        ({"end": START + 5 * DAY, "limit": 2}, range(4, 6)),
        ({"start": START + 5 * DAY, "end": START + 4 * DAY}, range(0)),
        ({"start": -(10**15)}, range(10)),
        ({"start": 10**15}, range(0)),
        ({"end": 10**15, "limit": 1}, range(9, 10)),
        ({"end": -(10**15)}, range(0)),
        ({"start": START + 5 * DAY, "warmup": 3}, range(2, 10)),
        ({"start": START + 5 * DAY, "end": START + 6 * DAY, "warmup": 30}, range(7)),
        ({"start": START + 5 * DAY, "limit": 2, "warmup": 1}, range(7, 10)),
        ({"limit": 2, "warmup": 3}, range(5, 10)),
        ({"start": 10**15, "warmup": 3}, range(0)),
    ],
)
@pytest.mark.parametrize("ending", ["", "\r\n"], ids=["as written", "edited by hand"])
def test_windows(store: CsvStore, bounds: dict[str, int], expected: range, ending: str) -> None:
    bars = flat_bars(times(10, Interval.DAILY))
    store.write(DAYS, bars)
    path = store.path(DAYS)
    path.write_bytes(path.read_bytes() + ending.encode())
    assert store.read(DAYS, Window(**bounds)).bars.equals(bars.take(slice(expected.start, expected.stop)))


def test_a_damaged_row_in_the_window_is_reported_by_its_line_in_the_file(store: CsvStore) -> None:
    store.write(DAYS, flat_bars(times(10, Interval.DAILY)))
    path = store.path(DAYS)
    path.write_text(path.read_text().replace("VCB,2024-01-08,10.00", "VCB,2024-01-08,-1.00"))
    parsed = store.read(DAYS, Window(limit=4))
    assert [(line.number, line.reason) for line in parsed.damaged] == [(9, "open '-1.00' is negative")]
    assert ((parsed.bars.time - START) // DAY).tolist() == [5, 6, 8, 9]
    assert store.read(DAYS, Window(limit=2)).damaged == []


def test_bytes_that_are_no_text_damage_their_line(store: CsvStore) -> None:
    store.write(DAYS, flat_bars(times(3, Interval.DAILY)))
    path = store.path(DAYS)
    path.write_bytes(path.read_bytes().replace(b"VCB,2024-01-02,", b"VCB,\xff\xfe\x00-01-02,"))
    parsed = store.read(DAYS)
    assert [line.number for line in parsed.damaged] == [3]
    assert len(parsed.bars) == 2


def test_the_older_hourly_name_is_read_and_replaced_by_the_first_write(store: CsvStore) -> None:
    old = put(store.path(HOURS).with_name("1h.csv"), text_of(OLD_HOURS, Interval.HOURLY))
    assert store.read(HOURS).bars.equals(OLD_HOURS)
    assert store.read(HOURS, Window(limit=2)).bars.equals(OLD_HOURS.tail(2))
    assert store.stamp(HOURS) != ""
    added = flat_bars(times(2, Interval.HOURLY, int(OLD_HOURS.time[-1])), 7.0)
    store.write_tail(HOURS, added, int(added.time[0]))
    assert files_in(old.parent) == ["1H.csv"]
    assert store.read(HOURS).bars.equals(OLD_HOURS.merge(added))


def test_a_reader_that_comes_while_the_name_changes_finds_the_new_file(
    store: CsvStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = put(store.path(HOURS).with_name("1h.csv"), text_of(OLD_HOURS, Interval.HOURLY))
    real = journal.opened

    def change_the_name_first(path: Path) -> Any:
        if path == old and old.exists():
            store.write(HOURS, NEW_HOURS)
        return real(path)

    monkeypatch.setattr(journal, "opened", change_the_name_first)
    assert store.read(HOURS).bars.equals(NEW_HOURS)


def test_the_newer_hourly_name_wins_and_the_older_file_is_left_alone(store: CsvStore) -> None:
    store.write(HOURS, NEW_HOURS)
    put(store.path(HOURS).with_name("1h.csv"), text_of(OLD_HOURS, Interval.HOURLY))
    store.write(HOURS, NEW_HOURS)
    assert store.read(HOURS).bars.equals(NEW_HOURS)
    assert files_in(store.path(HOURS).parent) == ["1H.csv", "1h.csv"]


@pytest.mark.parametrize(
    "bars",
    [
        pytest.param(flat_bars([START, START]), id="equal times"),
        pytest.param(flat_bars([START + DAY, START]), id="falling times"),
        pytest.param(flat_bars([START + 60]), id="a day that is no midnight"),
        pytest.param(flat_bars([253_402_300_800]), id="year 10000"),
        pytest.param(flat_bars([START], -1.0), id="negative"),
        pytest.param(Bars.of(np.array([START]), np.full((4, 1), np.nan), np.array([1])), id="NaN"),
        pytest.param(Bars.of(np.array([START]), np.full((4, 1), np.inf), np.array([1])), id="infinite"),
        pytest.param(Bars.of(np.array([START]), np.ones((4, 1)), np.array([np.inf])), id="infinite volume"),
        pytest.param(
            Bars.of(np.array([START]), np.ones((4, 1)), np.array([1]), np.full((13, 1), np.inf)),
            id="infinite indicator",
        ),
    ],
)
def test_what_could_not_be_read_back_is_not_written(store: CsvStore, bars: Bars) -> None:
    store.write(DAYS, flat_bars([START], 5.0))
    with pytest.raises(CsvError, match="cannot be stored"):
        store.write(DAYS, bars)
    with pytest.raises(CsvError, match="cannot be stored"):
        store.write_tail(DAYS, bars, 0)
    assert store.read(DAYS).bars.equals(flat_bars([START], 5.0))


# Replacing the tail


@pytest.mark.parametrize("first", [0, 1, 60, 79, 80, 90])
def test_write_tail_replaces_the_rows_from_the_cutoff_on(store: CsvStore, first: int) -> None:
    store.write(MINUTES, OLD)
    tail = flat_bars(writer.TIMES[first:], 2.0)
    store.write_tail(MINUTES, tail, int(tail.time[0]))
    expected = OLD.take(slice(first)).merge(tail)
    assert store.read(MINUTES).bars.equals(expected)
    assert store.read(MINUTES, Window(limit=15)).bars.equals(expected.tail(15))
    assert store.path(MINUTES).read_bytes() == text_of(expected)
    assert files_in(store.path(MINUTES).parent) == ["1m.csv"]


def test_a_shorter_tail_leaves_nothing_of_the_longer_one(store: CsvStore) -> None:
    store.write(MINUTES, flat_bars(OLD.time, 123_456.0))
    store.write_tail(MINUTES, flat_bars(OLD.time[40:], 1.0), int(OLD.time[40]))
    assert store.path(MINUTES).read_bytes().endswith(text_of(flat_bars(OLD.time[40:], 1.0))[len(HEADER) :])


def test_write_tail_moves_bytes_in_proportion_to_the_tail(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    long = flat_bars(times(20_000))
    store.write(MINUTES, long)
    inode = store.path(MINUTES).stat().st_ino
    sizes = []
    real = journal.replace_file
    monkeypatch.setattr(journal, "replace_file", lambda path, data: (sizes.append(len(data)), real(path, data)))
    tail = flat_bars(long.time[-5:], 2.0)
    size = store.write_tail(MINUTES, tail, int(tail.time[0]))
    assert size == len(format_rows(SeriesKey(VN, "VCB", Interval.MINUTE), tail))
    assert sizes == [pytest.approx(size, abs=150)]
    assert store.path(MINUTES).stat().st_ino == inode


def test_the_same_tail_again_writes_nothing(store: CsvStore) -> None:
    store.write(MINUTES, NEW)
    stamp = store.stamp(MINUTES)
    assert store.write_tail(MINUTES, NEW_TAIL, CUTOFF) == 0
    assert store.stamp(MINUTES) == stamp


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda data: None, id="no file"),
        pytest.param(lambda data: b"", id="empty"),
        pytest.param(lambda data: data.replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(lambda data: b"\xef\xbb\xbf" + data, id="byte order mark"),
        pytest.param(lambda data: data.rstrip(b"\n"), id="no final newline"),
        pytest.param(lambda data: data[:-30], id="torn last line"),
        pytest.param(lambda data: data + data.splitlines(keepends=True)[5], id="unsorted, with a duplicate"),
        pytest.param(lambda data: data.replace(b"T00:07:00", b" 00:07:00"), id="a space in a time"),
        pytest.param(lambda data: data + b"\n", id="blank line"),
        pytest.param(
            lambda data: b"\n".join(b",".join(line.split(b",")[:7]) for line in data.split(b"\n")), id="seven columns"
        ),
    ],
)
def test_write_tail_rewrites_a_file_that_is_not_as_this_store_writes_it(
    store: CsvStore, damage: Callable[[bytes], bytes | None]
) -> None:
    data = damage(text_of(OLD))
    if data is not None:
        put(store.path(MINUTES), data)
    before = store.read(MINUTES).bars
    store.write_tail(MINUTES, NEW_TAIL, CUTOFF)
    expected = before.between(None, CUTOFF - 1).merge(NEW_TAIL)
    assert store.path(MINUTES).read_bytes() == text_of(expected)
    assert len(expected) == (KEPT if data else 0) + len(NEW_TAIL)


@pytest.mark.parametrize("ending", ["", "\n"], ids=["in place", "rewritten"])
def test_write_tail_loses_no_bar(store: CsvStore, ending: str) -> None:
    put(store.path(MINUTES), text_of(OLD) + ending.encode())
    before = store.path(MINUTES).read_bytes()
    with pytest.raises(CsvError, match="3 stored bars, the first at 1704071160, would be lost"):
        store.write_tail(MINUTES, flat_bars(np.delete(OLD.time[KEPT:], [6, -1, -2]), 2.0), CUTOFF)
    with pytest.raises(CsvError, match="20 stored bars"):
        store.write_tail(MINUTES, OLD.take(slice(0)), CUTOFF)
    assert store.path(MINUTES).read_bytes() == before


def test_write_tail_of_nothing(store: CsvStore) -> None:
    assert store.write_tail(MINUTES, OLD.take(slice(0)), CUTOFF) == 0
    assert not store.path(MINUTES).exists()
    store.write(MINUTES, OLD)
    assert store.write_tail(MINUTES, OLD.take(slice(0)), CUTOFF + DAY) == 0


def test_write_tail_takes_no_bars_before_the_cutoff(store: CsvStore) -> None:
    with pytest.raises(CsvError, match="cannot replace"):
        store.write_tail(MINUTES, NEW_TAIL, CUTOFF + 1)


def test_the_writer_does_not_look_through_its_own_files(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(MINUTES, OLD)
    monkeypatch.setattr(CanonicalRows, "are_canonical", lambda rows: pytest.fail("looked through"))
    for price in (2.0, 3.0):
        store.write_tail(MINUTES, flat_bars(NEW_TAIL.time, price), CUTOFF)
        assert store.read(MINUTES, Window(limit=1)).bars.close.tolist() == [price]


def test_write_tail_sees_what_another_process_has_written(store: CsvStore, settings: Settings) -> None:
    store.write(MINUTES, OLD)
    CsvStore(settings).write(MINUTES, NEW.take(slice(70)))
    store.write_tail(MINUTES, flat_bars(NEW.time[65:], 4.0), int(NEW.time[65]))
    assert store.read(MINUTES).bars.equals(NEW.take(slice(65)).merge(flat_bars(NEW.time[65:], 4.0)))


# Stamps and marks


def test_every_change_of_a_file_changes_its_stamp(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # as fast as can be
    stamps = [store.stamp(MINUTES)]
    store.write(MINUTES, OLD)
    stamps.append(store.stamp(MINUTES))
    for number in range(20):  # of the same size, within a tick of the kernel's clock
        store.write_tail(MINUTES, flat_bars(OLD.time[KEPT:], 2.0 + number % 8), CUTOFF)
        stamps.append(store.stamp(MINUTES))
    store.write(MINUTES, OLD)
    stamps.append(store.stamp(MINUTES))
    assert len(set(stamps)) == len(stamps)
    assert store.stamp(MINUTES) == stamps[-1]


def test_a_journal_over_a_file_changes_its_stamp(tmp_path: Path) -> None:
    writer.prepare_torn_with_journal(tmp_path)
    store = writer.store_in(tmp_path)
    before = store.stamp(MINUTES)
    journal.journal_path(store.path(MINUTES)).unlink()
    assert store.stamp(MINUTES) != before


# Crashes: a child process is killed before each of its steps in turn


def run_writer(kind: str, action: str, directory: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, writer.__file__, kind, action, str(directory)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)})


def states_after_crashes(action: str, directory: Path, known: dict[str, Bars], key: Any = MINUTES) -> list[str]:
    """What readers find after each crash, by name; "torn" when it is none of the known."""
    assert run_writer("crash", action, directory).wait() == 0
    return [state_of(writer.store_in(each), known, key) for each in sorted(directory.iterdir())]


def state_of(store: CsvStore, known: dict[str, Bars], key: Any) -> str:
    parsed = store.read(key)
    state = next((name for name, bars in known.items() if bars.equals(parsed.bars) and not parsed.damaged), "torn")
    if state == "torn":
        return state
    assert store.read(key, Window(limit=7)).bars.equals(known[state].tail(7))
    assert store.read(key, Window(start=CUTOFF)).bars.equals(known[state].between(CUTOFF, None))
    stamp = store.stamp(key)
    store.recover(VN)
    assert store.read(key).bars.equals(known[state]), "recovering changed what readers see"
    assert store.recover(VN) == Recovery(0, 0)
    assert (store.stamp(key) == "") == (stamp == "")
    directory = store.path(key).parent
    assert not directory.exists() or {".csv"} >= {path.suffix for path in directory.iterdir()}
    return state


@pytest.mark.long
@pytest.mark.parametrize(
    ("action", "known"),
    [
        ("tail", {"old": OLD, "new": NEW}),
        ("whole", {"old": OLD, "new": NEW}),
        ("first", {"old": OLD.take(slice(0)), "new": NEW}),
        ("whole over journal", {"old": NEW, "new": THIRD}),
    ],
)
def test_a_crash_leaves_the_old_or_the_new(tmp_path: Path, action: str, known: dict[str, Bars]) -> None:
    states = states_after_crashes(action, tmp_path, known)
    assert states == sorted(states, reverse=True), "once new, always new"
    assert set(states) == {"old", "new"}


@pytest.mark.long
def test_a_crash_in_recovery_is_recovered_from(tmp_path: Path) -> None:
    assert set(states_after_crashes("recover", tmp_path, {"new": NEW})) == {"new"}


def test_a_crash_between_the_hourly_names_loses_neither(tmp_path: Path) -> None:
    known = {"old": OLD_HOURS, "new": NEW_HOURS}
    assert set(states_after_crashes("old name", tmp_path, known, HOURS)) == {"old", "new"}


@pytest.mark.long
@pytest.mark.parametrize("action", ["tail in place", "whole in place"])
def test_without_journal_or_rename_a_crash_does_tear(tmp_path: Path, action: str) -> None:
    assert "torn" in states_after_crashes(action, tmp_path, {"old": OLD, "new": NEW})


def test_recovery_counts_what_it_finds(tmp_path: Path) -> None:
    writer.prepare_torn_with_journal(tmp_path)
    store = writer.store_in(tmp_path)
    directory = store.path(MINUTES).parent
    put(directory / ".1m.csv.1-2.tmp", "x")
    put(directory / ".1D.journal", "no journal")
    put(directory.parent / ".names.json.1-2.tmp", "x")
    assert store.recover(VN) == Recovery(journals_finished=1, temp_files_removed=3)
    assert not list(directory.parent.glob(".names.json*"))
    assert files_in(directory) == ["1m.csv"]
    assert store.path(MINUTES).read_bytes() == text_of(NEW)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda journal: journal[:-1], id="cut"),
        pytest.param(lambda journal: journal.replace(b",2.00", b",3.00", 1), id="changed"),
        pytest.param(lambda journal: b"", id="empty"),
    ],
)
def test_a_damaged_journal_is_ignored_and_removed(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    writer.prepare_torn_with_journal(tmp_path)
    store = writer.store_in(tmp_path)
    path = store.path(MINUTES)
    leftover = journal.journal_path(path)
    leftover.write_bytes(spoil(leftover.read_bytes()))
    data = path.read_bytes()
    assert len(store.read(MINUTES).bars) == len(data.splitlines()) - 2
    assert store.recover(VN) == Recovery(0, 1)
    assert (path.read_bytes(), leftover.exists()) == (data, False)


def test_a_directory_that_cannot_be_removed_stays_and_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Another disk is mounted at it. The deletion is done all the same, or each start of a writer would repeat it."""
    store = writer.store_in(tmp_path)
    store.write(MINUTES, flat_bars(times(3)))

    def busy(path: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr(Path, "rmdir", busy)
    store.remove(MINUTES)
    assert len(store.read(MINUTES).bars) == 0
    assert store.tickers(VN) == []
    assert "stays, and is empty: Device or resource busy" in caplog.text


def test_a_journal_is_not_applied_to_the_file_that_came_after(tmp_path: Path) -> None:
    writer.prepare_torn_with_journal(tmp_path)
    store = writer.store_in(tmp_path)
    path = store.path(MINUTES)
    newer = put(path.with_name("copy"), text_of(THIRD))
    newer.replace(path)
    assert store.read(MINUTES).bars.equals(THIRD)
    store.write_tail(MINUTES, flat_bars(THIRD.time[90:], 4.0), int(THIRD.time[90]))
    assert store.read(MINUTES).bars.equals(THIRD.take(slice(90)).merge(flat_bars(THIRD.time[90:], 4.0)))


def test_a_rewrite_leaves_no_journal_behind(tmp_path: Path) -> None:
    """Its file is gone, but the number of its inode may come again."""
    writer.prepare_torn_with_journal(tmp_path)
    store = writer.store_in(tmp_path)
    store.write(MINUTES, THIRD)
    assert files_in(store.path(MINUTES).parent) == ["1m.csv"]
    assert store.path(MINUTES).read_bytes() == text_of(THIRD)


def test_the_next_write_finishes_the_journal_first(tmp_path: Path) -> None:
    writer.prepare_torn_with_journal(tmp_path)
    store = writer.store_in(tmp_path)
    last = flat_bars(NEW.time[-1:], 5.0)
    store.write_tail(MINUTES, last, int(last.time[0]))
    assert store.read(MINUTES).bars.equals(NEW.merge(last))


# Durability: the order in which things reach the disk


@pytest.fixture
def disk_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was synced, renamed, moved and removed, in order. Temporary names without their number."""
    log: list[str] = []

    def name_of(path: object) -> str:
        return Path(str(path)).name.split(".csv.")[0].split(".journal.")[0]

    def logged(name: str, describe: Callable[..., str]) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            log.append(f"{name} {describe(*args)}")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    logged("fsync", lambda descriptor: name_of(Path(f"/proc/self/fd/{descriptor}").readlink()))
    logged("replace", lambda source, target: f"{name_of(source)} -> {name_of(target)}")
    logged("unlink", lambda path, **_: name_of(path))
    logged("mkdir", lambda path, *_: name_of(path))
    logged("pwrite", lambda descriptor, *_: name_of(Path(f"/proc/self/fd/{descriptor}").readlink()))
    return log


def test_a_new_series_is_durable_up_to_the_data_directory(store: CsvStore, disk_log: list[str], tmp_path: Path) -> None:
    store.write(DAYS, flat_bars([START]))
    assert disk_log == [
        *("mkdir vn", f"fsync {tmp_path.name}", "mkdir VCB", "fsync vn"),
        *("fsync .1D", "replace .1D -> 1D.csv", "fsync VCB", "fsync vn"),
    ]


def test_a_rewrite_syncs_file_then_name(store: CsvStore, disk_log: list[str]) -> None:
    store.write(DAYS, flat_bars([START]))
    disk_log.clear()
    store.write(DAYS, flat_bars([START], 2.0))
    assert disk_log == ["fsync .1D", "replace .1D -> 1D.csv", "fsync VCB"]


def test_a_tail_moves_only_once_its_journal_is_durable(store: CsvStore, disk_log: list[str]) -> None:
    store.write(MINUTES, OLD)
    disk_log.clear()
    store.write_tail(MINUTES, NEW_TAIL, CUTOFF)
    assert disk_log == [
        *("fsync ..1m", "replace ..1m -> .1m.journal", "fsync VCB"),
        *("pwrite 1m.csv", "fsync 1m.csv", "unlink .1m.journal"),
    ]


def test_the_older_name_goes_after_the_newer_one_is_durable(store: CsvStore, disk_log: list[str]) -> None:
    put(store.path(HOURS).with_name("1h.csv"), text_of(OLD_HOURS, Interval.HOURLY))
    store.write(HOURS, NEW_HOURS)
    assert disk_log.index("fsync VCB") < disk_log.index("unlink 1h.csv")


# Disk full


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The kernel's own refusal, as near as a test gets to a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_old_file_and_nothing_else(store: CsvStore) -> None:
    store.write(MINUTES, OLD)
    with no_file_larger_than(5_000), pytest.raises(CsvError) as caught:
        store.write(MINUTES, NEW)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert store.path(MINUTES).read_bytes() == text_of(OLD)
    assert files_in(store.path(MINUTES).parent) == ["1m.csv"]


def test_a_disk_full_before_the_journal_changes_nothing(store: CsvStore) -> None:
    store.write(MINUTES, OLD)
    with no_file_larger_than(1_000), pytest.raises(CsvError):
        store.write_tail(MINUTES, NEW_TAIL, CUTOFF)
    assert store.path(MINUTES).read_bytes() == text_of(OLD)
    assert files_in(store.path(MINUTES).parent) == ["1m.csv"]


def test_a_disk_full_behind_the_journal_loses_nothing(store: CsvStore) -> None:
    store.write(MINUTES, OLD)
    with no_file_larger_than(len(text_of(OLD)) + 100), pytest.raises(CsvError):
        store.write_tail(MINUTES, NEW_TAIL, CUTOFF)
    assert store.read(MINUTES).bars.equals(NEW)
    assert store.recover(VN) == Recovery(1, 0)
    assert store.path(MINUTES).read_bytes() == text_of(NEW)


def test_errors_of_the_system_keep_their_cause(store: CsvStore, tmp_path: Path) -> None:
    (tmp_path / "vn").mkdir()
    put(tmp_path / "vn" / "VCB", "a file where a directory should be")
    for call in (store.read, store.stamp):
        with pytest.raises(CsvError, match=r"1D\.csv: ") as caught:
            call(DAYS)
        assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(CsvError):
        store.write(DAYS, flat_bars([START]))


# Readers beside a writer


def reader_sees(directory: Path, action: str) -> tuple[int, int]:
    """(consistent, torn) reads by three threads while another process writes."""
    writer.prepare_old(directory)
    process = run_writer("stream", action, directory)
    seen: list[bool] = []

    def read() -> None:
        store = writer.store_in(directory)
        while process.poll() is None:
            for first, bounds in ((KEPT, {}), (0, {"start": CUTOFF})):
                try:
                    parsed = store.read(MINUTES, Window(**bounds))
                    seen.append(not parsed.damaged and is_consistent(parsed.bars.close[first:]))
                except CsvError:  # a file cut off while it is read
                    seen.append(False)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert process.wait() == 0
    return sum(seen), len(seen) - sum(seen)


def is_consistent(closes: np.ndarray) -> bool:
    """As one write left it: number i makes 20 + i rows that say i; before the first there were 20 that say 1."""
    numbers = set(closes.tolist())
    return len(numbers) == 1 and len(closes) == {1.0: 20}.get(closes[0], 20 + closes[0])


@pytest.mark.long
def test_readers_never_see_half_a_write(tmp_path: Path) -> None:
    consistent, torn = reader_sees(tmp_path, "tail")
    assert torn == 0
    assert consistent > 50
    assert len(writer.store_in(tmp_path).read(MINUTES).bars) == KEPT + 20 + writer.STREAM_WRITES - 1


@pytest.mark.long
def test_readers_beside_a_writer_without_lock_and_journal_do(tmp_path: Path) -> None:
    assert reader_sees(tmp_path, "tail in place")[1] > 0


def test_threads_write_different_tickers_at_once(store: CsvStore) -> None:
    def write(ticker: str) -> None:
        for number in range(1, 6):
            bars = flat_bars(times(5 + number), float(number))
            store.write_tail(SeriesKey(VN, ticker, Interval.MINUTE), bars, START)
            store.write(SeriesKey(VN, ticker, Interval.DAILY), flat_bars(times(number, Interval.DAILY)))

    threads = [threading.Thread(target=write, args=(ticker,)) for ticker in ("AAA", "BBB", "CCC")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ticker in ("AAA", "BBB", "CCC"):
        assert store.read(SeriesKey(VN, ticker, Interval.MINUTE)).bars.equals(flat_bars(times(10), 5.0))
        assert len(store.read(SeriesKey(VN, ticker, Interval.DAILY)).bars) == 5


# A lock that somebody keeps


def test_who_keeps_the_lock_of_a_directory_stops_no_reader(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.write(MINUTES, flat_bars(times(100)))
    monkeypatch.setattr(module, "_READERS_PATIENCE_S", 0.0)
    with locked(store.path(MINUTES).parent, exclusive=True):
        assert len(store.read(MINUTES).bars) == 100
        assert len(store.read(MINUTES, Window(limit=3)).bars) == 3
        assert store.stamp(MINUTES)


def test_a_file_that_moves_meanwhile_is_not_read_without_the_lock(
    store: CsvStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(MINUTES, flat_bars(times(100)))
    path = store.path(MINUTES)
    monkeypatch.setattr(module, "_READERS_PATIENCE_S", 0.0)

    def read_while(change: Callable[[int], object]) -> None:
        with locked(path.parent, exclusive=True), store._reading(MINUTES) as view:
            assert view is not None
            change(view.size)

    def journal_appears(size: int) -> None:
        journal.journal_path(path).write_bytes(journal.Journal.of(path, size, b"").encode())

    for change in (journal_appears, lambda _: os.utime(path, ns=(0, 0))):
        with pytest.raises(CsvError, match="is locked by a writer"):
            read_while(change)
    assert len(store.read(MINUTES).bars) == 100


def test_a_file_too_large_for_memory_is_refused_and_windows_of_it_are_read(
    store: CsvStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(MINUTES, flat_bars(times(100)))
    monkeypatch.setattr(module, "memory_limit_bytes", lambda: 1_000)
    with pytest.raises(CsvError, match="allowed: 250, a part of the memory"):
        store.read(MINUTES)
    assert len(store.read(MINUTES, Window(limit=3)).bars) == 3


def test_running_out_of_memory_is_an_error_of_the_file(store: CsvStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    store.write(MINUTES, flat_bars(times(100)))
    monkeypatch.setattr(module, "_parse", no_memory)
    with pytest.raises(CsvError, match="does not fit into memory"):
        store.read(MINUTES)
