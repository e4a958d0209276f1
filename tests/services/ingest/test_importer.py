"""Trees of CSV files into both stores."""

import csv
import gzip
import io
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.errors import CsvError, LayoutError, SqliteError
from stockapi.formats.foreign.names import FileName
from stockapi.formats.foreign.reader import Reading, read_bars
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.models.series import SeriesKey
from stockapi.services.ingest import importer
from stockapi.services.ingest.import_tree import EXPECTED, ImportFile, PassedOver, find_files
from stockapi.services.ingest.importer import ImportOptions, ImportResult, import_files
from stockapi.services.upkeep.verification import check
from tests.formats.foreign.test_layouts import bars_of
from tests.support.layouts import SAMPLES
from tests.support.stores import NOW, MakeStores, Stores, make_bars

HEADER = "ticker,time,open,high,low,close,volume"
ENDINGS = ".csv, .txt, .tsv, one of these with .gz behind, or .zip"
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")


def rows(ticker: str, closes: list[float], days: tuple[str, ...] = DAYS) -> list[str]:
    return [f"{ticker},{day},{close},{close},{close},{close},100" for day, close in zip(days, closes, strict=True)]


def put(directory: Path, name: str, lines: list[str], header: str = HEADER) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))
    return path


def run_import(stores: Stores, directory: Path, mode: Mode = Mode.VN, *, legacy: bool = False) -> list[ImportResult]:
    return [each for each in outcomes(stores, directory, ImportOptions(mode, legacy)) if isinstance(each, ImportResult)]


def outcomes(stores: Stores, directory: Path, options: ImportOptions) -> list[ImportResult | PassedOver]:
    files, passed_over = find_files(directory)
    return [*passed_over, *import_files(stores, files, NOW, options)]


def zip_of(members: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def quarantined(stores: Stores, mode: Mode = Mode.VN) -> list[dict[str, str]]:
    with (stores.settings.data_dir(mode) / "quarantine.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def assert_in_both(
    stores: Stores, ticker: str, closes: list[float], interval: Interval = Interval.DAILY, mode: Mode = Mode.VN
) -> None:
    for bars in (stores.in_csv(ticker, interval, mode), stores.in_sqlite(ticker, interval, mode)):
        assert bars.close.tolist() == closes
    assert stores.in_csv(ticker, interval, mode).equals(stores.in_sqlite(ticker, interval, mode))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    directory = tmp_path / "tree"
    directory.mkdir()
    return directory


# What is found


def test_files_are_found_whatever_their_name_and_what_is_passed_over_is_told(tree: Path) -> None:
    wanted = [
        *("ACB.csv", "FPT.CSV", "FPT/old.csv.gz", "FPT/1D.csv", "FPT/1H.csv", "FPT/1m.csv", "VCB/1h.csv", "VCB/1D.csv"),
        *("klines.zip", "tickers_1D.csv", "vcb.us.txt"),
    ]
    reasons = {
        ".VCB.csv": "is hidden",
        "README.md": f"has no known name; known: {ENDINGS}",
        "VCB/1D.csv.bak": f"has no known name; known: {ENDINGS}",
        "quarantine.csv": "holds lines that were no bars",
    }
    for name in [*wanted, *reasons]:
        put(tree, name, [])
    os.mkfifo(tree / "HPG.csv")
    (tree / "SSI.csv").symlink_to(tree / "nowhere")
    reasons |= {"HPG.csv": "is not a regular file", "SSI.csv": "cannot be read: No such file or directory"}
    found, passed_over = find_files(tree)
    assert sorted(found, key=lambda file: file.parts) == [
        ImportFile(tree / name, tuple(name.split("/"))) for name in sorted(wanted, key=lambda name: name.split("/"))
    ]
    assert passed_over == [PassedOver(str(tree / name), reason) for name, reason in sorted(reasons.items())]


def test_the_file_in_the_directory_of_its_ticker_comes_last(tree: Path) -> None:
    names = ["deep/er/FPT/1D.csv", "FPT.csv", "FPT/1D.csv", "FPT/1H.csv", "FPT/1h.csv", "deep/FPT/1D.csv", "ACB.csv"]
    for name in names:
        put(tree, name, [])
    assert ["/".join(file.parts) for file in find_files(tree)[0]] == [
        *("ACB.csv", "FPT.csv", "deep/er/FPT/1D.csv", "deep/FPT/1D.csv"),
        *("FPT/1h.csv", "FPT/1D.csv", "FPT/1H.csv"),
    ]


def test_linked_directories_are_followed_once(stores: Stores, tree: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "VCB/1D.csv", rows("VCB", [1, 2, 3]))
    put(tree, "FPT/1D.csv", rows("FPT", [4, 5, 6]))
    (tree / "ACB").symlink_to(tree / "FPT")
    (tree / "linked").symlink_to(tmp_path / "elsewhere")
    (tree / "again").symlink_to(tmp_path / "elsewhere" / "VCB")
    (tmp_path / "elsewhere" / "back").symlink_to(tree)
    found, passed_over = find_files(tree)
    assert ["/".join(file.parts) for file in found] == ["FPT/1D.csv", "linked/VCB/1D.csv"] or (
        ["/".join(file.parts) for file in found] == ["FPT/1D.csv", "again/1D.csv"]
    )
    assert {each.reason for each in passed_over} == {"leads to a directory that is read already"}
    assert len(passed_over) == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv files"),
        ("file", "is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv files"),
        ("empty", f"holds nothing to import; {EXPECTED}"),
        ("strange", f"holds nothing to import; {EXPECTED}"),
    ],
)
def test_a_directory_with_nothing_to_import_is_an_error(tree: Path, name: str, message: str) -> None:
    (tree / "file").touch()
    (tree / "empty").mkdir()
    put(tree / "strange", "x.xlsx", [])
    with pytest.raises(CsvError) as caught:
        find_files(tree / name)
    assert str(caught.value) == f"{tree / name} {message}"


# What comes of it


def test_every_interval_of_both_layouts_reaches_both_stores(stores: Stores, tree: Path) -> None:
    hours = ("2024-01-02 02:00:00", "2024-01-02T03:00:00", "2024-01-02T04:00:00Z")
    put(tree, "ACB.csv", rows("ACB", [1, 2, 3]))
    put(tree, "FPT/1D.csv", rows("FPT", [4, 5, 6]))
    put(tree, "FPT/1m.csv", rows("FPT", [7, 8, 9], hours))
    put(tree, "FPT/1h.csv", rows("FPT", [10, 11, 12], hours))
    results = run_import(stores, tree)
    assert [(result.bars, result.rows, result.damaged) for result in results] == [(3, 3, ())] * 4
    assert_in_both(stores, "ACB", [1, 2, 3])
    assert_in_both(stores, "FPT", [4, 5, 6])
    assert_in_both(stores, "FPT", [7, 8, 9], Interval.MINUTE)
    assert_in_both(stores, "FPT", [10, 11, 12], Interval.HOURLY)
    assert stores.in_csv("FPT", Interval.HOURLY).time.tolist() == [1_704_160_800, 1_704_164_400, 1_704_168_000]
    assert (stores.settings.market_data_dir / "FPT" / "1H.csv").is_file(), "the name files have now"


def test_where_two_files_have_one_series_the_newer_kind_wins(stores: Stores, tree: Path) -> None:
    put(tree, "FPT.csv", rows("FPT", [1, 2, 3]))
    put(tree, "FPT/1D.csv", rows("FPT", [20], DAYS[1:2]))
    put(tree, "FPT/1H.csv", rows("FPT", [5], ("2024-01-02 02:00:00",)))
    put(tree, "FPT/1h.csv", rows("FPT", [4, 6], ("2024-01-02 02:00:00", "2024-01-02 03:00:00")))
    run_import(stores, tree)
    assert_in_both(stores, "FPT", [1, 20, 3])
    assert_in_both(stores, "FPT", [5, 6], Interval.HOURLY)


@pytest.mark.parametrize(("most_bars", "writes"), [(importer.MOST_BARS, 3), (1, 8), (4, 8)])
def test_many_files_of_a_series_are_one_import(
    stores: Stores, tree: Path, monkeypatch: pytest.MonkeyPatch, most_bars: int, writes: int
) -> None:
    """Of overlapping bars the later file's count, however many files are saved together; each has its own result."""
    monkeypatch.setattr(importer, "MOST_BARS", most_bars)
    months = {"2024-01": [1, 2, 3], "2024-02": [4, 5, 6], "2024-03": [7, 8, 9]}
    for month, closes in months.items():
        days = tuple(f"{month}-{day}" for day in ("02", "03", "28"))
        put(tree, f"{month}/FPT_1D.csv", [*rows("FPT", closes, days), "FPT,what,1,1,1,1,1"])
        put(tree, f"{month}/FPT_1H.csv", rows("FPT", [10, 11], (f"{month}-02 02:00:00", f"{month}-02 03:00:00")))
    put(tree, "2024-02/VCB_1D.csv", rows("VCB", [1, 2, 3]))
    put(tree, "2024-04/FPT_1D.csv", rows("FPT", [99, 10], ("2024-03-28", "2024-04-02")))
    saves = Mock(wraps=importer.save_enhanced_csv_and_sqlite)
    monkeypatch.setattr(importer, "save_enhanced_csv_and_sqlite", saves)
    results = run_import(stores, tree)
    assert [(result.bars, len(result.damaged), result.error) for result in results] == [
        *[(3, 1, None), (2, 0, None)] * 3,
        (2, 0, None),
        (3, 0, None),
    ]
    assert all(result.saved for result in results)
    assert_in_both(stores, "FPT", [1, 2, 3, 4, 5, 6, 7, 8, 99, 10])
    assert_in_both(stores, "FPT", [10, 11] * 3, Interval.HOURLY)
    assert_in_both(stores, "VCB", [1, 2, 3])
    assert len(quarantined(stores)) == 3
    assert saves.call_count == writes


def test_when_one_of_many_files_cannot_be_saved_those_before_it_are(
    stores: Stores, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a crash: what is missing comes with the next import."""
    put(tree, "ACB/2024-01_1D.csv", rows("ACB", [1, 2, 3]))
    put(tree, "FPT.csv", rows("FPT", [1, 2, 3]))
    put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    original = importer.save_enhanced_csv_and_sqlite

    def failing(stores: Stores, key: SeriesKey, *rest: Any, **named: Any) -> Any:
        if key.ticker == "FPT":
            raise CsvError("the disk is full")
        return original(stores, key, *rest, **named)

    monkeypatch.setattr(importer, "save_enhanced_csv_and_sqlite", failing)
    with pytest.raises(CsvError, match="the disk is full"):
        run_import(stores, tree)
    assert_in_both(stores, "ACB", [1, 2, 3])
    assert not len(stores.in_csv("FPT"))
    monkeypatch.undo()
    run_import(stores, tree)
    for ticker in ("ACB", "FPT", "VCB"):
        assert_in_both(stores, ticker, [1, 2, 3])


@pytest.mark.parametrize(
    ("mode", "ticker", "legacy", "factor"),
    [
        (Mode.VN, "VCB", True, 1000),
        (Mode.VN, "VNINDEX", True, 1),
        (Mode.VN, "VN30", True, 1),
        (Mode.VN, "VCB", False, 1),
        (Mode.CRYPTO, "BTC", True, 1),
        (Mode.CRYPTO, "VCB", True, 1),
    ],
)
def test_legacy_scales_stock_prices_only(
    stores: Stores, tree: Path, mode: Mode, ticker: str, legacy: bool, factor: int
) -> None:
    put(tree, f"{ticker}.csv", [f"{ticker},2024-01-02,60.1,60.4,59.95,60.3,1234"])
    run_import(stores, tree, mode, legacy=legacy)
    for bars in (stores.in_csv(ticker, mode=mode), stores.in_sqlite(ticker, mode=mode)):
        assert bars.prices[:, 0].tolist() == [round(price * factor, 2) for price in (60.1, 60.4, 59.95, 60.3)]
        assert bars.volume.tolist() == [1234]


def test_legacy_prices_are_rounded_once_to_the_decimals_of_the_market(stores: Stores, tree: Path) -> None:
    put(tree, "ACB.csv", ["ACB,2024-01-02,2.35397,2.369264,2.3234,2.338696,55888"])
    run_import(stores, tree, legacy=True)
    assert stores.in_csv("ACB").prices[:, 0].tolist() == [2353.97, 2369.26, 2323.4, 2338.7]


def test_indicators_in_the_files_are_ignored(stores: Stores, tree: Path) -> None:
    lines = [f"{row}{',99' * len(INDICATOR_FIELDS)}" for row in rows("FPT", [10, 20, 15])]
    put(tree, "FPT/1D.csv", lines, ",".join((HEADER, *INDICATOR_FIELDS)))
    run_import(stores, tree)
    bars = stores.in_sqlite("FPT")
    assert bars.indicator("close_changed").tolist()[1:] == [100.0, -25.0]
    assert np.isnan(bars.indicator("ma10")).all()
    assert bars.equals(stores.in_csv("FPT"))


def test_imported_bars_win_and_other_stored_bars_stay(stores: Stores, tree: Path) -> None:
    stored = make_bars(300)
    stores.save("VCB", stored)
    day = np.datetime_as_string(stored.time[100:102].astype("datetime64[s]"), unit="D").tolist()
    put(tree, "VCB.csv", rows("VCB", [500.0, 600.0], tuple(day)))
    put(tree, "FPT.csv", rows("FPT", [1, 2, 3]))
    run_import(stores, tree)
    prices, volume = stored.prices.copy(), stored.volume.copy()
    prices[:, 100], prices[:, 101], volume[100:102] = 500.0, 600.0, 100
    expected = enhance(Bars.of(stored.time, prices, volume), Mode.VN, is_index=False)
    assert stores.in_csv("VCB").equals(expected), "with the indicators of all bars after the changed ones"
    assert stores.in_sqlite("VCB").equals(expected)
    assert_in_both(stores, "FPT", [1, 2, 3])


def test_bars_that_only_sqlite_has_survive_an_import(stores: Stores, tree: Path) -> None:
    stores.save("VCB", make_bars(300))
    (stores.settings.market_data_dir / "VCB" / "1D.csv").unlink()
    put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    run_import(stores, tree)
    assert len(stores.in_csv("VCB")) == 303
    assert stores.in_csv("VCB").equals(stores.in_sqlite("VCB"))


def test_a_second_import_writes_nothing(stores: Stores, tree: Path) -> None:
    put(tree, "VCB.csv", rows("VCB", [60.123, 61, 62]))
    put(tree, "FPT/1H.csv", rows("FPT", [7], ("2024-01-02 02:00:00",)))
    run_import(stores, tree, legacy=True)
    stores.db_manager.checkpoint(Mode.VN, "TRUNCATE")

    def state() -> object:
        files = sorted(path for path in stores.settings.market_data_dir.rglob("*") if path.is_file())
        database = stores.settings.vn_database_path
        return [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in [*files, database]], Path(
            f"{database}-wal"
        ).stat().st_size

    before = state()
    results = run_import(stores, tree, legacy=True)
    saved = [saved for result in results for saved in result.saved.values()]
    assert [result.bars for result in results] == [1, 3]
    assert [(each.rows, each.csv_bytes) for each in saved] == [(0, 0), (0, 0)]
    assert state() == before


def test_the_markets_do_not_mix(stores: Stores, tree: Path) -> None:
    put(tree, "BTC.csv", ["BTC,2024-01-02,0.00001234,0.00001235,0.00001233,0.00001234,12.5"])
    run_import(stores, tree, Mode.CRYPTO)
    assert_in_both(stores, "BTC", [0.00001234], mode=Mode.CRYPTO)
    assert stores.in_sqlite("BTC", mode=Mode.CRYPTO).volume.tolist() == [12.5]
    assert stores.csv_store.tickers(Mode.VN) == []


# Damage


def test_damaged_lines_go_to_the_quarantine_and_the_rest_is_imported(stores: Stores, tree: Path) -> None:
    damaged = {
        3: ("VCB,2024-13-45,1,1,1,1,1", "time '2024-13-45' is not a time"),
        4: ("VCB,2024-01-03,nan,1,1,1,1", "open 'nan' is not a number"),
        6: ("VCB,2024-01-04,1,1,-1,1,1", "low '-1' is negative"),
        7: ("VCB,2024-01-04,1,1,1,1,x5", "volume 'x5' is not a number"),
        8: ("FPT,2024-01-04,1,1,1,1,1", "ticker 'FPT' is not VCB"),
        9: ("VCB,2024-01-05,1,1", "4 fields, a row has 7"),
        10: ("=cmd(),2024-01-05,1,1,1,1,1", "ticker '=cmd()' is not VCB"),
    }
    good = dict(zip((2, 5, 11), rows("VCB", [1, 2, 3]), strict=True))
    lines = [line for _, line in sorted([*good.items(), *((number, text) for number, (text, _) in damaged.items())])]
    path = put(tree, "VCB/1D.csv", lines)
    put(tree, "ZZZ.csv", rows("ZZZ", [5, 6, 7]))
    first, second = run_import(stores, tree)
    assert (list(first.saved), first.bars) == ([SeriesKey(Mode.VN, "VCB", Interval.DAILY)], 3)
    assert [(line.number, line.text, line.reason) for line in first.damaged] == [
        (number, text, reason) for number, (text, reason) in damaged.items()
    ]
    assert (second.bars, second.damaged) == (3, ())
    assert_in_both(stores, "VCB", [1, 2, 3])
    assert_in_both(stores, "ZZZ", [5, 6, 7])
    kept = quarantined(stores)
    assert [(row["source"], int(row["line"]), row["reason"]) for row in kept] == [
        (str(path), number, reason) for number, (_, reason) in damaged.items()
    ]
    assert {row["seen_at"] for row in kept} == {"2026-03-02T05:00:00Z"}
    assert kept[-1]["text"] == "'=cmd(),2024-01-05,1,1,1,1,1", "no formula for a spreadsheet to run"


@pytest.mark.parametrize(
    ("content", "closes", "reasons"),
    [
        (
            f"{HEADER}\nVCB,2024-01-02,1,1,1,1,1\nVCB,2024-01-03,2,2".encode(),
            [1.0],
            ["torn last line: 4 fields, a row has 7"],
        ),
        (f"\ufeff{HEADER}\r\nVCB,2024-01-02,1,1,1,1,1\r\n".encode(), [1.0], []),
        (
            f"{HEADER}\nVCB,2024-01-02,1,1,1,1,1\n".encode()
            + b"VCB,2024-01-03,2,2,2,\xff2,2\nVCB,2024-01-04,3,3,3,3,3\n",
            [1.0, 3.0],
            ["close '\ufffd2' is not a number"],
        ),
        (
            f"{HEADER}\nVCB,2024-01-03,2,2,2,2,2\nVCB,2024-01-02,1,1,1,1,1\nVCB,2024-01-03,4,4,4,4,4\n".encode(),
            [1.0, 4.0],
            [],
        ),
    ],
    ids=["torn", "bom and crlf", "not utf-8", "unsorted and twice"],
)
def test_files_of_every_state(
    stores: Stores, tree: Path, content: bytes, closes: list[float], reasons: list[str]
) -> None:
    (tree / "VCB.csv").write_bytes(content)
    (result,) = run_import(stores, tree)
    assert result.bars == len(closes)
    assert_in_both(stores, "VCB", closes)
    assert [line.reason for line in result.damaged] == reasons


def nothing_came_of(stores: Stores, tree: Path, content: bytes, mode: Mode = Mode.VN) -> str:
    """The error of the file VCB.csv, beside a good one; nothing of it is kept."""
    (tree / "VCB.csv").write_bytes(content)
    put(tree, "ZZZ.csv", rows("ZZZ", [1, 2, 3]))
    bad, good = run_import(stores, tree, mode)
    assert (bad.source, bad.bars, dict(bad.saved), bad.damaged) == (str(tree / "VCB.csv"), 0, {}, ())
    assert good.bars == 3
    assert stores.csv_store.tickers(mode) == ["ZZZ"], "no file for a ticker without bars"
    assert not stores.quarantine.path(mode).exists()
    assert bad.error is not None
    return bad.error.removeprefix(f"{tree}/VCB.csv: ")


ONE_ROW = "VCB,2024-01-02,1,1,1,1,1"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (
            b"",
            "is empty; wanted: a header that names time, open, high, low, close and volume, or another layout of docs",
        ),
        (f"{HEADER}\n".encode(), "has a header and no bars"),
        (b"what is this", "looks like text that begins 'what is this'; wanted: a header"),
        (
            HEADER.replace("low,", "").encode(),
            "its header (line 1: ticker,time,open,high,close,volume) lacks low; wanted",
        ),
        (HEADER.replace("low", "high").encode(), "its header (line 1: ticker,time,open,high,high,close,volume) "),
        (
            f"\n# days\n{HEADER.replace('close', 'last2')}\n{ONE_ROW}".encode(),
            "its header (line 3: ticker,time,open,hi",
        ),
        (f"{HEADER}\n{ONE_ROW}\n{HEADER.replace('close', 'x')}\n".encode(), "its header in line 3 lacks close; wanted"),
        (b'{"VCB":[{"time":"2024-01-02"}]}', "looks like JSON; wanted"),
        (b"<!DOCTYPE html><html><body>403</body></html>", "looks like a web page; wanted"),
        (b"SQLite format 3\0" + bytes(4_000), "looks like a SQLite database; wanted"),
        (bytes(range(256)) * 20, "looks like binary data; wanted"),
        (
            b"28457,4261.48,0.1,426.148,1502942568000,True,True\n" * 50_000,
            "looks like rows of 7 columns without a header",
        ),
        (b"x" * 3_000_000, "looks like text that begins 'xxx"),
        ((f"{HEADER}\n" + "VCB,?,1,1,1,1,1\n" * 3).encode(), "none of its first 3 lines is a bar (line 2: time '?' is"),
        (
            (f"{HEADER}\n" + "VCB,2024-01-02 09:15:00,1,1,1,1,1\nVCB,2024-01-03 09:15:00,1,1,1,1,1\n").encode(),
            "none of",
        ),
        (
            f"{HEADER}\n{ONE_ROW}\n".encode() + b"VCB,?,1,1,1,1,1\n" * 100,
            "100 of 101 lines are no bars (line 3: time '?' is not a time); wanted",
        ),
    ],
    ids=[
        *("empty", "header alone", "text", "a column lacks", "a column twice", "a comment before", "a header below"),
        *("JSON", "a web page", "SQLite", "bytes", "trades", "one line", "no times", "minutes in place of days"),
        "one bar of a hundred",
    ],
)
def test_a_file_of_another_format_is_named_with_what_it_looks_like_and_nothing_of_it_is_kept(
    stores: Stores, tree: Path, content: bytes, error: str
) -> None:
    assert nothing_came_of(stores, tree, content).startswith(error)


def test_a_file_of_another_format_is_not_read_to_its_end(tree: Path) -> None:
    """A dump of a gigabyte, all of it zeros behind the first lines, and one whose header promises bars."""
    for name, start in (
        ("dump", b"1,2,3\n" * 1_000),
        ("lines", f"{HEADER}\n".encode() + b"VCB,?,1,1,1,1,1\n" * 20_000),
    ):
        path = tree / name
        path.write_bytes(start)
        os.truncate(path, 1 << 30)
        with path.open("rb") as stream:
            with pytest.raises(LayoutError):
                read_bars(stream, FileName("", "VCB"), Reading(Mode.VN, 2_000_000_000))
            assert stream.tell() < 4_000_000


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("VCB.csv.gz", gzip.compress(b"x" * 5_000)[:-20], "cannot be unpacked: Compressed file ended before"),
        ("VCB.zip", b"PK\x03\x04 and no more", "cannot be unpacked: File is not a zip file"),
        (
            "VCB.zip",
            zip_of({"xl/workbook.xml": b"", "[Content_Types].xml": b""}),
            ": looks like an Excel workbook; wanted",
        ),
    ],
    ids=["half a gzip", "no zip", "Excel"],
)
def test_what_cannot_be_unpacked_is_named(stores: Stores, tree: Path, name: str, content: bytes, error: str) -> None:
    (tree / name).write_bytes(content)
    (result,) = run_import(stores, tree)
    assert str(result.error).startswith(f"{tree}/{name}{'' if error[0] == ':' else ' '}{error}")


def test_each_table_in_an_archive_is_a_file_of_its_own(stores: Stores, tree: Path) -> None:
    table = "\n".join([HEADER, *rows("VCB", [1, 2, 3])]).encode()
    members = {
        "VCB/1D.csv": table,
        "FPT.csv": table.replace(b"VCB", b"FPT"),
        "SSI.csv": b"what",
        "readme.md": b"",
        "_/x.csv": b"",
    }
    (tree / "all.zip").write_bytes(zip_of(members))
    found = outcomes(stores, tree, ImportOptions(Mode.VN))
    assert [(type(each), each.path if isinstance(each, PassedOver) else each.source) for each in found] == [
        (ImportResult, f"{tree}/all.zip/VCB/1D.csv"),
        (ImportResult, f"{tree}/all.zip/FPT.csv"),
        (ImportResult, f"{tree}/all.zip/SSI.csv"),
        (PassedOver, f"{tree}/all.zip/readme.md"),
        (PassedOver, f"{tree}/all.zip/_/x.csv"),
    ]
    assert_in_both(stores, "VCB", [1, 2, 3])
    assert_in_both(stores, "FPT", [1, 2, 3])


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_in(stores: Stores, tree: Path) -> None:
    put(tree, "ACB.csv", rows("ACB", [1, 2, 3]))
    broken = put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    put(tree, "ZZZ.csv", rows("ZZZ", [4, 5, 6]))
    files, _ = find_files(tree)
    broken.unlink()
    results = list(import_files(stores, files, NOW, ImportOptions(Mode.VN)))
    assert [result.error for result in results if isinstance(result, ImportResult)] == [
        None,
        f"{broken} cannot be read: No such file or directory",
        None,
    ]
    assert_in_both(stores, "ACB", [1, 2, 3])
    assert_in_both(stores, "ZZZ", [4, 5, 6])


@pytest.mark.parametrize(("legacy", "kept"), [(True, [60_000, 61_000]), (False, [60, 1.7e308, 61])])
def test_a_price_that_cannot_be_multiplied_damages_its_line_only(
    stores: Stores, tree: Path, legacy: bool, kept: list[float]
) -> None:
    put(tree, "VCB.csv", rows("VCB", [60, 1.7e308, 61]))
    put(tree, "ZZZ.csv", rows("ZZZ", [1, 2, 3]))
    first, second = run_import(stores, tree, legacy=legacy)
    assert [line.reason for line in first.damaged] == (["open '1.7e+308' is beyond 1.79769e+305"] if legacy else [])
    assert second.bars == 3
    assert_in_both(stores, "VCB", kept)


@pytest.mark.parametrize("mode", Mode)
def test_bars_of_every_layout_reach_both_stores_and_verify_finds_no_difference(
    stores: Stores, tree: Path, mode: Mode
) -> None:
    for sample in (sample for sample in SAMPLES if sample.mode is mode):
        bars = bars_of(sample.interval, mode)
        path = tree / sample.path
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sample.content(bars))
        (result,) = run_import(stores, tree, mode)
        assert (result.error, result.bars, result.damaged) == (None, len(bars), ()), sample.name
        key = SeriesKey(mode, sample.ticker, sample.interval)
        for held in (stores.csv_store.read(key).bars, stores.sqlite_store.read(key)):
            assert held.without_indicators().equals(bars), sample.name
        path.unlink()
        assert list(result.saved) == [key]
    checked = check(stores, mode)
    assert (checked.bars, checked.differing) == (12 * len(checked.reports), [])


# Times


def test_rows_of_different_times_in_one_bar_are_put_together_and_equal_ones_are_corrections(
    stores: Stores, tree: Path
) -> None:
    put(
        tree,
        "VCB/1m.csv",
        [
            *("VCB,2024-01-02T02:25:10,60,62,59,61,50", "VCB,2024-01-02T02:25:40,61,65,60,64,7"),
            *("VCB,2024-01-02T02:26:00,1,1,1,1,1", "VCB,2024-01-02T02:26:00,70,71,69,70,5"),
        ],
    )
    (result,) = run_import(stores, tree)
    for bars in (stores.in_csv("VCB", Interval.MINUTE), stores.in_sqlite("VCB", Interval.MINUTE)):
        assert bars.prices.T.tolist() == [[60, 65, 59, 64], [70, 71, 69, 70]]
        assert bars.volume.tolist() == [57, 5]
    assert result.notes == (f"{tree}/VCB/1m.csv: 1 rows were put together with others of the same bar",)


LOCAL = [
    f"VCB,2024-01-{day:02} {hour}:00:00,60,62,59,61,50" for day in (2, 3, 4) for hour in ("09", "10", "11", "13", "14")
]


def test_local_times_read_as_utc_are_warned_of_and_a_time_zone_puts_them_right(stores: Stores, tree: Path) -> None:
    put(tree, "VCB/1H.csv", LOCAL)
    (result,) = run_import(stores, tree)
    assert result.notes == (
        f"{tree}/VCB/1H.csv: 15 of its 15 bars lie outside the session (09:00 to 15:00, UTC+7, Ho Chi Minh City); "
        "if they are local times, import the file with --timezone Asia/Ho_Chi_Minh",
    )
    put(tree, "FPT/1H.csv", [line.replace("VCB", "FPT") for line in LOCAL])
    (tree / "VCB/1H.csv").unlink()
    (result,) = outcomes(stores, tree, ImportOptions(Mode.VN, zone=ZoneInfo("Asia/Ho_Chi_Minh")))
    assert isinstance(result, ImportResult)
    assert result.notes == ()
    assert stores.in_csv("FPT", Interval.HOURLY).time[:5].tolist() == [
        1_704_160_800 + hour * 3_600 for hour in (0, 1, 2, 4, 5)
    ]


# SQLite out of order


def sqlite_errors(results: list[ImportResult]) -> list[str | None]:
    return [saved.sqlite_error for result in results for saved in result.saved.values()]


def test_without_sqlite_csv_gets_everything_and_the_next_import_repairs(make_stores: MakeStores, tree: Path) -> None:
    stores = make_stores()
    stores.settings.vn_database_path.write_bytes(b"no database at all. " * 300)
    put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    put(tree, "FPT.csv", rows("FPT", [4, 5, 6]))
    results = run_import(stores, tree)
    assert sqlite_errors(results) == ["SQLite error: file is not a database"] * 2
    assert stores.in_csv("FPT").close.tolist() == [4, 5, 6]
    stores.settings.vn_database_path.unlink()
    assert sqlite_errors(run_import(stores, tree)) == [None, None]
    assert_in_both(stores, "VCB", [1, 2, 3])
    assert_in_both(stores, "FPT", [4, 5, 6])


def test_without_sqlite_and_without_the_fallback_the_import_stops(make_stores: MakeStores, tree: Path) -> None:
    stores = make_stores(FALLBACK_TO_CSV="false")
    stores.settings.vn_database_path.write_bytes(b"no database at all. " * 300)
    put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    with pytest.raises(SqliteError, match="file is not a database"):
        run_import(stores, tree)


def test_with_sqlite_writes_off_csv_alone_is_written(make_stores: MakeStores, tree: Path) -> None:
    stores = make_stores(SQLITE_WRITES="false")
    put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    run_import(stores, tree)
    assert stores.in_csv("VCB").close.tolist() == [1, 2, 3]
    assert not stores.settings.vn_database_path.exists()


def test_bars_of_a_ticker_that_was_renamed_go_to_its_new_name(stores: Stores, tree: Path) -> None:
    stores.renames.record(Mode.VN, stores.renames.of(Mode.VN).with_renamed("OLD", "NEW"))
    put(tree, "OLD.csv", rows("OLD", [1.0, 2.0, 3.0]))
    (result,) = run_import(stores, tree)
    assert [note.rpartition(": ")[2] for note in result.notes] == ["OLD is NEW now"]
    assert_in_both(stores, "NEW", [1.0, 2.0, 3.0])
    assert "OLD" not in stores.csv_store.tickers(Mode.VN)


@pytest.mark.parametrize(
    ("last_day", "changed_at", "is_closed"),
    [
        ("2026-02-27", None, True),  # NOW is the Monday after, at noon
        ("2026-03-02", None, False),
        ("2026-02-27", "2026-02-27T07:30", False),  # written within the session, imported days later
        ("2026-02-27", "2026-02-27T08:00", True),
        ("2026-02-27", "2026-02-26T09:00", True),  # a clock that was wrong says nothing
        ("2026-02-27", "2026-03-05T00:00", True),
    ],
)
def test_a_file_is_as_old_as_its_last_change(
    stores: Stores, tmp_path: Path, last_day: str, changed_at: str | None, is_closed: bool
) -> None:
    """Its newest bar is known to be closed, if it was when the file was written."""
    path = put(tmp_path / "in", "VCB/1D.csv", rows("VCB", [1.0, 2.0], ("2026-02-25", last_day)))
    if changed_at is not None:
        moment = datetime.fromisoformat(changed_at).replace(tzinfo=UTC).timestamp()
        os.utime(path, (moment, moment))
    run_import(stores, tmp_path / "in")
    assert ("VCB" in stores.closings.of(Mode.VN, Interval.DAILY)) is is_closed
    earlier = put(tmp_path / "earlier", "VCB/1D.csv", rows("VCB", [1.0], ("2024-01-02",)))
    run_import(stores, earlier.parent.parent)
    assert ("VCB" in stores.closings.of(Mode.VN, Interval.DAILY)) is is_closed, "older bars say nothing of the newest"
