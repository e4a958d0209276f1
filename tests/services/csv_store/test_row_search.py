"""Searching a file by byte offset finds what reading all of it finds."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockapi.config import Settings
from stockapi.formats.csv_format import HEADER, format_rows, parse_rows
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.models.window import Window
from stockapi.services.csv_store import CsvStore, row_search
from stockapi.services.csv_store.journal import FileView, opened
from stockapi.services.csv_store.row_search import CanonicalRows, KnownFiles
from stockapi.services.durable import FileState
from tests.support.csv_bars import DAY, START, flat_bars, rounded, times


@contextmanager
def rows_of(path: Path, interval: Interval = Interval.MINUTE) -> Iterator[CanonicalRows]:
    with opened(path) as view:
        yield CanonicalRows(view, SeriesKey(Mode.VN, "X1", interval))


def text_of(bars: Bars, interval: Interval = Interval.MINUTE) -> str:
    return f"{HEADER}\n{format_rows(SeriesKey(Mode.CRYPTO, 'X1', interval), bars)}"


def uneven_bars(time: list[int]) -> Bars:
    """Rows of very different lengths."""
    volume = np.array([10.0 ** ((7 * position) % 30) for position in range(len(time))])
    bars = flat_bars(time, 1.0, Mode.CRYPTO)
    indicators = bars.indicators.copy()
    indicators[:, ::3] = np.nan
    return rounded(Bars(bars.time, bars.prices * 1e9, volume, indicators), Mode.CRYPTO)


@pytest.fixture(params=["as configured", "tiny"], autouse=True)
def read_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answers, whether one read or many are needed to find a row."""
    if request.param == "tiny":
        monkeypatch.setattr(row_search, "_SCAN_BYTES", 700)
        monkeypatch.setattr(row_search, "_STEP_BYTES", 7)
        monkeypatch.setattr(row_search, "_ROW_BYTES", 3)


# Which files are canonical


@pytest.mark.parametrize("interval", Interval)
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_what_the_writer_writes_is_canonical(tmp_path: Path, interval: Interval, count: int) -> None:
    path = tmp_path / "1m.csv"
    path.write_text(text_of(uneven_bars(times(count, interval).tolist()), interval))
    with rows_of(path, interval) as rows:
        assert rows.are_canonical()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: "", id="empty"),
        pytest.param(lambda text: text[:100], id="half a header"),
        pytest.param(lambda text: text.replace("ma10,", "ma11,", 1), id="another header"),
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text[:-1], id="no final newline"),
        pytest.param(lambda text: text[:-9] + "\n" + text[-9:], id="broken line"),
        pytest.param(lambda text: text + "\n", id="blank line"),
        pytest.param(lambda text: text + text.splitlines()[-1] + "\n", id="duplicate"),
        pytest.param(lambda text: text.replace("X1,2024-01-01T00:20", "X2,2024-01-01T00:20"), id="another ticker"),
        pytest.param(lambda text: text.replace("01-01T00:20", "01-01 00:20"), id="a space in a time"),
        pytest.param(lambda text: text.replace("T00:20:00,", "T00:20:00Z,"), id="longer time"),
        pytest.param(lambda text: text.replace("T00:39:00,", "T00:39:0a,"), id="letter in a time"),
        pytest.param(lambda text: text.replace("T00:39:00,", "T00:39:0/,"), id="sign below the digits"),
        pytest.param(lambda text: text.replace("\nX1,2024-01-01T00:20:00,", "\n"), id="short line"),
    ],
)
def test_anything_else_is_not(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = tmp_path / "1m.csv"
    path.write_bytes(change(text_of(flat_bars(times(40), 1.0, Mode.CRYPTO))).encode())
    with rows_of(path) as rows:
        assert not rows.are_canonical()


@pytest.mark.parametrize("position", range(1, 12))
def test_unsorted_rows_are_noticed_wherever_they_are(tmp_path: Path, position: int) -> None:
    lines = text_of(flat_bars(times(12), 1.0, Mode.CRYPTO)).splitlines(keepends=True)
    lines[position], lines[position + 1] = lines[position + 1], lines[position]
    path = tmp_path / "1m.csv"
    path.write_text("".join(lines))
    with rows_of(path) as rows:
        assert not rows.are_canonical()


def test_a_file_of_days_is_not_one_of_minutes(tmp_path: Path) -> None:
    path = tmp_path / "1m.csv"
    path.write_text(text_of(flat_bars(times(9, Interval.DAILY), 1.0, Mode.CRYPTO), Interval.DAILY))
    with rows_of(path, Interval.MINUTE) as rows:
        assert not rows.are_canonical()


def test_a_file_is_looked_through_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = []
    real = CanonicalRows.are_canonical
    monkeypatch.setattr(CanonicalRows, "are_canonical", lambda rows: (looks.append(1), real(rows))[1])
    known, path = KnownFiles(), tmp_path / "1m.csv"
    text = text_of(flat_bars(times(20), 1.0, Mode.CRYPTO))
    for content, verdict, total in ((text, True, 1), (text[:-1], False, 2), (text, True, 3)):
        path.write_text(content)
        for _ in range(3):
            with rows_of(path) as rows:
                assert known.is_canonical(path, rows) is verdict
        assert len(looks) == total


def test_threads_that_ask_at_once_look_through_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "1m.csv"
    path.write_text(text_of(flat_bars(times(20), 1.0, Mode.CRYPTO)))
    looks, known, together = [], KnownFiles(), threading.Barrier(6)
    real = CanonicalRows.are_canonical

    def slowly(rows: CanonicalRows) -> bool:
        looks.append(1)
        time.sleep(0.1)
        return real(rows)

    monkeypatch.setattr(CanonicalRows, "are_canonical", slowly)

    def ask(_: int) -> bool:
        with rows_of(path) as rows:
            together.wait(10)
            return known.is_canonical(path, rows)

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(ask, range(6))) == [True] * 6
    assert len(looks) == 1


def test_a_check_that_fails_keeps_no_other_thread_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, known = tmp_path / "1m.csv", KnownFiles()
    path.write_text(text_of(flat_bars(times(20), 1.0, Mode.CRYPTO)))
    with monkeypatch.context() as broken, rows_of(path) as rows:
        broken.setattr(CanonicalRows, "are_canonical", None)
        with pytest.raises(TypeError):
            known.is_canonical(path, rows)
    with rows_of(path) as rows:
        assert known.is_canonical(path, rows)


def test_what_is_looked_through_before_a_window_is_found(tmp_path: Path) -> None:
    path, known = tmp_path / "1m.csv", KnownFiles()
    text = text_of(flat_bars(times(20), 1.0, Mode.CRYPTO))
    for content, times_its_size in ((text, 0), (text + "x", 10), (text, 0)):
        path.write_text(content)
        state = FileState.of(path.stat())
        assert known.work_bytes(path, state) == len(content), "nobody has looked at it yet"
        with rows_of(path) as rows:
            known.is_canonical(path, rows)
        assert known.work_bytes(path, state) == len(content) * times_its_size


# Finding rows


@given(
    minutes=st.lists(st.integers(0, 40), max_size=25, unique=True).map(sorted),
    start=st.none() | st.integers(-90, 41 * 60),
    end=st.none() | st.integers(-90, 41 * 60),
    limit=st.none() | st.integers(1, 30),
    ending=st.sampled_from(["", "", "\n", "X1,2024-01-01T00:05:00,7,7,7,7,7\n", "X1,2024-01-01T00:05"]),
)
@settings(max_examples=60, deadline=None)
def test_a_window_is_that_of_the_whole_series(
    minutes: list[int], start: int | None, end: int | None, limit: int | None, ending: str
) -> None:
    start, end = (None if each is None else START + each for each in (start, end))
    text = text_of(uneven_bars([START + 60 * minute for minute in minutes])) + ending
    expected = parse_rows(text, SeriesKey(Mode.CRYPTO, "X1", Interval.MINUTE)).bars.between(start, end)
    if limit is not None:
        expected = expected.tail(limit)
    with TemporaryDirectory() as directory:
        store = CsvStore(Settings.from_mapping({"CRYPTO_DATA_DIR": directory}))
        path = store.path(SeriesKey(Mode.CRYPTO, "X1", Interval.MINUTE))
        path.parent.mkdir()
        path.write_text(text)
        for _ in range(2):
            found = store.read(SeriesKey(Mode.CRYPTO, "X1", Interval.MINUTE), Window(start=start, end=end, limit=limit))
            assert found.bars.equals(expected)


@pytest.mark.parametrize(
    ("time", "row"),
    [(START - 1, 0), (START, 0), (START + 1, 1), (START + DAY, 1), (START + 4 * DAY, 4), (START + 4 * DAY + 1, 5)],
)
def test_days_are_found_by_any_second(tmp_path: Path, time: int, row: int) -> None:
    path = tmp_path / "1D.csv"
    bars = flat_bars(times(5, Interval.DAILY), 1.0, Mode.CRYPTO)
    path.write_text(text_of(bars, Interval.DAILY))
    with rows_of(path, Interval.DAILY) as rows:
        assert rows.offset_of(time) == len(text_of(bars.take(slice(row)), Interval.DAILY))


def test_the_last_seconds_there_are(tmp_path: Path) -> None:
    path = tmp_path / "1D.csv"
    path.write_text(text_of(flat_bars([253_402_214_400], 1.0, Mode.CRYPTO), Interval.DAILY))  # 9999-12-31
    with rows_of(path, Interval.DAILY) as rows:
        assert rows.offset_of(253_402_214_400) == rows.first
        assert rows.offset_of(253_402_214_401) == rows.end
        assert rows.offset_of(10**18) == rows.end
        assert rows.offset_of(-(10**18)) == rows.first


@pytest.mark.usefixtures("read_sizes")
def test_a_window_reads_a_small_part_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "1m.csv"
    path.write_text(text_of(flat_bars(times(20_000), 1.0, Mode.CRYPTO)))
    read_bytes = []
    real = FileView.read
    with rows_of(path) as rows:
        monkeypatch.setattr(
            FileView, "read", lambda view, start, stop: (read_bytes.append(stop - start), real(view, start, stop))[1]
        )
        first, stop = rows.span(Window(start=int(times(1)[0]) + 600_000, limit=100))
        rows.view.read(first, stop)
    assert sum(read_bytes) < path.stat().st_size / 20
