"""Trees of CSV files into both stores."""

import csv
from pathlib import Path

import numpy as np
import pytest

from stockapi.calc.indicators import enhance
from stockapi.errors import CsvError, SqliteError
from stockapi.models import Bars, Interval, Mode
from stockapi.models.fields import INDICATOR_FIELDS
from stockapi.services.ingest.importer import ImportFile, ImportResult, find_files, import_files
from tests.support.stores import NOW, MakeStores, Stores, make_bars

HEADER = "ticker,time,open,high,low,close,volume"
DAYS = ("2024-01-02", "2024-01-03", "2024-01-04")


def rows(ticker: str, closes: list[float], days: tuple[str, ...] = DAYS) -> list[str]:
    return [f"{ticker},{day},{close},{close},{close},{close},100" for day, close in zip(days, closes, strict=True)]


def put(directory: Path, name: str, lines: list[str], header: str = HEADER) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *lines, ""]))
    return path


def run_import(stores: Stores, directory: Path, mode: Mode = Mode.VN, *, legacy: bool = False) -> list[ImportResult]:
    files, _ = find_files(directory)
    return list(import_files(stores, files, mode, NOW, legacy=legacy))


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


def test_both_layouts_are_found_and_other_csv_files_are_named(tree: Path) -> None:
    wanted = ["ACB.csv", "FPT/1D.csv", "FPT/1H.csv", "FPT/1m.csv", "VCB/1D.csv", "VCB/1h.csv"]
    unknown = ["notes.csv", "FPT/1W.csv", "FPT/old.csv", "fpt/1D.csv", "WITH SPACE/1D.csv", "VCB/1D/1D.csv"]
    for name in [*wanted, *unknown, "README.md", "FPT/1D.txt"]:
        put(tree, name, [])
    (tree / "HPG" / "1D.csv").mkdir(parents=True)
    found, ignored = find_files(tree)
    assert found == [
        ImportFile(tree / "ACB.csv", "ACB", Interval.DAILY),
        ImportFile(tree / "FPT" / "1D.csv", "FPT", Interval.DAILY),
        ImportFile(tree / "FPT" / "1H.csv", "FPT", Interval.HOURLY),
        ImportFile(tree / "FPT" / "1m.csv", "FPT", Interval.MINUTE),
        ImportFile(tree / "VCB" / "1h.csv", "VCB", Interval.HOURLY),
        ImportFile(tree / "VCB" / "1D.csv", "VCB", Interval.DAILY),
    ]
    assert sorted(ignored) == sorted(tree / name for name in [*unknown, "HPG/1D.csv"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv files"),
        ("file", "is not a directory; name one that holds <TICKER>/1D.csv or <TICKER>.csv files"),
        ("empty", "holds nothing to import; expected <TICKER>/1D.csv, 1H.csv, 1m.csv or <TICKER>.csv"),
        ("strange", "holds nothing to import; expected <TICKER>/1D.csv, 1H.csv, 1m.csv or <TICKER>.csv"),
    ],
)
def test_a_directory_with_nothing_to_import_is_an_error(tree: Path, name: str, message: str) -> None:
    (tree / "file").touch()
    (tree / "empty").mkdir()
    put(tree / "strange", "x.csv", [])
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
    assert [(result.bars, result.saved.rows, result.damaged) for result in results] == [(3, 3, ())] * 4
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
    assert [(result.bars, result.saved.rows, result.saved.csv_bytes) for result in results] == [(1, 0, 0), (3, 0, 0)]
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
    assert (first.file.ticker, first.bars) == ("VCB", 3)
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
        (b"", [], []),
        (f"{HEADER}\n".encode(), [], []),
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
    ids=["empty", "header only", "torn", "bom and crlf", "not utf-8", "unsorted and twice"],
)
def test_files_of_every_state(
    stores: Stores, tree: Path, content: bytes, closes: list[float], reasons: list[str]
) -> None:
    (tree / "VCB.csv").write_bytes(content)
    (result,) = run_import(stores, tree)
    assert result.bars == len(closes)
    assert_in_both(stores, "VCB", closes) if closes else None
    assert bool(stores.csv_store.tickers(Mode.VN)) == bool(closes), "no file for a ticker without bars"
    assert [line.reason for line in result.damaged] == reasons


@pytest.mark.parametrize("content", [b"what is this", HEADER.replace("low,", "").encode()])
def test_a_file_whose_columns_are_not_known_is_named(stores: Stores, tree: Path, content: bytes) -> None:
    (tree / "VCB.csv").write_bytes(content)
    with pytest.raises(CsvError, match=rf"^{tree}/VCB.csv: line 1"):
        run_import(stores, tree)
    assert not stores.quarantine.path(Mode.VN).exists()


def test_a_file_that_cannot_be_read_is_named_and_those_before_it_are_in(
    stores: Stores, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tree, "ACB.csv", rows("ACB", [1, 2, 3]))
    broken = put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    files, _ = find_files(tree)
    broken.unlink()
    with pytest.raises(CsvError, match=f"^{broken} cannot be read: No such file or directory$"):
        list(import_files(stores, files, Mode.VN, NOW))
    assert_in_both(stores, "ACB", [1, 2, 3])


# SQLite out of order


def test_without_sqlite_csv_gets_everything_and_the_next_import_repairs(make_stores: MakeStores, tree: Path) -> None:
    stores = make_stores()
    stores.settings.vn_database_path.write_bytes(b"no database at all. " * 300)
    put(tree, "VCB.csv", rows("VCB", [1, 2, 3]))
    put(tree, "FPT.csv", rows("FPT", [4, 5, 6]))
    results = run_import(stores, tree)
    assert [result.saved.sqlite_error for result in results] == ["SQLite error: file is not a database"] * 2
    assert stores.in_csv("FPT").close.tolist() == [4, 5, 6]
    stores.settings.vn_database_path.unlink()
    assert [result.saved.sqlite_error for result in run_import(stores, tree)] == [None, None]
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
