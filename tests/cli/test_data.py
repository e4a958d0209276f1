"""`flask data import`, `pull` and `enhance`: what they do to the stores, what they print, how they exit."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from stockapi.cli import data
from stockapi.errors import ProviderDisabledError, ProviderError, SqliteFault
from stockapi.models import Bars, Interval, Mode
from stockapi.models.series import SeriesKey
from stockapi.providers.simulated.provider import SimulatedProvider
from tests.support.commands import HEADER, Run, failed_with, put, snapshot, succeeded
from tests.support.stores import MakeStores, Stores, make_bars

# flask data import


def test_import_fills_both_stores_and_says_so(stores: Stores, run: Run, tmp_path: Path) -> None:
    put(tmp_path / "tree", "VCB/1D.csv", 60.3, 61, 62)
    put(tmp_path / "tree", "FPT.csv", 90)
    lines = succeeded(run("data", "import", tmp_path / "tree", "--legacy"))
    multiplied = "prices x 1000: FPT, VCB; as they are: none"
    assert lines == ["vn: 2 files, 4 bars read, 4 rows saved, 0 lines quarantined", multiplied]
    assert stores.in_sqlite("VCB").close.tolist() == [60_300, 61_000, 62_000]
    assert stores.in_csv("VCB").equals(stores.in_sqlite("VCB"))
    assert stores.in_sqlite("FPT").close.tolist() == [90_000]
    lines = succeeded(run("data", "import", tmp_path / "tree", "--legacy"))
    assert lines == ["vn: 2 files, 4 bars read, 0 rows saved, 0 lines quarantined", multiplied]


def test_import_of_coins(stores: Stores, run: Run, tmp_path: Path) -> None:
    put(tmp_path / "tree", "SHIB.csv", 0.00001234)
    succeeded(run("data", "import", tmp_path / "tree", "--mode", "Crypto"))
    assert stores.in_sqlite("SHIB", mode=Mode.CRYPTO).close.tolist() == [0.00001234]
    assert not stores.settings.vn_database_path.exists()


@pytest.mark.parametrize("ticker", ["VNINDEX", "HNXINDEX", "UPCOMINDEX", "VN30F1M"])
def test_import_says_which_prices_it_multiplied(stores: Stores, run: Run, tmp_path: Path, ticker: str) -> None:
    put(tmp_path / "tree", "VCB.csv", 60.3)
    put(tmp_path / "tree", f"{ticker}.csv", 1234.5)
    lines = succeeded(run("data", "import", tmp_path / "tree", "--legacy"))
    assert lines[1:] == [f"prices x 1000: VCB; as they are: {ticker}"]
    assert stores.in_sqlite(ticker).close.tolist() == [1234.5]


def test_import_names_what_it_leaves_out(stores: Stores, run: Run, tmp_path: Path) -> None:
    path = put(tmp_path / "tree", "VCB.csv", 1, 2)
    with path.open("a") as file:
        file.write("VCB,yesterday,1,1,1,1,1\n")
    (tmp_path / "tree" / "notes.csv").write_text("buy low, sell high\n")
    (tmp_path / "tree" / "README.md").touch()
    result = run("data", "import", tmp_path / "tree")
    assert result.exit_code == 0
    endings = ".csv, .txt, .tsv, one of these with .gz behind, or .zip"
    wanted = "a header that names time, open, high, low, close and volume, or another layout of docs/import.md"
    likeness = "looks like a table with the columns buy low, sell high"
    assert result.stderr.splitlines() == [
        f"passed over {tmp_path}/tree/README.md: has no known name; known: {endings}",
        f"passed over {tmp_path}/tree/notes.csv: {likeness}; wanted: {wanted}",
        f"skipped {path}:4: time 'yesterday' is not a time",
    ]
    kept = tmp_path / "market_data" / "quarantine.csv"
    assert result.stdout == (f"vn: 1 files, 2 bars read, 2 rows saved, 1 lines quarantined, in {kept}, 2 passed over\n")
    assert "yesterday" in kept.read_text()


def test_import_fails_when_a_file_gave_no_bar_and_the_others_are_in(stores: Stores, run: Run, tmp_path: Path) -> None:
    put(tmp_path / "tree", "VCB.csv", 1, 2)
    (tmp_path / "tree" / "BTC.csv").write_text("28457,4261.48,0.1,426.1,1502942568000,True,True\n" * 1_000)
    result = run("data", "import", tmp_path / "tree")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"{tmp_path}/tree/BTC.csv: looks like rows of 7 columns without a header, such as ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == "vn: 1 files, 2 bars read, 2 rows saved, 0 lines quarantined, 1 gave no bar\n"
    assert not (tmp_path / "market_data" / "quarantine.csv").exists()
    (tmp_path / "tree" / "VCB.csv").unlink()
    (tmp_path / "tree" / "BTC.csv").rename(tmp_path / "tree" / "notes.csv")
    assert run("data", "import", tmp_path / "tree").exit_code == 1


def test_import_may_be_told_layout_and_time_zone(stores: Stores, run: Run, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    rows = [f"2024-01-{day:02} {hour}:00,1,2,0.5,1.5,7" for day in (2, 3) for hour in ("09", "10", "11", "13", "14")]
    (tmp_path / "tree" / "VCB.csv").write_text("\n".join(["Date,Open,High,Low,Close,Volume", *rows]))
    result = run("data", "import", tmp_path / "tree", "--format", "binance")
    assert result.exit_code == 0
    assert "--timezone Asia/Ho_Chi_Minh" in result.stderr
    lines = succeeded(run("data", "import", tmp_path / "tree", "--timezone", "Asia/Ho_Chi_Minh"))
    assert lines == ["vn: 1 files, 10 bars read, 20 rows saved, 0 lines quarantined"]


def test_many_damaged_lines_do_not_flood_the_terminal(run: Run, tmp_path: Path) -> None:
    rows = ["VCB,2024-01-01,-1,-1,-1,-1,100"] * 30
    rows += [f"VCB,{year}-01-{day:02},1,1,1,1,1" for year in range(2010, 2020) for day in range(1, 29)]
    put(tmp_path / "tree", "VCB.csv").write_text("\n".join([HEADER, *rows]))
    result = run("data", "import", tmp_path / "tree")
    assert len(result.stderr.splitlines()) == 21
    assert result.stderr.endswith("and 10 more such lines\n")
    assert "30 lines quarantined" in result.stdout


def test_import_without_sqlite_fails_with_csv_complete_and_the_next_run_repairs(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path
) -> None:
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="20")
    run = runner(stores)
    stores.db_manager.upgrade(Mode.VN)
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    put(tmp_path / "tree", "FPT.csv", 4)
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("data", "import", tmp_path / "tree")
    assert result.exit_code == 1
    assert result.stdout == "vn: 2 files, 4 bars read, 4 rows saved, 0 lines quarantined\n"
    assert result.stderr == "SQLite failed 2 times; CSV has everything, and the next write or start repairs SQLite\n"
    assert stores.in_csv("VCB").close.tolist() == [1, 2, 3]
    assert len(stores.in_sqlite("VCB")) == 0
    succeeded(run("data", "import", tmp_path / "tree"))
    assert stores.in_sqlite("VCB").equals(stores.in_csv("VCB"))
    assert succeeded(run("data", "verify"))[0] == "vn: 2 series, 4 bars in CSV, 0 differences"


@pytest.mark.parametrize("command", ["import", "pull"])
def test_what_changes_nothing_fails_too_while_sqlite_does_not_work(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path, command: str
) -> None:
    """SQLite is behind, and stays so: an exit status of 0 would say that all is well."""
    stores = make_stores(SQLITE_BUSY_TIMEOUT_MS="20")
    run = runner(stores)
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    args = {"import": ["import", tmp_path / "tree"], "pull": ["pull", "--ticker", "VCB", "--interval", "1D"]}[command]
    succeeded(run("data", *args))
    stores.csv_store.path(SeriesKey(Mode.VN, "VCB", Interval.DAILY)).touch()
    with closing(sqlite3.connect(stores.settings.vn_database_path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        result = run("data", *args)
    assert result.exit_code == 1
    assert result.stderr == "SQLite failed 1 times; CSV has everything, and the next write or start repairs SQLite\n"
    succeeded(run("data", *args))


def test_import_without_sqlite_and_fallback_stops_with_one_line(
    make_stores: MakeStores, runner: Callable[[Stores], Run], tmp_path: Path
) -> None:
    stores = make_stores(FALLBACK_TO_CSV="false")
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    put(tmp_path / "tree", "VCB.csv", 1, 2, 3)
    line = failed_with(runner(stores)("data", "import", tmp_path / "tree"), 1)
    assert line == "Error: SQLite error: file is not a database"


# flask data pull

DAILY = ("--interval", "1D")


def test_pull_fills_both_stores_and_resumes(stores: Stores, run: Run) -> None:
    (line,) = succeeded(run("data", "pull", "--mode", "vn", "--ticker", "vcb", "--ticker", "VNINDEX", *DAILY))
    assert re.fullmatch(r"vn: 2 series from simulated, 2,\d{3} bars new or changed, 0 failed", line)
    bars = stores.in_csv("VCB")
    assert len(bars) > 1_000
    assert bars.equals(stores.in_sqlite("VCB"))
    assert stores.csv_store.tickers(Mode.VN) == ["VCB", "VNINDEX"]
    (line,) = succeeded(run("data", "pull", "--mode", "vn", "--ticker", "VCB", "--ticker", "vcb", *DAILY))
    assert line == "vn: 1 series from simulated, 0 bars new or changed, 0 failed"


def test_pull_takes_every_ticker_and_interval_of_both_markets(
    stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SimulatedProvider, "tickers", lambda self: ["VCB"] if self.mode is Mode.VN else ["BTC", "XRP"])
    monkeypatch.setattr(SimulatedProvider, "history_start", lambda self, interval, now: now - 5 * 86_400)
    lines = succeeded(run("data", "pull"))
    assert [line.split(",")[0] for line in lines] == ["vn: 3 series from simulated", "crypto: 6 series from simulated"]
    for interval in Interval:
        assert len(stores.in_sqlite("VCB", interval)) > 0
        assert len(stores.in_sqlite("XRP", interval, Mode.CRYPTO)) > 0


def test_a_full_pull_starts_at_the_beginning(stores: Stores, run: Run) -> None:
    args = ("data", "pull", "--ticker", "VCB", *DAILY)
    succeeded(run(*args))
    whole = stores.in_csv("VCB")
    stores.save("VCB", whole.tail(5), rewrite_all=True)
    succeeded(run(*args))
    assert len(stores.in_csv("VCB")) < 40
    succeeded(run(*args, "--full"))
    assert stores.in_csv("VCB").equals(whole)
    assert stores.in_sqlite("VCB").equals(whole)


def test_if_empty_leaves_out_the_markets_that_have_bars(stores: Stores, run: Run) -> None:
    stores.save("OLD", make_bars(3))
    lines = succeeded(run("data", "pull", "--if-empty", "--mode", "vn", *DAILY))
    assert lines == ["vn: has bars already, left out"]
    assert stores.csv_store.tickers(Mode.VN) == ["OLD"]
    (line,) = succeeded(run("data", "pull", "--if-empty", "--mode", "crypto", "--ticker", "BTC", *DAILY))
    assert line.startswith("crypto: 1 series")
    assert len(stores.in_sqlite("BTC", mode=Mode.CRYPTO)) > 1_000


def test_an_unknown_ticker_is_one_line_and_the_others_go_on(stores: Stores, run: Run) -> None:
    result = run("data", "pull", "--ticker", "NOPE", "--ticker", "VCB", "--interval", "1D", "--interval", "1H")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith("failed vn NOPE: 'NOPE' is not in the simulated vn market; it has VNINDEX, ")
    assert result.stdout.startswith("vn: 2 series from simulated, ")
    assert result.stdout.endswith(", 1 failed\n")
    assert len(stores.in_sqlite("VCB")) > 0
    assert len(stores.in_sqlite("VCB", Interval.HOURLY)) > 0
    assert stores.csv_store.tickers(Mode.VN) == ["VCB"], "nothing is made for the unknown one"


def test_a_failure_of_the_source_is_named_for_each_series(
    stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch = SimulatedProvider.fetch

    def flaky(self: SimulatedProvider, ticker: str, interval: Interval, start: int, end: int) -> Bars:
        if interval is Interval.HOURLY:
            raise ProviderError("the line is dead")
        return fetch(self, ticker, interval, start, end)

    monkeypatch.setattr(SimulatedProvider, "fetch", flaky)
    result = run("data", "pull", "--ticker", "VCB")
    assert result.exit_code == 1
    assert result.stderr == "failed vn VCB 1H: the line is dead\n"
    assert len(stores.in_sqlite("VCB", Interval.MINUTE)) > 0


def test_pull_without_sqlite_fails_with_csv_complete(stores: Stores, run: Run) -> None:
    stores.settings.vn_database_path.write_bytes(b"rubbish" * 1_000)
    result = run("data", "pull", "--ticker", "VCB", *DAILY)
    assert result.exit_code == 1
    assert result.stderr == "SQLite failed 1 times; CSV has everything, and the next write or start repairs SQLite\n"
    assert len(stores.in_csv("VCB")) > 1_000


def test_a_source_that_is_not_available_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disabled(*_: object) -> None:
        raise ProviderDisabledError("the source is not available; set DATA_PROVIDER=simulated")

    monkeypatch.setattr(data, "provider_for", disabled)
    line = failed_with(run("data", "pull"), 1)
    assert line == "Error: the source is not available; set DATA_PROVIDER=simulated"
    assert snapshot(tmp_path) == {}


# flask data enhance


def test_enhance_computes_indicators_anew_in_both_stores(stores: Stores, run: Run) -> None:
    bars = make_bars(300)
    stores.save("VCB", Bars.of(bars.time, bars.prices, bars.volume))
    stores.save("BTC", make_bars(20, Interval.HOURLY, Mode.CRYPTO), Interval.HOURLY, Mode.CRYPTO)
    lines = succeeded(run("data", "enhance", "--mode", "vn", *DAILY))
    assert len(lines) == 1
    assert re.match(r"vn 1D: 1 tickers, 300 bars, [1-9][\d,]+ bytes of CSV written, \d+\.\d s \(indicators ", lines[0])
    assert stores.in_csv("VCB").equals(bars)
    assert stores.in_sqlite("VCB").equals(bars)
    lines = succeeded(run("data", "enhance"))
    assert [line.split(",")[0] for line in lines] == [
        *["vn 1D: 1 tickers", "vn 1H: 0 tickers", "vn 1m: 0 tickers"],
        *["crypto 1D: 0 tickers", "crypto 1H: 1 tickers", "crypto 1m: 0 tickers"],
    ]
    assert "300 bars, 0 bytes of CSV written" in lines[0]


def test_enhance_goes_on_after_sqlite_failed(stores: Stores, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stores.save("VCB", make_bars(3))
    stores.save("BTC", make_bars(3, mode=Mode.CRYPTO), mode=Mode.CRYPTO)
    reconcile_series = data.reconcile_series

    def failing(stores: Stores, key: SeriesKey, *rest: object) -> data.EnhancementStats:
        if key.mode is Mode.VN:
            return data.EnhancementStats(tickers=1, sqlite_faults=(SqliteFault.FULL,))
        return reconcile_series(stores, key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(data, "reconcile_series", failing)
    result = run("data", "enhance", *DAILY)
    assert result.exit_code == 1
    assert [line.split(",")[0] for line in result.stdout.splitlines()] == ["vn 1D: 1 tickers", "crypto 1D: 1 tickers"]
    assert result.stderr == "SQLite failed 1 times; CSV has everything, and the next write or start repairs SQLite\n"


def test_enhance_goes_on_past_a_series_that_cannot_be_read(stores: Stores, run: Run) -> None:
    bars = make_bars(30)
    for ticker in ("ACB", "FPT", "VCB", "VIC"):
        stores.save(ticker, Bars.of(bars.time, bars.prices, bars.volume))
    paths = [stores.csv_store.path(SeriesKey(Mode.VN, ticker, Interval.DAILY)) for ticker in ("ACB", "VCB")]
    for path in paths:
        path.unlink()
        path.symlink_to(path.name)
    result = run("data", "enhance", "--mode", "vn", *DAILY)
    assert result.exit_code == 1
    assert result.stdout.startswith("vn 1D: 2 tickers, 60 bars, ")
    assert result.stderr.splitlines() == [
        f"failed vn {path.parent.name} 1D: {path}: Too many levels of symbolic links" for path in paths
    ]
    assert all(stores.in_sqlite(ticker).equals(bars) for ticker in ("FPT", "VIC"))
